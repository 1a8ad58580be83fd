//! One more exemption in a policy's text, which keeps everything else as it is written: comments, order and blank lines.

use std::collections::BTreeMap;

use super::Policy;
use super::exemption::{Day, RuleId, Standing};
use crate::repository::{Read, RepositoryId};
use crate::yaml::in_quotes;

/// Lines of context in a patch.
const CONTEXT: usize = 3;

/// What is to be exempt.
#[derive(Clone, Copy, Debug)]
pub struct NewExemption<'a> {
    pub repository: &'a RepositoryId,
    pub rule: &'a str,
    /// The last day (UTC).
    pub until: Day,
    pub reason: &'a str,
    pub owner: Option<&'a str>,
    /// Only in the repository's account and region; else wherever a repository has that name.
    pub only_there: bool,
}

/// A policy's text with one more exemption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmendedPolicy {
    pub text: String,
    /// The lines before, and the lines that are new, which come after this number of them.
    before: Vec<String>,
    added: Vec<String>,
    after: usize,
}

/// Adds an exemption. The result is read again: it is valid, and exempts.
///
/// # Errors
/// One line: the policy is invalid, before or with it; it exempts from this rule already, or allows no exemption from it; the day is over.
pub fn add_exemption(
    text: &str,
    new: &NewExemption<'_>,
    now: i64,
) -> Result<AmendedPolicy, String> {
    RuleId::try_from(new.rule.to_owned())?;
    let policy = parse(text)?;
    if new.until.end() <= now {
        return Err(format!("{} is over: name a later last day", new.until));
    }
    if let Some(standing) = exemption(&policy, new, now)?
        && standing.until >= new.until
    {
        let name = &new.repository.name;
        return Err(format!(
            "`{name}` is {standing} from `{}` already",
            new.rule
        ));
    }
    let amended = amend(text, new)?;
    let policy = parse(&amended.text)?;
    match exemption(&policy, new, now)? {
        Some(standing) if standing.until >= new.until => Ok(amended),
        _ => {
            Err("the policy would not apply the exemption; add it to the file yourself".to_owned())
        }
    }
}

fn parse(text: &str) -> Result<Policy, String> {
    Policy::parse(text).map_err(|invalid| {
        let first = invalid.0.first().map(ToString::to_string);
        format!("the policy is not valid: {}", first.unwrap_or_default())
    })
}

fn exemption(
    policy: &Policy,
    new: &NewExemption<'_>,
    now: i64,
) -> Result<Option<Standing>, String> {
    // What its own tags say is not in the policy.
    let tags = Read::Known(BTreeMap::new());
    let resolved = policy.for_repository(new.repository, &tags)?;
    resolved.exemption(new.rule, &tags, now)
}

fn amend(text: &str, new: &NewExemption<'_>) -> Result<AmendedPolicy, String> {
    let before: Vec<String> = text.lines().map(str::to_owned).collect();
    let key = before
        .iter()
        .position(|line| line.starts_with("exemptions:"));
    let (after, indent, mut added) = match key {
        Some(at) => {
            let rest = before.get(at).and_then(|line| line.split_once(':'));
            let rest = rest.map_or("", |(_, rest)| rest.trim());
            if !rest.is_empty() && !rest.starts_with('#') {
                return Err(
                    "`exemptions` is written in one line: write it as a list with one exemption a line"
                        .to_owned(),
                );
            }
            let after = at.saturating_add(1);
            (
                after,
                indent(before.get(after..).unwrap_or_default()),
                Vec::new(),
            )
        }
        None => (
            before.len(),
            "  ".to_owned(),
            vec!["exemptions:".to_owned()],
        ),
    };
    added.extend(lines(new).iter().map(|line| format!("{indent}{line}")));
    let (head, tail) = before.split_at_checked(after).unwrap_or((&before, &[]));
    let all: Vec<&str> = head
        .iter()
        .chain(&added)
        .chain(tail)
        .map(String::as_str)
        .collect();
    Ok(AmendedPolicy {
        text: all.join("\n") + "\n",
        before,
        added,
        after,
    })
}

