//! What to ask IAM's policy simulator about a role: each action that its policies allow, on the resources and under the conditions of
//! the statement.
//!
//! Source: IAM API reference, SimulatePrincipalPolicy: no wildcards in actions, and context keys have to be given.

use serde_json::Value;

/// One request to the simulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulation {
    pub actions: Vec<String>,
    pub resources: Vec<String>,
    /// Context keys with their values.
    pub context: Vec<(String, String)>,
}

/// The name of the example that a wildcard of a resource stands for.
const EXAMPLE: &str = "ecr-warden-doctor";

/// What IAM's URL-encoded policy documents allow, as requests. What is equal but for the actions is one request.
///
/// # Errors
/// A document is not JSON. Names the problem.
pub fn simulations(documents: &[String], region: &str) -> Result<Vec<Simulation>, String> {
    let mut requests: Vec<Simulation> = Vec::new();
    for document in documents {
        let document: Value = serde_json::from_str(&decoded(document))
            .map_err(|error| format!("a policy of the role is not JSON: {error}"))?;
        for statement in list(&document["Statement"]) {
            if statement["Effect"] != "Allow" {
                continue;
            }
            let resources = texts(&statement["Resource"]);
            let resources = resources.iter().map(|it| concrete_resource(it, region));
            let resources: Vec<String> = resources.collect();
            let context = context(&statement["Condition"], region);
            let actions = texts(&statement["Action"]);
            let actions = actions.iter().filter_map(|action| concrete_action(action));
            let same = |it: &&mut Simulation| it.resources == resources && it.context == context;
            match requests.iter_mut().find(same) {
                Some(request) => request.actions.extend(actions),
                None => requests.push(Simulation {
                    actions: actions.collect(),
                    resources,
                    context,
                }),
            }
        }
    }
    for request in &mut requests {
        request.actions.sort();
        request.actions.dedup();
    }
    requests.retain(|request| !request.actions.is_empty());
    Ok(requests)
}

/// `kms:GenerateDataKey*` begins with an action's name; `*` and `ecr:*` do not.
fn concrete_action(action: &str) -> Option<String> {
    let name = action.trim_end_matches('*');
    let is_name = !name.contains(['*', '?']) && !name.ends_with(':') && name.contains(':');
    is_name.then(|| name.to_owned())
}

/// An ARN that the pattern matches, in this region.
fn concrete_resource(pattern: &str, region: &str) -> String {
    if pattern == "*" {
        return pattern.to_owned();
    }
    let parts: Vec<String> = pattern
        .splitn(6, ':')
        .enumerate()
        .map(|(n, part)| match (n, part) {
            (3, "*") => region.to_owned(),
            (5, part) => part.replace('*', EXAMPLE),
            (_, part) => part.to_owned(),
        })
        .collect();
    parts.join(":")
}

/// Values by which the conditions hold, where they compare text.
fn context(conditions: &Value, region: &str) -> Vec<(String, String)> {
    let operators = conditions.as_object().into_iter().flatten();
    let positive = operators.filter(|(operator, _)| {
        let operator = operator.trim_end_matches("IfExists");
        ["StringEquals", "StringLike", "ArnEquals", "ArnLike"].contains(&operator)
    });
    let keys = positive.flat_map(|(_, keys)| keys.as_object().into_iter().flatten());
    let mut context: Vec<(String, String)> = keys
        .filter_map(|(key, values)| {
            let value = texts(values).into_iter().next()?;
            Some((key.clone(), value.replace('*', region)))
        })
        .collect();
    // What boundaries and policies of organizations often ask for, too.
    for (key, value) in [
        ("aws:RequestedRegion", region),
        ("aws:SecureTransport", "true"),
    ] {
        if !context
            .iter()
            .any(|(given, _)| given.eq_ignore_ascii_case(key))
        {
            context.push((key.to_owned(), value.to_owned()));
        }
    }
    context.sort();
    context
}

fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn texts(value: &Value) -> Vec<String> {
    let texts = list(value).into_iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// IAM encodes policy documents as RFC 3986 says (IAM API reference, GetRolePolicy).
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            (other, _) => {
                bytes.push(*other);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(statements: &Value) -> Vec<Simulation> {
        let document = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        simulations(&[document], "eu-west-1").unwrap()
    }

    fn texts_of(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn statements_on_the_same_resources_are_one_request() {
        let repositories = "arn:aws:ecr:*:111111111111:repository/*";
        let asked = of(&json!([
            { "Effect": "Allow", "Action": ["ecr:B", "ecr:A"], "Resource": repositories },
            { "Effect": "Allow", "Action": "ecr:C", "Resource": [repositories] },
            { "Effect": "Deny", "Action": "ecr:D", "Resource": repositories },
        ]));
        let expected = Simulation {
            actions: texts_of(&["ecr:A", "ecr:B", "ecr:C"]),
            resources: texts_of(&[
                "arn:aws:ecr:eu-west-1:111111111111:repository/ecr-warden-doctor",
            ]),
            context: vec![
                ("aws:RequestedRegion".to_owned(), "eu-west-1".to_owned()),
                ("aws:SecureTransport".to_owned(), "true".to_owned()),
            ],
        };
        assert_eq!(asked, [expected]);
    }

    #[test]
    fn conditions_are_context_under_which_they_hold() {
        let asked = of(&json!([
            { "Effect": "Allow", "Action": "kms:CreateGrant", "Resource": "*", "Condition": {
                "StringLike": { "kms:ViaService": "ecr.*.amazonaws.com" },
                "StringEqualsIfExists": { "aws:ResourceAccount": ["111111111111"] },
                "Bool": { "aws:SecureTransport": "true" },
            } },
        ]));
        assert_eq!(
            asked[0].context,
            [
                ("aws:RequestedRegion".to_owned(), "eu-west-1".to_owned()),
                ("aws:ResourceAccount".to_owned(), "111111111111".to_owned()),
                ("aws:SecureTransport".to_owned(), "true".to_owned()),
                (
                    "kms:ViaService".to_owned(),
                    "ecr.eu-west-1.amazonaws.com".to_owned()
                ),
            ]
        );
        assert_eq!(asked[0].resources, ["*"]);
    }

    #[test]
    fn an_action_with_a_wildcard_at_its_end_is_asked_by_its_beginning() {
        for (action, asked) in [
            ("kms:GenerateDataKey*", Some("kms:GenerateDataKey")),
            ("ecr:PutImage", Some("ecr:PutImage")),
            ("ecr:*", None),
            ("*", None),
            ("ecr:*Image", None),
        ] {
            assert_eq!(concrete_action(action).as_deref(), asked, "{action}");
        }
    }

    #[test]
    fn documents_are_decoded() {
        assert_eq!(
            decoded("%7B%22a%22%3A%20%22%C3%A4%25%22%7D"),
            "{\"a\": \"ä%\"}"
        );
        assert_eq!(decoded("100%"), "100%");
        assert!(simulations(&["nonsense".to_owned()], "r").is_err());
    }
}
