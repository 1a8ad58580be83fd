//! The identities that a repository policy lets in by name, for who decides whom to trust.

use std::collections::BTreeSet;

use super::{Stranger, To, Trust, judge};

/// The identities other than the own account that a repository policy lets in by name, and that a setting can trust. None of a
/// document that cannot be understood: `public-access` reports it.
pub(crate) fn strangers(text: &str, own: &str) -> BTreeSet<Stranger> {
    let trust = Trust {
        own: own.to_owned(),
        ..Trust::default()
    };
    let judged = judge(text, &trust).ok();
    let grants = judged.into_iter().flat_map(|judged| judged.grants);
    let named = grants.filter(|grant| grant.to == To::Named);
    let strangers = named.flat_map(|grant| grant.strangers);
    strangers.filter(Stranger::fits).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(statement: &Value) -> Vec<(&'static str, String)> {
        let text = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        let found = strangers(&text, "111111111111").into_iter();
        found.map(|one| (one.setting, one.id)).collect()
    }

    fn allow(principal: &Value, condition: &Value) -> Value {
        json!({ "Effect": "Allow", "Principal": principal, "Action": "ecr:BatchGetImage", "Condition": condition })
    }

    #[test]
    fn who_is_let_in_by_name_is_listed_with_the_setting_that_trusts() {
        let none = json!({});
        for (principal, condition, expected) in [
            (json!("*"), none.clone(), vec![]),
            (json!({ "AWS": "111111111111" }), none.clone(), vec![]),
            (
                json!({ "AWS": ["222222222222", "arn:aws:iam::333333333333:role/ci"] }),
                none.clone(),
                vec![
                    ("trusted-accounts", "222222222222"),
                    ("trusted-accounts", "333333333333"),
                ],
            ),
            (
                json!("*"),
                json!({ "StringEquals": { "aws:PrincipalOrgID": "o-abcdefghij" } }),
                vec![("trusted-organizations", "o-abcdefghij")],
            ),
            (
                json!("*"),
                json!({ "StringEquals": { "aws:SourceVpce": "vpce-0a1b2c3d" } }),
                vec![("trusted-vpc-endpoints", "vpce-0a1b2c3d")],
            ),
            (
                json!({ "Service": "lambda.amazonaws.com" }),
                json!({ "StringEquals": { "aws:SourceAccount": "444444444444" } }),
                vec![("trusted-accounts", "444444444444")],
            ),
            // No setting takes this.
            (json!({ "Federated": "example.com" }), none, vec![]),
            (
                json!("*"),
                json!({ "StringLike": { "aws:PrincipalOrgID": "o-*" } }),
                vec![],
            ),
        ] {
            let found = of(&allow(&principal, &condition));
            let found: Vec<(&str, &str)> = found.iter().map(|(s, id)| (*s, id.as_str())).collect();
            assert_eq!(found, expected, "{principal} {condition}");
        }
        assert_eq!(strangers("{", "111111111111"), BTreeSet::new());
    }
}
