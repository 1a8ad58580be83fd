//! Resource tags: read for many repositories with one call, and set to who created a repository.

use aws_sdk_ecr::types::Tag;
use ecr_warden_tests::proxy::{Fault, Refusal};
use serde_json::{Value, json};

use crate::support::{World, arn, call, status};

const POLICY: &str = "\
version: 1
mode: enforce
rules: { missing-tags: { require: { team: {} } } }
exemptions-by-tag: { rules: [missing-tags] }
";

async fn tagged(world: &World, name: &str, key: &str, value: &str) {
    world.create(name).await;
    let tag = Tag::builder().key(key).value(value).build().unwrap();
    let tagging = world.clients.ecr.tag_resource().resource_arn(arn(name));
    tagging.tags(tag).send().await.unwrap();
}

/// The repositories with a finding that stands, and those that were asked for their tags.
async fn audited(world: &World, mode: &str) -> (Vec<String>, Vec<String>) {
    world.local.proxy.forget("");
    let request = json!({ "mode": mode });
    let auditor = &world.stack.auditor;
    let answer = world.invoke_function(auditor, &request).await.unwrap();
    let names = |arn: &Value| {
        let arn = arn.as_str().unwrap();
        arn.split_once(":repository/").unwrap().1.to_owned()
    };
    let findings = answer["findings"].as_array().unwrap().iter();
    let open = findings.filter(|finding| finding["status"] != "exempt");
    let mut found: Vec<String> = open.map(|finding| names(&finding["repository"])).collect();
    let calls = world.local.proxy.calls("");
    let own = calls.iter();
    let own = own.filter(|call| call.operation == "ListTagsForResource");
    let mut asked: Vec<String> = own
        .map(|call| names(&serde_json::from_str::<Value>(&call.body).unwrap()["resourceArn"]))
        .collect();
    for list in [&mut found, &mut asked] {
        list.sort();
        list.dedup();
    }
    (found, asked)
}

/// The index of tags is late: what it has is believed, what it lacks is asked for.
#[tokio::test]
async fn tags_come_from_the_index_and_what_is_missing_there_is_confirmed() {
    let world = World::own();
    world.set_policy(POLICY).await;
    for name in ["shop/indexed", "shop/too-new", "shop/corrected"] {
        tagged(&world, name, "team", "shop").await;
    }
    let exempt = "ecr-warden:exempt:missing-tags";
    let soon = time::OffsetDateTime::now_utc() + time::Duration::days(10);
    let until = format!("{} OPS-1", soon.date());
    for name in ["shop/exempt", "shop/exempt-lately"] {
        tagged(&world, name, exempt, &until).await;
    }
    world.create("shop/untagged").await;
    world.local.proxy.real_aws(|aws| {
        let late = &mut aws.tag_index.late;
        late.insert(arn("shop/too-new"), Vec::new());
        late.insert(arn("shop/corrected"), vec![("team", "")]);
        late.insert(arn("shop/exempt-lately"), vec![("other", "tag")]);
    });
    let confirmed = [
        "shop/corrected",
        "shop/exempt",
        "shop/exempt-lately",
        "shop/too-new",
        "shop/untagged",
    ];
    for mode in ["monitor", "enforce"] {
        let (found, asked) = audited(&world, mode).await;
        assert_eq!(found, ["shop/untagged"], "{mode}");
        assert_eq!(asked, confirmed, "{mode}");
    }
    // Without the permission each is asked for its own.
    world.local.proxy.plan("ResourceARNList", |call| {
        (call.operation == "GetResources").then_some(Fault::Refuse(Refusal::denied(
            "User: x is not authorized to perform: tag:GetResources",
        )))
    });
    let (found, asked) = audited(&world, "monitor").await;
    assert_eq!(found, ["shop/untagged"]);
    assert!(asked.contains(&"shop/indexed".to_owned()), "{asked:?}");
    assert_eq!(asked.len(), confirmed.len() + 1);
}

/// Who created a repository is the value of a tag, as far as the event says it; a sweep does not know it.
#[tokio::test]
async fn the_creator_is_set_as_a_tag() {
    let world = World::own();
    let policy = "version: 1\nmode: enforce\nrules: { missing-tags: { require: { creator: { default: { actor: true } } } } }\n";
    world.set_policy(policy).await;
    let name = "shop/created";
    world.create(name).await;
    let request = json!({ "mode": "enforce" });
    let auditor = &world.stack.auditor;
    let swept = world.invoke_function(auditor, &request).await.unwrap();
    let finding = &swept["findings"][0];
    assert_eq!(finding["status"], "open", "{swept}");
    let event = call("CreateRepository", name);
    let outcome = world.deliver(&event).await.unwrap();
    assert_eq!(status(&outcome, "missing-tags"), Some("fixed"), "{outcome}");
    let tags = world.clients.ecr.list_tags_for_resource();
    let tags = tags.resource_arn(arn(name)).send().await.unwrap();
    let creator = event["detail"]["userIdentity"]["arn"].as_str().unwrap();
    let tag = tags.tags().iter().find(|tag| tag.key() == "creator");
    assert_eq!(tag.map(Tag::value), Some(creator));
}

/// A policy that is there stays as it is; where there is none the required statement is put.
#[tokio::test]
async fn required_statements_are_put_where_there_is_no_policy() {
    let world = World::own();
    let policy = "\
version: 1
mode: enforce
rules:
  missing-statements:
    required-statements:
      - { Sid: DenyPlainHttp, Effect: Deny, Principal: \"*\", Action: \"ecr:PutImage\", Condition: { Bool: { \"aws:SecureTransport\": \"false\" } } }
";
    world.set_policy(policy).await;
    let own = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"ecr:BatchGetImage"}]}"#;
    for (name, policy, expected) in [
        ("shop/none", None, "fixed"),
        ("shop/own", Some(own), "open"),
    ] {
        world.create(name).await;
        let ecr = &world.clients.ecr;
        if let Some(policy) = policy {
            let set = ecr.set_repository_policy().repository_name(name);
            set.policy_text(policy).send().await.unwrap();
        }
        let outcome = world.deliver(&call("CreateRepository", name)).await;
        let outcome = outcome.unwrap();
        let found = status(&outcome, "missing-statements");
        assert_eq!(found, Some(expected), "{outcome}");
        let get = ecr.get_repository_policy().repository_name(name);
        let text = get.send().await.unwrap().policy_text.unwrap();
        match policy {
            Some(policy) => assert_eq!(text, policy),
            None => assert!(text.contains("DenyPlainHttp"), "{text}"),
        }
    }
}
