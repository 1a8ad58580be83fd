//! An empty repository with the wrong encryption is made anew, and keeps everything.

use aws_sdk_ecr::types::{EncryptionType, ImageScanningConfiguration, ImageTagMutability, Tag};
use ecr_warden_tests::oci;
use ecr_warden_tests::proxy::{Fault, Refusal};

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
    oci::push(&world.local, name, "v1", "content")
        .await
        .unwrap();
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

/// CloudFormation is asked who owns it: its tags do not say.
#[tokio::test]
async fn one_of_a_stack_is_reported_and_left_alone() {
    let world = World::shared();
    for (name, owned) in [
        ("payments/of-a-stack", ("shop", "AWS::ECR::Repository")),
        ("payments/a-queues-name", ("shop", "AWS::SQS::Queue")),
    ] {
        create_with_everything(&world, name).await;
        world.local.proxy.real_aws(|aws| {
            aws.cloudformation.owned.insert(name.to_owned(), owned);
        });
        let outcome = world.invoke(&call("CreateRepository", name)).await.unwrap();
        let is_repository = owned.1 == "AWS::ECR::Repository";
        let expected = if is_repository { "open" } else { "fixed" };
        let found = status(&outcome, "weak-encryption");
        assert_eq!(found, Some(expected), "{outcome}");
        if is_repository {
            assert!(outcome.to_string().contains("stack `shop`"), "{outcome}");
            assert_eq!(world.count("DeleteRepository", name), 0);
        }
    }
}

/// What could not be created again is not deleted: a tag that may not be set, a key of another kind, the old key that is disabled.
#[tokio::test]
async fn what_could_not_be_put_back_is_not_deleted() {
    let world = World::own();
    let key = |kind: &[&str]| {
        let create = [
            "kms",
            "create-key",
            "--query",
            "KeyMetadata.Arn",
            "--output",
            "text",
        ];
        let arn = world.local.cli(&[&create[..], kind].concat()).unwrap();
        arn.trim().to_owned()
    };
    let (good, old) = (key(&[]), key(&[]));
    let rsa = key(&["--key-spec", "RSA_2048", "--key-usage", "ENCRYPT_DECRYPT"]);
    let policy = |key: &str| {
        format!(
            "version: 1\nmode: enforce\nrules: {{ weak-encryption: {{ require: ALLOWED_KEYS, kms-key: \"{key}\", when-empty: recreate }} }}\n"
        )
    };
    let no_tags = Refusal::denied(
        "is not authorized to perform: ecr:TagResource with an explicit deny in a service control policy",
    );
    for (name, new, encrypted_by, why) in [
        ("weak/tags-x", &good, None, "ecr:TagResource"),
        ("weak/rsa-x", &rsa, None, "symmetric"),
        ("weak/old-key-x", &good, Some(&old), "not enabled"),
    ] {
        world.set_policy(&policy(new)).await;
        match encrypted_by {
            None => create_with_everything(&world, name).await,
            Some(old) => {
                let request = world.clients.ecr.create_repository().repository_name(name);
                let encryption = aws_sdk_ecr::types::EncryptionConfiguration::builder()
                    .encryption_type(EncryptionType::Kms)
                    .kms_key(old)
                    .build()
                    .unwrap();
                let request = request.encryption_configuration(encryption);
                request.send().await.unwrap();
                let disable = ["kms", "disable-key", "--key-id", old];
                world.local.cli(&disable).unwrap();
            }
        }
        if why == "ecr:TagResource" {
            world.local.proxy.plan(name, move |call| {
                (call.operation == "TagResource").then_some(Fault::Refuse(no_tags))
            });
        }
        let outcome = world
            .deliver(&call("CreateRepository", name))
            .await
            .unwrap();
        world.local.proxy.calm(name);
        let found = status(&outcome, "weak-encryption");
        assert_eq!(found, Some("open"), "{outcome}");
        assert!(outcome.to_string().contains(why), "{why}: {outcome}");
        assert_eq!(world.count("DeleteRepository", name), 0, "{outcome}");
        assert!(!world.state(name).await.contains(&"recreate".to_owned()));
    }
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
        oci::push(&world.local, name, "v1", "precious")
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
