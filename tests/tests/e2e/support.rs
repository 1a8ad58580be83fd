//! One local AWS for all tests that tell themselves apart by their repositories' names.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_ecr::types::{EncryptionType, ImageTagMutability, Repository};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{TracingConfig, TracingMode};
use aws_sdk_sqs::types::QueueAttributeName;
use ecr_warden_core::defer::{DEFERRALS, FIRST_DEFERRED_AT};
use ecr_warden_tests::caller::{Ask, Caller};
use ecr_warden_tests::clients::Clients;
use ecr_warden_tests::inbox::Inbox;
use ecr_warden_tests::local_aws::{ACCOUNT, LocalAws, REGION, Stack, in_runtime};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

static SHARED: LazyLock<(Arc<LocalAws>, Arc<Stack>)> = LazyLock::new(|| {
    let local = LocalAws::start().expect("the local AWS starts");
    // Once as users do it.
    let stack = local.make_deploy("ecr-warden", "");
    let stack = stack.expect("the stack deploys");
    subscribe_somebody(&local, &stack);
    (local.into(), stack.into())
});

type Item = HashMap<String, AttributeValue>;

/// What a test works with.
pub(crate) struct World {
    pub(crate) local: Arc<LocalAws>,
    pub(crate) stack: Arc<Stack>,
    pub(crate) clients: Clients,
}

/// What the local AWS and its functions said last, where a test fails.
impl Drop for World {
    #[expect(clippy::print_stderr, reason = "libtest shows it with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.local.log_end());
        }
    }
}

impl World {
    pub(crate) fn shared() -> Self {
        let (local, stack) = SHARED.clone();
        Self::of(local, stack)
    }

    pub(crate) fn of(local: Arc<LocalAws>, stack: Arc<Stack>) -> Self {
        Self {
            clients: local.clients(),
            local,
            stack,
        }
    }

    /// Starts a local AWS for this test alone, which may change the deployment, and stops it when the test ends.
    pub(crate) fn own() -> Self {
        Self::own_with("", |_| {})
    }

    /// The same with parameters, after something has been prepared.
    pub(crate) fn own_with(parameters: &str, prepare: impl FnOnce(&LocalAws)) -> Self {
        Self::own_after(|local| {
            prepare(local);
            parameters.to_owned()
        })
    }

    /// The same with the parameters that preparing came to.
    pub(crate) fn own_after(prepare: impl FnOnce(&LocalAws) -> String) -> Self {
        let local = LocalAws::start().expect("the local AWS starts");
        let parameters = prepare(&local);
        let stack = local.deploy("ecr-warden", &parameters);
        let stack = stack.expect("the stack deploys");
        subscribe_somebody(&local, &stack);
        Self::of(local.into(), stack.into())
    }

    /// The same, and nobody is subscribed to the alert topic.
    pub(crate) fn own_without_subscribers() -> Self {
        let local = LocalAws::start().expect("the local AWS starts");
        let stack = local.deploy("ecr-warden", "").expect("the stack deploys");
        Self::of(local.into(), stack.into())
    }

    /// The same for another test: connections belong to the test that opens them.
    pub(crate) fn again(&self) -> Self {
        Self::of(self.local.clone(), self.stack.clone())
    }

    pub(crate) async fn inbox(&self, name: &str) -> Inbox {
        Inbox::open(&self.clients, &self.stack.topic_arn, name)
            .await
            .unwrap()
    }

    /// Invokes the enforcer and waits for its outcome; an error of the function is an error.
    pub(crate) async fn invoke(&self, event: &Value) -> Result<Value, String> {
        self.invoke_function(&self.stack.enforcer, event).await
    }

    /// The same with another function.
    pub(crate) async fn invoke_function(
        &self,
        function: &str,
        event: &Value,
    ) -> Result<Value, String> {
        let answer = self
            .clients
            .lambda
            .invoke()
            .function_name(function)
            .payload(Blob::new(event.to_string()))
            .send()
            .await
            .unwrap();
        let payload: Value = serde_json::from_slice(answer.payload().map_or(&[][..], Blob::as_ref))
            .unwrap_or_default();
        match answer.function_error() {
            Some(_) => Err(payload.to_string()),
            None => Ok(payload),
        }
    }

    /// Invokes until it succeeds, as Lambda does with an event: three times at the most. Lambda's retry has the request id
    /// of the first try and goes on at once; an invocation of ours has another one, to which leases must have run out.
    pub(crate) async fn deliver(&self, event: &Value) -> Result<Value, String> {
        let mut last = Err("not invoked".to_owned());
        for _ in 0..3 {
            last = self.invoke(event).await;
            if last.is_ok() {
                break;
            }
            if let Some(name) = event.pointer("/detail/requestParameters/repositoryName") {
                self.let_leases_run_out(name.as_str().unwrap()).await;
            }
        }
        last
    }

