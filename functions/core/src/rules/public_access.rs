//! `public-access`: the repository policy lets in everyone, or accounts that are not trusted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Advice, Meta, Rule, RuleMode, Settings, Subject, heredoc, shell_word};
use crate::action::Action;
use crate::finding::{Fix, Severity, Violation};
use crate::repository::{Reads, Repository, RepositoryId};
use crate::repository_policy::{edited, statements};

/// A repository policy that lets in everyone, or accounts outside the trusted ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PublicAccess {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// Account ids, quoted, that may be let in beside the repository's own.
    pub trusted_accounts: Vec<String>,
    /// Organisations (`o-…`) whose accounts may be let in, by a condition on `aws:PrincipalOrgID`.
    pub trusted_organizations: Vec<String>,
}

impl Settings for PublicAccess {
    const META: Meta = Meta {
        id: "public-access",
        severity: Severity::High,
        subject: Subject::Repository,
        summary: "The repository policy lets in everyone, or accounts that are not trusted",
        explanation: "\
A statement that allows `*`, all but some (`NotPrincipal`), or an account outside of `trusted-accounts` lets strangers pull \
images, or push them. Conditions are taken into account: a statement is fine where one of them admits trusted accounts or \
organisations only (`aws:PrincipalOrgID`, `aws:PrincipalAccount`, `aws:PrincipalArn`, `aws:SourceAccount`, `aws:SourceArn`…, without \
`IfExists`). AWS services may be named.

A condition that every caller can meet counts as none: `aws:SecureTransport` being true, `Null` of a key that every call has, a value \
of `*`, the address range `0.0.0.0/0`.

The repair removes exactly the statements that offend and leaves the others as they are written. Of a statement that names trusted \
accounts together with `*`, it removes the `*`. What is in doubt stays and is reported as open beside the repair: a statement with a \
condition that this rule can't judge, one that names trusted accounts together with others, and a document that can't be \
understood. The repair is never suspended by `repair-limit`: where something reverts it again and again, the next one is made an hour \
later, then twice as long each time, and the finding is critical. `settle` does not delay it.

The repository policy can also deny ecr-warden itself. AWS names that in its refusal, and the critical finding `blinded` lists the \
denied reads. Keep it from happening by a service control policy that denies `ecr:SetRepositoryPolicy` to all principals but those \
that deploy repository policies: IAM has no condition on the text of a repository policy. Whoever used the removed statement loses access at once.",
        example: r#"public-access:
  trusted-accounts: ["111122223333"]
  trusted-organizations: [o-a1b2c3d4e5]"#,
        controls: &["Prowler ecr_repositories_not_publicly_accessible"],
    };
}

/// How a statement stands to the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    Fine,
    /// It lets in whom it must not, and nothing speaks against removing it.
    Offends,
    /// It lets in everyone beside trusted accounts: without `*` it is fine.
    Narrows,
    /// It seems to, and removing it may be wrong.
    Doubtful,
}

