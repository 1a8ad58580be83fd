//! Commands of the AWS CLI, for advice that can be copied to a shell.

use crate::rule::shell_word;

/// The AWS CLI with the profile and region of the command that gives the advice.
#[derive(Clone, Debug, Default)]
pub struct AwsCli {
    pub profile: Option<String>,
    pub region: String,
}

impl AwsCli {
    /// The command line, in backticks.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> String {
        let mut line = "`aws".to_owned();
        let profile = self
            .profile
            .as_deref()
            .map(|profile| ["--profile", profile]);
        let region = ["--region", &self.region];
        for word in profile.iter().flatten().chain(&region).chain(words) {
            line.push(' ');
            line.push_str(&quoted(word));
        }
        line + "`"
    }
}

/// A word as a POSIX shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+=,%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let shown: String = word.chars().filter(|c| !c.is_control()).collect();
    shell_word(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_profile_and_region_and_quotes_for_a_shell() {
        let mut aws = AwsCli {
            profile: None,
            region: "eu-west-1".to_owned(),
        };
        let line = aws.command(&["events", "enable-rule", "--name", "a-b"]);
        assert_eq!(
            line,
            "`aws --region eu-west-1 events enable-rule --name a-b`"
        );
        aws.profile = Some("my team's".to_owned());
        assert_eq!(
            aws.command(&["x", "$(y)"]),
            "`aws --profile 'my team'\\''s' --region eu-west-1 x '$(y)'`"
        );
    }
}
