//! Each command's first use and its likeliest mistakes, as an operator sees them at a terminal of 80 columns. `UPDATE=1` writes the
//! transcripts again; read the difference.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::answering::{Answer, Answering, Call, ecr_warden, nothing_set, repository};
use crate::terminal::at_terminal;

const TRANSCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
const EVENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events");

/// A folder with a policy and an event, an AWS, and what was typed and seen so far.
struct Session {
    name: &'static str,
    folder: PathBuf,
    aws: Answering,
    seen: String,
}

impl Session {
    fn new(name: &'static str) -> Self {
        Self::with(name, answer)
    }

    fn with(
        name: &'static str,
        answer: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("transcript-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        file(
            "policy.yaml",
            "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n",
        );
        file(
            "wrong.yaml",
            "version: 1\nmode: enforc\nrules: { mutable-tag: {} }\n",
        );
        let event = std::fs::read(format!("{EVENTS}/create-repository-by-role.json")).unwrap();
        std::fs::write(folder.join("event.json"), event).unwrap();
        Self {
            name,
            folder,
            aws: Answering::with(answer),
            seen: String::new(),
        }
    }

    fn types(self, arguments: &[&str]) -> Self {
        self.answers(arguments, &[])
    }

    fn answers(self, arguments: &[&str], answers: &[&str]) -> Self {
        self.runs(arguments, answers, |_| {})
    }

    fn runs(mut self, arguments: &[&str], answers: &[&str], change: impl Fn(&mut Command)) -> Self {
        let mut command = ecr_warden(self.aws.port, arguments);
        command
            .current_dir(&self.folder)
            .env("NO_COLOR", "1")
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_REGION", "eu-central-1");
        change(&mut command);
        let (status, shown) = at_terminal(command, answers);
        let today = OffsetDateTime::now_utc().date();
        let shown = shown
            .replace(&today.to_string(), "(today)")
            .replace(&(today + Duration::days(90)).to_string(), "(in 90 days)")
            .replace('\u{1b}', "\\e");
        let words: Vec<String> = arguments
            .iter()
            .map(|word| {
                if word.contains([' ', '*']) {
                    format!("'{word}'")
                } else {
                    (*word).to_owned()
                }
            })
            .collect();
        self.seen
            .push_str(format!("$ ecr-warden {}", words.join(" ")).trim_end());
        self.seen.push_str(&format!("\n{shown}\n"));
        if status != 0 {
            self.seen.push_str(&format!("[exit status {status}]\n"));
        }
        self.seen.push('\n');
        self
    }

    /// Compares it with the file.
    fn ends(self) {
        let path = Path::new(TRANSCRIPTS).join(format!("{}.txt", self.name));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(TRANSCRIPTS).unwrap();
            std::fs::write(&path, &self.seen).unwrap();
            return;
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            known == self.seen,
            "{} is not what is seen now; if that is meant, refresh it with UPDATE=1:\n{}",
            path.display(),
            self.seen
        );
    }
}

/// A registry of three repositories.
fn answer(call: &Call) -> Option<Answer> {
    let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
    let name = body["repositoryName"].as_str().unwrap_or_default();
    Some(match call.operation.as_str() {
        "DescribeRepositories" => {
            let mut all: Vec<Value> = ["payments/api", "shop/api", "shop/web"]
                .iter()
                .map(|name| repository("eu-central-1", name))
                .collect();
            all[0]["imageTagMutability"] = json!("IMMUTABLE");
            Answer::ok(json!({ "repositories": all }))
        }
        "DescribeImages" if name.starts_with("shop/") => Answer::ok(json!({ "imageDetails": [
            { "imageTags": ["latest", "1.4.0"], "imagePushedAt": 1.0, "imageDigest": "sha256:0", "imageSizeInBytes": 1 }] })),
        "ListTagsForResource" => {
            Answer::ok(json!({ "tags": [{ "Key": "team", "Value": "shop" }] }))
        }
        "GetRepositoryPolicy" if name == "shop/web" => Answer::ok(json!({ "policyText": json!({
            "Version": "2012-10-17", "Statement": [{ "Sid": "Partner", "Effect": "Allow",
                "Principal": { "AWS": "222222222222" }, "Action": "ecr:BatchGetImage" }] }).to_string() })),
        "DescribeStacks" => Answer::refused_in_xml(
            400,
            "ValidationError",
            "Stack with id ecr-warden does not exist",
        ),
        "UpdateItem" => Answer::ok(json!({})),
        "Query" | "Scan" => Answer::ok(json!({ "Items": [], "Count": 0 })),
        other => return nothing_set(other),
    })
}

#[test]
fn the_first_page() {
    Session::new("ecr-warden")
        .types(&[])
        .types(&["polcy", "check", "policy.yaml"])
        .types(&["audit", "--polcy", "policy.yaml"])
        .ends();
}

