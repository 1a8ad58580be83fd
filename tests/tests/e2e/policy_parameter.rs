//! The policy in an SSM parameter: changed without a deployment, and never replaced by one that is not valid.

use aws_sdk_ecr::types::ImageTagMutability;
use ecr_warden_tests::local_aws::LocalAws;

use crate::support::{World, call, status};

const NAME: &str = "/ecr-warden/policy";
const GOOD: &str = "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";
const BROKEN: &str = "version: 1\nmode: enforce\nrules: { mutable-tag: {} }\n";

fn put(local: &LocalAws, policy: &str) {
    let value = ["--value", policy, "--type", "String", "--overwrite"];
    local
        .cli(&[&["ssm", "put-parameter", "--name", NAME][..], &value].concat())
        .unwrap();
}

impl World {
    /// Lets the function begin anew, so that it reads the parameter at once.
    async fn restart(&self, n: usize) {
        self.set_variable("RESTARTED", &n.to_string()).await;
    }
}

#[tokio::test]
async fn a_policy_that_is_not_valid_never_replaces_one_that_was() {
    let world = World::own_with(&format!("PolicyParameterName={NAME}"), |local| {
        put(local, GOOD)
    });
    let mut inbox = world.inbox("policy").await;
    world.create("shop/first").await;
    let outcome = world
        .invoke(&call("CreateRepository", "shop/first"))
        .await
        .unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    // The bundled policy's other rules are not in force.
    world.create("payments/ledger").await;
    let outcome = world
        .invoke(&call("CreateRepository", "payments/ledger"))
        .await
        .unwrap();
    assert_eq!(status(&outcome, "weak-encryption"), None, "{outcome}");

    // Functions that begin now know only what the parameter holds and held.
    put(&world.local, BROKEN);
    for n in 0..2 {
        world.restart(n).await;
        let name = format!("shop/broken-{n}");
        world.create(&name).await;
        let outcome = world
            .invoke(&call("CreateRepository", &name))
            .await
            .unwrap();
        assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
        assert_eq!(world.mutability(&name).await, ImageTagMutability::Immutable);
    }
    let alerts = inbox
        .alerts_of_arn(&format!("parameter{NAME}"))
        .await
        .unwrap();
    assert_eq!(alerts.len(), 1, "told once: {alerts:#?}");
    let told = alerts[0].to_string();
    assert!(
        told.contains("did you mean `mutable-tags`") && told.contains("line 3"),
        "{told}"
    );

    put(&world.local, GOOD);
    world.restart(2).await;
    world
        .invoke(&call("CreateRepository", "shop/first"))
        .await
        .unwrap();
    let alerts = inbox
        .alerts_of_arn(&format!("parameter{NAME}"))
        .await
        .unwrap();
    assert_eq!(alerts.len(), 2, "{alerts:#?}");
    assert_eq!(status(&alerts[1], "invalid-policy"), Some("resolved"));
}

/// Nothing that was ever valid: nothing is judged, and it is loud.
#[tokio::test]
async fn without_any_valid_policy_nothing_is_judged() {
    let world = World::own_with(&format!("PolicyParameterName={NAME}"), |local| {
        put(local, BROKEN)
    });
    let mut inbox = world.inbox("no-policy").await;
    world.create("shop/unjudged").await;
    let error = world
        .invoke(&call("CreateRepository", "shop/unjudged"))
        .await
        .unwrap_err();
    assert!(
        error.contains("none of its earlier versions is valid"),
        "{error}"
    );
    assert_eq!(
        world.mutability("shop/unjudged").await,
        ImageTagMutability::Mutable
    );
    let alerts = inbox
        .alerts_of_arn(&format!("parameter{NAME}"))
        .await
        .unwrap();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
}

/// Of several valid versions the newest is in force, not the first.
#[tokio::test]
async fn the_newest_valid_version_is_in_force() {
    let world = World::own_with(&format!("PolicyParameterName={NAME}"), |local| {
        put(
            local,
            "version: 1\nmode: enforce\nrules: { missing-tags: { require: { team: {} } } }\n",
        );
        put(local, GOOD);
        put(local, BROKEN);
    });
    let name = "shop/newest";
    world.create(name).await;
    let outcome = world.invoke(&call("CreateRepository", name)).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    assert_eq!(status(&outcome, "missing-tags"), None, "{outcome}");
}
