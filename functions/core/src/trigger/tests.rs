//! Every sample under `events/` and what it means; and what broken ones do, which is nothing.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::repository::{Encryption, Repository, RepositoryId, TagMutability};

const EVENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events");
const OWN_ROLE: &str = "arn:aws:iam::123456789012:role/ecr-warden-EnforcerRole-ABC";

const CI: &str = "arn:aws:sts::123456789012:assumed-role/Deploy/ci";
const MARY: &str = "arn:aws:iam::123456789012:user/Mary_Major";
const DIGEST: &str = "sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd1234abcd";
const AT: &str = "2026-11-23T08:00:02Z";
const TAG: &str = "v1.4.0-3f2c1ab";

/// What a sample is expected to be. Names are in eu-central-1 unless a region stands before them.
enum Expected {
    /// Cause, name, actor, time.
    Trigger(Cause, &'static str, Option<&'static str>, &'static str),
    /// Name, actor, tag, refused.
    Push(
        &'static str,
        Option<&'static str>,
        Option<&'static str>,
        bool,
    ),
    /// Of an image that AWS itself brings: name, actor.
    Brought(&'static str, &'static str),
    /// Name where the event has one, reason.
    Ignored(Option<&'static str>, Code, &'static str),
    /// Why.
    Unreadable(&'static str),
}

use Cause::{CreateRepository, PutImageTagMutability};
use Expected::{Brought, Ignored, Push as Pushed, Trigger as Triggers, Unreadable};

const API: Option<&str> = Some("payments/api");

/// By the sample's name.
const EXPECTATIONS: &[(&str, Expected)] = &[
    (
        "batch-delete-image",
        Ignored(
            API,
            Code::IrrelevantEvent,
            "BatchDeleteImage deletes; nothing to evaluate",
        ),
    ),
    (
        "create-repository-access-denied",
        Ignored(None, Code::FailedCall, "the call failed: AccessDenied"),
    ),
    (
        "create-repository-by-cloudformation",
        Triggers(CreateRepository, "shop/cart", Some(CI), AT),
    ),
    (
        "create-repository-by-console-user",
        Triggers(CreateRepository, "shop/web", Some(MARY), AT),
    ),
    (
        "create-repository-by-ourselves",
        Ignored(API, Code::OwnChange, "ecr-warden's own change"),
    ),
    (
        "create-repository-by-role",
        Triggers(CreateRepository, "payments/api", Some(CI), AT),
    ),
    (
        "create-repository-by-terraform-conforming",
        Triggers(
            CreateRepository,
            "payments/ledger",
            Some("arn:aws:sts::123456789012:assumed-role/Terraform/apply"),
            AT,
        ),
    ),
    (
        "create-repository-failed",
        Ignored(
            API,
            Code::FailedCall,
            "the call failed: RepositoryAlreadyExistsException",
        ),
    ),
    (
        "create-repository-old-record",
        Triggers(
            CreateRepository,
            "us-east-2:testrepo",
            Some("arn:aws:sts::123456789012:user/Mary_Major"),
            "2018-07-11T22:17:43Z",
        ),
    ),
    (
        "create-repository-pull-through-cache",
        Triggers(
            CreateRepository,
            "docker-hub/library/alpine",
            Some("ecr.amazonaws.com"),
            AT,
        ),
    ),
    (
        "create-repository-replication",
        Triggers(
            CreateRepository,
            "shop/web",
            Some(
                "arn:aws:sts::123456789012:assumed-role/AWSServiceRoleForECRReplication/ecr-replication",
            ),
            AT,
        ),
    ),
    (
        "delete-lifecycle-policy",
        Triggers(Cause::DeleteLifecyclePolicy, "payments/api", Some(MARY), AT),
    ),
    (
        "delete-repository",
        Ignored(
            API,
            Code::IrrelevantEvent,
            "DeleteRepository deletes; nothing to evaluate",
        ),
    ),
    (
        "describe-images-read-only",
        Ignored(API, Code::ReadOnlyCall, "DescribeImages only reads"),
    ),
    (
        "describe-repositories-read-only",
        Ignored(None, Code::ReadOnlyCall, "DescribeRepositories only reads"),
    ),
    (
        "foreign-account-image",
        Ignored(
            None,
            Code::ForeignAccount,
            "the repository belongs to account 210987654321",
        ),
    ),
    (
        "image-delete-native",
        Ignored(
            API,
            Code::IrrelevantEvent,
            "image action `DELETE` is not acted on",
        ),
    ),
    (
        "image-push-native",
        Pushed("payments/api", None, Some(TAG), false),
    ),
    (
        "image-push-native-by-digest",
        Pushed("payments/api", None, None, false),
    ),
    (
        "image-push-native-failed",
        Ignored(API, Code::FailedCall, "the push failed"),
    ),
    (
        "image-scan-native",
        Ignored(
            None,
            Code::IrrelevantEvent,
            "`ECR Image Scan` is not acted on",
        ),
    ),
    (
        "image-storage-class-native",
        Ignored(
            API,
            Code::IrrelevantEvent,
            "image action `UPDATE_STORAGE_CLASS` is not acted on",
        ),
    ),
    (
        "lifecycle-policy-expiry",
        Ignored(API, Code::ReadOnlyCall, "PolicyExecutionEvent only reads"),
    ),
    (
        "malformed-detail-is-text",
        Unreadable("no `detail.action-type`"),
    ),
    (
        "malformed-no-account",
        Unreadable("no `account` or no `region`"),
    ),
    (
        "malformed-no-repository",
        Unreadable("no repository is named"),
    ),
    (
        "malformed-not-an-event",
        Unreadable("no `source`: this is not an EventBridge event"),
    ),
    (
        "malformed-repository-name",
        Unreadable("`Payments/API $(id) ` is not a repository name"),
    ),
    (
        "other-service-call",
        Ignored(
            None,
            Code::IrrelevantEvent,
            "a call to codecommit.amazonaws.com, not to ECR",
        ),
    ),
    (
        "other-source-ecr-public",
        Ignored(
            None,
            Code::IrrelevantEvent,
            "from aws.ecr-public, not from ECR",
        ),
    ),
    (
        "other-source-s3",
        Ignored(None, Code::IrrelevantEvent, "from aws.s3, not from ECR"),
    ),
    (
        "pull-through-cache-action-native",
        Brought(
            "docker-hub/library/alpine",
            "pullthroughcache.ecr.amazonaws.com",
        ),
    ),
    (
        "put-image-cloudtrail",
        Pushed("payments/api", Some(CI), Some(TAG), false),
    ),
    (
        "put-image-failed",
        Ignored(
            API,
            Code::FailedCall,
            "the call failed: LayersNotFoundException",
        ),
    ),
    (
        "put-image-refused-by-immutability",
        Pushed("payments/api", Some(CI), Some(TAG), true),
    ),
    (
        "put-image-refused-omitted",
        Pushed("payments/api", Some(CI), Some(TAG), true),
    ),
    (
        "put-image-tag-mutability-by-ourselves",
        Ignored(API, Code::OwnChange, "ecr-warden's own change"),
    ),
    (
        "put-image-tag-mutability-by-person",
        Triggers(PutImageTagMutability, "payments/api", Some(MARY), AT),
    ),
    (
        "referrer-action-native",
        Ignored(
            None,
            Code::IrrelevantEvent,
            "`ECR Referrer Action` is not acted on",
        ),
    ),
    (
        "replication-action-native",
        Brought("shop/web", "replication.ecr.amazonaws.com"),
    ),
    (
        "scan-resource-change-native",
        Ignored(
            None,
            Code::IrrelevantEvent,
            "`ECR Scan Resource Change` is not acted on",
        ),
    ),
    (
        "set-repository-policy",
        Triggers(Cause::SetRepositoryPolicy, "payments/api", Some(CI), AT),
    ),
    (
        "put-registry-policy",
        Triggers(Cause::PutRegistryPolicy, "", Some(CI), AT),
    ),
    (
        "delete-registry-policy",
        Triggers(Cause::DeleteRegistryPolicy, "", Some(CI), AT),
    ),
    (
        "put-replication-configuration",
        Triggers(Cause::PutReplicationConfiguration, "", Some(CI), AT),
    ),
    (
        "create-repository-creation-template",
        Triggers(Cause::CreateRepositoryCreationTemplate, "", Some(CI), AT),
    ),
    (
        "update-repository-creation-template",
        Triggers(Cause::UpdateRepositoryCreationTemplate, "", Some(CI), AT),
    ),
    (
        "delete-repository-creation-template",
        Triggers(Cause::DeleteRepositoryCreationTemplate, "", Some(CI), AT),
    ),
    (
        "put-account-setting",
        Triggers(Cause::PutAccountSetting, "", Some(CI), AT),
    ),
    (
        "put-signing-configuration",
        Triggers(Cause::PutSigningConfiguration, "", Some(CI), AT),
    ),
    (
        "delete-signing-configuration",
        Triggers(Cause::DeleteSigningConfiguration, "", Some(CI), AT),
    ),
    (
        "create-pull-through-cache-rule",
        Triggers(Cause::CreatePullThroughCacheRule, "", Some(CI), AT),
    ),
    (
        "tag-resource",
        Triggers(Cause::TagResource, "payments/api", Some(CI), AT),
    ),
];

fn id(name: &str) -> RepositoryId {
    let (region, name) = name.split_once(':').unwrap_or(("eu-central-1", name));
    if name.is_empty() {
        return RepositoryId::of_registry("123456789012", region);
    }
    RepositoryId::new("123456789012", region, name).unwrap()
}

impl Expected {
    fn decoded(&self) -> Decoded {
        let owned = |text: &Option<&str>| text.map(str::to_owned);
        match self {
            Self::Trigger(cause, name, actor, at) => Decoded::Trigger(Trigger {
                repository: id(name),
                origin: Origin {
                    cause: *cause,
                    actor: owned(actor),
                    occurred_at: (*at).to_owned(),
                },
                pushed: None,
                replicated: actor.is_some_and(|actor| actor.contains("ForECRReplication")),
                created_as: None,
            }),
            Self::Push(name, actor, tag, refused) => Decoded::Trigger(Trigger {
                repository: id(name),
                origin: Origin {
                    cause: Cause::PutImage,
                    actor: owned(actor),
                    occurred_at: AT.to_owned(),
                },
                pushed: Some(Push {
                    tag: owned(tag),
                    // A push that was refused has no answer, and so no digest.
                    digest: (!refused).then(|| DIGEST.to_owned()),
                    refused: *refused,
                }),
                replicated: false,
                created_as: None,
            }),
            Self::Brought(name, actor) => Decoded::Trigger(Trigger {
                repository: id(name),
                origin: Origin {
                    cause: Cause::PutImage,
                    actor: Some((*actor).to_owned()),
                    occurred_at: AT.to_owned(),
                },
                pushed: Some(Push {
                    tag: None,
                    digest: None,
                    refused: false,
                }),
                replicated: actor.starts_with("replication."),
                created_as: None,
            }),
            Self::Ignored(name, code, why) => ignored(name.map(id), *code, *why),
            Self::Unreadable(why) => Decoded::Unreadable((*why).to_owned()),
        }
    }
}

/// All files of the folder, so that none is forgotten.
fn samples() -> Vec<(String, Value)> {
    #[expect(clippy::disallowed_methods, reason = "the samples are files")]
    let read = |path| std::fs::read(path).unwrap();
    let mut samples: Vec<(String, Value)> = std::fs::read_dir(EVENTS)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| {
            assert_eq!(path.extension().unwrap(), "json", "{}", path.display());
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let event = serde_json::from_slice(&read(path)).unwrap();
            (name, event)
        })
        .collect();
    samples.sort_by(|a, b| a.0.cmp(&b.0));
    samples
}

#[test]
fn every_sample_has_an_expectation_and_every_expectation_a_sample() {
    let samples = samples();
    let there: BTreeSet<&str> = samples.iter().map(|(name, _)| name.as_str()).collect();
    let expected: BTreeSet<&str> = EXPECTATIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(there, expected);
    assert_eq!(expected.len(), EXPECTATIONS.len(), "one is expected twice");
}

#[test]
fn every_sample_is_what_its_name_says() {
    let samples = samples();
    for (name, expected) in EXPECTATIONS {
        let (_, event) = samples.iter().find(|(sample, _)| sample == name).unwrap();
        let mut decoded = decode(event, Some(OWN_ROLE));
        if let Decoded::Trigger(trigger) = &mut decoded {
            let creation = trigger.origin.cause == Cause::CreateRepository;
            let omitted = event["detail"]["responseElements"]["repository"].is_null();
            assert_eq!(trigger.created_as.is_some(), creation && !omitted, "{name}");
            trigger.created_as = None;
        }
        assert_eq!(decoded, expected.decoded(), "{name}");
    }
}

fn created_as(change: fn(&mut Value)) -> Option<Repository> {
    let mut samples = samples().into_iter();
    let of_terraform =
        |(name, _): &(String, Value)| name == "create-repository-by-terraform-conforming";
    let (_, mut event) = samples.find(of_terraform).unwrap();
    change(&mut event["detail"]["responseElements"]["repository"]);
    let Decoded::Trigger(trigger) = decode(&event, None) else {
        panic!("{event}");
    };
    trigger.created_as.map(|it| *it)
}

#[test]
fn a_creation_is_read_as_ecr_answered_it() {
    let created = created_as(|_| ()).unwrap();
    let latest = ["latest".to_owned()].into();
    assert_eq!(
        created.mutability,
        TagMutability::ImmutableWithExclusion(latest)
    );
    let key = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    assert_eq!(created.encryption, Encryption::kms(Some(key)));
    assert!(created.scan_on_push);
}

/// All of it is read then, as without the answer.
#[test]
fn what_cannot_be_read_of_a_creation_counts_as_mutable() {
    let changes: [fn(&mut Value); 3] = [
        |created| created["imageTagMutability"] = json!(null),
        |created| created["imageTagMutability"] = json!({ "IMMUTABLE": true }),
        |created| *created = json!({ "imageTagMutabilityExclusionFilters": [{ "filter": 7 }] }),
    ];
    for change in changes {
        let created = created_as(change).unwrap();
        assert_eq!(created.mutability, TagMutability::Mutable);
    }
    assert_eq!(created_as(|created| *created = json!(["IMMUTABLE"])), None);
}

#[test]
fn samples_are_whole_envelopes_and_no_two_are_the_same_event() {
    let mut ids = BTreeSet::new();
    for (name, event) in samples() {
        if name.starts_with("malformed") {
            continue;
        }
        for key in [
            "version",
            "id",
            "detail-type",
            "source",
            "account",
            "time",
            "region",
            "resources",
            "detail",
        ] {
            assert!(event.get(key).is_some(), "{name} has no `{key}`");
        }
        assert!(ids.insert(event["id"].to_string()), "{name} has a used id");
    }
}

/// Ours is one role, by its session or by its issuer; one of that name elsewhere, or with a name that begins so,
/// is somebody else's.
#[test]
fn only_our_own_role_is_ours() {
    let (_, event) = sample("put-image-tag-mutability-by-ourselves");
    let ours = |event: &Value, role| matches!(decode(event, role), Decoded::Ignored { reason, .. } if reason.code == Code::OwnChange);
    assert!(ours(&event, Some(OWN_ROLE)));
    assert!(!ours(&event, None));
    let in_a_path = "arn:aws:iam::123456789012:role/platform/ecr-warden-EnforcerRole-ABC";
    assert!(ours(&event, Some(in_a_path)), "sessions do not show paths");
    for other in [
        "arn:aws:iam::123456789012:role/ecr-warden-EnforcerRole",
        "arn:aws:iam::123456789012:role/ABC",
        "arn:aws:iam::210987654321:role/ecr-warden-EnforcerRole-ABC",
        "",
    ] {
        assert!(!ours(&event, Some(other)), "{other}");
    }
    let mut without_issuer = event.clone();
    without_issuer["detail"]["userIdentity"]["sessionContext"] = Value::Null;
    assert!(ours(&without_issuer, Some(OWN_ROLE)));
    let mut without_session = event;
    without_session["detail"]["userIdentity"]["arn"] = Value::Null;
    assert!(ours(&without_session, Some(OWN_ROLE)));
}

/// AWS adds fields at any time.
#[test]
fn unknown_fields_change_nothing() {
    for (name, event) in samples() {
        let decoded = decode(&event, Some(OWN_ROLE));
        for path in paths(&event) {
            let mut grown = event.clone();
            if let Some(Value::Object(fields)) = grown.pointer_mut(&path) {
                fields.insert("addedByAws".to_owned(), json!({ "repositoryName": "ab" }));
            }
            assert_eq!(decode(&grown, Some(OWN_ROLE)), decoded, "{name} at {path}");
        }
    }
}

/// Whatever stands in whatever place: no panic, and what comes out is fit for a message, a log line and a request.
#[test]
fn hostile_fields_do_no_harm() {
    let hostile = hostile();
    for (name, event) in samples() {
        for path in paths(&event) {
            for value in &hostile {
                check(&format!("{name} at {path}"), &changed(&event, &path, value));
            }
            check(&format!("{name} without {path}"), &removed(&event, &path));
        }
    }
}

/// Two broken places at once, by chance that is the same each time.
#[test]
fn hostile_pairs_do_no_harm() {
    let hostile = hostile();
    let mut seed: usize = 20_261_123;
    let mut pick = |of: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % of
    };
    for (name, event) in samples() {
        let paths = paths(&event);
        for _ in 0..300 {
            let (first, second) = (&paths[pick(paths.len())], &paths[pick(paths.len())]);
            let once = changed(&event, first, &hostile[pick(hostile.len())]);
            let twice = changed(&once, second, &hostile[pick(hostile.len())]);
            check(&format!("{name} at {first} and {second}"), &twice);
        }
    }
}

