//! An audit with the caller's own credentials, of one region or of several.

use ecr_warden_aws::{
    AuditError, Caller, Clients, Home, Judged, RegionStep, Scanned, UnreadRegion, enabled_regions,
    survey_regions,
};
use ecr_warden_core::audit::{Audit, Request};
use ecr_warden_core::glob::Glob;
use ecr_warden_core::policy::Policy;
use ecr_warden_core::repository::check_region;

use crate::audit::progress::OfRegions;
use crate::failure::CommandError;
use crate::output::count;
use crate::progress::Progress;

/// Where the enabled regions are asked for, if no region is configured.
const WITHOUT_CONFIGURATION: &str = "us-east-1";
/// Regions that a message names at most.
const NAMED: usize = 4;

/// The regions that are asked for by --region.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Regions {
    /// The one that the AWS CLI would use.
    Configured,
    Named(Vec<String>),
    /// Those that are enabled for the account.
    All,
}

/// What an audit found, and what it could not read.
pub(crate) struct Surveyed {
    pub(crate) audit: Audit,
    /// Those that were to be kept.
    pub(crate) kept: Vec<Judged>,
    pub(crate) unread: Vec<UnreadRegion>,
    /// Regions that were asked for.
    regions: Vec<String>,
    /// Globs that match nothing that was read.
    unmatched: Vec<Glob>,
}

impl Regions {
    pub(crate) fn read(given: &[String]) -> Result<Self, String> {
        if given.iter().any(|region| region == "all") {
            return match given {
                [_] => Ok(Self::All),
                _ => Err("--region all: leave the other regions out".to_owned()),
            };
        }
        for region in given {
            check_region(region).map_err(|error| error.to_string())?;
        }
        let mut named = given.to_vec();
        named.sort();
        named.dedup();
        Ok(if named.is_empty() {
            Self::Configured
        } else {
            Self::Named(named)
        })
    }

    /// The clients, and who they work for. Of several regions, each may be one that is not enabled, so the caller is asked for in
    /// the configured one.
    pub(crate) async fn connect(
        &self,
        profile: Option<&str>,
    ) -> Result<(Clients, Caller), CommandError> {
        let (region, fallback) = match self {
            Self::Configured => (None, None),
            Self::Named(named) => match named.as_slice() {
                [one] => (Some(one.as_str()), None),
                several => (None, several.first().map(String::as_str)),
            },
            Self::All => (None, Some(WITHOUT_CONFIGURATION)),
        };
        let connected = Clients::of_profile_or(profile, region, fallback).await;
        Ok(connected?)
    }

    async fn list(&self, clients: &Clients, caller: &Caller) -> Result<Vec<String>, CommandError> {
        match self {
            Self::Configured => Ok(vec![caller.region.clone()]),
            Self::Named(named) => Ok(named.clone()),
            Self::All => enabled_regions(clients).await.map_err(|why| {
                CommandError::Aws(format!(
                    "--region all: the regions of account {} can't be listed: {why} (asked as {}); name each with --region instead",
                    caller.account, caller.arn
                ))
            }),
        }
    }
}

/// Audits the regions, and keeps the repositories and registries that are wanted. Those that cannot be read are named in the answer, unless none can.
pub(crate) async fn survey(
    clients: &Clients,
    caller: &Caller,
    policy: &Policy,
    request: &Request,
    regions: &Regions,
    keep: &(dyn Fn(&Judged) -> bool + Sync),
) -> Result<Surveyed, CommandError> {
    let progress = Progress::begin("listing the regions of the account");
    let regions = regions.list(clients, caller).await?;
    let home = Home {
        account: caller.account.clone(),
        region: match regions.as_slice() {
            [one] => one.clone(),
            _ => caller.region.clone(),
        },
    };
    let mut far = OfRegions {
        all: regions.len(),
        ..OfRegions::default()
    };
    let mut kept = Vec::new();
    let mut unmatched = request.repositories.clone();
    let surveyed = survey_regions(clients, policy, request, &home, &regions, &mut |step| {
        match step {
            RegionStep::Begins(region) => far.under_way.push(region.to_owned()),
            RegionStep::Ends(region) => {
                far.under_way.retain(|other| other != region);
                far.done = far.done.saturating_add(1);
            }
            RegionStep::Scanned(seen) => {
                let id = match seen {
                    Scanned::Judged(judged) => &judged.repository.id,
                    Scanned::Unjudged { id, .. } => id,
                };
                let one = usize::from(!id.is_registry());
                far.repositories = far.repositories.saturating_add(one);
                unmatched.retain(|glob| !glob.matches(&id.name));
                if let Scanned::Judged(judged) = seen
                    && keep(judged)
                {
                    kept.push((**judged).clone());
                }
            }
        }
        progress.set(&far.text());
    })
    .await;
    progress.end();
    let (audit, unread) = surveyed.map_err(|error| match error {
        AuditError::Request(why) => CommandError::Usage(why),
        AuditError::Aws(why) => CommandError::Aws(why),
    })?;
    // What is in no report is not repaired either.
    let is_read = |judged: &Judged| {
        !unread
            .iter()
            .any(|one| one.region == judged.repository.id.region)
    };
    kept.retain(is_read);
    let surveyed = Surveyed {
        audit,
        kept,
        unread,
        regions,
        unmatched,
    };
    if surveyed.unread.len() == surveyed.regions.len() {
        return surveyed.complete(caller).map(|()| surveyed);
    }
    surveyed.must_match(caller)?;
    Ok(surveyed)
}

