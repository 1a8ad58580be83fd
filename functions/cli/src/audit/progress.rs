//! How far an audit is.

use crate::output::count;

/// Regions that are named as under way, at most.
const NAMED: usize = 4;

/// How far an audit of regions is.
#[derive(Default)]
pub(super) struct OfRegions {
    pub(super) all: usize,
    pub(super) done: usize,
    pub(super) repositories: usize,
    /// The regions that are being audited.
    pub(super) under_way: Vec<String>,
}

impl OfRegions {
    pub(super) fn text(&self) -> String {
        let repositories = count(self.repositories, "repository", "repositories");
        let named: Vec<&str> = self.under_way.iter().map(String::as_str).collect();
        let named = named.get(..NAMED).unwrap_or(&named).join(", ");
        let named = if named.is_empty() { "regions" } else { &named };
        match self.all {
            0 | 1 => format!("auditing {named}: {repositories}"),
            all => format!(
                "auditing {named}: {} of {all} regions done, {repositories}",
                self.done
            ),
        }
    }
}

/// What the deployed auditor is being asked for.
pub(super) fn of_parts(function: &str, part: usize, repositories: usize) -> String {
    if part == 1 {
        return format!("asking {function}");
    }
    format!(
        "asking {function} for part {part}, {} so far",
        count(repositories, "repository", "repositories")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_what_is_under_way() {
        let mut of = OfRegions {
            all: 1,
            under_way: vec!["eu-west-1".to_owned()],
            ..OfRegions::default()
        };
        assert_eq!(of.text(), "auditing eu-west-1: 0 repositories");
        of.all = 17;
        of.done = 3;
        of.repositories = 1;
        of.under_way.push("eu-west-2".to_owned());
        assert_eq!(
            of.text(),
            "auditing eu-west-1, eu-west-2: 3 of 17 regions done, 1 repository"
        );
        assert_eq!(of_parts("auditor", 1, 0), "asking auditor");
        assert_eq!(
            of_parts("auditor", 2, 1000),
            "asking auditor for part 2, 1000 repositories so far"
        );
    }
}
