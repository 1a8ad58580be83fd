//! The judgement against a model of IAM that asks for each caller of a small world, written from the IAM User Guide and sharing nothing with
//! it. `WORLDS=1000000 cargo test -p ecr-warden-core access::properties` tries more.

use serde_json::{Map, Value, json};

use super::*;

const OWN: &str = "123456789012";
const PARTNER: &str = "210987654321";
const MEMBER: &str = "333333333333";
const STRANGERS: [&str; 2] = ["888888888888", "999999999999"];
const OWN_ORGANIZATION: &str = "o-abcdefghij";
const OTHER_ORGANIZATION: &str = "o-other00000";
const PATH: &str = "o-partner000/r-ab12/ou-ab12-1/";

/// A caller.
#[derive(Clone, Debug)]
struct Caller {
    account: &'static str,
    organization: Option<&'static str>,
    path: Option<&'static str>,
    endpoint: Option<&'static str>,
    service: Option<&'static str>,
    /// For whom the service acts.
    source: Option<&'static str>,
    address: &'static str,
}

impl Caller {
    /// Of each key its values; none: the call does not have it.
    fn values(&self, key: &str) -> Vec<String> {
        let own = |of: Option<&str>| of.map(str::to_owned).into_iter().collect();
        let is_service = self.service.is_some();
        match key.to_lowercase().as_str() {
            "aws:principalaccount" if !is_service => own(Some(self.account)),
            "aws:principalarn" if !is_service => {
                vec![format!("arn:aws:iam::{}:role/ci", self.account)]
            }
            "aws:principalorgid" if !is_service => own(self.organization),
            "aws:principalorgpaths" if !is_service => own(self.path),
            "aws:sourcevpce" => own(self.endpoint),
            "aws:sourceaccount" => own(self.source),
            "aws:principalisawsservice" => vec![is_service.to_string()],
            "aws:sourceip" => own(Some(self.address)),
            "aws:securetransport" => own(Some("true")),
            "aws:resourceaccount" => own(Some(OWN)),
            "aws:resourceorgid" => own(Some(OWN_ORGANIZATION)),
            _ => Vec::new(),
        }
    }

    /// Whether the policy trusts it, by who it is or by where it comes from.
    fn is_trusted(&self) -> bool {
        self.is_trusted_principal() || self.endpoint == Some("vpce-1")
    }

    fn is_trusted_principal(&self) -> bool {
        if self.service.is_some() {
            return self.source.is_some_and(|of| [OWN, PARTNER].contains(&of));
        }
        [OWN, PARTNER].contains(&self.account)
            || self.organization == Some(OWN_ORGANIZATION)
            || self.path.is_some_and(|path| path.starts_with(PATH))
    }
}

fn callers() -> Vec<Caller> {
    let mut all = Vec::new();
    for (account, organization, path) in [
        (OWN, Some(OWN_ORGANIZATION), Some("o-abcdefghij/r-1/")),
        (
            MEMBER,
            Some(OWN_ORGANIZATION),
            Some("o-abcdefghij/r-1/ou-1/"),
        ),
        (PARTNER, None, None),
        (
            "444444444444",
            Some("o-partner000"),
            Some("o-partner000/r-ab12/ou-ab12-1/ou-2/"),
        ),
        (
            "555555555555",
            Some("o-partner000"),
            Some("o-partner000/r-ab12/ou-ab12-2/"),
        ),
        (
            STRANGERS[0],
            Some(OTHER_ORGANIZATION),
            Some("o-other00000/r-9/"),
        ),
        (STRANGERS[1], None, None),
        // No statement names these: a statement that leaves out the strangers above still lets them in.
        ("666666666666", None, None),
        (
            "777777777777",
            Some("o-third00000"),
            Some("o-third00000/r-7/"),
        ),
    ] {
        for endpoint in [None, Some("vpce-1"), Some("vpce-2")] {
            for address in ["10.0.0.1", "8.8.8.8"] {
                all.push(Caller {
                    account,
                    organization,
                    path,
                    endpoint,
                    service: None,
                    source: None,
                    address,
                });
            }
        }
    }
    for source in [None, Some(OWN), Some(PARTNER), Some(STRANGERS[0])] {
        all.push(Caller {
            account: "",
            organization: None,
            path: None,
            endpoint: None,
            service: Some("codebuild.amazonaws.com"),
            source,
            address: "8.8.8.8",
        });
    }
    all
}

