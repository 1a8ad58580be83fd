//! An audit with something of everything: every rule and none, every status, advice, and text that is hostile.

use std::collections::BTreeMap;

use ecr_warden_core::audit::Audit;
use ecr_warden_core::finding::{Severity, Status};
use ecr_warden_core::outcome::Verdict;
use ecr_warden_core::policy::Policy;
use ecr_warden_core::repository::{Read, RepositoryId};
use ecr_warden_core::rule::Advice;
use ecr_warden_core::rules::RULES;
use ecr_warden_core::storage::StorageCost;

/// Every rule, for its advice.
const POLICY: &str = "
version: 1
mode: enforce
rules:
  mutable-tags: { allow-exclusions: [latest] }
  weak-encryption: { require: KMS }
  no-scan-on-push: {}
  no-lifecycle-policy: {}
  public-access: {}
  untrusted-access: {}
  nonconforming-name: {}
  missing-tags: { require: { team: {} } }
  disallowed-region: { allow: [eu-central-1] }
  nonconforming-image-tag: {}
  blocked-push: {}
  over-budget: { most-gb: 1 }
  nonconforming-template: {}
";

/// What is no rule's, as the sweep reports it.
const NO_RULE: &str = "unreadable-repository";

const STATUSES: [Status; 6] = [
    Status::Open,
    Status::Withheld,
    Status::Exempt,
    Status::Failed,
    Status::Fixed,
    Status::Resolved,
];

/// What a name, a tag, a policy or an error of AWS could bring along.
const HOSTILE: [&str; 8] = [
    "tags can be overwritten: `MUTABLE`, and the policy asks for `IMMUTABLE`",
    "<script>document.title = 'injected'</script><img src=x onerror=\"document.title = 'injected'\">",
    "\"quotes\" & 'apostrophes' &amp; &lt;</td></tr></table></details><style>* { display: none }</style>",
    "{\"AWS\":\"arn:aws:iam::111122223333:root\"} {0} {{ 7 * 7 }} {% raw %} [link](https://example.invalid/) ${x}",
    "=HYPERLINK(\"https://example.invalid/\")",
    "\u{202e}right to left\u{2028}line\u{0}nul\u{1b}[31mred\ttab\nnew line",
    "javascript:alert(1)//--></script><!--<svg onload=alert(1)>",
    "",
];

/// Every seventh repository's images can't be read.
fn cost(n: usize) -> StorageCost {
    let gigabytes = u32::try_from(n * 37 % 900).unwrap();
    let usd = f64::from(gigabytes) * 0.1;
    let unreadable = (n % 7 == 6).then(|| text(n));
    StorageCost {
        repository: id(n).arn(),
        images: n % 400,
        bytes: u64::from(gigabytes) * 1_000_000_000,
        monthly_usd: usd,
        untagged_usd: usd / 3.0,
        old_usd: usd / 2.0,
        default_lifecycle_saves_usd: n.is_multiple_of(2).then_some(usd / 4.0),
        unreadable,
    }
}

/// Every other repository is under stricter settings, some are in another region, and of two findings of a rule one can be graver.
/// The first six repositories have every finding there is; of the others every tenth has none.
pub(crate) fn audit(repositories: usize) -> Audit {
    let advice = [advice(POLICY), advice(&POLICY.replace("[latest]", "[]"))];
    let mut audit = Audit::default();
    for n in 0..repositories {
        let rules = RULES
            .iter()
            .map(|entry| (entry.meta.id, entry.meta.severity));
        let verdicts: Vec<Verdict> = rules
            .chain([(NO_RULE, Severity::High)])
            .enumerate()
            .filter(|(place, _)| n < 6 || (n % 10 != 9 && (n + place) % 4 == 0))
            .map(|(place, (rule, severity))| Verdict {
                rule: rule.to_owned(),
                severity: match (n, rule) {
                    (2, "weak-encryption") => Severity::Critical,
                    _ => severity,
                },
                status: STATUSES[(n + place) % STATUSES.len()],
                detail: text(n + place),
                to_do: text(n + place + 3),
                advice: advice[n % 2].get(rule).cloned(),
                since: None,
                action: None,
                news: false,
                reason: None,
            })
            .collect();
        audit.add(&id(n), &verdicts);
        audit.add_cost(cost(n));
    }
    audit.sort();
    audit
}

fn text(n: usize) -> String {
    match n % (HOSTILE.len() + 1) {
        8 => "unbroken".repeat(80),
        n => HOSTILE[n].to_owned(),
    }
}

/// Names as ECR allows them, of its greatest length too; and one that no ECR would give out.
fn id(n: usize) -> RepositoryId {
    RepositoryId {
        account: "123456789012".to_owned(),
        region: match n % 5 {
            4 => "us-east-1",
            _ => "eu-central-1",
        }
        .to_owned(),
        name: match n {
            1 => "a".repeat(256),
            2 => format!("namespace/{}", "long-name/".repeat(24)),
            3 => "\"><script>document.title = 'injected'</script>&amp;".to_owned(),
            n => format!("shop/service-{n}"),
        },
    }
}

/// By rule.
fn advice(policy: &str) -> BTreeMap<&'static str, Advice> {
    let policy = Policy::parse(policy).unwrap();
    let resolved = policy.for_repository(&id(0), &Read::NotAsked).unwrap();
    resolved
        .rules
        .iter()
        .map(|active| (active.entry.meta.id, active.rule.advice(&id(0))))
        .collect()
}
