//! Where credentials come from: what is refused before any call, and what helps if there are none. It reads no file and makes no call.

use aws_config::profile::{Profile, ProfileSet};

/// What the credentials begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// `AWS_ACCESS_KEY_ID`, which comes before profiles unless one is named by `--profile`.
    Environment,
    Keys,
    Sso,
    /// `aws login`.
    Login,
    /// The program of a `credential_process`. Its arguments may be secret.
    Process(String),
    /// A token file; of the environment unless a profile names it.
    WebIdentity {
        of_profile: bool,
    },
    /// `credential_source`.
    Named(String),
    /// What a container or an EC2 instance provides, if anything does.
    Machine,
    /// `source_profile` leads to a profile that there is not, or back.
    Broken,
    /// A profile without credentials.
    Nothing,
}

/// Where the credentials of one call of the command come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Provenance {
    pub(super) source: Source,
    /// The profile that was selected, if its credentials are used.
    pub(super) selected: Option<String>,
    /// The profile that has the source: at the end of a chain of `source_profile`.
    base: String,
    /// The profile of the chain whose role requires a second factor.
    mfa: Option<String>,
}

impl Provenance {
    /// Finds the provenance in the order of the SDK's default chain. `explicit`: the profile is named by `--profile`.
    pub(super) fn new(
        profiles: &ProfileSet,
        explicit: bool,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let set = |name| environment(name).is_some();
        let secret = set("AWS_SECRET_ACCESS_KEY") || set("SECRET_ACCESS_KEY");
        if !explicit && set("AWS_ACCESS_KEY_ID") && secret {
            return Self::without_profile(Source::Environment);
        }
        let provenance = Self::of_profile(profiles, profiles.selected_profile());
        if explicit || provenance.source != Source::Nothing {
            return provenance;
        }
        if set("AWS_WEB_IDENTITY_TOKEN_FILE") && set("AWS_ROLE_ARN") {
            return Self::without_profile(Source::WebIdentity { of_profile: false });
        }
        let container = set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
            || set("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        if set("AWS_PROFILE") && !container {
            return provenance;
        }
        Self::without_profile(Source::Machine)
    }

    fn without_profile(source: Source) -> Self {
        Self {
            source,
            selected: None,
            base: String::new(),
            mfa: None,
        }
    }

    /// Follows `source_profile` as the SDK does (aws-config, `profile/credentials/repr.rs`).
    fn of_profile(profiles: &ProfileSet, selected: &str) -> Self {
        let mut provenance = Self {
            source: Source::Nothing,
            selected: Some(selected.to_owned()),
            base: selected.to_owned(),
            mfa: None,
        };
        let mut visited: Vec<String> = Vec::new();
        while !visited.contains(&provenance.base)
            && let Some(profile) = profiles.get_profile(&provenance.base)
        {
            let assumes = profile.get("role_arn").is_some()
                && profile.get("web_identity_token_file").is_none()
                && (visited.is_empty() || !has_keys(profile));
            if !assumes {
                provenance.source = source(profile, !visited.is_empty());
                break;
            }
            // Without a role the AWS CLI ignores `mfa_serial`, too.
            if profile.get("mfa_serial").is_some() && provenance.mfa.is_none() {
                provenance.mfa = Some(provenance.base.clone());
            }
            match profile.get("source_profile") {
                Some(next) if next != provenance.base => {
                    provenance.source = Source::Broken;
                    visited.push(std::mem::replace(&mut provenance.base, next.to_owned()));
                }
                _ => {
                    provenance.source = source(profile, false);
                    break;
                }
            }
        }
        provenance
    }