/// Of the list's first item.
fn indent(lines: &[String]) -> String {
    let item = lines.iter().find(|line| line.trim_start().starts_with('-'));
    let item = item.and_then(|line| line.split_once('-'));
    item.map_or("  ", |(indent, _)| indent).to_owned()
}

fn lines(new: &NewExemption<'_>) -> Vec<String> {
    let mut lines = vec![format!(
        "- repositories: [{}]",
        in_quotes(&new.repository.name)
    )];
    if new.only_there {
        lines.push(format!(
            "  accounts: [{}]",
            in_quotes(&new.repository.account)
        ));
        lines.push(format!(
            "  regions: [{}]",
            in_quotes(&new.repository.region)
        ));
    }
    lines.extend([
        format!("  rules: [{}]", new.rule),
        format!("  until: {}", new.until),
        format!("  reason: {}", in_quotes(new.reason)),
    ]);
    lines.extend(
        new.owner
            .map(|owner| format!("  owner: {}", in_quotes(owner))),
    );
    lines
}

impl AmendedPolicy {
    /// The change as `git apply` and `patch` take it. `path`: of the policy's file.
    #[must_use]
    pub fn patch(&self, path: &str) -> String {
        let first = self.after.saturating_sub(CONTEXT);
        let head = self.before.get(first..self.after).unwrap_or_default();
        let tail = self.before.iter().skip(self.after).take(CONTEXT);
        let kept = head.len().saturating_add(tail.len());
        let start = first.saturating_add(1);
        let mut lines = vec![
            format!("--- a/{path}"),
            format!("+++ b/{path}"),
            format!(
                "@@ -{start},{kept} +{start},{} @@",
                kept.saturating_add(self.added.len())
            ),
        ];
        lines.extend(head.iter().map(|line| format!(" {line}")));
        lines.extend(self.added.iter().map(|line| format!("+{line}")));
        lines.extend(tail.map(|line| format!(" {line}")));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000; // 2027-01-15

    fn amended(text: &str, rule: &str, until: &str, reason: &str) -> Result<AmendedPolicy, String> {
        let id = RepositoryId::new("111111111111", "eu-west-1", "shop/api").unwrap();
        let new = NewExemption {
            repository: &id,
            rule,
            until: Day::try_from(until.to_owned()).unwrap(),
            reason,
            owner: Some("team: shop"),
            only_there: false,
        };
        add_exemption(text, &new, NOW)
    }

    /// By ARN it holds where the repository is; by name wherever the policy holds.
    #[test]
    fn an_exemption_by_arn_holds_in_that_account_and_region_alone() {
        let id =
            |account: &str, region: &str| RepositoryId::new(account, region, "shop/api").unwrap();
        let there = id("111111111111", "eu-west-1");
        for only_there in [false, true] {
            let new = NewExemption {
                repository: &there,
                rule: "mutable-tags",
                until: Day::try_from("2027-02-01".to_owned()).unwrap(),
                reason: "OPS-1",
                owner: None,
                only_there,
            };
            let text = "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";
            let policy = parse(&add_exemption(text, &new, NOW).unwrap().text).unwrap();
            for (elsewhere, exempt) in [
                (there.clone(), true),
                (id("111111111111", "us-east-1"), !only_there),
                (id("222222222222", "eu-west-1"), !only_there),
            ] {
                let other = NewExemption {
                    repository: &elsewhere,
                    ..new
                };
                let found = exemption(&policy, &other, NOW).unwrap();
                assert_eq!(found.is_some(), exempt, "{elsewhere:?} {only_there}");
            }
        }
    }

    const NEW: &str = "- repositories: [\"shop/api\"]\n  rules: [mutable-tags]\n  until: 2027-02-01\n  reason: \"OPS-1\"\n  owner: \"team: shop\"\n";

    fn indented(by: &str) -> String {
        NEW.lines().map(|line| format!("{by}{line}\n")).collect()
    }

    #[test]
    fn everything_else_stays_as_it_is_written() {
        let head = "version: 1 # ours\nmode: enforce\nrules: { mutable-tags: {} }\n";
        let old =
            "- { repositories: [\"a/**\"], rules: [mutable-tags], until: 2027-12-01, reason: x }\n";
        for (before, after) in [
            (
                head.to_owned(),
                format!("{head}exemptions:\n{}", indented("  ")),
            ),
            (
                format!("{head}exemptions: # short\n\n    {old}settle: 90s\n"),
                format!(
                    "{head}exemptions: # short\n{}\n    {old}settle: 90s\n",
                    indented("    ")
                ),
            ),
            (
                format!("{head}exemptions:\n{old}"),
                format!("{head}exemptions:\n{}{old}", indented("")),
            ),
            // Without a line break at its end.
            (
                head.trim_end().to_owned(),
                format!("{head}exemptions:\n{}", indented("  ")),
            ),
        ] {
            let amended = amended(&before, "mutable-tags", "2027-02-01", "OPS-1").unwrap();
            assert_eq!(amended.text, after);
        }
    }

    #[test]
    fn a_reason_may_hold_any_text() {
        let head = "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";
        for reason in [
            "a: b # c",
            "\"quoted\" \\ 'x'",
            "line\nbreak",
            "- {x}",
            "*a &b !c",
            "é → ü",
        ] {
            let amended = amended(head, "mutable-tags", "2027-02-01", reason);
            amended.unwrap_or_else(|why| panic!("{reason}: {why}"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let head = "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";
        let until = "2027-02-01";
        for (text, rule, until, words) in [
            (
                head.to_owned(),
                "mutable-tag",
                until,
                "did you mean `mutable-tags`",
            ),
            (
                head.to_owned(),
                "mutable-tags",
                "2027-01-01",
                "2027-01-01 is over",
            ),
            (
                format!("{head}non-negotiable: [mutable-tags]\n"),
                "mutable-tags",
                until,
                "non-negotiable",
            ),
            (
                format!("{head}exemptions: []\n"),
                "mutable-tags",
                until,
                "in one line",
            ),
            (
                format!(
                    "{head}exemptions:\n  - {{ repositories: [\"shop/**\"], rules: [mutable-tags], until: 2027-12-01, reason: x }}\n"
                ),
                "mutable-tags",
                until,
                "exempt until 2027-12-01: x from `mutable-tags` already",
            ),
            (
                format!("{head}mod: x\n"),
                "mutable-tags",
                until,
                "not valid",
            ),
        ] {
            let why = amended(&text, rule, until, "x").unwrap_err();
            assert!(why.contains(words), "{why}");
            assert!(!why.contains('\n'), "{why}");
        }
    }

    #[test]
    fn a_patch_has_the_context_and_the_new_lines() {
        let text = "version: 1\nmode: enforce\nsettle: 90s\nrules: { mutable-tags: {} }\nexemptions:\n  - { repositories: [\"a/**\"], rules: [mutable-tags], until: 2027-12-01, reason: x }\n";
        let amended = amended(text, "mutable-tags", "2027-02-01", "OPS-1").unwrap();
        assert_eq!(
            amended.patch("infra/policy.yaml"),
            "--- a/infra/policy.yaml\n+++ b/infra/policy.yaml\n@@ -3,4 +3,9 @@\n settle: 90s\n rules: { mutable-tags: {} }\n exemptions:\n\
             +  - repositories: [\"shop/api\"]\n+    rules: [mutable-tags]\n+    until: 2027-02-01\n+    reason: \"OPS-1\"\n+    owner: \"team: shop\"\n\
             \x20  - { repositories: [\"a/**\"], rules: [mutable-tags], until: 2027-12-01, reason: x }"
        );
    }
}
