//! The first policy of a registry, by what an audit has read of it.

mod baseline;
mod comment;
mod conventions;
mod moving;
#[cfg(test)]
mod properties;
mod settings;
mod trust;

use std::collections::{BTreeMap, BTreeSet};

use self::baseline::{Baseline, Faults, PlaceOf, baseline, explained};
use self::comment::{comment, listed};
use self::settings::RuleSettings;
use crate::evaluate::evaluate;
use crate::finding::Finding;
use crate::policy::exemption::Day;
use crate::policy::{InvalidPolicy, Mode, Policy};
use crate::repository::{Read, Repository, RepositoryId};
use crate::rule::Meta;
use crate::rules::entry;
use crate::text::counted;
use crate::yaml::document::LARGEST;

/// The policy of the audit that comes before: what its rules read is what the first policy is made of.
pub const SURVEY: &str = "version: 1\nmode: monitor\nrules:\n  mutable-tags: {}\n  weak-encryption: { require: KMS }\n  no-scan-on-push: {}\n  \
    no-lifecycle-policy: {}\n  public-access: {}\n  untrusted-access: {}\n  missing-tags: { any: true }\n";

/// Bytes that an advanced parameter of SSM holds (Systems Manager User Guide, "Managing parameter tiers").
pub const LARGEST_PARAMETER: usize = 8 * 1024;

/// Bytes for what is said about exemptions.
const SPARE: usize = 2048;
/// Names in a comment.
const MOST_SHOWN: usize = 5;

/// What an audit by [`SURVEY`] has read.
#[derive(Clone, Copy, Debug)]
pub struct RegistrySurvey<'a> {
    pub repositories: &'a [Repository],
    /// What was found in each registry as a whole.
    pub registries: &'a [(RepositoryId, Vec<Finding>)],
    /// How many repositories could not be evaluated.
    pub unjudged: usize,
}

/// What the operator has decided.
#[derive(Clone, Copy, Debug)]
pub struct InitChoices {
    pub mode: Mode,
    /// The last day on which what is wrong today is exempt; `None`: nothing is.
    pub baseline: Option<Day>,
    /// Seconds since the epoch.
    pub now: i64,
}

/// A policy with comments, and what an audit with it finds today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstPolicy {
    pub text: String,
    /// All findings by rule, those that it exempts included.
    pub findings: BTreeMap<&'static str, usize>,
    /// Those that it exempts.
    pub exempt: BTreeMap<&'static str, usize>,
}

impl FirstPolicy {
    /// Findings that are reported from the first day on.
    #[must_use]
    pub fn open(&self) -> usize {
        sum(&self.findings).saturating_sub(sum(&self.exempt))
    }
}

/// Writes the first policy.
///
/// # Errors
/// One line: no calendar has the day, or the policy would not be valid, which no registry should cause.
pub fn first_policy(
    survey: &RegistrySurvey<'_>,
    choices: &InitChoices,
) -> Result<FirstPolicy, String> {
    let today = Day::after(choices.now, 0).ok_or("today is in no calendar")?;
    let (mutable_tags, moving) = moving::mutable_tags(survey.repositories);
    let mut weak_encryption = RuleSettings::of("weak-encryption");
    weak_encryption.note(
        "AES256 < KMS (AWS's key for ECR) < CUSTOMER_KEY < ALLOWED_KEYS. Every repository has AES256."
            .to_owned(),
    );
    weak_encryption.set("require", "KMS");
    let always = [
        mutable_tags,
        weak_encryption,
        RuleSettings::of("no-scan-on-push"),
        RuleSettings::of("no-lifecycle-policy"),
        RuleSettings::of("public-access"),
        trust::untrusted_access(survey.repositories),
    ];
    let guessed = [
        conventions::names(survey.repositories),
        conventions::required_tags(survey.repositories),
        conventions::image_tags(survey.repositories, &moving),
    ];
    let rules: Vec<RuleSettings> = always
        .into_iter()
        .chain(guessed.into_iter().flatten())
        .collect();

    let nothing = Counts::default();
    let without = written(survey, choices, today, &rules, &nothing);
    let policy = parsed(&without)?;
    let found = found(survey, &policy)?;
    let mut counts = Counts {
        findings: found.counts,
        ..Counts::default()
    };
    let mut exemptions = String::new();
    if let Some(until) = choices.baseline {
        let before = written(survey, choices, today, &rules, &counts);
        let room = LARGEST.saturating_sub(before.len().saturating_add(SPARE));
        let made = baseline(&found.faults, until, today, room);
        let registry = survey.registries.iter().any(|(_, found)| !found.is_empty());
        exemptions = section(&made, &found.unread, registry, until, today);
        counts.exempt = Some(made.exempt);
    }
    let mut text = written(survey, choices, today, &rules, &counts);
    text.push_str(&exemptions);
    parsed(&text)?;
    Ok(FirstPolicy {
        text,
        findings: counts.findings,
        exempt: counts.exempt.unwrap_or_default(),
    })
}

