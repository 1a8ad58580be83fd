//! What the functions do with each of their permissions: how it begins, what happens, and whether it was done.

use aws_sdk_ecr::types::{EncryptionType, ImageTagMutability, Tag};
use ecr_warden_tests::inbox::Inbox;
use ecr_warden_tests::local_aws::{LocalAws, REGION};
use ecr_warden_tests::moto::Moto;
use ecr_warden_tests::webhook::Webhook;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use crate::recreate::create_with_everything;
use crate::roles::Role;
use crate::security_hub::findings;
use crate::support::{World, arn, call, status};

const PARAMETER: &str = "/ecr-warden/policy";
const BROKEN: &str = "version: 1\nmode: enforce\nrules: { mutable-tag: {} }\n";
const EVERYONE: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}}"#;

/// Findings of so many repositories, each of which names long tags, are more than an answer holds.
const LARGE: usize = 900;
/// More than are looked at side by side at first.
const MANY: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// An empty repository is recreated.
    Recreated,
    /// The same with a customer's key.
    CustomerKey,
    /// A recreation that was cut short is taken over.
    TakenOver,
    Immutable,
    ScannedOnPush,
    /// The registry's scanning is widened.
    RegistryScans,
    /// A repository is known to be newer than the deployment.
    NewRepository,
    /// It is known whom the registry policy and replication let in, and what the creation templates say.
    RegistryJudged,
    /// Everyone was all that a repository policy let in.
    StrangersOut,
    Tagged,
    /// People hear of a repair.
    Told,
    /// What nobody is subscribed to does not count as reported.
    Unheard,
    /// A sweep's message says how many dead letters lie there.
    LettersCounted,
    /// A young repository's event waits in a queue.
    PutOff,
    /// The rest of an audit does, too.
    GoesOn,
    /// A report that is too large for an answer is kept.
    Reported,
    /// The policy's parameter is read.
    PolicyRead,
    /// An earlier version is in force while the newest is not valid.
    EarlierPolicy,
    /// Security Hub knows what stands.
    Imported,
    /// And what does not any more.
    Archived,
    /// Slack gets a message.
    InSlack,
    /// Tags of repositories are read with one call, and none is asked for its own.
    TagsAtOnce,
}

/// Whose role it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doer {
    Enforcer,
    Auditor,
    Notifier,
}

impl Doer {
    pub(crate) fn of(role: &str) -> Self {
        match role {
            "EnforcerRole" => Self::Enforcer,
            "AuditorRole" => Self::Auditor,
            "SlackRole" => Self::Notifier,
            other => panic!("the stack has a role that nothing is known of: {other}"),
        }
    }
}

/// The local AWS with everything that the template can have, and what stands in for the rest.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) inbox: Inbox,
    pub(crate) webhook: Webhook,
    pub(crate) moto: Moto,
    pub(crate) notifier: String,
    key: String,
    in_force: String,
    restarts: usize,
}

/// A stack with every option of the template, and the webhook that it posts to.
pub(crate) fn everything_on(local: &LocalAws, webhook: &Webhook) -> String {
    let secret = json!({ "url": webhook.url() }).to_string();
    let create = ["secretsmanager", "create-secret", "--name", "slack"];
    let answer = [
        "--secret-string",
        &secret,
        "--query",
        "ARN",
        "--output",
        "text",
    ];
    let secret = local.cli(&[&create[..], &answer].concat()).unwrap();
    put_policy(
        local,
        "version: 1\nmode: monitor\nrules: { nonconforming-name: {} }\n",
    );
    format!(
        "PolicyParameterName={PARAMETER} SecurityHub=true SlackWebhookSecretArn={}",
        secret.trim()
    )
}

