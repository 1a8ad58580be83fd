//! What is to be done about what `weak-encryption` finds.

use crate::repository::EncryptionType;
use crate::rule::{Advice, quoted, shell_word};

pub(super) const HOLDS_IMAGES: &str = "it holds images, so it is not recreated; create a repository with the \
                            required encryption, copy the images to it and change the deployments";

pub(super) const HOLDS_IMAGES_OR_NOT: &str = "recreate the repository if it holds no image; otherwise create a repository with the required \
                                   encryption, copy the images to it and change the deployments";

/// What is said of a repository that was, or is to be, recreated (terraform-provider-aws, `internal/service/ecr/repository.go`:
/// `encryption_configuration` forces a replacement, and `force_delete` deletes with force).
pub(super) const RECREATED: &str = "Once it is recreated, change the encryption block where the repository is defined before the next \
                         `terraform apply`: otherwise Terraform plans to replace the repository, and with `force_delete = true` \
                         that deletes its images. A repository that is defined without an encryption block needs one.";

/// The lines that ask for this encryption. `own`: without a key here, AWS's own would be used, which is not enough.
pub(super) fn advise(kind: &EncryptionType, key: Option<&str>, own: bool) -> Advice {
    let kind = match kind {
        EncryptionType::Aes256 => "AES256",
        EncryptionType::Kms | EncryptionType::KmsDsse | EncryptionType::Unknown(_) => "KMS",
    };
    let (mut terraform, mut cloudformation, mut cli) = (
        String::new(),
        String::new(),
        shell_word(&format!("encryptionType={kind}")),
    );
    if let Some(key) = key {
        terraform = format!("\n  kms_key         = {}", quoted(key));
        cloudformation = format!("\n  KmsKey: {}", quoted(key));
        cli = shell_word(&format!("encryptionType={kind},kmsKey={key}"));
    } else if own {
        // No key is named, and without one AWS's own is used: what is pasted stops instead.
        terraform = "\n  kms_key         = var.kms_key".to_owned();
        cloudformation = "\n  KmsKey: !Ref KmsKey".to_owned();
        cli = format!("'encryptionType={kind},kmsKey='\"${{KMS_KEY:?name a key of your own}}\"");
    }
    Advice {
        text: "Ask for the right encryption where the repository is defined; changing it there replaces the \
               repository, so do it while it is empty."
            .to_owned(),
        terraform: format!(
            "encryption_configuration {{\n  encryption_type = \"{kind}\"{terraform}\n}}"
        ),
        cli: format!(
            "# ECR can't change the encryption: make a new repository, and copy the images\n\
             aws ecr create-repository --repository-name \"${{NEW_REPOSITORY:?name the new repository}}\" \
             --encryption-configuration {cli}"
        ),
        cloudformation: format!(
            "EncryptionConfiguration:\n  EncryptionType: {kind}{cloudformation}"
        ),
    }
}