/// A change of ours must never set us off, however odd the rest of its record is: that would be a loop.
#[test]
fn our_own_change_with_anything_broken_but_its_author_is_no_trigger() {
    for name in [
        "create-repository-by-ourselves",
        "put-image-tag-mutability-by-ourselves",
    ] {
        let (_, event) = sample(name);
        for path in paths(&event) {
            if path.is_empty() || path == "/detail" || path.contains("userIdentity") {
                continue;
            }
            for value in hostile() {
                let decoded = decode(&changed(&event, &path, &value), Some(OWN_ROLE));
                assert!(
                    !matches!(decoded, Decoded::Trigger(_)),
                    "{name} at {path} with {:.40}",
                    value.to_string()
                );
            }
        }
    }
}

fn sample(name: &str) -> (String, Value) {
    samples()
        .into_iter()
        .find(|(sample, _)| sample == name)
        .unwrap()
}

fn hostile() -> Vec<Value> {
    let mut deep = json!("core");
    for n in 0..100 {
        deep = if n % 2 == 0 {
            json!([deep])
        } else {
            json!({ "repositoryName": deep })
        };
    }
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1.5e300),
        json!(u64::MAX),
        json!(""),
        json!(" "),
        json!("x"),
        json!("a\nb\r\n\u{0}\u{1b}[31m\u{7f}\u{85}"),
        json!("../../etc/passwd"),
        json!("payments/api\u{202e}"),
        json!("\"}],\"detail\":{"),
        json!("🦀".repeat(3000)),
        json!("a".repeat(50_000)),
        json!("arn:aws:sts::::::"),
        json!("arn:aws:sts::123456789012:assumed-role/"),
        json!([]),
        json!(["payments/api"]),
        json!({}),
        json!({ "": null }),
        deep,
    ]
}

