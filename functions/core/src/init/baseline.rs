//! Exemptions for what is wrong today, so that only new faults are reported.

use std::collections::{BTreeMap, BTreeSet};

use super::comment::comment;
use crate::glob::Glob;
use crate::policy::exemption::Day;
use crate::yaml::in_quotes;

/// Account and region.
pub(super) type PlaceOf<'n> = (&'n str, &'n str);
type RuleIds = BTreeSet<&'static str>;

/// What is wrong today in one account and region.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults<'n> {
    /// All names, in order.
    pub(super) names: BTreeSet<&'n str>,
    /// What is to be exempt.
    pub(super) wrong: BTreeMap<&'n str, RuleIds>,
}

/// Exemptions as lines of the policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Baseline {
    pub(super) text: String,
    /// Findings that are exempt, by rule.
    pub(super) exempt: BTreeMap<&'static str, usize>,
    /// Whether some are exempt by globs that also match names of the future.
    pub(super) by_globs: bool,
}

/// Names, or globs, that are exempt from the same rules.
struct ExemptGroup<'n> {
    place: PlaceOf<'n>,
    rules: RuleIds,
    patterns: Vec<Pattern>,
}

struct Pattern {
    text: String,
    /// The repositories of today that it matches.
    matches: usize,
}

/// The exemptions, as far as they fit into `room`, in bytes: by name if all names fit, otherwise by globs that match nothing else today.
pub(super) fn baseline(
    faults: &BTreeMap<PlaceOf<'_>, Faults<'_>>,
    until: Day,
    today: Day,
    room: usize,
) -> Baseline {
    let named = by_name(faults);
    if named
        .iter()
        .map(|group| group.size(until, today))
        .fold(0, usize::saturating_add)
        <= room
    {
        return written(&named, until, today, false);
    }
    let fitting = fitting(by_globs(faults), until, today, room);
    written(&fitting, until, today, true)
}

fn written(groups: &[ExemptGroup<'_>], until: Day, today: Day, by_globs: bool) -> Baseline {
    let mut baseline = Baseline {
        by_globs,
        ..Baseline::default()
    };
    for group in groups {
        baseline.text.push_str(&group.head(until, today));
        for pattern in &group.patterns {
            baseline.text.push_str(&pattern.line());
            for rule in &group.rules {
                let count = baseline.exempt.entry(rule).or_default();
                *count = count.saturating_add(pattern.matches);
            }
        }
    }
    baseline
}

impl ExemptGroup<'_> {
    fn head(&self, until: Day, today: Day) -> String {
        let (account, region) = self.place;
        let rules: Vec<&str> = self.rules.iter().copied().collect();
        format!(
            "  - accounts: [{}]\n    regions: [{}]\n    rules: [{}]\n    until: {until}\n    reason: {}\n    repositories:\n",
            in_quotes(account),
            in_quotes(region),
            rules.join(", "),
            in_quotes(&format!("found on {today}, before the policy")),
        )
    }

    fn size(&self, until: Day, today: Day) -> usize {
        let patterns = self.patterns.iter().map(|pattern| pattern.line().len());
        patterns.fold(self.head(until, today).len(), usize::saturating_add)
    }
}

impl Pattern {
    fn line(&self) -> String {
        format!("      - {}\n", in_quotes(&self.text))
    }
}

