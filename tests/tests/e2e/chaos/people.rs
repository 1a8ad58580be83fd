//! Somebody changes a repository while it is worked on, and what must be left of that.

use aws_sdk_ecr::types::ImageTagMutability;
use ecr_warden_tests::proxy::Call;

use crate::chaos::faulty::{Found, OWN, look, policy_of, push, tag};
use crate::support::{World, arn};

const OF_SOMEBODY: &str = r#"{"Sid":"mine","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"ecr:GetDownloadUrlForLayer"}"#;
pub(crate) const LIFECYCLE: &str = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":77},"action":{"type":"expire"}}]}"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A tag that the policy says nothing of.
    Tag,
    /// Tags may be moved again, which the policy forbids.
    Mutability,
    Lifecycle,
    /// One more statement.
    Statement,
    Push,
}

/// A change that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) change: Change,
    /// How many calls about the repository had gone to AWS before.
    pub(crate) after: usize,
    /// The rule that has nothing to object to any more.
    pub(crate) cures: Option<&'static str>,
}

impl Change {
    pub(crate) const ALL: [Self; 5] = [
        Self::Tag,
        Self::Mutability,
        Self::Lifecycle,
        Self::Statement,
        Self::Push,
    ];

    /// As CloudTrail calls it.
    pub(crate) fn event(self) -> &'static str {
        match self {
            Self::Tag => "TagResource",
            Self::Mutability => "PutImageTagMutability",
            Self::Lifecycle => "PutLifecyclePolicy",
            Self::Statement => "SetRepositoryPolicy",
            Self::Push => "PutImage",
        }
    }

    /// `None`: the repository is not there at the moment, and nothing was changed.
    pub(crate) async fn make(self, world: &World, name: &str) -> Option<Made> {
        let after = world.local.proxy.calls(name).len();
        let ecr = &world.clients.ecr;
        let mut cures = (self == Self::Lifecycle).then_some("no-lifecycle-policy");
        let made = match self {
            Self::Tag => {
                let request = ecr.tag_resource().resource_arn(arn(name));
                let request = request.tags(tag("note", "mine"));
                request.send().await.ok().map(|_| ())
            }
            Self::Mutability => {
                let request = ecr.put_image_tag_mutability().repository_name(name);
                let request = request.image_tag_mutability(ImageTagMutability::Mutable);
                request.send().await.ok().map(|_| ())
            }
            Self::Lifecycle => {
                let request = ecr.put_lifecycle_policy().repository_name(name);
                let request = request.lifecycle_policy_text(LIFECYCLE);
                request.send().await.ok().map(|_| ())
            }
            Self::Statement => {
                let found = look(world, name).await?;
                // People add to what they see, and while it is being made again they see nothing.
                let policy = match found.policy.strip_suffix("]}") {
                    Some(before) => format!("{before},{OF_SOMEBODY}]}}"),
                    None => {
                        cures = Some("public-access");
                        policy_of(&format!("{OWN},{OF_SOMEBODY}"))
                    }
                };
                let request = ecr.set_repository_policy().repository_name(name);
                request.policy_text(policy).send().await.ok().map(|_| ())
            }
            Self::Push => push(world, name).await,
        };
        made.map(|()| Made {
            change: self,
            after,
            cures,
        })
    }

    /// By which calls the function sees it, and by which it may overwrite it.
    fn seen_and_overwritten_by(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Tag => ("ListTagsForResource", &["DeleteRepository"]),
            Self::Mutability => (
                "DescribeRepositories",
                &["PutImageTagMutability", "DeleteRepository"],
            ),
            Self::Lifecycle => (
                "GetLifecyclePolicy",
                &["PutLifecyclePolicy", "DeleteRepository"],
            ),
            Self::Statement => (
                "GetRepositoryPolicy",
                &[
                    "SetRepositoryPolicy",
                    "DeleteRepositoryPolicy",
                    "DeleteRepository",
                ],
            ),
            Self::Push => ("DescribeImages", &[]),
        }
    }
}

impl Made {
    /// What is not left of the change, where nothing excuses that.
    pub(crate) fn lost(&self, found: &Found, calls: &[Call]) -> Option<String> {
        let stands = match self.change {
            Change::Tag => found.tags.contains("note=mine"),
            Change::Lifecycle => found.lifecycle == LIFECYCLE,
            Change::Statement => found.policy.contains(OF_SOMEBODY),
            Change::Push => found.holds_images,
            // The policy does not let it stand.
            Change::Mutability => true,
        };
        (!stands && !self.came_after_the_last_look(calls))
            .then(|| format!("{:?} of somebody is lost: {found:?}", self.change))
    }

    /// Whether it came in the moment that the product promises nothing of (docs/reliability.md): after the last look at the
    /// setting by an invocation that then wrote it, because ECR has no conditional writes.
    pub(crate) fn came_after_the_last_look(&self, calls: &[Call]) -> bool {
        let (seen, overwritten) = self.change.seen_and_overwritten_by();
        let later = calls.iter().enumerate().skip(self.after);
        let mut writes = later.filter(|(_, call)| overwritten.contains(&call.operation.as_str()));
        writes.any(|(at, write)| {
            let before = calls.iter().take(at).enumerate();
            let mut own = before.filter(|(_, call)| call.invocation == write.invocation);
            let last = own.rfind(|(_, call)| call.operation == seen);
            last.is_some_and(|(read, _)| read < self.after)
        })
    }
}
