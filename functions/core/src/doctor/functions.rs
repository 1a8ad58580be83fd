//! Whether the functions may run: their reserved concurrency, and Lambda's detection of recursive loops.

use crate::doctor::checkup::{Answered, CheckName, Checkup};
use crate::doctor::command::AwsCli;
use crate::doctor::no_answer::{DEPLOY_AGAIN, NoAnswer};
use crate::text::counted;

/// The functions whose `RecursiveLoop` is `Allow` in the template, by their names there: each sends messages to a queue that invokes it.
pub const RECURSIVE: [&str; 2] = ["Enforcer", "Auditor"];

/// A function of the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionSettings {
    /// As the template names it.
    pub logical: String,
    /// As AWS names it.
    pub physical: String,
    /// As `Allow` or `Terminate`; `None`: the template sets none.
    pub recursion: Option<Answered<String>>,
    /// Reserved concurrency; `Ok(None)`: none is reserved, and the function has the account's.
    pub reserved: Answered<Option<u32>>,
}

impl FunctionSettings {
    fn faults(&self, aws: &AwsCli) -> Vec<(String, String)> {
        let Self {
            logical, physical, ..
        } = self;
        let gone = Some(&NoAnswer::Gone);
        let recursion = self.recursion.as_ref();
        if self.reserved.as_ref().err() == gone
            || recursion.and_then(|it| it.as_ref().err()) == gone
        {
            return vec![(
                format!("the function {logical} was deleted outside of CloudFormation"),
                DEPLOY_AGAIN.to_owned(),
            )];
        }
        let mut faults = Vec::new();
        if self.reserved == Ok(Some(0)) {
            faults.push((
                format!("the function {logical} is switched off: its reserved concurrency is 0"),
                aws.command(&[
                    "lambda",
                    "delete-function-concurrency",
                    "--function-name",
                    physical,
                ]),
            ));
        }
        if let Some(Ok(setting)) = recursion
            && setting != "Allow"
        {
            faults.push((
                format!("Lambda stops deferred events of the function {logical} as a loop: RecursiveLoop is {setting}"),
                aws.command(&[
                    "lambda",
                    "put-function-recursion-config",
                    "--function-name",
                    physical,
                    "--recursive-loop",
                    "Allow",
                ]),
            ));
        }
        faults
    }

    fn unread(&self) -> Option<&NoAnswer> {
        let recursion = self.recursion.as_ref().and_then(|it| it.as_ref().err());
        self.reserved.as_ref().err().or(recursion)
    }
}

/// Decides the check.
#[must_use]
pub fn functions(functions: &[FunctionSettings], aws: &AwsCli) -> Checkup {
    let check = CheckName::Functions;
    if functions.is_empty() {
        return Checkup::failing(
            check,
            "the stack has no Lambda function",
            "name ecr-warden's stack with --stack, or deploy it with `make deploy`",
        );
    }
    let faults: Vec<_> = functions.iter().flat_map(|it| it.faults(aws)).collect();
    if !faults.is_empty() {
        let (details, mut advice): (Vec<String>, Vec<String>) = faults.into_iter().unzip();
        advice.dedup();
        return Checkup::failing(check, details.join("; "), advice.join("; "));
    }
    if let Some(why) = functions.iter().find_map(FunctionSettings::unread) {
        return Checkup::unanswered(check, why);
    }
    let count = counted(functions.len(), "function", "functions");
    Checkup::ok(
        check,
        format!("{count} may run, and Lambda lets deferred events come back"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::checkup::Health;

    fn function(
        recursion: Option<Answered<&str>>,
        reserved: Answered<Option<u32>>,
    ) -> FunctionSettings {
        FunctionSettings {
            logical: "Enforcer".to_owned(),
            physical: "e-1".to_owned(),
            recursion: recursion.map(|it| it.map(str::to_owned)),
            reserved,
        }
    }

    #[test]
    fn a_function_has_to_be_on_and_may_recurse_where_the_template_says_so() {
        let denied = || {
            Err(NoAnswer::Denied {
                permission: "lambda:GetFunctionRecursionConfig".to_owned(),
                why: "the permission lambda:GetFunctionRecursionConfig is missing".to_owned(),
            })
        };
        for (settings, health, detail, advice) in [
            (
                function(Some(Ok("Allow")), Ok(None)),
                Health::Ok,
                "1 function may run",
                "",
            ),
            (function(None, Ok(Some(5))), Health::Ok, "1 function", ""),
            (
                function(Some(Ok("Terminate")), Ok(None)),
                Health::Failing,
                "RecursiveLoop is Terminate",
                "--recursive-loop Allow",
            ),
            (
                function(Some(Ok("Allow")), Ok(Some(0))),
                Health::Failing,
                "switched off",
                "delete-function-concurrency --function-name e-1",
            ),
            (
                function(Some(denied()), Ok(Some(0))),
                Health::Failing,
                "switched off",
                "delete-function-concurrency",
            ),
            (
                function(Some(denied()), Ok(None)),
                Health::Unknown,
                "GetFunctionRecursionConfig is missing",
                "allow lambda:",
            ),
            (
                function(Some(Err(NoAnswer::Gone)), Ok(None)),
                Health::Failing,
                "was deleted",
                "deploy it again",
            ),
        ] {
            let found = functions(std::slice::from_ref(&settings), &AwsCli::default());
            assert_eq!(found.status, health, "{settings:?}");
            assert!(found.detail.contains(detail), "{}", found.detail);
            assert!(found.advice.unwrap_or_default().contains(advice));
        }
        assert_eq!(functions(&[], &AwsCli::default()).status, Health::Failing);
    }

    #[test]
    fn recursive_functions_are_those_of_the_template() {
        let template = include_str!("../../../../infra/template.yaml");
        let mut found = Vec::new();
        let mut resource = "";
        for line in template.lines() {
            if let Some(name) = line.strip_prefix("  ").and_then(|it| it.strip_suffix(':'))
                && !name.starts_with([' ', '#'])
            {
                resource = name;
            }
            if line.trim() == "RecursiveLoop: Allow" {
                found.push(resource);
            }
        }
        assert_eq!(found, RECURSIVE);
    }
}