fn by_name<'n>(faults: &BTreeMap<PlaceOf<'n>, Faults<'n>>) -> Vec<ExemptGroup<'n>> {
    let mut groups: BTreeMap<(PlaceOf<'n>, &RuleIds), Vec<Pattern>> = BTreeMap::new();
    for (place, of) in faults {
        for (name, rules) in &of.wrong {
            groups.entry((*place, rules)).or_default().push(Pattern {
                text: (*name).to_owned(),
                matches: 1,
            });
        }
    }
    let groups = groups
        .into_iter()
        .map(|((place, rules), patterns)| ExemptGroup {
            place,
            rules: rules.clone(),
            patterns,
        });
    groups.collect()
}

/// The fewest globs and names of each rule, those of the same rules together.
fn by_globs<'n>(faults: &BTreeMap<PlaceOf<'n>, Faults<'n>>) -> Vec<ExemptGroup<'n>> {
    let mut groups: BTreeMap<(PlaceOf<'n>, RuleIds), Vec<Pattern>> = BTreeMap::new();
    for (place, of) in faults {
        let names: Vec<&str> = of.names.iter().copied().collect();
        let mut rules_of: BTreeMap<String, (RuleIds, usize)> = BTreeMap::new();
        let rules: RuleIds = of.wrong.values().flatten().copied().collect();
        for rule in rules {
            let wrong = of.wrong.iter().filter(|(_, rules)| rules.contains(rule));
            let wrong: BTreeSet<&str> = wrong.map(|(name, _)| *name).collect();
            let mut patterns = Vec::new();
            cover("", &names, &wrong, &mut patterns);
            for pattern in patterns {
                let known = rules_of.entry(pattern.text).or_default();
                known.0.insert(rule);
                known.1 = pattern.matches;
            }
        }
        for (text, (rules, matches)) in rules_of {
            let pattern = Pattern { text, matches };
            groups.entry((*place, rules)).or_default().push(pattern);
        }
    }
    let groups = groups
        .into_iter()
        .map(|((place, rules), patterns)| ExemptGroup {
            place,
            rules,
            patterns,
        });
    groups.collect()
}

/// Globs and names that match all `wrong` names and no other. `names`: all that begin with the prefix, in order.
fn cover(prefix: &str, names: &[&str], wrong: &BTreeSet<&str>, found: &mut Vec<Pattern>) {
    if let [_, _, ..] = names
        && names.iter().all(|name| wrong.contains(name))
        && let Some(text) = below(prefix, wrong)
    {
        let matches = names.len();
        return found.push(Pattern { text, matches });
    }
    let mut rest = names;
    while let Some(first) = rest.first() {
        let part = first.get(prefix.len()..).unwrap_or_default();
        let Some((part, _)) = part.split_once('/') else {
            if wrong.contains(first) {
                found.push(Pattern {
                    text: (*first).to_owned(),
                    matches: 1,
                });
            }
            rest = rest.get(1..).unwrap_or_default();
            continue;
        };
        let deeper = format!("{prefix}{part}/");
        let same = rest.iter().take_while(|name| name.starts_with(&deeper));
        let (children, others) = rest.split_at(same.count());
        cover(&deeper, children, wrong, found);
        rest = others;
    }
}

/// The glob for all names below a prefix; `None`: there is none, or it also matches the name of the prefix, which is not wrong.
fn below(prefix: &str, wrong: &BTreeSet<&str>) -> Option<String> {
    let glob = Glob::try_from(format!("{prefix}**")).ok()?;
    let own = prefix.trim_end_matches('/');
    let takes_more = !own.is_empty() && glob.matches(own) && !wrong.contains(own);
    (!takes_more).then(|| glob.into())
}

/// As many as fit, those first that exempt most.
fn fitting(
    groups: Vec<ExemptGroup<'_>>,
    until: Day,
    today: Day,
    room: usize,
) -> Vec<ExemptGroup<'_>> {
    let mut left = room;
    let mut kept: Vec<ExemptGroup<'_>> = Vec::new();
    let mut groups = groups;
    let exempts = |group: &ExemptGroup<'_>| {
        let matched = group.patterns.iter().map(|pattern| pattern.matches);
        let matched = matched.fold(0, usize::saturating_add);
        matched.saturating_mul(group.rules.len())
    };
    groups.sort_by_key(|group| std::cmp::Reverse(exempts(group)));
    for mut group in groups {
        let head = group.head(until, today).len();
        let mut patterns = std::mem::take(&mut group.patterns);
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.matches));
        let mut needed = head;
        for pattern in patterns {
            let more = needed.saturating_add(pattern.line().len());
            if more <= left {
                needed = more;
                group.patterns.push(pattern);
            }
        }
        if !group.patterns.is_empty() {
            left = left.saturating_sub(needed);
            kept.push(group);
        }
    }
    kept
}

/// What the exemptions are, above them.
pub(super) fn explained(baseline: &Baseline, until: Day, today: Day) -> Vec<String> {
    let mut lines = comment(
        "  ",
        &format!(
            "What was found on {today}, exempt until {until}, so that only new faults are reported. Remove each line when its repository is repaired."
        ),
    );
    if baseline.by_globs {
        lines.extend(comment(
            "  ",
            "One policy cannot hold all the names, so there are globs where each name of today has the fault. New repositories that they match are \
             exempt, too.",
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(names: &[&str], wrong: &[&str]) -> Vec<String> {
        let names: BTreeSet<&str> = names.iter().copied().collect();
        let names: Vec<&str> = names.into_iter().collect();
        let wrong: BTreeSet<&str> = wrong.iter().copied().collect();
        let mut found = Vec::new();
        cover("", &names, &wrong, &mut found);
        for name in &names {
            let matched = found
                .iter()
                .any(|pattern| Glob::try_from(pattern.text.clone()).unwrap().matches(name));
            assert_eq!(matched, wrong.contains(name), "{name} of {names:?}");
        }
        found.into_iter().map(|pattern| pattern.text).collect()
    }

    #[test]
    fn a_glob_matches_all_that_is_wrong_and_nothing_else() {
        let all = ["a/x", "a/y", "b/x", "b/y/z", "c"];
        for (wrong, expected) in [
            (&[][..], &[][..]),
            (&["a/x"], &["a/x"]),
            (&["a/x", "a/y"], &["a/**"]),
            (&["a/x", "a/y", "b/y/z", "c"], &["a/**", "b/y/z", "c"]),
            (&all, &["**"]),
        ] {
            assert_eq!(covered(&all, wrong), expected, "{wrong:?}");
        }
        // A name that is also the beginning of others, and one that only looks so.
        let all = ["a", "a/x", "a/y", "a-b", "a.b/c", "a.b/d"];
        covered(&all, &["a/x", "a/y"]);
        covered(&all, &["a", "a/x", "a/y"]);
        covered(&all, &["a.b/c", "a.b/d", "a-b"]);
        covered(&["a//b", "a/b", "a/", "a"], &["a//b", "a/b"]);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let names: Vec<String> = (0..100).map(|n| format!("team-{n}/service")).collect();
        let mut faults = Faults::default();
        for name in &names {
            faults.names.insert(name);
            if name != "team-50/service" {
                faults.wrong.insert(name, ["mutable-tags"].into());
            }
        }
        let all = BTreeMap::from([(("111111111111", "eu-west-1"), faults)]);
        let day = |text: &str| Day::try_from(text.to_owned()).unwrap();
        let (until, today) = (day("2027-03-31"), day("2027-01-15"));
        for room in [0, 100, 300, 1000, 100_000] {
            let baseline = baseline(&all, until, today, room);
            assert!(baseline.text.len() <= room, "{room}");
            let listed = baseline.text.matches("team-").count();
            let counted = baseline.exempt.values().sum::<usize>();
            assert_eq!(listed, counted);
            assert_eq!(baseline.by_globs, room < 10_000);
        }
    }
}
