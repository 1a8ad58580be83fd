//! Starts ministack, deploys to it, and ends it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Problem;
use crate::caller::{Ask, Caller};
use crate::clients::Clients;
use crate::deployment;
use crate::proxy::Proxy;
use crate::server::{Server, free_port};

/// ministack's account.
pub const ACCOUNT: &str = "000000000000";
pub const REGION: &str = "us-east-1";

/// A local AWS. It ends when this is dropped, and when the process ends in whichever way.
#[derive(Debug)]
pub struct LocalAws {
    server: Server,
    /// For people and tests.
    pub endpoint: String,
    pub port: u16,
    /// What the functions call AWS through.
    pub proxy: Proxy,
}

/// A deployed stack's outputs.
#[derive(Clone, Debug)]
pub struct Stack {
    pub enforcer: String,
    pub auditor: String,
    pub report_bucket: String,
    pub topic_arn: String,
    pub state_table: String,
    pub dead_letters: String,
}

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

impl LocalAws {
    /// Starts it on free ports.
    ///
    /// # Errors
    /// It does not start; the end of its log is part of the error.
    pub fn start() -> Result<Self, Problem> {
        let port = free_port()?;
        let proxy = Proxy::start(port)?;
        let server = Server::start(port, "ministack", &[], |command| {
            command
                .env("GATEWAY_PORT", port.to_string())
                .env("MINISTACK_HOST", "127.0.0.1")
                .env("BIND_HOST", "127.0.0.1")
                .env("AWS_ENDPOINT_URL", proxy.endpoint())
                .envs([
                    ("AUTH", "true"),
                    ("CLOUDTRAIL_RECORDING", "1"),
                    ("IOT_MTLS_ENABLED", "0"),
                    ("SFTP_ENABLED", "0"),
                    ("LAMBDA_ASYNC_RETRY_BASE_SECONDS", "0.2"),
                ]);
        })?;
        proxy.watch_children_of(server.pid);
        let local = Self {
            server,
            endpoint: format!("http://127.0.0.1:{port}"),
            port,
            proxy,
        };
        local.wait_until_ready()?;
        Ok(local)
    }

    fn wait_until_ready(&self) -> Result<(), Problem> {
        self.server
            .wait_until(|| is_ready(self.port).unwrap_or(false))
    }

    /// The end of its log, functions' output included.
    #[must_use]
    pub fn log_end(&self) -> String {
        self.server.log_end()
    }

    /// Whether a line of its log, functions' output included, has all of these.
    #[must_use]
    pub fn log_of(&self, parts: &[&str]) -> bool {
        let log = self.server.log();
        log.lines()
            .any(|line| parts.iter().all(|part| line.contains(part)))
    }

    /// How many lines its log has so far.
    #[must_use]
    pub fn log_lines(&self) -> usize {
        self.server.log().lines().count()
    }

    /// What functions, and not ministack, have said in the log after so many lines.
    #[must_use]
    pub fn said_since(&self, lines: usize) -> String {
        let log = self.server.log();
        let said: Vec<&str> = log
            .lines()
            .skip(lines)
            .filter(|line| line.contains("Lambda runtime invoke{"))
            .collect();
        said.join("\n")
    }

