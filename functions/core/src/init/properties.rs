//! What holds for the first policy of every registry; tried on many that chance makes, the same ones each time.

use serde_json::json;

use super::*;
use crate::audit::Audit;
use crate::chance::Chance;
use crate::evaluate::evaluate_registry;
use crate::evaluate::tests::repository;
use crate::finding::Status;
use crate::outcome;
use crate::plan::plan;
use crate::record::{Context, Known, Lease};
use crate::registry::Registry;
use crate::repository::{Encryption, TagMutability};
use crate::trigger::{Cause, Origin};

const NOW: i64 = 1_800_000_000; // 2027-01-15
const OWN: &str = "123456789012";
const TRIES: u64 = 150;

const PARTS: [&str; 12] = [
    "shop",
    "payments",
    "team-a",
    "team_b",
    "a.b",
    "x",
    "api",
    "web",
    "base",
    "cache",
    "0",
    "very--long__name",
];

const TEXTS: [&str; 14] = [
    "team",
    "owner: \"x\"",
    "a\nmode: enforce",
    "# comment",
    "off",
    "ключ",
    "\u{2028}\u{202e}",
    "'",
    "\\",
    "*",
    "{}",
    "a: [b",
    "aws:cloudformation:stack-name",
    "🐳",
];

const IMAGE_TAGS: [&str; 16] = [
    "latest",
    "main",
    "v1.2.3",
    "1.2.3-abcdef0",
    "20270101",
    "v1",
    "pr-7",
    "nightly",
    "prod",
    "sha256-0a1b",
    "dev",
    "qa",
    "deadbeef",
    "x-SNAPSHOT",
    "cache-1",
    "stage",
];

