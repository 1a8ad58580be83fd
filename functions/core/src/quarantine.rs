//! The quarantine: one statement of our own in a repository's policy that refuses pushes, and nothing else.

use serde_json::{Map, Value, json};

use crate::document;
use crate::repository_policy::{LONGEST, statements, with, without, wrong};

/// The statement's name. Nobody else's statements are ever touched.
pub const SID: &str = "EcrWardenQuarantine";

/// The rule name of a quarantine that no rule requires any more.
pub const STALE_QUARANTINE: &str = "stale-quarantine";

/// Without these nothing can be pushed; pulls go on.
const PUSHES: [&str; 4] = [
    "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
];

/// Whether a policy holds the statement, and it refuses all pushes. One of that name that says something else is not ours.
#[must_use]
pub fn is_in(policy: &str) -> bool {
    statements(policy).is_ok_and(|all| all.into_iter().any(is_ours))
}

/// Whether a statement is the quarantine.
pub(crate) fn is_ours(statement: &str) -> bool {
    // The name first, because a policy may have thousands of statements.
    statement.contains(SID) && document::same(Some(statement), Some(&ours().to_string()))
}

fn ours() -> Value {
    json!({ "Sid": SID, "Effect": "Deny", "Principal": "*", "Action": PUSHES })
}

/// The policy with the statement.
///
/// # Errors
/// One line: the policy can't be understood, or has no room for it.
pub fn impose(policy: Option<&str>) -> Result<String, String> {
    let statement = ours();
    let imposed = match policy {
        None => json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string(),
        Some(policy) => takes_it(policy).and_then(|()| {
            with(policy, &statement.to_string())
                .map_err(|why| format!("its repository policy can't be understood: {why}"))
        })?,
    };
    if imposed.chars().count() > LONGEST {
        return Err(format!(
            "its repository policy has no space for one more statement within ECR's limit of \
             {LONGEST} characters"
        ));
    }
    Ok(imposed)
}

fn takes_it(policy: &str) -> Result<(), String> {
    let not_understood = |why| format!("its repository policy can't be understood: {why}");
    for statement in statements(policy).map_err(not_understood)? {
        let parsed = serde_json::from_str::<Map<String, Value>>(statement)
            .map_err(|error| not_understood(wrong(&error)))?;
        if parsed.get("Sid").is_some_and(|sid| sid == SID) {
            return Err(format!(
                "a statement of its repository policy has the `Sid` `{SID}` with other contents; \
                 rename that statement"
            ));
        }
    }
    Ok(())
}

/// The policy without the statement: `None` where nothing is left of it. A policy that does not hold it stays as it is.
#[must_use]
pub fn lift(policy: &str) -> Option<String> {
    let Ok(all) = statements(policy) else {
        return Some(policy.to_owned());
    };
    let ours: Vec<&str> = all.iter().copied().filter(|s| is_ours(s)).collect();
    (ours.is_empty() || ours.len() < all.len()).then(|| without(policy, &ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifting_leaves_what_was_there_before_it() {
        let own = r#"{"Version":"2012-10-17","Statement":[{"Sid":"team","Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"ecr:BatchGetImage"}]}"#;
        let imposed = impose(Some(own)).unwrap();
        assert!(is_in(&imposed) && imposed.contains("\"Deny\""), "{imposed}");
        assert_eq!(lift(&imposed).as_deref(), Some(own));
        let alone = impose(None).unwrap();
        assert!(is_in(&alone));
        assert_eq!(lift(&alone), None);
        assert_eq!(lift(own).as_deref(), Some(own));
    }

    #[test]
    fn a_namesake_is_no_quarantine_and_stays() {
        for namesake in [
            r#"{"Sid":"EcrWardenQuarantine","Effect":"Deny","Principal":"*","Action":"ecr:BatchDeleteImage"}"#,
            r#"{"Sid":"EcrWardenQuarantine","Effect":"Deny","Principal":"*","Action":["ecr:CompleteLayerUpload","ecr:InitiateLayerUpload","ecr:PutImage","ecr:UploadLayerPart"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}"#,
        ] {
            let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{namesake}]}}"#);
            assert!(!is_in(&policy), "{policy}");
            assert_eq!(lift(&policy).as_ref(), Some(&policy));
            let why = impose(Some(&policy)).unwrap_err();
            assert!(why.contains("rename that statement"), "{why}");
        }
    }

    #[test]
    fn it_is_ours_however_ecr_writes_it() {
        let written = r#"{"Statement":{"Action":["ecr:UploadLayerPart","ecr:PutImage","ecr:InitiateLayerUpload","ecr:CompleteLayerUpload"],"Principal":{"AWS":"*"},"Effect":"Deny","Sid":"EcrWardenQuarantine"}}"#;
        assert!(is_in(written));
    }

    #[test]
    fn what_can_not_be_edited_is_said() {
        for wrong in ["nonsense", r#"{"Statement":"x"}"#, r#"{"Statement":[[]]}"#] {
            assert!(impose(Some(wrong)).is_err(), "{wrong}");
        }
        let long = format!(
            r#"{{"Statement":[{{"Sid":"{}"}}]}}"#,
            "x".repeat(LONGEST - 40)
        );
        assert!(impose(Some(&long)).unwrap_err().contains("no space"));
    }
}
