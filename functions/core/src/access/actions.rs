//! The actions that a statement lets callers do.

use serde_json::Value;

use super::value::strings;

/// What an action of ECR is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    Pull,
    Push,
    Read,
    Administer,
}

/// The actions that a repository policy can allow (Service Authorization Reference, Amazon ECR, resource type `repository`).
const ACTIONS: &[(&str, Use)] = &[
    ("batchchecklayeravailability", Use::Pull),
    ("batchgetimage", Use::Pull),
    ("getdownloadurlforlayer", Use::Pull),
    ("batchimportupstreamimage", Use::Push),
    ("completelayerupload", Use::Push),
    ("createrepository", Use::Push),
    ("initiatelayerupload", Use::Push),
    ("putimage", Use::Push),
    ("replicateimage", Use::Push),
    ("uploadlayerpart", Use::Push),
    ("batchgetrepositoryscanningconfiguration", Use::Read),
    ("describeimagereplicationstatus", Use::Read),
    ("describeimages", Use::Read),
    ("describeimagescanfindings", Use::Read),
    ("describeimagesigningstatus", Use::Read),
    ("describerepositories", Use::Read),
    ("getlifecyclepolicy", Use::Read),
    ("getlifecyclepolicypreview", Use::Read),
    ("getrepositorypolicy", Use::Read),
    ("listimagereferrers", Use::Read),
    ("listimages", Use::Read),
    ("listtagsforresource", Use::Read),
    ("batchdeleteimage", Use::Administer),
    ("deletelifecyclepolicy", Use::Administer),
    ("deleterepository", Use::Administer),
    ("deleterepositorypolicy", Use::Administer),
    ("putimagescanningconfiguration", Use::Administer),
    ("putimagetagmutability", Use::Administer),
    ("putlifecyclepolicy", Use::Administer),
    ("setrepositorypolicy", Use::Administer),
    ("startimagescan", Use::Administer),
    ("startlifecyclepolicypreview", Use::Administer),
    ("tagresource", Use::Administer),
    ("untagresource", Use::Administer),
    ("updateimagestorageclass", Use::Administer),
];

/// The actions of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Actions {
    /// In lower case, as IAM compares them.
    patterns: Vec<String>,
    /// All actions but these.
    negated: bool,
}

impl Actions {
    /// A statement without any is about all of them where it allows, and about none where it denies: AWS takes no such statement.
    ///
    /// # Errors
    /// One line: they are not written as actions are.
    pub(super) fn of(statement: &Value, allows: bool) -> Result<Self, String> {
        let (written, negated) = match (statement.get("Action"), statement.get("NotAction")) {
            (Some(actions), None) => (actions, false),
            (None, Some(actions)) => (actions, true),
            (None, None) => {
                return Ok(Self {
                    patterns: Vec::new(),
                    negated: allows,
                });
            }
            (Some(_), Some(_)) => {
                return Err("a statement has both `Action` and `NotAction`".to_owned());
            }
        };
        let patterns = strings(written)?;
        Ok(Self {
            patterns: patterns.iter().map(|p| p.to_ascii_lowercase()).collect(),
            negated,
        })
    }

    pub(super) fn has(&self, action: &str) -> bool {
        let matched = self.patterns.iter().any(|pattern| {
            let name = pattern.strip_prefix("ecr:");
            pattern == "*" || name.is_some_and(|name| like(name, action))
        });
        matched != self.negated
    }

    /// Whether these are all actions of the other ones, as far as ECR has them.
    pub(super) fn cover(&self, other: &Self) -> bool {
        let mut actions = ACTIONS.iter().filter(|(action, _)| other.has(action));
        actions.all(|(action, _)| self.has(action))
    }

    /// For messages: `pull and push`.
    pub(super) fn uses(&self) -> String {
        let mut uses: Vec<Use> = ACTIONS
            .iter()
            .filter(|(action, _)| self.has(action))
            .map(|(_, of)| *of)
            .collect();
        uses.sort_unstable();
        uses.dedup();
        // Who can pull can read well enough.
        if uses.len() > 1 {
            uses.retain(|of| *of != Use::Read);
        }
        let names: Vec<&str> = uses
            .iter()
            .map(|of| match of {
                Use::Pull => "pull",
                Use::Push => "push",
                Use::Read => "read",
                Use::Administer => "administer",
            })
            .collect();
        match names.as_slice() {
            [] => "allow no action of ECR".to_owned(),
            [one] => (*one).to_owned(),
            [first @ .., last] => format!("{} and {last}", first.join(", ")),
        }
    }
}

/// Whether a text is like a pattern with `*` and `?`, as IAM compares them.
pub(super) fn like(pattern: &str, text: &str) -> bool {
    wildmatch::WildMatch::new(pattern).matches(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(action: &Value) -> Actions {
        Actions::of(&json!({ "Action": action }), true).unwrap()
    }

    #[test]
    fn what_actions_are_for() {
        for (actions, uses) in [
            (json!("ecr:BatchGetImage"), "pull"),
            (json!(["ecr:BatchGet*", "ECR:putimage"]), "pull and push"),
            (json!("ecr:*"), "pull, push and administer"),
            (json!("*"), "pull, push and administer"),
            (json!("ecr:DescribeImages"), "read"),
            (json!("s3:*"), "allow no action of ECR"),
        ] {
            assert_eq!(of(&actions).uses(), uses, "{actions}");
        }
        let not = json!({ "NotAction": ["ecr:Delete*", "ecr:BatchDelete*", "ecr:Set*"] });
        let not = Actions::of(&not, true).unwrap();
        assert_eq!(not.uses(), "pull, push and administer");
        assert!(Actions::of(&json!({ "Action": 7 }), true).is_err());
    }

    #[test]
    fn some_actions_cover_others() {
        let pull = of(&json!(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]));
        let all = of(&json!("ecr:*"));
        assert!(all.cover(&pull) && !pull.cover(&all) && pull.cover(&pull));
        let but_pull = json!({ "NotAction": "ecr:BatchGetImage" });
        assert!(!Actions::of(&but_pull, false).unwrap().cover(&pull));
    }
}
