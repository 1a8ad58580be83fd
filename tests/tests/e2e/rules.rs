//! Every rule through the deployed function: one repository that all accept, and for each rule one with one thing wrong.

use std::collections::BTreeSet;

use ecr_warden_core::rules::RULES;
use ecr_warden_tests::samples::{
    FLAGGED, FLAGGED_REGISTRY, Flagged, Happens, Sample, conforming, overrides,
};
use serde_json::{Value, json};

use crate::support::{World, arn, call, status};

async fn look_at(world: &World, sample: &Sample) -> Value {
    sample.create(&world.clients.ecr).await.unwrap();
    let event = match sample.happens {
        Happens::Push(tag) => pushed(sample.name, tag, None),
        Happens::RefusedPush(tag) => {
            pushed(sample.name, tag, Some("ImageTagAlreadyExistsException"))
        }
        Happens::Creation => call("CreateRepository", sample.name),
    };
    world.deliver(&event).await.unwrap()
}

/// A rule without a case here is one that nobody has seen at work.
#[tokio::test]
async fn each_rule_accepts_and_flags() {
    let ids: BTreeSet<&str> = RULES.iter().map(|entry| entry.meta.id).collect();
    let of_registry = FLAGGED_REGISTRY.iter().map(|(rule, ..)| *rule);
    let cases = FLAGGED.iter().map(|it| it.rule);
    let cases: BTreeSet<&str> = cases.chain(of_registry).collect();
    assert_eq!(cases, ids);
    let world = World::own();
    let of_registry: String = FLAGGED_REGISTRY
        .map(|(rule, settings, _)| format!("  {rule}: {settings}\n"))
        .concat();
    // What a template creates has none of the overrides.
    let policy = format!(
        "version: 1\nmode: enforce\nrules:\n  weak-encryption: {{ require: KMS }}\n{of_registry}overrides:\n{}",
        overrides()
    );
    world.set_policy(&policy).await;
    let profile = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/shop";
    let filters = json!([{ "filter": "shop/*", "filterType": "WILDCARD_MATCH" }]);
    let signing =
        json!({ "rules": [{ "signingProfileArn": profile, "repositoryFilters": filters }] });
    world
        .local
        .proxy
        .real_aws(|aws| aws.registry_settings.signing = Some(signing));

    let outcome = look_at(&world, &conforming()).await;
    assert_eq!(outcome["findings"], json!([]), "{outcome}");
    for Flagged {
        rule,
        sample,
        becomes,
        ..
    } in FLAGGED
    {
        let outcome = look_at(&world, &sample()).await;
        assert_eq!(status(&outcome, rule), Some(becomes), "{outcome}");
        let found = outcome["findings"].as_array().unwrap().len();
        assert_eq!(found, 1, "{rule} and nothing else: {outcome}");
    }
    let event = call("UpdateRepositoryCreationTemplate", "");
    let outcome = world.deliver(&event).await.unwrap();
    assert_eq!(outcome["findings"], json!([]), "{outcome}");
    for (rule, _, set) in FLAGGED_REGISTRY {
        world.local.proxy.real_aws(set);
        let outcome = world.deliver(&event).await.unwrap();
        assert_eq!(status(&outcome, rule), Some("open"), "{outcome}");
    }
}

const POLICY: &str = r#"
version: 1
mode: enforce
rules:
  no-lifecycle-policy:
    default:
      rules:
        - rulePriority: 1
          selection: { tagStatus: untagged, countType: sinceImagePushed, countUnit: days, countNumber: 14 }
          action: { type: expire }
  missing-tags: { require: { team: {}, data: { allowed: [public, sensitive], default: sensitive } } }
  nonconforming-name: {}
  public-access: { trusted-accounts: ["210987654321"] }
  disallowed-region: { allow: [eu-central-1] }
  nonconforming-image-tag: { allow: ["cache*"] }
  blocked-push: {}
overrides:
  - match: { repositories: ["shop/**"] }
    rules: { disallowed-region: off }
"#;

fn pushed(repository: &str, tag: &str, error: Option<&str>) -> Value {
    let mut event = call("PutImage", repository);
    event["detail"]["requestParameters"]["imageTag"] = json!(tag);
    if let Some(error) = error {
        event["detail"]["errorCode"] = json!(error);
    }
    event
}

