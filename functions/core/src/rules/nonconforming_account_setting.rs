//! `nonconforming-account-setting`: an account setting of ECR is not as required.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::{Fix, Severity, Violation};
use crate::registry::{BLOB_MOUNTING, POLICY_SCOPE, Registry, RegistryReads};
use crate::repository::{Read, RepositoryId};
use crate::rule::{
    Advice, Meta, NewRepositories, RegistryViolation, Rule, RuleMode, Settings, Subject,
    make_readable,
};

/// The account settings of ECR, which hold for all repositories of an account in a region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NonconformingAccountSetting {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// Whether repositories may share layers (`BLOB_MOUNTING`). Without it, both are accepted.
    pub blob_mounting: Option<BlobMounting>,
}

/// Whether a push may use a layer of another repository of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BlobMounting {
    Enabled,
    Disabled,
}

impl BlobMounting {
    /// As ECR writes it.
    fn name(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::Disabled => "DISABLED",
        }
    }
}

impl Settings for NonconformingAccountSetting {
    const JUDGES_REGISTRY: bool = true;

    const META: Meta = Meta {
        id: "nonconforming-account-setting",
        severity: Severity::Low,
        subject: Subject::Repository,
        summary: "An account setting of ECR is not as required",
        repair: "none",
        explanation: "\
With `REGISTRY_POLICY_SCOPE` at `V1`, as registries had it before 2025, ECR enforces three actions of the \
registry policy only: `ecr:ReplicateImage`, `ecr:BatchImportUpstreamImage` and \
`ecr:CreateRepository`. Nothing else can be denied for all repositories, for example pushes \
without TLS. `V2`, ECR's default, is required. `blob-mounting` says what `BLOB_MOUNTING` is to be: enabled, a push need not upload a \
layer that another repository of the registry has.

Each account and region is one finding, and it is never repaired: a setting holds for all teams \
at once, and `V2` puts all statements into force. Read the registry \
policy first (`aws ecr get-registry-policy`).",
        example: r"nonconforming-account-setting:
  blob-mounting: disabled",
        controls: &[],
    };
}

impl Rule for NonconformingAccountSetting {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn registry_reads(&self) -> RegistryReads {
        RegistryReads {
            policy_scope: true,
            blob_mounting: self.blob_mounting.is_some(),
            ..RegistryReads::default()
        }
    }

    fn check_registry(
        &self,
        registry: &Registry,
        _policy: &NewRepositories<'_>,
    ) -> Option<RegistryViolation> {
        let region = &registry.id.region;
        let scope = wrong(POLICY_SCOPE, &registry.policy_scope, "V2", region);
        let mounting = self.blob_mounting.map(BlobMounting::name);
        let mounting = mounting
            .and_then(|wanted| wrong(BLOB_MOUNTING, &registry.blob_mounting, wanted, region));
        let (details, to_do): (Vec<String>, Vec<String>) =
            scope.into_iter().chain(mounting).unzip();
        if details.is_empty() {
            return None;
        }
        Some(RegistryViolation::from(Violation {
            detail: details.join("; "),
            fix: Fix::Manual(to_do.join("; ")),
        }))
    }

    fn contradictions(&self) -> Vec<String> {
        Vec::new()
    }

    fn advice(&self, id: &RepositoryId) -> Advice {
        let mounting = self.blob_mounting.map(|it| (BLOB_MOUNTING, it.name()));
        let wanted: Vec<(&str, &str)> = std::iter::once((POLICY_SCOPE, "V2"))
            .chain(mounting)
            .collect();
        let terraform = wanted.iter().map(|(name, value)| {
            let resource = name.to_ascii_lowercase();
            format!(
                "resource \"aws_ecr_account_setting\" \"{resource}\" {{\n  name  = \"{name}\"\n  value = \"{value}\"\n}}"
            )
        });
        let commands = wanted
            .iter()
            .map(|(name, value)| command(name, value, &id.region));
        Advice {
            text: "Set this once for each account and region.".to_owned(),
            terraform: terraform.collect::<Vec<_>>().join("\n\n"),
            cloudformation: "# CloudFormation has no resource for the account settings of ECR."
                .to_owned(),
            cli: commands.collect::<Vec<_>>().join("\n"),
        }
    }
}

/// What is wrong with a setting, and what to do about it.
fn wrong(name: &str, is: &Read<String>, wanted: &str, region: &str) -> Option<(String, String)> {
    if let Some(why) = is.unreadable() {
        return Some((
            format!("the account setting {name} cannot be read: {why}"),
            make_readable("ecr:GetAccountSetting"),
        ));
    }
    let value = is.known()?;
    (value != wanted).then(|| {
        (
            format!("the account setting {name} is `{value}`, and {wanted} is required"),
            command(name, wanted, region),
        )
    })
}

fn command(name: &str, value: &str, region: &str) -> String {
    format!("aws ecr put-account-setting --region {region} --name {name} --value {value}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::repository;

    fn found(rule: &NonconformingAccountSetting, scope: &str, mounting: &str) -> Option<Violation> {
        let registry = Registry {
            policy_scope: Read::Known(scope.to_owned()),
            blob_mounting: Read::Known(mounting.to_owned()),
            ..Registry::unread(&repository().id.registry())
        };
        let found = rule.check_registry(&registry, &|_| Err(String::new()));
        found.map(|it| it.violation)
    }

    #[test]
    fn each_setting_is_compared_with_what_is_required() {
        let any = NonconformingAccountSetting::default();
        let disabled = NonconformingAccountSetting {
            blob_mounting: Some(BlobMounting::Disabled),
            ..any.clone()
        };
        let cases = [
            (&any, "V2", "ENABLED", vec![]),
            (&any, "V1", "ENABLED", vec!["V1"]),
            (&disabled, "V2", "DISABLED", vec![]),
            (&disabled, "V2", "ENABLED", vec!["ENABLED"]),
            (&disabled, "V1", "ENABLED", vec!["V1", "ENABLED"]),
            (&disabled, "V9", "DISABLED", vec!["V9"]),
        ];
        for (rule, scope, mounting, named) in cases {
            let found = found(rule, scope, mounting);
            assert_eq!(found.is_some(), !named.is_empty(), "{scope} {mounting}");
            for value in named {
                let detail = &found.as_ref().unwrap().detail;
                assert!(detail.contains(&format!("is `{value}`")), "{detail}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_reported_with_the_permission() {
        let registry = Registry {
            policy_scope: Read::Unreadable("AccessDeniedException".to_owned()),
            ..Registry::unread(&repository().id.registry())
        };
        let rule = NonconformingAccountSetting::default();
        let found = rule
            .check_registry(&registry, &|_| Err(String::new()))
            .unwrap();
        let detail = found.violation.detail.as_str();
        assert!(detail.contains("AccessDeniedException"), "{detail}");
        let to_do = found.violation.for_people();
        assert!(to_do.contains("ecr:GetAccountSetting"), "{to_do}");
    }

    #[test]
    fn only_what_is_required_is_read() {
        let reads = NonconformingAccountSetting::default().registry_reads();
        assert!(reads.policy_scope && !reads.blob_mounting);
    }
}
