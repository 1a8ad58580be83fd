//! What to do after an audit.

use ecr_warden_core::audit::Audit;

use crate::audit::findings::rank;

/// What to do next, as commands, for a reader at a terminal; `None`: nothing was found.
pub(super) fn next(audit: &Audit, built_in: bool) -> Option<String> {
    let findings = audit.findings.iter().flatten();
    let worst = findings.min_by_key(|finding| rank(finding))?;
    let mut next = format!(
        "Next: `ecr-warden rules {}` explains the first finding; add `--format html --output report.html` for a report",
        worst.rule
    );
    if built_in {
        next.push_str(
            ".\nThis was the built-in policy: `ecr-warden init` begins your own, `--policy policy.yaml` uses it",
        );
    }
    Some(format!("{next}."))
}
