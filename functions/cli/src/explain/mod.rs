//! `ecr-warden explain`: what an event would lead to, without AWS.

mod events;
mod registry;
mod snapshot;

use std::path::PathBuf;

use clap::Args;
use ecr_warden_core::evaluate::{evaluate, evaluate_registry};
use ecr_warden_core::finding::{Finding, Fix, Severity};
use ecr_warden_core::plan::{Decision, Plan, Step, plan};
use ecr_warden_core::policy::{Policy, Resolved};
use ecr_warden_core::record::{Context, Known, Lease};
use ecr_warden_core::repository::{Encryption, Read, RegistryScanning, Repository, TagMutability};
use ecr_warden_core::trigger::{Decoded, Trigger, decode};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::Compliance;
use crate::failure::{CommandError, read};
use crate::output::{OutputFormat, Stream, lines, say, table};
use crate::policy;
use events::events;

const SCHEMA: &str = "ecr-warden.explain/1";
const EXAMPLES: &str = "Examples:
  ecr-warden explain event.json --policy policy.yaml
  ecr-warden explain event.json --policy policy.yaml --repository described.json";

/// Show, without AWS, what an event would lead to.
///
/// The repository is a new one as `aws ecr create-repository` makes it, unless a file says otherwise.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Explain {
    /// An EventBridge event, a CloudTrail record or a file of `Records` as JSON; `-` is standard input.
    event: PathBuf,
    /// The policy.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// What the repository is like, as YAML or JSON, or as `aws ecr describe-repositories`, `get-repository-policy`,
    /// `get-lifecycle-policy`, `list-tags-for-resource` or `aws kms describe-key` print it: what is not given is as in a new
    /// repository. For an event of the registry: what `aws ecr get-registry-policy` or another command that reads the registry prints. May be given
    /// several times.
    #[arg(long, value_name = "FILE")]
    repository: Vec<PathBuf>,
    /// `json`: one object for each event, `ecr-warden.explain/1`.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,
}

impl Explain {
    pub(crate) fn run(self) -> Result<Compliance, CommandError> {
        let policy = policy::load(&self.policy)?;
        let wrong = |why: String| CommandError::Usage(format!("{}: {why}", self.event.display()));
        let file: Value =
            serde_json::from_str(&read(&self.event)?).map_err(|error| wrong(error.to_string()))?;
        let mut found = Compliance::Nothing;
        for (n, event) in events(file).map_err(wrong)?.iter().enumerate() {
            if n > 0 && !self.as_json() {
                say!("");
            }
            if self.explain(event, &policy)? == Compliance::Findings {
                found = Compliance::Findings;
            }
        }
        Ok(found)
    }

    fn as_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    fn explain(&self, event: &Value, policy: &Policy) -> Result<Compliance, CommandError> {
        let trigger = match decode(event, None) {
            Decoded::Trigger(trigger) => trigger,
            Decoded::Ignored { reason, .. } => {
                let reason = reason.to_string();
                if self.as_json() {
                    say!("{}", json!({ "schema": SCHEMA, "ignored": reason }));
                } else {
                    say!("The event is ignored: {reason}.");
                }
                return Ok(Compliance::Nothing);
            }
            Decoded::Unreadable(why) => {
                return Err(CommandError::Usage(format!(
                    "{}: the event can't be understood: {why}",
                    self.event.display()
                )));
            }
        };
        if !self.as_json() {
            tell_of_event(&trigger);
        }
        let (repository, resolved, findings) = self.evaluated(&trigger, policy)?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let me = Lease {
            owner: String::new(),
            until: now,
        };
        let context = Context {
            origin: &trigger.origin,
            me: &me,
            now,
            created_at: repository.created_at,
        };
        let plan = plan(
            &resolved,
            &repository,
            findings,
            Ok(&Known::default()),
            &context,
        );
        if self.as_json() {
            say!("{}", explained(&trigger, &plan));
            return Ok(compliance(&plan));
        }
        if plan.steps.is_empty() {
            let active = resolved.rules.len();
            say!("\nIt conforms: {active} rules were asked, and none objects.");
            return Ok(Compliance::Nothing);
        }
        say!("");
        let mut table = table(&["rule", "severity", "finds", "then"], Stream::Output);
        for Step { finding, decision } in &plan.steps {
            table.add_row([
                finding.rule.to_owned(),
                finding.severity.name().to_owned(),
                finding.violation.detail.clone(),
                then(decision, &by_hand(&resolved, &repository, finding)),
            ]);
        }
        say!("{}", lines(&table));
        if let Some(settle) = policy.settle() {
            say!(
                "A new repository may settle for {} seconds first.",
                settle.seconds()
            );
        }
        Ok(compliance(&plan))
    }

