//! The callers that statements let in, by the IAM User Guide.

use serde_json::{Value, json};

use super::*;

const OWN: &str = "123456789012";
const TRUSTED: &str = "210987654321";
const STRANGER: &str = "999999999999";

fn trust() -> Trust {
    Trust {
        own: OWN.to_owned(),
        accounts: [TRUSTED.to_owned()].into(),
        organizations: ["o-abcdefghij".to_owned()].into(),
        organization_paths: ["o-partner000/r-ab12/ou-ab12-11111111/*".to_owned()].into(),
        vpcs: ["vpc-1".to_owned()].into(),
        vpc_endpoints: ["vpce-1".to_owned()].into(),
        services: Services::Any,
    }
}

/// What a document of these statements grants to others than the trusted: to whom, whether a statement goes, and the message.
fn grants_of(statements: &Value, trust: &Trust) -> Vec<(To, Removal, String)> {
    let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    let judged = judge(&text, trust).unwrap();
    let said = |grant: &Grant<'_>| format!("{}: {}", grant.detail, grant.instead);
    judged
        .grants
        .iter()
        .map(|grant| (grant.to, grant.removal.clone(), said(grant)))
        .collect()
}

/// Of one statement that allows everything.
fn granted(principal: &Value, condition: &Value) -> Option<(To, Removal, String)> {
    let mut statement = json!({ "Effect": "Allow", "Principal": principal, "Action": "ecr:*" });
    if !condition.is_null() {
        statement["Condition"] = condition.clone();
    }
    grants_of(&json!([statement]), &trust()).pop()
}

fn to_everyone(condition: &Value) -> Option<(To, Removal, String)> {
    granted(&json!("*"), condition)
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
        json!({ "AWS": [] }),
    ] {
        assert_eq!(granted(&fine, &none), None, "{fine}");
    }
    for everyone in [json!("*"), json!({ "AWS": "*" }), json!({ "AWS": ["*"] })] {
        let (to, removal, said) = granted(&everyone, &none).unwrap();
        assert_eq!((to, removal), (To::Everyone, Removal::Whole), "{everyone}");
        assert!(
            said.contains("lets everyone pull, push and administer"),
            "{said}"
        );
    }
    for (strange, shown) in [
        (json!({ "AWS": STRANGER }), "account 999999999999"),
        (
            json!({ "AWS": "arn:aws:iam::999999999999:root" }),
            "account 999999999999",
        ),
        (
            json!({ "AWS": "arn:aws:iam::999999999999:role/ci" }),
            "role/ci of account 999999999999",
        ),
        (
            json!({ "AWS": "arn:aws:iam::*:root" }),
            "arn:aws:iam::*:root",
        ),
        (
            json!({ "Federated": "accounts.google.com" }),
            "accounts.google.com",
        ),
        (json!({ "Service": "example.com" }), "example.com"),
    ] {
        let (to, removal, said) = granted(&strange, &none).unwrap();
        assert_eq!((to, removal), (To::Named, Removal::Whole), "{strange}");
        assert!(said.contains(shown), "{said}");
    }
    let mixed = json!({ "AWS": [OWN, TRUSTED, STRANGER] });
    let (to, removal, said) = granted(&mixed, &none).unwrap();
    assert_eq!((to, removal), (To::Named, Removal::Never));
    assert!(
        said.contains(STRANGER) && !said.contains(OWN) && !said.contains(TRUSTED),
        "{said}"
    );
    let beside = json!({ "AWS": ["*", OWN] });
    assert!(matches!(
        granted(&beside, &none),
        Some((To::Everyone, Removal::Narrowed(_), _))
    ));
    let all_but =
        json!([{ "Effect": "Allow", "NotPrincipal": { "AWS": STRANGER }, "Action": "ecr:*" }]);
    let found = grants_of(&all_but, &trust());
    assert!(
        matches!(found.as_slice(), [(To::Everyone, Removal::Whole, _)]),
        "{found:?}"
    );
}

