//! The identities that a policy trusts, compared with the values of principals and conditions.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::repository::is_account;

/// The identities that the policy trusts with a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The account that the repository belongs to.
    pub own: String,
    /// Account ids.
    pub accounts: BTreeSet<String>,
    /// `o-…`
    pub organizations: BTreeSet<String>,
    /// `o-…/r-…/ou-…/`, as `aws:PrincipalOrgPaths` has them; a `*` at the end includes all units below.
    pub organization_paths: BTreeSet<String>,
    /// `vpc-…`
    pub vpcs: BTreeSet<String>,
    /// `vpce-…`
    pub vpc_endpoints: BTreeSet<String>,
    pub services: Services,
}

impl Stranger {
    /// Whether the setting takes the id as it is written.
    pub(crate) fn fits(&self) -> bool {
        let only: BTreeSet<String> = [self.id.clone()].into();
        let mut trust = Trust::default();
        for (setting, list) in [
            (Setting::Accounts, &mut trust.accounts),
            (Setting::Organizations, &mut trust.organizations),
            (Setting::OrganizationPaths, &mut trust.organization_paths),
            (Setting::Vpcs, &mut trust.vpcs),
            (Setting::VpcEndpoints, &mut trust.vpc_endpoints),
        ] {
            if setting.name() == Some(self.setting) {
                list.clone_from(&only);
            }
        }
        trust.contradictions().is_empty()
    }
}

/// For whom an AWS service may act that a statement names without a condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Services {
    /// For any account.
    #[default]
    Any,
    /// A condition must say for whom.
    WithSource,
}

type Fits<'f> = &'f dyn Fn(&str) -> bool;

impl Trust {
    /// What is no id of what it should be, each in one line.
    pub(crate) fn contradictions(&self) -> Vec<String> {
        let vpc = |text: &str| text.starts_with("vpc-");
        let endpoint = |text: &str| text.starts_with("vpce-");
        let organization = |text: &str| text.starts_with("o-") && !text.contains(['/', '*', '?']);
        let path = |text: &str| text.starts_with("o-") && text.contains("/r-") && is_path(text);
        let lists: [(Setting, &BTreeSet<String>, Fits<'_>, &str); 5] = [
            (
                Setting::Accounts,
                &self.accounts,
                &is_account,
                "an account id",
            ),
            (
                Setting::Organizations,
                &self.organizations,
                &organization,
                "an organization's id (`o-…`)",
            ),
            (
                Setting::OrganizationPaths,
                &self.organization_paths,
                &path,
                "a path of organizational units (`o-…/r-…/ou-…/*`)",
            ),
            (Setting::Vpcs, &self.vpcs, &vpc, "a VPC's id (`vpc-…`)"),
            (
                Setting::VpcEndpoints,
                &self.vpc_endpoints,
                &endpoint,
                "a VPC endpoint's id (`vpce-…`)",
            ),
        ];
        let mut wrong = Vec::new();
        for (setting, listed, fits, what) in lists {
            for value in listed.iter().filter(|value| !fits(value)) {
                let name = setting.name().unwrap_or_default();
                let value = crate::text::one_line(value, 40);
                wrong.push(format!("{name}: `{value}` is not {what}"));
            }
        }
        wrong
    }
}

/// Whether a path has no wildcard but at its end.
fn is_path(text: &str) -> bool {
    !text.trim_end_matches('*').contains(['*', '?'])
}

/// The setting that trusts an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Setting {
    Accounts,
    Organizations,
    OrganizationPaths,
    Vpcs,
    VpcEndpoints,
    /// A service's condition does, not a setting.
    Services,
    /// None does.
    None,
}

impl Setting {
    pub(super) fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Accounts => "trusted-accounts",
            Self::Organizations => "trusted-organizations",
            Self::OrganizationPaths => "trusted-organization-paths",
            Self::Vpcs => "trusted-vpcs",
            Self::VpcEndpoints => "trusted-vpc-endpoints",
            Self::Services | Self::None => return None,
        })
    }
}

/// An identity that a statement names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) trusted: bool,
    /// It includes trusted callers.
    pub(super) some_trusted: bool,
    pub(super) setting: Setting,
    /// What the setting lists; empty: no setting can.
    pub(super) id: String,
    /// For messages: `account 111122223333`.
    pub(super) text: String,
}

/// An identity that is let in and not trusted, and the setting that would trust it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stranger {
    /// `trusted-accounts`, for example.
    pub setting: &'static str,
    pub id: String,
}

