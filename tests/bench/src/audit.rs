//! What `ecr-warden audit` costs: its calls against those that the policy needs, its time against that of its calls,
//! and its memory as the registry grows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;

use crate::process::{self, Ran, folder};
use crate::registry::Registry;
use crate::repositories::{Fault, Repositories, Repository};
use crate::{Problem, mebibytes, number, root};

pub(crate) const LATENCY: Duration = Duration::from_millis(20);
const REPOSITORIES: usize = 10_000;
/// ECR's own limit for a region.
const MOST: usize = 100_000;
/// Of so many runs the fastest is printed: it is compared with an ideal, and other work on the machine only adds.
const RUNS: usize = 5;
const PAGE: usize = 1000;
/// What the auditor goes up to where nothing throttles it.
const SIDE_BY_SIDE: usize = 64;

/// A policy, and the calls that it needs: counted here from the made-up repositories, not by the code that is measured.
pub(crate) struct Needs {
    pub(crate) title: &'static str,
    pub(crate) policy: PathBuf,
    /// Who am I, and what is the same for all repositories.
    once: usize,
    of_each: fn(Repository) -> usize,
    /// Whether ECR is asked when it scans: 25 repositories of each large page, because the registry has no rules.
    scanning: bool,
    /// Whether its resource tags are asked for.
    tags: fn(Repository) -> bool,
    /// Calls that only explain what is found, for the first of these repositories.
    explaining: fn(Repository) -> usize,
}

pub(crate) fn shipped() -> Needs {
    Needs {
        title: "as shipped",
        policy: root().join("infra/policy.yaml"),
        // GetCallerIdentity, DescribePullThroughCacheRules.
        once: 2,
        scanning: false,
        // Both policies and images: whether it could be recreated.
        of_each: |repository| if may_be_recreated(repository) { 3 } else { 0 },
        tags: may_be_recreated,
        // The tags in use.
        explaining: |repository| usize::from(repository.has(Fault::MutableTags)),
    }
}

fn may_be_recreated(repository: Repository) -> bool {
    repository.is_sensitive() && repository.has(Fault::WeakEncryption)
}

pub(crate) fn all_rules() -> Needs {
    Needs {
        title: "all rules",
        policy: root().join("tests/bench/all-rules.yaml"),
        // These, GetRegistryScanningConfiguration, which has no rules, GetRegistryPolicy, DescribeRegistry,
        // DescribeRepositoryCreationTemplates, GetAccountSetting and GetSigningConfiguration.
        once: 8,
        scanning: true,
        // Both policies.
        of_each: |_| 2,
        tags: |_| true,
        // The tags in use; whether there are images.
        explaining: |repository| {
            usize::from(repository.has(Fault::MutableTags))
                + usize::from(repository.has(Fault::WeakEncryption))
        },
    }
}

/// API reference, GetResources.
const ARNS_OF_TAGS: usize = 100;
/// An audit explains the findings of this number of repositories.
const EXPLAINED: usize = 300;

impl Needs {
    fn calls(&self, repositories: Repositories) -> usize {
        let pages = repositories.count.div_ceil(PAGE);
        let details: usize = repositories.all().map(self.of_each).sum();
        let explaining = repositories.all().map(self.explaining);
        let explaining: usize = explaining.filter(|calls| *calls > 0).take(EXPLAINED).sum();
        let pages = if self.scanning { pages * 2 } else { pages };
        self.once + pages + details + explaining + self.calls_for_tags(repositories)
    }

    /// Many with each call, and those again that seem to have none.
    fn calls_for_tags(&self, repositories: Repositories) -> usize {
        let page = |first: usize| {
            let listed = repositories.from(first).take(PAGE);
            let asked = listed.filter(|repository| (self.tags)(*repository));
            let tags: Vec<bool> = asked.map(|asked| asked.tag().is_some()).collect();
            match tags.len() {
                few @ (0 | 1) => few,
                many => many.div_ceil(ARNS_OF_TAGS) + tags.iter().filter(|has| !**has).count(),
            }
        };
        (0..repositories.count).step_by(PAGE).map(page).sum()
    }
}

