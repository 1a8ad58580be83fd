//! Proxies and private certificate authorities, in front of an AWS that is only reached through them.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::answering::{Answer, Answering, Call, head, said, serve};
use crate::credentials::{SSO, SSO_TOKEN, at_home, write};

const STS: &str = "sts.eu-central-1.amazonaws.com:443";

/// The CA of a made-up company, in PEM, and a server with a certificate of it for AWS's names.
static COMPANY: LazyLock<(String, Arc<ServerConfig>)> = LazyLock::new(|| {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name
        .push(DnType::CommonName, "The company's CA");
    let key = KeyPair::generate().unwrap();
    let pem = ca.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(ca, key);
    let names = [
        "*.eu-central-1.amazonaws.com",
        "*.ecr.eu-central-1.amazonaws.com",
        "*.sso.us-east-1.amazonaws.com",
    ];
    let server = CertificateParams::new(names.map(str::to_owned)).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = server.signed_by(&key, &issuer).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let server = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    (pem, Arc::new(server))
});

/// A proxy as companies have them: it ends the TLS of what it is to pass on, with its own certificates.
struct Proxy {
    port: u16,
    /// The first line of each request for it.
    asked: Arc<Mutex<Vec<String>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Proxy {
    /// `refusal`: its answer, instead of passing anything on.
    fn new(refusal: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            asked: Arc::default(),
            calls: Arc::default(),
        };
        let (asked, calls) = (Arc::clone(&proxy.asked), Arc::clone(&proxy.calls));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (asked, calls) = (Arc::clone(&asked), Arc::clone(&calls));
                std::thread::spawn(move || pass_on(stream.unwrap(), refusal, &asked, &calls));
            }
        });
        proxy
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn pass_on(
    mut stream: TcpStream,
    refusal: Option<&str>,
    asked: &Mutex<Vec<String>>,
    calls: &Mutex<Vec<Call>>,
) {
    // Nothing but the head arrives before the answer.
    let Some(lines) = head(&mut BufReader::new(&stream)) else {
        return;
    };
    asked.lock().unwrap().push(lines.join("\n"));
    let status = refusal.unwrap_or("200 OK");
    stream
        .write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes())
        .unwrap();
    if refusal.is_none() {
        let tls = ServerConnection::new(Arc::clone(&COMPANY.1)).unwrap();
        serve(StreamOwned::new(tls, stream), &give, calls);
    }
}

fn give(call: &Call) -> Option<Answer> {
    (call.operation == "/federation/credentials").then(|| {
        Answer::ok(json!({ "roleCredentials": {
            "accessKeyId": "SSO", "secretAccessKey": "hunter2", "sessionToken": "token", "expiration": 4_070_908_800_000_i64,
        } }))
    })
}

/// `ecr-warden audit` with the keys of a profile, whose section goes on with `config`.
fn audit(name: &str, config: &str) -> (PathBuf, Command) {
    let config = format!(
        "[default]\nregion = eu-central-1\naws_access_key_id = FILE\naws_secret_access_key = hunter2\n{config}"
    );
    let (home, command) = at_home(name, &config, &["audit"]);
    write(&home.join("company.pem"), &COMPANY.0);
    (home, command)
}

/// A port of this machine at which nothing listens.
fn nowhere() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn calls_go_through_the_proxy_and_trust_the_bundle() {
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let proxy = Proxy::new(None);
        let (home, mut command) = audit("bundle", "");
        command
            .env(
                variable,
                format!("http://mary:hunter3@127.0.0.1:{}", proxy.port),
            )
            .env("AWS_CA_BUNDLE", home.join("company.pem"));
        let (status, out, error) = said(&command.output().unwrap());
        assert_eq!(status, 0, "{variable}: {out}{error}");
        let asked = proxy.asked();
        assert!(
            asked[0].starts_with(&format!("CONNECT {STS} HTTP/1.1\n")),
            "{asked:?}"
        );
        // mary:hunter3
        assert!(asked[0].contains("Basic bWFyeTpodW50ZXIz"), "{asked:?}");
        let ecr = "CONNECT api.ecr.eu-central-1.amazonaws.com:443 ";
        assert!(asked.iter().any(|line| line.starts_with(ecr)), "{asked:?}");
    }
}

