//! The repository that tests break one thing of.

use ecr_warden_core::repository::{
    Encryption, Read, RegistryScanning, Repository, RepositoryId, TagMutability,
};

/// A repository without a fault.
pub fn fine() -> Repository {
    Repository {
        id: RepositoryId {
            account: "123456789012".to_owned(),
            region: "eu-central-1".to_owned(),
            name: "payments/api".to_owned(),
        },
        created_at: Some(1_700_000_000_000),
        mutability: TagMutability::Immutable,
        encryption: Encryption::kms(None),
        scan_on_push: true,
        tags: Read::Known([("team".to_owned(), "payments".to_owned())].into()),
        policy: Read::Known(None),
        lifecycle: Read::Known(None),
        has_images: Read::Known(false),
        recent_tags: Read::Known([].into()),
        scanning: Read::Known(RegistryScanning::default()),
        scan_frequency: Read::NotAsked,
        pull_through: Read::Known(false),
        root_cache: false,
        creator: None,
        images: Read::NotAsked,
        replicated: false,
        pushed: None,
        keys: [].into(),
    }
}
