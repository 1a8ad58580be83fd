//! Monitor mode says what it would do, and does nothing.

use aws_sdk_ecr::types::{EncryptionType, ImageTagMutability};
use aws_sdk_lambda::types::Environment;

use crate::support::{World, call, status};

impl World {
    /// Gives the function a policy in place of the bundled one.
    pub(crate) async fn set_policy(&self, policy: &str) {
        self.set_variable("POLICY", policy).await;
    }

    /// Sets a variable of the function's environment; it begins anew with it.
    pub(crate) async fn set_variable(&self, name: &str, value: &str) {
        for function in [&self.stack.enforcer, &self.stack.auditor] {
            self.set_variable_of(function, name, value).await;
        }
    }

    pub(crate) async fn set_variable_of(&self, function: &str, name: &str, value: &str) {
        let lambda = &self.clients.lambda;
        let configuration = lambda
            .get_function_configuration()
            .function_name(function)
            .send()
            .await
            .unwrap();
        let mut variables = configuration
            .environment
            .and_then(|e| e.variables)
            .unwrap_or_default();
        variables.insert(name.to_owned(), value.to_owned());
        let environment = Environment::builder()
            .set_variables(Some(variables))
            .build();
        lambda
            .update_function_configuration()
            .function_name(function)
            .environment(environment)
            .send()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn monitor_mode_changes_nothing_and_alerts() {
    let world = World::own();
    let shipped = include_str!("../../../infra/policy.yaml");
    world
        .set_policy(&shipped.replace("mode: enforce", "mode: monitor"))
        .await;
    let mut inbox = world.inbox("monitor").await;
    let name = "payments/watched";
    world.create(name).await;
    for _ in 0..2 {
        let outcome = world.invoke(&call("CreateRepository", name)).await.unwrap();
        assert_eq!(
            status(&outcome, "mutable-tags"),
            Some("withheld"),
            "{outcome}"
        );
        assert_eq!(
            status(&outcome, "weak-encryption"),
            Some("withheld"),
            "{outcome}"
        );
        assert_eq!(outcome["actions"], serde_json::json!([]));
    }
    assert_eq!(world.mutability(name).await, ImageTagMutability::Mutable);
    assert_eq!(world.encryption(name).await, EncryptionType::Aes256);
    let writes = [
        "PutImageTagMutability",
        "DeleteRepository",
        "CreateRepository",
    ];
    for operation in writes {
        assert_eq!(world.count(operation, name), 0, "{operation}");
    }
    let alerts = inbox.alerts_of(name).await.unwrap();
    assert_eq!(alerts.len(), 1);
    assert!(
        alerts[0]
            .to_string()
            .contains("would change MUTABLE to IMMUTABLE"),
        "{}",
        alerts[0]
    );

    // Somebody mends it by hand: that is news, and the last of it.
    world
        .clients
        .ecr
        .put_image_tag_mutability()
        .repository_name(name)
        .image_tag_mutability(ImageTagMutability::Immutable)
        .send()
        .await
        .unwrap();
    let outcome = world
        .invoke(&call("PutImageTagMutability", name))
        .await
        .unwrap();
    assert_eq!(
        status(&outcome, "mutable-tags"),
        Some("resolved"),
        "{outcome}"
    );
    assert_eq!(inbox.alerts_of(name).await.unwrap().len(), 2);

    // A policy that is not valid keeps the function from doing anything, loudly.
    world.set_policy("version: 1\nmode: enforc\n").await;
    let error = world
        .invoke(&call("CreateRepository", name))
        .await
        .unwrap_err();
    assert!(!error.is_empty());
    assert_eq!(world.mutability(name).await, ImageTagMutability::Immutable);
}
