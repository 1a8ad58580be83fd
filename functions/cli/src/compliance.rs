//! `ecr-warden audit --compliance`: the findings by the requirements of NIST and PCI DSS.

use comfy_table::Table;
use ecr_warden_core::audit::Audit;
use ecr_warden_core::policy::Policy;
use ecr_warden_core::report::requirements;

use crate::output::{Stream, count, lines, table};

/// What a reader must know of the table.
const LEGEND: &str = "These are the requirements that AWS relates to Security Hub ECR.1, 2, 3 and 5. A rule is as strict as the policy \
    makes it: `weak-encryption` below CUSTOMER_KEY passes what ECR.5 does not, and `mutable-tags` with exclusions passes what ECR.2 \
    does not.";

pub(crate) fn compliance(audit: &Audit, policy: &Policy) -> String {
    let mut table: Table = table(&["requirement", "rules", "result"], Stream::Output);
    for requirement in requirements(audit, |rule| policy.uses(rule)) {
        let result = match requirement.failing {
            None => "not checked: the policy does not use each of the rules".to_owned(),
            Some(0) => "passes".to_owned(),
            Some(failing) => format!("fails: {}", count(failing, "repository", "repositories")),
        };
        table.add_row([
            requirement.id.to_owned(),
            requirement.rules.join(", "),
            result,
        ]);
    }
    format!("{}\n{LEGEND}", lines(&table))
}
