//! What is the same for all repositories of an account and region.

use std::collections::BTreeMap;

use ecr_warden_core::registry::ROOT;
use ecr_warden_core::repository::{Key, Read, Reads, RegistryScanning};
use futures_util::future::join_all;

use super::asked::{LoadError, asked, read};
use super::calls::{caches, key, scanning};
use crate::connect::clients::Regional;

/// What is the same for all repositories of an account and region.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    pub(super) scanning: Read<RegistryScanning>,
    /// Prefixes of the pull-through cache rules.
    pub(super) caches: Read<Vec<String>>,
    pub(super) keys: BTreeMap<String, Read<Option<Key>>>,
}

impl Surroundings {
    /// Adds what is asked for and not there yet.
    pub(crate) async fn add(&mut self, aws: &Regional, reads: &Reads) -> Result<(), LoadError> {
        let missing = Reads {
            scanning: reads.scanning && self.scanning == Read::NotAsked,
            pull_through: reads.pull_through && self.caches == Read::NotAsked,
            keys: reads
                .keys
                .iter()
                .filter(|key| !self.keys.contains_key(*key))
                .cloned()
                .collect(),
            ..Reads::default()
        };
        let Self {
            scanning,
            caches,
            keys,
        } = surroundings(aws, &missing).await?;
        if missing.scanning {
            self.scanning = scanning;
        }
        if missing.pull_through {
            self.caches = caches;
        }
        self.keys.extend(keys);
        Ok(())
    }

    /// Whether the registry has rules for when repositories are scanned, or may have some. Without any, each repository's own setting decides
    /// (ECR User Guide, basic scanning), which DescribeRepositories has.
    pub(crate) fn has_scan_rules(&self) -> bool {
        let registry = self.scanning.known();
        registry.is_none_or(|registry| registry.enhanced || !registry.rules.is_empty())
    }

    /// Gives up what is asked for and not there yet: why.
    pub(crate) fn give_up(&mut self, reads: &Reads, why: &str) {
        if reads.scanning && self.scanning == Read::NotAsked {
            self.scanning = Read::Unreadable(why.to_owned());
        }
        if reads.pull_through && self.caches == Read::NotAsked {
            self.caches = Read::Unreadable(why.to_owned());
        }
        for key in &reads.keys {
            let unreadable = || Read::Unreadable(why.to_owned());
            self.keys.entry(key.clone()).or_insert_with(unreadable);
        }
    }
}

pub(super) async fn surroundings(aws: &Regional, reads: &Reads) -> Result<Surroundings, LoadError> {
    let keys = join_all(reads.keys.iter().map(|name| Box::pin(key(aws, name))));
    let (scanning, caches, keys) = tokio::join!(
        asked(reads.scanning, scanning(aws)),
        asked(reads.pull_through, caches(aws)),
        keys,
    );
    let mut read_keys = BTreeMap::new();
    for (name, key) in reads.keys.iter().zip(keys) {
        read_keys.insert(name.clone(), read(key.map_err(Some))?);
    }
    Ok(Surroundings {
        scanning: read(scanning)?,
        caches: read(caches)?,
        keys: read_keys,
    })
}

/// The prefix of a rule that may fill any repository.
pub(super) const ANY_PREFIX: &str = ROOT;

/// A pull-through cache rule fills the repositories whose names begin with its prefix (API reference,
/// CreatePullThroughCacheRule). In doubt it does.
pub(super) fn fills(prefix: &str, name: &str) -> bool {
    let rest = name.strip_prefix(prefix);
    prefix == ANY_PREFIX || rest.is_some_and(|rest| rest.starts_with('/'))
}
