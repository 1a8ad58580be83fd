//! A lifecycle policy deletes images, so one is put only where it is known to delete few and none that has a tag.

use serde_json::json;

use crate::support::{World, call, status};

const POLICY: &str = "version: 1\nmode: enforce\nrules: { no-lifecycle-policy: { deletes-tagged-images: true, default: { rules: [{ \
                      rulePriority: 1, selection: { tagStatus: any, countType: imageCountMoreThan, countNumber: 1 }, \
                      action: { type: expire } }] } } }\n";

const KEEP: &str = r#"{"rules":[{"rulePriority":1,"description":"keep five hundred images, whatever the newest ones are","selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":500},"action":{"type":"expire"}}]}"#;

#[tokio::test]
async fn a_default_that_expires_tagged_images_is_withheld() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let mut inbox = world.inbox("lifecycle").await;
    let ecr = &world.clients.ecr;
    let name = "shop/full";
    world.create(name).await;
    let put = ecr.put_lifecycle_policy().repository_name(name);
    put.lifecycle_policy_text(KEEP).send().await.unwrap();
    for n in 0..4 {
        let (tag, layer) = (format!("v1.0.{n}"), format!("image {n}"));
        ecr_warden_tests::oci::push(&world.local, name, &tag, &layer)
            .await
            .unwrap();
    }
    let delete = ecr.delete_lifecycle_policy().repository_name(name);
    delete.send().await.unwrap();

    // The deleted one is not on record, and the default would expire three of four images.
    for (cause, said) in [
        ("DeleteLifecyclePolicy", "is not on record"),
        (
            "TagResource",
            "it would expire 3 of 4 images, 3 of them tagged",
        ),
    ] {
        let outcome = world.invoke(&call(cause, name)).await.unwrap();
        let found = status(&outcome, "no-lifecycle-policy");
        assert_eq!(found, Some("withheld"), "{outcome}");
        assert!(outcome.to_string().contains(said), "{outcome}");
    }
    let request = json!({ "mode": "enforce" });
    let sweep = world.invoke_function(&world.stack.auditor, &request);
    let sweep = sweep.await.unwrap();
    assert!(
        sweep["fixed"].as_array().is_none_or(Vec::is_empty),
        "{sweep}"
    );
    assert_eq!(world.count("PutLifecyclePolicy", name), 0);
    let get = ecr.get_lifecycle_policy().repository_name(name);
    assert!(get.send().await.is_err(), "nothing was put");
    let alerts = inbox.alerts_of(name).await.unwrap();
    let said = serde_json::to_string(&alerts).unwrap();
    assert!(said.contains("3 of 4 images"), "{said}");

    // An empty repository gets the default.
    let name = "shop/empty";
    world.create(name).await;
    let outcome = world.invoke(&call("CreateRepository", name)).await.unwrap();
    let found = status(&outcome, "no-lifecycle-policy");
    assert_eq!(found, Some("fixed"), "{outcome}");
}

/// A lifecycle policy that does less than the policy requires is reported, and stays.
#[tokio::test]
async fn a_lifecycle_policy_that_breaks_what_is_required_is_reported() {
    let world = World::own();
    let policy = "version: 1\nmode: enforce\nrules: { no-lifecycle-policy: { untagged-expire-within: 30, keep-at-least: { \"v*\": 10 } } }\n";
    world.set_policy(policy).await;
    let ecr = &world.clients.ecr;
    let rule = |status: &str, by: &str, count: u64| {
        let unit = if by == "imageCountMoreThan" {
            ""
        } else {
            r#""countUnit":"days","#
        };
        format!(
            r#"{{"rules":[{{"rulePriority":1,"selection":{{"tagStatus":"{status}",{unit}"countType":"{by}","countNumber":{count}}},"action":{{"type":"expire"}}}}]}}"#
        )
    };
    for (name, document, said) in [
        ("shop/right", rule("untagged", "sinceImagePushed", 30), None),
        (
            "shop/slow",
            rule("untagged", "sinceImagePushed", 31),
            Some("does not expire untagged images within 30 days"),
        ),
        (
            "shop/greedy",
            rule("any", "sinceImagePushed", 14),
            Some("may keep fewer than 10 images tagged `v*`"),
        ),
    ] {
        world.create(name).await;
        let put = ecr.put_lifecycle_policy().repository_name(name);
        put.lifecycle_policy_text(&document).send().await.unwrap();
        let outcome = world.invoke(&call("PutLifecyclePolicy", name)).await;
        let outcome = outcome.unwrap();
        let found = status(&outcome, "no-lifecycle-policy");
        assert_eq!(found, said.map(|_| "open"), "{outcome}");
        let detail = outcome.to_string();
        assert!(said.is_none_or(|said| detail.contains(said)), "{detail}");
        let get = ecr.get_lifecycle_policy().repository_name(name);
        let now = get.send().await.unwrap().lifecycle_policy_text.unwrap();
        assert_eq!(now, document, "it stays");
    }
}
