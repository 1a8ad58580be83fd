//! How the findings of a rule are fixed, as the HTML report shows it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::format::{name_and_place, thousands};
use crate::audit::AuditFinding;
use crate::repository::RepositoryId;
use crate::rule::{Advice, shell_word};

/// The fix of some of a rule's findings: repositories under the same settings have the same one.
#[derive(Serialize)]
pub(super) struct FixSection<'a> {
    keep: &'a str,
    terraform: &'a str,
    cloudformation: &'a str,
    cli: String,
    /// The first of them.
    names: String,
    count: String,
    more: Option<String>,
}

/// Fixes of a rule that are shown at most, and repositories that are named with each.
pub(super) const FIXES: usize = 100;
const NAMED: usize = 10;

/// Findings with the same advice.
pub(super) type AdviceGroup<'a> = (&'a Advice, Vec<&'a AuditFinding>);

/// The findings by their advice, in the order of the first of each, and for each finding the number of its group from 1.
pub(super) fn by_advice<'a>(
    found: &[&'a AuditFinding],
) -> (Vec<AdviceGroup<'a>>, Vec<Option<usize>>) {
    let mut groups: Vec<AdviceGroup<'a>> = Vec::new();
    let mut places: BTreeMap<[&str; 4], usize> = BTreeMap::new();
    let numbers = found
        .iter()
        .map(|finding| {
            let advice = finding.advice.as_ref()?;
            let key = [
                advice.text.as_str(),
                &advice.terraform,
                &advice.cloudformation,
                &advice.cli,
            ];
            let place = *places.entry(key).or_insert_with(|| {
                groups.push((advice, Vec::new()));
                groups.len()
            });
            if let Some((_, of)) = groups.get_mut(place.saturating_sub(1)) {
                of.push(finding);
            }
            Some(place)
        })
        .collect();
    (groups, numbers)
}

pub(super) fn fix<'a>(advice: &'a Advice, of: &[&AuditFinding]) -> FixSection<'a> {
    let names: Vec<String> = of
        .iter()
        .take(NAMED)
        .map(|finding| name_and_place(&finding.repository).0)
        .collect();
    let first = of
        .iter()
        .find_map(|finding| RepositoryId::from_arn(&finding.repository));
    let cli = match first {
        Some(id) if advice.cli.contains("$REPOSITORY") => format!(
            "export AWS_REGION={} REPOSITORY={}{}\n{}",
            shell_word(&id.region),
            shell_word(&id.name),
            if of.len() > 1 {
                "   # and so for each"
            } else {
                ""
            },
            advice.cli
        ),
        _ => advice.cli.clone(),
    };
    FixSection {
        keep: &advice.text,
        terraform: &advice.terraform,
        cloudformation: &advice.cloudformation,
        cli,
        names: names.join(", "),
        count: thousands(of.len()),
        more: of
            .len()
            .checked_sub(NAMED)
            .filter(|more| *more > 0)
            .map(thousands),
    }
}