    /// Whether EventBridge would deliver it.
    pub(crate) async fn is_matched_by_a_rule(&self, event: &Value) -> bool {
        static PATTERNS: OnceCell<Vec<String>> = OnceCell::const_new();
        let patterns = PATTERNS.get_or_init(async || {
            let rules = self.clients.eventbridge.list_rules().send().await.unwrap();
            let patterns = rules.rules().iter().filter_map(|rule| rule.event_pattern());
            patterns.map(str::to_owned).collect()
        });
        for pattern in patterns.await {
            let request = self.clients.eventbridge.test_event_pattern();
            let request = request.event_pattern(pattern).event(event.to_string());
            if request.send().await.unwrap().result() {
                return true;
            }
        }
        false
    }

    /// The same with an identity, as Lambda does: a retry of an invocation owns what the first try had claimed. An invocation
    /// of ours can't have an identity, a message that brings an event has.
    pub(crate) async fn deliver_as(&self, id: &str, event: &Value) -> Result<Value, String> {
        self.deliver_to(&self.stack.enforcer, id, event).await
    }

    /// The same to another function.
    pub(crate) async fn deliver_to(
        &self,
        function: &str,
        id: &str,
        event: &Value,
    ) -> Result<Value, String> {
        let mut last = Err("not invoked".to_owned());
        for _ in 0..3 {
            last = self.invoke_message(function, id, event).await;
            if last.is_ok() {
                break;
            }
            // A retry comes when the lease of the recreation has run out that the first try may have died at.
            if let Some(name) = event.pointer("/detail/requestParameters/repositoryName") {
                let of_the_dead = |owner: &str| owner.starts_with(&format!("{id}/"));
                self.let_recreations_run_out(name.as_str().unwrap(), of_the_dead)
                    .await;
            }
        }
        last
    }

    /// Invokes a function by a message with an identity.
    pub(crate) async fn invoke_message(
        &self,
        function: &str,
        id: &str,
        event: &Value,
    ) -> Result<Value, String> {
        let message =
            json!({ "eventSource": "aws:sqs", "messageId": id, "body": event.to_string() });
        let message = json!({ "Records": [message] });
        self.invoke_function(function, &message).await
    }

    /// Uses up the policy's rate limit for the next half minute.
    pub(crate) async fn use_up_the_rate_limit(&self) {
        self.set_free_at(std::time::Duration::from_secs(30)).await;
    }

    /// Records that ECR's next free call is so far ahead.
    pub(crate) async fn set_free_at(&self, ahead: std::time::Duration) {
        let at = std::time::UNIX_EPOCH.elapsed().unwrap() + ahead;
        let item = [
            ("pk", AttributeValue::S(format!("quota#{ACCOUNT}/{REGION}"))),
            ("sk", AttributeValue::S("ecr".to_owned())),
            ("free_at", AttributeValue::N(at.as_millis().to_string())),
        ];
        let item: Item = item.map(|(name, value)| (name.to_owned(), value)).into();
        let put = self.clients.dynamodb.put_item();
        let put = put.table_name(&self.stack.state_table);
        put.set_item(Some(item)).send().await.unwrap();
    }

    /// The number of dead letters.
    pub(crate) async fn dead_letters(&self) -> usize {
        let number = QueueAttributeName::ApproximateNumberOfMessages;
        let request = self.clients.sqs.get_queue_attributes();
        let request = request.queue_url(&self.stack.dead_letters);
        let answer = request.attribute_names(number.clone()).send().await;
        answer.unwrap().attributes().unwrap()[&number]
            .parse()
            .unwrap()
    }

    /// Has each call say which invocation made it.
    pub(crate) async fn trace(&self) {
        for function in [&self.stack.enforcer, &self.stack.auditor] {
            let active = TracingConfig::builder().mode(TracingMode::Active).build();
            self.clients
                .lambda
                .update_function_configuration()
                .function_name(function)
                .tracing_config(active)
                .send()
                .await
                .unwrap();
        }
    }

    /// Makes a time in the body of an item older: the one at this JSON pointer, by this number of seconds.
    pub(crate) async fn age(&self, name: &str, kind: &str, time: &str, by: i64) {
        let key = |text: &str| AttributeValue::S(text.to_owned());
        let mut body = self.item(name, kind).await.unwrap();
        let at = body.pointer_mut(time).unwrap();
        *at = json!(at.as_i64().unwrap() - by);
        let update = self.clients.dynamodb.update_item();
        let update = update.table_name(&self.stack.state_table);
        let update = update.key("pk", key(&arn(name))).key("sk", key(kind));
        let update = update.update_expression("SET body = :body");
        let update = update.expression_attribute_values(":body", key(&body.to_string()));
        update.send().await.unwrap();
    }