impl Rule for PublicAccess {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        Reads {
            policy: true,
            ..Reads::default()
        }
    }

    fn check(&self, repository: &Repository) -> Option<Violation> {
        let by_hand = |detail: String| Violation {
            detail,
            fix: Fix::Manual("check the repository policy by hand".to_owned()),
        };
        let text = match repository.policy.required() {
            Ok(text) => text.as_ref()?,
            Err(why) => return Some(by_hand(format!("who may use it can't be told: {why}"))),
        };
        let statements = match statements(text) {
            Ok(statements) => statements,
            Err(why) => {
                return Some(by_hand(format!(
                    "the repository policy can't be understood: {why}"
                )));
            }
        };
        let mut edits: Vec<(&str, Option<String>)> = Vec::new();
        let mut names = Vec::new();
        for (n, raw) in statements.iter().enumerate() {
            let statement: Value = match serde_json::from_str(raw) {
                Ok(statement) => statement,
                Err(error) => {
                    return Some(by_hand(format!(
                        "the repository policy can't be understood: {error}"
                    )));
                }
            };
            match self.judge(&statement, &repository.id.account) {
                Ok(Judged::Fine) => continue,
                Ok(Judged::Offends) => edits.push((*raw, None)),
                Ok(Judged::Narrows) => {
                    edits.push((*raw, Some(without_everyone(statement.clone()))))
                }
                Ok(Judged::Doubtful) => {}
                Err(why) => {
                    return Some(by_hand(format!(
                        "the repository policy can't be understood: {why}"
                    )));
                }
            }
            let sid = statement.get("Sid").and_then(Value::as_str);
            names.push(sid.map_or_else(
                || format!("number {}", n.saturating_add(1)),
                |sid| format!("`{}`", crate::text::one_line(sid, 128)),
            ));
        }
        if names.is_empty() {
            return None;
        }
        let detail = format!(
            "the repository policy lets in everyone, or accounts that are not trusted: statement {}",
            names.join(", ")
        );
        let removed = edits.iter().filter(|(_, to)| to.is_none()).count();
        let fix = if edits.is_empty() {
            Fix::Manual(
                "narrow these statements to trusted accounts; they were left because a condition can't be judged, or because \
                 trusted accounts would lose access too"
                    .to_owned(),
            )
        } else {
            Fix::Safe(Action::SetRepositoryPolicy {
                from: Some(text.clone()),
                to: (removed < statements.len()).then(|| edited(text, &edits)),
            })
        };
        Some(Violation { detail, fix })
    }

    fn contradictions(&self) -> Vec<String> {
        let accounts = self
            .trusted_accounts
            .iter()
            .filter(|account| !is_account(account))
            .map(|account| {
                format!(
                    "trusted-accounts: `{}` is not an account id",
                    crate::text::one_line(account, 40)
                )
            });
        let organizations = self
            .trusted_organizations
            .iter()
            .filter(|o| !o.starts_with("o-"))
            .map(|o| {
                format!(
                    "trusted-organizations: `{}` is not an organisation's id (`o-…`)",
                    crate::text::one_line(o, 40)
                )
            });
        accounts.chain(organizations).collect()
    }

    fn advice(&self, id: &RepositoryId) -> Advice {
        advise(Some(&self.trusting(id)))
    }

    /// What the repair leaves, which is what people wrote without the statements that offend.
    fn advice_on(&self, id: &RepositoryId, repair: Option<&Action>) -> Advice {
        match repair {
            Some(Action::SetRepositoryPolicy { to, .. }) => advise(to.as_deref()),
            _ => self.advice(id),
        }
    }
}

/// The lines that make this the repository policy, or that leave none.
fn advise(document: Option<&str>) -> Advice {
    let Some(document) = document else {
        return Advice {
            text: "Take the statements out where the repository is defined; nothing is left then, so the repository policy goes."
                .to_owned(),
            terraform: "# remove the resource \"aws_ecr_repository_policy\" of this repository".to_owned(),
            cloudformation: "# remove `RepositoryPolicyText` of this repository".to_owned(),
            cli: "aws ecr delete-repository-policy --repository-name \"$REPOSITORY\"".to_owned(),
        };
    };
    Advice {
        text: "Let in trusted accounts only, where the repository is defined; other statements that are to stay belong into the \
               same document."
            .to_owned(),
        terraform: format!(
            "resource \"aws_ecr_repository_policy\" \"this\" {{\n  repository = aws_ecr_repository.this.name\n  policy     = {}\n}}",
            heredoc(document)
        ),
        cli: format!(
            "# replaces the whole repository policy\n\
             aws ecr set-repository-policy --repository-name \"$REPOSITORY\" --policy-text {}",
            shell_word(document)
        ),
        // JSON is YAML.
        cloudformation: format!("RepositoryPolicyText:\n  {}", document.replace('\n', "\n  ")),
    }
}

impl PublicAccess {
    /// A repository policy that lets trusted accounts and organisations pull; the own account where there are none.
    fn trusting(&self, id: &RepositoryId) -> String {
        let pull = json!([
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer"
        ]);
        let mut statements = Vec::new();
        let own = std::slice::from_ref(&id.account);
        let accounts = match (
            self.trusted_accounts.as_slice(),
            self.trusted_organizations.as_slice(),
        ) {
            ([], []) => own,
            (accounts, _) => accounts,
        };
        if !accounts.is_empty() {
            statements.push(json!({
                "Sid": "TrustedAccounts", "Effect": "Allow", "Principal": { "AWS": accounts }, "Action": &pull,
            }));
        }
        if !self.trusted_organizations.is_empty() {
            statements.push(json!({
                "Sid": "TrustedOrganizations", "Effect": "Allow", "Principal": "*", "Action": &pull,
                "Condition": { "StringEquals": { "aws:PrincipalOrgID": self.trusted_organizations } },
            }));
        }
        json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
    }

