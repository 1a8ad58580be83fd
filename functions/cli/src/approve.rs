//! `ecr-warden approve`: changes that wait for approval are shown, agreed to, recorded as approved, and made by the deployed functions.

use std::collections::BTreeSet;

use clap::Args;
use ecr_warden_aws::{Caller, Clients, State, approve, offers};
use ecr_warden_core::approval::Offer;
use ecr_warden_core::audit::Audit;
use ecr_warden_core::finding::Status;
use ecr_warden_core::policy::MOST_CHANGES;
use ecr_warden_core::rules::{entry, unknown_rule};
use ecr_warden_core::text::rfc3339;
use serde_json::{Value, json};

use crate::Compliance;
use crate::ask::agreed;
use crate::audit::stack::{ask, request};
use crate::connected::{failure, globs, now, table_of};
use crate::failure::CommandError;
use crate::output::{OutputFormat, Stream, count, lines, note, remark, say, table};

const EXAMPLES: &str = "Examples:
  ecr-warden approve --list
  ecr-warden approve shop/api --rule mutable-tags
  ecr-warden approve 'shop/**' --yes";

/// Approve changes that wait for it, and have them made.
///
/// Rules with `mode: approve` report a repair and wait. The functions then make exactly these changes. What was
/// changed since it was found is not approved, and what has not been made a day after its approval must be approved again.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Approve {
    /// Only repositories whose names match. Default: all.
    #[arg(value_name = "GLOB")]
    repository: Vec<String>,
    /// Only changes by this rule. Repeat it for several.
    #[arg(long, value_name = "RULE")]
    rule: Vec<String>,
    /// List what waits, and approve nothing.
    #[arg(long, conflicts_with = "yes")]
    list: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// The stack's name.
    #[arg(long, value_name = "NAME", default_value = "ecr-warden")]
    stack: String,
    /// A profile of the AWS CLI's configuration.
    #[arg(long)]
    profile: Option<String>,
    /// The region of the stack. Default: the region that the AWS CLI would use.
    #[arg(long)]
    region: Option<String>,
    /// `json`: `ecr-warden.approval/1`.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,
}

/// A change, and what became of it.
struct Approved {
    offer: Offer,
    result: ApprovalResult,
}

enum ApprovalResult {
    /// It was only listed.
    Waits,
    NotApproved(String),
    /// Approved, and not made for this reason.
    NotMade(String),
    Made,
}

impl Approve {
    pub(crate) async fn run(self) -> Result<Compliance, CommandError> {
        let named = globs(self.repository.clone())?;
        for rule in &self.rule {
            entry(rule).ok_or_else(|| CommandError::Usage(unknown_rule(rule)))?;
        }
        let (profile, region) = (self.profile.as_deref(), self.region.as_deref());
        let (clients, caller) = Clients::of_profile(profile, region).await?;
        let state = State::new(&clients, table_of(&clients, &caller, &self.stack).await?);
        let all = offers(&state).await.map_err(failure)?;
        if all.unreadable > 0 {
            remark!(
                "{} of the state table cannot be read: update ecr-warden to the version that wrote them",
                count(all.unreadable, "record", "records")
            );
        }
        let of_name = |offer: &Offer| {
            named.is_empty() || named.iter().any(|glob| glob.matches(&offer.id.name))
        };
        let of_rule = |offer: &Offer| self.rule.is_empty() || self.rule.contains(&offer.rule);
        let mut waiting = all.records;
        waiting.retain(|offer| of_name(offer) && of_rule(offer));
        waiting.sort_by(|a, b| (&a.id, &a.rule).cmp(&(&b.id, &b.rule)));
        let as_json = self.format == OutputFormat::Json;
        if waiting.is_empty() {
            if as_json {
                say!("{}", printed(&[]));
            } else {
                say!("no change waits for approval");
            }
            return Ok(Compliance::Nothing);
        }
        if self.list {
            if as_json {
                let listed = waiting.into_iter().map(|offer| Approved {
                    offer,
                    result: ApprovalResult::Waits,
                });
                say!("{}", printed(&listed.collect::<Vec<_>>()));
            } else {
                say!("{}", shown(&waiting, Stream::Output));
            }
            return Ok(Compliance::Nothing);
        }
        remark!("{}", shown(&waiting, Stream::Error));
        if !self.yes && !agreed(&question(&caller, waiting.len()))? {
            return Err(CommandError::Usage("nothing was approved".to_owned()));
        }
        let mut answered = record(&clients, &caller, &state, waiting).await?;
        self.have_made(&clients, &caller, &mut answered).await?;
        if as_json {
            say!("{}", printed(&answered));
        } else {
            for it in &answered {
                note!(
                    "{}: {}: {}",
                    it.offer.id.label(),
                    it.offer.rule,
                    described(it)
                );
            }
        }
        let failed = answered
            .iter()
            .filter(|it| !matches!(it.result, ApprovalResult::Made));
        match failed.count() {
            0 => Ok(Compliance::Nothing),
            failed => Err(CommandError::Aws(format!(
                "not made: {failed} of {}",
                count(answered.len(), "change", "changes")
            ))),
        }
    }

