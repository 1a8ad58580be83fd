//! What the conditions of a statement say about who calls.
//!
//! Sources: IAM User Guide, "IAM JSON policy elements: Condition operators" (`IfExists`, `Null`), "Conditions with multiple context keys
//! or values" (negated operators and keys that are absent), "Set operators for multivalued context keys" (`ForAllValues` holds
//! without the key), "AWS global condition context keys", and "Variables and tags" (variables need version 2012-10-17).

use serde_json::{Map, Value};

use super::actions::like;
use super::trust::{Named, Trust, account_of};
use super::value::strings;
use crate::text::one_line;

/// The longest key or value that is shown.
const SHOWN: usize = 100;

/// The callers that meet one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Strangers can meet it.
    Anyone,
    /// The named ones meet it, and so do callers without the key: why.
    Loose(Vec<Named>, String),
    /// Only the named ones meet it.
    Only(Vec<Named>),
    /// All but the named ones meet it.
    AllBut(Vec<Named>),
    /// It cannot be judged: why.
    Unknown(String),
}

/// Keys that do not say who calls: they are about the repository, the connection or the services between (IAM User Guide, "AWS global
/// condition context keys").
const NEVER_NARROW: [&str; 8] = [
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "aws:securetransport",
    "aws:viaawsservice",
];

/// Keys that each signed call has (the same, availability).
const ALWAYS: [&str; 10] = [
    "aws:currenttime",
    "aws:epochtime",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principaltype",
    "aws:requestedregion",
    "aws:securetransport",
    "aws:useragent",
    "aws:userid",
    "aws:viaawsservice",
];

/// The kinds of identity that a key compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    Account,
    Organization,
    Path,
    Arn,
    Vpc,
    VpcEndpoint,
}

/// Keys that say who calls, for whom, or from where; in lower case, as IAM compares keys without it.
fn identity(key: &str) -> Option<Identity> {
    Some(match key {
        "aws:principalaccount" | "aws:sourceaccount" | "aws:sourceowner" | "aws:vpceaccount" => {
            Identity::Account
        }
        "aws:principalorgid" | "aws:sourceorgid" | "aws:vpceorgid" => Identity::Organization,
        "aws:principalorgpaths" | "aws:sourceorgpaths" | "aws:vpceorgpaths" => Identity::Path,
        "aws:principalarn" | "aws:sourcearn" => Identity::Arn,
        "aws:sourcevpc" => Identity::Vpc,
        "aws:sourcevpce" => Identity::VpcEndpoint,
        _ => return None,
    })
}

/// An operator, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operator<'o> {
    for_all: bool,
    for_any: bool,
    if_exists: bool,
    base: &'o str,
}

impl<'o> Operator<'o> {
    fn of(written: &'o str) -> Self {
        let for_all = written.strip_prefix("ForAllValues:");
        let for_any = written.strip_prefix("ForAnyValue:");
        let rest = for_all.or(for_any).unwrap_or(written);
        Self {
            for_all: for_all.is_some(),
            for_any: for_any.is_some(),
            if_exists: rest.ends_with("IfExists"),
            base: rest.strip_suffix("IfExists").unwrap_or(rest),
        }
    }

    fn is_positive(self) -> bool {
        matches!(
            self.base,
            "StringEquals" | "StringEqualsIgnoreCase" | "StringLike" | "ArnEquals" | "ArnLike"
        )
    }

    fn is_negative(self) -> bool {
        matches!(
            self.base,
            "StringNotEquals"
                | "StringNotEqualsIgnoreCase"
                | "StringNotLike"
                | "ArnNotEquals"
                | "ArnNotLike"
        )
    }

    /// Whether `*` and `?` in a value stand for other characters.
    fn has_wildcards(self) -> bool {
        self.base.ends_with("Like") || self.base.starts_with("Arn")
    }
}

/// The conditions of a statement, one by one: all of them must hold.
pub(super) struct Conditions<'s> {
    pub(super) conditions: &'s Map<String, Value>,
    pub(super) trust: &'s Trust,
    /// Whether AWS replaces `${…}` in a value.
    pub(super) variables: bool,
}