    /// Why these credentials are not used, with the way out; `None`: they are.
    pub(super) fn refusal(&self) -> Option<String> {
        let (selected, mfa) = (self.selected.as_ref()?, self.mfa.as_ref()?);
        let through = if mfa == selected {
            String::new()
        } else {
            format!(", from which `source_profile` leads to `{mfa}`,")
        };
        Some(format!(
            "the profile `{selected}`{through} requires MFA (`mfa_serial`), and ecr-warden asks for no code; run \
             `eval \"$(aws configure export-credentials --profile {selected} --format env)\"`, then this command without --profile, \
             and with --region if only the profile names a region"
        ))
    }

    /// Names the profile in the middle of a sentence.
    pub(super) fn named(&self) -> String {
        match &self.selected {
            Some(profile) => format!(" in the profile `{profile}`"),
            None => String::new(),
        }
    }

    /// What to do if there are no credentials, or unusable ones.
    pub(super) fn advice(&self) -> String {
        let base = &self.base;
        let option = match base.as_str() {
            "default" => String::new(),
            base => format!(" --profile {base}"),
        };
        match &self.source {
            Source::Environment => {
                "correct or unset AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; \
                 they come before AWS_PROFILE"
                    .to_owned()
            }
            Source::Keys => format!("correct the keys of the profile `{base}`"),
            Source::Sso => format!("run `aws sso login{option}`"),
            Source::Login => format!("run `aws login{option}`"),
            Source::Process(program) => {
                format!("correct the `credential_process` of the profile `{base}`, `{program}`")
            }
            Source::WebIdentity { of_profile: true } => {
                format!("correct `web_identity_token_file` or `role_arn` of the profile `{base}`")
            }
            Source::WebIdentity { of_profile: false } => {
                "correct AWS_WEB_IDENTITY_TOKEN_FILE or AWS_ROLE_ARN".to_owned()
            }
            Source::Named(name) => match name.to_ascii_lowercase().as_str() {
                "environment" => format!(
                    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which `credential_source` of the profile `{base}` asks for"
                ),
                "ecscontainer" => format!(
                    "`credential_source` of the profile `{base}` is EcsContainer: that works in a container of ECS or EKS, with \
                     AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or AWS_CONTAINER_CREDENTIALS_FULL_URI"
                ),
                "ec2instancemetadata" => format!(
                    "`credential_source` of the profile `{base}` is Ec2InstanceMetadata: that works on an EC2 instance with a role"
                ),
                _ => format!(
                    "set `credential_source` of the profile `{base}` to Environment, Ec2InstanceMetadata or EcsContainer"
                ),
            },
            Source::Machine => {
                "pass --profile, set AWS_PROFILE, or run `aws configure sso` or `aws login`"
                    .to_owned()
            }
            Source::Broken => {
                format!("correct `source_profile`, which leads to the profile `{base}`")
            }
            Source::Nothing => format!(
                "add credentials to the profile `{base}`, for example with `aws configure sso{option}` or `aws login{option}`"
            ),
        }
    }
}

fn has_keys(profile: &Profile) -> bool {
    profile.get("aws_access_key_id").is_some() && profile.get("aws_secret_access_key").is_some()
}

/// The source of one profile. `later`: another one leads to it, and then keys come first.
fn source(profile: &Profile, later: bool) -> Source {
    let has = |key| profile.get(key).is_some();
    let sso = [
        "sso_session",
        "sso_start_url",
        "sso_account_id",
        "sso_role_name",
        "sso_region",
    ];
    if later && has_keys(profile) {
        Source::Keys
    } else if let Some(name) = profile.get("credential_source") {
        Source::Named(name.to_owned())
    } else if has("web_identity_token_file") {
        Source::WebIdentity { of_profile: true }
    } else if sso.into_iter().any(has) {
        Source::Sso
    } else if has("login_session") {
        Source::Login
    } else if let Some(command) = profile.get("credential_process") {
        Source::Process(program(command))
    } else if has("aws_access_key_id") || has("aws_secret_access_key") {
        Source::Keys
    } else {
        Source::Nothing
    }
}