    /// The most memory that an instance of a function has had so far, in bytes; `None`: there is none.
    #[must_use]
    pub fn peak_memory_of(&self, function: &str) -> Option<u64> {
        let name = format!("AWS_LAMBDA_FUNCTION_NAME={function}");
        let peak = |process: std::fs::DirEntry| {
            let environment = std::fs::read(process.path().join("environ")).ok()?;
            let is_it = environment
                .split(|byte| *byte == 0)
                .any(|entry| entry == name.as_bytes());
            let status = std::fs::read_to_string(process.path().join("status"))
                .ok()
                .filter(|_| is_it)?;
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("VmHWM:"))?;
            let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
            kibibytes.checked_mul(1024)
        };
        std::fs::read_dir("/proc")
            .ok()?
            .flatten()
            .filter_map(peak)
            .max()
    }

    /// Where it is without the proxy.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    #[must_use]
    pub fn clients(&self) -> Clients {
        Clients::new(&self.endpoint)
    }

    /// Deploys the real template with the real package.
    ///
    /// # Errors
    /// What AWS said.
    pub fn deploy(&self, stack: &str, parameters: &str) -> Result<Stack, Problem> {
        let outputs = in_runtime(deployment::create(&self.endpoint, stack, parameters))?;
        self.deployed(stack, parameters, &outputs)
    }

    /// The same by `make deploy`, as users do.
    ///
    /// # Errors
    /// What make said.
    pub fn make_deploy(&self, stack: &str, parameters: &str) -> Result<Stack, Problem> {
        let output = Command::new("make")
            .current_dir(root())
            .args(["--no-print-directory", "deploy"])
            .arg(format!("STACK_NAME={stack}"))
            .arg(format!("PARAMETERS={parameters}"))
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            // An outer make's flags and this process's cargo are not meant for it.
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL")
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("make deploy: {text}\n{errors}\n{}", self.log_end()).into());
        }
        let lines = text.lines().map(str::trim);
        let outputs = lines.filter_map(|line| line.split_once(char::is_whitespace));
        let outputs = outputs.map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
        self.deployed(stack, parameters, &outputs.collect())
    }

    /// Does what the local CloudFormation leaves out.
    fn deployed(
        &self,
        stack: &str,
        parameters: &str,
        outputs: &BTreeMap<String, String>,
    ) -> Result<Stack, Problem> {
        let output = |key: &str| {
            let output = outputs.get(key).cloned();
            output
                .ok_or_else(|| Problem::from(format!("the stack has no output {key}: {outputs:?}")))
        };
        let template = std::fs::read_to_string(root().join("infra/template.yaml"))?;
        let dead_letters = output("DeadLetterQueueUrl")?;
        self.set_boundaries(stack, parameters, &template)?;
        self.set_concurrencies()?;
        let endpoint = &self.endpoint;
        self.proxy.real_aws(|aws| {
            aws.recursion.deployed(&template, endpoint, &dead_letters);
        });
        Ok(Stack {
            enforcer: output("EnforcerFunctionName")?,
            auditor: output("AuditorFunctionName")?,
            report_bucket: output("ReportBucketName")?,
            topic_arn: output("AlertTopicArn")?,
            state_table: output("StateTableName")?,
            dead_letters,
        })
    }

    /// Gives each role the permissions boundary of the template. CloudFormation does that when it creates the role
    /// (CloudFormation reference, `AWS::IAM::Role`, `PermissionsBoundary`); the local one ignores the property.
    fn set_boundaries(&self, stack: &str, parameters: &str, template: &str) -> Result<(), Problem> {
        let mut words = parameters.split_whitespace();
        let Some(boundary) = words.find_map(|word| word.strip_prefix("PermissionsBoundary="))
        else {
            return Ok(());
        };
        let query = "StackResourceSummaries[?ResourceType=='AWS::IAM::Role'].[LogicalResourceId,PhysicalResourceId]";
        let list = ["cloudformation", "list-stack-resources", "--stack-name"];
        let more = [stack, "--query", query, "--output", "text"];
        let roles = self.cli(&[&list[..], &more].concat())?;
        for (id, name) in roles.lines().filter_map(|line| line.split_once('\t')) {
            let resource = template.split(&format!("\n  {id}:\n")).nth(1);
            let has_boundary = resource
                .unwrap_or_default()
                .lines()
                .take_while(|line| line.is_empty() || line.starts_with("   "))
                .any(|line| line.starts_with("      PermissionsBoundary: "));
            if has_boundary {
                let put = ["iam", "put-role-permissions-boundary", "--role-name", name];
                let boundary = ["--permissions-boundary", boundary];
                self.cli(&[&put[..], &boundary].concat())?;
            }
        }
        Ok(())
    }

    /// Makes numbers of the maximum concurrencies of queues. A reference to a parameter is a text, and CloudFormation converts it to the
    /// type of the property; the local one keeps the text, and its poller then delivers nothing.
    fn set_concurrencies(&self) -> Result<(), Problem> {
        let convert = async {
            let root = Caller::root();
            let path = "/2015-03-31/event-source-mappings";
            let list = Ask::Rest("GET", path, "");
            let list = root.ask(&self.endpoint, "lambda", &list).await?;
            let list: Value = serde_json::from_str(&list.body)?;
            let all = list["EventSourceMappings"].as_array();
            for mapping in all.into_iter().flatten() {
                let most = mapping["ScalingConfig"]["MaximumConcurrency"].as_str();
                let (Some(id), Some(most)) = (mapping["UUID"].as_str(), most) else {
                    continue;
                };
                let most: u32 = most.parse()?;
                let body = json!({ "ScalingConfig": { "MaximumConcurrency": most } }).to_string();
                let path = format!("{path}/{id}");
                let put = Ask::Rest("PUT", &path, &body);
                let answer = root.ask(&self.endpoint, "lambda", &put).await?;
                if !(200..300).contains(&answer.status) {
                    return Err(Problem::from(answer.body));
                }
            }
            Ok(())
        };
        in_runtime(convert)
    }

    /// The name of a function's role.
    ///
    /// # Errors
    /// What the CLI said.
    pub fn role_of(&self, function: &str) -> Result<String, Problem> {
        let query = ["--query", "Role", "--output", "text"];
        let arn = self.cli(
            &[
                &[
                    "lambda",
                    "get-function-configuration",
                    "--function-name",
                    function,
                ],
                &query[..],
            ]
            .concat(),
        )?;
        Ok(arn.trim().rsplit('/').next().unwrap_or_default().to_owned())
    }

    /// Runs the AWS CLI against it, for what needs no client of its own.
    ///
    /// # Errors
    /// What the CLI said.
    pub fn cli(&self, arguments: &[&str]) -> Result<String, Problem> {
        let output = Command::new(root().join(".venv/bin/aws"))
            .args(["--endpoint-url", &self.endpoint, "--region", REGION])
            .args(arguments)
            .envs([
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
                ("AWS_PAGER", ""),
            ])
            .output()?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let errors = String::from_utf8_lossy(&output.stderr);
            Err(format!("aws {}: {errors}", arguments.join(" ")).into())
        }
    }
}

/// Runs it to its end, also from within a runtime, which can't be waited for in itself.
///
/// # Errors
/// Its own.
pub fn in_runtime<T: Send>(
    work: impl Future<Output = Result<T, Problem>> + Send,
) -> Result<T, Problem> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(work)
        });
        thread.join().map_err(|_| Problem::from("a panic"))?
    })
}

fn is_ready(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /_ministack/ready HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.contains(" 200 ") && answer.contains("completed"))
}
