//! Whether the policy in use is valid.

use crate::doctor::checkup::{Answered, CheckName, Checkup};
use crate::doctor::command::AwsCli;
use crate::doctor::no_answer::NoAnswer;
use crate::policy::Policy;
use crate::text::counted;

/// Decides the check. `parameter`: its name, and the text that it holds; `None`: the stack has no such parameter.
#[must_use]
pub fn policy(parameter: Option<(&str, &Answered<String>)>, aws: &AwsCli) -> Checkup {
    let check = CheckName::Policy;
    let Some((name, answer)) = parameter else {
        return Checkup::ok(
            check,
            "the policy that the functions were built with is in use",
        );
    };
    let put = |advice: &str| {
        let words = ["ssm", "put-parameter", "--name", name, "--type", "String"];
        let file = ["--overwrite", "--value", "file://policy.yaml"];
        format!("{advice}{}", aws.command(&[&words[..], &file].concat()))
    };
    match answer.as_ref().map(|text| Policy::parse(text)) {
        Ok(Ok(_)) => Checkup::ok(
            check,
            format!("the parameter `{name}` holds a valid policy"),
        ),
        Ok(Err(problems)) => {
            let count = counted(problems.0.len(), "mistake", "mistakes");
            let first = problems.0.first().map(ToString::to_string);
            Checkup::failing(
                check,
                format!(
                    "the policy in the parameter `{name}` has {count}, the first: {}",
                    first.unwrap_or_default()
                ),
                put("correct it, check it with `ecr-warden policy check policy.yaml`, then "),
            )
        }
        Err(NoAnswer::Gone) => Checkup::failing(
            check,
            format!("the parameter `{name}` does not exist, so nothing is evaluated"),
            put(""),
        ),
        Err(why) => Checkup::unanswered(check, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::checkup::Health;

    #[test]
    fn only_a_valid_policy_is_ok() {
        let valid = "version: 1\nmode: monitor\nrules: { mutable-tags: {} }\n";
        for (answer, health, detail) in [
            (Ok(valid.to_owned()), Health::Ok, "holds a valid policy"),
            (
                Ok("version: 1\nmode: monitor\nrules: { mutable-tag: {} }\n".to_owned()),
                Health::Failing,
                "has 1 mistake, the first: ",
            ),
            (Ok(String::new()), Health::Failing, "mistake"),
            (Err(NoAnswer::Gone), Health::Failing, "does not exist"),
            (
                Err(NoAnswer::Other("timed out".into())),
                Health::Unknown,
                "timed out",
            ),
        ] {
            let found = policy(Some(("/p", &answer)), &AwsCli::default());
            assert_eq!(found.status, health, "{answer:?}");
            assert!(found.detail.contains(detail), "{}", found.detail);
            assert!(!found.detail.contains('\n'));
            if health == Health::Failing {
                assert!(found.advice.unwrap().contains("put-parameter --name /p"));
            }
        }
    }

    #[test]
    fn without_a_parameter_the_built_in_policy_is_in_use() {
        let found = policy(None, &AwsCli::default());
        assert_eq!(found.status, Health::Ok);
        assert!(found.detail.contains("built with"));
    }
}
