//! `ecr-warden audit --stack`: the deployed auditor is asked, part by part.

use ecr_warden_aws::{Caller, Clients, DeployedAuditor, NotAnswered, read_report};
use ecr_warden_core::audit::Audit;
use serde_json::{Value, json};

use crate::audit::progress::of_parts;
use crate::connected::unanswered;
use crate::failure::CommandError;
use crate::output::remark;
use crate::progress::Progress;

/// NAT gateways drop a connection that is silent for 350 seconds, and with it the answer (Amazon VPC User Guide, NAT gateway
/// basics).
const SECONDS: u32 = 240;

/// The first request: for some repositories, or as it is given in JSON.
pub(crate) fn request(
    repositories: &[String],
    cost: bool,
    given: Option<&str>,
) -> Result<Value, String> {
    let mut request = json!({ "seconds": SECONDS });
    if !repositories.is_empty() {
        request["repositories"] = json!(repositories);
    }
    if cost {
        request["cost"] = json!(true);
    }
    if let Some(given) = given {
        let given: Value =
            serde_json::from_str(given).map_err(|error| format!("--request: not JSON: {error}"))?;
        let Value::Object(fields) = given else {
            return Err(format!("--request: `{given}` is not a JSON object"));
        };
        for (name, value) in fields {
            request[name] = value;
        }
    }
    Ok(request)
}

/// What to ask after a part; `None`: it was the last one, or the auditor goes on by itself.
fn following(request: &Value, part: &Audit) -> Option<Value> {
    let next = part.next.as_ref()?;
    if request["continue"] == json!(true) {
        return None;
    }
    let mut following = request.clone();
    following["next"] = json!(next);
    Some(following)
}

/// What the parts together say, and why the last of them is missing.
pub(crate) type Answers = (Audit, Result<(), CommandError>);

/// Asks the auditor of the stack to the end, and puts its parts together. A part that fails leaves those before it.
///
/// # Errors
/// There is no auditor, or already the first part fails.
pub(crate) async fn ask(
    clients: &Clients,
    caller: &Caller,
    stack: &str,
    first: Value,
) -> Result<Answers, CommandError> {
    let progress = Progress::begin(&format!("finding the auditor of the stack {stack}"));
    let failed = |error: NotAnswered| {
        let or = ", or list the stacks: `aws cloudformation describe-stacks --query 'Stacks[].StackName'`";
        unanswered(error, stack, caller, or)
    };
    let auditor = DeployedAuditor::of_stack(clients, stack)
        .await
        .map_err(failed)?;
    let mut all = Audit::default();
    let mut request = first;
    let mut number: usize = 1;
    loop {
        let repositories = all.summary.repositories;
        progress.set(&of_parts(auditor.function(), number, repositories));
        let part = match ask_part(clients, &auditor, &request).await {
            Ok(part) => part,
            Err(error) if number > 1 => {
                progress.end();
                all.sort();
                return Ok((all, Err(failed(error))));
            }
            Err(error) => return Err(failed(error)),
        };
        for line in &part.brakes {
            if !all.brakes.contains(line) {
                remark!("{line}");
            }
        }
        if let Some(ledger) = &part.ledger {
            remark!("{}", ledger.line());
        }
        let next = following(&request, &part);
        if next.is_none() && part.next.is_some() {
            remark!(
                "this is the first part: the auditor goes on by itself, and its alert has the rest"
            );
        }
        all.add_part(part);
        match next {
            Some(next) => request = next,
            None => break,
        }
        number = number.saturating_add(1);
    }
    progress.end();
    all.sort();
    Ok((all, Ok(())))
}

/// One part, with what it has put into the bucket.
async fn ask_part(
    clients: &Clients,
    auditor: &DeployedAuditor,
    request: &Value,
) -> Result<Audit, NotAnswered> {
    let mut part = auditor.ask(request).await?;
    if let Some(report) = part.report.take() {
        let kept = read_report(clients, &report).await;
        let kept = kept.map_err(NotAnswered::Aws)?;
        part.findings = kept.findings;
        part.costs = kept.costs;
    }
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_asks_for_parts_that_no_gateway_drops() {
        let none: &[String] = &[];
        let some = ["shop/**".to_owned()];
        for (repositories, cost, given, expected) in [
            (none, false, None, Ok(json!({ "seconds": 240 }))),
            (
                &some,
                true,
                None,
                Ok(json!({ "seconds": 240, "repositories": ["shop/**"], "cost": true })),
            ),
            (
                none,
                false,
                Some(r#"{"mode": "enforce", "seconds": 60}"#),
                Ok(json!({ "seconds": 60, "mode": "enforce" })),
            ),
            (
                none,
                false,
                Some("[]"),
                Err("--request: `[]` is not a JSON object".to_owned()),
            ),
        ] {
            assert_eq!(request(repositories, cost, given), expected);
        }
        let wrong = request(none, false, Some("{")).unwrap_err();
        assert!(wrong.starts_with("--request: not JSON: "), "{wrong}");
    }

    #[test]
    fn the_next_part_is_asked_for_unless_the_auditor_goes_on_by_itself() {
        let mut part = Audit::default();
        let first = json!({ "seconds": 240, "cost": true });
        assert_eq!(following(&first, &part), None);
        part.next = Some("x".to_owned());
        let second = json!({ "seconds": 240, "cost": true, "next": "x" });
        assert_eq!(following(&first, &part), Some(second));
        assert_eq!(following(&json!({ "continue": true }), &part), None);
    }
}