#[tokio::test]
async fn each_rule_finds_and_mends_what_it_should() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let mut inbox = world.inbox("rules").await;
    let ecr = &world.clients.ecr;

    // Settings that have a default are put; the tag without one is for people.
    let name = "shop/bare";
    world.create(name).await;
    let outcome = world
        .deliver(&call("CreateRepository", name))
        .await
        .unwrap();
    assert_eq!(
        status(&outcome, "no-lifecycle-policy"),
        Some("fixed"),
        "{outcome}"
    );
    // One tag was put, and the other is not there yet.
    assert_eq!(status(&outcome, "missing-tags"), Some("open"), "{outcome}");
    let lifecycle = ecr
        .get_lifecycle_policy()
        .repository_name(name)
        .send()
        .await
        .unwrap();
    assert!(
        lifecycle
            .lifecycle_policy_text()
            .unwrap()
            .contains("sinceImagePushed")
    );
    let tags = ecr
        .list_tags_for_resource()
        .resource_arn(arn(name))
        .send()
        .await
        .unwrap();
    let tags: Vec<_> = tags
        .tags()
        .iter()
        .map(|tag| (tag.key(), tag.value()))
        .collect();
    assert_eq!(tags, [("data", "sensitive")]);
    let again = world
        .deliver(&call("CreateRepository", name))
        .await
        .unwrap();
    assert_eq!(status(&again, "no-lifecycle-policy"), None, "{again}");
    assert_eq!(status(&again, "missing-tags"), Some("open"), "{again}");
    assert_eq!(
        inbox.alerts_of(name).await.unwrap().len(),
        1,
        "what is left was told with the repair"
    );

    // Somebody removes what was put: that is an event of its own, and one that may name an ARN.
    ecr.delete_lifecycle_policy()
        .repository_name(name)
        .send()
        .await
        .unwrap();
    ecr.untag_resource()
        .resource_arn(arn(name))
        .tag_keys("data")
        .send()
        .await
        .unwrap();
    let mut untagged = call("UntagResource", name);
    untagged["detail"]["requestParameters"] =
        json!({ "resourceArn": arn(name), "tagKeys": ["data"] });
    let outcome = world.deliver(&untagged).await.unwrap();
    assert_eq!(outcome["cause"], "UntagResource", "{outcome}");
    assert_eq!(
        status(&outcome, "no-lifecycle-policy"),
        Some("fixed"),
        "{outcome}"
    );
    let tags = ecr
        .list_tags_for_resource()
        .resource_arn(arn(name))
        .send()
        .await
        .unwrap();
    assert_eq!(
        tags.tags().len(),
        1,
        "put again, although the tag for people was told before"
    );

    // A stranger is shut out, and a trusted account stays.
    let name = "shop/open";
    world.create(name).await;
    let trusted = r#"{"Sid":"trusted","Effect":"Allow","Principal":{"AWS":"210987654321"},"Action":"ecr:BatchGetImage"}"#;
    let everyone =
        r#"{"Sid":"everyone","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}"#;
    let both = format!(r#"{{"Version":"2012-10-17","Statement":[{everyone},{trusted}]}}"#);
    ecr.set_repository_policy()
        .repository_name(name)
        .policy_text(&both)
        .send()
        .await
        .unwrap();
    let outcome = world
        .deliver(&call("CreateRepository", name))
        .await
        .unwrap();
    assert_eq!(
        status(&outcome, "public-access"),
        Some("fixed"),
        "{outcome}"
    );
    let left = ecr
        .get_repository_policy()
        .repository_name(name)
        .send()
        .await
        .unwrap();
    let wanted = format!(r#"{{"Version":"2012-10-17","Statement":[{trusted}]}}"#);
    assert_eq!(left.policy_text(), Some(wanted.as_str()));
    let only_everyone = format!(r#"{{"Version":"2012-10-17","Statement":{everyone}}}"#);
    ecr.set_repository_policy()
        .repository_name(name)
        .policy_text(only_everyone)
        .send()
        .await
        .unwrap();
    let outcome = world
        .deliver(&call("CreateRepository", name))
        .await
        .unwrap();
    assert_eq!(
        status(&outcome, "public-access"),
        Some("fixed"),
        "{outcome}"
    );
    assert!(
        ecr.get_repository_policy()
            .repository_name(name)
            .send()
            .await
            .is_err(),
        "none is left"
    );

    // What can't be mended is said once.
    let name = "unnamed";
    world.create(name).await;
    for _ in 0..2 {
        let outcome = world
            .deliver(&call("CreateRepository", name))
            .await
            .unwrap();
        assert_eq!(
            status(&outcome, "nonconforming-name"),
            Some("open"),
            "{outcome}"
        );
        assert_eq!(
            status(&outcome, "disallowed-region"),
            Some("open"),
            "{outcome}"
        );
    }
    let told = |alerts: &[Value], rule: &str| {
        alerts
            .iter()
            .filter(|alert| status(alert, rule).is_some())
            .count()
    };
    let alerts = inbox.alerts_of(name).await.unwrap();
    assert_eq!(told(&alerts, "nonconforming-name"), 1);

    // A push is judged by itself, told once although it comes twice, and never called resolved.
    let name = "shop/pushes";
    world.create(name).await;
    for _ in 0..2 {
        let outcome = world.deliver(&pushed(name, "latest", None)).await.unwrap();
        assert_eq!(
            status(&outcome, "nonconforming-image-tag"),
            Some("open"),
            "{outcome}"
        );
    }
    for tag in ["v1.0.0-abc1234", "cache-main"] {
        let outcome = world.deliver(&pushed(name, tag, None)).await.unwrap();
        assert_eq!(
            status(&outcome, "nonconforming-image-tag"),
            None,
            "{outcome}"
        );
    }
    let refused = pushed(name, "v1", Some("ImageTagAlreadyExistsException"));
    let outcome = world.deliver(&refused).await.unwrap();
    assert_eq!(status(&outcome, "blocked-push"), Some("open"), "{outcome}");
    let alerts = inbox.alerts_of(name).await.unwrap();
    assert_eq!(told(&alerts, "nonconforming-image-tag"), 1);
    assert_eq!(told(&alerts, "blocked-push"), 1);
}
