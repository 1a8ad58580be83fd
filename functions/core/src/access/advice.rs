//! The lines that keep a repository policy from letting in strangers again.

use serde_json::json;

use super::trust::Trust;
use crate::action::Action;
use crate::repository::RepositoryId;
use crate::rule::{Advice, heredoc, shell_word};

/// The lines that make the repository policy what the repair leaves, which is the own document without the statements that offend; else one
/// that lets in the trusted ones only.
pub(crate) fn on(id: &RepositoryId, trust: &Trust, repair: Option<&Action>) -> Advice {
    if id.is_registry() {
        return of_registry(id, trust);
    }
    match repair {
        Some(Action::SetRepositoryPolicy { to, .. }) => advise(to.as_deref()),
        _ => advise(Some(&trusting(trust))),
    }
}

/// The lines that make the registry policy one that lets in the trusted ones only.
fn of_registry(id: &RepositoryId, trust: &Trust) -> Advice {
    let all = RepositoryId {
        name: "*".to_owned(),
        ..id.clone()
    };
    let document = trusting_with(trust, Some(&all.arn()));
    Advice {
        text: "Allow trusted accounts only, where the registry policy is defined; keep the other \
               statements in the same document."
            .to_owned(),
        terraform: format!(
            "resource \"aws_ecr_registry_policy\" \"this\" {{\n  policy = {}\n}}",
            heredoc(&document)
        ),
        cloudformation: format!(
            "Type: AWS::ECR::RegistryPolicy\nProperties:\n  PolicyText:\n    {}",
            document.replace('\n', "\n    ")
        ),
        cli: format!(
            "# replaces the whole registry policy\naws ecr put-registry-policy --policy-text {}",
            shell_word(&document)
        ),
    }
}

/// The lines that make this the repository policy, or that leave none.
fn advise(document: Option<&str>) -> Advice {
    let Some(document) = document else {
        return Advice {
            text:
                "Remove the statements where the repository is defined; no statement remains, so \
                   remove the repository policy."
                    .to_owned(),
            terraform: "# remove the resource \"aws_ecr_repository_policy\" of this repository"
                .to_owned(),
            cloudformation: "# remove `RepositoryPolicyText` of this repository".to_owned(),
            cli: "aws ecr delete-repository-policy --repository-name \"$REPOSITORY\"".to_owned(),
        };
    };
    Advice {
        text: "Allow trusted accounts only, where the repository is defined; keep the other \
               statements in the same document."
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
        cloudformation: format!(
            "RepositoryPolicyText:\n  {}",
            document.replace('\n', "\n  ")
        ),
    }
}

/// A repository policy that lets trusted accounts and organizations pull; the own account where there are none.
pub(crate) fn trusting(trust: &Trust) -> String {
    trusting_with(trust, None)
}

/// The same with this resource in each statement, as registry policies need it.
fn trusting_with(trust: &Trust, resource: Option<&str>) -> String {
    let pull = json!([
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer"
    ]);
    let mut statements = Vec::new();
    let mut accounts: Vec<&String> = trust.accounts.iter().collect();
    if accounts.is_empty() && trust.organizations.is_empty() {
        accounts.push(&trust.own);
    }
    if !accounts.is_empty() {
        statements.push(json!({
            "Sid": "TrustedAccounts", "Effect": "Allow", "Principal": { "AWS": accounts }, "Action": &pull,
        }));
    }
    if !trust.organizations.is_empty() {
        statements.push(json!({
            "Sid": "TrustedOrganizations", "Effect": "Allow", "Principal": "*", "Action": &pull,
            "Condition": { "StringEquals": { "aws:PrincipalOrgID": trust.organizations } },
        }));
    }
    if let Some(resource) = resource {
        for statement in &mut statements {
            statement["Resource"] = json!(resource);
        }
    }
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}
