//! The repository creation templates, which the local AWS lacks.
//!
//! Source: ECR API reference, CreateRepositoryCreationTemplate, UpdateRepositoryCreationTemplate, DeleteRepositoryCreationTemplate,
//! DescribeRepositoryCreationTemplates: a template is what was asked for, `MUTABLE` and AES256 where that was not said, and an update changes
//! what it names.

use serde_json::{Value, json};

use super::{Behaviour, Reply};
use crate::local_aws::ACCOUNT;
use crate::proxy::Call;

const DESCRIBE: &str = "DescribeRepositoryCreationTemplates";
const CREATE: &str = "CreateRepositoryCreationTemplate";
const UPDATE: &str = "UpdateRepositoryCreationTemplate";
const DELETE: &str = "DeleteRepositoryCreationTemplate";

/// The registry's creation templates.
#[derive(Debug, Default)]
pub struct CreationTemplates {
    /// As ECR answers each.
    pub templates: Vec<Value>,
}

/// What ECR answers where no more than this was asked for.
#[must_use]
pub fn new_template(asked: &Value) -> Value {
    let mut template = json!({
        "imageTagMutability": "MUTABLE", "encryptionConfiguration": { "encryptionType": "AES256" }, "resourceTags": [],
    });
    change(&mut template, asked);
    template
}

fn change(template: &mut Value, asked: &Value) {
    let asked = asked.as_object().cloned().unwrap_or_default();
    if let Some(template) = template.as_object_mut() {
        template.extend(asked);
    }
}

impl Behaviour for CreationTemplates {
    fn supplies(&self) -> &'static [&'static str] {
        &[DESCRIBE, CREATE, UPDATE, DELETE]
    }

    fn supplied(&mut self, call: &Call) -> Reply {
        let asked: Value = serde_json::from_str(&call.body).unwrap_or_default();
        if call.operation == DESCRIBE {
            let answer =
                json!({ "registryId": ACCOUNT, "repositoryCreationTemplates": self.templates });
            return Reply::json(&answer);
        }
        let is_it = |template: &Value| template.get("prefix") == asked.get("prefix");
        let position = self.templates.iter().position(is_it);
        let answer = match (call.operation.as_str(), position) {
            (CREATE, None) => {
                let template = new_template(&asked);
                self.templates.push(template.clone());
                template
            }
            (CREATE, Some(_)) => {
                return Reply::error(400, "TemplateAlreadyExistsException", "the template exists");
            }
            (DELETE, Some(position)) => self.templates.remove(position),
            (_, Some(position)) => match self.templates.get_mut(position) {
                Some(template) => {
                    change(template, &asked);
                    template.clone()
                }
                None => Value::Null,
            },
            (_, None) => {
                return Reply::error(
                    400,
                    "TemplateNotFoundException",
                    "there is no such template",
                );
            }
        };
        Reply::json(&json!({ "registryId": ACCOUNT, "repositoryCreationTemplate": answer }))
    }
}