#[test]
fn audit() {
    Session::new("audit")
        .types(&["audit"])
        .types(&["audit", "--policy", "policy.yaml"])
        .types(&["--quiet", "audit", "--policy", "policy.yaml"])
        .types(&["audit", "--policy", "wrong.yaml"])
        .types(&["audit", "--policy", "polcy.yaml"])
        .types(&["audit", "--repository", "shop"])
        .types(&["audit", "--fix"])
        .types(&["audit", "--region", "all", "--region", "eu-west-1"])
        .runs(&["audit"], &[], |command| {
            command.env_remove("AWS_ACCESS_KEY_ID");
        })
        .ends();
}

#[test]
fn colours() {
    Session::new("audit-in-colour")
        .runs(&["audit", "--policy", "policy.yaml"], &[], |command| {
            command.env_remove("NO_COLOR");
        })
        .ends();
}

#[test]
fn init() {
    let session = Session::new("init")
        .types(&["init", "--help"])
        .answers(&["init"], &["policy.yaml"])
        .answers(&["init"], &["new.yaml", "", "90"])
        .types(&["policy", "check", "new.yaml"])
        .types(&["init", "--output", "new.yaml"])
        .answers(&["init", "--output", "other.yaml"], &["report"])
        .types(&["init", "--output", "other.yaml", "--baseline", "soon"])
        .types(&[
            "init",
            "--output",
            "other.yaml",
            "--mode",
            "monitor",
            "--baseline",
            "0",
            "--format",
            "json",
        ])
        .types(&["audit", "--policy", "new.yaml"]);
    let written = std::fs::read_to_string(session.folder.join("new.yaml")).unwrap();
    let today = OffsetDateTime::now_utc().date();
    let written = written
        .replace(&today.to_string(), "(today)")
        .replace(&(today + Duration::days(90)).to_string(), "(in 90 days)");
    session.ends();
    let path = format!("{TRANSCRIPTS}/init.policy.yaml");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, written).unwrap();
    } else {
        assert_eq!(std::fs::read_to_string(path).unwrap(), written);
    }
}

#[test]
fn policy() {
    Session::new("policy")
        .types(&["policy"])
        .types(&["policy", "check", "policy.yaml"])
        .types(&["policy", "check", "wrong.yaml"])
        .types(&["policy", "check"])
        .types(&["policy", "check", "polcy.yaml"])
        .ends();
}

#[test]
fn rules() {
    Session::new("rules")
        .types(&["rules"])
        .types(&["rules", "mutable-tag"])
        .ends();
}

#[test]
fn explain() {
    Session::new("explain")
        .types(&["explain", "event.json", "--policy", "policy.yaml"])
        .types(&["explain", "event.json"])
        .types(&["explain", "policy.yaml", "--policy", "policy.yaml"])
        .types(&["explain", "evnt.json", "--policy", "policy.yaml"])
        .ends();
}

#[test]
fn exempt() {
    const UNTIL: [&str; 2] = ["--until", "2999-01-31"];
    let exempt = |rule: &'static str, more: &[&'static str]| {
        [&["exempt", "shop/api", rule], &UNTIL[..], more].concat()
    };
    Session::new("exempt")
        .types(&exempt(
            "mutable-tags",
            &["--reason", "OPS-1", "--policy", "policy.yaml"],
        ))
        .types(&exempt(
            "mutable-tags",
            &["--reason", "OPS-1", "--policy", "policy.yaml", "--write"],
        ))
        .types(&exempt(
            "mutable-tags",
            &["--reason", "OPS-1", "--policy", "policy.yaml", "--write"],
        ))
        .types(&exempt(
            "mutable-tag",
            &["--reason", "OPS-1", "--policy", "policy.yaml"],
        ))
        .types(&exempt("mutable-tags", &["--policy", "policy.yaml"]))
        .types(&exempt("mutable-tags", &["--reason", "OPS-1"]))
        .ends();
}

const TABLE: [&str; 2] = ["--state-table", "state"];

#[test]
fn history() {
    Session::new("history")
        .types(&[&["history"], &TABLE[..]].concat())
        .types(&["history"])
        .types(&[&["history", "--since", "yesterday"], &TABLE[..]].concat())
        .ends();
}

#[test]
fn rollback() {
    Session::new("rollback")
        .types(&[&["rollback", "shop/api"], &TABLE[..]].concat())
        .types(&[&["rollback", "shop/api", "--change", "1"], &TABLE[..]].concat())
        .types(&["rollback", "shop/api"])
        .types(&[&["rollback"], &TABLE[..]].concat())
        .ends();
}

#[test]
fn resume() {
    Session::new("resume")
        .types(&[&["resume", "shop/api", "mutable-tags"], &TABLE[..]].concat())
        .types(&[&["resume", "shop/api"], &TABLE[..]].concat())
        .types(&[&["resume", "shop/api", "mutable-tag"], &TABLE[..]].concat())
        .ends();
}

