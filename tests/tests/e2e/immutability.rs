//! A mutable repository becomes immutable, by an event and by nothing else.

use aws_sdk_ecr::types::ImageTagMutability;
use ecr_warden_tests::{eventually, oci, relay::Relay};
use std::time::Duration;

use crate::support::{World, call, status};

#[tokio::test]
async fn a_mutable_repository_is_repaired_and_told_once() {
    let world = World::shared();
    let mut inbox = world.inbox("immutability-once").await;
    let name = "shop/once";
    world.create(name).await;
    for round in 0..3 {
        let outcome = world.invoke(&call("CreateRepository", name)).await.unwrap();
        assert_eq!(outcome["schema"], "ecr-warden.outcome/1");
        assert_eq!(
            status(&outcome, "mutable-tags"),
            (round == 0).then_some("fixed"),
            "{outcome}"
        );
    }
    assert_eq!(
        world.mutability(name).await,
        ImageTagMutability::ImmutableWithExclusion
    );
    assert_eq!(world.count("PutImageTagMutability", name), 1);
    assert_eq!(inbox.alerts_of(name).await.unwrap().len(), 1);
}

/// A push arrives twice at the same moment: from ECR and from CloudTrail.
#[tokio::test]
async fn of_two_at_the_same_moment_one_speaks() {
    let world = World::shared();
    let mut inbox = world.inbox("immutability-two").await;
    for n in 0..5 {
        let name = format!("shop/two-{n}");
        world.create(&name).await;
        let event = call("PutImage", &name);
        let (one, other) = tokio::join!(world.deliver(&event), world.deliver(&event));
        one.unwrap();
        other.unwrap();
        assert_eq!(
            world.mutability(&name).await,
            ImageTagMutability::ImmutableWithExclusion
        );
        assert_eq!(inbox.alerts_of(&name).await.unwrap().len(), 1, "{name}");
    }
}

/// With a real client, through CloudTrail's record and the deployed rule.
#[tokio::test]
async fn creating_a_repository_makes_the_rule_fire() {
    let world = World::own();
    let relay = Relay::start(&world.clients).await.unwrap();
    let name = "shop/by-rule";
    world
        .local
        .cli(&["ecr", "create-repository", "--repository-name", name])
        .unwrap();
    // A taken tag can be pushed again as long as the repository is mutable, and that is not for long.
    let mut inbox = world.inbox("immutability-rule").await;
    let is_immutable = || async {
        Ok(
            (world.mutability(name).await == ImageTagMutability::ImmutableWithExclusion)
                .then_some(()),
        )
    };
    eventually("the repair", Duration::from_secs(90), is_immutable)
        .await
        .unwrap();
    // Our own change comes back as an event and is ignored: no third look at the repository.
    let own = || async {
        let looks = world.count("DescribeRepositories", name);
        Ok((looks >= 1).then_some(()))
    };
    eventually("the look", Duration::from_secs(10), own)
        .await
        .unwrap();
    relay.pushed(name, "v1", "sha256:1").await.unwrap();
    let looked_again =
        || async { Ok((world.count("DescribeRepositories", name) >= 2).then_some(())) };
    eventually("the push", Duration::from_secs(10), looked_again)
        .await
        .unwrap();
    assert_eq!(
        world.count("DescribeRepositories", name),
        2,
        "creation and push, not our own change"
    );
    assert!(inbox.alerts_of(name).await.unwrap().len() <= 1);
}

#[tokio::test]
async fn a_taken_tag_is_refused_after_the_repair_and_was_not_before() {
    let world = World::own();
    // Of a repository with exclusion filters the local AWS refuses no tag.
    world
        .set_policy("version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n")
        .await;
    let name = "shop/pushed";
    world.create(name).await;
    oci::push(&world.local, name, "v1", "one").await.unwrap();
    oci::push(&world.local, name, "v1", "two").await.unwrap();
    let outcome = world.invoke(&call("PutImage", name)).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    let refused = oci::push(&world.local, name, "v1", "three")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.to_lowercase().contains("immutable") || refused.contains("TAG_INVALID"),
        "{refused}"
    );
    oci::push(&world.local, name, "v2", "three").await.unwrap();
}

#[tokio::test]
async fn set_back_is_repaired_again() {
    let world = World::shared();
    let mut inbox = world.inbox("immutability-back").await;
    let name = "shop/back";
    world.create(name).await;
    world.invoke(&call("CreateRepository", name)).await.unwrap();
    world
        .clients
        .ecr
        .put_image_tag_mutability()
        .repository_name(name)
        .image_tag_mutability(ImageTagMutability::Mutable)
        .send()
        .await
        .unwrap();
    let outcome = world
        .invoke(&call("PutImageTagMutability", name))
        .await
        .unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    assert_eq!(inbox.alerts_of(name).await.unwrap().len(), 2);
}
