//! What happens in the demo: three repositories, made by ordinary calls, and what becomes of each.

use std::time::{Duration, Instant};

use aws_sdk_ecr::types::{EncryptionType, ImageTagMutability, Repository, Tag};
use ecr_warden_tests::clients::Clients;
use ecr_warden_tests::inbox::Inbox;
use ecr_warden_tests::local_aws::{ACCOUNT, LocalAws, REGION};
use ecr_warden_tests::relay::{Relay, recorded};
use ecr_warden_tests::{Problem, oci};
use serde_json::Value;

use crate::screen::Screen;

const MUTABLE: &str = "shop/web";
const SENSITIVE: &str = "payments/ledger";
const CONFORMING: &str = "shop/docs";

/// A cold start and a repair take well under a second; a loaded machine takes longer.
const REPAIRED_WITHIN: Duration = Duration::from_secs(30);

pub(crate) struct Stage<'d> {
    screen: &'d Screen,
    local: &'d LocalAws,
    clients: Clients,
    inbox: Inbox,
    /// Carries on until the end of the demo.
    relay: Option<Relay>,
}

impl<'d> Stage<'d> {
    pub(crate) async fn new(
        screen: &'d Screen,
        local: &'d LocalAws,
        clients: Clients,
        inbox: Inbox,
    ) -> Result<Self, Problem> {
        Ok(Self {
            screen,
            local,
            clients,
            inbox,
            relay: None,
        })
    }

    /// All scenes.
    ///
    /// # Errors
    /// Something did not come as it should.
    pub(crate) async fn play(&mut self) -> Result<(), Problem> {
        let from_record = self.a_mutable_one().await?;
        let from_call = self.a_sensitive_one().await?;
        let alerts = [
            self.inbox.wait_for(MUTABLE).await?,
            self.inbox.wait_for(SENSITIVE).await?,
        ];
        self.a_conforming_one().await?;
        self.screen.title("What was found, and what was changed");
        let [first, second] = &alerts;
        self.screen.table(
            [
                "repository",
                "found",
                "changed from",
                "to",
                "repaired after",
            ],
            &[
                row(
                    MUTABLE,
                    first,
                    "mutable-tags",
                    &format!("{} *", seconds(from_record)),
                )?,
                row(SENSITIVE, second, "weak-encryption", &seconds(from_call))?,
                [CONFORMING, "nothing", "", "", "untouched"].map(str::to_owned),
            ],
        );
        self.screen
            .note("* from CloudTrail's record on: it was held back while images were pushed.");
        self.screen
            .title("The alerts, as received from the queue that is subscribed to the topic");
        for alert in &alerts {
            self.tell(alert)?;
        }
        Ok(())
    }

    /// Tags that can be overwritten: they are, until the event comes. How long the repair took from there.
    async fn a_mutable_one(&mut self) -> Result<Duration, Problem> {
        self.screen
            .title(&format!("{MUTABLE}: its tags can be overwritten"));
        let seen = recorded(&self.clients).await?;
        let created = self.create(MUTABLE, ImageTagMutability::Mutable).await?;
        self.screen.bad("create it", &settings(&created));
        oci::push(self.local, MUTABLE, "v1", "the image that was tested").await?;
        self.screen.good("push v1", "accepted");
        oci::push(self.local, MUTABLE, "v1", "another image").await?;
        self.screen.bad(
            "push another image as v1",
            "accepted: v1 is not what was tested",
        );

        let told = Instant::now();
        self.relay = Some(Relay::start_after(&self.clients, seen).await?);
        let repaired = self
            .wait_until(MUTABLE, |repository| {
                repository.image_tag_mutability() == Some(&ImageTagMutability::Immutable)
            })
            .await?;
        let took = told.elapsed();
        self.screen
            .good("CloudTrail tells, the rule fires", &settings(&repaired));
        match oci::push(self.local, MUTABLE, "v1", "a third image").await {
            Ok(()) => {
                return Err(format!("{MUTABLE} took another image as v1 after the repair").into());
            }
            Err(refusal) => self.screen.good(
                "push a third image as v1",
                &format!("refused: {}", reason(&refusal)?),
            ),
        }
        oci::push(self.local, MUTABLE, "v2", "a third image").await?;
        self.screen.good("push it as v2", "accepted");
        Ok(took)
    }

    /// Encrypted with AES-256 where the policy asks for KMS. How long the repair took from the call on.
    async fn a_sensitive_one(&self) -> Result<Duration, Problem> {
        self.screen
            .title(&format!("{SENSITIVE}: the policy asks for KMS"));
        let called = Instant::now();
        let created = self
            .create(SENSITIVE, ImageTagMutability::Immutable)
            .await?;
        self.screen.bad("create it", &settings(&created));
        let repaired = self
            .wait_until(SENSITIVE, |repository| {
                encryption(repository) == Some(&EncryptionType::Kms)
            })
            .await?;
        let took = called.elapsed();
        self.screen
            .good("the rule fires, it is made again", &settings(&repaired));
        Ok(took)
    }

