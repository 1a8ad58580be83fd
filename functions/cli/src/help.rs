//! The first page of help: the commands in groups, by what they are for.

use std::fmt::Write;

/// Each command once, in the order in which they are needed.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Look at a registry", &["audit", "init", "explain", "rules"]),
    ("Work on the policy", &["policy", "exempt"]),
    ("Check what is deployed", &["doctor", "history"]),
    ("Approve and stop changes", &["approve", "stop", "start"]),
    ("Undo", &["rollback", "resume"]),
    ("Set up this command", &["completions", "man"]),
];

/// The command with that page. What is in no group is missing there, which a test notices.
pub(crate) fn grouped(all: clap::Command) -> clap::Command {
    let mut text = String::new();
    for (heading, names) in GROUPS {
        let _ = writeln!(text, "{heading}:");
        for command in names.iter().filter_map(|name| all.find_subcommand(name)) {
            let about = command.get_about().map(ToString::to_string);
            let about = about.unwrap_or_default();
            let _ = writeln!(text, "  {:<13}{about}", command.get_name());
        }
        text.push('\n');
    }
    all.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{text}Options:\n{{options}}{{after-help}}"
    ))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn each_command_is_in_one_group() {
        let all = crate::Command::command();
        let mut grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        let mut known: Vec<&str> = all.get_subcommands().map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        known.sort_unstable();
        assert_eq!(grouped, known);
    }

    #[test]
    fn each_command_with_options_has_examples() {
        for command in crate::Command::command().get_subcommands() {
            let has_own = command.get_subcommands().next().is_some();
            let after = command.get_after_help().map(ToString::to_string);
            assert!(
                has_own || after.is_some_and(|after| after.contains("Examples:\n  ecr-warden ")),
                "{}",
                command.get_name()
            );
        }
    }
}