/// JSON pointers to every value of a document, itself included.
fn paths(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, paths: &mut Vec<String>) {
        paths.push(at.to_owned());
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    walk(value, &format!("{at}/{key}"), paths);
                }
            }
            Value::Array(items) => {
                for (n, value) in items.iter().enumerate() {
                    walk(value, &format!("{at}/{n}"), paths);
                }
            }
            _ => {}
        }
    }
    let mut paths = Vec::new();
    walk(value, "", &mut paths);
    paths
}

fn changed(event: &Value, path: &str, to: &Value) -> Value {
    let mut event = event.clone();
    if let Some(place) = event.pointer_mut(path) {
        *place = to.clone();
    }
    event
}

fn removed(event: &Value, path: &str) -> Value {
    let mut event = event.clone();
    if let Some((parent, key)) = path.rsplit_once('/')
        && let Some(Value::Object(fields)) = event.pointer_mut(parent)
    {
        fields.remove(&key.replace("~1", "/").replace("~0", "~"));
    }
    event
}

/// Decodes, and holds what comes out against what everything downstream relies on.
fn check(what: &str, event: &Value) {
    let fits = |text: &str| {
        assert!(
            text.chars().count() <= LONGEST && !text.contains(char::is_control),
            "{what}: {text:.200?}"
        );
    };
    let known = |id: &RepositoryId| {
        let name = if id.is_registry() { "any" } else { &id.name };
        let checked = RepositoryId::new(&id.account, &id.region, name).unwrap();
        assert_eq!(checked.subject(id.is_registry()), *id, "{what}");
        // Never another account's or region's clients than those of the event's own.
        assert_eq!(event["account"], id.account.as_str(), "{what}");
        assert_eq!(event["region"], id.region.as_str(), "{what}");
    };
    match decode(event, Some(OWN_ROLE)) {
        Decoded::Trigger(trigger) => {
            known(&trigger.repository);
            fits(&trigger.origin.occurred_at);
            trigger.origin.actor.iter().for_each(|actor| fits(actor));
            if let Some(push) = &trigger.pushed {
                push.tag.iter().chain(&push.digest).for_each(|t| fits(t));
            }
            assert_eq!(
                trigger.pushed.is_some(),
                trigger.origin.cause == Cause::PutImage,
                "{what}"
            );
        }
        Decoded::Ignored { repository, reason } => {
            repository.iter().for_each(known);
            fits(&reason.text);
        }
        Decoded::Unreadable(why) => fits(&why),
    }
}

/// The session of a pipeline is a creator, and so is that of a user.
#[test]
fn a_services_own_role_has_created_nothing_for_itself() {
    for (actor, is) in [
        ("arn:aws:sts::123456789012:assumed-role/Deploy/ci", true),
        (
            "arn:aws:sts::123456789012:assumed-role/AWSServiceRoleForECRReplication/ecr-replication",
            false,
        ),
        (
            "arn:aws:iam::123456789012:role/aws-service-role/replication.ecr.amazonaws.com/AWSServiceRoleForECRReplication",
            false,
        ),
        ("pullthroughcache.ecr.amazonaws.com", false),
    ] {
        let trigger = Trigger {
            repository: RepositoryId::new("123456789012", "eu-central-1", "shop/api").unwrap(),
            origin: Origin {
                actor: Some(actor.to_owned()),
                ..Origin::of(Cause::CreateRepository)
            },
            pushed: None,
            replicated: false,
            created_as: None,
        };
        assert_eq!(trigger.creator().is_some(), is, "{actor}");
    }
}
