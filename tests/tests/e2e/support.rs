//! One local AWS for all tests that tell themselves apart by their repositories' names.

use std::sync::LazyLock;

use aws_sdk_ecr::types::{EncryptionType, ImageTagMutability, Repository};
use aws_sdk_lambda::primitives::Blob;
use ecr_warden_tests::clients::Clients;
use ecr_warden_tests::inbox::Inbox;
use ecr_warden_tests::local_aws::{ACCOUNT, LocalAws, REGION, Stack};
use serde_json::{Value, json};

static SHARED: LazyLock<(LocalAws, Stack)> = LazyLock::new(|| {
    let local = LocalAws::start().expect("the local AWS starts");
    let stack = local.deploy("ecr-warden", "").expect("the stack deploys");
    (local, stack)
});

/// What a test works with.
pub(crate) struct World {
    pub(crate) local: &'static LocalAws,
    pub(crate) stack: &'static Stack,
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
        let (local, stack) = &*SHARED;
        Self::of(local, stack)
    }

    pub(crate) fn of(local: &'static LocalAws, stack: &'static Stack) -> Self {
        Self {
            local,
            stack,
            clients: local.clients(),
        }
    }

    /// A local AWS of the test's own, for one that changes the deployment.
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
        let local: &'static LocalAws =
            Box::leak(Box::new(LocalAws::start().expect("the local AWS starts")));
        let parameters = prepare(local);
        let stack = Box::leak(Box::new(
            local
                .deploy("ecr-warden", &parameters)
                .expect("the stack deploys"),
        ));
        Self::of(local, stack)
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
        let items = self
            .clients
            .dynamodb
            .scan()
            .table_name(&self.stack.state_table)
            .send()
            .await
            .unwrap();
        let arn = arn(name);
        let text =
            |item: &std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>,
             key: &str| {
                item.get(key)
                    .and_then(|value| value.as_s().ok())
                    .cloned()
                    .unwrap_or_default()
            };
        let mut kinds: Vec<String> = items
            .items()
            .iter()
            .filter(|item| text(item, "pk") == arn)
            .map(|item| text(item, "sk"))
            .collect();
        kinds.sort();
        kinds
    }

    /// As if the time that a dead owner's leases are kept for had passed.
    pub(crate) async fn let_leases_run_out(&self, name: &str) {
        use aws_sdk_dynamodb::types::AttributeValue;
        for kind in self.state(name).await {
            let table = self.clients.dynamodb.clone();
            let key = [("pk", arn(name)), ("sk", kind.clone())]
                .map(|(key, value)| (key.to_owned(), AttributeValue::S(value)));
            let item = table
                .get_item()
                .table_name(&self.stack.state_table)
                .set_key(Some(key.clone().into()))
                .send()
                .await
                .unwrap();
            let Some(mut item) = item.item else { continue };
            item.entry("until".to_owned())
                .and_modify(|until| *until = AttributeValue::N("0".to_owned()));
            let body = item
                .get("body")
                .and_then(|body| body.as_s().ok())
                .cloned()
                .unwrap_or_default();
            let mut body: Value = serde_json::from_str(&body).unwrap();
            if let Some(until) = body.pointer_mut("/pending/until") {
                *until = json!(0);
            }
            item.insert("body".to_owned(), AttributeValue::S(body.to_string()));
            table
                .put_item()
                .table_name(&self.stack.state_table)
                .set_item(Some(item))
                .send()
                .await
                .unwrap();
        }
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

/// The status of a rule's finding in an outcome or an alert.
pub(crate) fn status<'v>(report: &'v Value, rule: &str) -> Option<&'v str> {
    let findings = report.pointer("/findings")?.as_array()?;
    let finding = findings
        .iter()
        .find(|finding| finding.get("rule").and_then(Value::as_str) == Some(rule))?;
    finding.get("status")?.as_str()
}
