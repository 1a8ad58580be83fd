//! `untrusted-access`: the repository policy lets in named callers that are not trusted.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{self, Services, To, Trust, advice};
use crate::action::Action;
use crate::finding::{Severity, Violation};
use crate::registry::{Registry, RegistryReads};
use crate::repository::{Reads, Repository, RepositoryId};
use crate::rule::{
    Advice, Meta, NewRepositories, RegistryViolation, Rule, RuleMode, Settings, Subject,
};

/// A repository policy that lets in accounts, organizations, networks or services that are not trusted. Whom this rule or `public-access`
/// trusts counts for both. Where a policy has `public-access` alone, this rule is on with its mode, overrides and exemptions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct UntrustedAccess {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// What the repair does.
    pub fix: AccessFix,
    /// Account ids, quoted, that may be let in beside the repository's own.
    pub trusted_accounts: BTreeSet<String>,
    /// Organizations (`o-…`) whose accounts may be let in, by a condition on `aws:PrincipalOrgID`.
    pub trusted_organizations: BTreeSet<String>,
    /// Organizational units (`o-…/r-…/ou-…/*`) whose accounts may be let in, by a condition on `aws:PrincipalOrgPaths`.
    pub trusted_organization_paths: BTreeSet<String>,
    /// VPCs (`vpc-…`) through which callers may be let in, by a condition on `aws:SourceVpc`.
    pub trusted_vpcs: BTreeSet<String>,
    /// VPC endpoints (`vpce-…`) through which callers may be let in, by a condition on `aws:SourceVpce`.
    pub trusted_vpc_endpoints: BTreeSet<String>,
    /// Whether AWS services that a statement names may act for any account, or only for those that a condition says.
    pub services: Services,
}

/// The repair of a statement that lets in untrusted callers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessFix {
    /// Report the statement: it names its callers on purpose.
    #[default]
    None,
    /// Remove the statement if it names no trusted caller.
    Remove,
}

impl Settings for UntrustedAccess {
    const JUDGES_REGISTRY: bool = true;
    const KNOWN_AT_CREATION: bool = true;

    const META: Meta = Meta {
        id: "untrusted-access",
        severity: Severity::Medium,
        subject: Subject::Repository,
        summary: "The repository policy, the registry policy or replication admits accounts, \
                  organizations, networks or services that are not trusted",
        repair: "with `fix: remove`, removes the offending statements",
        explanation: "\
A statement names an account, an organization or one of its units, a VPC or a VPC endpoint that \
neither this rule nor `public-access` trusts, or an AWS service that acts for such an account \
(`aws:SourceAccount`, `aws:SourceArn`, `aws:SourceOrgID`). The message names each of them and what \
they may do: pull, push or administer. With `services: with-source`, a service without such a \
condition is reported, too, because it acts for any account.

The registry policy is judged in the same way, and so are the accounts to which replication copies \
images: once per account and region, and never repaired.

The statement names them on purpose, so it is reported. With `fix: remove`, ecr-warden removes a \
statement that names no trusted caller. A statement stays if it names trusted and untrusted \
callers together, if one of its conditions cannot be evaluated, or if the document has another \
statement that denies. The callers of the removed statement lose access at once.",
        example: r#"untrusted-access:
  fix: remove
  trusted-accounts: ["111122223333"]
  services: with-source"#,
        controls: &["Prowler ecr_repositories_not_publicly_accessible, in part"],
    };
}

impl Rule for UntrustedAccess {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        Reads {
            policy: true,
            ..Reads::default()
        }
    }

    /// What cannot be read or understood is reported by `public-access`.
    fn check(&self, repository: &Repository) -> Option<Violation> {
        let text = repository.policy.known()?.as_ref()?;
        let judged = access::judge(text, &self.trust(&repository.id.account)).ok()?;
        judged.violation(text, To::Named, self.fix == AccessFix::Remove)
    }

    fn registry_reads(&self) -> RegistryReads {
        RegistryReads {
            policy: true,
            destinations: true,
            ..RegistryReads::default()
        }
    }

    fn check_registry(
        &self,
        registry: &Registry,
        _policy: &NewRepositories<'_>,
    ) -> Option<RegistryViolation> {
        let trust = self.trust(&registry.id.account);
        access::registry::to_named(registry, &trust).map(RegistryViolation::from)
    }

    fn contradictions(&self) -> Vec<String> {
        self.trust("").contradictions()
    }

    fn advice(&self, id: &RepositoryId) -> Advice {
        self.advice_on(id, None)
    }

    fn advice_on(&self, id: &RepositoryId, repair: Option<&Action>) -> Advice {
        advice::on(id, &self.trust(&id.account), repair)
    }
}

impl UntrustedAccess {
    fn trust(&self, own: &str) -> Trust {
        Trust {
            own: own.to_owned(),
            accounts: self.trusted_accounts.clone(),
            organizations: self.trusted_organizations.clone(),
            organization_paths: self.trusted_organization_paths.clone(),
            vpcs: self.trusted_vpcs.clone(),
            vpc_endpoints: self.trusted_vpc_endpoints.clone(),
            services: self.services,
        }
    }
}