#[test]
fn calls_for_credentials_go_through_the_proxy_too() {
    let proxy = Proxy::new(None);
    let (home, mut command) = at_home("sso-proxy", SSO, &["audit", "--profile", "dev"]);
    write(&home.join("company.pem"), &COMPANY.0);
    let token = json!({ "accessToken": "token", "expiresAt": "2099-01-01T00:00:00Z" });
    write(&home.join(SSO_TOKEN), &token.to_string());
    command
        .env("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port))
        .env("AWS_CA_BUNDLE", home.join("company.pem"));
    let (status, out, error) = said(&command.output().unwrap());
    assert_eq!(status, 0, "{out}{error}");
    let asked = proxy.asked();
    assert!(
        asked[0].starts_with("CONNECT portal.sso.us-east-1.amazonaws.com:443 "),
        "{asked:?}"
    );
    let calls = proxy.calls.lock().unwrap();
    assert_eq!(
        (calls[1].operation.as_str(), calls[1].key.as_str()),
        ("GetCallerIdentity", "SSO")
    );
}

#[test]
fn a_profile_names_the_bundle_unless_the_environment_does() {
    let proxy = Proxy::new(None);
    let through = format!("http://127.0.0.1:{}", proxy.port);
    let (home, _) = audit("profile-bundle", "");
    let setting = format!("ca_bundle = {}\n", home.join("company.pem").display());
    let (home, mut command) = audit("profile-bundle", &setting);
    let (status, out, error) = said(&command.env("HTTPS_PROXY", &through).output().unwrap());
    assert_eq!(status, 0, "{out}{error}");
    // The environment comes first.
    let missing = home.join("missing.pem");
    let (status, _, error) = said(&command.env("AWS_CA_BUNDLE", &missing).output().unwrap());
    assert_eq!(status, 2, "{error}");
    assert!(error.contains("missing.pem` of AWS_CA_BUNDLE"), "{error}");
    let (home, mut command) = audit("profile-bundle", "ca_bundle = missing.pem\n");
    command
        .env("HTTPS_PROXY", &through)
        .env("AWS_CA_BUNDLE", home.join("company.pem"));
    let (status, _, error) = said(&command.output().unwrap());
    assert_eq!(status, 0, "{error}");
}

#[test]
fn a_certificate_that_is_not_trusted_leads_to_the_bundle() {
    let proxy = Proxy::new(None);
    let (home, mut command) = audit("untrusted", "");
    command.env("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port));
    let (status, _, error) = said(&command.output().unwrap());
    assert_eq!((status, error.lines().count()), (3, 1), "{error}");
    for words in [
        "the certificate of sts.eu-central-1.amazonaws.com",
        "of HTTPS_PROXY",
        "set AWS_CA_BUNDLE, or `ca_bundle` in the profile",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    // The system's store has it.
    command.env("SSL_CERT_FILE", home.join("company.pem"));
    let (status, _, error) = said(&command.output().unwrap());
    assert_eq!(status, 0, "{error}");
    // The bundle is trusted in the place of the system's store.
    let key = KeyPair::generate().unwrap();
    let other = CertificateParams::default().self_signed(&key).unwrap();
    write(&home.join("other.pem"), &other.pem());
    command.env("AWS_CA_BUNDLE", home.join("other.pem"));
    let (status, _, error) = said(&command.output().unwrap());
    assert_eq!((status, error.lines().count()), (3, 1), "{error}");
    assert!(
        error.contains("other.pem` of AWS_CA_BUNDLE does not have its issuer"),
        "{error}"
    );
}

#[test]
fn a_bundle_that_cannot_be_used_is_named_before_any_call() {
    let broken = COMPANY.0.replacen("MII", "M!!", 1);
    for (text, why) in [
        (None, "No such file"),
        (Some(""), "no certificate in PEM"),
        (Some("not a certificate\n"), "no certificate in PEM"),
        (Some(broken.as_str()), "no PEM file"),
    ] {
        let proxy = Proxy::new(None);
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wrong-bundle.pem");
        let _ = std::fs::remove_file(&file);
        let (_, mut command) = audit("wrong-bundle", &format!("ca_bundle = {}\n", file.display()));
        if let Some(text) = text {
            write(&file, text);
        }
        command.env("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port));
        let by_profile = said(&command.output().unwrap());
        let by_variable = said(&command.env("AWS_CA_BUNDLE", &file).output().unwrap());
        for ((status, _, error), setting) in [
            (by_profile, "`ca_bundle` of the profile `default`"),
            (by_variable, "AWS_CA_BUNDLE"),
        ] {
            assert_eq!((status, error.lines().count()), (2, 1), "{error}");
            let named = format!(
                "the CA bundle `{}` of {setting} can't be used: ",
                file.display()
            );
            assert!(
                error.contains(&named) && error.contains(why),
                "{why}: {error}"
            );
        }
        assert_eq!(proxy.asked(), [""; 0]);
    }
}

#[test]
fn a_proxy_that_fails_is_named_without_its_password() {
    let refusing = Proxy::new(Some("407 Proxy Authentication Required"));
    for (port, why) in [
        (nowhere(), "Connection refused"),
        (refusing.port, "proxy authorization required"),
    ] {
        let (_, mut command) = audit("no-proxy", "");
        command.env(
            "HTTPS_PROXY",
            format!("http://mary:hunter2@127.0.0.1:{port}"),
        );
        let (status, _, error) = said(&command.output().unwrap());
        assert_eq!((status, error.lines().count()), (3, 1), "{error}");
        let named = format!("through the proxy `http://127.0.0.1:{port}` of HTTPS_PROXY: ");
        for words in [named.as_str(), why, "NO_PROXY"] {
            assert!(error.contains(words), "{words}: {error}");
        }
        assert!(!error.contains("hunter2"), "{error}");
    }
    let (_, mut command) = audit("no-proxy", "");
    command.env("HTTPS_PROXY", "http://mary:hunter 2@proxy");
    let (status, _, error) = said(&command.output().unwrap());
    assert_eq!(
        (status, error.as_str()),
        (
            2,
            "HTTPS_PROXY is not the address of a proxy: `proxy`; set it to one such as `http://proxy.example.com:3128`\n"
        )
    );
}

/// 0.0.0.0 reaches this machine, but is not its loopback address.
#[test]
fn no_proxy_is_respected() {
    let aws = Answering::with(|_| None);
    let dead = format!("http://127.0.0.1:{}", nowhere());
    let run = |host: &str, exempt: &str| {
        let (_, mut command) = audit("exempt", "");
        command
            .env("AWS_ENDPOINT_URL", format!("http://{host}:{}", aws.port))
            .env("HTTP_PROXY", &dead)
            .env("NO_PROXY", exempt);
        said(&command.output().unwrap())
    };
    let (status, _, error) = run("0.0.0.0", "");
    assert_eq!(status, 3, "{error}");
    assert!(
        error.contains("0.0.0.0 can't be reached through the proxy")
            && error.contains("HTTP_PROXY"),
        "{error}"
    );
    assert!(aws.calls().is_empty());
    for (host, exempt) in [("0.0.0.0", "example.com, 0.0.0.0"), ("127.0.0.1", "")] {
        let (status, out, error) = run(host, exempt);
        assert_eq!(status, 0, "{host}: {out}{error}");
    }
}