    fn judge(&self, statement: &Value, own: &str) -> Result<Judged, String> {
        match statement.get("Effect").and_then(Value::as_str) {
            Some("Deny") => return Ok(Judged::Fine),
            Some("Allow") => {}
            _ => return Err("a statement's `Effect` is neither `Allow` nor `Deny`".to_owned()),
        }
        let (mut trusted, mut strange, mut everyone) = (0_usize, 0_usize, 0_usize);
        match (statement.get("Principal"), statement.get("NotPrincipal")) {
            (None, Some(_)) => strange = 1,
            (Some(Value::String(all)), None) if all == "*" => strange = 1,
            (Some(Value::Object(kinds)), None) => {
                for (kind, named) in kinds {
                    for principal in strings(named)? {
                        if self.trusts(kind, principal, own) {
                            trusted = trusted.saturating_add(1);
                        } else if principal == "*" {
                            everyone = everyone.saturating_add(1);
                        } else {
                            strange = strange.saturating_add(1);
                        }
                    }
                }
            }
            _ => {
                return Err(
                    "a statement's `Principal` is neither `*` nor a list by kind".to_owned(),
                );
            }
        }
        if strange == 0 && everyone == 0 {
            return Ok(Judged::Fine);
        }
        let unconditional = match trusted {
            0 => Judged::Offends,
            _ if everyone > 0 => Judged::Narrows,
            _ => Judged::Doubtful,
        };
        let conditions = match statement.get("Condition") {
            None => return Ok(unconditional),
            Some(Value::Object(conditions)) => conditions,
            Some(_) => return Err("a statement's `Condition` is not an object".to_owned()),
        };
        if self.admits_trusted_only(conditions, own)? {
            Ok(Judged::Fine)
        } else if admits_everyone(conditions)? {
            Ok(unconditional)
        } else {
            Ok(Judged::Doubtful)
        }
    }

    /// A principal as policies name it: an account, an ARN, or the id of one that is deleted and so lets in nobody.
    fn trusts(&self, kind: &str, principal: &str, own: &str) -> bool {
        let account =
            |text: &str| text == own || self.trusted_accounts.iter().any(|trusted| trusted == text);
        match kind {
            "Service" => {
                principal.ends_with(".amazonaws.com") || principal.ends_with(".amazonaws.com.cn")
            }
            "AWS" if is_account(principal) => account(principal),
            "AWS" if principal.starts_with("AIDA") || principal.starts_with("AROA") => true,
            "AWS" | "Federated" => account_of(principal).is_some_and(account),
            _ => false,
        }
    }

