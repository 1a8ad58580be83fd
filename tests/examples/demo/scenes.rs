//! What happens in the demo: repositories and a creation template, made by ordinary calls, and what becomes of each.

use std::time::{Duration, Instant};

use aws_sdk_ecr::types::{EncryptionType, ImageTagMutability, RctAppliedFor, Repository, Tag};
use ecr_warden_tests::clients::Clients;
use ecr_warden_tests::inbox::Inbox;
use ecr_warden_tests::local_aws::{ACCOUNT, LocalAws, REGION};
use ecr_warden_tests::relay::{Relay, recorded};
use ecr_warden_tests::samples::{FLAGGED, Happens};
use ecr_warden_tests::{Problem, eventually, oci};
use serde_json::{Value, json};

use crate::screen::Screen;
use crate::telling::{found_row, row, seconds, tell, text_of};

const MUTABLE: &str = "shop/web";
const SENSITIVE: &str = "payments/ledger";
const CONFORMING: &str = "shop/docs";
const IMMUTABLE: &str = "shop/app";
/// The tag that the policy lets move.
const MOVING: &str = "latest";
/// The prefix of the creation template.
const PREFIX: &str = "payments";
const TAG: (&str, &str) = ("team", "demo");

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
    pub(crate) fn new(
        screen: &'d Screen,
        local: &'d LocalAws,
        clients: Clients,
        inbox: Inbox,
    ) -> Self {
        Self {
            screen,
            local,
            clients,
            inbox,
            relay: None,
        }
    }

    /// All scenes.
    ///
    /// # Errors
    /// Something did not come as it should.
    pub(crate) async fn play(&mut self) -> Result<(), Problem> {
        let from_record = self.a_mutable_one().await?;
        let from_refusal = self.a_refused_push().await?;
        let conforming = self.a_conforming_one().await?;
        let from_call = self.a_sensitive_one().await?;
        let alerts = [
            self.inbox.wait_for(MUTABLE).await?,
            self.inbox.wait_for(SENSITIVE).await?,
            self.inbox.wait_for(IMMUTABLE).await?,
        ];
        self.check_tags().await?;
        self.check_untouched(&conforming).await?;
        self.screen.title("What was found, and what was changed");
        let [first, second, third] = &alerts;
        self.screen.table(
            ["repository", "found", "changed from", "to", "took"],
            &[
                row(
                    MUTABLE,
                    first,
                    "mutable-tags",
                    &format!("{} *", seconds(from_record)),
                )?,
                row(SENSITIVE, second, "weak-encryption", &seconds(from_call))?,
                row(IMMUTABLE, third, "blocked-push", &seconds(from_refusal))?,
                [CONFORMING, "nothing", "", "", "untouched"].map(str::to_owned),
            ],
        );
        self.screen
            .note("took: from the call to the repair\n   *: from CloudTrail's record, which was delayed while images were pushed");
        self.screen
            .title("The alerts, as received from the queue that is subscribed to the topic");
        for alert in &alerts {
            tell(self.screen, alert)?;
        }
        self.a_template().await?;
        self.one_of_each().await
    }

    /// A pipeline moves a tag that the policy lets move, where tags are immutable. How long the grant took from the refusal on.
    async fn a_refused_push(&self) -> Result<Duration, Problem> {
        self.screen.title(&format!(
            "{IMMUTABLE}: a build fails, because `{MOVING}` cannot move"
        ));
        let created = self
            .create(IMMUTABLE, ImageTagMutability::Immutable)
            .await?;
        self.screen.good("create it", &settings(&created));
        oci::push(self.local, IMMUTABLE, MOVING, "the first build").await?;
        match oci::push(self.local, IMMUTABLE, MOVING, "the second build").await {
            Ok(()) => return Err(format!("{IMMUTABLE} took two images as {MOVING}").into()),
            Err(refusal) => self.screen.bad(
                &format!("push another image as {MOVING}"),
                &format!("refused: {}", reason(&refusal)?),
            ),
        }
        let refused = Instant::now();
        let relay = self.relay.as_ref().ok_or("the relay does not run")?;
        relay.refused(IMMUTABLE, MOVING).await?;
        let granted = self
            .wait_until(IMMUTABLE, |repository| {
                repository.image_tag_mutability()
                    == Some(&ImageTagMutability::ImmutableWithExclusion)
            })
            .await?;
        let took = refused.elapsed();
        self.screen
            .good("the rule fires, the filter is granted", &settings(&granted));
        oci::push(self.local, IMMUTABLE, MOVING, "the second build").await?;
        self.screen.good("push it again", "accepted");
        Ok(took)
    }

    /// A creation template whose repositories would not be as the policy requires.
    async fn a_template(&mut self) -> Result<(), Problem> {
        self.screen.title(&format!(
            "The registry: a template creates {PREFIX}/... on the first push"
        ));
        // The proxy has what the local AWS lacks.
        let ecr = Clients::new(&self.local.proxy.endpoint()).ecr;
        ecr.create_repository_creation_template()
            .prefix(PREFIX)
            .applied_for(RctAppliedFor::CreateOnPush)
            .send()
            .await?;
        self.screen.bad("create it", "MUTABLE, AES256");
        let record = json!({
            "eventVersion": "1.11", "eventSource": "ecr.amazonaws.com", "eventName": "CreateRepositoryCreationTemplate",
            "awsRegion": REGION, "eventTime": "2026-01-01T00:00:00Z", "readOnly": false,
            "userIdentity": { "type": "IAMUser", "arn": format!("arn:aws:iam::{ACCOUNT}:user/mary") },
            "requestParameters": { "prefix": PREFIX, "appliedFor": ["CREATE_ON_PUSH"] }, "responseElements": null,
        });
        let relay = self.relay.as_ref().ok_or("the relay does not run")?;
        relay.recorded(&record).await?;
        let (name, rule) = ("", "nonconforming-template");
        let found = self.wait_for_finding(name, rule, "open").await?;
        for (label, path) in [
            ("What", "/detail"),
            ("To do", "/advice"),
            ("Terraform", "/iac/terraform"),
        ] {
            self.screen.field(label, text_of(&found, path)?);
        }
        self.screen.gap();
        Ok(())
    }

    /// For each rule a repository with one thing wrong, and what was said of it.
    async fn one_of_each(&mut self) -> Result<(), Problem> {
        self.screen
            .title("One of each: for every rule a repository with one thing wrong");
        let mut rows = Vec::new();
        for flagged in FLAGGED {
            let sample = (flagged.sample)();
            sample.create(&self.clients.ecr).await?;
            let relay = self.relay.as_ref().ok_or("the relay does not run")?;
            match sample.happens {
                Happens::Creation => {}
                Happens::Push(tag) => relay.pushed(sample.name, tag, "sha256:0").await?,
                Happens::RefusedPush(tag) => relay.refused(sample.name, tag).await?,
            }
        }
        for flagged in FLAGGED {
            let name = (flagged.sample)().name;
            let found = self
                .wait_for_finding(name, flagged.rule, flagged.becomes)
                .await?;
            rows.push(found_row(name, &found)?);
        }
        self.screen.table(
            ["rule\nrepository", "status\nseverity", "what was found"],
            &rows,
        );
        Ok(())
    }

    async fn wait_for_finding(
        &mut self,
        name: &str,
        rule: &str,
        status: &str,
    ) -> Result<Value, Problem> {
        let give_up = Instant::now() + REPAIRED_WITHIN;
        loop {
            for alert in self.inbox.alerts_of_arn(&arn(name)).await? {
                let findings = alert.get("findings").and_then(Value::as_array);
                let found = findings.into_iter().flatten().find(|finding| {
                    let text = |key: &str| finding.get(key).and_then(Value::as_str);
                    text("rule") == Some(rule) && text("status") == Some(status)
                });
                if let Some(found) = found {
                    return Ok(found.clone());
                }
            }
            if Instant::now() > give_up {
                return Err(format!("no alert tells of {rule} in {name} as {status}").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
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
        self.screen.good(
            "CloudTrail records it, the rule fires",
            &settings(&repaired),
        );
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

    /// Encrypted with AES-256 where the policy requires KMS. How long the repair took from the call on.
    async fn a_sensitive_one(&self) -> Result<Duration, Problem> {
        self.screen
            .title(&format!("{SENSITIVE}: the policy requires KMS"));
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
            .good("the rule fires, it is recreated", &settings(&repaired));
        Ok(took)
    }

    /// As the policy wants it: looked at.
    async fn a_conforming_one(&self) -> Result<Repository, Problem> {
        self.screen.title(&format!("{CONFORMING}: as it should be"));
        let created = self
            .create(CONFORMING, ImageTagMutability::Immutable)
            .await?;
        self.screen.good("create it", &settings(&created));
        eventually("the look at it", REPAIRED_WITHIN, || async {
            let calls = self.local.proxy.calls(CONFORMING);
            let looked = calls
                .iter()
                .any(|call| call.operation == "DescribeRepositories");
            Ok(looked.then_some(()))
        })
        .await?;
        self.screen
            .good("the rule fires, it is evaluated", "it conforms");
        Ok(created)
    }

    /// No write, no difference, no alert. Long after the look, so that nothing can be on its way.
    async fn check_untouched(&mut self, before: &Repository) -> Result<(), Problem> {
        for call in self.local.proxy.calls(CONFORMING) {
            let reads = ["Describe", "Get", "List", "Query"];
            if !reads.iter().any(|read| call.operation.starts_with(read)) {
                return Err(format!("{CONFORMING} conforms, but there was {call:?}").into());
            }
        }
        let now = self.describe(CONFORMING).await?;
        if now.as_ref() != Some(before) {
            return Err(format!("{CONFORMING} conforms, but was changed: {now:?}").into());
        }
        match self.inbox.alerts_of(CONFORMING).await?.first() {
            Some(alert) => Err(format!("{CONFORMING} conforms, but: {alert}").into()),
            None => Ok(()),
        }
    }

    /// What a recreation puts back.
    async fn check_tags(&self) -> Result<(), Problem> {
        let answer = self
            .clients
            .ecr
            .list_tags_for_resource()
            .resource_arn(arn(SENSITIVE))
            .send()
            .await?;
        match answer.tags() {
            [tag] if (tag.key(), tag.value()) == TAG => Ok(()),
            other => Err(format!("{SENSITIVE} has lost its tags: {other:?}").into()),
        }
    }

    async fn create(
        &self,
        name: &str,
        mutability: ImageTagMutability,
    ) -> Result<Repository, Problem> {
        let tag = Tag::builder().key(TAG.0).value(TAG.1).build()?;
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
}

/// Of a repository; of the registry without a name.
fn arn(name: &str) -> String {
    if name.is_empty() {
        return format!("arn:aws:ecr:{REGION}:{ACCOUNT}:registry");
    }
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