impl Trust {
    pub(super) fn account(&self, id: &str) -> Named {
        Named {
            trusted: id == self.own || self.accounts.contains(id),
            some_trusted: false,
            setting: Setting::Accounts,
            id: id.to_owned(),
            text: format!("account {id}"),
        }
    }

    pub(super) fn organization(&self, id: &str) -> Named {
        Named {
            trusted: self.organizations.contains(id),
            some_trusted: self.has_unit_under(id),
            setting: Setting::Organizations,
            id: id.to_owned(),
            text: format!("organization {id}"),
        }
    }

    /// A path of organizational units, which may end with `*`.
    pub(super) fn path(&self, path: &str) -> Named {
        let organization = path.split('/').next().unwrap_or_default();
        let under = |trusted: &String| match trusted.strip_suffix('*') {
            Some(trusted) => {
                let trusted = trusted.trim_end_matches(['*', '/']);
                let rest = path.strip_prefix(trusted);
                !trusted.is_empty()
                    && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            // The accounts in the unit itself, and none of the units below.
            None => path.trim_end_matches('/') == trusted.trim_end_matches('/'),
        };
        // What a pattern with an asterisk before its end matches is not worked out.
        let literal = path.split(['*', '?']).next().unwrap_or_default();
        let may_include = literal.len() < path.len()
            && self
                .organization_paths
                .iter()
                .any(|it| it.starts_with(literal));
        Named {
            trusted: self.organizations.contains(organization)
                || self.organization_paths.iter().any(under),
            some_trusted: may_include
                || self.has_unit_under(path.trim_end_matches('*').trim_end_matches('/')),
            setting: Setting::OrganizationPaths,
            id: path.to_owned(),
            text: format!("organization path {path}"),
        }
    }

    /// Whether a trusted organizational unit is part of this one, or of this organization.
    fn has_unit_under(&self, path: &str) -> bool {
        self.organization_paths.iter().any(|trusted| {
            let rest = trusted.strip_prefix(path);
            rest.is_some_and(|rest| rest.starts_with('/'))
        })
    }

    pub(super) fn vpc(&self, id: &str) -> Named {
        Named {
            trusted: self.vpcs.contains(id),
            // Trusted callers may come from there, too.
            some_trusted: true,
            setting: Setting::Vpcs,
            id: id.to_owned(),
            text: format!("callers through {id}"),
        }
    }

    pub(super) fn vpc_endpoint(&self, id: &str) -> Named {
        Named {
            trusted: self.vpc_endpoints.contains(id),
            // Trusted callers may come from there, too.
            some_trusted: true,
            setting: Setting::VpcEndpoints,
            id: id.to_owned(),
            text: format!("callers through {id}"),
        }
    }

    /// An ARN whose account is known.
    pub(super) fn arn(&self, account: &str, arn: &str) -> Named {
        let account = self.account(account);
        let whole = arn.ends_with(":root") || arn.ends_with(":*");
        Named {
            text: if whole {
                account.text
            } else {
                format!("{arn} of {}", account.text)
            },
            ..account
        }
    }

    /// The own account or organization, by a policy variable.
    pub(super) fn own(variable: &str) -> Named {
        Named {
            trusted: true,
            some_trusted: true,
            setting: Setting::None,
            id: String::new(),
            text: variable.to_owned(),
        }
    }
}

impl Named {
    /// An identity that no setting can trust.
    pub(super) fn other(text: &str) -> Self {
        Self {
            trusted: false,
            some_trusted: false,
            setting: Setting::None,
            id: String::new(),
            text: text.to_owned(),
        }
    }

    /// Whether trusted callers are among it, as far as accounts and organizations say.
    pub(super) fn may_be_trusted(&self) -> bool {
        let from_where = matches!(self.setting, Setting::Vpcs | Setting::VpcEndpoints);
        self.trusted || (self.some_trusted && !from_where)
    }

    /// `None`: it is trusted, or no setting can trust it.
    pub(super) fn stranger(&self) -> Option<Stranger> {
        let setting = self.setting.name().filter(|_| !self.trusted)?;
        Some(Stranger {
            setting,
            id: self.id.clone(),
        })
    }

    /// An AWS service, for whichever account it acts.
    pub(super) fn service(name: &str) -> Self {
        Self {
            setting: Setting::Services,
            ..Self::other(&format!("{name} for any AWS account"))
        }
    }

    /// All AWS services.
    pub(super) fn any_service() -> Self {
        Self::service("AWS services")
    }
}

/// The account of an ARN, where it says one: no wildcard and no variable.
pub(super) fn account_of(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let is_arn = parts.next() == Some("arn");
    let account = parts.nth(3)?;
    (is_arn && is_account(account)).then_some(account)
}