    /// What is found in the repository, or in the registry, of which nothing of a repository is known.
    fn evaluated(
        &self,
        trigger: &Trigger,
        policy: &Policy,
    ) -> Result<(Repository, Resolved, Vec<Finding>), CommandError> {
        let id = &trigger.repository;
        if id.is_registry() {
            let registry = registry::registry(id, &self.repository)?;
            let resolved = policy.for_registry(id).map_err(CommandError::Usage)?;
            let now = OffsetDateTime::now_utc().unix_timestamp();
            let findings = evaluate_registry(policy, &resolved, &registry, now);
            return Ok((Repository::unread(id, None, None), resolved, findings));
        }
        let repository = repository(trigger, &self.repository)?;
        if !self.as_json() {
            tell_of_repository(&repository);
        }
        let resolved = policy
            .for_repository(id, &repository.tags)
            .map_err(CommandError::Usage)?;
        let findings = evaluate(&resolved, &repository);
        Ok((repository, resolved, findings))
    }
}

fn compliance(plan: &Plan) -> Compliance {
    let stands = |step: &Step| step.finding.severity > Severity::Informational && !is_exempt(step);
    if plan.steps.iter().any(stands) {
        Compliance::Findings
    } else {
        Compliance::Nothing
    }
}

/// The plan for programs.
fn explained(trigger: &Trigger, plan: &Plan) -> Value {
    let findings = plan.steps.iter().map(|Step { finding, decision }| {
        let (then, why) = match decision {
            Decision::Repair(_) => ("repair", None),
            Decision::Offer(_, why) => ("offer", Some(why.to_string())),
            Decision::Withhold(why) => ("withhold", Some(why.to_string())),
            Decision::Suspend(why) => ("suspend", Some(why.to_string())),
            Decision::Exempt(standing) => ("exempt", Some(standing.to_string())),
            Decision::Manual(what) => ("report", Some(what.to_string())),
        };
        let action = match decision {
            Decision::Repair(action) | Decision::Offer(action, _) => {
                json!({ "name": action.name(), "from": action.from(), "to": action.to() })
            }
            _ => Value::Null,
        };
        json!({
            "rule": finding.rule,
            "severity": finding.severity.name(),
            "detail": finding.violation.detail,
            "then": then,
            "why": why,
            "action": action,
        })
    });
    json!({
        "schema": SCHEMA,
        "event": trigger.origin.cause.name(),
        "repository": trigger.repository.arn(),
        "actor": trigger.origin.actor,
        "ignored": null,
        "findings": findings.collect::<Vec<_>>(),
    })
}

fn is_exempt(step: &Step) -> bool {
    matches!(step.decision, Decision::Exempt(_))
}

fn tell_of_event(trigger: &Trigger) {
    let by = trigger
        .origin
        .actor
        .as_deref()
        .unwrap_or("an unknown caller");
    say!(
        "{} of {} in {}, {} by {by}",
        trigger.origin.cause.name(),
        trigger.repository.label(),
        trigger.repository.account,
        trigger.repository.region
    );
    if let Some(push) = &trigger.pushed {
        let tag = push.tag.as_deref().unwrap_or("no tag");
        let refused = if push.refused { ", refused" } else { "" };
        say!("A push of {tag}{refused}");
    }
}

fn tell_of_repository(repository: &Repository) {
    say!(
        "The repository: {}, {}",
        repository.mutability,
        repository.encryption
    );
}

/// The command that makes the repair of a finding, where there is one.
fn by_hand(policy: &Resolved, repository: &Repository, finding: &Finding) -> Option<String> {
    let (Fix::Safe(action) | Fix::Disruptive(action)) = &finding.violation.fix else {
        return None;
    };
    let active = policy.rule(finding.rule)?;
    Some(active.rule.advice_on(&repository.id, Some(action)).cli)
}

fn then(decision: &Decision, by_hand: &Option<String>) -> String {
    match decision {
        Decision::Repair(action) => {
            format!("{}: {} → {}", action.name(), action.from(), action.to())
        }
        Decision::Offer(_, why) => why.to_string(),
        Decision::Withhold(why) | Decision::Suspend(why) => match by_hand {
            Some(command) => format!("withheld: {why}; to make it: {command}"),
            None => format!("withheld: {why}"),
        },
        Decision::Exempt(standing) => standing.to_string(),
        Decision::Manual(what) => format!("report only: {what}"),
    }
}

/// A new repository as ECR makes it, with what the files say laid over.
fn repository(trigger: &Trigger, files: &[PathBuf]) -> Result<Repository, CommandError> {
    let new = Repository {
        mutability: TagMutability::Mutable,
        encryption: Encryption::aes256(),
        tags: Read::Known([].into()),
        policy: Read::Known(None),
        lifecycle: Read::Known(None),
        has_images: Read::Known(false),
        recent_tags: Read::Known([].into()),
        scanning: Read::Known(RegistryScanning::default()),
        pull_through: Read::Known(false),
        images: Read::Known([].into()),
        replicated: trigger.replicated,
        ..Repository::unread(&trigger.repository, Some(0), trigger.pushed.clone())
    };
    let over = |repository, file: &PathBuf| snapshot::laid_over(&repository, file);
    Ok(Repository {
        // No file has it.
        creator: trigger.creator().map(str::to_owned),
        ..files.iter().try_fold(new, over)?
    })
}
