//! `nonconforming-template`: ECR itself creates repositories with settings that the policy does not accept.

mod source;
mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::source::{Correction, TemplateSource, sources};
use self::text::{advise, command};
use crate::finding::{Finding, Fix, Severity, Violation};
use crate::registry::{Registry, RegistryReads};
use crate::repository::RepositoryId;
use crate::rule::{
    Advice, Meta, NewRepositories, RegistryViolation, Rule, RuleMode, Settings, Subject,
    make_readable,
};
use crate::text::{LONGEST, one_line};

/// As many templates as a message describes.
const DESCRIBED: usize = 10;

/// Creation templates, and pull-through caches and replication without one, from which nonconforming repositories come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NonconformingTemplate {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
}

impl Settings for NonconformingTemplate {
    const JUDGES_REGISTRY: bool = true;

    const META: Meta = Meta {
        id: "nonconforming-template",
        severity: Severity::Medium,
        subject: Subject::Repository,
        summary: "ECR itself creates repositories with settings that the policy does not accept",
        repair: "none",
        explanation: "\
A pull-through cache, replication and create-on-push create repositories without asking anyone. \
Their settings come from the repository creation template with the closest prefix; without one, \
they are mutable, encrypted with AES256, and have no tags and no policies. A repository's \
encryption cannot be changed later, so the template is the place to set it.

For each template, each pull-through cache rule without a template, and each prefix into which the \
registry policy lets other registries replicate without one, ecr-warden evaluates the repository \
that ECR would create: with the rules that are on for its name (`PREFIX/any`, and `any` for \
`ROOT`), their overrides and exemptions. These rules are asked: `mutable-tags`, `weak-encryption`, \
`no-scan-on-push`, `no-lifecycle-policy`, `public-access`, `untrusted-access` and `missing-tags`. \
All that they find is one finding of the registry, as severe as the worst of it. It has the \
command, the Terraform resource (`aws_ecr_repository_creation_template`) and the CloudFormation \
resource that create conforming repositories.

There is no repair: a template decides about repositories of other teams, and one with tags or a \
KMS key needs a role that only the operator can name. A template sets no scanning, so a prefix \
that the registry's scanning configuration does not cover needs a filter there. Overrides for \
deeper names (`PREFIX/team/**`) are not evaluated, nor is replication between regions of one \
account, which needs no registry policy and shows at its source only. A glob of repositories is \
for no registry, so an override for this rule names accounts or regions only.",
        example: r"nonconforming-template:
  mode: monitor",
        controls: &[],
    };
}

impl Rule for NonconformingTemplate {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn registry_reads(&self) -> RegistryReads {
        RegistryReads {
            policy: true,
            templates: true,
            caches: true,
            ..RegistryReads::default()
        }
    }

    fn check_registry(
        &self,
        registry: &Registry,
        policy: &NewRepositories<'_>,
    ) -> Option<RegistryViolation> {
        let judged: Vec<JudgedTemplate> = sources(registry)
            .into_iter()
            .filter_map(|source| judge(source, registry, policy))
            .collect();
        let mut complaints = unread(registry);
        complaints.extend(judged.iter().take(DESCRIBED).map(JudgedTemplate::complaint));
        let more = judged.len().saturating_sub(DESCRIBED);
        if more > 0 {
            let to_do = "correct those above first".to_owned();
            complaints.push((format!("and {more} more templates or prefixes"), to_do));
        }
        if complaints.is_empty() {
            return None;
        }
        let findings = judged.iter().flat_map(|judged| &judged.findings);
        let (details, to_do): (Vec<String>, Vec<String>) = complaints.into_iter().unzip();
        let conforming: Vec<&Correction> = judged
            .iter()
            .take(DESCRIBED)
            .filter_map(|judged| judged.conforming.as_ref())
            .collect();
        Some(RegistryViolation {
            severity: findings.map(|finding| finding.severity).max(),
            violation: Violation {
                detail: details.join("; "),
                fix: Fix::Manual(to_do.join("; ")),
            },
            advice: (!conforming.is_empty()).then(|| advise(&conforming)),
        })
    }

    fn contradictions(&self) -> Vec<String> {
        Vec::new()
    }

