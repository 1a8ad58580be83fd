//! Which repository, and the partition that it is in.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which repository, or which registry: enough to name it and to choose the clients that reach it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RepositoryId {
    /// Twelve digits.
    pub account: String,
    pub region: String,
    /// With its namespace: `payments/api`. Empty: it is the registry as a whole, because no repository is without a name.
    pub name: String,
}

/// The end of what stands for a registry's ARN.
const REGISTRY: &str = "registry";

/// Why a name, account or region cannot be one of ECR's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidId {
    #[error("`{0}` is not a repository name")]
    Name(String),
    #[error("`{0}` is not an account id")]
    Account(String),
    #[error("`{0}` is not a region")]
    Region(String),
}

impl RepositoryId {
    /// The registry that the repository is in.
    #[must_use]
    pub fn registry(&self) -> Self {
        Self::of_registry(&self.account, &self.region)
    }

    /// The same by account and region.
    #[must_use]
    pub fn of_registry(account: &str, region: &str) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            name: String::new(),
        }
    }

    #[must_use]
    pub fn is_registry(&self) -> bool {
        self.name.is_empty()
    }

    /// How messages name it.
    #[must_use]
    pub fn label(&self) -> String {
        if self.is_registry() {
            format!("registry {}", self.account)
        } else {
            self.name.clone()
        }
    }

    /// Its page in the AWS console.
    #[must_use]
    pub fn console_url(&self) -> String {
        let Self {
            account,
            region,
            name,
        } = self;
        let page = if self.is_registry() {
            format!("private-registry/permissions?region={region}")
        } else {
            format!("repositories/private/{account}/{name}?region={region}")
        };
        let host = match partition(region) {
            "aws-cn" => "console.amazonaws.cn",
            "aws-us-gov" => "console.amazonaws-us-gov.com",
            _ => "console.aws.amazon.com",
        };
        format!("https://{region}.{host}/ecr/{page}")
    }

    /// Whose record of repairs it is: the registry's, or the repository's own.
    #[must_use]
    pub fn subject(&self, of_registry: bool) -> Self {
        if of_registry {
            self.registry()
        } else {
            self.clone()
        }
    }

    /// Checks what comes from outside: the parts end up in ARNs, requests and messages.
    ///
    /// # Errors
    /// The first part that ECR would not accept (API reference, CreateRepository: 2 to 256 characters of
    /// lower-case letters, digits, `.`, `_`, `-` and `/`).
    pub fn new(account: &str, region: &str, name: &str) -> Result<Self, InvalidId> {
        let shown = |text: &str| crate::text::one_line(text, 80);
        let name_fits = (2..=256).contains(&name.len())
            && name
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/'));
        if !name_fits {
            return Err(InvalidId::Name(shown(name)));
        }
        if !is_account(account) {
            return Err(InvalidId::Account(shown(account)));
        }
        check_region(region)?;
        Ok(Self {
            account: account.to_owned(),
            region: region.to_owned(),
            name: name.to_owned(),
        })
    }

    /// From `arn:<partition>:ecr:<region>:<account>:repository/<name>`, or what [`arn`](Self::arn) says of a registry.
    #[must_use]
    pub fn from_arn(arn: &str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let (_, _, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, account) = (parts.next()?, parts.next()?);
        let resource = parts.next()?;
        if service != "ecr" {
            return None;
        }
        if resource == REGISTRY {
            let valid = is_account(account) && check_region(region).is_ok();
            return valid.then(|| Self::of_registry(account, region));
        }
        Self::new(account, region, resource.strip_prefix("repository/")?).ok()
    }

    /// The repository's ARN, in the partition that the region belongs to. AWS has no ARN for a registry: ecr-warden writes
    /// `arn:<partition>:ecr:<region>:<account>:registry`.
    #[must_use]
    pub fn arn(&self) -> String {
        let registry = format!(
            "arn:{}:ecr:{}:{}:",
            partition(&self.region),
            self.region,
            self.account
        );
        if self.is_registry() {
            format!("{registry}{REGISTRY}")
        } else {
            format!("{registry}repository/{}", self.name)
        }
    }

    /// The first part of the name, where it has more than one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.name.split_once('/').map(|(namespace, _)| namespace)
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn())
    }
}

/// Whether a region can be one; AWS is not asked whether it is. It ends up in names of hosts.
///
/// # Errors
/// It has other characters than lower-case letters, digits and `-`, or is too short or too long.
pub fn check_region(region: &str) -> Result<(), InvalidId> {
    let fits = (4..=32).contains(&region.len())
        && region
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if fits {
        Ok(())
    } else {
        Err(InvalidId::Region(crate::text::one_line(region, 80)))
    }
}

/// Whether a text is an account's id: twelve digits.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// AWS's partitions but for `aws`: how the names of their regions begin, and the domain of their services (botocore, `partitions.json`).
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("cn-", "aws-cn", "amazonaws.com.cn"),
    ("us-gov-", "aws-us-gov", "amazonaws.com"),
    ("us-iso-", "aws-iso", "c2s.ic.gov"),
    ("us-isob-", "aws-iso-b", "sc2s.sgov.gov"),
    ("eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"),
    ("us-isof-", "aws-iso-f", "csp.hci.ic.gov"),
    ("eusc-", "aws-eusc", "amazonaws.eu"),
];

/// The partition of a region (AWS General Reference, ARN format).
#[must_use]
pub fn partition(region: &str) -> &'static str {
    let of = PARTITIONS
        .iter()
        .find(|(begin, ..)| region.starts_with(begin));
    of.map_or("aws", |(_, partition, _)| *partition)
}

/// The domain of the services in a region.
#[must_use]
pub fn domain(region: &str) -> &'static str {
    let of = PARTITIONS
        .iter()
        .find(|(begin, ..)| region.starts_with(begin));
    of.map_or("amazonaws.com", |(.., domain)| *domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_belongs_to_a_partition() {
        for (region, partition_of, domain_of) in [
            ("eu-central-1", "aws", "amazonaws.com"),
            ("mx-central-1", "aws", "amazonaws.com"),
            ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
            ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
            ("us-iso-east-1", "aws-iso", "c2s.ic.gov"),
            ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
            ("eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk"),
            ("us-isof-south-1", "aws-iso-f", "csp.hci.ic.gov"),
            ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"),
        ] {
            assert_eq!(
                (partition(region), domain(region)),
                (partition_of, domain_of),
                "{region}"
            );
        }
    }

    #[test]
    fn an_arn_reads_back_as_the_id_it_was_made_from() {
        for region in ["eu-central-1", "us-gov-west-1", "cn-north-1"] {
            let id = RepositoryId::new("123456789012", region, "payments/api").unwrap();
            assert_eq!(RepositoryId::from_arn(&id.arn()), Some(id));
        }
        assert_eq!(RepositoryId::from_arn("arn:aws:s3:::bucket"), None);
    }

    #[test]
    fn hostile_parts_are_refused() {
        let of = RepositoryId::new;
        assert!(matches!(
            of("123456789012", "us-east-1", "A b"),
            Err(InvalidId::Name(_))
        ));
        assert!(matches!(
            of("123456789012", "us-east-1", &"x".repeat(257)),
            Err(InvalidId::Name(_))
        ));
        assert!(matches!(
            of("12345678901x", "us-east-1", "ab"),
            Err(InvalidId::Account(_))
        ));
        assert!(matches!(
            of("123456789012", "us:east", "ab"),
            Err(InvalidId::Region(_))
        ));
    }
}