/// A deployed stack, and a change that waits for approval. shop/web was changed since.
fn deployed(call: &Call) -> Option<Answer> {
    const OUTPUTS: [(&str, &str); 2] = [
        ("AuditorFunctionName", "ecr-warden-Auditor"),
        ("StateTableName", "state"),
    ];
    let waiting = |name: &str| {
        let arn = format!("arn:aws:ecr:eu-central-1:111111111111:repository/{name}");
        let said = json!({
            "status": "withheld", "about": "1700000000000 withheld: x", "since": 1_800_000_000, "version": 1, "reported": 1_800_000_000,
            "action": { "set-tag-mutability": { "from": "mutable", "to": "immutable" } },
        });
        json!({ "pk": { "S": arn }, "sk": { "S": "finding#mutable-tags" }, "version": { "N": "1" }, "body": { "S": said.to_string() } })
    };
    let made = || {
        let repair = json!({
            "action": { "set-tag-mutability": { "from": "mutable", "to": "immutable" } },
            "result": "done", "at": OffsetDateTime::now_utc().unix_timestamp(), "cause": "sweep",
        });
        let record = json!({ "version": 2, "history": [repair], "forgiven": 0 });
        json!({ "sk": { "S": "fix#mutable-tags" }, "version": { "N": "2" }, "body": { "S": record.to_string() } })
    };
    Some(match call.operation.as_str() {
        "DescribeStacks" if call.body.contains("StackName=ecr-warden") => {
            let outputs = OUTPUTS.map(|(key, value)| {
                format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
            });
            let stack = format!(
                "<StackName>ecr-warden</StackName><Outputs>{}</Outputs>",
                outputs.concat()
            );
            Answer::ok(format!(
                "<DescribeStacksResponse><DescribeStacksResult><Stacks><member>{stack}</member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
            ))
        }
        "Scan" => {
            let items = [waiting("shop/api"), waiting("shop/web")];
            Answer::ok(json!({ "Items": items, "Count": 2 }))
        }
        "Query" => {
            let name = if call.body.contains("shop/web") {
                "shop/web"
            } else {
                "shop/api"
            };
            Answer::ok(json!({ "Items": [waiting(name), made()], "Count": 2 }))
        }
        "DescribeRepositories" => {
            let name = if call.body.contains("shop/web") {
                "shop/web"
            } else {
                "shop/api"
            };
            let mut one = repository("eu-central-1", name);
            one["createdAt"] = json!(1_700_000_000.0);
            if name == "shop/web" {
                one["imageTagMutability"] = json!("IMMUTABLE");
            }
            Answer::ok(json!({ "repositories": [one] }))
        }
        "TransactWriteItems" => Answer::ok(json!({})),
        "Invoke" => {
            let request: Value = serde_json::from_str(&call.body).unwrap();
            let asked = (
                &request["mode"],
                &request["repositories"],
                &request["changes"],
            );
            assert_eq!(asked, (&json!("enforce"), &json!(["shop/api"]), &json!(1)));
            Answer::ok(json!({
                "schema": "ecr-warden.audit/1", "next": null,
                "summary": { "repositories": 1, "compliant": 1, "unjudged": 0, "findings": { "mutable-tags": 1 }, "fixed": { "mutable-tags": 1 },
                    "estimated_monthly_cost_usd": null },
                "findings": [],
            }))
        }
        _ => return answer(call),
    })
}

#[test]
fn approve() {
    Session::with("approve", deployed)
        .types(&["approve", "--list"])
        .answers(&["approve", "shop/api"], &["n"])
        .answers(&["approve", "shop/api"], &["y"])
        .types(&["approve", "--yes"])
        .types(&["approve", "payments/**"])
        .types(&["approve", "--rule", "mutable-tag"])
        .types(&["approve", "--stack", "typo"])
        .ends();
}

#[test]
fn stop_and_start() {
    Session::new("stop")
        .types(&[&["stop", "--reason", "OPS-77"], &TABLE[..]].concat())
        .types(&["stop"])
        .types(&[&["stop", "--reason", " "], &TABLE[..]].concat())
        .types(&["stop", "--reason", "OPS-77", "--stack", "typo"])
        .types(&[&["start"], &TABLE[..]].concat())
        .ends();
}

#[test]
fn doctor() {
    Session::new("doctor")
        .types(&["doctor"])
        .types(&["doctor", "--wait", "10"])
        .runs(&["doctor"], &[], |command| {
            command.env_remove("AWS_REGION");
        })
        .ends();
}

#[test]
fn completions_and_pages() {
    Session::new("completions-and-man")
        .types(&["completions"])
        .types(&["completions", "tcsh"])
        .types(&["man", "--output", "no/such"])
        .ends();
}