    /// From now on, deferred events stay in their queue.
    pub(crate) async fn keep_deferred_events(&self) {
        let lambda = &self.clients.lambda;
        let enforcer = &self.stack.enforcer;
        let list = lambda.list_event_source_mappings().function_name(enforcer);
        let all = list.send().await.unwrap();
        assert!(!all.event_source_mappings().is_empty());
        for mapping in all.event_source_mappings() {
            let update = lambda.update_event_source_mapping().enabled(false);
            let update = update.set_uuid(mapping.uuid.clone());
            update.send().await.unwrap();
        }
    }

    pub(crate) async fn set_timeout_of_auditor(&self, seconds: i32) {
        self.clients
            .lambda
            .update_function_configuration()
            .function_name(&self.stack.auditor)
            .timeout(seconds)
            .send()
            .await
            .unwrap();
    }

    pub(crate) async fn create(&self, name: &str) -> Repository {
        let answer = self
            .clients
            .ecr
            .create_repository()
            .repository_name(name)
            .send()
            .await
            .unwrap();
        answer.repository.unwrap()
    }

    pub(crate) async fn describe(&self, name: &str) -> Option<Repository> {
        let answer = self
            .clients
            .ecr
            .describe_repositories()
            .repository_names(name)
            .send()
            .await;
        answer
            .ok()
            .and_then(|answer| answer.repositories?.into_iter().next())
    }

    pub(crate) async fn mutability(&self, name: &str) -> ImageTagMutability {
        self.describe(name)
            .await
            .unwrap()
            .image_tag_mutability
            .unwrap()
    }

    pub(crate) async fn encryption(&self, name: &str) -> EncryptionType {
        let repository = self.describe(name).await.unwrap();
        repository.encryption_configuration.unwrap().encryption_type
    }

    /// What the state table holds of a repository, by sort key.
    pub(crate) async fn state(&self, name: &str) -> Vec<String> {
        let kind = |item: &Item| {
            let kind = item.get("sk").and_then(|kind| kind.as_s().ok());
            kind.cloned().unwrap_or_default()
        };
        let mut kinds: Vec<String> = self.remembered(name).await.iter().map(kind).collect();
        kinds.sort();
        kinds
    }

    async fn remembered(&self, name: &str) -> Vec<Item> {
        let answer = self
            .clients
            .dynamodb
            .query()
            .table_name(&self.stack.state_table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(arn(name)))
            .send()
            .await
            .unwrap();
        answer.items.unwrap_or_default()
    }

    /// As if the time that a dead owner's leases are kept for had passed, and so what was done is shown.
    pub(crate) async fn let_leases_run_out(&self, name: &str) {
        let proxy = &self.local.proxy;
        proxy.real_aws(|aws| aws.visibility.let_all_show());
        for mut item in self.remembered(name).await {
            let mut runs_out = false;
            item.entry("until".to_owned()).and_modify(|until| {
                *until = AttributeValue::N("0".to_owned());
                runs_out = true;
            });
            let body = item.get("body").and_then(|body| body.as_s().ok());
            let mut body: Value = serde_json::from_str(body.unwrap()).unwrap();
            if let Some(until) = body.pointer_mut("/pending/until") {
                *until = json!(0);
                runs_out = true;
            }
            if !runs_out {
                continue;
            }
            item.insert("body".to_owned(), AttributeValue::S(body.to_string()));
            self.put(item).await;
        }
    }

    /// The same of the recreations of these owners alone.
    async fn let_recreations_run_out(&self, name: &str, of: impl Fn(&str) -> bool) {
        for mut item in self.remembered(name).await {
            let owner = item.get("owner").and_then(|owner| owner.as_s().ok());
            if owner.is_some_and(|owner| of(owner)) {
                item.insert("until".to_owned(), AttributeValue::N("0".to_owned()));
                self.put(item).await;
            }
        }
    }

    /// As if all repairs on record had been made a day earlier.
    pub(crate) async fn let_a_day_pass(&self, name: &str) {
        for mut item in self.remembered(name).await {
            let body = item.get("body").and_then(|body| body.as_s().ok());
            let mut body: Value = serde_json::from_str(body.unwrap()).unwrap();
            let Some(history) = body.get_mut("history").and_then(Value::as_array_mut) else {
                continue;
            };
            for repair in history {
                repair["at"] = json!(repair["at"].as_i64().unwrap() - 24 * 60 * 60);
            }
            item.insert("body".to_owned(), AttributeValue::S(body.to_string()));
            self.put(item).await;
        }
    }

    pub(crate) async fn put(&self, item: Item) {
        self.clients
            .dynamodb
            .put_item()
            .table_name(&self.stack.state_table)
            .set_item(Some(item))
            .send()
            .await
            .unwrap();
    }