pub(crate) async fn run() -> Result<(), Problem> {
    let registry = Registry::start().await?;
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "policy",
        "calls",
        "needed",
        "ratio",
        "seconds",
        "ideal",
        "ratio",
        "in flight",
        "processor",
    ]);
    let repositories = Repositories {
        count: REPOSITORIES,
        rarity: 1,
    };
    for needs in [shipped(), all_rules()] {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            registry.become_one_of(repositories, LATENCY);
            runs.push((audit(&registry, &needs.policy).await?, registry.seen()));
        }
        runs.sort_by_key(|(ran, _)| ran.ran.wall);
        let Some((ran, seen)) = runs.first() else {
            continue;
        };
        let needed = needs.calls(repositories);
        let (calls, seconds) = (seen.total(), ran.ran.wall.as_secs_f64());
        let ideal = number(calls) * LATENCY.as_secs_f64() / number(SIDE_BY_SIDE);
        table.add_row([
            needs.title.to_owned(),
            calls.to_string(),
            needed.to_string(),
            format!("{:.3}", number(calls) / number(needed)),
            format!("{seconds:.2} s"),
            format!("{ideal:.2} s"),
            format!("{:.2}", seconds / ideal),
            seen.side_by_side.to_string(),
            format!("{:.2} s", ran.ran.processor),
        ]);
    }
    println!("{table}");
    println!(
        "`ecr-warden audit` of {REPOSITORIES} repositories, {} ms a call; the fastest of {RUNS} runs. Ideal:",
        LATENCY.as_millis()
    );
    println!(
        "calls × latency ÷ {SIDE_BY_SIDE}, the most repositories that the auditor reads side by side. In flight: the most calls that"
    );
    println!("waited for answers at one time. Processor: what the command used of it.");
    println!();
    memory(&registry).await
}

async fn memory(registry: &Registry) -> Result<(), Problem> {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "policy",
        "repositories",
        "findings",
        "peak resident",
        "ratio",
        "processor",
    ]);
    let mut first = None;
    // With as many findings, with as many per repository, and with more than anybody has.
    for (needs, count, rarity) in [
        (shipped(), REPOSITORIES, 10),
        (shipped(), MOST, 100),
        (shipped(), MOST, 10),
        (all_rules(), MOST, 1),
    ] {
        let repositories = Repositories { count, rarity };
        registry.become_one_of(repositories, Duration::from_millis(1));
        let Audited { ran, findings } = audit(registry, &needs.policy).await?;
        let first = *first.get_or_insert(ran.peak_kib);
        table.add_row([
            needs.title.to_owned(),
            count.to_string(),
            findings.to_string(),
            format!("{:.1} MiB", mebibytes(ran.peak_kib)),
            format!("{:.2}", number(ran.peak_kib) / number(first)),
            format!("{:.2} s", ran.processor),
        ]);
    }
    println!("{table}");
    println!("`--format csv --output FILE`.");
    Ok(())
}

pub(crate) struct Audited {
    pub(crate) ran: Ran,
    pub(crate) findings: usize,
}

/// The release build of the command.
pub(crate) async fn audit(registry: &Registry, policy: &Path) -> Result<Audited, Problem> {
    let report = folder()?.join("report.csv");
    let program = root().join("target/release/ecr-warden");
    let mut command = process::with_aws_at(&registry.endpoint(), program)?;
    command
        .args(["audit", "--format", "csv", "--policy"])
        .arg(policy)
        .arg("--output")
        .arg(&report);
    let ran = process::run("audit", command).await?;
    if !matches!(ran.code, Some(0 | 1)) {
        let log = std::fs::read_to_string(folder()?.join("audit.log"))?;
        return Err(format!("the audit failed: {log}").into());
    }
    let findings = std::fs::read_to_string(&report)?
        .lines()
        .count()
        .saturating_sub(1);
    Ok(Audited { ran, findings })
}
