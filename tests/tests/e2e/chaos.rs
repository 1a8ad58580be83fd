//! Seeded chance: any call of any operation fails in any way, again and again. Then the weather clears, the event's retries and
//! one sweep are done, and nothing may be lost. `SEEDS=10000` for a long run, `FIRST_SEED=` to begin elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_ecr::types::{ImageTagMutability, Tag};
use ecr_warden_tests::inbox::Inbox;
use ecr_warden_tests::proxy::Fault;
use serde_json::{Value, json};

use crate::support::{World, arn, call};

/// What a run of the whole test suite has time for.
const SEEDS: u64 = 60;

const POLICY: &str = r"
version: 1
mode: enforce
rules:
  mutable-tags: {}
  weak-encryption: { require: KMS, when-empty: recreate }
  public-access: {}
  no-lifecycle-policy:
    default:
      rules:
        - rulePriority: 1
          selection: { tagStatus: untagged, countType: sinceImagePushed, countUnit: days, countNumber: 14 }
          action: { type: expire }
  missing-tags: { require: { data: { default: sensitive } } }
";
const OWN: &str = r#"{"Sid":"own","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"ecr:BatchGetImage"}"#;
const EVERYONE: &str =
    r#"{"Sid":"all","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}"#;

/// A claim and its repairs are made at the same time (docs/decisions/0002): a function that is killed in between has made a
/// repair that nobody is told of. Here it only does not hear of it.
const CLAIMED_MEANWHILE: [&str; 6] = [
    "TransactWriteItems",
    "PutImageTagMutability",
    "TagResource",
    "SetRepositoryPolicy",
    "DeleteRepositoryPolicy",
    "PutLifecyclePolicy",
];

/// Numbers that look like chance (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn once_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    fn fault(&mut self) -> Fault {
        let all = [
            Fault::Throttle,
            Fault::ServerError,
            Fault::DropAnswer,
            Fault::Cut,
            Fault::Delay(Duration::from_millis(300)),
            Fault::Kill,
        ];
        all[usize::try_from(self.next() % 6).unwrap()]
    }
}

/// What is wrong with the repository at first.
struct Faulty {
    mutable: bool,
    encrypted: bool,
    public: bool,
    lifecycle: bool,
    tagged: bool,
    pushed: bool,
}

impl Faulty {
    fn of(chance: &mut Chance) -> Self {
        let mut half = || chance.once_in(2);
        Self {
            mutable: half(),
            encrypted: half(),
            public: half(),
            lifecycle: half(),
            tagged: half(),
            pushed: half(),
        }
    }

    async fn create(&self, world: &World, name: &str) {
        let ecr = &world.clients.ecr;
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
        let encryption = if self.encrypted { "KMS" } else { "AES256" };
        let mut request = ecr
            .create_repository()
            .repository_name(name)
            .image_tag_mutability(if self.mutable {
                ImageTagMutability::Mutable
            } else {
                ImageTagMutability::Immutable
            })
            .encryption_configuration(
                aws_sdk_ecr::types::EncryptionConfiguration::builder()
                    .encryption_type(encryption.into())
                    .build()
                    .unwrap(),
            )
            .tags(tag("team", "shop"));
        if self.tagged {
            request = request.tags(tag("data", "public"));
        }
        request.send().await.unwrap();
        let statements = if self.public {
            format!("{OWN},{EVERYONE}")
        } else {
            OWN.to_owned()
        };
        ecr.set_repository_policy()
            .repository_name(name)
            .policy_text(format!(
                r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#
            ))
            .send()
            .await
            .unwrap();
        if self.lifecycle {
            ecr.put_lifecycle_policy()
                .repository_name(name)
                .lifecycle_policy_text(crate::recreate::LIFECYCLE)
                .send()
                .await
                .unwrap();
        }
        if self.pushed {
            ecr.put_image()
                .repository_name(name)
                .image_manifest(r#"{"schemaVersion":2,"layers":[]}"#)
                .image_tag("v1")
                .send()
                .await
                .unwrap();
        }
    }

    fn wrong(&self) -> BTreeSet<&'static str> {
        [
            (self.mutable, "mutable-tags"),
            (!self.encrypted, "weak-encryption"),
            (self.public, "public-access"),
            (!self.lifecycle, "no-lifecycle-policy"),
            (!self.tagged, "missing-tags"),
        ]
        .into_iter()
        .filter_map(|(is, rule)| is.then_some(rule))
        .collect()
    }