#[derive(Clone, Debug, Default)]
struct Counts {
    findings: BTreeMap<&'static str, usize>,
    /// `None`: no baseline was asked for.
    exempt: Option<BTreeMap<&'static str, usize>>,
}

struct FoundFaults<'n> {
    counts: BTreeMap<&'static str, usize>,
    faults: BTreeMap<PlaceOf<'n>, Faults<'n>>,
    /// Repositories with findings of which something could not be read: what is wrong with them is not known, so it is not exempt.
    unread: BTreeSet<&'n str>,
}

fn found<'n>(survey: &RegistrySurvey<'n>, policy: &Policy) -> Result<FoundFaults<'n>, String> {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut one_more = |rule| {
        let count = counts.entry(rule).or_default();
        *count = count.saturating_add(1);
    };
    let mut faults: BTreeMap<PlaceOf<'n>, Faults<'n>> = BTreeMap::new();
    let mut unread = BTreeSet::new();
    for repository in survey.repositories {
        let id = &repository.id;
        let resolved = policy.for_repository(id, &repository.tags)?;
        let findings = evaluate(&resolved, repository);
        findings.iter().for_each(|finding| one_more(finding.rule));
        let of = faults.entry((&id.account, &id.region)).or_default();
        of.names.insert(&id.name);
        if findings.is_empty() {
            continue;
        }
        if is_read(repository) {
            let rules = findings.iter().map(|finding| finding.rule);
            of.wrong.insert(&id.name, rules.collect());
        } else {
            unread.insert(id.name.as_str());
        }
    }
    let of_registries = survey.registries.iter().flat_map(|(_, findings)| findings);
    of_registries.for_each(|finding| one_more(finding.rule));
    Ok(FoundFaults {
        counts,
        faults,
        unread,
    })
}

/// Whether all that was asked of it could be read.
fn is_read(repository: &Repository) -> bool {
    fn known<T>(read: &Read<T>) -> bool {
        read.unreadable().is_none()
    }
    known(&repository.tags)
        && known(&repository.policy)
        && known(&repository.lifecycle)
        && known(&repository.recent_tags)
        && known(&repository.scanning)
        && known(&repository.scan_frequency)
        && known(&repository.pull_through)
        && known(&repository.has_images)
}

fn parsed(text: &str) -> Result<Policy, String> {
    Policy::parse(text).map_err(|InvalidPolicy(problems)| {
        let first = problems.first().map(ToString::to_string);
        format!(
            "the first policy of this registry is not valid, which is a fault of ecr-warden: {}",
            first.unwrap_or_default()
        )
    })
}