impl Conditions<'_> {
    /// What each says.
    ///
    /// # Errors
    /// One line: they are not written as conditions are.
    pub(super) fn meanings(&self) -> Result<Vec<Meaning>, String> {
        let mut meanings = Vec::new();
        for (operator, keys) in self.conditions {
            let keys = keys
                .as_object()
                .ok_or_else(|| "a condition is not an object".to_owned())?;
            for (key, values) in keys {
                meanings.push(self.meaning(operator, key, &strings(values)?));
            }
        }
        Ok(meanings)
    }

    fn meaning(&self, written: &str, key: &str, values: &[&str]) -> Meaning {
        let operator = Operator::of(written);
        let lower = key.to_ascii_lowercase();
        let shown = || {
            format!(
                "`{}` of `{}`",
                one_line(written, SHOWN),
                one_line(key, SHOWN)
            )
        };
        if values
            .iter()
            .any(|value| met_by_everyone(operator, &lower, value))
        {
            return Meaning::Anyone;
        }
        if NEVER_NARROW.contains(&lower.as_str()) {
            return self.of_the_resource(operator, &lower, values);
        }
        let Some(kind) = identity(&lower) else {
            return Meaning::Unknown(format!("{} is not evaluated", shown()));
        };
        if !operator.is_positive() && !operator.is_negative() {
            return Meaning::Unknown(format!("{} is not evaluated", shown()));
        }
        if values.is_empty() {
            return Meaning::Unknown(format!("{} has no value", shown()));
        }
        let mut named = Vec::new();
        for value in values {
            match self.named(operator, kind, &lower, value) {
                Ok(one) => named.push(one),
                Err(why) => {
                    let value = one_line(value, SHOWN);
                    return Meaning::Unknown(format!("{} with `{value}` {why}", shown()));
                }
            }
        }
        if operator.is_negative() {
            // It does not hold without the key.
            return if operator.for_any {
                Meaning::Unknown(format!("{} is not evaluated", shown()))
            } else {
                Meaning::AllBut(named)
            };
        }
        if (operator.for_all || operator.if_exists) && !self.asks_for(key) {
            // Only the calls of AWS services may lack it: most who meet it are those that it names.
            let rarely = ALWAYS.contains(&lower.as_str());
            for names in &mut named {
                names.some_trusted |= rarely;
            }
            let exact = if kind == Identity::Path {
                format!("ForAnyValue:{}", operator.base)
            } else {
                operator.base.to_owned()
            };
            let written = one_line(written, SHOWN);
            return Meaning::Loose(
                named,
                format!(
                    "`{written}` also holds for callers without `{}`: write `{exact}`",
                    one_line(key, SHOWN)
                ),
            );
        }
        Meaning::Only(named)
    }

    /// Whether another condition asks for the key to be there.
    fn asks_for(&self, key: &str) -> bool {
        let asked = self.conditions.get("Null").and_then(Value::as_object);
        let mut asked = asked.into_iter().flatten();
        asked.any(|(other, values)| {
            let is_false = |values: Vec<&str>| {
                !values.is_empty() && values.iter().all(|it| it.eq_ignore_ascii_case("false"))
            };
            other.eq_ignore_ascii_case(key) && strings(values).is_ok_and(is_false)
        })
    }

    /// The own account or organization, compared with the caller's, narrows; whatever else the repository is like does not.
    fn of_the_resource(&self, operator: Operator<'_>, key: &str, values: &[&str]) -> Meaning {
        let of_caller: &[&str] = match key {
            "aws:resourceaccount" => &["${aws:PrincipalAccount}", "${aws:SourceAccount}"],
            "aws:resourceorgid" => &["${aws:PrincipalOrgID}", "${aws:SourceOrgID}"],
            _ => return Meaning::Anyone,
        };
        let is_callers = |value: &&str| of_caller.iter().any(|of| of.eq_ignore_ascii_case(value));
        let exact = operator.is_positive() && !operator.for_all && !operator.if_exists;
        if self.variables && exact && !values.is_empty() && values.iter().all(is_callers) {
            return Meaning::Only(values.iter().map(|value| Trust::own(value)).collect());
        }
        Meaning::Anyone
    }

    /// The identity that a value names.
    ///
    /// # Errors
    /// The value names no single identity: the end of a sentence.
    fn named(
        &self,
        operator: Operator<'_>,
        kind: Identity,
        key: &str,
        value: &str,
    ) -> Result<Named, &'static str> {
        let trust = self.trust;
        // Ids are written in lower case; of the names in an ARN that is not known.
        let folded = operator.base.ends_with("IgnoreCase") && kind != Identity::Arn;
        let lower = value.to_ascii_lowercase();
        let value = if folded && !value.contains("${") {
            lower.as_str()
        } else {
            value
        };
        let shown = one_line(value, SHOWN);
        if value.contains("${") {
            if !self.variables {
                return Err("has a variable, which only the version 2012-10-17 replaces");
            }
            let is = |wanted: &str| value.eq_ignore_ascii_case(wanted);
            let own = match kind {
                Identity::Account => is("${aws:ResourceAccount}"),
                Identity::Organization => is("${aws:ResourceOrgID}"),
                Identity::Path => {
                    let organization = value.split('/').next().unwrap_or_default();
                    organization.eq_ignore_ascii_case("${aws:ResourceOrgID}")
                }
                // `arn:aws:iam::${aws:ResourceAccount}:role/deploy`
                Identity::Arn => {
                    let lower = value.to_ascii_lowercase();
                    let mut parts = lower.splitn(3, "${aws:resourceaccount}");
                    let (before, after) = (parts.next(), parts.next());
                    before.is_some_and(|before| {
                        before.starts_with("arn:aws")
                            && before.matches(':').count() == 4
                            && before.ends_with(':')
                            && !before.contains(['*', '?', '$'])
                    }) && after.is_some_and(|after| after.starts_with(':'))
                        && parts.next().is_none()
                }
                Identity::Vpc | Identity::VpcEndpoint => false,
            };
            return if own {
                Ok(Trust::own(&shown))
            } else {
                Err("has a variable that is not evaluated")
            };
        }
        let wild = value.contains(['*', '?']);
        if wild && !operator.has_wildcards() {
            return Err("compares `*` as a character");
        }
        match kind {
            Identity::Path => {
                let organization = value.split('/').next().unwrap_or_default();
                if organization.contains(['*', '?']) {
                    return Err("names no single organization");
                }
                Ok(trust.path(&shown))
            }
            Identity::Arn => match account_of(value) {
                Some(account) if !spans_fields(operator, key, value) => {
                    Ok(trust.arn(account, &shown))
                }
                _ if key == "aws:sourcearn" && value.starts_with("arn:") && !wild => {
                    // It may be the own account's.
                    Ok(Named {
                        some_trusted: true,
                        ..Named::other(&format!("{shown}, which names no account"))
                    })
                }
                _ => Err("names no single account"),
            },
            _ if wild => Err("is a pattern that names no identity"),
            Identity::Account => Ok(trust.account(&shown)),
            Identity::Organization => Ok(trust.organization(&shown)),
            Identity::Vpc => Ok(trust.vpc(&shown)),
            Identity::VpcEndpoint => Ok(trust.vpc_endpoint(&shown)),
        }
    }
}