    /// Has the deployed auditor make what was approved, and says of each what came of it.
    async fn have_made(
        &self,
        clients: &Clients,
        caller: &Caller,
        answered: &mut [Approved],
    ) -> Result<(), CommandError> {
        let approved: Vec<&Offer> = answered
            .iter()
            .filter(|it| matches!(it.result, ApprovalResult::Made))
            .map(|it| &it.offer)
            .collect();
        let mut answers = Vec::new();
        for request in requests(&approved, &caller.region) {
            match ask(clients, caller, &self.stack, request).await {
                Ok((audit, Ok(()))) => answers.push(audit),
                Ok((_, Err(error))) | Err(error) => {
                    let (why, _) = error.parts();
                    remark!("{why}");
                    remark!(
                        "what is approved and not made yet is made by the next event or sweep within a day"
                    );
                    return Err(CommandError::Aws(
                        "it is not known whether the changes were made: run `ecr-warden history`"
                            .to_owned(),
                    ));
                }
            }
        }
        for it in answered {
            if matches!(it.result, ApprovalResult::Made)
                && let Some(why) = stands(&answers, &it.offer)
            {
                it.result = ApprovalResult::NotMade(why);
            }
        }
        Ok(())
    }
}

/// Records each approval. One that is refused stops no other.
async fn record(
    clients: &Clients,
    caller: &Caller,
    state: &State,
    waiting: Vec<Offer>,
) -> Result<Vec<Approved>, CommandError> {
    let mut answered = Vec::new();
    for offer in waiting {
        let regional = clients
            .of(&offer.id.account, &offer.id.region)
            .map_err(|error| CommandError::Usage(error.to_string()))?;
        let result = match approve(&regional, state, &offer, &caller.arn, now()).await {
            Ok(()) => ApprovalResult::Made,
            Err(why) => ApprovalResult::NotApproved(why.to_string()),
        };
        answered.push(Approved { offer, result });
    }
    Ok(answered)
}

/// What to ask the auditor for: a sweep of these repositories. `home`: the stack's region, which the auditor takes where none is named.
fn requests(approved: &[&Offer], home: &str) -> Vec<Value> {
    let regions: BTreeSet<&str> = approved.iter().map(|it| it.id.region.as_str()).collect();
    let mut requests = Vec::new();
    for region in regions {
        let of_region = approved.iter().filter(|it| it.id.region == region);
        let names: BTreeSet<&String> = of_region.map(|it| &it.id.name).collect();
        let names: Vec<String> = names.into_iter().cloned().collect();
        for some in names.chunks(MOST_CHANGES) {
            let mut one = request(some, false, None).unwrap_or_default();
            one["mode"] = json!("enforce");
            one["changes"] = json!(some.len());
            if region != home {
                one["regions"] = json!([region]);
            }
            requests.push(one);
        }
    }
    requests
}

/// Why a finding still stands after that; `None`: it does not.
fn stands(answers: &[Audit], offer: &Offer) -> Option<String> {
    let arn = offer.id.arn();
    let mut findings = answers
        .iter()
        .flat_map(|audit| audit.findings.iter().flatten());
    let finding = findings.find(|it| it.repository == arn && it.rule == offer.rule)?;
    match finding.status {
        Status::Fixed | Status::Resolved => None,
        _ if finding.to_do.is_empty() => Some(finding.detail.clone()),
        _ => Some(finding.to_do.clone()),
    }
}

fn question(caller: &Caller, changes: usize) -> String {
    let what = match changes {
        1 => "this change".to_owned(),
        n => format!("these {n} changes"),
    };
    format!("Approve {what} in account {}?", caller.account)
}

fn shown(waiting: &[Offer], to: Stream) -> String {
    let regions: BTreeSet<&str> = waiting.iter().map(|it| it.id.region.as_str()).collect();
    let several = regions.len() > 1;
    let header = ["region", "repository", "rule", "since", "from", "to"];
    let from_column = usize::from(!several);
    let mut shown = table(&header[from_column..], to);
    for offer in waiting {
        let since = rfc3339(offer.since).unwrap_or_default();
        let day = since.split('T').next().unwrap_or_default();
        let (from, to) = (offer.action.from(), offer.action.to());
        let id = &offer.id;
        let row = [&id.region, &id.name, &offer.rule, day, &from, &to];
        shown.add_row(&row[from_column..]);
    }
    lines(&shown)
}

fn described(answered: &Approved) -> String {
    match &answered.result {
        ApprovalResult::Waits => "waits for approval".to_owned(),
        ApprovalResult::NotApproved(why) => format!("not approved: {why}"),
        ApprovalResult::NotMade(why) => format!("approved, and not made: {why}"),
        ApprovalResult::Made => format!("changed to {}", answered.offer.action.to()),
    }
}

fn printed(answered: &[Approved]) -> Value {
    let changes = answered.iter().map(|Approved { offer, result }| {
        let (result, why) = match result {
            ApprovalResult::Waits => ("waits", None),
            ApprovalResult::NotApproved(why) => ("not-approved", Some(why)),
            ApprovalResult::NotMade(why) => ("not-made", Some(why)),
            ApprovalResult::Made => ("made", None),
        };
        json!({
            "repository": offer.id.arn(), "rule": offer.rule, "from": offer.action.from(), "to": offer.action.to(),
            "since": rfc3339(offer.since), "result": result, "why": why,
        })
    });
    json!({ "schema": "ecr-warden.approval/1", "changes": changes.collect::<Vec<_>>() })
}