    /// It is there, with everything that it had.
    async fn assert_whole(&self, world: &World, name: &str, seed: u64) {
        assert!(
            world.describe(name).await.is_some(),
            "seed {seed}: it is gone"
        );
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
        let data = if self.tagged { "public" } else { "sensitive" };
        assert_eq!(
            tags,
            [format!("data={data}"), "team=shop".to_owned()],
            "seed {seed}"
        );
        let policy = ecr
            .get_repository_policy()
            .repository_name(name)
            .send()
            .await
            .unwrap();
        let text = policy.policy_text().unwrap();
        assert!(text.contains(OWN), "seed {seed}: {text}");
        assert!(!text.contains(EVERYONE), "seed {seed}: {text}");
        let lifecycle = ecr
            .get_lifecycle_policy()
            .repository_name(name)
            .send()
            .await
            .unwrap();
        let text = lifecycle.lifecycle_policy_text().unwrap();
        assert!(
            !self.lifecycle || text == crate::recreate::LIFECYCLE,
            "seed {seed}: {text}"
        );
        let images = ecr
            .describe_images()
            .repository_name(name)
            .send()
            .await
            .unwrap();
        assert_eq!(
            !images.image_details().is_empty(),
            self.pushed,
            "seed {seed}"
        );
    }
}

/// The rules that people were told of, of one repository.
async fn told(inbox: &mut Inbox, name: &str) -> BTreeSet<String> {
    let mut alerts = inbox.alerts_of(name).await.unwrap();
    alerts.extend(inbox.alerts_of_arn("repository/*").await.unwrap());
    let rules = alerts.iter().flat_map(|alert| {
        let findings = alert["findings"].as_array().cloned().unwrap_or_default();
        let of_it = |finding: &Value| match finding.get("repository") {
            Some(repository) => *repository == json!(arn(name)),
            None => alert["repository"] == json!(arn(name)),
        };
        let rules: Vec<String> = findings
            .iter()
            .filter(|finding| of_it(finding))
            .map(|finding| finding["rule"].as_str().unwrap().to_owned())
            .collect();
        rules
    });
    rules.collect()
}

#[tokio::test]
async fn whatever_fails_nothing_is_lost() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let first = number("FIRST_SEED").unwrap_or(0);
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let world = World::own();
    world.set_policy(POLICY).await;
    let mut inbox = world.inbox("chaos").await;
    let faults = Arc::new(AtomicU64::new(0));
    for seed in first..first + seeds {
        let mut chance = Chance(seed);
        let name = format!("shop/chaos-{seed}-x");
        let faulty = Faulty::of(&mut chance);
        faulty.create(&world, &name).await;
        // From one fault in three calls to one in twenty.
        let rarity = 3 + chance.next() % 18;
        let operation = if faulty.pushed {
            "PutImage"
        } else {
            "CreateRepository"
        };
        let count = Arc::clone(&faults);
        world.local.proxy.plan(&name, move |call| {
            let fault = chance.once_in(rarity).then(|| chance.fault());
            let fault = match fault {
                Some(Fault::Kill) if CLAIMED_MEANWHILE.contains(&call.operation.as_str()) => {
                    Some(Fault::DropAnswer)
                }
                other => other,
            };
            count.fetch_add(u64::from(fault.is_some()), Ordering::SeqCst);
            fault
        });
        // Lambda's three tries of an event that comes twice.
        for _ in 0..2 {
            let _ = world.deliver(&call(operation, &name)).await;
            world.let_leases_run_out(&name).await;
        }
        world.local.proxy.calm(&name);
        // Two sweeps: what the first one takes over, the second one has seen done.
        for _ in 0..2 {
            let sweep = json!({ "mode": "enforce", "repositories": [name] });
            world
                .invoke_function(&world.stack.auditor, &sweep)
                .await
                .unwrap_or_else(|why| panic!("seed {seed}: {why}"));
            world.let_leases_run_out(&name).await;
        }
        faulty.assert_whole(&world, &name, seed).await;
        let told = told(&mut inbox, &name).await;
        for rule in faulty.wrong() {
            assert!(
                told.contains(rule),
                "seed {seed}: nobody was told of {rule}: {told:?}"
            );
        }
        let request = json!({ "repositories": [name] });
        let audit = world
            .invoke_function(&world.stack.auditor, &request)
            .await
            .unwrap();
        for finding in audit["findings"].as_array().unwrap() {
            let rule = finding["rule"].as_str().unwrap();
            let may_stand = rule == "weak-encryption" && faulty.pushed;
            assert!(may_stand, "seed {seed}: {finding}");
        }
        let waits = world.state(&name).await;
        assert!(
            !waits.contains(&"recreate".to_owned()),
            "seed {seed}: {waits:?}"
        );
    }
    let faults = faults.load(Ordering::SeqCst);
    assert!(faults > seeds, "{faults} faults in {seeds} runs");
}
