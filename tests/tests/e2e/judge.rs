//! A small judge of policy documents: principals, actions, resources, and the conditions that the template uses.

use serde_json::Value;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Principal<'a> {
    /// `events.amazonaws.com`
    Service(&'a str),
    /// The ARN of a user, a role or an account's root.
    Aws(&'a str),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) principal: Principal<'a>,
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    /// Condition keys with their values.
    pub(crate) context: &'a [(&'a str, &'a str)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Denied,
    /// No statement says anything, so another policy decides, and without one it is refused.
    Silent,
}

/// As IAM does: one statement that denies outweighs all that allow.
pub(crate) fn judge(document: &Value, request: &Request<'_>) -> Verdict {
    let matching = || {
        statements(document)
            .into_iter()
            .filter(|statement| matches(statement, request))
    };
    if matching().any(|statement| statement["Effect"] == "Deny") {
        Verdict::Denied
    } else if matching().any(|statement| statement["Effect"] == "Allow") {
        Verdict::Allowed
    } else {
        Verdict::Silent
    }
}

pub(crate) fn statements(document: &Value) -> Vec<&Value> {
    list(&document["Statement"])
}

/// One or many are written differently and mean the same.
fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(many) => many.iter().collect(),
        one => vec![one],
    }
}

/// The same of texts.
pub(crate) fn texts(value: &Value) -> Vec<&str> {
    list(value)
        .into_iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

fn matches(statement: &Value, request: &Request<'_>) -> bool {
    for unknown in ["NotAction", "NotResource", "NotPrincipal"] {
        assert_eq!(statement[unknown], Value::Null, "{statement}");
    }
    let any_like =
        |patterns: &Value, text| texts(patterns).iter().any(|pattern| like(pattern, text));
    // The policy of a role has no principal: it is the role's.
    let by = &statement["Principal"];
    (by.is_null() || is_named(by, request.principal))
        && any_like(&statement["Action"], request.action)
        && any_like(&statement["Resource"], request.resource)
        && holds(&statement["Condition"], request.context)
}

fn is_named(by: &Value, principal: Principal<'_>) -> bool {
    if by == "*" {
        return true;
    }
    match principal {
        Principal::Service(name) => texts(&by["Service"]).contains(&name),
        Principal::Aws(arn) => texts(&by["AWS"]).iter().any(|named| {
            let account = named.strip_suffix(":root");
            *named == "*"
                || *named == arn
                || account.is_some_and(|account| arn.starts_with(&format!("{account}:")))
        }),
    }
}

/// Every operator, with every key of it.
fn holds(conditions: &Value, context: &[(&str, &str)]) -> bool {
    let Value::Object(conditions) = conditions else {
        return true;
    };
    conditions.iter().all(|(operator, keys)| {
        keys.as_object().unwrap().iter().all(|(key, wanted)| {
            let actual = context
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key))
                .map(|(_, value)| *value);
            let wanted = texts(wanted);
            let any = |test: &dyn Fn(&str, &str) -> bool| {
                actual.is_some_and(|actual| wanted.iter().any(|wanted| test(wanted, actual)))
            };
            match operator.as_str() {
                "StringEquals" | "Bool" => any(&|wanted, actual| wanted == actual),
                "StringEqualsIfExists" => {
                    actual.is_none() || any(&|wanted, actual| wanted == actual)
                }
                "StringLike" | "ArnLike" | "ArnEquals" => any(&like),
                // Of a key that is not there, a negation holds.
                "NotIpAddress" => !any(&is_in_network),
                "ArnNotLike" => !any(&like),
                other => panic!("the judge does not know `{other}`"),
            }
        })
    })
}

/// `*` is any text, `?` one character.
fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_at_checked(1) {
        None => text.is_empty(),
        Some(("*", rest)) => text
            .char_indices()
            .map(|(at, _)| &text[at..])
            .chain([""])
            .any(|left| like(rest, left)),
        Some((first, rest)) => text
            .split_at_checked(1)
            .is_some_and(|(one, left)| (first == "?" || first == one) && like(rest, left)),
    }
}

fn is_in_network(network: &str, address: &str) -> bool {
    use std::net::IpAddr;
    let (base, length) = network.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    match (base.parse().unwrap(), address.parse().unwrap()) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            let shift = 32 - length;
            u64::from(u32::from(base)) >> shift == u64::from(u32::from(address)) >> shift
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            u128::from(base)
                .checked_shr(128 - length)
                .unwrap_or_default()
                == u128::from(address)
                    .checked_shr(128 - length)
                    .unwrap_or_default()
        }
        _ => false,
    }
}

#[test]
fn the_judge_judges() {
    let document = serde_json::json!({ "Statement": [
        { "Effect": "Allow", "Principal": { "Service": "a.amazonaws.com" }, "Action": "sqs:SendMessage", "Resource": "q",
          "Condition": { "ArnEquals": { "aws:SourceArn": ["arn:1", "arn:2"] } } },
        { "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::1:root" }, "Action": ["sqs:S*"], "Resource": "q" },
        { "Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "q",
          "Condition": { "Bool": { "aws:SecureTransport": "false" }, "NotIpAddress": { "aws:SourceIp": ["127.0.0.0/8", "::1/128"] } } },
    ] });
    let verdict = |principal, action, resource, context: &[(&str, &str)]| {
        let request = Request {
            principal,
            action,
            resource,
            context,
        };
        judge(&document, &request)
    };
    let (service, user) = (
        Principal::Service("a.amazonaws.com"),
        Principal::Aws("arn:aws:iam::1:user/mary"),
    );
    let (source, tls) = (("AWS:SourceArn", "arn:2"), ("aws:SecureTransport", "true"));
    let send = "sqs:SendMessage";
    assert_eq!(
        verdict(service, send, "q", &[source, tls]),
        Verdict::Allowed
    );
    assert_eq!(verdict(service, send, "q", &[tls]), Verdict::Silent);
    assert_eq!(verdict(service, send, "r", &[source]), Verdict::Silent);
    let other = Principal::Service("b.amazonaws.com");
    assert_eq!(verdict(other, send, "q", &[source]), Verdict::Silent);
    assert_eq!(verdict(user, send, "q", &[tls]), Verdict::Allowed);
    assert_eq!(verdict(user, "sqs:Receive", "q", &[tls]), Verdict::Silent);
    let foreign = Principal::Aws("arn:aws:iam::12:user/mary");
    assert_eq!(verdict(foreign, send, "q", &[tls]), Verdict::Silent);
    let plain = ("aws:SecureTransport", "false");
    for (address, expected) in [
        ("127.0.0.1", Verdict::Allowed),
        ("::1", Verdict::Allowed),
        ("128.0.0.1", Verdict::Denied),
        ("10.0.0.1", Verdict::Denied),
        ("::2", Verdict::Denied),
    ] {
        let context = [plain, ("aws:SourceIp", address)];
        assert_eq!(verdict(user, send, "q", &context), expected, "{address}");
    }
    assert_eq!(verdict(user, send, "q", &[plain]), Verdict::Denied);
}
