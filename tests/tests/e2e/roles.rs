//! The roles of the deployed stack: what each may, and taking single permissions from one of them.

use std::collections::{BTreeMap, BTreeSet};

use ecr_warden_tests::caller::{Answer, Ask, Caller};
use serde_json::{Value, json};

use crate::judge::{Request, Verdict, judge, statements, texts};
use crate::support::World;

/// A statement and one of its actions.
pub(crate) type Grant = (String, String);

/// The stack's resources: name in the template to type and id.
pub(crate) type Resources = BTreeMap<String, (String, String)>;

/// A role as it was deployed.
#[derive(Clone)]
pub(crate) struct Role {
    /// Its name in the template.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) trust: Value,
    pub(crate) policies: Vec<Policy>,
}

#[derive(Clone)]
pub(crate) struct Policy {
    name: String,
    /// The ARN of one that is attached.
    attached: Option<String>,
    pub(crate) document: Value,
}

impl Policy {
    /// Without white space, as IAM counts.
    fn size(&self) -> usize {
        self.document.to_string().len()
    }
}

impl World {
    /// The AWS CLI's answer.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Value {
        let text = self.local.cli(arguments).unwrap();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(crate) fn resources(&self) -> Resources {
        let listed = self.cli(&[
            "cloudformation",
            "list-stack-resources",
            "--stack-name",
            "ecr-warden",
        ]);
        let text = |of: &Value, key: &str| of[key].as_str().unwrap().to_owned();
        listed["StackResourceSummaries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                let what = (text(one, "ResourceType"), text(one, "PhysicalResourceId"));
                (text(one, "LogicalResourceId"), what)
            })
            .collect()
    }

    /// All roles of the stack by their names in the template.
    pub(crate) fn roles(&self) -> BTreeMap<String, Role> {
        self.resources()
            .into_iter()
            .filter(|(_, (kind, _))| kind == "AWS::IAM::Role")
            .map(|(id, (_, name))| (id.clone(), self.role(id, name)))
            .collect()
    }

    fn role(&self, id: String, name: String) -> Role {
        let of = ["--role-name", name.as_str()];
        let iam = |call, more: &[&str]| self.cli(&[&["iam", call], more].concat());
        let role = iam("get-role", &of);
        let mut policies = Vec::new();
        for inline in texts(&iam("list-role-policies", &of)["PolicyNames"]) {
            let policy = iam(
                "get-role-policy",
                &[&of[..], &["--policy-name", inline]].concat(),
            );
            policies.push(Policy {
                name: inline.to_owned(),
                attached: None,
                document: policy["PolicyDocument"].clone(),
            });
        }
        let attached = iam("list-attached-role-policies", &of);
        for policy in attached["AttachedPolicies"].as_array().unwrap() {
            let arn = ["--policy-arn", policy["PolicyArn"].as_str().unwrap()];
            let version = iam("get-policy", &arn)["Policy"]["DefaultVersionId"].clone();
            let version = ["--version-id", version.as_str().unwrap()];
            let version = iam("get-policy-version", &[arn, version].concat());
            policies.push(Policy {
                name: policy["PolicyName"].as_str().unwrap().to_owned(),
                attached: Some(arn[1].to_owned()),
                document: version["PolicyVersion"]["Document"].clone(),
            });
        }
        Role {
            id,
            arn: role["Role"]["Arn"].as_str().unwrap().to_owned(),
            trust: role["Role"]["AssumeRolePolicyDocument"].clone(),
            name,
            policies,
        }
    }

    /// Asks IAM as the account's root.
    pub(crate) async fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let ask = Ask::Query(action, "2010-05-08", parameters);
        let answer = Caller::root().ask(&self.local.endpoint, "iam", &ask).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{action}: {}", answer.body);
        answer
    }
}

impl Role {
    pub(crate) fn statements(&self) -> impl Iterator<Item = &Value> {
        self.policies
            .iter()
            .flat_map(|policy| statements(&policy.document))
    }

    /// Everything that it may.
    pub(crate) fn grants(&self) -> BTreeSet<Grant> {
        let mut grants = BTreeSet::new();
        for statement in self.statements() {
            assert_eq!(statement["Effect"], "Allow", "{statement}");
            let sid = statement["Sid"].as_str().unwrap();
            for action in texts(&statement["Action"]) {
                let is_new = grants.insert((sid.to_owned(), action.to_owned()));
                assert!(is_new, "{}: {sid} has {action} twice", self.id);
            }
        }
        grants
    }

    /// The characters of each managed policy of the stack.
    pub(crate) fn attached_sizes(&self) -> Vec<usize> {
        let attached = self.policies.iter();
        let attached = attached.filter(|policy| policy.attached.is_some());
        attached.map(Policy::size).collect()
    }

