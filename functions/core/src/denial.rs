//! Which kind of policy denied a call, read from AWS's message: whoever widens a role in vain because the organization forbids the call
//! should have been shown that.
//!
//! The phrases are those of the IAM User Guide, "Troubleshoot access denied error messages"; a policy's ARN follows them within the same
//! account or organization (AWS Security Blog, "Enhanced access denied error messages with policy ARNs").

use std::fmt;

use crate::text::one_line;

/// The longest ARN that is shown, in characters.
const LONGEST_ARN: usize = 300;

/// Who denied a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub by: PolicyKind,
    /// A statement denies it; otherwise, none allows it.
    pub explicit: bool,
    /// The policy's ARN, where AWS names it.
    pub policy: Option<String>,
}

/// The kinds of policy that AWS names in its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    Identity,
    Resource,
    ServiceControl,
    ResourceControl,
    Boundary,
    Session,
    Endpoint,
    RoleTrust,
}

/// Each kind with the words by which AWS's messages name it.
const KINDS: [(PolicyKind, &str); 8] = [
    (PolicyKind::ServiceControl, "service control policy"),
    (PolicyKind::ResourceControl, "resource control policy"),
    (PolicyKind::Endpoint, "VPC endpoint policy"),
    (PolicyKind::Boundary, "permissions boundary"),
    (PolicyKind::Session, "session policy"),
    (PolicyKind::RoleTrust, "role trust policy"),
    (PolicyKind::Resource, "resource-based policy"),
    (PolicyKind::Identity, "identity-based policy"),
];

impl Denial {
    /// Reads a message of AWS; `None`: it does not say which kind of policy denied the call.
    #[must_use]
    pub fn read(message: &str) -> Option<Self> {
        let explicit = message
            .split_once("with an explicit deny in ")
            .map(|(_, rest)| rest);
        let implicit = || message.split_once("because no ").map(|(_, rest)| rest);
        let rest = explicit.or_else(implicit)?;
        let named = rest
            .trim_start_matches("a ")
            .trim_start_matches("an ")
            .trim_start_matches("the ");
        let (by, words) = KINDS.into_iter().find(|(_, words)| {
            named
                .to_ascii_lowercase()
                .starts_with(&words.to_ascii_lowercase())
        })?;
        let after = named.get(words.len()..).unwrap_or_default();
        let policy = after
            .strip_prefix(": ")
            .and_then(|arn| arn.split_whitespace().next())
            .filter(|arn| arn.starts_with("arn:"))
            .map(|arn| one_line(arn, LONGEST_ARN));
        Some(Self {
            by,
            explicit: explicit.is_some(),
            policy,
        })
    }

    /// Whether a statement of the resource's own policy denies the call, whatever the role may do.
    #[must_use]
    pub fn is_of_the_resource(&self) -> bool {
        self.by == PolicyKind::Resource && self.explicit
    }

    /// Whether a policy of the organization denies the call.
    #[must_use]
    pub fn is_of_the_organization(&self) -> bool {
        matches!(
            self.by,
            PolicyKind::ServiceControl | PolicyKind::ResourceControl
        )
    }

    /// Whether the role simply lacks the permission.
    #[must_use]
    pub fn is_missing_permission(&self) -> bool {
        self.by == PolicyKind::Identity && !self.explicit
    }
}

