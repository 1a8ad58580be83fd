//! With one permission taken from the function's role, the alert names it, and nothing is lost.

use aws_sdk_ecr::types::EncryptionType;
use serde_json::{Value, json};

use crate::recreate::{assert_everything, create_with_everything};
use crate::support::{World, call, status};

/// Without these nothing can be said, so what they break is told by other means (`bad_luck.rs`).
const NEEDED_TO_SPEAK: [&str; 1] = ["sns:Publish"];

#[tokio::test]
async fn a_missing_permission_is_named() {
    let world = World::own();
    let role = world.local.role_of(&world.stack.enforcer).unwrap();
    let policies = role_policies(&world, &role);
    let mut inbox = world.inbox("permissions").await;
    let ecr_permissions = [
        "ecr:DescribeRepositories",
        "ecr:ListTagsForResource",
        "ecr:GetRepositoryPolicy",
        "ecr:GetLifecyclePolicy",
        "ecr:DescribeImages",
        "ecr:PutImageTagMutability",
        "ecr:DeleteRepository",
        "ecr:CreateRepository",
        "ecr:SetRepositoryPolicy",
        "ecr:PutLifecyclePolicy",
        "ecr:UntagResource",
        "dynamodb:Query",
    ];
    for (n, permission) in ecr_permissions.into_iter().enumerate() {
        assert!(!NEEDED_TO_SPEAK.contains(&permission));
        let name = format!("payments/denied-{n}");
        create_with_everything(&world, &name).await;
        if permission == "ecr:PutImageTagMutability" {
            world
                .clients
                .ecr
                .put_image_tag_mutability()
                .repository_name(&name)
                .image_tag_mutability(aws_sdk_ecr::types::ImageTagMutability::Mutable)
                .send()
                .await
                .unwrap();
        }
        put_role_policies(&world, &role, &without(&policies, permission));
        let outcome = world
            .deliver(&call("CreateRepository", &name))
            .await
            .unwrap();
        let alert = inbox.wait_for(&name).await.unwrap();
        assert!(
            alert.to_string().contains(permission),
            "{permission}: {outcome}\n{alert}"
        );
        if permission != "ecr:PutImageTagMutability" {
            assert_everything(&world, &name, &EncryptionType::Aes256).await;
        }
        // Given back, the next event does what is left to do.
        put_role_policies(&world, &role, &policies);
        let outcome = world
            .deliver(&call("CreateRepository", &name))
            .await
            .unwrap();
        assert_ne!(
            status(&outcome, "weak-encryption"),
            Some("open"),
            "{permission}: {outcome}"
        );
        assert_everything(&world, &name, &EncryptionType::Kms).await;
    }
}

/// The policies of the enforcer's role by name.
fn role_policies(world: &World, role: &str) -> Vec<(String, Value)> {
    let parsed = |arguments: &[&str]| -> Value {
        serde_json::from_str(&world.local.cli(arguments).unwrap()).unwrap()
    };
    let names = parsed(&["iam", "list-role-policies", "--role-name", role]);
    let names = names["PolicyNames"].as_array().unwrap().clone();
    names
        .iter()
        .map(|name| {
            let name = name.as_str().unwrap();
            let of = ["--role-name", role, "--policy-name", name];
            let policy = parsed(&[&["iam", "get-role-policy"], &of[..]].concat());
            (name.to_owned(), policy["PolicyDocument"].clone())
        })
        .collect()
}

fn put_role_policies(world: &World, role: &str, policies: &[(String, Value)]) {
    for (name, document) in policies {
        let document = document.to_string();
        let of = [
            "--role-name",
            role,
            "--policy-name",
            name,
            "--policy-document",
            &document,
        ];
        world
            .local
            .cli(&[&["iam", "put-role-policy"], &of[..]].concat())
            .unwrap();
    }
}

/// The same policies without one action.
fn without(policies: &[(String, Value)], permission: &str) -> Vec<(String, Value)> {
    let reduced: Vec<(String, Value)> = policies
        .iter()
        .map(|(name, document)| (name.clone(), document_without(document, permission)))
        .collect();
    assert_ne!(reduced, policies, "the role has no {permission}");
    reduced
}

/// The same document without one action; a statement that is left with none goes.
fn document_without(document: &Value, permission: &str) -> Value {
    let mut document = document.clone();
    let statements = document["Statement"].as_array_mut().unwrap();
    for statement in statements.iter_mut() {
        let actions = match &statement["Action"] {
            Value::String(one) => vec![one.clone()],
            many => many
                .as_array()
                .unwrap()
                .iter()
                .map(|a| a.as_str().unwrap().to_owned())
                .collect(),
        };
        let left: Vec<String> = actions
            .iter()
            .filter(|action| *action != permission)
            .cloned()
            .collect();
        statement["Action"] = json!(left);
    }
    statements.retain(|statement| statement["Action"] != json!([]));
    document
}
