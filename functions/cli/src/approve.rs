//! `ecr-warden approve`: changes that wait for approval are shown, agreed to, recorded as approved, and made by the deployed functions.

use std::collections::BTreeSet;

use clap::Args;
use ecr_warden_aws::{
    Approvable, Caller, Clients, State, approvable, approve, is_made, offers, state_table,
};
use ecr_warden_core::approval::Offer;
use ecr_warden_core::audit::{Audit, UNJUDGED};
use ecr_warden_core::finding::Status;
use ecr_warden_core::policy::MOST_CHANGES;
use ecr_warden_core::rules::{entry, unknown_rule};
use ecr_warden_core::text::rfc3339;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::Compliance;
use crate::ask::{agreed, these_changes};
use crate::audit::stack::{ask, request};
use crate::connected::{failure, globs, now, remark_unreadable, unanswered};
use crate::failure::CommandError;
use crate::output::{OutputFormat, Stream, count, lines, note, remark, say, table};

/// Repositories that are asked side by side.
const AT_ONCE: usize = 8;

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
    Approved,
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
        let table = state_table(&clients, &self.stack).await;
        let table = table.map_err(|error| unanswered(error, &self.stack, &caller, ""))?;
        let state = State::new(&clients, table);
        let all = offers(&state).await.map_err(failure)?;
        remark_unreadable(all.unreadable);
        let of_name = |offer: &Offer| {
            named.is_empty() || named.iter().any(|glob| glob.matches(&offer.id.name))
        };
        let of_rule = |offer: &Offer| self.rule.is_empty() || self.rule.contains(&offer.rule);
        let mut offered = all.records;
        offered.retain(|offer| of_name(offer) && of_rule(offer));
        offered.sort_by(|a, b| (&a.id, &a.rule).cmp(&(&b.id, &b.rule)));
        let (waiting, left) = fitting(&clients, &state, offered).await?;
        for (offer, why) in &left {
            remark!("left out: {}: {}: {why}", offer.id.label(), offer.rule);
        }
        let as_json = self.format == OutputFormat::Json;
        if self.list || waiting.is_empty() {
            if as_json {
                let listed = waiting.into_iter().map(|offer| Approved {
                    offer,
                    result: ApprovalResult::Waits,
                });
                say!("{}", printed(&listed.collect::<Vec<_>>()));
            } else if waiting.is_empty() {
                say!("no change waits for approval");
            } else {
                say!("{}", shown(&waiting, Stream::Output));
            }
            return Ok(Compliance::Nothing);
        }
        remark!("{}", shown(&waiting, Stream::Error));
        let what = these_changes(waiting.len());
        let question = format!("Approve {what} in account {}?", caller.account);
        if !self.yes && !agreed(&question)? {
            return Err(CommandError::Usage("nothing was approved".to_owned()));
        }
        let mut answered = record(&clients, &caller, &state, waiting).await;
        self.have_made(&clients, &caller, &state, &mut answered)
            .await;
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
        state: &State,
        answered: &mut [Approved],
    ) {
        let approved: Vec<&Offer> = answered
            .iter()
            .filter(|it| matches!(it.result, ApprovalResult::Approved))
            .map(|it| &it.offer)
            .collect();
        let mut answers = Vec::new();
        for request in requests(&approved, &caller.region) {
            match ask(clients, caller, &self.stack, request).await {
                Ok((audit, complete)) => {
                    answers.push(audit);
                    if let Err(error) = complete {
                        remark!("{}", error.parts().0);
                    }
                }
                Err(error) => remark!("{}", error.parts().0),
            }
        }
        for it in answered {
            if !matches!(it.result, ApprovalResult::Approved) {
                continue;
            }
            it.result = match is_made(state, &it.offer, now()).await {
                Ok(true) => ApprovalResult::Made,
                Ok(false) => ApprovalResult::NotMade(obstacle(&answers, &it.offer)),
                Err(why) => ApprovalResult::NotMade(format!("it is not known: {why}")),
            };
        }
    }
}

/// Those that can be approved now, and why others cannot. Of those that change the same setting of a repository, the first: the others are
/// decided again after it. What waits of a repository that was deleted is in neither.
async fn fitting(
    clients: &Clients,
    state: &State,
    offered: Vec<Offer>,
) -> Result<(Vec<Offer>, Vec<(Offer, String)>), CommandError> {
    let checked = stream::iter(offered).map(|offer| async move {
        let regional = clients
            .of(&offer.id.account, &offer.id.region)
            .map_err(|error| CommandError::Usage(error.to_string()))?;
        let fits = approvable(&regional, state, &offer)
            .await
            .map_err(failure)?;
        Ok::<_, CommandError>((offer, fits))
    });
    let checked: Vec<(Offer, Approvable)> = checked.buffered(AT_ONCE).try_collect().await?;
    let mut parts = BTreeSet::new();
    let (mut waiting, mut left) = (Vec::new(), Vec::new());
    for (offer, fits) in checked {
        match fits {
            Approvable::Yes(..) => {
                let subject = offer.id.subject(offer.action.is_of_registry());
                if parts.insert((subject, offer.action.part())) {
                    waiting.push(offer);
                } else {
                    let why = "another change of the same setting is listed; this one is decided again after it";
                    left.push((offer, why.to_owned()));
                }
            }
            Approvable::No(why) => left.push((offer, why)),
            Approvable::Gone => {}
        }
    }
    Ok((waiting, left))
}

/// Records each approval. One that is refused stops no other.
async fn record(
    clients: &Clients,
    caller: &Caller,
    state: &State,
    waiting: Vec<Offer>,
) -> Vec<Approved> {
    let mut answered = Vec::new();
    for offer in waiting {
        let result = match clients.of(&offer.id.account, &offer.id.region) {
            Ok(regional) => match approve(&regional, state, &offer, &caller.arn, now()).await {
                Ok(()) => ApprovalResult::Approved,
                Err(why) => ApprovalResult::NotApproved(why.to_string()),
            },
            Err(why) => ApprovalResult::NotApproved(why.to_string()),
        };
        answered.push(Approved { offer, result });
    }
    answered
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

/// Why a change was not made, by what the auditor answered.
fn obstacle(answers: &[Audit], offer: &Offer) -> String {
    let arn = offer.id.arn();
    let findings = answers
        .iter()
        .flat_map(|audit| audit.findings.iter().flatten());
    let mut of_it = findings.filter(|it| it.repository == arn && it.status != Status::Fixed);
    let later = "the next event or sweep makes it within 24 hours of the approval";
    match of_it.find(|it| it.rule == offer.rule || it.rule == UNJUDGED) {
        None => later.to_owned(),
        Some(finding) if finding.to_do.is_empty() => format!("{}; {later}", finding.detail),
        Some(finding) => finding.to_do.clone(),
    }
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
        ApprovalResult::Waits | ApprovalResult::Approved => "waits".to_owned(),
        ApprovalResult::NotApproved(why) => format!("not approved: {why}"),
        ApprovalResult::NotMade(why) => format!("approved, and not made: {why}"),
        ApprovalResult::Made => format!("changed to {}", answered.offer.action.to()),
    }
}

fn printed(answered: &[Approved]) -> Value {
    let changes = answered.iter().map(|Approved { offer, result }| {
        let (result, why) = match result {
            ApprovalResult::Waits | ApprovalResult::Approved => ("waits", None),
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
