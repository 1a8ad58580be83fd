//! What is made to fail: how it begins, what happens, and what must be there in the end.

use aws_sdk_ecr::types::{EncryptionConfiguration, EncryptionType, ImageTagMutability};
use ecr_warden_core::quarantine;
use ecr_warden_tests::eventually;
use ecr_warden_tests::proxy::Fault;
use serde_json::json;

use super::alone::COMES_BACK_WITHIN;

use crate::chaos::faulty::{self, Faulty};
use crate::recreate::{LIFECYCLE, POLICY as TEAM, create_with_everything};
use crate::support::{World, call};

/// Each space of names has the settings of its scenario.
pub(crate) const POLICY: &str = r#"
version: 1
mode: enforce
changes-per-sweep: 500
changes-per-hour: 100000
overrides:
  - match: { repositories: ["recreated/**"] }
    rules: { weak-encryption: { require: KMS, when-empty: recreate } }
  - match: { repositories: ["several/**", "swept/**"] }
    rules:
      mutable-tags: {}
      public-access: {}
      no-lifecycle-policy:
        default:
          rules:
            - rulePriority: 1
              selection: { tagStatus: untagged, countType: sinceImagePushed, countUnit: days, countNumber: 14 }
              action: { type: expire }
      missing-tags: { require: { data: { default: sensitive } } }
  - match: { repositories: ["swept/**"] }
    rules: { weak-encryption: { require: KMS, when-empty: recreate } }
  - match: { repositories: ["imposed/**", "lifted/**"] }
    rules: { weak-encryption: { require: KMS, when-empty: recreate, when-not-empty: quarantine } }
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// An empty repository gets other encryption.
    Recreation,
    /// Tags, mutability, repository policy and lifecycle policy, at the same time.
    Several,
    /// One with images gets the quarantine,
    Imposed,
    /// and one that has conformed since loses it.
    Lifted,
    /// A new repository may settle, and its event comes back from the queue.
    Settling,
    /// A sweep over two: one with several faults, and one that a dead function has deleted.
    Swept,
}

