//! Reading and changing against a server: loading after a change equals the change made to the snapshot before. And what
//! ministack does not know of ECR, with moto in its place.

use std::collections::BTreeMap;

use aws_sdk_ecr::types::{
    ImageScanningConfiguration, ImageTagMutability, ImageTagMutabilityExclusionFilter,
    ImageTagMutabilityExclusionFilterType, Tag,
};
use ecr_warden_aws::{Clients, Regional, apply, load_once};
use ecr_warden_core::action::Action;
use ecr_warden_core::quarantine;
use ecr_warden_core::repository::{
    Reads, RegistryScanning, Repository, RepositoryId, ScanFrequency, ScanRule, TagMutability,
};
use ecr_warden_tests::clients::{self, config};
use ecr_warden_tests::local_aws::REGION;
use ecr_warden_tests::moto::Moto;
use serde_json::Value;

use crate::recreate::{LIFECYCLE, POLICY};
use crate::support::{World, call, status};

/// A server, as the product and as people see it.
struct Ecr {
    product: Regional,
    people: clients::Clients,
    account: String,
    reads: Reads,
}

impl Ecr {
    fn at(endpoint: &str, account: &str, scanning: bool) -> Self {
        let product = Clients::new(config(endpoint), None)
            .of(account, REGION)
            .unwrap();
        Self {
            product,
            people: clients::Clients::new(endpoint),
            account: account.to_owned(),
            reads: Reads {
                recent_tags: true,
                scanning,
                ..Reads::of_recreation()
            },
        }
    }

    async fn create(&self, name: &str) -> RepositoryId {
        let tag = Tag::builder().key("team").value("shop").build().unwrap();
        self.people
            .ecr
            .create_repository()
            .repository_name(name)
            .tags(tag)
            .image_scanning_configuration(
                ImageScanningConfiguration::builder()
                    .scan_on_push(false)
                    .build(),
            )
            .send()
            .await
            .unwrap();
        RepositoryId::new(&self.account, REGION, name).unwrap()
    }

    async fn load(&self, id: &RepositoryId) -> Repository {
        load_once(&self.product, id, &self.reads).await.unwrap()
    }

    /// Makes each change, then undoes it, and compares what is there with what the change says.
    async fn hold_to(&self, name: &str, actions: &[Action]) {
        let id = self.create(name).await;
        let made = self.load(&id).await;
        for action in actions {
            let before = self.load(&id).await;
            assert_eq!(action.stands_on(&before), Ok(true), "{action:?}");
            let mut expected = before.clone();
            action.apply_to(&mut expected);
            assert_ne!(before, expected);
            apply(&self.product, &id, action).await.unwrap();
            assert_eq!(self.load(&id).await, expected, "{action:?}");
            // It is idempotent.
            apply(&self.product, &id, action).await.unwrap();
            assert_eq!(self.load(&id).await, expected, "{action:?}");
        }
        for action in actions.iter().rev() {
            let reverse = action.reverse().unwrap();
            apply(&self.product, &id, &reverse).await.unwrap();
            assert_eq!(
                reverse.is_done(&self.load(&id).await),
                Ok(true),
                "{reverse:?}"
            );
        }
        assert_eq!(self.load(&id).await, made, "everything was put back");
    }
}

fn everywhere() -> Vec<Action> {
    let quarantined = quarantine::impose(Some(POLICY)).unwrap();
    let tags = |value: Option<&str>| -> BTreeMap<String, Option<String>> {
        [("data".to_owned(), value.map(str::to_owned))].into()
    };
    vec![
        Action::SetTagMutability {
            from: TagMutability::Mutable,
            to: TagMutability::Immutable,
        },
        Action::SetScanOnPush {
            from: false,
            to: true,
        },
        Action::SetLifecyclePolicy {
            from: None,
            to: Some(LIFECYCLE.to_owned()),
        },
        Action::SetRepositoryPolicy {
            from: None,
            to: Some(POLICY.to_owned()),
        },
        Action::SetRepositoryPolicy {
            from: Some(POLICY.to_owned()),
            to: Some(quarantined),
        },
        Action::SetTags {
            from: tags(None),
            to: tags(Some("sensitive")),
        },
        Action::SetTags {
            from: tags(Some("sensitive")),
            to: tags(Some("public")),
        },
    ]
}

#[tokio::test]
async fn what_is_applied_is_what_is_loaded() {
    let world = World::shared();
    let ministack = Ecr::at(&world.local.endpoint, "000000000000", false);
    ministack.hold_to("shop/applied", &everywhere()).await;
}

/// moto keeps exclusion filters and the registry's scanning, and its answers leave some of it out.
#[tokio::test]
async fn filters_and_registry_scanning_are_applied_too() {
    let server = Moto::start().unwrap();
    let moto = Ecr::at(&server.endpoint(), "123456789012", true);
    let filters = |of: &[&str]| of.iter().map(|f| (*f).to_owned()).collect();
    let basic = RegistryScanning::default();
    let wider = RegistryScanning {
        enhanced: false,
        rules: vec![ScanRule {
            frequency: ScanFrequency::ScanOnPush,
            filters: filters(&["shop/*", "payments"]),
        }],
    };
    let mut actions = everywhere();
    // The SDK leaves `false` out of a request, which moto takes for no change; to AWS it is the default.
    actions.retain(|action| !matches!(action, Action::SetScanOnPush { .. }));
    actions.extend([
        Action::SetTagMutability {
            from: TagMutability::Immutable,
            to: TagMutability::ImmutableWithExclusion(filters(&["latest", "cache*"])),
        },
        Action::SetRegistryScanning {
            from: basic,
            to: wider,
        },
    ]);
    moto.hold_to("shop/applied", &actions).await;
}