impl fmt::Display for Denial {
    /// For the end of a sentence: who denies it, and who can change that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, remedy) = match self.by {
            PolicyKind::Identity => ("a policy of ecr-warden's role", "change that policy"),
            PolicyKind::Resource => (
                "the resource's own policy",
                "remove what excludes ecr-warden's role from that policy",
            ),
            PolicyKind::ServiceControl => (
                "a service control policy of the organization",
                "ask the organization's administrators to except ecr-warden's role",
            ),
            PolicyKind::ResourceControl => (
                "a resource control policy of the organization",
                "ask the organization's administrators to except ecr-warden's role",
            ),
            PolicyKind::Boundary => (
                "the permissions boundary of ecr-warden's role",
                "add the permission to the boundary",
            ),
            PolicyKind::Session => (
                "the session policy of the caller",
                "add the permission to the session policy",
            ),
            PolicyKind::Endpoint => (
                "the policy of a VPC endpoint",
                "add the permission to the endpoint's policy",
            ),
            PolicyKind::RoleTrust => ("the role's trust policy", "add the caller to that policy"),
        };
        let verb = if self.explicit {
            "denies"
        } else {
            "does not allow"
        };
        write!(f, "{name} {verb} it")?;
        if let Some(policy) = &self.policy {
            write!(f, " (`{policy}`)")?;
        }
        write!(f, "; {remedy}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = "User: arn:aws:sts::123456789012:assumed-role/warden/f is not authorized to perform: \
                        ecr:PutImageTagMutability on resource: arn:aws:ecr:eu-central-1:123456789012:repository/shop/api";

    #[test]
    fn each_phrase_of_aws_is_read() {
        let rows = [
            (
                "because no service control policy allows the ecr:PutImageTagMutability action",
                PolicyKind::ServiceControl,
                false,
            ),
            (
                "with an explicit deny in a service control policy",
                PolicyKind::ServiceControl,
                true,
            ),
            (
                "with an explicit deny in a resource control policy",
                PolicyKind::ResourceControl,
                true,
            ),
            (
                "because no VPC endpoint policy allows the ecr:PutImageTagMutability action",
                PolicyKind::Endpoint,
                false,
            ),
            (
                "with an explicit deny in a VPC endpoint policy",
                PolicyKind::Endpoint,
                true,
            ),
            (
                "because no permissions boundary allows the ecr:PutImageTagMutability action",
                PolicyKind::Boundary,
                false,
            ),
            (
                "with an explicit deny in a permissions boundary",
                PolicyKind::Boundary,
                true,
            ),
            (
                "because no session policy allows the ecr:PutImageTagMutability action",
                PolicyKind::Session,
                false,
            ),
            (
                "with an explicit deny in a session policy",
                PolicyKind::Session,
                true,
            ),
            (
                "because no resource-based policy allows the ecr:PutImageTagMutability action",
                PolicyKind::Resource,
                false,
            ),
            (
                "with an explicit deny in a resource-based policy",
                PolicyKind::Resource,
                true,
            ),
            (
                "with an explicit deny in the role trust policy",
                PolicyKind::RoleTrust,
                true,
            ),
            (
                "because no identity-based policy allows the ecr:PutImageTagMutability action",
                PolicyKind::Identity,
                false,
            ),
            (
                "with an explicit deny in an identity-based policy",
                PolicyKind::Identity,
                true,
            ),
        ];
        for (phrase, by, explicit) in rows {
            let expected = Denial {
                by,
                explicit,
                policy: None,
            };
            assert_eq!(
                Denial::read(&format!("{CALL} {phrase}")),
                Some(expected),
                "{phrase}"
            );
        }
    }

    #[test]
    fn the_arn_of_the_policy_is_kept() {
        let arn = "arn:aws:organizations::987654321098:policy/o-qv5af4abcd/service_control_policy/p-2kgnabcd";
        let message = format!("{CALL} with an explicit deny in a service control policy: {arn}");
        let denial = Denial::read(&message).unwrap();
        assert_eq!(denial.policy.as_deref(), Some(arn));
        assert_eq!(
            denial.to_string(),
            format!(
                "a service control policy of the organization denies it (`{arn}`); ask the organization's administrators to \
                 except ecr-warden's role"
            )
        );
    }

    #[test]
    fn what_names_no_policy_is_no_denial_by_one() {
        for message in [
            "",
            CALL,
            "with an explicit deny in a",
            "because no reason",
            "with an explicit deny in an é",
        ] {
            assert_eq!(Denial::read(message), None, "{message}");
        }
    }
}