#[test]
fn conditions_that_admit_the_trusted_only() {
    for fine in [
        json!({ "StringEquals": { "aws:PrincipalOrgID": "o-abcdefghij" } }),
        json!({ "StringEquals": { "AWS:principalorgid": ["o-abcdefghij"] } }),
        json!({ "StringLike": { "aws:PrincipalAccount": [OWN, TRUSTED] } }),
        json!({ "ArnLike": { "aws:PrincipalArn": format!("arn:*:iam::{OWN}:role/*") } }),
        json!({ "StringLike": { "aws:PrincipalArn": format!("arn:aws:iam::{OWN}:role/*") } }),
        json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": "o-abcdefghij/r-ab12/*" } }),
        json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": "o-partner000/r-ab12/ou-ab12-11111111/ou-1/*" } }),
        json!({ "StringEquals": { "aws:SourceVpce": ["vpce-1"] } }),
        json!({ "StringEquals": { "aws:SourceVpc": "vpc-1" } }),
        json!({ "StringEquals": { "aws:PrincipalOrgID": "${aws:ResourceOrgID}" } }),
        json!({ "StringEquals": { "aws:PrincipalAccount": "${aws:ResourceAccount}" } }),
        json!({ "StringEquals": { "aws:ResourceAccount": "${aws:PrincipalAccount}" } }),
        json!({ "StringEquals": { "aws:ResourceOrgID": "${aws:PrincipalOrgID}" } }),
        json!({ "ArnLike": { "aws:PrincipalArn": "arn:aws:iam::${aws:ResourceAccount}:role/ci-*" } }),
        json!({ "StringLike": { "aws:SourceArn": format!("arn:aws:lambda:*:{TRUSTED}:function:*") } }),
        json!({ "Bool": { "aws:SecureTransport": "true" }, "StringEquals": { "aws:SourceAccount": OWN } }),
        // What cannot be judged narrows it further.
        json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" }, "StringEquals": { "aws:PrincipalOrgID": "o-abcdefghij" } }),
    ] {
        assert_eq!(to_everyone(&fine), None, "{fine}");
        assert_eq!(granted(&json!({ "AWS": STRANGER }), &fine), None, "{fine}");
    }
}

#[test]
fn conditions_that_name_others() {
    for (condition, shown, setting) in [
        (
            json!({ "StringEquals": { "aws:PrincipalOrgID": "o-other00000" } }),
            "organization o-other00000",
            "trusted-organizations",
        ),
        (
            json!({ "StringEquals": { "aws:SourceVpce": "vpce-2" } }),
            "callers through vpce-2",
            "trusted-vpc-endpoints",
        ),
        (
            json!({ "StringEquals": { "aws:SourceVpc": "vpc-2" } }),
            "callers through vpc-2",
            "trusted-vpcs",
        ),
        (
            json!({ "StringEquals": { "aws:PrincipalAccount": STRANGER } }),
            "account 999999999999",
            "trusted-accounts",
        ),
        (
            json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": "o-partner000/r-ab12/ou-ab12-2/*" } }),
            "organization path o-partner000/r-ab12/ou-ab12-2/*",
            "trusted-organization-paths",
        ),
    ] {
        let (to, removal, said) = to_everyone(&condition).unwrap();
        // Trusted callers may come through it, too.
        let expected = if setting.contains("vpc") {
            Removal::Never
        } else {
            Removal::Whole
        };
        assert_eq!((to, removal), (To::Named, expected), "{condition}");
        assert!(said.contains(shown) && said.contains(setting), "{said}");
        assert!(!said.contains("everyone"), "{said}");
    }
    let mixed = json!({ "StringEquals": { "aws:PrincipalAccount": [OWN, STRANGER] } });
    let (to, removal, said) = to_everyone(&mixed).unwrap();
    assert_eq!((to, removal), (To::Named, Removal::Never));
    assert!(said.contains(STRANGER) && !said.contains(OWN), "{said}");
}

#[test]
fn conditions_that_admit_strangers() {
    for met in [
        json!({}),
        json!({ "Bool": { "aws:SecureTransport": "true" } }),
        json!({ "Bool": { "AWS:securetransport": true } }),
        json!({ "BoolIfExists": { "aws:SecureTransport": ["true", "false"] } }),
        json!({ "Null": { "aws:PrincipalArn": "false" } }),
        json!({ "Null": { "aws:SourceVpce": "true" } }),
        json!({ "StringLike": { "aws:PrincipalArn": "*" } }),
        json!({ "StringLikeIfExists": { "aws:SourceVpce": "*" } }),
        json!({ "IpAddress": { "aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/0"] } }),
        json!({ "StringEquals": { "aws:ResourceAccount": OWN } }),
        json!({ "StringEquals": { "aws:ResourceOrgID": "o-abcdefghij" } }),
        json!({ "ForAnyValue:StringEquals": { "aws:CalledVia": "cloudformation.amazonaws.com" } }),
        json!({ "StringNotEquals": { "aws:PrincipalAccount": STRANGER } }),
        json!({ "ForAllValues:StringEquals": { "aws:PrincipalOrgID": "o-other00000" } }),
    ] {
        let found = to_everyone(&met);
        assert!(
            matches!(found, Some((To::Everyone, Removal::Whole, _))),
            "{met}: {found:?}"
        );
        let mixed = json!({ "AWS": ["*", OWN] });
        let found = granted(&mixed, &met);
        assert!(
            matches!(found, Some((To::Everyone, Removal::Narrowed(_), _))),
            "{met}: {found:?}"
        );
    }
    // A trusted organization is meant: its members may pull by it.
    for (loose, exact) in [
        (
            json!({ "ForAllValues:StringEquals": { "aws:PrincipalOrgID": "o-abcdefghij" } }),
            "`StringEquals`",
        ),
        (
            json!({ "StringEqualsIfExists": { "aws:PrincipalOrgID": "o-abcdefghij" } }),
            "`StringEquals`",
        ),
        (
            json!({ "ForAllValues:StringLike": { "aws:PrincipalOrgPaths": "o-abcdefghij/*" } }),
            "`ForAnyValue:StringLike`",
        ),
    ] {
        let (to, removal, said) = to_everyone(&loose).unwrap();
        assert_eq!((to, removal), (To::Everyone, Removal::Never), "{loose}");
        assert!(said.contains(exact), "{said}");
    }
}

#[test]
fn what_cannot_be_judged_is_neither_fine_nor_removed() {
    for (doubtful, why) in [
        (
            json!({ "Bool": { "aws:PrincipalIsAWSService": "true" } }),
            "aws:PrincipalIsAWSService",
        ),
        (
            json!({ "Null": { "aws:PrincipalOrgID": "false" } }),
            "aws:PrincipalOrgID",
        ),
        (
            json!({ "Null": { "aws:PrincipalArn": "true" } }),
            "aws:PrincipalArn",
        ),
        (json!({ "StringLike": { "aws:SourceVpce": "*" } }), "`*`"),
        (
            json!({ "StringLike": { "aws:PrincipalArn": "*:role/x" } }),
            "names no single account",
        ),
        (
            json!({ "ArnLike": { "aws:PrincipalArn": "arn:aws:iam::*:role/x" } }),
            "names no single account",
        ),
        (
            json!({ "StringLike": { "aws:PrincipalArn": format!("arn:*:*:*:{OWN}:*") } }),
            "names no single account",
        ),
        (
            json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } }),
            "aws:SourceIp",
        ),
        (
            json!({ "StringLike": { "aws:userId": "AROAEXAMPLE:*" } }),
            "aws:userId",
        ),
        (
            json!({ "StringEquals": { "aws:PrincipalTag/team": "shop" } }),
            "aws:PrincipalTag/team",
        ),
        (
            json!({ "StringEquals": { "aws:PrincipalOrgMasterAccountId": OWN } }),
            "aws:PrincipalOrgMasterAccountId",
        ),
        (
            json!({ "StringEquals": { "aws:PrincipalAccount": [] } }),
            "has no value",
        ),
        (
            json!({ "StringEquals": { "aws:PrincipalOrgID": "${aws:PrincipalTag/org}" } }),
            "variable",
        ),
        (
            json!({ "StringEquals": { "aws:PrincipalArn": "arn:aws:iam::*:role/x" } }),
            "as a character",
        ),
    ] {
        let (to, removal, said) = to_everyone(&doubtful).unwrap();
        assert_eq!((to, removal), (To::Everyone, Removal::Never), "{doubtful}");
        assert!(said.contains(why), "{said}");
        let stranger = json!({ "AWS": STRANGER });
        let (to, removal, _) = granted(&stranger, &doubtful).unwrap();
        assert_eq!((to, removal), (To::Named, Removal::Never), "{doubtful}");
    }
}

/// Variables are replaced in documents of the version 2012-10-17 alone.
#[test]
fn variables_take_a_version() {
    let statement = json!({
        "Effect": "Allow", "Principal": "*", "Action": "ecr:*",
        "Condition": { "StringEquals": { "aws:PrincipalOrgID": "${aws:ResourceOrgID}" } },
    });
    for version in [json!(null), json!("2008-10-17")] {
        let text = json!({ "Version": version, "Statement": [statement] }).to_string();
        let judged = judge(&text, &trust()).unwrap();
        assert!(
            judged.grants[0].instead.contains("2012-10-17"),
            "{judged:?}"
        );
    }
}

#[test]
fn services_and_whom_they_act_for() {
    let service = json!({ "Service": "lambda.amazonaws.com" });
    let source =
        json!({ "StringLike": { "aws:sourceArn": "arn:aws:lambda:*:999999999999:function:*" } });
    let (to, removal, said) = granted(&service, &source).unwrap();
    assert_eq!((to, removal), (To::Named, Removal::Whole));
    assert!(
        said.contains("lambda.amazonaws.com for account 999999999999"),
        "{said}"
    );
    let stricter = Trust {
        services: Services::WithSource,
        ..trust()
    };
    let any = json!([{ "Sid": "Build", "Effect": "Allow", "Principal": service, "Action": "ecr:PutImage" }]);
    assert_eq!(grants_of(&any, &trust()), []);
    let found = grants_of(&any, &stricter);
    let [(To::Named, Removal::Never, said)] = found.as_slice() else {
        panic!("{found:?}");
    };
    for shown in [
        "`Build`",
        "push",
        "any AWS account",
        "aws:SourceAccount",
        "aws:SourceArn",
        "aws:SourceOrgID",
    ] {
        assert!(said.contains(shown), "{said}");
    }
    // A condition that cannot be judged narrows what any account may do.
    let odd = json!({ "StringEquals": { "aws:PrincipalTag/team": "shop" } });
    assert_eq!(granted(&service, &odd), None);
}

const PULL: &str = "ecr:BatchGetImage";

fn public(action: &str) -> Value {
    json!({ "Sid": "AllowPull", "Effect": "Allow", "Principal": "*", "Action": action })
}

fn deny(rest: &Value) -> Value {
    let mut deny =
        json!({ "Sid": "Perimeter", "Effect": "Deny", "Principal": "*", "Action": "ecr:*" });
    for (key, value) in rest.as_object().unwrap() {
        deny[key] = value.clone();
    }
    deny
}

#[test]
fn a_deny_narrows_what_is_allowed() {
    for fine in [
        deny(
            &json!({ "Condition": { "StringNotEquals": { "aws:PrincipalOrgID": "o-abcdefghij" } } }),
        ),
        deny(
            &json!({ "Condition": { "StringNotEqualsIfExists": { "aws:PrincipalOrgID": ["o-abcdefghij"] } } }),
        ),
        deny(
            &json!({ "Condition": { "StringNotEquals": { "aws:PrincipalOrgID": "o-abcdefghij", "aws:PrincipalAccount": TRUSTED } } }),
        ),
        deny(&json!({ "Condition": { "StringNotEquals": { "aws:SourceVpce": "vpce-1" } } })),
        deny(
            &json!({ "Condition": { "ArnNotLike": { "aws:PrincipalArn": format!("arn:aws:iam::{OWN}:role/*") } } }),
        ),
        deny(
            &json!({ "Action": ["ecr:BatchGet*"], "Condition": { "StringNotEquals": { "aws:PrincipalAccount": OWN } } }),
        ),
        deny(&json!({})),
    ] {
        let document = json!([public(PULL), fine]);
        assert_eq!(grants_of(&document, &trust()), [], "{fine}");
    }
    let all_but = json!({ "Effect": "Deny", "NotPrincipal": { "AWS": [OWN] }, "Action": "ecr:*" });
    assert_eq!(grants_of(&json!([public(PULL), all_but]), &trust()), []);
}

/// Nothing is removed beside a statement that denies in a way that does not settle who gets in.
#[test]
fn any_other_deny_leaves_it_to_people() {
    for other in [
        // Strangers are not denied everything that is allowed.
        deny(
            &json!({ "Action": "ecr:PutImage", "Condition": { "StringNotEquals": { "aws:PrincipalOrgID": "o-abcdefghij" } } }),
        ),
        deny(&json!({ "Condition": { "Bool": { "aws:SecureTransport": "false" } } })),
        deny(&json!({ "Condition": { "StringEquals": { "aws:PrincipalOrgID": "o-other00000" } } })),
        deny(
            &json!({ "Condition": { "ForAnyValue:StringNotEquals": { "aws:PrincipalOrgID": "o-abcdefghij" } } }),
        ),
        deny(&json!({
            "Condition": { "StringNotEquals": { "aws:PrincipalOrgID": "o-abcdefghij" }, "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } },
        })),
        deny(&json!({ "Principal": { "AWS": STRANGER } })),
    ] {
        let document = json!([public(PULL), other]);
        let found = grants_of(&document, &trust());
        let [(To::Everyone, Removal::Never, said)] = found.as_slice() else {
            panic!("{other}: {found:?}");
        };
        assert!(said.contains("`Perimeter`"), "{said}");
    }
    // But for the quarantine.
    let quarantine: Value = serde_json::from_str(&quarantine::impose(None).unwrap()).unwrap();
    let document = json!([public(PULL), quarantine["Statement"][0]]);
    let found = grants_of(&document, &trust());
    assert!(
        matches!(found.as_slice(), [(To::Everyone, Removal::Whole, _)]),
        "{found:?}"
    );
}

#[test]
fn a_perimeter_that_spares_services_or_others_is_named() {
    let services = deny(&json!({ "Condition": {
        "StringNotEqualsIfExists": { "aws:PrincipalOrgID": "o-abcdefghij" },
        "BoolIfExists": { "aws:PrincipalIsAWSService": "false" },
    } }));
    let found = grants_of(&json!([public(PULL), services]), &trust());
    let [(To::Everyone, Removal::Never, said)] = found.as_slice() else {
        panic!("{found:?}");
    };
    for shown in [
        "`AllowPull`",
        "`Perimeter`",
        "o-abcdefghij",
        "AWS services for any AWS account",
        "aws:SourceOrgID",
    ] {
        assert!(said.contains(shown), "{said}");
    }
    let other = deny(
        &json!({ "Condition": { "StringNotEquals": { "aws:PrincipalOrgID": ["o-abcdefghij", "o-other00000"] } } }),
    );
    let found = grants_of(&json!([public(PULL), other]), &trust());
    let [(To::Named, Removal::Never, said)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert!(
        said.contains("organization o-other00000") && !said.contains("o-abcdefghij"),
        "{said}"
    );
}

#[test]
fn more_strangers_than_a_message_holds_are_counted() {
    let many: Vec<String> = (0..50)
        .map(|n| format!("{:012}", 300_000_000_000_u64 + n))
        .collect();
    let (_, _, said) = granted(&json!({ "AWS": many }), &Value::Null).unwrap();
    assert!(said.contains("and 30 more"), "{said}");
}

/// What would take access from a trusted caller, or from one who may be trusted, is reported and stays.
#[test]
fn what_may_be_trusted_is_not_removed() {
    let unless = |accounts: Value| {
        json!({ "Effect": "Deny", "Principal": "*", "Action": "ecr:*",
            "Condition": { "StringNotEquals": { "aws:PrincipalAccount": accounts } } })
    };
    for condition in [
        // A trusted unit is a part of it.
        json!({ "ForAllValues:StringEquals": { "aws:PrincipalOrgID": "o-partner000" } }),
        json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": "o-partner000/*/ou-ab12-11111111/*" } }),
        json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": "o-partner000/r-*" } }),
        json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": "o-partner000/r-ab12/ou-ab12-1*" } }),
        json!({ "StringEqualsIfExists": { "aws:PrincipalAccount": STRANGER } }),
        // A caller must meet both, and one of them names a trusted account.
        json!({ "StringEquals": { "aws:PrincipalOrgID": "o-otherorg00", "aws:PrincipalAccount": [TRUSTED, STRANGER] } }),
        json!({ "ArnLike": { "aws:SourceArn": "arn:aws:s3:::our-bucket" } }),
    ] {
        let (_, removal, said) = to_everyone(&condition).unwrap();
        assert_eq!(removal, Removal::Never, "{condition}: {said}");
    }
    let canonical = granted(&json!({ "CanonicalUser": "79a59df9" }), &Value::Null);
    assert_eq!(canonical.unwrap().1, Removal::Never);
    let allow = json!({ "Effect": "Allow", "Principal": { "AWS": [STRANGER, "444455556666"] }, "Action": "ecr:*" });
    let found = grants_of(&json!([allow, unless(json!("444455556666"))]), &trust());
    assert!(
        matches!(found.as_slice(), [(To::Named, Removal::Never, _)]),
        "{found:?}"
    );
}

/// `Null` asks for the key that `ForAllValues` and `IfExists` do without.
#[test]
fn a_key_that_must_be_there_narrows() {
    let there = |key: &str| json!({ key: "false" });
    for (operator, key, trusted) in [
        (
            "ForAllValues:StringEquals",
            "aws:PrincipalOrgID",
            "o-abcdefghij",
        ),
        ("StringEqualsIfExists", "aws:PrincipalOrgID", "o-abcdefghij"),
        (
            "ForAllValues:StringLike",
            "aws:PrincipalOrgPaths",
            "o-abcdefghij/*",
        ),
    ] {
        let alone = json!({ operator: { key: trusted } });
        assert!(to_everyone(&alone).is_some(), "{alone}");
        let with = json!({ operator: { key: trusted }, "Null": there(key) });
        assert_eq!(to_everyone(&with), None, "{with}");
        let other = json!({ operator: { key: trusted }, "Null": there("aws:SourceVpc") });
        assert!(to_everyone(&other).is_some(), "{other}");
    }
}

/// Nothing public is called fine because of how it is written.
#[test]
fn a_statement_that_denies_no_one_narrows_nothing() {
    let allow = json!({ "Effect": "Allow", "Principal": "*", "Action": "ecr:*" });
    for no_one in [
        json!("*"),
        json!({ "AWS": "*" }),
        json!({ "AWS": [OWN, "*"] }),
    ] {
        let deny = json!({ "Effect": "Deny", "NotPrincipal": no_one, "Action": "ecr:*" });
        let found = grants_of(&json!([allow, deny]), &trust());
        assert!(
            matches!(found.as_slice(), [(To::Everyone, Removal::Whole, _)]),
            "{no_one}: {found:?}"
        );
    }
    let unit = Trust {
        organization_paths: ["o-partner000/r-ab12/ou-ab12-11111111/".to_owned()].into(),
        ..trust()
    };
    for (path, fine) in [
        ("o-partner000/r-ab12/ou-ab12-11111111/", true),
        ("o-partner000/r-ab12/ou-ab12-11111111/*", false),
        ("o-partner000/r-ab12/ou-ab12-11111111/ou-ab12-2/", false),
    ] {
        let mut narrowed = allow.clone();
        narrowed["Condition"] =
            json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": path } });
        assert_eq!(
            grants_of(&json!([narrowed]), &unit).is_empty(),
            fine,
            "{path}"
        );
    }
    for twice in [
        r#"{"Statement":[{"Effect":"Allow","Effect":"Deny","Principal":"*","Action":"ecr:*"}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-otherorg00","aws:PrincipalOrgID":"o-abcdefghij"}}}]}"#,
    ] {
        let why = judge(twice, &trust()).unwrap_err();
        assert!(why.contains("is there twice"), "{why}");
    }
}

/// Ids are compared without case where the operator says so, and a number means the same as its text.
#[test]
fn ids_without_case_and_numbers_without_quotes() {
    let condition = json!({ "StringEqualsIgnoreCase": { "aws:PrincipalOrgID": "O-ABCDEFGHIJ" } });
    assert_eq!(to_everyone(&condition), None);
    let condition = json!({ "StringEquals": { "aws:PrincipalAccount": 210_987_654_321_u64 } });
    assert_eq!(to_everyone(&condition), None);
    let condition = json!({ "NumericLessThan": { "aws:MultiFactorAuthAge": 3600 } });
    assert!(to_everyone(&condition).is_some());
}