/// The whole function, with moto for ECR.
const POLICY_FILE: &str = "\
version: 1
mode: enforce
rules:
  blocked-push: {}
  mutable-tags: { allow-exclusions: [latest, cache*] }
  no-scan-on-push: { fix: registry, registry-filters: [\"shop/*\"] }
";

#[tokio::test]
async fn immutability_breaks_nobody_and_the_registry_scans() {
    let world = World::own();
    let moto = Moto::start().unwrap();
    world.set_policy(POLICY_FILE).await;
    // moto's account is another one, and of ECR the function needs these.
    for operation in [
        "DescribeRepositories",
        "DescribeImages",
        "PutImageTagMutability",
        "PutImageScanningConfiguration",
    ] {
        world.local.proxy.route(operation, moto.port);
    }
    let ecr = moto.clients().ecr;
    let create = async |name: &str, filters: &[&str]| {
        let mut request = ecr.create_repository().repository_name(name);
        if !filters.is_empty() {
            let filters = filters.iter().map(|filter| {
                ImageTagMutabilityExclusionFilter::builder()
                    .filter_type(ImageTagMutabilityExclusionFilterType::Wildcard)
                    .filter(*filter)
                    .build()
                    .unwrap()
            });
            request = request
                .image_tag_mutability(ImageTagMutability::ImmutableWithExclusion)
                .set_image_tag_mutability_exclusion_filters(Some(filters.collect()));
        }
        request.send().await.unwrap();
    };
    let describe = async |name: &str| {
        let answer = ecr
            .describe_repositories()
            .repository_names(name)
            .send()
            .await
            .unwrap();
        let repository = answer.repositories.unwrap().remove(0);
        let mut filters: Vec<String> = repository
            .image_tag_mutability_exclusion_filters()
            .iter()
            .map(|filter| filter.filter().to_owned())
            .collect();
        filters.sort();
        (repository.image_tag_mutability.unwrap(), filters)
    };
    let excluding = |filters: &[&str]| {
        let filters: Vec<String> = filters.iter().map(|f| (*f).to_owned()).collect();
        (ImageTagMutability::ImmutableWithExclusion, filters)
    };

    // `latest` and a cache are in use; `nightly` moves, too, and the policy does not let it.
    create("shop/used", &[]).await;
    for (tag, content) in [
        ("latest", "1"),
        ("cache-main", "2"),
        ("nightly", "3"),
        ("v1", "4"),
    ] {
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": { "digest": format!("sha256:{content:0>64}"), "size": 1 },
            "layers": [{ "digest": format!("sha256:{content:1>64}"), "size": 1 }],
        });
        ecr.put_image()
            .repository_name("shop/used")
            .image_manifest(manifest.to_string())
            .image_tag(tag)
            .send()
            .await
            .unwrap();
    }
    let outcome = world.invoke(&call("PutImage", "shop/used")).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    assert!(
        outcome
            .to_string()
            .contains("`allow-exclusions` match them): `nightly`"),
        "{outcome}"
    );
    assert_eq!(
        describe("shop/used").await,
        excluding(&["cache*", "latest"])
    );
    // The registry is widened once, for all that its filters cover.
    assert_eq!(
        status(&outcome, "no-scan-on-push"),
        Some("fixed"),
        "{outcome}"
    );
    let again = world.invoke(&call("PutImage", "shop/used")).await.unwrap();
    assert_eq!(again["findings"], Value::Array(Vec::new()), "{again}");

    // A push of an allowed tag that was refused all the same is granted its filter.
    create("shop/plain", &[]).await;
    let plain = ecr.put_image_tag_mutability().repository_name("shop/plain");
    let plain = plain.image_tag_mutability(ImageTagMutability::Immutable);
    plain.send().await.unwrap();
    let mut refused = call("PutImage", "shop/plain");
    refused["detail"]["requestParameters"]["imageTag"] = serde_json::json!("latest");
    refused["detail"]["errorCode"] = serde_json::json!("ImageTagAlreadyExistsException");
    let outcome = world.invoke(&refused).await.unwrap();
    assert_eq!(status(&outcome, "blocked-push"), Some("fixed"), "{outcome}");
    assert_eq!(describe("shop/plain").await, excluding(&["latest"]));

    // Filters that are allowed stay, others go.
    create("shop/filters", &["latest", "v*"]).await;
    let outcome = world
        .invoke(&call("CreateRepository", "shop/filters"))
        .await
        .unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    assert_eq!(
        status(&outcome, "no-scan-on-push"),
        None,
        "covered: {outcome}"
    );
    assert_eq!(
        describe("shop/filters").await,
        excluding(&["cache*", "latest"])
    );

    // No filter of the policy covers this one: people.
    create("other/api", &[]).await;
    let outcome = world
        .invoke(&call("CreateRepository", "other/api"))
        .await
        .unwrap();
    assert_eq!(
        status(&outcome, "no-scan-on-push"),
        Some("open"),
        "{outcome}"
    );

    // What a pull-through cache fills is told apart.
    world.local.proxy.set_pull_through_caches(&["docker-hub"]);
    create("docker-hub/nginx", &[]).await;
    let outcome = world
        .invoke(&call("CreateRepository", "docker-hub/nginx"))
        .await
        .unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("open"), "{outcome}");
    assert_eq!(
        describe("docker-hub/nginx").await.0,
        ImageTagMutability::Mutable
    );
    create("docker-hub-mirror", &[]).await;
    let outcome = world
        .invoke(&call("CreateRepository", "docker-hub-mirror"))
        .await
        .unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
}