/// Whether every caller can meet this condition.
fn met_by_everyone(operator: Operator<'_>, key: &str, value: &str) -> bool {
    let always = ALWAYS.contains(&key);
    let is = |wanted: &str| value.eq_ignore_ascii_case(wanted);
    match operator.base {
        "Bool" => key == "aws:securetransport" && is("true"),
        // A key that a call need not have may be left out of it.
        "Null" => (always && is("false")) || (!always && is("true")),
        "StringLike" | "ArnLike" | "ArnEquals" => {
            let any = !value.is_empty() && value.bytes().all(|byte| byte == b'*');
            any && (always || operator.if_exists)
        }
        "IpAddress" => key == "aws:sourceip" && matches!(value, "0.0.0.0/0" | "::/0"),
        _ => false,
    }
}

/// Whether a pattern of an ARN has a wildcard before its account that, compared as text, also stands for colons. Paths of IAM may have
/// colons; the ARNs of what services act for have none after their service that could pass for an account.
fn spans_fields(operator: Operator<'_>, key: &str, arn: &str) -> bool {
    let before_account = if key == "aws:sourcearn" { 2 } else { 3 };
    let mut fields = arn.split(':');
    operator.base == "StringLike"
        && fields.next() == Some("arn")
        && fields
            .take(before_account)
            .any(|field| field.contains(['*', '?']))
}

/// The callers that a Deny under these conditions spares; `None`: it does not keep out every stranger. All conditions must hold for it to deny, so
/// each spares some more.
///
/// # Errors
/// One line: they are not written as conditions are.
pub(super) fn spared(conditions: &Conditions<'_>) -> Result<Option<Vec<Named>>, String> {
    let mut spared = Vec::new();
    for (written, keys) in conditions.conditions {
        let keys = keys
            .as_object()
            .ok_or_else(|| "a condition is not an object".to_owned())?;
        for (key, values) in keys {
            let values = strings(values)?;
            let lower = key.to_ascii_lowercase();
            let operator = Operator::of(written);
            if lower == "aws:principalisawsservice"
                && operator.base == "Bool"
                && !operator.for_all
                && values.iter().all(|value| like("false", value))
            {
                spared.push(Named::any_service());
                continue;
            }
            match conditions.meaning(written, key, &values) {
                Meaning::AllBut(named) => spared.extend(named),
                _ => return Ok(None),
            }
        }
    }
    Ok(Some(spared))
}