/// All but the exemptions.
fn written(
    survey: &RegistrySurvey<'_>,
    choices: &InitChoices,
    today: Day,
    rules: &[RuleSettings],
    counts: &Counts,
) -> String {
    let mut lines = head(survey, today);
    lines.push("version: 1".to_owned());
    lines.push(String::new());
    lines.extend(comment(
        "",
        "monitor: report, and change nothing. enforce: the deployed functions repair, and so does `ecr-warden audit --fix`.",
    ));
    let mode = match choices.mode {
        Mode::Monitor => "monitor",
        Mode::Approve => "approve",
        Mode::Enforce => "enforce",
    };
    lines.push(format!("mode: {mode}"));
    lines.push(String::new());
    lines.extend(comment(
        "",
        "With `mode: enforce`, repositories that were created before the deployment are reported and not changed. Without this line they are repaired, \
         too.",
    ));
    lines.push("existing: monitor".to_owned());
    lines.push(String::new());
    lines.push("rules:".to_owned());
    for rule in rules {
        let Some(entry) = entry(rule.rule) else {
            continue;
        };
        lines.extend(comment("  ", &above(&entry.meta, rule, counts)));
        match rule.lines.as_slice() {
            [] => lines.push(format!("  {}: {{}}", rule.rule)),
            settings => {
                lines.push(format!("  {}:", rule.rule));
                lines.extend(settings.iter().map(|line| format!("    {line}")));
            }
        }
    }
    lines.push(String::new());
    lines.extend(comment(
        "",
        "`ecr-warden rules` lists the other rules, and `ecr-warden rules RULE` the settings of one.",
    ));
    lines.join("\n") + "\n"
}

fn head(survey: &RegistrySurvey<'_>, today: Day) -> Vec<String> {
    let ids = survey.repositories.iter().map(|one| &one.id);
    let ids = ids.chain(survey.registries.iter().map(|(id, _)| id));
    let places: BTreeSet<PlaceOf<'_>> = ids.map(|id| (&*id.account, &*id.region)).collect();
    let accounts: BTreeSet<&str> = places.iter().map(|(account, _)| *account).collect();
    let regions: BTreeSet<&str> = places.iter().map(|(_, region)| *region).collect();
    let mut text = format!(
        "The first policy of account {}, {}, written by `ecr-warden init` on {today} after it read {}.",
        accounts.into_iter().collect::<Vec<_>>().join(", "),
        regions.into_iter().collect::<Vec<_>>().join(", "),
        counted(survey.repositories.len(), "repository", "repositories"),
    );
    if survey.unjudged > 0 {
        text.push_str(&format!(
            " {} could not be read.",
            counted(survey.unjudged, "more", "more")
        ));
    }
    text.push_str(
        " The numbers are what `ecr-warden audit` finds with it on that day. Confirm what is guessed.",
    );
    comment("", &text)
}

/// What is said above a rule.
fn above(meta: &Meta, rule: &RuleSettings, counts: &Counts) -> String {
    let found = counts.findings.get(meta.id).copied().unwrap_or_default();
    let exempt = counts.exempt.as_ref();
    let exempt = exempt.and_then(|exempt| exempt.get(meta.id).copied());
    let number = match (found, exempt) {
        (0, _) => "no findings".to_owned(),
        (found, None) => counted(found, "finding", "findings"),
        (found, Some(exempt)) if found == exempt => {
            format!("{}, exempt below", counted(found, "finding", "findings"))
        }
        (found, Some(exempt)) => format!(
            "{}, of which {exempt} exempt below",
            counted(found, "finding", "findings")
        ),
    };
    let mut text = format!("{}: {number}.", meta.summary);
    for note in &rule.notes {
        text.push(' ');
        text.push_str(note);
    }
    text
}

/// The exemptions, with what is not exempt and why.
fn section(
    made: &Baseline,
    unread: &BTreeSet<&str>,
    registry: bool,
    until: Day,
    today: Day,
) -> String {
    let mut lines = vec![String::new()];
    if !unread.is_empty() {
        lines.extend(comment(
            "",
            &format!(
                "Not exempt, because something of them could not be read: {}.",
                listed(unread.iter().copied(), MOST_SHOWN)
            ),
        ));
    }
    if registry {
        lines.extend(comment(
            "",
            "Not exempt, because an exemption for the registry would be one for all its repositories: what is found in the registry itself.",
        ));
    }
    if made.text.is_empty() {
        lines.extend(comment("", "Nothing is exempt."));
        return lines.join("\n") + "\n";
    }
    lines.push("exemptions:".to_owned());
    lines.extend(explained(made, until, today));
    lines.join("\n") + "\n" + &made.text
}

fn sum(counts: &BTreeMap<&'static str, usize>) -> usize {
    counts.values().fold(0, |all, one| all.saturating_add(*one))
}