fn put_policy(local: &LocalAws, policy: &str) {
    let put = ["ssm", "put-parameter", "--name", PARAMETER, "--overwrite"];
    let value = ["--type", "String", "--value", policy];
    local.cli(&[&put[..], &value].concat()).unwrap();
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let webhook = Webhook::start().unwrap();
        let world = World::own_after(|local| everything_on(local, &webhook));
        let moto = Moto::start().unwrap();
        for operation in ["/findings", "/findings/import"] {
            world.local.proxy.route(operation, moto.port);
        }
        let key = world.cli(&["kms", "create-key"])["KeyMetadata"]["Arn"].clone();
        let (_, notifier) = world.resources().remove("SlackNotifier").unwrap();
        Self {
            inbox: world.inbox("permissions").await,
            key: key.as_str().unwrap().to_owned(),
            in_force: String::new(),
            restarts: 0,
            webhook,
            moto,
            notifier,
            world,
        }
    }

    /// What a case needs: by the space that its repositories are in, where that is possible.
    fn policy(&self, case: Case) -> String {
        let key = &self.key;
        let registry = |doer: Doer| {
            format!("  - {{ match: {{ repositories: [\"registry-{doer:?}/**\"] }}, rules: {{ no-scan-on-push: {{ fix: registry, registry-filters: [\"registry-{doer:?}/*\"] }} }} }}\n").to_lowercase()
        };
        let all = format!(
            "\
version: 1
mode: enforce
rules: {{ nonconforming-name: {{}} }}
overrides:
  - {{ match: {{ repositories: [\"recreated/**\", \"takenover/**\"] }}, rules: {{ weak-encryption: {{ require: KMS, when-empty: recreate }} }} }}
  - {{ match: {{ repositories: [\"customerkey/**\"] }}, rules: {{ weak-encryption: {{ require: ALLOWED_KEYS, kms-key: \"{key}\", when-empty: recreate }} }} }}
  - {{ match: {{ repositories: [\"immutable/**\", \"told/**\", \"putoff/**\", \"goeson/**\", \"policyread/**\", \"earlierpolicy/**\"] }}, rules: {{ mutable-tags: {{}} }} }}
  - {{ match: {{ repositories: [\"scannedonpush/**\"] }}, rules: {{ no-scan-on-push: {{}} }} }}
{}{}
  - {{ match: {{ repositories: [\"strangersout/**\"] }}, rules: {{ public-access: {{}} }} }}
  - {{ match: {{ repositories: [\"tagged/**\"] }}, rules: {{ missing-tags: {{ require: {{ data: {{ allowed: [sensitive], default: sensitive }} }} }} }} }}
  - {{ match: {{ repositories: [\"tagsatonce/**\"] }}, rules: {{ missing-tags: {{ require: {{ team: {{}} }} }} }} }}
",
            registry(Doer::Enforcer),
            registry(Doer::Auditor),
        );
        match case {
            Case::PutOff => format!("{all}settle: 90s\n"),
            Case::NewRepository => {
                "version: 1\nmode: enforce\nexisting: monitor\nrules: { mutable-tags: {} }\n"
                    .to_owned()
            }
            Case::RegistryJudged => {
                "version: 1\nmode: monitor\nrules: { public-access: {}, nonconforming-template: {}, nonconforming-account-setting: {}, unsigned-images: { repositories: [\"*\"] } }\n"
                    .to_owned()
            }
            Case::EarlierPolicy => BROKEN.to_owned(),
            Case::Reported => {
                let tags: Vec<String> = (0..25).map(|n| format!("{n:0>120}: {{}}")).collect();
                let tags = tags.join(", ");
                format!(
                    "version: 1\nmode: monitor\nrules: {{ missing-tags: {{ require: {{ {tags} }} }} }}\n"
                )
            }
            _ => all,
        }
    }

    /// Puts what the case begins with. `role`: whose permissions will be missing.
    pub(crate) async fn prepare(&mut self, case: Case, role: &Role, name: &str) {
        let policy = self.policy(case);
        if policy != self.in_force {
            // An earlier version that is valid is one that this case's repositories are in.
            if case == Case::EarlierPolicy {
                put_policy(&self.world.local, &self.policy(Case::PolicyRead));
            }
            put_policy(&self.world.local, &policy);
            self.in_force = policy;
            self.restart().await;
        }
        match case {
            Case::Recreated | Case::TakenOver => create_with_everything(&self.world, name).await,
            Case::InSlack => {}
            Case::GoesOn => self.create_many("goeson", MANY).await,
            Case::Reported => self.create_many("large", LARGE).await,
            _ => {
                self.world.create(name).await;
            }
        }
        match case {
            Case::LettersCounted => {
                let send = self.world.clients.sqs.send_message();
                let send = send.queue_url(&self.world.stack.dead_letters);
                send.message_body("given up").send().await.unwrap();
            }
            Case::StrangersOut => {
                let ecr = &self.world.clients.ecr;
                let set = ecr.set_repository_policy().repository_name(name);
                set.policy_text(EVERYONE).send().await.unwrap();
            }
            Case::TagsAtOnce => {
                let second = format!("{name}-second");
                self.world.create(&second).await;
                for name in [name, &second] {
                    let tag = Tag::builder().key("team").value("shop").build().unwrap();
                    let ecr = &self.world.clients.ecr;
                    let set = ecr.tag_resource().resource_arn(arn(name)).tags(tag);
                    set.send().await.unwrap();
                }
            }
            // It comes as far as clearing its record.
            Case::TakenOver => {
                let lost = ("KeepState".to_owned(), "dynamodb:DeleteItem".to_owned());
                role.lose(&self.world, &[lost]).await;
                let doer = Doer::of(&role.id);
                let _ = self.happen(case, doer, name).await;
                role.restore(&self.world).await;
                self.world.let_leases_run_out(name).await;
                let state = self.world.state(name).await;
                assert!(state.contains(&"recreate".to_owned()), "{state:?}");
            }
            Case::Archived => {
                let doer = Doer::of(&role.id);
                self.happen(case, doer, name).await.unwrap();
                assert_eq!(self.in_security_hub(name), ["ACTIVE"]);
                let ecr = &self.world.clients.ecr;
                let delete = ecr.delete_repository().repository_name(name);
                delete.send().await.unwrap();
            }
            _ => {}
        }
    }

    async fn create_many(&self, space: &str, count: usize) {
        stream::iter(0..count)
            .for_each_concurrent(16, |n| async move {
                self.world.create(&format!("{space}/r{n}")).await;
            })
            .await;
    }

    /// Functions that begin now read the parameter, or the secret, at once.
    async fn restart(&mut self) {
        self.restarts += 1;
        let n = self.restarts.to_string();
        self.world.set_variable("RESTARTED", &n).await;
        let notifier = &self.notifier;
        self.world.set_variable_of(notifier, "RESTARTED", &n).await;
    }

    /// What the function answers.
    pub(crate) async fn happen(
        &mut self,
        case: Case,
        doer: Doer,
        name: &str,
    ) -> Result<Value, String> {
        // What was read before is not forgotten.
        if [
            Case::PolicyRead,
            Case::EarlierPolicy,
            Case::InSlack,
            Case::Unheard,
        ]
        .contains(&case)
        {
            self.restart().await;
        }
        // It is found again, and reported.
        if [Case::Unheard, Case::LettersCounted].contains(&case) {
            self.world.forget_finding(name, "nonconforming-name").await;
        }
        let nobody = Some(0).filter(|_| case == Case::Unheard);
        let proxy = &self.world.local.proxy;
        proxy.real_aws(|aws| aws.subscriptions.confirmed = nobody);
        let auditor = self.world.stack.auditor.clone();
        let request = match (case, doer) {
            (Case::RegistryJudged, Doer::Enforcer) => {
                return self.world.invoke(&call("PutRegistryPolicy", name)).await;
            }
            (Case::RegistryJudged, _) => json!({}),
            (_, Doer::Enforcer) => {
                return self.world.invoke(&call("CreateRepository", name)).await;
            }
            (_, Doer::Notifier) => {
                let alert = json!({ "schema": "ecr-warden.alert/1", "cause": name }).to_string();
                let event = json!({ "Records": [{ "eventSource": "aws:sqs", "body": alert }] });
                return self.world.invoke_function(&self.notifier, &event).await;
            }
            // It ends between a look at the first ones and a look at the others.
            (Case::GoesOn, _) => {
                let proxy = &self.world.local.proxy;
                proxy.delay("DescribeImages", std::time::Duration::from_millis(4200));
                self.world.set_timeout_of_auditor(6).await;
                let request = json!({ "repositories": ["goeson/**"], "continue": true });
                let answer = self.world.invoke_function(&auditor, &request).await;
                self.world
                    .local
                    .proxy
                    .delay("DescribeImages", std::time::Duration::ZERO);
                self.world.set_timeout_of_auditor(900).await;
                return answer;
            }
            (Case::Reported, _) => json!({ "repositories": ["large/**"] }),
            (Case::TagsAtOnce, _) => {
                self.world.local.proxy.forget(&arn(name));
                json!({ "repositories": [format!("{name}*")] })
            }
            _ => json!({ "repositories": [name], "mode": "enforce" }),
        };
        self.world.invoke_function(&auditor, &request).await
    }

    /// Whether it has come to what it was to come to, after that answer.
    pub(crate) async fn is_done(
        &mut self,
        case: Case,
        doer: Doer,
        name: &str,
        answer: &Result<Value, String>,
    ) -> bool {
        let ecr = &self.world.clients.ecr;
        let said = answer.as_ref().unwrap_or(&Value::Null);
        match case {
            Case::Recreated | Case::TakenOver => {
                let is_on_record = self
                    .world
                    .state(name)
                    .await
                    .contains(&"recreate".to_owned());
                !is_on_record && self.world.encryption(name).await == EncryptionType::Kms
            }
            Case::CustomerKey => {
                let repository = self.world.describe(name).await.unwrap();
                let encryption = repository.encryption_configuration.unwrap();
                encryption.kms_key.as_ref() == Some(&self.key)
            }
            Case::Immutable | Case::EarlierPolicy | Case::NewRepository => {
                self.world.mutability(name).await == ImageTagMutability::Immutable
            }
            Case::ScannedOnPush => {
                let repository = self.world.describe(name).await.unwrap();
                let scanning = repository.image_scanning_configuration.unwrap();
                scanning.scan_on_push
            }
            Case::RegistryScans => {
                let wanted = format!("registry-{doer:?}/*").to_lowercase();
                let filters = self.world.local.proxy.registry_filters();
                filters.contains(&wanted)
            }
            Case::RegistryJudged => answer.is_ok() && !said.to_string().contains("cannot be read"),
            Case::StrangersOut => {
                let get = ecr.get_repository_policy().repository_name(name);
                get.send().await.is_err()
            }
            Case::Tagged => {
                let list = ecr.list_tags_for_resource().resource_arn(arn(name));
                !list.send().await.unwrap().tags().is_empty()
            }
            Case::Told => {
                let alerts = self.inbox.alerts_of_arn("").await.unwrap();
                let about = arn(name);
                alerts
                    .iter()
                    .any(|alert| alert.to_string().contains(&about))
            }
            Case::Unheard => {
                let finding = self.world.item(name, "finding#nonconforming-name").await;
                finding.is_some_and(|finding| finding["pending"].is_object())
            }
            Case::LettersCounted => {
                let alerts = self.inbox.alerts_of_arn("").await.unwrap();
                let (about, letters) = (arn(name), "dead_letters");
                alerts
                    .iter()
                    .any(|alert| alert.to_string().contains(&about) && alert[letters].is_number())
            }
            Case::PutOff => said["reason"] == "settling",
            Case::GoesOn => said["next"].is_string(),
            Case::Reported => said["report"]["json"].is_string(),
            Case::PolicyRead => {
                let ending = format!("parameter{PARAMETER}");
                let alerts = self.inbox.alerts_of_arn(&ending).await.unwrap();
                alerts
                    .last()
                    .is_none_or(|last| status(last, "invalid-policy") == Some("resolved"))
            }
            Case::Imported => self.in_security_hub(name) == ["ACTIVE"],
            Case::Archived => self.in_security_hub(name) == ["ARCHIVED"],
            Case::TagsAtOnce => {
                let calls = self.world.local.proxy.calls(&arn(name));
                let made = |operation: &str| calls.iter().any(|call| call.operation == operation);
                answer.is_ok() && made("GetResources") && !made("ListTagsForResource")
            }
            Case::InSlack => {
                let taken = self.webhook.taken();
                taken
                    .iter()
                    .any(|message| message.to_string().contains(name))
            }
        }
    }

    /// The states of a repository's findings.
    fn in_security_hub(&self, name: &str) -> Vec<String> {
        findings(&self.moto)
            .into_iter()
            .filter(|(id, ..)| id.starts_with(&format!("{name}/")))
            .map(|(_, state, _)| state)
            .collect()
    }
}

/// A name of a repository for a case: `standing-…` conforms to no convention, so there is something to import.
pub(crate) fn name_of(case: Case, doer: Doer, n: usize) -> String {
    let name = match case {
        // It conforms to no convention.
        Case::Unheard | Case::LettersCounted => format!("{case:?}-{doer:?}-{n}"),
        Case::Imported | Case::Archived => format!("standing-{doer:?}-{n}"),
        Case::RegistryScans => format!("registry-{doer:?}/r{n}"),
        _ => format!("{case:?}/{doer:?}-{n}"),
    };
    name.to_lowercase()
}

/// Where Security Hub's own documentation says that a permission is for.
pub(crate) fn hub_resource(permission: &str, account: &str) -> String {
    let what = match permission {
        "securityhub:BatchImportFindings" => format!("product/{account}/default"),
        _ => "hub/default".to_owned(),
    };
    format!("arn:aws:securityhub:{REGION}:{account}:{what}")
}