    /// As the policy wants it: read and left alone.
    async fn a_conforming_one(&mut self) -> Result<(), Problem> {
        self.screen.title(&format!("{CONFORMING}: as it should be"));
        let created = self
            .create(CONFORMING, ImageTagMutability::Immutable)
            .await?;
        self.screen.good("create it", &settings(&created));
        ecr_warden_tests::eventually("the look at it", REPAIRED_WITHIN, || async {
            let calls = self.local.proxy.calls(CONFORMING);
            let looks = calls.iter().any(|call| {
                call.operation == "DescribeImages"
                    || call.operation == "GetLifecyclePolicy"
                    || call.operation == "DescribeRepositories"
            });
            Ok(looks.then_some(()))
        })
        .await?;
        let tags = self
            .clients
            .ecr
            .list_tags_for_resource()
            .resource_arn(arn(SENSITIVE))
            .send()
            .await?;
        let tags: Vec<(&str, &str)> = tags
            .tags()
            .iter()
            .map(|tag| (tag.key(), tag.value()))
            .collect();
        if tags != [("team", "demo")] {
            return Err(format!("{SENSITIVE} has other tags than before: {tags:?}").into());
        }
        for call in self.local.proxy.calls(CONFORMING) {
            let reads = ["Describe", "Get", "List", "Query"];
            if !reads.iter().any(|read| call.operation.starts_with(read)) {
                return Err(format!(
                    "{CONFORMING} conforms, and yet there was {}",
                    call.operation
                )
                .into());
            }
        }
        let now = self.describe(CONFORMING).await?;
        if now.as_ref() != Some(&created) || !self.inbox.alerts_of(CONFORMING).await?.is_empty() {
            return Err(
                format!("{CONFORMING} conforms, and yet something became of it: {now:?}").into(),
            );
        }
        self.screen
            .good("the rule fires, it is looked at", "untouched, and no alert");
        Ok(())
    }

    async fn create(
        &self,
        name: &str,
        mutability: ImageTagMutability,
    ) -> Result<Repository, Problem> {
        let tag = Tag::builder().key("team").value("demo").build()?;
        let answer = self
            .clients
            .ecr
            .create_repository()
            .repository_name(name)
            .image_tag_mutability(mutability)
            .tags(tag)
            .send()
            .await?;
        answer
            .repository
            .ok_or_else(|| "no repository in the answer".into())
    }

    async fn describe(&self, name: &str) -> Result<Option<Repository>, Problem> {
        let answer = self
            .clients
            .ecr
            .describe_repositories()
            .repository_names(name)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(answer.repositories.unwrap_or_default().pop()),
            // In the middle of a recreation.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_repository_not_found_exception()) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks often: what passes is measured.
    async fn wait_until(
        &self,
        name: &str,
        is_so: impl Fn(&Repository) -> bool,
    ) -> Result<Repository, Problem> {
        let give_up = Instant::now() + REPAIRED_WITHIN;
        while Instant::now() < give_up {
            if let Some(repository) = self.describe(name).await?
                && is_so(&repository)
            {
                return Ok(repository);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(format!("{name} was not repaired within {REPAIRED_WITHIN:?}").into())
    }

    fn tell(&self, alert: &Value) -> Result<(), Problem> {
        let text = |path: &str| {
            alert
                .pointer(path)
                .and_then(Value::as_str)
                .ok_or_else(|| Problem::from(format!("the alert has no {path}: {alert}")))
        };
        let lines = [
            ("Subject", text("/_envelope/Subject")?),
            ("What", text("/findings/0/detail")?),
            ("Who", text("/actor")?),
            ("When", text("/occurred_at")?),
            (
                "Changed",
                &format!("{} -> {}", text("/actions/0/from")?, text("/actions/0/to")?),
            ),
            ("Keep it", text("/findings/0/advice")?),
            ("Terraform", text("/findings/0/iac/terraform")?),
            ("CloudFormation", text("/findings/0/iac/cloudformation")?),
        ];
        for (label, value) in lines {
            self.screen.field(label, value);
        }
        self.screen.plain(" ");
        Ok(())
    }
}

fn row(name: &str, alert: &Value, rule: &str, took: &str) -> Result<[String; 5], Problem> {
    let finding = alert.pointer("/findings/0").unwrap_or(&Value::Null);
    let action = alert.pointer("/actions/0").unwrap_or(&Value::Null);
    if finding.get("rule").and_then(Value::as_str) != Some(rule)
        || finding.get("status").and_then(Value::as_str) != Some("fixed")
    {
        return Err(
            format!("the alert about {name} does not tell of {rule} as fixed: {alert}").into(),
        );
    }
    let text = |key: &str| {
        action
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Ok([
        name.to_owned(),
        rule.to_owned(),
        text("from"),
        text("to"),
        took.to_owned(),
    ])
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f32())
}

fn arn(name: &str) -> String {
    format!("arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}")
}

fn encryption(repository: &Repository) -> Option<&EncryptionType> {
    Some(repository.encryption_configuration()?.encryption_type())
}

/// What the demo is about, of a repository.
fn settings(repository: &Repository) -> String {
    let mutability = repository
        .image_tag_mutability()
        .map_or("?", ImageTagMutability::as_str);
    let encryption = encryption(repository).map_or("?", EncryptionType::as_str);
    format!("{mutability}, {encryption}")
}

/// The registry's own words, out of the client's error; any other error is one of the demo.
fn reason(refusal: &Problem) -> Result<String, Problem> {
    let text = refusal.to_string();
    if text.contains("immutable") {
        Ok("the tag is immutable".to_owned())
    } else {
        Err(format!("the push was refused for another reason: {text}").into())
    }
}
