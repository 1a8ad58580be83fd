//! An empty repository with the wrong encryption is made anew, and keeps everything.

use aws_sdk_ecr::types::{EncryptionType, ImageScanningConfiguration, ImageTagMutability, Tag};
use ecr_warden_tests::oci;

use crate::support::{World, arn, call, status};

pub(crate) const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"readers","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"ecr:BatchGetImage"}]}"#;
pub(crate) const LIFECYCLE: &str = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":10},"action":{"type":"expire"}}]}"#;

/// A repository that has one of every setting.
pub(crate) async fn create_with_everything(world: &World, name: &str) {
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
    world
        .clients
        .ecr
        .create_repository()
        .repository_name(name)
        .image_tag_mutability(ImageTagMutability::Immutable)
        .image_scanning_configuration(
            ImageScanningConfiguration::builder()
                .scan_on_push(true)
                .build(),
        )
        .tags(tag("team", "payments"))
        .tags(tag("data", "sensitive"))
        .send()
        .await
        .unwrap();
    world
        .clients
        .ecr
        .set_repository_policy()
        .repository_name(name)
        .policy_text(POLICY)
        .send()
        .await
        .unwrap();
    world
        .clients
        .ecr
        .put_lifecycle_policy()
        .repository_name(name)
        .lifecycle_policy_text(LIFECYCLE)
        .send()
        .await
        .unwrap();
}

/// That everything of [`create_with_everything`] is there, and nothing else.
pub(crate) async fn assert_everything(world: &World, name: &str, encryption: &EncryptionType) {
    let repository = world.describe(name).await.expect("the repository is there");
    let mutability = repository.image_tag_mutability().unwrap();
    assert_eq!(*mutability, ImageTagMutability::Immutable, "{name}");
    assert!(
        repository
            .image_scanning_configuration()
            .unwrap()
            .scan_on_push(),
        "{name}"
    );
    let found = repository
        .encryption_configuration()
        .unwrap()
        .encryption_type();
    assert_eq!(found, encryption, "{name}");
    let ecr = &world.clients.ecr;
    let tags = ecr
        .list_tags_for_resource()
        .resource_arn(arn(name))
        .send()
        .await
        .unwrap();
    let mut tags: Vec<String> = tags
        .tags()
        .iter()
        .map(|tag| format!("{}={}", tag.key(), tag.value()))
        .collect();
    tags.sort();
    assert_eq!(tags, ["data=sensitive", "team=payments"], "{name}");
    let policy = ecr
        .get_repository_policy()
        .repository_name(name)
        .send()
        .await
        .unwrap();
    assert_eq!(policy.policy_text(), Some(POLICY), "{name}");
    let lifecycle = ecr
        .get_lifecycle_policy()
        .repository_name(name)
        .send()
        .await
        .unwrap();
    assert_eq!(lifecycle.lifecycle_policy_text(), Some(LIFECYCLE), "{name}");
}

#[tokio::test]
async fn every_setting_survives() {
    let world = World::shared();
    let mut inbox = world.inbox("recreate-all").await;
    let name = "payments/all";
    create_with_everything(&world, name).await;
    let outcome = world.invoke(&call("CreateRepository", name)).await.unwrap();
    assert_eq!(
        status(&outcome, "weak-encryption"),
        Some("fixed"),
        "{outcome}"
    );
    assert_eq!(outcome["actions"][0]["action"], "recreate", "{outcome}");
    assert_everything(&world, name, &EncryptionType::Kms).await;
    assert_eq!(world.state(name).await, ["fix#weak-encryption"]);
    let again = world.invoke(&call("CreateRepository", name)).await.unwrap();
    assert_eq!(again["findings"], serde_json::json!([]), "{again}");
    assert_eq!(inbox.alerts_of(name).await.unwrap().len(), 1);
}

#[tokio::test]
async fn one_with_images_is_reported_and_left_alone() {
    let world = World::shared();
    let mut inbox = world.inbox("recreate-images").await;
    let name = "payments/images";
    create_with_everything(&world, name).await;
    oci::push(world.local, name, "v1", "content").await.unwrap();
    for _ in 0..2 {
        let outcome = world.invoke(&call("PutImage", name)).await.unwrap();
        assert_eq!(
            status(&outcome, "weak-encryption"),
            Some("open"),
            "{outcome}"
        );
    }
    assert_everything(&world, name, &EncryptionType::Aes256).await;
    assert_eq!(world.count("DeleteRepository", name), 0);
    let alerts = inbox.alerts_of(name).await.unwrap();
    assert_eq!(alerts.len(), 1, "told once");
    assert!(
        alerts[0]["findings"][0]["advice"]
            .as_str()
            .unwrap()
            .contains("holds images")
    );
}

#[tokio::test]
async fn one_of_a_stack_is_reported_and_left_alone() {
    let world = World::shared();
    let name = "payments/of-a-stack";
    world.create(name).await;
    let tag = Tag::builder()
        .key("aws:cloudformation:stack-name")
        .value("shop")
        .build()
        .unwrap();
    world
        .clients
        .ecr
        .tag_resource()
        .resource_arn(arn(name))
        .tags(tag)
        .send()
        .await
        .unwrap();
    let outcome = world.invoke(&call("CreateRepository", name)).await.unwrap();
    assert_eq!(
        status(&outcome, "weak-encryption"),
        Some("open"),
        "{outcome}"
    );
    assert!(outcome.to_string().contains("stack `shop`"), "{outcome}");
    assert_eq!(world.count("DeleteRepository", name), 0);
}

/// The push comes between the last look and the deletion, as late as it can.
#[tokio::test]
async fn an_image_pushed_just_before_the_deletion_is_still_there() {
    let world = World::shared();
    let mut inbox = world.inbox("recreate-pushed").await;
    let name = "payments/pushed-late";
    create_with_everything(&world, name).await;
    // A plan cannot wait for a push, so the deletion is held back by throttling until the image is there.
    let pushed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (asked, mut was_asked) = tokio::sync::mpsc::unbounded_channel();
    let is_pushed = std::sync::Arc::clone(&pushed);
    world.local.proxy.plan(name, move |call| {
        if call.operation != "DeleteRepository" {
            return None;
        }
        let _ = asked.send(());
        let done = is_pushed.load(std::sync::atomic::Ordering::SeqCst);
        (!done).then_some(ecr_warden_tests::proxy::Fault::Throttle)
    });
    let event = call("CreateRepository", name);
    let (outcome, ()) = tokio::join!(world.deliver(&event), async {
        was_asked.recv().await.unwrap();
        oci::push(world.local, name, "v1", "precious")
            .await
            .unwrap();
        pushed.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    world.local.proxy.calm(name);
    let outcome = outcome.unwrap();
    assert_eq!(
        status(&outcome, "weak-encryption"),
        Some("open"),
        "{outcome}"
    );
    assert_everything(&world, name, &EncryptionType::Aes256).await;
    let images = world
        .clients
        .ecr
        .describe_images()
        .repository_name(name)
        .send()
        .await
        .unwrap();
    assert_eq!(images.image_details().len(), 1);
    assert!(!world.state(name).await.contains(&"recreate".to_owned()));
    let alert = inbox.wait_for(name).await.unwrap();
    assert!(alert.to_string().contains("image"), "{alert}");
}