/// Whether IAM lets a caller do something by a document's statements.
fn allows(statements: &[Value], caller: &Caller, action: &str) -> bool {
    let applies = |effect: &str| {
        statements.iter().any(|statement| {
            statement["Effect"] == effect
                && is_for(statement, caller)
                && is_about(statement, action)
                && holds(statement, caller)
        })
    };
    applies("Allow") && !applies("Deny")
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn is_for(statement: &Value, caller: &Caller) -> bool {
    let among = |principals: &Value| {
        if principals == "*" {
            return true;
        }
        let of = |kind: &str| texts(&principals[kind]);
        let account = caller.service.is_none().then_some(caller.account);
        of("AWS")
            .iter()
            .any(|one| one == "*" || account == Some(one))
            || of("Service").iter().any(|one| caller.service == Some(one))
    };
    match statement.get("NotPrincipal") {
        Some(principals) => !among(principals),
        None => among(&statement["Principal"]),
    }
}

fn is_about(statement: &Value, action: &str) -> bool {
    let among = |actions: &Value| {
        texts(actions)
            .iter()
            .any(|one| one == "ecr:*" || one == action)
    };
    match statement.get("NotAction") {
        Some(actions) => !among(actions),
        None => among(&statement["Action"]),
    }
}

fn holds(statement: &Value, caller: &Caller) -> bool {
    let none = Map::new();
    let conditions = statement["Condition"].as_object().unwrap_or(&none);
    conditions.iter().all(|(operator, keys)| {
        let mut keys = keys.as_object().unwrap().iter();
        keys.all(|(key, values)| is_met(operator, key, &texts(values), caller))
    })
}

fn is_met(operator: &str, key: &str, wanted: &[String], caller: &Caller) -> bool {
    let have = caller.values(key);
    if operator == "Null" {
        return wanted
            .iter()
            .any(|value| (value == "true") == have.is_empty());
    }
    let (set, operator) = operator.split_once(':').unwrap_or(("", operator));
    let if_exists = operator.ends_with("IfExists");
    let operator = operator.trim_end_matches("IfExists");
    let negated = operator.contains("Not");
    let replaced = |value: &String| {
        let mut value = value.clone();
        for variable in [
            "aws:ResourceOrgID",
            "aws:ResourceAccount",
            "aws:PrincipalOrgID",
        ] {
            if value.contains(&format!("${{{variable}}}")) {
                // Without a value it matches nothing.
                let of = caller
                    .values(variable)
                    .pop()
                    .unwrap_or_else(|| "-".to_owned());
                value = value.replace(&format!("${{{variable}}}"), &of);
            }
        }
        value
    };
    let wanted: Vec<String> = wanted.iter().map(replaced).collect();
    let equals = |have: &str| {
        wanted.iter().any(|wanted| match operator {
            "IpAddress" => {
                wanted == "0.0.0.0/0" || have.starts_with("10.") == wanted.starts_with("10.")
            }
            "StringLike" | "StringNotLike" | "ArnLike" | "ArnNotLike" => glob(wanted, have),
            _ => wanted == have,
        })
    };
    let one = |have: &String| equals(have) != negated;
    match set {
        "ForAllValues" => have.iter().all(one),
        "ForAnyValue" if have.is_empty() => if_exists,
        "ForAnyValue" => have.iter().any(one),
        _ if have.is_empty() => negated || if_exists,
        _ if negated => have.iter().all(one),
        _ => have.iter().any(one),
    }
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|left| {
            (0..=left.len()).any(|at| left.is_char_boundary(at) && glob(rest, &left[at..]))
        }),
    }
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        // Knuth's MMIX generator; the high bits are the good ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn of<T: Clone>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())].clone()
    }

    fn statement(&mut self) -> Value {
        let effect = self.of(&["Allow", "Allow", "Allow", "Deny"]);
        let mut statement = json!({ "Effect": effect });
        let principals = [
            json!("*"),
            json!("*"),
            json!({ "AWS": "*" }),
            json!({ "AWS": [OWN] }),
            json!({ "AWS": [PARTNER, STRANGERS[1]] }),
            json!({ "AWS": [STRANGERS[0]] }),
            json!({ "AWS": ["*", PARTNER] }),
            json!({ "Service": "codebuild.amazonaws.com" }),
            json!({ "AWS": [STRANGERS[0]], "Service": "codebuild.amazonaws.com" }),
        ];
        let principal = self.of(&principals);
        // AWS refuses `NotPrincipal` of everyone.
        let can_be_left_out =
            principal != "*" && !texts(&principal["AWS"]).contains(&"*".to_owned());
        let element = if can_be_left_out && self.below(5) == 0 {
            "NotPrincipal"
        } else {
            "Principal"
        };
        statement[element] = principal;
        if self.below(8) == 0 {
            statement["NotAction"] = self.of(&[json!(PULL), json!([PUSH])]);
        } else {
            statement["Action"] = self.of(&[
                json!(PULL),
                json!([PUSH]),
                json!("ecr:*"),
                json!([PULL, PUSH]),
            ]);
        }
        let mut conditions = Map::new();
        for _ in 0..self.of(&[0, 1, 1, 2]) {
            let (operator, key, values) = self.condition();
            let keys = conditions.entry(operator).or_insert_with(|| json!({}));
            keys[key] = values;
        }
        if !conditions.is_empty() {
            statement["Condition"] = Value::Object(conditions);
        }
        statement
    }

    fn condition(&mut self) -> (String, String, Value) {
        if self.below(6) == 0 {
            let (operator, key, values) = self.of(&[
                ("Bool", "aws:SecureTransport", json!("true")),
                ("BoolIfExists", "aws:PrincipalIsAWSService", json!("false")),
                ("IpAddress", "aws:SourceIp", json!("10.0.0.0/8")),
                ("IpAddress", "aws:SourceIp", json!("0.0.0.0/0")),
                ("Null", "aws:PrincipalOrgID", json!("false")),
                ("Null", "aws:SourceVpce", json!("true")),
                ("StringEquals", "aws:ResourceAccount", json!(OWN)),
                (
                    "StringEquals",
                    "aws:ResourceOrgID",
                    json!("${aws:PrincipalOrgID}"),
                ),
            ]);
            return (operator.to_owned(), key.to_owned(), values);
        }
        let (key, values) = self.of(&[
            ("aws:PrincipalOrgID", json!(OWN_ORGANIZATION)),
            (
                "AWS:PrincipalOrgId",
                json!([OWN_ORGANIZATION, OTHER_ORGANIZATION]),
            ),
            ("aws:PrincipalOrgID", json!(OTHER_ORGANIZATION)),
            ("aws:PrincipalOrgID", json!("${aws:ResourceOrgID}")),
            ("aws:PrincipalOrgPaths", json!("o-abcdefghij/*")),
            ("aws:PrincipalOrgPaths", json!(format!("{PATH}*"))),
            ("aws:PrincipalOrgPaths", json!("o-partner000/*")),
            ("aws:PrincipalAccount", json!([PARTNER])),
            ("aws:PrincipalAccount", json!([OWN, STRANGERS[1]])),
            ("aws:PrincipalAccount", json!("*")),
            (
                "aws:PrincipalArn",
                json!(format!("arn:aws:iam::{OWN}:role/*")),
            ),
            ("aws:SourceAccount", json!(OWN)),
            ("aws:SourceAccount", json!(STRANGERS[0])),
            ("aws:SourceVpce", json!(["vpce-1"])),
            ("aws:SourceVpce", json!("vpce-2")),
        ]);
        let set = self.of(&["", "", "", "ForAnyValue:", "ForAllValues:"]);
        let base = self.of(&[
            "StringEquals",
            "StringLike",
            "StringNotEquals",
            "StringNotLike",
        ]);
        let if_exists = self.of(&["", "", "", "IfExists"]);
        (format!("{set}{base}{if_exists}"), key.to_owned(), values)
    }
}

