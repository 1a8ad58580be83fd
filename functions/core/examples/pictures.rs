//! Writes what the documentation's pictures show into a folder: the alert of one event as Slack gets it (`slack.json`), and the report of
//! an audit (`report.html`).

use std::path::PathBuf;

use ecr_warden_core::alert::Alert;
use ecr_warden_core::audit::Audit;
use ecr_warden_core::evaluate::evaluate;
use ecr_warden_core::outcome::{Results, Verdict, verdicts};
use ecr_warden_core::plan::plan;
use ecr_warden_core::policy::Policy;
use ecr_warden_core::record::{Context, Known, Lease};
use ecr_warden_core::report::html;
use ecr_warden_core::repository::{
    Encryption, EncryptionType, Read, Repository, RepositoryId, TagMutability,
};
use ecr_warden_core::slack;
use ecr_warden_core::trigger::{Cause, Decoded, Origin, decode};
use serde_json::Value;

type Problem = Box<dyn std::error::Error>;

const EVENT: &str = include_str!("../../../events/create-repository-by-role.json");
const POLICY: &str = "
version: 1
mode: enforce
rules:
  mutable-tags: { allow-exclusions: [latest, \"cache*\"] }
  weak-encryption: { require: KMS, when-empty: recreate }
  no-lifecycle-policy: {}
  public-access: {}
  missing-tags: { require: { team: {} } }
";
const EVERYONE: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Pull","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}"#;
const LIFECYCLE: &str = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":14},"action":{"type":"expire"}}]}"#;
/// Seconds since the epoch: 2026-11-23, 08:00:02 UTC.
const NOW: i64 = 1_795_420_802;

/// What is reported of a repository. In `enforce`, ECR makes every repair; nothing was reported before.
fn judged(mode: &str, repository: &Repository, origin: &Origin) -> Result<Vec<Verdict>, Problem> {
    let policy = Policy::parse(&POLICY.replace("enforce", mode))?;
    let policy = policy.for_repository(&repository.id, &repository.tags)?;
    let owner = "invocation".to_owned();
    let context = Context {
        origin,
        me: &Lease {
            owner,
            until: NOW + 90,
        },
        now: NOW,
        created_at: None,
    };
    let known = Known::default();
    let findings = evaluate(&policy, repository);
    let plan = plan(&policy, repository, findings, Ok(&known), &context);
    let results: Results = plan
        .repairs()
        .map(|(rule, _)| (rule.to_owned(), Ok(())))
        .collect();
    let mut all = verdicts(&policy, &repository.id, &plan, &known, &[], &results, NOW);
    for verdict in &mut all {
        verdict.news = true;
    }
    Ok(all)
}

fn conforming(id: &RepositoryId) -> Repository {
    Repository {
        mutability: TagMutability::Immutable,
        encryption: Encryption {
            kind: EncryptionType::Kms,
            kms_key: None,
        },
        has_images: Read::Known(true),
        images: Read::Known([].into()),
        recent_tags: Read::Known(["latest".to_owned(), "1.4.2".to_owned()].into()),
        pull_through: Read::Known(false),
        policy: Read::Known(None),
        lifecycle: Read::Known(Some(LIFECYCLE.to_owned())),
        tags: Read::Known([("team".to_owned(), "shop".to_owned())].into()),
        ..Repository::unread(id, None, None)
    }
}

/// Repositories as an audit finds them.
fn registry() -> Result<Vec<Repository>, Problem> {
    let mut all = Vec::new();
    for name in ["api", "cart", "checkout", "search", "static", "worker"] {
        let id = RepositoryId::new("123456789012", "eu-central-1", &format!("shop/{name}"))?;
        let mut one = conforming(&id);
        match name {
            "api" => one.mutability = TagMutability::Mutable,
            "cart" => one.policy = Read::Known(Some(EVERYONE.to_owned())),
            "checkout" => one.encryption.kind = EncryptionType::Aes256,
            "search" => one.tags = Read::Known([].into()),
            "static" => {
                one.mutability = TagMutability::Mutable;
                one.lifecycle = Read::Known(None);
            }
            _ => {}
        }
        all.push(one);
    }
    Ok(all)
}

#[expect(clippy::disallowed_methods, reason = "an example is not the core")]
fn main() -> Result<(), Problem> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("give a folder")?);
    std::fs::create_dir_all(&folder)?;
    let Decoded::Trigger(trigger) = decode(&serde_json::from_str(EVENT)?, None) else {
        return Err("the event is of no repository".into());
    };
    let mut created = conforming(&trigger.repository);
    created.mutability = TagMutability::Mutable;
    created.encryption.kind = EncryptionType::Aes256;
    let found = judged("enforce", &created, &trigger.origin)?;
    let alert = Alert::of(&created.id, "invocation", &trigger.origin, &found).ok_or("no alert")?;
    let bodies: Value = serde_json::from_str(&alert.message().body)?;
    let body = bodies.get("sqs").and_then(Value::as_str).ok_or("no body")?;
    let message = slack::message(&[serde_json::from_str(body)?]);
    let message = serde_json::to_string_pretty(&message)?;
    std::fs::write(folder.join("slack.json"), message)?;

    let mut audit = Audit::default();
    for repository in registry()? {
        let found = judged("monitor", &repository, &Origin::of(Cause::Audit))?;
        audit.add(&repository.id, &found);
    }
    audit.sort();
    let page = html(&audit, "2026-11-23 09:00 UTC")?;
    std::fs::write(folder.join("report.html"), page)?;
    Ok(())
}