    fn advice(&self, _id: &RepositoryId) -> Advice {
        Advice {
            text: "Define a creation template with the settings that the policy requires for each \
                   prefix of a pull-through cache, of replication and of create-on-push."
                .to_owned(),
            terraform: "# a resource \"aws_ecr_repository_creation_template\" for each prefix, or for \"ROOT\"".to_owned(),
            cloudformation: "# an AWS::ECR::RepositoryCreationTemplate for each prefix, or for ROOT".to_owned(),
            cli: "aws ecr describe-repository-creation-templates".to_owned(),
        }
    }
}

/// What is wrong with the repositories of one template, or of one prefix without a template.
struct JudgedTemplate {
    subject: String,
    findings: Vec<Finding>,
    /// Why they could not be evaluated.
    undecided: Option<String>,
    conforming: Option<Correction>,
    to_do: Vec<String>,
}

/// `None`: they conform.
fn judge(
    source: TemplateSource,
    registry: &Registry,
    policy: &NewRepositories<'_>,
) -> Option<JudgedTemplate> {
    let mut judged = JudgedTemplate {
        subject: source.subject(),
        findings: Vec::new(),
        undecided: None,
        conforming: None,
        to_do: Vec::new(),
    };
    let mut changed = None;
    for creation in &source.template.applied_for {
        let from = source.repository(registry, creation);
        let new = match policy(&from) {
            Ok(new) => new,
            Err(why) => {
                judged.undecided = Some(why);
                judged.to_do = vec!["correct the policy's overrides for this prefix".to_owned()];
                continue;
            }
        };
        for finding in new.findings {
            let is_same = |other: &Finding| {
                (other.rule, &other.violation.detail) == (finding.rule, &finding.violation.detail)
            };
            if !judged.findings.iter().any(is_same) {
                judged.findings.push(finding);
            }
        }
        for to_do in new.to_do {
            if !judged.to_do.contains(&to_do) {
                judged.to_do.push(to_do);
            }
        }
        // A cache comes first: what it cannot bear, the template must not say on the other occasions either.
        changed.get_or_insert((from, new.conforming));
    }
    if judged.findings.is_empty() && judged.undecided.is_none() {
        return None;
    }
    if let Some(missing) = source.not_applied() {
        judged.to_do.insert(0, missing);
    } else if let Some((from, to)) = changed.filter(|(from, to)| from != to) {
        let conforming = Correction { source, from, to };
        let command = command(&conforming);
        judged.to_do.insert(
            0,
            if command.chars().count() > LONGEST {
                "define the template as the lines with this finding say".to_owned()
            } else {
                one_line(&command, LONGEST)
            },
        );
        judged.conforming = Some(conforming);
    } else if judged.to_do.is_empty() {
        judged.to_do.push(
            "use another prefix for each occasion: what the rules require on one would keep the pull-through cache from working"
                .to_owned(),
        );
    }
    Some(judged)
}

impl JudgedTemplate {
    /// What is wrong, and what to do about it.
    fn complaint(&self) -> (String, String) {
        let mut found: Vec<String> = self
            .findings
            .iter()
            .map(|finding| format!("{}: {}", finding.rule, finding.violation.detail))
            .collect();
        if let Some(why) = &self.undecided {
            found.push(format!("they cannot be evaluated: {why}"));
        }
        let detail = format!("{} ({})", self.subject, found.join(", "));
        (one_line(&detail, LONGEST), self.to_do.join("; "))
    }
}

/// What could not be read, and what to do about it.
fn unread(registry: &Registry) -> Vec<(String, String)> {
    let reads = [
        (
            "the creation templates",
            "ecr:DescribeRepositoryCreationTemplates",
            registry.templates.unreadable(),
        ),
        (
            "the pull-through cache rules",
            "ecr:DescribePullThroughCacheRules",
            registry.caches.unreadable(),
        ),
        (
            "the registry policy, which says who replicates into it,",
            "ecr:GetRegistryPolicy",
            registry.policy.unreadable(),
        ),
    ];
    let unreadable = reads.into_iter().filter_map(|(what, permission, why)| {
        let detail = format!(
            "which settings ECR gives to repositories that it creates is unknown, because {what} cannot be read: {}",
            why?
        );
        Some((detail, make_readable(permission)))
    });
    unreadable.collect()
}

#[cfg(test)]
mod tests;
