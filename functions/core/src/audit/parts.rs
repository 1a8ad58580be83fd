//! An audit in parts: each answer of the auditor is one, and so is each region of an audit of several.

use std::collections::BTreeMap;

use super::{Audit, Summary};
use crate::units::cents;

impl Audit {
    /// Reads an answer of the auditor, or a report that it keeps in the bucket.
    ///
    /// # Errors
    /// One line: it is not `ecr-warden.audit/1`.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Adds another part, about other repositories. `next` and `ignored` are the part's. The findings are to be sorted afterwards.
    pub fn add_part(&mut self, part: Self) {
        let Self {
            schema: _,
            summary,
            findings,
            costs,
            report,
            next,
            ledger,
            brakes,
            ignored,
            reason,
        } = part;
        self.summary.add(summary);
        if let Some(findings) = findings {
            self.findings.get_or_insert_default().extend(findings);
        }
        if let Some(costs) = costs {
            self.costs.get_or_insert_default().extend(costs);
        }
        self.report = report;
        self.next = next;
        self.ledger = ledger.or(self.ledger.take());
        self.brakes = brakes;
        self.ignored = ignored;
        self.reason = reason;
    }
}

impl Summary {
    fn add(&mut self, part: Self) {
        let Self {
            repositories,
            compliant,
            unjudged,
            findings,
            fixed,
            estimated_monthly_cost_usd,
        } = part;
        self.repositories = self.repositories.saturating_add(repositories);
        self.compliant = self.compliant.saturating_add(compliant);
        self.unjudged = self.unjudged.saturating_add(unjudged);
        add(&mut self.findings, findings);
        add(&mut self.fixed, fixed);
        if let Some(usd) = estimated_monthly_cost_usd {
            let sum = self.estimated_monthly_cost_usd.get_or_insert(0.0);
            *sum = cents(*sum + usd);
        }
    }
}

fn add(counts: &mut BTreeMap<String, usize>, more: BTreeMap<String, usize>) {
    for (rule, count) in more {
        let sum = counts.entry(rule).or_default();
        *sum = sum.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::finding::Status;
    use crate::reason::Code;

    fn answer(name: &str, next: Option<&str>, reason: &str) -> String {
        json!({
            "schema": "ecr-warden.audit/1",
            "summary": {
                "repositories": 2, "compliant": 1, "unjudged": 0, "findings": { "mutable-tags": 1 }, "fixed": {},
                "estimated_monthly_cost_usd": 1.1,
            },
            "findings": [{
                "repository": format!("arn:aws:ecr:eu-central-1:123456789012:repository/{name}"),
                "rule": "mutable-tags", "severity": "medium", "status": "withheld", "reason": reason,
                "detail": "d", "to_do": "t",
            }],
            "costs": [{
                "repository": "a", "images": 1, "bytes": 5, "monthly_usd": 1.1, "untagged_usd": 0.0, "old_usd": 0.0,
                "default_lifecycle_saves_usd": null,
            }],
            "next": next,
        })
        .to_string()
    }

    #[test]
    fn parts_are_added_up() {
        let mut all = Audit::default();
        for (name, next) in [("shop/a", Some("x")), ("shop/b", None)] {
            all.add_part(Audit::read(&answer(name, next, "monitor-mode")).unwrap());
        }
        let summary = &all.summary;
        assert_eq!((summary.repositories, summary.compliant), (4, 2));
        assert_eq!(summary.findings["mutable-tags"], 2);
        assert_eq!(summary.estimated_monthly_cost_usd, Some(2.2));
        let findings = all.findings.unwrap();
        let names: Vec<&str> = findings.iter().map(|f| f.repository.as_str()).collect();
        assert!(names[0].ends_with("shop/a") && names[1].ends_with("shop/b"));
        assert_eq!(findings[0].status, Status::Withheld);
        assert_eq!(findings[0].reason, Some(Code::MonitorMode));
        assert_eq!(all.costs.unwrap().len(), 2);
        assert_eq!(all.next, None, "the last part's");
    }

    /// What the auditor answers is read as it was.
    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let part = Audit::read(&answer("shop/a", Some("x"), "monitor-mode")).unwrap();
        assert_eq!(Audit::read(&crate::report::json(&part)), Ok(part));
        let nothing = Audit::ignored(crate::reason::Reason::new(Code::CoveredByAnotherSweep, "y"));
        assert_eq!(Audit::read(&crate::report::json(&nothing)), Ok(nothing));
    }

    #[test]
    fn an_unknown_code_is_left_out_and_an_unknown_format_refused() {
        let newer = Audit::read(&answer("shop/a", None, "of-the-future")).unwrap();
        assert_eq!(newer.findings.unwrap()[0].reason, None);
        let other = answer("a", None, "").replace("audit/1", "audit/2");
        let why = Audit::read(&other).unwrap_err();
        assert!(why.contains("`ecr-warden.audit/2`"), "{why}");
    }
}
