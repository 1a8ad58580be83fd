//! Pushes real images with a real OCI client.

use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use crate::Problem;
use crate::local_aws::LocalAws;

/// Pushes an image of one layer with this content; the same content is the same image.
///
/// # Errors
/// The registry refused it, and why.
pub async fn push(
    local: &LocalAws,
    repository: &str,
    tag: &str,
    content: &str,
) -> Result<(), Problem> {
    let registry = format!("127.0.0.1:{}", local.port);
    // The client wants to know how it would speak TLS, although it does not here; once is enough.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::new(ClientConfig {
        protocol: ClientProtocol::Http,
        ..ClientConfig::default()
    });
    let image = Reference::with_tag(registry, repository.to_owned(), tag.to_owned());
    let layers = [ImageLayer::oci_v1(content.as_bytes().to_vec(), None)];
    let config = Config::oci_v1(format!("{{\"content\":\"{content}\"}}").into_bytes(), None);
    let login = login(local).await?;
    client.push(&image, &layers, config, &login, None).await?;
    Ok(())
}

/// As `docker login` does: the token is `AWS:<password>` in base64.
async fn login(local: &LocalAws) -> Result<RegistryAuth, Problem> {
    let password = local.cli(&["ecr", "get-login-password"])?;
    Ok(RegistryAuth::Basic(
        "AWS".to_owned(),
        password.trim().to_owned(),
    ))
}