fn document(chance: &mut Chance) -> String {
    let statements: Vec<_> = (0..=chance.below(2))
        .map(|_| match chance.below(6) {
            0 => json!({ "Effect": "Allow", "Principal": "*", "Action": "ecr:*" }),
            1 => json!({ "Effect": "Allow", "Principal": { "AWS": [OWN] }, "Action": "ecr:*" }),
            2 => json!({ "Effect": "Allow", "Principal": { "AWS": ["210987654321", "arn:aws:iam::333333333333:root"] }, "Action": "ecr:BatchGetImage" }),
            3 => json!({ "Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage",
                "Condition": { "StringEquals": { "aws:PrincipalOrgID": chance.of(&["o-abcdefghij", "o-x\"\n# y", "o-é: {"]) } } }),
            4 => json!({ "Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage",
                "Condition": { "StringEquals": { "aws:SourceVpce": "vpce-1" } } }),
            _ => json!({ "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "ecr:BatchGetImage",
                "Condition": { "StringLike": { "aws:SourceArn": "arn:aws:lambda:eu-central-1:444444444444:function:*" } } }),
        })
        .collect();
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

fn made_up(chance: &mut Chance) -> Vec<Repository> {
    let mut names = BTreeSet::new();
    for _ in 0..chance.below(40) {
        let parts: Vec<&str> = (0..=chance.below(3)).map(|_| chance.of(&PARTS)).collect();
        names.insert((chance.of(&["eu-central-1", "us-east-1"]), parts.join("/")));
    }
    let mostly_bad = chance.below(2) == 0;
    let common = chance.of(&TEXTS);
    let read = |chance: &mut Chance| chance.below(30) > 0;
    names
        .into_iter()
        .filter_map(|(region, name)| {
            let bad = |chance: &mut Chance| chance.below(4) < if mostly_bad { 3 } else { 1 };
            let mut one = repository();
            one.id = RepositoryId::new(OWN, region, &name).ok()?;
            if bad(chance) {
                one.mutability = TagMutability::Mutable;
            } else if bad(chance) {
                one.mutability = TagMutability::ImmutableWithExclusion(
                    ["latest".to_owned(), "w*".to_owned()].into(),
                );
            }
            if bad(chance) {
                one.encryption = Encryption::aes256();
            }
            one.scan_on_push = !bad(chance);
            one.recent_tags = Read::Known(
                (0..chance.below(12))
                    .map(|_| chance.of(&IMAGE_TAGS).to_owned())
                    .collect(),
            );
            let mut tags: BTreeMap<String, String> = (0..chance.below(3))
                .map(|_| (chance.of(&TEXTS).to_owned(), chance.of(&TEXTS).to_owned()))
                .collect();
            if chance.below(20) > 0 {
                tags.insert(common.to_owned(), "x".to_owned());
            }
            one.tags = Read::Known(tags);
            if bad(chance) {
                one.policy = Read::Known(Some(document(chance)));
            }
            if !read(chance) {
                one.policy = Read::Unreadable("denied".to_owned());
            }
            if !read(chance) {
                one.tags = Read::Unreadable("denied".to_owned());
            }
            Some(one)
        })
        .collect()
}

/// What an audit finds, as the command and the auditor make one: what is open, and what is exempt.
fn audited(
    text: &str,
    repositories: &[Repository],
) -> (BTreeMap<String, usize>, BTreeMap<String, usize>) {
    let policy = Policy::parse(text).unwrap_or_else(|why| panic!("{why}\n{text}"));
    let mut audit = Audit::default();
    for repository in repositories {
        let id = &repository.id;
        let resolved = policy
            .for_repository(id, &repository.tags)
            .unwrap()
            .monitored();
        let me = Lease {
            owner: String::new(),
            until: NOW,
        };
        let origin = Origin::of(Cause::Audit);
        let context = Context {
            origin: &origin,
            me: &me,
            now: NOW,
            created_at: None,
        };
        let known = Known::default();
        let plan = plan(
            &resolved,
            repository,
            evaluate(&resolved, repository),
            Ok(&known),
            &context,
        );
        let verdicts = outcome::verdicts(&resolved, id, &plan, &known, &[], &BTreeMap::new(), NOW);
        audit.add(id, &verdicts);
    }
    let mut exempt: BTreeMap<String, usize> = BTreeMap::new();
    for finding in audit.findings.unwrap() {
        if finding.status == Status::Exempt {
            *exempt.entry(finding.rule).or_default() += 1;
        }
    }
    (audit.summary.findings, exempt)
}

fn choices(baseline: Option<&str>) -> InitChoices {
    InitChoices {
        mode: Mode::Monitor,
        baseline: baseline.map(|day| Day::try_from(day.to_owned()).unwrap()),
        now: NOW,
    }
}

fn first(repositories: &[Repository], baseline: Option<&str>) -> FirstPolicy {
    let survey = RegistrySurvey {
        repositories,
        registries: &[],
        unjudged: 0,
    };
    first_policy(&survey, &choices(baseline)).unwrap()
}

fn owned(counts: &BTreeMap<&'static str, usize>) -> BTreeMap<String, usize> {
    counts
        .iter()
        .map(|(rule, count)| ((*rule).to_owned(), *count))
        .collect()
}

#[test]
fn an_audit_with_it_finds_what_it_states() {
    for seed in 0..TRIES {
        let repositories = made_up(&mut Chance(seed));
        let policy = first(&repositories, None);
        let (open, exempt) = audited(&policy.text, &repositories);
        assert_eq!(open, owned(&policy.findings), "{seed}: {}", policy.text);
        assert_eq!(exempt, BTreeMap::new());
        for (rule, count) in &policy.findings {
            let number = counted(*count, "finding", "findings");
            let summary = entry(rule).unwrap().meta.summary;
            // The comment may be broken anywhere.
            let words: Vec<&str> = policy
                .text
                .split_whitespace()
                .filter(|word| *word != "#")
                .collect();
            assert!(
                words.join(" ").contains(&format!("{summary}: {number}.")),
                "{rule} {count}: {}",
                policy.text
            );
        }
    }
}

#[test]
fn with_a_baseline_nothing_is_open_but_what_could_not_be_read() {
    let mut exempted = 0;
    for seed in 0..TRIES {
        let repositories = made_up(&mut Chance(seed));
        let policy = first(&repositories, Some("2027-03-31"));
        let (open, exempt) = audited(&policy.text, &repositories);
        assert_eq!(exempt, owned(&policy.exempt), "{seed}: {}", policy.text);
        let unread: Vec<Repository> = repositories
            .iter()
            .filter(|one| !is_read(one))
            .cloned()
            .collect();
        let (of_unread, _) = audited(&policy.text, &unread);
        assert_eq!(open, of_unread, "{seed}: {}", policy.text);
        assert_eq!(open.values().sum::<usize>(), policy.open(), "{seed}");
        exempted += exempt.values().sum::<usize>();

        // A new fault of an exempt repository, and a new repository, are reported.
        let Some(fixed) = repositories.iter().find(|one| is_read(one)) else {
            continue;
        };
        let mut worse = fixed.clone();
        worse.policy = Read::Known(Some(
            json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": "*", "Action": "ecr:*" }] }).to_string(),
        ));
        let was_public = audited(&policy.text, std::slice::from_ref(fixed))
            .1
            .contains_key("public-access");
        let (open, _) = audited(&policy.text, std::slice::from_ref(&worse));
        assert_eq!(open.contains_key("public-access"), !was_public, "{seed}");
        let mut new = worse.clone();
        new.id = RepositoryId::new(OWN, "eu-central-1", "shop/brand-new-one").unwrap();
        let (open, exempt) = audited(&policy.text, &[new]);
        assert!(
            open.contains_key("public-access") && exempt.is_empty(),
            "{seed}"
        );
    }
    assert!(exempted > 300, "{exempted}");
}

/// An operator who confirms all suggestions by removing their `#` has a valid policy, which trusts whom it names.
#[test]
fn suggested_trust_works_when_it_is_confirmed() {
    let mut confirmed = 0;
    for seed in 0..TRIES {
        let repositories = made_up(&mut Chance(seed));
        let policy = first(&repositories, None);
        let lines: Vec<String> = policy
            .text
            .lines()
            .map(|line| {
                let suggested =
                    line.starts_with("    # trusted-") || line.starts_with("    #   - ");
                confirmed += usize::from(suggested);
                if suggested {
                    line.replacen("# ", "", 1)
                } else {
                    line.to_owned()
                }
            })
            .collect();
        let (open, _) = audited(&lines.join("\n"), &repositories);
        // All whom the made-up documents name can be trusted.
        assert_eq!(
            open.get("untrusted-access"),
            None,
            "{seed}: {}",
            lines.join("\n")
        );
        let (before, _) = audited(&policy.text, &repositories);
        assert_eq!(
            before.get("public-access"),
            open.get("public-access"),
            "{seed}"
        );
    }
    assert!(confirmed > 50, "{confirmed}");
}

#[test]
fn a_large_registry_fits_into_a_policy() {
    let repositories: Vec<Repository> = (0..3000)
        .map(|n| {
            let mut one = repository();
            let name = format!(
                "department-{:02}/team-{:03}/service-with-a-long-name-{n:05}",
                n % 30,
                n % 300
            );
            one.id = RepositoryId::new(OWN, "eu-central-1", &name).unwrap();
            one.encryption = Encryption::aes256();
            if n % 3 != 0 {
                one.mutability = TagMutability::Mutable;
            }
            one
        })
        .collect();
    let policy = first(&repositories, Some("2027-03-31"));
    assert!(policy.text.len() <= LARGEST, "{}", policy.text.len());
    assert!(
        policy.text.contains("One policy cannot hold"),
        "{}",
        policy.text
    );
    // Every repository has AES256 and none a lifecycle policy: one glob.
    assert!(policy.text.contains("- \"**\""), "{}", policy.text);
    let (open, exempt) = audited(&policy.text, &repositories);
    assert_eq!(exempt, owned(&policy.exempt));
    assert_eq!(open.values().sum::<usize>(), policy.open());
    assert_eq!(exempt.get("weak-encryption"), Some(&3000));
}

#[test]
fn conventions_are_guessed_from_what_nearly_all_follow() {
    let repositories: Vec<Repository> = (0..20)
        .map(|n| {
            let mut one = repository();
            let name = if n == 0 {
                "legacy".to_owned()
            } else {
                format!("{}/service-{n}", ["shop", "payments"][n % 2])
            };
            one.id = RepositoryId::new(OWN, "eu-central-1", &name).unwrap();
            one.mutability = TagMutability::Mutable;
            let tags = [format!("1.{n}.0"), format!("1.{n}.1"), "latest".to_owned()];
            one.recent_tags = Read::Known(tags.into());
            one.tags = Read::Known([("team".to_owned(), "x".to_owned())].into());
            one
        })
        .collect();
    let policy = first(&repositories, None);
    for line in [
        "allow-exclusions: [\"latest\"]",
        "pattern: \"[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*\"",
        "\"team\": {}",
        "pattern: \"v?\\\\d+\\\\.\\\\d+\\\\.\\\\d+\"",
        "allow: [\"latest\", \"sha256-*\"]",
    ] {
        assert!(policy.text.contains(line), "{line}: {}", policy.text);
    }
    assert_eq!(policy.findings.get("nonconforming-name"), Some(&1));
    // Too few show nothing.
    let policy = first(&repositories[..3], None);
    assert!(
        !policy.text.contains("nonconforming-name"),
        "{}",
        policy.text
    );
}

#[test]
fn the_registrys_own_findings_are_stated_and_not_exempt() {
    let id = RepositoryId::of_registry(OWN, "eu-central-1");
    let open = json!({ "Version": "2012-10-17", "Statement": [
        { "Sid": "x", "Effect": "Allow", "Principal": "*", "Action": "ecr:*", "Resource": "*" }] });
    let registry = Registry {
        policy: Read::Known(Some(open.to_string())),
        destinations: Read::Known([].into()),
        ..Registry::unread(&id)
    };
    let found = |text: &str| {
        let policy = Policy::parse(text).unwrap();
        let resolved = policy.for_registry(&id).unwrap();
        evaluate_registry(&policy, &resolved, &registry, NOW)
    };
    let findings = found(SURVEY);
    assert_eq!(findings.len(), 1);
    let survey = RegistrySurvey {
        repositories: &[repository()],
        registries: &[(id.clone(), findings)],
        unjudged: 0,
    };
    let first = first_policy(&survey, &choices(Some("2027-03-31"))).unwrap();
    assert_eq!(first.findings.get("public-access"), Some(&1));
    assert_eq!(first.exempt.get("public-access"), None);
    assert_eq!(first.open(), 1);
    assert!(
        first
            .text
            .contains("an exemption for the registry would be"),
        "{}",
        first.text
    );
    assert_eq!(found(&first.text).len(), 1);
}