    /// Whether one of the conditions, all of which must hold, holds for trusted callers only.
    fn admits_trusted_only(
        &self,
        conditions: &Map<String, Value>,
        own: &str,
    ) -> Result<bool, String> {
        for (operator, keys) in conditions {
            let Some(keys) = keys.as_object() else {
                return Err("a condition is not an object".to_owned());
            };
            // `…IfExists` and `ForAllValues:` hold where the key is absent, and negations admit whom they do not name.
            let exact = matches!(
                operator.trim_start_matches("ForAnyValue:"),
                "StringEquals" | "StringEqualsIgnoreCase" | "ArnEquals" | "StringLike" | "ArnLike"
            );
            if !exact {
                continue;
            }
            let spans = |value: &str| operator.ends_with("StringLike") && spans_fields(value);
            for (key, values) in keys {
                let values = strings(values)?;
                if !values.is_empty()
                    && values
                        .iter()
                        .all(|value| !spans(value) && self.is_trusted_value(key, value, own))
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn is_trusted_value(&self, key: &str, value: &str, own: &str) -> bool {
        let account =
            |text: &str| text == own || self.trusted_accounts.iter().any(|trusted| trusted == text);
        let organization = |text: &str| {
            self.trusted_organizations
                .iter()
                .any(|trusted| trusted == text)
        };
        match key.to_ascii_lowercase().as_str() {
            "aws:principalorgid" | "aws:sourceorgid" => organization(value),
            "aws:principalorgpaths" | "aws:sourceorgpaths" => {
                value.split('/').next().is_some_and(organization)
            }
            "aws:principalaccount" | "aws:sourceaccount" | "aws:sourceowner" => account(value),
            "aws:principalarn" | "aws:sourcearn" => account_of(value).is_some_and(account),
            _ => false,
        }
    }
}

/// The statement with `*` taken out of its principals.
fn without_everyone(mut statement: Value) -> String {
    if let Some(Value::Object(kinds)) = statement.get_mut("Principal") {
        kinds.retain(|_, named| match named {
            Value::Array(many) => {
                many.retain(|one| one.as_str() != Some("*"));
                !many.is_empty()
            }
            other => other.as_str() != Some("*"),
        });
    }
    statement.to_string()
}

/// Keys that each signed call has (IAM User Guide, "AWS global condition context keys", availability).
const ALWAYS: &[&str] = &[
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

/// Whether every caller can meet all of these conditions.
fn admits_everyone(conditions: &Map<String, Value>) -> Result<bool, String> {
    for (operator, keys) in conditions {
        let Some(keys) = keys.as_object() else {
            return Err("a condition is not an object".to_owned());
        };
        for (key, values) in keys {
            // `true` may be written without quotes.
            let values = match values {
                Value::Bool(value) => vec![if *value { "true" } else { "false" }],
                other => strings(other)?,
            };
            let met = |value: &&str| met_by_everyone(operator, &key.to_ascii_lowercase(), value);
            if !values.iter().any(met) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Whether every caller can meet this condition.
fn met_by_everyone(operator: &str, key: &str, value: &str) -> bool {
    let always = ALWAYS.contains(&key);
    let base = operator.trim_end_matches("IfExists");
    let is = |wanted: &str| value.eq_ignore_ascii_case(wanted);
    match base {
        "Bool" => key == "aws:securetransport" && is("true"),
        // A key that a call need not have may be left out of it.
        "Null" => (always && is("false")) || (!always && is("true")),
        "StringLike" | "ArnLike" | "ArnEquals" => {
            let any = !value.is_empty() && value.bytes().all(|byte| byte == b'*');
            any && (always || base != operator)
        }
        "IpAddress" => key == "aws:sourceip" && matches!(value, "0.0.0.0/0" | "::/0"),
        _ => false,
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// The account of an ARN, where it says one: no wildcard and no variable.
fn account_of(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let is_arn = parts.next() == Some("arn");
    let account = parts.nth(3)?;
    (is_arn && is_account(account)).then_some(account)
}

/// Whether an ARN has a wildcard before its account. Compared as text, it stands for colons, too.
fn spans_fields(arn: &str) -> bool {
    let mut fields = arn.split(':');
    fields.next() == Some("arn") && fields.take(3).any(|field| field.contains(['*', '?']))
}

/// One string or a list of them.
fn strings(value: &Value) -> Result<Vec<&str>, String> {
    match value {
        Value::String(one) => Ok(vec![one]),
        Value::Array(many) => many
            .iter()
            .map(|one| {
                one.as_str()
                    .ok_or_else(|| "something other than text is listed".to_owned())
            })
            .collect(),
        _ => Err("something is neither text nor a list".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::evaluate::tests::repository;
    use crate::repository::Read;

    const OWN: &str = "123456789012";

    fn rule() -> PublicAccess {
        PublicAccess {
            mode: None,
            trusted_accounts: vec!["210987654321".to_owned()],
            trusted_organizations: vec!["o-abcdefghij".to_owned()],
        }
    }

    fn with(text: &str) -> Repository {
        let mut repository = repository();
        repository.policy = Read::Known(Some(text.to_owned()));
        repository
    }

    fn judged(principal: &Value, condition: &Value) -> Judged {
        let mut statement = json!({ "Effect": "Allow", "Principal": principal, "Action": "ecr:*" });
        if !condition.is_null() {
            statement["Condition"] = condition.clone();
        }
        rule().judge(&statement, OWN).unwrap()
    }

    #[test]
    fn principals() {
        let none = Value::Null;
        for fine in [
            json!({ "AWS": OWN }),
            json!({ "AWS": format!("arn:aws:iam::{OWN}:role/x") }),
            json!({ "AWS": ["arn:aws:iam::210987654321:root", "AIDACKCEVSQ6C2EXAMPLE"] }),
            json!({ "Service": "codebuild.amazonaws.com" }),
            json!({ "Federated": format!("arn:aws:iam::{OWN}:saml-provider/x") }),
        ] {
            assert_eq!(judged(&fine, &none), Judged::Fine, "{fine}");
        }
        for strange in [
            json!("*"),
            json!({ "AWS": "*" }),
            json!({ "AWS": "999999999999" }),
            json!({ "AWS": "arn:aws:iam::999999999999:root" }),
            json!({ "AWS": "arn:aws:iam::*:root" }),
            json!({ "Federated": "accounts.google.com" }),
            json!({ "Service": "example.com" }),
            json!({ "CanonicalUser": "79a59df9" }),
        ] {
            assert_eq!(judged(&strange, &none), Judged::Offends, "{strange}");
        }
        let mixed = json!({ "AWS": [OWN, "999999999999"] });
        assert_eq!(judged(&mixed, &none), Judged::Doubtful);
        let all_but = json!({ "Effect": "Allow", "NotPrincipal": { "AWS": "999999999999" }, "Action": "ecr:*" });
        assert_eq!(rule().judge(&all_but, OWN), Ok(Judged::Offends));
        let deny = json!({ "Effect": "Deny", "Principal": "*", "Action": "ecr:*" });
        assert_eq!(rule().judge(&deny, OWN), Ok(Judged::Fine));
    }

    #[test]
    fn conditions() {
        for fine in [
            json!({ "StringEquals": { "aws:PrincipalOrgID": "o-abcdefghij" } }),
            json!({ "StringEquals": { "AWS:principalorgid": ["o-abcdefghij"] } }),
            json!({ "StringLike": { "aws:PrincipalAccount": [OWN, "210987654321"] } }),
            json!({ "ArnLike": { "aws:PrincipalArn": format!("arn:*:iam::{OWN}:role/*") } }),
            json!({ "StringLike": { "aws:PrincipalArn": format!("arn:aws:iam::{OWN}:role/*") } }),
            json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": "o-abcdefghij/r-ab12/*" } }),
            json!({ "Bool": { "aws:SecureTransport": "true" }, "StringEquals": { "aws:SourceAccount": OWN } }),
        ] {
            assert_eq!(judged(&json!("*"), &fine), Judged::Fine, "{fine}");
        }
        for doubtful in [
            json!({ "StringEqualsIfExists": { "aws:PrincipalOrgID": "o-abcdefghij" } }),
            json!({ "ForAllValues:StringEquals": { "aws:PrincipalOrgID": "o-abcdefghij" } }),
            json!({ "StringNotEquals": { "aws:PrincipalAccount": OWN } }),
            json!({ "StringEquals": { "aws:PrincipalOrgID": "o-other" } }),
            json!({ "StringEquals": { "aws:PrincipalAccount": [OWN, "999999999999"] } }),
            json!({ "ArnLike": { "aws:PrincipalArn": "arn:aws:iam::*:role/x" } }),
            json!({ "StringLike": { "aws:PrincipalArn": format!("arn:*:*:*:{OWN}:*") } }),
            json!({ "StringEquals": { "aws:SourceVpce": "vpce-1" } }),
            json!({ "StringEquals": { "aws:PrincipalAccount": [] } }),
        ] {
            assert_eq!(
                judged(&json!("*"), &doubtful),
                Judged::Doubtful,
                "{doubtful}"
            );
        }
        assert_eq!(judged(&json!("*"), &json!({})), Judged::Offends);
    }

    #[test]
    fn a_condition_that_every_caller_can_meet_counts_as_none() {
        for met in [
            json!({ "Bool": { "aws:SecureTransport": "true" } }),
            json!({ "Bool": { "AWS:securetransport": true } }),
            json!({ "BoolIfExists": { "aws:SecureTransport": ["true", "false"] } }),
            json!({ "Null": { "aws:PrincipalArn": "false" } }),
            json!({ "Null": { "aws:SourceVpce": "true" } }),
            json!({ "StringLike": { "aws:PrincipalArn": "*" } }),
            json!({ "StringLikeIfExists": { "aws:SourceVpce": "*" } }),
            json!({ "IpAddress": { "aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/0"] } }),
            json!({ "Bool": { "aws:SecureTransport": "true" }, "Null": { "aws:userid": "false" } }),
        ] {
            assert_eq!(judged(&json!("*"), &met), Judged::Offends, "{met}");
            let mixed = json!({ "AWS": ["*", OWN] });
            assert_eq!(judged(&mixed, &met), Judged::Narrows, "{met}");
        }
        for doubtful in [
            json!({ "Bool": { "aws:SecureTransport": "false" } }),
            json!({ "Bool": { "aws:PrincipalIsAWSService": "true" } }),
            json!({ "Null": { "aws:PrincipalOrgID": "false" } }),
            json!({ "Null": { "aws:PrincipalArn": "true" } }),
            json!({ "StringLike": { "aws:SourceVpce": "*" } }),
            json!({ "StringLike": { "aws:PrincipalArn": "*:role/x" } }),
            json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } }),
            json!({ "Bool": { "aws:SecureTransport": "true" }, "StringEquals": { "aws:SourceVpce": "vpce-1" } }),
        ] {
            assert_eq!(
                judged(&json!("*"), &doubtful),
                Judged::Doubtful,
                "{doubtful}"
            );
        }
    }

    #[test]
    fn everyone_beside_trusted_accounts_is_removed_and_they_stay() {
        let statement = json!({ "Sid": "x", "Effect": "Allow", "Principal": { "AWS": ["*", OWN] }, "Action": "ecr:*" });
        let services = json!({ "Effect": "Allow", "Principal": { "AWS": "*", "Service": "codebuild.amazonaws.com" }, "Action": "ecr:*" });
        let own = r#"{ "Sid" : "keep", "Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"ecr:*" }"#;
        let text = format!(r#"{{"Statement":[{statement}, {own},{services}]}}"#);
        let violation = rule().check(&with(&text)).unwrap();
        let Fix::Safe(Action::SetRepositoryPolicy { to: Some(to), .. }) = violation.fix else {
            panic!("{violation:?}");
        };
        assert_eq!(rule().check(&with(&to)), None, "{to}");
        assert!(to.contains(own), "{to}");
        let left: Value = serde_json::from_str(&to).unwrap();
        assert_eq!(
            left["Statement"][0]["Principal"],
            json!({ "AWS": [OWN] }),
            "{to}"
        );
        let service = json!({ "Service": "codebuild.amazonaws.com" });
        assert_eq!(left["Statement"][2]["Principal"], service, "{to}");
    }

    #[test]
    fn a_doubtful_statement_does_not_keep_an_offending_one() {
        let open = r#"{"Sid":"open","Effect":"Allow","Principal":"*","Action":"ecr:*"}"#;
        let doubtful = r#"{"Sid":"doubt","Effect":"Allow","Principal":"*","Action":"ecr:*","Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"}}}"#;
        let text = format!(r#"{{"Statement":[{open},{doubtful}]}}"#);
        let violation = rule().check(&with(&text)).unwrap();
        let Fix::Safe(Action::SetRepositoryPolicy { to: Some(to), .. }) = violation.fix else {
            panic!("{violation:?}");
        };
        assert_eq!(to, format!(r#"{{"Statement":[{doubtful}]}}"#));
        let left = rule().check(&with(&to)).unwrap();
        assert!(
            left.detail.contains("`doubt`") && matches!(left.fix, Fix::Manual(_)),
            "{left:?}"
        );
    }

    #[test]
    fn only_the_offending_statements_go_and_the_rest_keeps_its_bytes() {
        let keep = r#"{ "Sid" : "keep", "Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":[ "ecr:*" ] }"#;
        let open =
            r#"{"Sid":"open","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}"#;
        for (order, left) in [
            (
                vec![keep, open],
                format!("{{\"Version\":\"2012-10-17\",\n \"Statement\" : [ {keep} ]}}"),
            ),
            (
                vec![open, keep],
                format!("{{\"Version\":\"2012-10-17\",\n \"Statement\" : [ {keep} ]}}"),
            ),
            (
                vec![open, keep, open],
                format!("{{\"Version\":\"2012-10-17\",\n \"Statement\" : [ {keep} ]}}"),
            ),
            (
                vec![keep, open, keep],
                format!("{{\"Version\":\"2012-10-17\",\n \"Statement\" : [ {keep} , {keep} ]}}"),
            ),
        ] {
            let text = format!(
                "{{\"Version\":\"2012-10-17\",\n \"Statement\" : [ {} ]}}",
                order.join(" , ")
            );
            let Some(Fix::Safe(Action::SetRepositoryPolicy { to: Some(to), .. })) =
                rule().check(&with(&text)).map(|violation| violation.fix)
            else {
                panic!("no repair of {text}");
            };
            assert_eq!(to, left, "of {text}");
            assert_eq!(rule().check(&with(&to)), None, "what is left is fine");
        }
    }

    #[test]
    fn a_policy_of_nothing_else_is_deleted() {
        for text in [
            r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:*"}}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}"#,
        ] {
            let violation = rule().check(&with(text)).unwrap();
            assert!(
                matches!(
                    violation.fix,
                    Fix::Safe(Action::SetRepositoryPolicy { to: None, .. })
                ),
                "{violation:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_understood_is_for_people() {
        let deep = format!("{{\"Statement\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        for text in [
            "",
            "{}",
            "[]",
            "{\"Statement\":7}",
            "{\"Statement\":[7]}",
            "{\"Statement\":[{\"Effect\":\"Maybe\"}]}",
            "{\"Statement\":[{\"Effect\":\"Allow\"}]}",
            "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":7}}]}",
            "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Condition\":7}]}",
            "{\"Statement\":[],\"Statement\":[]}",
            &deep,
        ] {
            let violation = rule()
                .check(&with(text))
                .unwrap_or_else(|| panic!("{text} passed"));
            assert!(
                matches!(violation.fix, Fix::Manual(_)),
                "{text}: {violation:?}"
            );
        }
        let mut unread = repository();
        unread.policy = Read::Unreadable("denied".to_owned());
        assert!(matches!(rule().check(&unread).unwrap().fix, Fix::Manual(_)));
    }

    #[test]
    fn no_policy_and_no_statements_are_fine() {
        assert_eq!(rule().check(&repository()), None);
        assert_eq!(rule().check(&with("{\"Statement\":[]}")), None);
    }

    #[test]
    fn settings_that_are_no_accounts() {
        let wrong = PublicAccess {
            mode: None,
            trusted_accounts: vec!["12345".to_owned()],
            trusted_organizations: vec!["abc".to_owned()],
        };
        assert_eq!(wrong.contradictions().len(), 2);
    }

    #[test]
    fn advice_passes_the_rule_itself() {
        for rule in [
            PublicAccess::default(),
            PublicAccess {
                trusted_accounts: vec!["111122223333".to_owned()],
                ..PublicAccess::default()
            },
            PublicAccess {
                trusted_organizations: vec!["o-abc123".to_owned()],
                ..PublicAccess::default()
            },
        ] {
            let mut repository = crate::evaluate::tests::repository();
            let document = rule.trusting(&repository.id);
            let advice = rule.advice(&repository.id);
            assert!(advice.cli.ends_with(&format!("--policy-text '{document}'")));
            for text in [&advice.terraform, &advice.cloudformation] {
                assert!(text.contains(&document), "{text}");
            }
            repository.policy = crate::repository::Read::Known(Some(document));
            assert_eq!(rule.check(&repository), None);
        }
    }

    #[test]
    fn advice_on_a_repair_is_what_it_leaves() {
        let id = crate::evaluate::tests::repository().id;
        let leaves = |to: Option<&str>| {
            let action = Action::SetRepositoryPolicy {
                from: Some("{}".to_owned()),
                to: to.map(str::to_owned),
            };
            PublicAccess::default().advice_on(&id, Some(&action))
        };
        assert!(leaves(Some("{\"kept\":1}")).cli.ends_with("'{\"kept\":1}'"));
        assert!(leaves(None).cli.contains("delete-repository-policy"));
    }
}