const PULL: &str = "ecr:BatchGetImage";
const PUSH: &str = "ecr:PutImage";
const USES: [&str; 2] = [PULL, PUSH];

fn trust() -> Trust {
    Trust {
        own: OWN.to_owned(),
        accounts: [PARTNER.to_owned()].into(),
        organizations: [OWN_ORGANIZATION.to_owned()].into(),
        organization_paths: [format!("{PATH}*")].into(),
        vpcs: [].into(),
        vpc_endpoints: ["vpce-1".to_owned()].into(),
        services: Services::WithSource,
    }
}

fn statements_of(text: Option<&str>) -> Vec<Value> {
    let Some(text) = text else {
        return Vec::new();
    };
    let document: Value = serde_json::from_str(text).unwrap();
    document["Statement"].as_array().unwrap().clone()
}

/// What a repair of one rule leaves.
fn repaired(judged: &JudgedStatement<'_>, text: &str, to: To) -> Option<Option<String>> {
    match judged.violation(text, to, true)?.fix {
        Fix::Safe(Action::SetRepositoryPolicy { to, .. }) => Some(to),
        _ => None,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the core itself reads no environment"
)]
#[test]
fn no_stranger_gets_in_unseen_and_no_removal_takes_from_the_trusted() {
    let worlds: u64 = std::env::var("WORLDS").map_or(100_000, |text| text.parse().unwrap());
    let (callers, trust) = (callers(), trust());
    let stranger = callers
        .iter()
        .find(|caller| caller.account == STRANGERS[1] && caller.endpoint.is_none())
        .unwrap();
    let (mut fine, mut removed, mut narrowed, mut open) = (0, 0, 0, 0);
    for seed in 0..worlds {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let statements: Vec<Value> = (0..chance.of(&[1, 2, 2, 3]))
            .map(|_| chance.statement())
            .collect();
        let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        let judged = judge(&text, &trust).unwrap();
        let gets_in = |statements: &[Value], caller: &Caller| {
            USES.map(|action| allows(statements, caller, action))
        };
        if judged.grants.is_empty() {
            fine += 1;
            for caller in callers.iter().filter(|caller| !caller.is_trusted()) {
                assert_eq!(
                    gets_in(&statements, caller),
                    [false, false],
                    "seed {seed}: {text}: {caller:?}"
                );
            }
        }
        if let Some(left) = repaired(&judged, &text, To::Named) {
            narrowed += 1;
            let left = statements_of(left.as_deref());
            for caller in callers
                .iter()
                .filter(|caller| caller.is_trusted_principal())
            {
                let before = gets_in(&statements, caller);
                assert_eq!(
                    gets_in(&left, caller),
                    before,
                    "seed {seed}: {text}: {caller:?}"
                );
            }
        }
        for grant in judged
            .grants
            .iter()
            .filter(|grant| grant.to == To::Everyone)
        {
            if grant.removal == Removal::Never {
                open += 1;
                continue;
            }
            removed += 1;
            let statement: Value = serde_json::from_str(grant.raw).unwrap();
            let alone = gets_in(std::slice::from_ref(&statement), stranger);
            // A statement that leaves this stranger out lets in another one.
            let other = callers.iter().any(|caller| {
                !caller.is_trusted()
                    && gets_in(std::slice::from_ref(&statement), caller) != [false, false]
            });
            assert!(
                alone != [false, false] || other,
                "seed {seed}: no stranger gets in by {statement}"
            );
        }
    }
    let worlds = usize::try_from(worlds).unwrap();
    for (count, what) in [
        (fine, "fine"),
        (removed, "removed"),
        (narrowed, "narrowed"),
        (open, "open"),
    ] {
        assert!(
            count > worlds / 100,
            "{count} {what}: too few of {worlds} to show it"
        );
    }
}
