//! An operator stops all changes while an event is under way.

use aws_sdk_ecr::types::{EncryptionType, ImageTagMutability};
use ecr_warden_tests::proxy::Fault;

use super::Stopped;
use crate::careful::{ecr_warden, said};
use crate::crash::traced;
use crate::recreate::create_with_everything;
use crate::support::{World, call, status};
use tokio::sync::OnceCell;

/// Of its own: the switch stops the changes of all tests that share a deployment.
async fn world() -> World {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    traced(&WORLD, super::POLICY).await
}

/// The event has read the repository, which it would repair, and stands. A recreation that was begun before is finished.
#[tokio::test]
async fn the_switch_holds_against_an_event_under_way() {
    let world = world().await;
    let (name, begun) = ("both/switched-x", "weak/begun-x");
    world.create(name).await;
    create_with_everything(&world, begun).await;
    let enforcer = &world.stack.enforcer;
    world.local.proxy.plan(begun, |call| {
        (call.operation == "DeleteRepository").then_some(Fault::Kill)
    });
    let event = call("CreateRepository", begun);
    let killed = world.invoke_message(enforcer, "begun", &event).await;
    killed.expect_err("it was killed");
    world.local.proxy.calm(begun);
    assert!(world.describe(begun).await.is_none(), "it was deleted");

    // The first use builds the command, and an event cannot stand for that long.
    said(&ecr_warden(&world, &["rules"]), 0);
    let reads = Stopped::at(&world, name, "DescribeRepositories", 0);
    let created = call("CreateRepository", name);
    let first = world.invoke(&created);
    let stop = async {
        let stop = ["stop", "--reason", "INC-8"];
        reads
            .meanwhile(&world, async { said(&ecr_warden(&world, &stop), 0) })
            .await
    };
    let (first, _) = tokio::join!(first, stop);
    world.local.proxy.calm(name);
    let first = first.unwrap();
    let finding = &first["findings"][0];
    assert_eq!(finding["reason"], "stopped", "{first}");
    assert_eq!(world.mutability(name).await, ImageTagMutability::Mutable);

    world.let_leases_run_out(begun).await;
    let finished = world.deliver(&event).await.unwrap();
    assert_eq!(
        status(&finished, "weak-encryption"),
        Some("fixed"),
        "{finished}"
    );
    assert_eq!(world.encryption(begun).await, EncryptionType::Kms);
}
