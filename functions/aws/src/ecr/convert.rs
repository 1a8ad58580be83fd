//! ECR's words and ours: what DescribeRepositories answers as a snapshot, and a snapshot as a request.

use std::collections::BTreeSet;

use aws_sdk_ecr::error::BuildError;
use aws_sdk_ecr::types::{
    EncryptionConfiguration, EncryptionType as EcrEncryption, ImageTagMutability,
    ImageTagMutabilityExclusionFilter, ImageTagMutabilityExclusionFilterType,
    RegistryScanningConfiguration, RegistryScanningRule, ScanFrequency as EcrFrequency, ScanType,
    ScanningRepositoryFilter, ScanningRepositoryFilterType,
};
use ecr_warden_core::repository::{
    Encryption, EncryptionType, RegistryScanning, ScanFrequency, ScanRule, TagMutability,
};

/// A setting and its filters as the core knows them.
pub(crate) fn mutability(
    value: Option<&ImageTagMutability>,
    filters: &[ImageTagMutabilityExclusionFilter],
) -> TagMutability {
    let known: Option<BTreeSet<String>> = filters
        .iter()
        .map(|filter| {
            (*filter.filter_type() == ImageTagMutabilityExclusionFilterType::Wildcard)
                .then(|| filter.filter().to_owned())
        })
        .collect();
    let Some(filters) = known else {
        return TagMutability::Unknown(
            "an exclusion filter of another type than WILDCARD".to_owned(),
        );
    };
    TagMutability::named(value.map(ImageTagMutability::as_str), filters)
}

/// The same as a request has it; `None` for what this version does not know and so never writes.
pub(crate) fn mutability_request(
    wanted: &TagMutability,
) -> Option<(
    ImageTagMutability,
    Option<Vec<ImageTagMutabilityExclusionFilter>>,
)> {
    let request = |filters: &BTreeSet<String>| -> Option<Vec<_>> {
        filters
            .iter()
            .map(|filter| {
                ImageTagMutabilityExclusionFilter::builder()
                    .filter_type(ImageTagMutabilityExclusionFilterType::Wildcard)
                    .filter(filter)
                    .build()
                    .ok()
            })
            .collect()
    };
    Some(match wanted {
        TagMutability::Mutable => (ImageTagMutability::Mutable, None),
        TagMutability::Immutable => (ImageTagMutability::Immutable, None),
        TagMutability::ImmutableWithExclusion(filters) => (
            ImageTagMutability::ImmutableWithExclusion,
            Some(request(filters)?),
        ),
        TagMutability::MutableWithExclusion(filters) => (
            ImageTagMutability::MutableWithExclusion,
            Some(request(filters)?),
        ),
        TagMutability::Unknown(_) => return None,
    })
}

pub(crate) fn encryption(configuration: Option<&EncryptionConfiguration>) -> Encryption {
    Encryption::named(
        configuration.map(|it| it.encryption_type().as_str()),
        configuration.and_then(EncryptionConfiguration::kms_key),
    )
}

pub(crate) fn encryption_request(
    wanted: &Encryption,
) -> Result<EncryptionConfiguration, BuildError> {
    EncryptionConfiguration::builder()
        .encryption_type(match &wanted.kind {
            EncryptionType::Aes256 => EcrEncryption::Aes256,
            EncryptionType::Kms => EcrEncryption::Kms,
            EncryptionType::KmsDsse => EcrEncryption::KmsDsse,
            EncryptionType::Unknown(other) => EcrEncryption::from(other.as_str()),
        })
        .set_kms_key(wanted.kms_key.clone())
        .build()
}

pub(crate) fn scan_frequency(frequency: &EcrFrequency) -> ScanFrequency {
    match frequency {
        EcrFrequency::ScanOnPush => ScanFrequency::ScanOnPush,
        EcrFrequency::ContinuousScan => ScanFrequency::ContinuousScan,
        EcrFrequency::Manual => ScanFrequency::Manual,
        other => ScanFrequency::Unknown(other.as_str().to_owned()),
    }
}

/// The registry's scanning configuration; without one, basic scanning by hand.
pub(crate) fn scanning(configuration: Option<&RegistryScanningConfiguration>) -> RegistryScanning {
    let Some(configuration) = configuration else {
        return RegistryScanning::default();
    };
    let mut rules: Vec<ScanRule> = configuration
        .rules()
        .iter()
        .map(|rule| ScanRule {
            frequency: scan_frequency(rule.scan_frequency()),
            filters: rule
                .repository_filters()
                .iter()
                .map(|filter| filter.filter().to_owned())
                .collect(),
        })
        .collect();
    rules.sort_by(|a, b| a.frequency.cmp(&b.frequency));
    RegistryScanning {
        enhanced: configuration.scan_type() == Some(&ScanType::Enhanced),
        rules,
    }
}

/// The same as a request has it.
pub(crate) fn scanning_request(
    wanted: &RegistryScanning,
) -> Result<(ScanType, Vec<RegistryScanningRule>), BuildError> {
    let kind = if wanted.enhanced {
        ScanType::Enhanced
    } else {
        ScanType::Basic
    };
    let rules: Result<Vec<_>, _> = wanted
        .rules
        .iter()
        .map(|rule| {
            let filters: Result<Vec<_>, _> = rule
                .filters
                .iter()
                .map(|filter| {
                    ScanningRepositoryFilter::builder()
                        .filter(filter)
                        .filter_type(ScanningRepositoryFilterType::Wildcard)
                        .build()
                })
                .collect();
            RegistryScanningRule::builder()
                .scan_frequency(EcrFrequency::from(rule.frequency.name()))
                .set_repository_filters(Some(filters?))
                .build()
        })
        .collect();
    Ok((kind, rules?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutability_survives_the_way_there_and_back() {
        let filters: BTreeSet<String> = ["latest".to_owned(), "dev-*".to_owned()].into();
        for ours in [
            TagMutability::Mutable,
            TagMutability::Immutable,
            TagMutability::ImmutableWithExclusion(filters.clone()),
            TagMutability::MutableWithExclusion(filters),
        ] {
            let (value, filters) = mutability_request(&ours).unwrap();
            assert_eq!(mutability(Some(&value), &filters.unwrap_or_default()), ours);
        }
    }

    #[test]
    fn what_is_unknown_is_never_written() {
        let later = ImageTagMutability::from("IMMUTABLE_LATER");
        let ours = mutability(Some(&later), &[]);
        assert_eq!(ours, TagMutability::Unknown("IMMUTABLE_LATER".to_owned()));
        assert_eq!(mutability_request(&ours), None);
    }

    #[test]
    fn encryption_survives_the_way_there_and_back() {
        for ours in [
            Encryption::aes256(),
            Encryption::kms(None),
            Encryption::kms(Some("alias/ecr")),
        ] {
            assert_eq!(encryption(Some(&encryption_request(&ours).unwrap())), ours);
        }
        assert_eq!(encryption(None), Encryption::aes256());
    }
}
