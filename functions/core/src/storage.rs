//! What a repository's images weigh, and what that costs a month.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::image::Image;
use crate::lifecycle::{Fate, fates};
use crate::policy::Resolved;
use crate::repository::Repository;
use crate::units::{cents, gigabytes};

const DAY: i64 = 24 * 60 * 60;

/// What one repository's images weigh and cost: estimates, because layers that images share are billed once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StorageCost {
    /// ARN.
    pub repository: String,
    pub images: usize,
    pub bytes: u64,
    pub monthly_usd: f64,
    /// Of that, for images without a tag that are no parts of a multi-platform image. In a repository with an image index, all that
    /// may be parts are left out.
    pub untagged_usd: f64,
    /// Of that, for images that were neither pushed nor pulled lately: see `old-after-days`.
    pub old_usd: f64,
    /// Of that, for images that the default of `no-lifecycle-policy` would have expired; what it would archive is left out, and so is what
    /// may be part of an index that stays. `null` where there is no such default or a lifecycle policy is there.
    pub default_lifecycle_saves_usd: Option<f64>,
    /// Why nothing is known: the images can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// What a repository's images cost at a time (seconds since the epoch); `None`: nobody asked.
#[must_use]
pub fn cost(repository: &Repository, policy: &Resolved, now: i64) -> Option<StorageCost> {
    let costs = policy.costs.as_ref()?;
    let mut cost = StorageCost {
        repository: repository.id.arn(),
        images: 0,
        bytes: 0,
        monthly_usd: 0.0,
        untagged_usd: 0.0,
        old_usd: 0.0,
        default_lifecycle_saves_usd: None,
        unreadable: None,
    };
    let images = match repository.images.required() {
        Ok(images) => images,
        Err(why) => {
            cost.unreadable = Some(why);
            return (repository.images != crate::repository::Read::NotAsked).then_some(cost);
        }
    };
    let usd = |bytes: u64| cents(gigabytes(bytes) * costs.price(&repository.id.region));
    let weight = |of: &mut dyn Iterator<Item = &Image>| {
        of.fold(0_u64, |sum, image| sum.saturating_add(image.bytes))
    };
    let limit = now.saturating_sub(i64::from(costs.old_after_days()).saturating_mul(DAY));
    let is_old = |image: &&Image| image.pushed_at.max(image.pulled_at.unwrap_or(i64::MIN)) < limit;
    cost.images = images.len();
    cost.bytes = weight(&mut images.iter());
    cost.monthly_usd = usd(cost.bytes);
    let has_index = images.iter().any(|image| image.index);
    let is_untagged = |image: &&Image| image.tags.is_empty() && !image.may_be_part(has_index);
    cost.untagged_usd = usd(weight(&mut images.iter().filter(is_untagged)));
    cost.old_usd = usd(weight(&mut images.iter().filter(is_old)));
    let default = policy
        .rules
        .iter()
        .find_map(|active| active.rule.default_lifecycle());
    if let (Some(default), Some(None)) = (default, repository.lifecycle.known()) {
        let fates = fates(&Value::Object(default.clone()), images, now);
        let fate_of = images.iter().zip(fates);
        let index_stays = fate_of
            .clone()
            .any(|(image, fate)| image.index && fate != Fate::Expired);
        let mut gone = fate_of
            .filter(|(image, fate)| *fate == Fate::Expired && !image.may_be_part(index_stays))
            .map(|(image, _)| image);
        cost.default_lifecycle_saves_usd = Some(usd(weight(&mut gone)));
    }
    Some(cost)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::evaluate::tests::repository;
    use crate::policy::Policy;
    use crate::repository::Read;

    const NOW: i64 = 1_000 * DAY;
    const COSTS: &str =
        "costs: { usd-per-gb-month: 0.1, regions: { eu-central-1: 0.2 }, free-gb: 0.5 }\n";

    fn image(days: i64, pulled: Option<i64>, gb: u64, tags: &[&str]) -> Image {
        Image {
            pushed_at: NOW - days * DAY,
            pulled_at: pulled.map(|days| NOW - days * DAY),
            bytes: gb * 1_000_000_000,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            index: false,
        }
    }

    fn index(days: i64, tags: &[&str]) -> Image {
        Image {
            index: true,
            ..image(days, None, 0, tags)
        }
    }

    fn cost_of(images: &[Image], rules: &str) -> Option<StorageCost> {
        let policy = Policy::parse(&format!(
            "version: 1\nmode: monitor\n{COSTS}rules: {rules}\n"
        ))
        .unwrap();
        let mut repository = repository();
        repository.images = Read::Known(Arc::from(images));
        let resolved = policy
            .for_repository(&repository.id, &repository.tags)
            .unwrap();
        cost(&repository, &resolved, NOW)
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn each_part_is_weighed() {
        let images = [
            image(10, None, 10, &["v2"]),
            image(200, Some(5), 20, &["v1"]),
            image(200, Some(100), 40, &[]),
        ];
        let cost = cost_of(&images, "{}").unwrap();
        assert_eq!((cost.images, cost.bytes), (3, 70_000_000_000));
        assert!(close(cost.monthly_usd, 14.0), "{cost:?}");
        assert!(close(cost.untagged_usd, 8.0), "{cost:?}");
        assert!(close(cost.old_usd, 8.0), "{cost:?}");
        assert_eq!(cost.default_lifecycle_saves_usd, None);
    }

    #[test]
    fn what_the_default_lifecycle_policy_would_have_saved() {
        let rules = "{ no-lifecycle-policy: { default: { rules: [{ rulePriority: 1, action: { type: expire }, selection: \
                     { tagStatus: untagged, countType: sinceImagePushed, countUnit: days, countNumber: 14 } }] } } }";
        let images = [image(30, None, 5, &[]), image(3, None, 7, &[])];
        let cost = cost_of(&images, rules).unwrap();
        assert!(
            close(cost.default_lifecycle_saves_usd.unwrap(), 1.0),
            "{cost:?}"
        );
    }

    /// ECR expires the platforms of a multi-platform image only after the index that names them.
    #[test]
    fn parts_of_an_index_save_nothing_while_it_stays() {
        let expire = |status: &str| {
            format!(
                "{{ no-lifecycle-policy: {{ deletes-tagged-images: true, default: {{ rules: [{{ rulePriority: 1, action: {{ type: expire }}, selection: \
                 {{ tagStatus: {status}, countType: sinceImagePushed, countUnit: days, countNumber: 14 }} }}] }} }} }}"
            )
        };
        let of = |images: &[Image], status: &str| {
            let cost = cost_of(images, &expire(status)).unwrap();
            (cost.untagged_usd, cost.default_lifecycle_saves_usd.unwrap())
        };
        let parts = [image(30, None, 5, &[]), image(30, None, 5, &[])];
        let with = |index: Image| [&parts[..], &[index]].concat();
        assert_eq!(of(&parts, "untagged"), (2.0, 2.0));
        assert_eq!(of(&with(index(30, &["v1"])), "untagged"), (0.0, 0.0));
        // The index expires, too, and its parts after it.
        assert_eq!(of(&with(index(30, &["v1"])), "any"), (0.0, 2.0));
        assert_eq!(of(&with(index(30, &[])), "untagged"), (0.0, 2.0));
    }

    #[test]
    fn without_an_answer_there_is_no_cost() {
        let policy = Policy::parse(&format!("version: 1\nmode: monitor\n{COSTS}")).unwrap();
        let mut repository = repository();
        let resolved = policy
            .for_repository(&repository.id, &repository.tags)
            .unwrap();
        repository.images = Read::NotAsked;
        assert_eq!(cost(&repository, &resolved, NOW), None);
        repository.images = Read::Unreadable("no".to_owned());
        let unknown = cost(&repository, &resolved, NOW).unwrap();
        assert_eq!(unknown.unreadable.as_deref(), Some("no"));
        let unpriced = Policy::parse("version: 1\nmode: monitor\n").unwrap();
        let unpriced = unpriced
            .for_repository(&repository.id, &repository.tags)
            .unwrap();
        assert_eq!(cost(&repository, &unpriced, NOW), None);
    }

    #[test]
    fn prices_are_checked() {
        let wrong = |costs: &str| {
            Policy::parse(&format!("version: 1\nmode: monitor\ncosts: {costs}\n")).unwrap_err();
        };
        wrong("{ usd-per-gb-month: -1 }");
        wrong("{ usd-per-gb-month: much }");
        wrong("{}");
        wrong("{ usd-per-gb-month: 0.1, regions: { x: .inf } }");
    }
}