impl Scenario {
    /// Of its repositories' names.
    pub(crate) fn space(self) -> &'static str {
        match self {
            Self::Recreation => "recreated",
            Self::Several => "several",
            Self::Imposed => "imposed",
            Self::Lifted => "lifted",
            Self::Settling => "settling",
            Self::Swept => "swept",
        }
    }

    /// Names of repositories beneath a name.
    pub(crate) fn also(self, name: &str) -> Vec<String> {
        match self {
            Self::Swept => vec![format!("{name}/faulty"), left(name)],
            _ => Vec::new(),
        }
    }

    /// The rules that people must be told of.
    pub(crate) fn finds(self) -> &'static [&'static str] {
        match self {
            Self::Recreation | Self::Imposed => &["weak-encryption"],
            Self::Several => &[
                "mutable-tags",
                "public-access",
                "no-lifecycle-policy",
                "missing-tags",
            ],
            Self::Lifted => &["stale-quarantine"],
            Self::Settling => &["mutable-tags"],
            Self::Swept => &[
                "mutable-tags",
                "public-access",
                "no-lifecycle-policy",
                "missing-tags",
                "weak-encryption",
            ],
        }
    }

    pub(crate) async fn prepare(self, world: &World, name: &str) {
        match self {
            Self::Recreation => create_with_everything(world, name).await,
            Self::Several => several().create(world, name).await,
            Self::Settling => settling().create(world, name).await,
            Self::Imposed => {
                create_with_everything(world, name).await;
                faulty::push(world, name).await.unwrap();
            }
            Self::Lifted => {
                let encryption = EncryptionConfiguration::builder()
                    .encryption_type(EncryptionType::Kms)
                    .build()
                    .unwrap();
                let ecr = &world.clients.ecr;
                let request = ecr.create_repository().repository_name(name);
                let request = request.encryption_configuration(encryption);
                request.send().await.unwrap();
                let request = ecr.set_repository_policy().repository_name(name);
                let quarantined = quarantine::impose(Some(TEAM)).unwrap();
                request.policy_text(quarantined).send().await.unwrap();
            }
            Self::Swept => {
                several().create(world, &format!("{name}/faulty")).await;
                let left = left(name);
                let weak = Faulty {
                    encrypted: false,
                    ..right()
                };
                weak.create(world, &left).await;
                world.local.proxy.plan(&left, |call| {
                    (call.operation == "DeleteRepository").then_some(Fault::Kill)
                });
                let event = call("CreateRepository", &left);
                world.invoke(&event).await.unwrap_err();
                world.local.proxy.calm(&left);
                assert!(world.describe(&left).await.is_none());
                world.let_leases_run_out(&left).await;
            }
        }
    }

    /// Whether the outcome is the function's whose call fails.
    pub(crate) fn is_waited_for(self) -> bool {
        self != Self::Settling
    }

    /// What happens, with the retries that Lambda does. Answers what the first try came to.
    pub(crate) async fn run(self, world: &World, name: &str, id: &str) -> Result<String, String> {
        let operation = match self {
            Self::Imposed => "PutImage",
            Self::Lifted => "SetRepositoryPolicy",
            _ => "CreateRepository",
        };
        let (function, event) = match self {
            Self::Swept => (&world.stack.auditor, sweep_of(&self.also(name))),
            _ => (&world.stack.enforcer, call(operation, name)),
        };
        let mut tries = Vec::new();
        for _ in 0..3 {
            let id = format!("{id}-{name}");
            let tried = world.invoke_message(function, &id, &event).await;
            let succeeded = tried.is_ok();
            tries.push(tried.map(|outcome| outcome.to_string()));
            if succeeded {
                break;
            }
        }
        if self == Self::Settling {
            // What fails for good is the sweep's.
            let _ = eventually("its return", COMES_BACK_WITHIN, || async {
                let settled = world.state(name).await == ["fix#mutable-tags"];
                Ok(settled.then_some(()))
            })
            .await;
        }
        tries.remove(0)
    }

    pub(crate) async fn sweep(self, world: &World, name: &str) {
        let names = match self {
            Self::Swept => self.also(name),
            _ => vec![name.to_owned()],
        };
        let request = sweep_of(&names);
        let swept = world.invoke_function(&world.stack.auditor, &request).await;
        swept.unwrap();
    }

    /// What is not as it must be in the end.
    pub(crate) async fn wrong(self, world: &World, name: &str) -> Vec<String> {
        let mut wrong = match self {
            Self::Recreation => {
                self.wrong_of_everything(world, name, EncryptionType::Kms)
                    .await
            }
            Self::Imposed => {
                self.wrong_of_everything(world, name, EncryptionType::Aes256)
                    .await
            }
            Self::Several => wrong_of_several(world, name, &several()).await,
            Self::Settling => wrong_of_several(world, name, &settling()).await,
            Self::Lifted => {
                let found = faulty::look(world, name).await;
                let policy = found.map(|found| found.policy);
                let is_right = policy.as_deref() == Some(TEAM);
                (!is_right)
                    .then(|| format!("{policy:?}"))
                    .into_iter()
                    .collect()
            }
            Self::Swept => {
                let left = left(name);
                let mut wrong =
                    wrong_of_several(world, &format!("{name}/faulty"), &several()).await;
                wrong.extend(wrong_of_several(world, &left, &right()).await);
                if world.describe(&left).await.is_some()
                    && world.encryption(&left).await != EncryptionType::Kms
                {
                    wrong.push("not encrypted as asked".to_owned());
                }
                wrong
            }
        };
        let mut names = self.also(name);
        names.push(name.to_owned());
        for name in names {
            let waits = world.state(&name).await;
            let stands = match self {
                Self::Imposed => "finding#weak-encryption",
                _ => "",
            };
            let more = waits.into_iter().filter(|kind| !kind.starts_with("fix#"));
            let more: Vec<String> = more.filter(|kind| kind != stands).collect();
            if !more.is_empty() {
                wrong.push(format!("{name}: {more:?} waits"));
            }
        }
        wrong
    }

    /// Of one that was made by [`create_with_everything`].
    async fn wrong_of_everything(
        self,
        world: &World,
        name: &str,
        encryption: EncryptionType,
    ) -> Vec<String> {
        let (Some(described), Some(found)) =
            (world.describe(name).await, faulty::look(world, name).await)
        else {
            return vec!["it is gone".to_owned()];
        };
        let policy = match self {
            Self::Imposed => quarantine::impose(Some(TEAM)).unwrap(),
            _ => TEAM.to_owned(),
        };
        // How the keys of an object are ordered is the writer's: this process is built with other features than the function.
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let tags: Vec<&str> = found.tags.iter().map(String::as_str).collect();
        let scanning = described.image_scanning_configuration();
        let encrypted = described.encryption_configuration();
        let all = [
            ("tags", tags == ["data=sensitive", "team=payments"]),
            ("policy", parsed(&found.policy) == parsed(&policy)),
            ("lifecycle", found.lifecycle == LIFECYCLE),
            ("image", found.holds_images == (self == Self::Imposed)),
            (
                "mutability",
                described.image_tag_mutability == Some(ImageTagMutability::Immutable),
            ),
            ("scanning", scanning.is_some_and(|s| s.scan_on_push())),
            (
                "encryption",
                encrypted.is_some_and(|e| *e.encryption_type() == encryption),
            ),
        ];
        let wrong = all.iter().filter(|(_, right)| !right);
        wrong
            .map(|(what, _)| format!("{what}: {described:?}, {found:?}"))
            .collect()
    }
}

fn left(name: &str) -> String {
    format!("{name}/left")
}

pub(super) fn sweep_of(names: &[String]) -> serde_json::Value {
    json!({ "mode": "enforce", "repositories": names })
}

/// Everything is wrong that one repair each mends.
fn several() -> Faulty {
    Faulty {
        encrypted: true,
        ..Faulty::in_every_way()
    }
}

fn settling() -> Faulty {
    Faulty {
        mutable: true,
        ..right()
    }
}

fn right() -> Faulty {
    Faulty {
        mutable: false,
        encrypted: true,
        public: false,
        lifecycle: true,
        tagged: true,
        ..Faulty::in_every_way()
    }
}

async fn wrong_of_several(world: &World, name: &str, faulty: &Faulty) -> Vec<String> {
    let Some(found) = faulty::look(world, name).await else {
        return vec!["it is gone".to_owned()];
    };
    let mut wrong = faulty.missing(&found);
    if world.mutability(name).await != ImageTagMutability::Immutable {
        wrong.push("still mutable".to_owned());
    }
    wrong
}