impl Surveyed {
    /// A glob that matches nothing is a typo, or looks in the wrong place: but not if the right place could not be read.
    fn must_match(&self, caller: &Caller) -> Result<(), CommandError> {
        if self.unmatched.is_empty() || !self.unread.is_empty() {
            return Ok(());
        }
        let globs: Vec<String> = self.unmatched.iter().map(Glob::to_string).collect();
        let place = format!("account {}, {}", caller.account, named(&self.regions));
        Err(CommandError::Usage(nothing_matches(&globs, &place)))
    }

    /// Fails if a region could not be read.
    pub(crate) fn complete(&self, caller: &Caller) -> Result<(), CommandError> {
        let whys: Vec<&str> = self.unread.iter().map(|one| one.why.as_str()).collect();
        let asked_as = format!(
            "asked as {}; docs/operations.md lists the permissions of `audit`",
            caller.arn
        );
        match whys.as_slice() {
            [] => Ok(()),
            [one] if self.regions.len() == 1 => {
                Err(CommandError::Aws(format!("{one} ({asked_as})")))
            }
            several => {
                let mut text = format!(
                    "{} of {} could not be audited:\n  {}\n({asked_as})",
                    several.len(),
                    count(self.regions.len(), "region", "regions"),
                    several.join("\n  ")
                );
                for glob in &self.unmatched {
                    text.push_str(&format!("\nno repository matches `{glob}` in the others"));
                }
                Err(CommandError::Aws(text))
            }
        }
    }
}

fn named(regions: &[String]) -> String {
    if regions.len() > NAMED {
        count(regions.len(), "region", "regions")
    } else {
        regions.join(", ")
    }
}

/// What a glob that matches nothing is answered with.
pub(crate) fn nothing_matches(globs: &[String], place: &str) -> String {
    let quoted: Vec<String> = globs.iter().map(|glob| format!("`{glob}`")).collect();
    let mut text = format!(
        "--repository: no repository matches {} in {place}",
        quoted.join(", ")
    );
    // The likeliest mistake is the first part of a name.
    let plain = globs
        .iter()
        .find(|glob| !glob.contains(['*', '?', '[', '{']));
    if let Some(plain) = plain {
        let plain = plain.trim_end_matches('/');
        text.push_str(&format!(
            "; a glob matches the whole name: `{plain}/**` matches all names below `{plain}/`"
        ));
    }
    text.push_str(
        "; `aws ecr describe-repositories --query 'repositories[].repositoryName'` lists the names",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_all_or_named() {
        let read = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|region| (*region).to_owned()).collect();
            Regions::read(&given)
        };
        let named = |names: &[&str]| {
            Ok(Regions::Named(
                names.iter().map(|name| (*name).to_owned()).collect(),
            ))
        };
        assert_eq!(read(&[]), Ok(Regions::Configured));
        assert_eq!(read(&["all"]), Ok(Regions::All));
        assert_eq!(
            read(&["us-east-1", "eu-west-1", "us-east-1"]),
            named(&["eu-west-1", "us-east-1"])
        );
        for given in [&["all", "us-east-1"], &["us-east-1", "all"]] {
            assert_eq!(
                read(given),
                Err("--region all: leave the other regions out".to_owned())
            );
        }
        assert_eq!(
            read(&["EU WEST"]),
            Err("`EU WEST` is not a region".to_owned())
        );
    }

    #[test]
    fn the_first_part_of_a_name_is_answered_with_its_glob() {
        let text = nothing_matches(&["shop/".to_owned()], "account 1, eu-west-1");
        assert!(
            text.contains("`shop/**` matches all names below `shop/`"),
            "{text}"
        );
        let text = nothing_matches(&["shop/*".to_owned()], "account 1, eu-west-1");
        assert!(!text.contains("matches the whole name"), "{text}");
    }
}
