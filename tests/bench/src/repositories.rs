//! Repositories made up from their number: as many as one likes, and none is kept.

use std::fmt::Write;

use crate::{ACCOUNT, REGION};

const TEAMS: [&str; 10] = [
    "payments", "shop", "web", "data", "search", "mobile", "identity", "billing", "media",
    "platform",
];

/// Knuth's, for multiplicative hashing: the golden ratio of 64 bits.
const MULTIPLIER: usize = 0x9E37_79B9_7F4A_7C15;
/// More than there are faults.
const MANY: usize = 128;

/// What may be wrong with a repository. Each is wrong with about one in so many.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    MutableTags = 11,
    /// AES256 instead of KMS.
    WeakEncryption = 7,
    NotScanned = 13,
    NoLifecyclePolicy = 17,
    NoTags = 19,
    PublicAccess = 97,
}

/// The repositories of a registry.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Repositories {
    pub(crate) count: usize,
    /// Faults are so many times rarer. 1 is the ordinary mixture.
    pub(crate) rarity: usize,
}

#[derive(Clone, Copy)]
pub(crate) struct Repository {
    number: usize,
    rarity: usize,
}

impl Repositories {
    pub(crate) fn all(self) -> impl Iterator<Item = Repository> {
        self.from(0)
    }

    pub(crate) fn from(self, first: usize) -> impl Iterator<Item = Repository> {
        let rarity = self.rarity.max(1);
        (first..self.count).map(move |number| Repository { number, rarity })
    }

    pub(crate) fn named(self, name: &str) -> Option<Repository> {
        let number = name.rsplit('-').next()?.parse().ok()?;
        let repository = self.from(number).next()?;
        (repository.name() == name).then_some(repository)
    }
}

impl Repository {
    pub(crate) fn has(self, fault: Fault) -> bool {
        let every = (fault as usize).saturating_mul(self.rarity);
        // Mixed, so that no fault keeps to one team or to the company of another.
        let mixed = self.number.wrapping_mul(MANY).wrapping_add(fault as usize);
        (mixed.wrapping_mul(MULTIPLIER) >> 33).is_multiple_of(every)
    }

    /// Whether the shipped policy asks for KMS here.
    pub(crate) fn is_sensitive(self) -> bool {
        self.team() == "payments"
    }

    fn team(self) -> &'static str {
        TEAMS[self.number % TEAMS.len()]
    }

    pub(crate) fn name(self) -> String {
        format!("{}/service-{:06}", self.team(), self.number)
    }

    /// As an element of what DescribeRepositories answers.
    pub(crate) fn describe(self, out: &mut String) {
        let name = self.name();
        let mutability = if self.has(Fault::MutableTags) {
            r#""MUTABLE""#
        } else if self.number.is_multiple_of(5) {
            r#""IMMUTABLE_WITH_EXCLUSION","imageTagMutabilityExclusionFilters":[{"filterType":"WILDCARD","filter":"latest"}]"#
        } else {
            r#""IMMUTABLE""#
        };
        let encryption = if self.has(Fault::WeakEncryption) {
            r#"{"encryptionType":"AES256"}"#.to_owned()
        } else {
            format!(
                r#"{{"encryptionType":"KMS","kmsKey":"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-4000-8000-000000000000"}}"#
            )
        };
        let scanned = !self.has(Fault::NotScanned);
        let created = 1_700_000_000_usize.saturating_add(self.number);
        // INVARIANT: writing to a string does not fail.
        let _ = write!(
            out,
            r#"{{"repositoryArn":"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}","registryId":"{ACCOUNT}","repositoryName":"{name}","repositoryUri":"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{name}","createdAt":{created},"imageTagMutability":{mutability},"imageScanningConfiguration":{{"scanOnPush":{scanned}}},"encryptionConfiguration":{encryption}}}"#
        );
    }

    /// The value of its resource tag `team`.
    pub(crate) fn tag(self) -> Option<&'static str> {
        (!self.has(Fault::NoTags)).then(|| self.team())
    }

    /// One in three has a repository policy.
    pub(crate) fn policy(self) -> Option<String> {
        let principal = if self.has(Fault::PublicAccess) {
            r#""*""#.to_owned()
        } else if self.number.is_multiple_of(3) {
            format!(r#"{{"AWS":"arn:aws:iam::{ACCOUNT}:root"}}"#)
        } else {
            return None;
        };
        Some(format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"pull","Effect":"Allow","Principal":{principal},"Action":"ecr:BatchGetImage"}}]}}"#
        ))
    }

    pub(crate) fn lifecycle_policy(self) -> Option<&'static str> {
        (!self.has(Fault::NoLifecyclePolicy)).then_some(
            r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":100},"action":{"type":"expire"}}]}"#,
        )
    }

    /// Its images, newest first: when they were pushed, their digests and tags.
    pub(crate) fn images(self) -> impl Iterator<Item = (usize, String, &'static str)> {
        let tags = ["latest", "v1.2.0", "v1.1.0"];
        let number = self.number;
        let how_many = number % 4;
        tags.into_iter()
            .take(how_many)
            .enumerate()
            .map(move |(n, tag)| {
                let pushed = 1_750_000_000_usize.saturating_sub(n);
                (pushed, format!("sha256:{number:062x}{n:02x}"), tag)
            })
    }
}

/// What single events are about.
pub(crate) const REPOSITORIES: Repositories = Repositories {
    count: 100,
    rarity: 1,
};

/// One of these that nothing sensitive is asked of, with tags that are mutable or not.
pub(crate) fn one(mutable: bool) -> Result<Repository, crate::Problem> {
    let fits = |r: &Repository| !r.is_sensitive() && r.has(Fault::MutableTags) == mutable;
    let found = REPOSITORIES.all().find(fits);
    Ok(found.ok_or("there is none such")?)
}
