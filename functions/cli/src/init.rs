//! `ecr-warden init`: a first policy for the registry as it is.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ecr_warden_aws::Judged;
use ecr_warden_core::audit::Request;
use ecr_warden_core::finding::Finding;
use ecr_warden_core::init::{
    FirstPolicy, InitChoices, LARGEST_PARAMETER, RegistrySurvey, SURVEY, first_policy,
};
use ecr_warden_core::policy::exemption::Day;
use ecr_warden_core::policy::{Mode, Policy};
use ecr_warden_core::repository::{Repository, RepositoryId};
use serde_json::json;

use crate::Compliance;
use crate::ask::{ask, can_ask};
use crate::audit::regions::{Regions, survey};
use crate::connected::now;
use crate::failure::CommandError;
use crate::output::{OutputFormat, Stream, count, line, note, remark, say};
use crate::page::Page;

const EXAMPLES: &str = "Examples:
  ecr-warden init                                asks for what is not given
  ecr-warden init --output policy.yaml --baseline 90
  ecr-warden init --output - --region eu-west-1 --region us-east-1";

/// The file, where none is named.
const FILE: &str = "policy.yaml";
/// Longer than that, nothing is exempt.
const MOST_DAYS: u16 = 3650;

/// Write a first policy for this registry, by an audit of it.
///
/// The policy has comments: what each rule finds today, the conventions that names and tags seem to follow, the tags that move, and whom
/// repository policies let in. It trusts no other account: that is for you to confirm. A file that exists is never overwritten.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Init {
    /// The new file; `-` is standard output. Without it you are asked at a terminal; elsewhere it is policy.yaml.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Whether the policy repairs. Without it you are asked at a terminal; elsewhere it is `monitor`.
    #[arg(long, value_enum)]
    mode: Option<InitMode>,
    /// Exempt what is wrong today for a number of days (90 without one), or until a day (UTC), so that only new faults are reported. 0 exempts
    /// nothing. Without it you are asked at a terminal; elsewhere nothing is exempt.
    #[arg(long, value_name = "DAYS|DAY", num_args = 0..=1, default_missing_value = "90")]
    baseline: Option<String>,
    /// `json`: what was written, as `ecr-warden.init/1`.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,
    /// A profile of the AWS CLI's configuration.
    #[arg(long, help_heading = "AWS")]
    profile: Option<String>,
    /// The region to audit; repeat it for several, or `all` for all that are enabled. Default: the region that the AWS CLI would use.
    #[arg(long, help_heading = "AWS")]
    region: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InitMode {
    /// Report, and change nothing.
    Monitor,
    /// Repair new repositories, and report existing ones.
    Enforce,
}

/// What was read, as the core takes it.
#[derive(Default)]
struct WholeRegistry {
    repositories: Vec<Repository>,
    registries: Vec<(RepositoryId, Vec<Finding>)>,
    unjudged: usize,
}

impl Init {
    pub(crate) async fn run(self) -> Result<Compliance, CommandError> {
        let regions = Regions::read(&self.region).map_err(CommandError::Usage)?;
        let given = self.baseline.as_deref().map(until).transpose()?;
        let file = self.file()?;
        if file == Path::new("-") && self.format == OutputFormat::Json {
            return Err(CommandError::Usage(
                "--output -: the policy is printed there, so leave --format out or name a file"
                    .to_owned(),
            ));
        }
        let mode = self.mode()?;
        let read = self.read(&regions).await?;
        let survey = RegistrySurvey {
            repositories: &read.repositories,
            registries: &read.registries,
            unjudged: read.unjudged,
        };
        let mut choices = InitChoices {
            mode,
            baseline: given.flatten(),
            now: now(),
        };
        let mut first = first_policy(&survey, &choices).map_err(CommandError::Usage)?;
        if given.is_none()
            && can_ask()
            && first.open() > 0
            && let Some(until) = asked_for_baseline(first.open())?
        {
            choices.baseline = Some(until);
            first = first_policy(&survey, &choices).map_err(CommandError::Usage)?;
        }
        if file == Path::new("-") {
            line(first.text.trim_end());
            return Ok(Compliance::Nothing);
        }
        write_new(&file, &first.text)?;
        self.summary(&file, &first, &read, choices.baseline);
        Ok(Compliance::Nothing)
    }

    /// A new one. That it does not exist is known before the audit, and made sure of when it is written.
    fn file(&self) -> Result<PathBuf, CommandError> {
        let file = match &self.output {
            Some(file) => file.clone(),
            None if can_ask() => ask("Write the policy to", FILE)?.into(),
            None => FILE.into(),
        };
        if file != Path::new("-") && file.symlink_metadata().is_ok() {
            return Err(exists(&file));
        }
        Ok(file)
    }