    /// The characters of all inline policies together.
    pub(crate) fn inline_size(&self) -> usize {
        let inline = self.policies.iter();
        let inline = inline.filter(|policy| policy.attached.is_none());
        inline.map(Policy::size).sum()
    }

    /// Whether its policies without some actions allow it.
    pub(crate) fn may(&self, request: &Request<'_>, lost: &[Grant]) -> bool {
        self.policies.iter().any(|policy| {
            let (document, _) = without(&policy.document, lost);
            judge(&document, request) == Verdict::Allowed
        })
    }

    /// Lets the role have everything but these.
    pub(crate) async fn lose(&self, world: &World, lost: &[Grant]) {
        let mut left = lost.to_vec();
        for policy in &self.policies {
            let (document, gone) = without(&policy.document, lost);
            left.retain(|grant| !gone.contains(grant));
            if gone.is_empty() {
                continue;
            }
            if let Some(arn) = &policy.attached {
                // It may have lost something before.
                let of = [("RoleName", self.name.as_str()), ("PolicyArn", arn)];
                let ask = Ask::Query("DetachRolePolicy", "2010-05-08", &of);
                let endpoint = &world.local.endpoint;
                let answer = Caller::root().ask(endpoint, "iam", &ask).await.unwrap();
                assert!([200, 404].contains(&answer.status), "{}", answer.body);
            }
            self.put(world, &policy.name, &document).await;
        }
        assert!(left.is_empty(), "{} does not have {left:?}", self.id);
    }

    /// Gives everything back.
    pub(crate) async fn restore(&self, world: &World) {
        for policy in &self.policies {
            let Some(arn) = &policy.attached else {
                self.put(world, &policy.name, &policy.document).await;
                continue;
            };
            let of = [("RoleName", self.name.as_str()), ("PolicyArn", arn)];
            world.iam("AttachRolePolicy", &of).await;
            // One of that name stands in for the attached one where that has lost something.
            let inline = ("PolicyName", policy.name.as_str());
            let ask = Ask::Query("DeleteRolePolicy", "2010-05-08", &[of[0], inline]);
            let endpoint = &world.local.endpoint;
            let answer = Caller::root().ask(endpoint, "iam", &ask).await.unwrap();
            assert!([200, 404].contains(&answer.status), "{}", answer.body);
        }
    }

    async fn put(&self, world: &World, name: &str, document: &Value) {
        let document = document.to_string();
        let parameters = [
            ("RoleName", self.name.as_str()),
            ("PolicyName", name),
            ("PolicyDocument", &document),
        ];
        world.iam("PutRolePolicy", &parameters).await;
    }

    /// A session of the role. Its trust is for AWS's services alone, so it is widened for that.
    pub(crate) async fn session(&self, world: &World) -> Caller {
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" },
            { "Effect": "Allow", "Principal": { "AWS": self.arn.replace(&format!("role/{}", self.name), "root") },
              "Action": "sts:AssumeRole" },
        ] })
        .to_string();
        let parameters = [("RoleName", self.name.as_str()), ("PolicyDocument", &trust)];
        world.iam("UpdateAssumeRolePolicy", &parameters).await;
        let of = [("RoleArn", self.arn.as_str()), ("RoleSessionName", "test")];
        let ask = Ask::Query("AssumeRole", "2011-06-15", &of);
        let endpoint = &world.local.endpoint;
        let answer = Caller::root().ask(endpoint, "sts", &ask).await.unwrap();
        let part = |name| {
            answer
                .element(name)
                .unwrap_or_else(|| panic!("{}", answer.body))
                .to_owned()
        };
        Caller::with(
            &part("AccessKeyId"),
            &part("SecretAccessKey"),
            Some(part("SessionToken")),
        )
    }
}

/// The same document without some actions, and which these were; a statement that is left with none goes.
fn without(document: &Value, lost: &[Grant]) -> (Value, Vec<Grant>) {
    let (mut document, mut gone) = (document.clone(), Vec::new());
    let statements = document["Statement"].as_array_mut().unwrap();
    for statement in statements.iter_mut() {
        let sid = statement["Sid"].as_str().unwrap().to_owned();
        let mut left = Vec::new();
        for action in texts(&statement["Action"]) {
            let grant = (sid.clone(), action.to_owned());
            if lost.contains(&grant) {
                gone.push(grant);
            } else {
                left.push(action);
            }
        }
        let left = json!(left);
        statement["Action"] = left;
    }
    statements.retain(|statement| statement["Action"] != json!([]));
    (document, gone)
}