    /// As if all repairs by this rule had been made so many seconds earlier.
    pub(crate) async fn repaired_earlier(&self, name: &str, rule: &str, seconds: i64) {
        let key = AttributeValue::S(format!("fix#{rule}"));
        let mut items = self.remembered(name).await.into_iter();
        let mut item = items.find(|item| item.get("sk") == Some(&key)).unwrap();
        let mut body: Value = serde_json::from_str(item["body"].as_s().unwrap()).unwrap();
        for repair in body["history"].as_array_mut().unwrap() {
            repair["at"] = json!(repair["at"].as_i64().unwrap() - seconds);
        }
        item.insert("body".to_owned(), AttributeValue::S(body.to_string()));
        self.put(item).await;
    }

    /// Takes a repository and what is remembered of it out of the way of those that come after it in a long run.
    pub(crate) async fn forget(&self, name: &str) {
        let gone = self.clients.ecr.delete_repository().repository_name(name);
        gone.force(true).send().await.unwrap();
        for mut item in self.remembered(name).await {
            item.retain(|key, _| key == "pk" || key == "sk");
            self.clients
                .dynamodb
                .delete_item()
                .table_name(&self.stack.state_table)
                .set_key(Some(item))
                .send()
                .await
                .unwrap();
        }
        self.local.proxy.forget(name);
    }

    /// The same of the repairs of the registry by a rule.
    pub(crate) async fn forget_registry(&self, rule: &str) {
        let registry = format!("registry#{ACCOUNT}/{REGION}");
        let delete = self.clients.dynamodb.delete_item();
        delete
            .table_name(&self.stack.state_table)
            .key("pk", AttributeValue::S(registry))
            .key("sk", AttributeValue::S(format!("fix#{rule}")))
            .send()
            .await
            .unwrap();
    }

    /// How often functions made a call about a repository.
    pub(crate) fn count(&self, operation: &str, name: &str) -> usize {
        self.local
            .proxy
            .calls(name)
            .iter()
            .filter(|call| call.operation == operation)
            .count()
    }
}

/// A queue that takes the alerts: what nobody receives does not count as reported, and most tests are about something else.
fn subscribe_somebody(local: &LocalAws, stack: &Stack) {
    let queue = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:somebody");
    let parameters = [
        ("TopicArn", stack.topic_arn.as_str()),
        ("Protocol", "sqs"),
        ("Endpoint", &queue),
    ];
    let root = Caller::root();
    let subscribe = Ask::Query("Subscribe", "2010-03-31", &parameters);
    let answer = in_runtime(root.ask(local.endpoint(), "sns", &subscribe));
    let answer = answer.expect("the local AWS answers");
    assert_eq!(answer.status, 200, "{answer:?}");
}

pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}")
}

/// A call by a person, as CloudTrail tells EventBridge.
pub(crate) fn call(operation: &str, repository: &str) -> Value {
    json!({
        "version": "0", "id": "0f1e", "detail-type": "AWS API Call via CloudTrail", "source": "aws.ecr",
        "account": ACCOUNT, "region": REGION, "time": "2026-11-23T08:00:00Z", "resources": [],
        "detail": {
            "eventVersion": "1.08", "eventSource": "ecr.amazonaws.com", "eventName": operation,
            "eventTime": "2026-11-23T08:00:00Z", "awsRegion": REGION, "readOnly": false,
            "userIdentity": { "type": "IAMUser", "arn": format!("arn:aws:iam::{ACCOUNT}:user/mary") },
            "requestParameters": { "repositoryName": repository },
        },
    })
}

/// A creation whose record says that ECR made the tags immutable.
pub(crate) fn created_immutable(repository: &str) -> Value {
    let mut event = call("CreateRepository", repository);
    event["detail"]["responseElements"] = json!({ "repository": {
        "repositoryName": repository, "registryId": ACCOUNT, "imageTagMutability": "IMMUTABLE",
        "encryptionConfiguration": { "encryptionType": "KMS" },
    } });
    event
}

/// A message that brings an event back, first deferred so many seconds ago, as Lambda hands it over.
pub(crate) fn deferred(id: &str, event: &Value, ago: u64, deferrals: u32) -> Value {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() - ago;
    let number = |value: String| json!({ "stringValue": value, "dataType": "Number" });
    let message = json!({
        "eventSource": "aws:sqs", "messageId": id, "body": event.to_string(),
        "messageAttributes": {
            FIRST_DEFERRED_AT: number(since.to_string()),
            DEFERRALS: number(deferrals.to_string()),
        },
    });
    json!({ "Records": [message] })
}

/// The status of a rule's finding in an outcome or an alert.
pub(crate) fn status<'v>(report: &'v Value, rule: &str) -> Option<&'v str> {
    let findings = report.pointer("/findings")?.as_array()?;
    let finding = findings
        .iter()
        .find(|finding| finding.get("rule").and_then(Value::as_str) == Some(rule))?;
    finding.get("status")?.as_str()
}
