//! What AWS does between CloudTrail and EventBridge, and ministack does not: each record becomes an event, each deployed
//! rule is asked whether it matches, and the targets of those that do are invoked.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_eventbridge::types::RuleState;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use ecr_warden_core::trigger::Cause;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::Problem;
use crate::clients::Clients;
use crate::local_aws::{ACCOUNT, REGION};

/// A rule with its targets: a function each, and what it gets instead of the event.
struct Rule {
    pattern: String,
    targets: Vec<(String, Option<String>)>,
    enforcer: Option<String>,
}

/// The function whose changes are its own, by its target's id in the template.
const ENFORCER: &str = "enforcer";

/// A function's session, as CloudTrail names it: the role's ARN and the function's name.
struct Session {
    role: String,
    function: String,
}

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Relay {
    task: JoinHandle<()>,
    clients: Clients,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    /// Begins with what is recorded from now on.
    ///
    /// # Errors
    /// What AWS said.
    pub async fn start(clients: &Clients) -> Result<Self, Problem> {
        Self::start_after(clients, recorded(clients).await?).await
    }

    /// Begins with what is recorded and not among these, as CloudTrail tells of a call some time after it.
    ///
    /// # Errors
    /// What AWS said.
    pub async fn start_after(
        clients: &Clients,
        mut seen: BTreeSet<String>,
    ) -> Result<Self, Problem> {
        let rules = rules(clients).await?;
        let session = session(clients, &rules).await?;
        let carrier = clients.clone();
        let task = tokio::spawn(async move {
            loop {
                if let Err(problem) = carry(&carrier, &rules, session.as_ref(), &mut seen).await {
                    report(&problem);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Ok(Self {
            task,
            clients: clients.clone(),
        })
    }

    /// ECR's own event of a push, which needs no trail. ministack records pushes nowhere.
    ///
    /// # Errors
    /// What AWS said.
    pub async fn pushed(&self, repository: &str, tag: &str, digest: &str) -> Result<(), Problem> {
        let detail = json!({
            "result": "SUCCESS", "repository-name": repository, "image-digest": digest, "action-type": "PUSH",
            "image-tag": tag,
        });
        let event = envelope(
            "ECR Image Action",
            &format!("push-{repository}-{tag}"),
            &detail,
        );
        deliver(&self.clients, &rules(&self.clients).await?, &event).await
    }

    /// ECR's own event of an image that replication has brought. It is the only one: no record of CloudTrail's is known.
    ///
    /// # Errors
    /// What AWS said.
    pub async fn replicated(&self, repository: &str, tag: &str) -> Result<(), Problem> {
        let detail = json!({
            "result": "SUCCESS", "repository-name": repository, "image-digest": format!("sha256:{}", "0".repeat(64)),
            "source-account": ACCOUNT, "action-type": "REPLICATE", "source-region": "us-west-2", "image-tag": tag,
        });
        let id = format!("replicated-{repository}-{tag}");
        let event = envelope("ECR Replication Action", &id, &detail);
        deliver(&self.clients, &rules(&self.clients).await?, &event).await
    }

    /// A record of CloudTrail's, of a call that ministack does not know.
    ///
    /// # Errors
    /// What AWS said.
    pub async fn recorded(&self, detail: &Value) -> Result<(), Problem> {
        let event = envelope("AWS API Call via CloudTrail", "recorded", detail);
        deliver(&self.clients, &rules(&self.clients).await?, &event).await
    }

    /// CloudTrail's record of a push that immutability refused.
    ///
    /// # Errors
    /// What AWS said.
    pub async fn refused(&self, repository: &str, tag: &str) -> Result<(), Problem> {
        let detail = refused(repository, tag);
        let id = format!("refused-{repository}-{tag}");
        let event = envelope("AWS API Call via CloudTrail", &id, &detail);
        deliver(&self.clients, &rules(&self.clients).await?, &event).await
    }
}

/// A push that immutability refused, as CloudTrail tells of it. ministack's records do not say that a call failed.
fn refused(repository: &str, tag: &str) -> Value {
    json!({
        "eventVersion": "1.08", "eventSource": "ecr.amazonaws.com", "eventName": "PutImage", "awsRegion": REGION,
        "eventTime": "2026-01-01T00:00:00Z", "readOnly": false,
        "userIdentity": { "type": "IAMUser", "arn": format!("arn:aws:iam::{ACCOUNT}:user/build") },
        "requestParameters": { "repositoryName": repository, "imageTag": tag, "registryId": ACCOUNT },
        "responseElements": null, "errorCode": "ImageTagAlreadyExistsException",
    })
}

#[expect(
    clippy::print_stderr,
    reason = "a broken relay must be heard in the tests' output"
)]
fn report(problem: &Problem) {
    eprintln!("relay: {problem}");
}

async fn carry(
    clients: &Clients,
    rules: &[Rule],
    session: Option<&Session>,
    seen: &mut BTreeSet<String>,
) -> Result<(), Problem> {
    let mut records = records(clients).await?;
    // Newest first, as CloudTrail has them.
    records.reverse();
    for (id, record) in records {
        if seen.contains(&id) {
            continue;
        }
        let event = envelope(
            "AWS API Call via CloudTrail",
            &id,
            &corrected(record, session),
        );
        // At least once, as EventBridge: what could not be delivered comes again.
        deliver(clients, rules, &event).await?;
        seen.insert(id);
    }
    Ok(())
}

/// The identities of all records that there are.
///
/// # Errors
/// What AWS said.
pub async fn recorded(clients: &Clients) -> Result<BTreeSet<String>, Problem> {
    let records = records(clients).await?;
    Ok(records.into_iter().map(|(id, _)| id).collect())
}

/// ECR's records of writes by identity.
async fn records(clients: &Clients) -> Result<Vec<(String, Value)>, Problem> {
    let mut found = Vec::new();
    for operation in Cause::CALLS.map(Cause::name) {
        let page = clients
            .cloudtrail
            .lookup_events()
            .lookup_attributes(
                aws_sdk_cloudtrail::types::LookupAttribute::builder()
                    .attribute_key(aws_sdk_cloudtrail::types::LookupAttributeKey::EventName)
                    .attribute_value(operation)
                    .build()?,
            )
            .max_results(50)
            .send()
            .await?;
        for event in page.events() {
            if let (Some(id), Some(text)) = (event.event_id(), event.cloud_trail_event()) {
                found.push((id.to_owned(), serde_json::from_str(text)?));
            }
        }
    }
    Ok(found)
}

/// Where ministack's records differ from AWS's: `readOnly` is a boolean there, and the session of a function's role is
/// named as one, not by its temporary access key.
fn corrected(mut record: Value, session: Option<&Session>) -> Value {
    if let Some(read_only) = record.pointer_mut("/readOnly") {
        *read_only = Value::Bool(read_only == "true");
    }
    let key = record
        .pointer("/userIdentity/accessKeyId")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if let (true, Some(session)) = (key.starts_with("ASIA"), session) {
        let role = session.role.rsplit('/').next().unwrap_or_default();
        let identity = json!({
            "type": "AssumedRole",
            "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{}", session.function),
            "accountId": ACCOUNT,
            "accessKeyId": key,
            "sessionContext": { "sessionIssuer": { "type": "Role", "arn": session.role, "userName": role } },
        });
        if let Some(fields) = record.as_object_mut() {
            fields.insert("userIdentity".to_owned(), identity);
        }
    }
    record
}

/// The enforcer's: all sessions of functions are taken for its own.
async fn session(clients: &Clients, rules: &[Rule]) -> Result<Option<Session>, Problem> {
    let enforcers = rules.iter().filter_map(|rule| rule.enforcer.as_ref());
    let Some(function) = enforcers.min() else {
        return Ok(None);
    };
    let configuration = clients
        .lambda
        .get_function_configuration()
        .function_name(function)
        .send()
        .await?;
    Ok(configuration.role().map(|role| Session {
        role: role.to_owned(),
        function: configuration.function_name().unwrap_or_default().to_owned(),
    }))
}

/// CloudTrail omits parameters that are larger (user guide, "CloudTrail record contents": 100 KB).
const LARGEST_PARAMETERS: usize = 100 * 1024;

fn envelope(detail_type: &str, id: &str, detail: &Value) -> Value {
    let mut detail = detail.clone();
    for key in ["requestParameters", "responseElements"] {
        if let Some(parameters) = detail.get_mut(key)
            && parameters.to_string().len() > LARGEST_PARAMETERS
        {
            *parameters = json!({ "omitted": true });
        }
    }
    json!({
        "version": "0", "id": id, "detail-type": detail_type, "source": "aws.ecr", "account": ACCOUNT, "region": REGION,
        "time": detail.get("eventTime").cloned().unwrap_or_else(|| json!("2026-01-01T00:00:00Z")),
        "resources": [], "detail": detail,
    })
}

async fn rules(clients: &Clients) -> Result<Vec<Rule>, Problem> {
    let mut found = Vec::new();
    for rule in clients.eventbridge.list_rules().send().await?.rules() {
        let (Some(name), Some(pattern)) = (rule.name(), rule.event_pattern()) else {
            continue;
        };
        // EventBridge matches no event by a rule that is disabled (EventBridge API reference, DisableRule).
        if rule.state() == Some(&RuleState::Disabled) {
            continue;
        }
        let targets = clients
            .eventbridge
            .list_targets_by_rule()
            .rule(name)
            .send()
            .await?;
        let targets = targets.targets();
        found.push(Rule {
            pattern: pattern.to_owned(),
            targets: targets
                .iter()
                .map(|target| (target.arn().to_owned(), target.input.clone()))
                .collect(),
            enforcer: targets
                .iter()
                .find(|target| target.id() == ENFORCER)
                .map(|target| target.arn().to_owned()),
        });
    }
    Ok(found)
}

async fn deliver(clients: &Clients, rules: &[Rule], event: &Value) -> Result<(), Problem> {
    for rule in rules {
        let matches = clients
            .eventbridge
            .test_event_pattern()
            .event_pattern(&rule.pattern)
            .event(event.to_string())
            .send()
            .await?
            .result();
        if !matches {
            continue;
        }
        for (function, input) in &rule.targets {
            let payload = input.clone().unwrap_or_else(|| event.to_string());
            clients
                .lambda
                .invoke()
                .function_name(function)
                .invocation_type(InvocationType::Event)
                .payload(Blob::new(payload))
                .send()
                .await?;
        }
    }
    Ok(())
}
