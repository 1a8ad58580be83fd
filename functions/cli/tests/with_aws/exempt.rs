//! `ecr-warden exempt --parameter`: the policy's parameter gets one more exemption.

use serde_json::{Value, json};

use crate::answering::{Answer, Answering};

const POLICY: &str = "# ours\nversion: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";
const EXEMPT: [&str; 10] = [
    "exempt",
    "shop/api",
    "mutable-tags",
    "--until",
    "2999-01-31",
    "--reason",
    "OPS-1",
    "--parameter",
    "/ecr-warden/policy",
    "--yes",
];

/// A parameter of version 3; a write is answered with this version.
fn parameter(written: i64) -> Answering {
    Answering::with(move |call| match call.operation.as_str() {
        "GetParameter" => Some(Answer::ok(
            json!({ "Parameter": { "Value": POLICY, "Version": 3 } }),
        )),
        "PutParameter" => Some(Answer::ok(json!({ "Version": written }))),
        _ => None,
    })
}

#[test]
fn the_parameter_gets_a_new_version_with_everything_else_as_it_was() {
    let aws = parameter(4);
    let (status, out, error) = aws.run(&EXEMPT);
    assert_eq!(status, 0, "{out}{error}");
    assert!(
        out.contains("has version 4; the version before was 3"),
        "{out}"
    );
    // What is written is shown.
    assert!(
        error.contains("+  - repositories: [\"shop/api\"]"),
        "{error}"
    );
    let put: Value = serde_json::from_str(&aws.asked("PutParameter")[0]).unwrap();
    let text = put["Value"].as_str().unwrap();
    assert!(
        text.starts_with(POLICY) && text.contains("reason: \"OPS-1\""),
        "{text}"
    );
    assert_eq!(put["Overwrite"], true);
}

#[test]
fn a_change_by_someone_else_at_the_same_time_is_said() {
    let (status, _, error) = parameter(5).run(&EXEMPT);
    assert_eq!(status, 3);
    assert!(error.contains("compare version 4 with 5"), "{error}");
}

#[test]
fn without_consent_nothing_is_written() {
    let aws = parameter(4);
    let (status, _, error) = aws.run(&EXEMPT[..9]);
    assert_eq!(status, 2);
    assert!(error.contains("pass --yes"), "{error}");
    assert_eq!(aws.asked("PutParameter"), Vec::<String>::new());
}