    fn mode(&self) -> Result<Mode, CommandError> {
        let mode = match self.mode {
            Some(mode) => mode,
            None if can_ask() => {
                let answer = ask("Mode, `monitor` (only report) or `enforce`", "monitor")?;
                InitMode::from_str(&answer, true).map_err(|_| {
                    CommandError::Usage(format!("`{answer}` is not a mode: `monitor` or `enforce`"))
                })?
            }
            None => InitMode::Monitor,
        };
        Ok(match mode {
            InitMode::Monitor => Mode::Monitor,
            InitMode::Enforce => Mode::Enforce,
        })
    }

    async fn read(&self, regions: &Regions) -> Result<WholeRegistry, CommandError> {
        let policy = Policy::parse(SURVEY).map_err(|why| CommandError::Usage(why.to_string()))?;
        let (clients, caller) = regions.connect(self.profile.as_deref()).await?;
        let request = Request::default();
        let surveyed = survey(&clients, &caller, &policy, &request, regions, &|_| true).await?;
        // A policy for a part of the registry would state wrong numbers.
        surveyed.complete(&caller)?;
        let mut read = WholeRegistry {
            unjudged: surveyed.audit.summary.unjudged,
            ..WholeRegistry::default()
        };
        for judged in surveyed.kept {
            let Judged {
                repository,
                findings,
                ..
            } = judged;
            if repository.id.is_registry() {
                read.registries.push((repository.id, findings));
            } else {
                read.repositories.push(repository);
            }
        }
        Ok(read)
    }

    fn summary(&self, file: &Path, first: &FirstPolicy, read: &WholeRegistry, until: Option<Day>) {
        let sum = |counts: &BTreeMap<&str, usize>| counts.values().sum::<usize>();
        let (found, exempt) = (sum(&first.findings), sum(&first.exempt));
        let bytes = first.text.len();
        if self.format == OutputFormat::Json {
            let written = json!({
                "schema": "ecr-warden.init/1",
                "file": file.display().to_string(),
                "bytes": bytes,
                "repositories": read.repositories.len(),
                "unjudged": read.unjudged,
                "findings": first.findings,
                "exempt": first.exempt,
                "exempt-until": until.map(|day| day.to_string()),
            });
            say!("{written}");
        } else {
            let path = file.display();
            let exempt = match until {
                Some(until) => format!(", {exempt} of them exempt until {until}"),
                None => String::new(),
            };
            note!(
                "{path}: {}, {} today{exempt}",
                count(read.repositories.len(), "repository", "repositories"),
                count(found, "finding", "findings")
            );
            let next = format!(
                "Next: confirm what is guessed in it; then `ecr-warden audit --policy {path}` lists the findings."
            );
            note!(
                "{}",
                Page::of(Stream::Output).paragraph("", &next, usize::MAX)
            );
        }
        if bytes > LARGEST_PARAMETER {
            remark!(
                "the policy has {bytes} bytes and an SSM parameter holds at most {LARGEST_PARAMETER}: build the functions with it as infra/policy.yaml"
            );
        }
    }
}

fn exists(file: &Path) -> CommandError {
    CommandError::Usage(format!(
        "{}: the file exists and is not overwritten; name another with --output",
        file.display()
    ))
}

/// The last day of a baseline; `None`: nothing is to be exempt.
fn until(text: &str) -> Result<Option<Day>, CommandError> {
    let days = match text.parse::<u16>() {
        Ok(0) => return Ok(None),
        Ok(days) if days <= MOST_DAYS => days,
        Ok(_) => {
            return Err(CommandError::Usage(format!(
                "--baseline: {text} days are too many; at most {MOST_DAYS}"
            )));
        }
        Err(_) => {
            let day = Day::try_from(text.to_owned());
            let day = day.map_err(|why| CommandError::Usage(format!("--baseline: {why}")))?;
            if day.end() <= now() {
                return Err(CommandError::Usage(format!(
                    "--baseline: {day} is over: name a later last day"
                )));
            }
            return Ok(Some(day));
        }
    };
    Ok(Day::after(now(), days))
}

fn asked_for_baseline(open: usize) -> Result<Option<Day>, CommandError> {
    let question = format!(
        "{} today. Exempt them for how many days, so that only new faults are reported",
        count(open, "finding", "findings")
    );
    until(&ask(&question, "0")?)
}

/// Writes a file that does not exist.
fn write_new(file: &Path, text: &str) -> Result<(), CommandError> {
    let wrong = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => exists(file),
        _ => CommandError::Usage(format!("{}: {error}", file.display())),
    };
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .map_err(wrong)?;
    new.write_all(text.as_bytes()).map_err(|error| {
        // Half a policy is none.
        let _ = std::fs::remove_file(file);
        wrong(error)
    })
}
