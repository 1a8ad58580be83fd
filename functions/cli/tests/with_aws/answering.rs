//! An AWS that answers each call as a test wants it to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A call, by the name of its operation.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) operation: String,
    pub(crate) region: String,
    /// The access key that signed it; none signs a call that gets credentials.
    pub(crate) key: String,
    pub(crate) path: String,
    pub(crate) body: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// One more header, with its line break.
    pub(crate) header: &'static str,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn ok(body: impl ToString) -> Self {
        Self {
            status: 200,
            header: "",
            body: body.to_string(),
        }
    }

    /// An error in the form of ECR's.
    pub(crate) fn refused(code: &str, message: &str) -> Self {
        Self {
            status: 400,
            header: "",
            body: json!({ "__type": code, "message": message }).to_string(),
        }
    }

    /// An error in the form of CloudFormation's and STS's.
    pub(crate) fn refused_in_xml(status: u16, code: &str, message: &str) -> Self {
        Self {
            status,
            header: "",
            body: format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
            ),
        }
    }
}

pub(crate) struct Answering {
    pub(crate) port: u16,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Answering {
    /// `answer` is asked first; what it does not answer is answered as by an account that may do everything and has nothing.
    pub(crate) fn with(answer: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let (answer, recorded) = (Arc::new(answer), Arc::clone(&calls));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, recorded) = (Arc::clone(&answer), Arc::clone(&recorded));
                std::thread::spawn(move || serve(stream.unwrap(), &*answer, &recorded));
            }
        });
        Self { port, calls }
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// The bodies of the calls of an operation.
    pub(crate) fn asked(&self, operation: &str) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let of = calls.iter().filter(|call| call.operation == operation);
        of.map(|call| call.body.clone()).collect()
    }

    /// Its exit status, and what it says on standard output and on standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        self.run_with(arguments, |_| {})
    }

    pub(crate) fn run_with(
        &self,
        arguments: &[&str],
        change: impl Fn(&mut Command),
    ) -> (i32, String, String) {
        let mut command = ecr_warden(self.port, arguments);
        command
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_REGION", "eu-central-1");
        change(&mut command);
        let output = command.output().unwrap();
        said(&output)
    }
}

/// The command with an AWS at this port, and with no configuration and no credentials but what the test gives.
pub(crate) fn ecr_warden(port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecr-warden"));
    for (name, _) in std::env::vars() {
        let proxy = name.to_lowercase().ends_with("_proxy");
        if proxy || name.starts_with("AWS_") || name.starts_with("ECR_WARDEN_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}

/// Its exit status, and what it said on standard output and on standard error.
pub(crate) fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let status = output.status.code().unwrap();
    (status, text(&output.stdout), text(&output.stderr))
}

/// Reads the first line of a request and its headers; `None`: the connection has ended.
pub(crate) fn head(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        match line.trim_end() {
            "" => return Some(lines),
            line => lines.push(line.to_owned()),
        }
    }
}

/// Answers all calls of a connection.
pub(crate) fn serve(
    stream: impl Read + Write,
    answer: &dyn Fn(&Call) -> Option<Answer>,
    recorded: &Mutex<Vec<Call>>,
) {
    let mut reader = BufReader::new(stream);
    while let Some(lines) = head(&mut reader) {
        let headers: BTreeMap<String, &str> = lines
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect();
        let length = headers
            .get("content-length")
            .map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body = String::from_utf8_lossy(&body).into_owned();
        let path = lines[0].split(' ').nth(1).unwrap().to_owned();
        let signed = headers.get("authorization");
        let scope = signed.and_then(|signed| Some(signed.split_once("Credential=")?.1));
        let scope: Vec<&str> = scope.unwrap_or("////").split('/').collect();
        let call = Call {
            operation: operation(&headers, &path, &body, scope[3]),
            region: scope[2].to_owned(),
            key: scope[0].to_owned(),
            path,
            body,
        };
        recorded.lock().unwrap().push(call.clone());
        let answer = answer(&call).unwrap_or_else(|| nothing(&call));
        let first = format!(
            "HTTP/1.1 {} x\r\n{}content-length: {}\r\n\r\n",
            answer.status,
            answer.header,
            answer.body.len()
        );
        let answered = (first + &answer.body).into_bytes();
        let stream = reader.get_mut();
        if stream
            .write_all(&answered)
            .and_then(|()| stream.flush())
            .is_err()
        {
            return;
        }
    }
}

/// By the header of the JSON protocols, the form of the query protocol, or the path.
fn operation(headers: &BTreeMap<String, &str>, path: &str, body: &str, service: &str) -> String {
    if let Some(target) = headers.get("x-amz-target") {
        return target.rsplit('.').next().unwrap().to_owned();
    }
    let action = body
        .split('&')
        .find_map(|pair| pair.strip_prefix("Action="));
    match (service, action) {
        (_, Some(action)) => action.to_owned(),
        ("account", _) => path.trim_start_matches('/').to_owned(),
        ("lambda", _) if path.contains("/recursion-config") => {
            "GetFunctionRecursionConfig".to_owned()
        }
        ("lambda", _) if path.contains("/concurrency") => "GetFunctionConcurrency".to_owned(),
        ("lambda", _) => "Invoke".to_owned(),
        ("scheduler", _) => "GetSchedule".to_owned(),
        ("s3", _) => "GetObject".to_owned(),
        // What gives credentials is not signed.
        ("", _) => path.split('?').next().unwrap().to_owned(),
        _ => format!("{service} {path}"),
    }
}

fn nothing(call: &Call) -> Answer {
    match call.operation.as_str() {
        "GetCallerIdentity" => Answer::ok(
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::111111111111:user/mary</Arn>\
             <Account>111111111111</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
        ),
        "DescribeRepositories" => Answer::ok(json!({ "repositories": [] })),
        "DescribePullThroughCacheRules" => Answer::ok(json!({ "pullThroughCacheRules": [] })),
        "DescribeRepositoryCreationTemplates" => {
            Answer::ok(json!({ "repositoryCreationTemplates": [] }))
        }
        "DescribeImages" => Answer::ok(json!({ "imageDetails": [] })),
        "DescribeRegistry" => Answer::ok(json!({ "replicationConfiguration": { "rules": [] } })),
        "GetRegistryPolicy" => Answer::refused("RegistryPolicyNotFoundException", ""),
        other => Answer::refused("ValidationException", &format!("no {other} here")),
    }
}

/// A repository that only `mutable-tags` objects to.
pub(crate) fn repository(region: &str, name: &str) -> Value {
    json!({
        "repositoryName": name, "registryId": "111111111111", "imageTagMutability": "MUTABLE", "createdAt": 1.0,
        "repositoryArn": format!("arn:aws:ecr:{region}:111111111111:repository/{name}"),
        "encryptionConfiguration": { "encryptionType": "AES256" },
        "imageScanningConfiguration": { "scanOnPush": false },
    })
}

/// What ECR answers about a repository and a registry in which nothing is set; `None`: another question.
pub(crate) fn nothing_set(operation: &str) -> Option<Answer> {
    Some(match operation {
        "GetRepositoryPolicy" => Answer::refused("RepositoryPolicyNotFoundException", ""),
        "GetLifecyclePolicy" => Answer::refused("LifecyclePolicyNotFoundException", ""),
        "GetRegistryScanningConfiguration" => {
            Answer::ok(json!({ "scanningConfiguration": { "scanType": "BASIC", "rules": [] } }))
        }
        "BatchGetRepositoryScanningConfiguration" => {
            Answer::ok(json!({ "scanningConfigurations": [], "failures": [] }))
        }
        _ => return None,
    })
}
