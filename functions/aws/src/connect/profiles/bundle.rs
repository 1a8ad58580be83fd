//! The certificates that the AWS CLI would trust.

use aws_smithy_types::base64;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The certificate authorities to trust in the place of the system's, as the AWS CLI does.
#[derive(Debug)]
pub(super) struct Bundle {
    /// Only certificates that can be roots.
    pub(super) pem: String,
    /// The file and what names it, as in a message.
    pub(super) named: String,
}

impl Bundle {
    /// Reads the file of `AWS_CA_BUNDLE`, or of a profile's `ca_bundle`; `None`: neither is set.
    ///
    /// # Errors
    /// The file can't be read, or has no certificate in PEM. The message names both file and setting.
    pub(super) fn read(
        of_environment: Option<String>,
        of_profile: Option<(&str, &str)>,
    ) -> Result<Option<Self>, String> {
        let (file, setting) = match (of_environment, of_profile) {
            (Some(file), _) => (file, "AWS_CA_BUNDLE".to_owned()),
            (None, Some((profile, file))) => (
                file.to_owned(),
                format!("`ca_bundle` of the profile `{profile}`"),
            ),
            (None, None) => return Ok(None),
        };
        let named = format!("CA bundle `{file}` of {setting}");
        let wrong = |why: String| format!("the {named} can't be used: {why}; correct the setting");
        let text = std::fs::read(&file).map_err(|error| wrong(error.to_string()))?;
        let certificates = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| wrong(format!("it is no PEM file: {error}")))?;
        // The SDK panics on others. A bundle may have roots that only OpenSSL takes: as of the system's, they are left out.
        let is_root = |certificate: &CertificateDer<'_>| {
            RootCertStore::empty().add(certificate.clone()).is_ok()
        };
        let pem: Vec<String> = certificates
            .iter()
            .filter(|certificate| is_root(certificate))
            .map(|certificate| {
                let encoded = base64::encode(certificate);
                format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n")
            })
            .collect();
        if pem.is_empty() {
            return Err(wrong("it has no certificate in PEM".to_owned()));
        }
        Ok(Some(Self {
            pem: pem.concat(),
            named,
        }))
    }
}
