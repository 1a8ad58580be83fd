//! The lines that set a repository's tags.

use std::fmt::Write;

use crate::repository::RepositoryId;
use crate::rule::{Advice, quoted, shell_word};

/// The lines that set these tags. A value that only its team knows is a variable that is not set: what is pasted stops there.
pub(super) fn advise<'t>(
    id: &RepositoryId,
    tags: impl Iterator<Item = (&'t str, Option<&'t str>)>,
    note: &str,
) -> Advice {
    let partition = id.arn().split(':').nth(1).unwrap_or("aws").to_owned();
    let (mut terraform, mut cloudformation) = ("tags = {\n".to_owned(), "Tags:".to_owned());
    let mut cli = note.to_owned();
    for (n, (key, value)) in tags.enumerate() {
        let name = quoted(key);
        let (of_terraform, of_cloudformation, of_cli) = match value {
            Some(value) => (quoted(value), quoted(value), shell_word(value)),
            None => {
                let variable = variable(key, n);
                let (parameter, upper) = (variable.replace('_', ""), variable.to_ascii_uppercase());
                (
                    format!("var.{variable}"),
                    format!("!Ref {parameter}"),
                    format!("\"${{{upper}:?say the value of the tag}}\""),
                )
            }
        };
        let _ = writeln!(terraform, "  {name} = {of_terraform}");
        let _ = write!(
            cloudformation,
            "\n  - Key: {name}\n    Value: {of_cloudformation}"
        );
        let _ = writeln!(
            cli,
            "aws ecr tag-resource --resource-arn \"arn:{partition}:ecr:{}:{}:repository/$REPOSITORY\" --tags {}{of_cli}",
            id.region,
            id.account,
            shell_word(&format!("Key={key},Value="))
        );
    }
    terraform.push('}');
    Advice {
        text: "Tag the repository where it is defined.".to_owned(),
        terraform,
        cli: cli.trim_end().to_owned(),
        cloudformation,
    }
}

/// A name for the value of a tag that HCL, CloudFormation and shells take.
fn variable(key: &str, n: usize) -> String {
    let letters = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    let name: String = key.chars().map(letters).collect();
    match name.trim_matches('_') {
        name if name.starts_with(|c: char| c.is_ascii_alphabetic()) => name.to_owned(),
        _ => format!("tag_{n}"),
    }
}