/// The first word of a command, which may be quoted.
fn program(command: &str) -> String {
    let command = command.trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| {
        let (program, _) = command.strip_prefix(quote)?.split_once(quote)?;
        Some(program)
    });
    let program = quoted.or_else(|| command.split_whitespace().next());
    program.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use aws_types::os_shim_internal::{Env, Fs};

    use super::*;

    const ROLE: &str = "role_arn = arn:aws:iam::111111111111:role/r\n";
    const KEYS: &str = "aws_access_key_id = k\naws_secret_access_key = s\n";
    const MFA: &str = "mfa_serial = arn:aws:iam::111111111111:mfa/m\n";

    /// The provenance with this configuration and environment; with `AWS_PROFILE` there, the profile is not explicit.
    async fn provenance(config: &str, environment: &[(&str, &str)]) -> Provenance {
        let fs = Fs::from_slice(&[("/config", config), ("/credentials", "")]);
        let files = [
            ("AWS_CONFIG_FILE", "/config"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/credentials"),
        ];
        let env = Env::from_slice(&[environment, &files].concat());
        let explicit = environment.is_empty();
        let selected = explicit.then(|| "dev".into());
        let profiles = aws_config::profile::load(&fs, &env, &Default::default(), selected)
            .await
            .unwrap();
        Provenance::new(&profiles, explicit, |name| env.get(name).ok())
    }

    fn dev(rest: &str) -> String {
        format!("[profile dev]\n{rest}")
    }

    #[tokio::test]
    async fn the_source_is_the_one_that_the_sdk_takes() {
        let process = |program: &str| Source::Process(program.to_owned());
        let web = Source::WebIdentity { of_profile: true };
        let base = |rest: &str| {
            dev(&format!(
                "{ROLE}source_profile = base\n[profile base]\n{rest}"
            ))
        };
        for (config, source, at) in [
            (dev(KEYS), Source::Keys, "dev"),
            (dev(""), Source::Nothing, "dev"),
            (dev("sso_session = s\n"), Source::Sso, "dev"),
            (dev("sso_start_url = https://x\n"), Source::Sso, "dev"),
            (dev("login_session = arn\n"), Source::Login, "dev"),
            (dev("credential_process = a b c\n"), process("a"), "dev"),
            (
                dev("credential_process = \"a b\" c\n"),
                process("a b"),
                "dev",
            ),
            (dev("credential_process = 'a b' c\n"), process("a b"), "dev"),
            (dev("credential_process = \"a\n"), process("\"a"), "dev"),
            (
                dev(&format!("{ROLE}web_identity_token_file = f\n")),
                web.clone(),
                "dev",
            ),
            (
                dev(&format!("{ROLE}credential_source = Environment\n")),
                Source::Named("Environment".to_owned()),
                "dev",
            ),
            // Of one profile, keys come last; of the one that another leads to, first.
            (dev(&format!("{KEYS}sso_session = s\n")), Source::Sso, "dev"),
            (
                base(&format!("{KEYS}sso_session = s\n")),
                Source::Keys,
                "base",
            ),
            (
                base(&format!("{KEYS}{ROLE}source_profile = dev\n")),
                Source::Keys,
                "base",
            ),
            (base("login_session = arn\n"), Source::Login, "base"),
            (
                base(&format!(
                    "{ROLE}source_profile = third\n[profile third]\ncredential_process = p\n"
                )),
                process("p"),
                "third",
            ),
            // A role with its own keys.
            (
                dev(&format!("{ROLE}source_profile = dev\n{KEYS}")),
                Source::Keys,
                "dev",
            ),
            // What the SDK refuses.
            (
                base(&format!("{ROLE}source_profile = dev\n")),
                Source::Broken,
                "dev",
            ),
            (
                dev(&format!("{ROLE}source_profile = none\n")),
                Source::Broken,
                "none",
            ),
            (dev(ROLE), Source::Nothing, "dev"),
        ] {
            let found = provenance(&config, &[]).await;
            assert_eq!(
                (&found.source, found.base.as_str()),
                (&source, at),
                "{config}"
            );
            assert_eq!(found.selected.as_deref(), Some("dev"), "{config}");
        }
    }

    #[tokio::test]
    async fn the_environment_comes_before_profiles_that_are_not_explicit() {
        let keys = [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")];
        let profile = ("AWS_PROFILE", "dev");
        let token = [("AWS_WEB_IDENTITY_TOKEN_FILE", "f"), ("AWS_ROLE_ARN", "r")];
        let container = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1");
        let web = Source::WebIdentity { of_profile: false };
        let (sso, empty) = (dev("sso_session = s\n"), dev(""));
        for (config, environment, source) in [
            (&sso, vec![keys[0], keys[1], profile], Source::Environment),
            // Half of a pair is none.
            (&sso, vec![keys[0], profile], Source::Sso),
            (&sso, vec![profile, token[0], token[1]], Source::Sso),
            (&empty, vec![profile, token[0], token[1]], web),
            (&empty, vec![profile, container], Source::Machine),
            (&empty, vec![profile], Source::Nothing),
            (&sso, vec![("AWS_REGION", "r")], Source::Machine),
        ] {
            let found = provenance(config, &environment).await;
            assert_eq!(found.source, source, "{environment:?}");
        }
    }

    #[tokio::test]
    async fn only_a_role_that_requires_mfa_is_refused() {
        let middle = format!("{ROLE}source_profile = base\n[profile base]\n{KEYS}");
        for (config, named) in [
            (
                dev(&format!("{MFA}{middle}")),
                Some("the profile `dev` requires MFA"),
            ),
            (
                dev(&format!(
                    "{ROLE}source_profile = two\n[profile two]\n{MFA}{middle}"
                )),
                Some("the profile `dev`, from which `source_profile` leads to `two`, requires MFA"),
            ),
            (dev(&format!("{MFA}{KEYS}")), None),
            (dev(&format!("{middle}{MFA}")), None),
            (dev(&middle), None),
        ] {
            let refusal = provenance(&config, &[]).await.refusal();
            assert_eq!(refusal.is_some(), named.is_some(), "{config}");
            let refusal = refusal.unwrap_or_default();
            assert!(refusal.starts_with(named.unwrap_or_default()), "{refusal}");
        }
    }

    #[test]
    fn advice_fits_the_source() {
        let named = |name: &str| Source::Named(name.to_owned());
        for (source, words) in [
            (Source::Environment, "unset AWS_ACCESS_KEY_ID"),
            (Source::Keys, "correct the keys of the profile `dev`"),
            (Source::Sso, "run `aws sso login --profile dev`"),
            (Source::Login, "run `aws login --profile dev`"),
            (
                Source::Process("/bin/p".to_owned()),
                "of the profile `dev`, `/bin/p`",
            ),
            (
                Source::WebIdentity { of_profile: true },
                "`web_identity_token_file`",
            ),
            (
                Source::WebIdentity { of_profile: false },
                "AWS_WEB_IDENTITY_TOKEN_FILE",
            ),
            (named("environment"), "set AWS_ACCESS_KEY_ID"),
            (named("EcsContainer"), "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
            (named("Ec2InstanceMetadata"), "on an EC2 instance"),
            (
                named("x"),
                "Environment, Ec2InstanceMetadata or EcsContainer",
            ),
            (Source::Machine, "set AWS_PROFILE"),
            (
                Source::Broken,
                "`source_profile`, which leads to the profile `dev`",
            ),
            (Source::Nothing, "`aws configure sso --profile dev`"),
        ] {
            let mut provenance = Provenance::without_profile(source);
            provenance.base = "dev".to_owned();
            assert!(
                provenance.advice().contains(words),
                "{}",
                provenance.advice()
            );
        }
        let mut provenance = Provenance::without_profile(Source::Sso);
        provenance.base = "default".to_owned();
        assert_eq!(provenance.advice(), "run `aws sso login`");
    }
}
