//! Events that come in any order, before what they are about, and long after it.

use aws_sdk_ecr::types::{EncryptionType, ImageTagMutability};
use ecr_warden_tests::proxy::Fault;
use serde_json::{Value, json};

use super::{told, world};
use crate::chaos::faulty::{Faulty, look};
use crate::support::call;

/// Every order, and one of them before there is a repository.
#[tokio::test]
async fn events_in_any_order_come_to_the_same() {
    let world = world().await;
    let mut inbox = world.inbox("interleavings-order").await;
    let [a, b, c] = ["CreateRepository", "PutImage", "PutImageTagMutability"];
    for (n, order) in [
        [a, b, c],
        [a, c, b],
        [b, a, c],
        [b, c, a],
        [c, a, b],
        [c, b, a],
    ]
    .into_iter()
    .enumerate()
    {
        let name = &format!("both/order-{n}-x");
        let deliver = async |n: usize| {
            let id = format!("{name}-{n}");
            world.deliver_as(&id, &call(order[n], name)).await.unwrap()
        };
        let early = deliver(0).await;
        assert_eq!(early["reason"], "repository-gone");
        let faulty = Faulty::in_every_way();
        faulty.create(&world, name).await;
        for n in 0..3 {
            deliver(n).await;
        }
        let found = look(&world, name).await.expect("it is there");
        assert_eq!(faulty.missing(&found), Vec::<String>::new(), "{order:?}");
        assert_eq!(world.mutability(name).await, ImageTagMutability::Immutable);
        assert_eq!(world.encryption(name).await, EncryptionType::Kms);
        let expected = faulty.wrong().into_iter().collect::<Vec<_>>();
        assert_eq!(told(&mut inbox, name).await, expected, "{order:?}");
        inbox.take().await.unwrap();
    }
}

/// The repository of a late event has been deleted and made again by somebody: what is there now is judged, whatever was intended
/// with the one before.
#[tokio::test]
async fn an_event_that_is_late_is_of_what_is_there_now() {
    let world = world().await;
    let mut inbox = world.inbox("interleavings-late").await;
    for (n, late) in ["2026-11-23T07:00:00Z", "2026-11-22T08:00:00Z"]
        .into_iter()
        .enumerate()
    {
        // The recreation of the first one was cut short there.
        for cut_short in [
            None,
            Some("PutItem"),
            Some("DeleteRepository"),
            Some("CreateRepository"),
        ] {
            let label = cut_short.unwrap_or("nowhere").to_lowercase();
            let name = &format!("both/late-{n}-{label}-x");
            Faulty::in_every_way().create(&world, name).await;
            if let Some(at) = cut_short {
                world.local.proxy.plan(name, move |call| {
                    (call.operation == at).then_some(Fault::Kill)
                });
            }
            let event = call("CreateRepository", name);
            let _ = world.invoke(&event).await;
            world.local.proxy.calm(name);
            let gone = world.clients.ecr.delete_repository().repository_name(name);
            let _ = gone.force(true).send().await;
            let again = Faulty {
                team: "others",
                mutable: true,
                encrypted: true,
                tagged: true,
                ..Faulty::in_every_way()
            };
            again.create(&world, name).await;
            world.let_leases_run_out(name).await;
            inbox.take().await.unwrap();
            let mut event: Value = event;
            event["detail"]["eventTime"] = json!(late);
            let outcome = world
                .deliver_as(&format!("{name}-late"), &event)
                .await
                .unwrap();
            let found = look(&world, name).await.expect("it is there");
            assert_eq!(
                again.missing(&found),
                Vec::<String>::new(),
                "{label}: {outcome}"
            );
            assert_eq!(world.mutability(name).await, ImageTagMutability::Immutable);
            let waits = world.state(name).await;
            assert!(
                !waits.contains(&"recreate".to_owned()),
                "{label}: {waits:?}"
            );
            let told = told(&mut inbox, name).await;
            for rule in again.wrong() {
                assert!(
                    told.iter().any(|told| told == rule),
                    "{label}: {rule} of {told:?}"
                );
            }
        }
    }
}
