//! Who may use a repository or a registry, as IAM evaluates its policy: each statement that allows something is judged by whom it lets in, together with
//! the conditions on it and the statements that deny.
//!
//! Source: IAM User Guide, "Policy evaluation logic": a call is allowed where a statement allows it and none denies it.

mod actions;
pub(crate) mod advice;
mod condition;
mod keys;
#[cfg(test)]
mod properties;
pub(crate) mod registry;
mod statement;
pub(crate) mod strangers;
#[cfg(test)]
mod tests;
mod trust;
mod value;

use serde_json::Value;

use crate::action::Action;
use crate::finding::{Fix, Violation};
use crate::quarantine;
use crate::repository_policy::{edited, statements};
use condition::{Conditions, Meaning, spared};
use keys::unique_keys;
use statement::{Principals, Statement};
use trust::{Named, Setting};
pub use trust::{Services, Stranger, Trust};

/// A repository policy, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JudgedStatement<'t> {
    /// The statements that let in untrusted callers, or may.
    pub(crate) grants: Vec<Grant<'t>>,
    /// How many statements the document has.
    pub(crate) statements: usize,
}

/// A statement that lets in untrusted callers, or may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant<'t> {
    /// The statement as the document has it.
    pub(crate) raw: &'t str,
    /// Its `Sid` in backticks, or its number.
    pub(crate) label: String,
    pub(crate) to: To,
    /// One line: the callers, and what they may do.
    pub(crate) detail: String,
    /// One line: what to write instead.
    pub(crate) instead: String,
    pub(crate) removal: Removal,
    /// Those it names that a setting can trust.
    pub(crate) strangers: Vec<Stranger>,
}

/// The callers that a statement lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// Everyone, or everyone but some; or everyone as far as can be judged.
    Everyone,
    /// Those that it names.
    Named,
}

/// The change of the statement that leaves trusted callers only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// It goes.
    Whole,
    /// This takes its place.
    Narrowed(String),
    /// An operator decides.
    Never,
}

impl JudgedStatement<'_> {
    /// What a rule says of the statements that let in these. `repairs`: whether it removes them where that is certain.
    pub(crate) fn violation(&self, text: &str, to: To, repairs: bool) -> Option<Violation> {
        let grants: Vec<&Grant<'_>> = self.grants.iter().filter(|grant| grant.to == to).collect();
        if grants.is_empty() {
            return None;
        }
        let mut edits: Vec<(&str, Option<String>)> = Vec::new();
        for grant in grants.iter().filter(|_| repairs) {
            match &grant.removal {
                Removal::Whole => edits.push((grant.raw, None)),
                Removal::Narrowed(to) => edits.push((grant.raw, Some(to.clone()))),
                Removal::Never => {}
            }
        }
        let details: Vec<&str> = grants.iter().map(|grant| grant.detail.as_str()).collect();
        let removed = edits.iter().filter(|(_, to)| to.is_none()).count();
        let fix = if edits.is_empty() {
            Fix::Manual(ways(&grants))
        } else {
            Fix::Safe(Action::SetRepositoryPolicy {
                from: Some(text.to_owned()),
                to: (removed < self.statements).then(|| edited(text, &edits)),
            })
        };
        Some(Violation {
            detail: format!("in the repository policy {}", details.join("; ")),
            fix,
        })
    }
}

/// What to write instead of these, each statement once.
fn ways(grants: &[&Grant<'_>]) -> String {
    let way = |grant: &&Grant<'_>| format!("statement {}: {}", grant.label, grant.instead);
    let mut ways: Vec<String> = grants.iter().map(way).collect();
    ways.dedup();
    ways.join("; ")
}

/// Judges a repository policy.
///
/// # Errors
/// One line: it is no policy document that ECR would take.
pub(crate) fn judge<'t>(text: &'t str, trust: &Trust) -> Result<JudgedStatement<'t>, String> {
    judge_in(text, trust, None)
}

/// Judges a policy document. `all`: the ARN by which a statement names every repository, where statements name repositories.
fn judge_in<'t>(
    text: &'t str,
    trust: &Trust,
    all: Option<&str>,
) -> Result<JudgedStatement<'t>, String> {
    let raw = statements(text)?;
    unique_keys(text)?;
    let mut read = Vec::new();
    for (n, raw) in raw.iter().copied().enumerate() {
        read.push(Statement::read(raw, n.saturating_add(1), trust)?);
    }
    let document = Document {
        trust,
        all,
        variables: version(text).as_deref() == Some("2012-10-17"),
        denies: read
            .iter()
            .filter(|statement| !statement.allows && !quarantine::is_ours(statement.raw))
            .collect(),
    };
    let mut grants = Vec::new();
    for statement in read.iter().filter(|statement| statement.allows) {
        grants.extend(document.grant(statement)?);
    }
    Ok(JudgedStatement {
        grants,
        statements: raw.len(),
    })
}

fn version(text: &str) -> Option<String> {
    let document: Value = serde_json::from_str(text).ok()?;
    document.get("Version")?.as_str().map(str::to_owned)
}

struct Document<'d, 't> {
    trust: &'d Trust,
    all: Option<&'d str>,
    variables: bool,
    /// The statements that deny, but for ecr-warden's own quarantine.
    denies: Vec<&'d Statement<'t>>,
}

/// What the statements that deny leave of one that allows.
#[derive(Debug, Default)]
struct Denied {
    /// The one that keeps out all but some, and those.
    spares: Option<(String, Vec<Named>)>,
    /// The names of those that do not settle who gets in.
    others: Vec<String>,
}

/// The callers that the conditions of a statement admit.
#[derive(Debug)]
enum Admitted {
    /// Strangers; beside them those named, and why.
    Anyone(Vec<Named>, Vec<String>),
    Only(Vec<Named>),
    /// It cannot be judged: why.
    Unknown(Vec<String>),
}

impl<'t> Document<'_, 't> {
    /// What a statement that allows something grants to others than the trusted.
    fn grant(&self, statement: &Statement<'t>) -> Result<Option<Grant<'t>>, String> {
        let meanings = self.conditions(statement).meanings()?;
        let trusted_only = |meaning: &Meaning| matches!(meaning, Meaning::Only(named) if named.iter().all(|one| one.trusted));
        if meanings.iter().any(trusted_only) {
            return Ok(None);
        }
        let principals = &statement.principals;
        let strangers: Vec<&Named> = principals.named.iter().filter(|one| !one.trusted).collect();
        let admitted = admitted(meanings);
        let asks_for_sources = !principals.services.is_empty()
            && match &admitted {
                Admitted::Only(_) => true,
                Admitted::Anyone(..) | Admitted::Unknown(_) => {
                    self.trust.services == Services::WithSource
                }
            };
        if !principals.everyone && strangers.is_empty() && !asks_for_sources {
            return Ok(None);
        }
        let Denied { spares, mut others } = self.denied(statement)?;
        if let Some((deny, named)) = &spares {
            if named.iter().all(|one| one.trusted) {
                return Ok(None);
            }
            others.push(deny.clone());
        }
        let mut grant = if principals.everyone {
            everyone(statement, admitted, spares)
        } else {
            named(statement, &strangers, admitted)
        };
        if grant.removal != Removal::Never && !others.is_empty() {
            grant.removal = Removal::Never;
            grant.instead = format!(
                "remove the statement, or narrow it, where it is written: {} denies some of it, so what is meant is not certain",
                others.join(", ")
            );
        }
        Ok(Some(grant))
    }

    fn conditions<'s>(&'s self, statement: &'s Statement<'t>) -> Conditions<'s> {
        Conditions {
            conditions: &statement.conditions,
            trust: self.trust,
            variables: self.variables,
        }
    }

    /// What the statements that deny leave of one that allows.
    fn denied(&self, statement: &Statement<'t>) -> Result<Denied, String> {
        let mut denied = Denied::default();
        let names_someone = |deny: &&&Statement<'_>| deny.principals != Principals::default();
        for deny in self.denies.iter().filter(names_someone) {
            let spared = if deny.names_resources(self.all)
                || !deny.principals.everyone
                || !deny.actions.cover(&statement.actions)
            {
                None
            } else {
                spared(&self.conditions(deny))?
            };
            match spared {
                // Without a condition, the Deny spares those that `NotPrincipal` leaves out.
                Some(mut named) => {
                    named.extend(deny.principals.but.clone().unwrap_or_default());
                    let trusted = named.iter().all(|one| one.trusted);
                    if denied.spares.is_none() || trusted {
                        denied.spares = Some((deny.label.clone(), named));
                    }
                }
                None => denied.others.push(deny.label.clone()),
            }
        }
        Ok(denied)
    }
}

/// All conditions of a statement must hold, so one that names identities decides.
fn admitted(meanings: Vec<Meaning>) -> Admitted {
    let (mut named, mut loose, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    let mut only: Option<Vec<Named>> = None;
    let mut others_trusted = false;
    for meaning in meanings {
        match meaning {
            Meaning::Anyone | Meaning::AllBut(_) => {}
            Meaning::Loose(of, why) => {
                named.extend(of);
                loose.push(why);
            }
            Meaning::Only(of) => {
                let shorter = only.as_ref().is_none_or(|known| of.len() < known.len());
                let other = if shorter { only.replace(of) } else { Some(of) };
                others_trusted |= other.is_some_and(|it| it.iter().any(|one| one.trusted));
            }
            Meaning::Unknown(why) => unknown.push(why),
        }
    }
    // A caller must meet all of them, and another one names a trusted caller.
    for named in only.iter_mut().flatten() {
        named.some_trusted |= others_trusted;
    }
    match only {
        Some(only) => Admitted::Only(only),
        None if !unknown.is_empty() => Admitted::Unknown(unknown),
        None => Admitted::Anyone(named, loose),
    }
}

/// A statement for everyone.
fn everyone<'t>(
    statement: &Statement<'t>,
    admitted: Admitted,
    spares: Option<(String, Vec<Named>)>,
) -> Grant<'t> {
    let uses = statement.actions.uses();
    let grant = |to, whom: &str, instead: String, removal| Grant {
        raw: statement.raw,
        label: statement.label.clone(),
        to,
        detail: format!("statement {} lets {whom} {uses}", statement.label),
        instead,
        removal,
        strangers: Vec::new(),
    };
    match (admitted, spares) {
        (Admitted::Only(named), _) => of_named(statement, &named.iter().collect::<Vec<_>>(), &named),
        (_, Some((deny, named))) if named.iter().any(|one| one.setting == Setting::Services) => grant(
            To::Everyone,
            &format!("{} through {deny}", list(named.iter())),
            "write the organization as a condition of the statement that allows, `StringEquals` of `aws:PrincipalOrgID`, and for each AWS \
             service a statement of its own with `aws:SourceOrgID`"
                .to_owned(),
            Removal::Never,
        ),
        (_, Some((deny, named))) => {
            let strangers: Vec<&Named> = named.iter().filter(|one| !one.trusted).collect();
            let granted = grant(
                To::Named,
                &format!("{} through {deny}", list(strangers.iter().copied())),
                trust_them(&strangers),
                Removal::Never,
            );
            Grant {
                strangers: strangers.iter().filter_map(|one| one.stranger()).collect(),
                ..granted
            }
        }
        (Admitted::Unknown(why), None) => grant(
            To::Everyone,
            "everyone",
            format!(
                "{}; write whom it lets in as a condition that names accounts (`aws:PrincipalAccount`), organizations \
                 (`aws:PrincipalOrgID`) or VPC endpoints (`aws:SourceVpce`)",
                why.join("; ")
            ),
            Removal::Never,
        ),
        (Admitted::Anyone(named, why), None) => {
            let removal = if named.iter().any(Named::may_be_trusted) {
                Removal::Never
            } else if statement.principals.named.is_empty() && statement.principals.services.is_empty() {
                Removal::Whole
            } else {
                Removal::Narrowed(without_everyone(statement.value.clone()))
            };
            let but = statement.principals.but.is_some();
            let whom = if but { "everyone but those that it names" } else { "everyone" };
            let instead = if why.is_empty() {
                "name the accounts that it is for, or add a condition on `aws:PrincipalOrgID`".to_owned()
            } else {
                why.join("; ")
            };
            grant(To::Everyone, whom, instead, removal)
        }
    }
}

/// A statement for those that it names.
fn named<'t>(statement: &Statement<'t>, strangers: &[&Named], admitted: Admitted) -> Grant<'t> {
    let services = &statement.principals.services;
    let for_anyone: Vec<Named> = services.iter().map(|name| Named::service(name)).collect();
    let mut whom: Vec<&Named> = strangers.to_vec();
    match admitted {
        Admitted::Only(sources) => {
            // Of those who call themselves, it is enough that they are named.
            let of: Vec<Named> = services
                .iter()
                .flat_map(|service| {
                    let strange = sources.iter().filter(|source| !source.trusted);
                    strange.map(move |source| Named {
                        text: format!("{service} for {}", source.text),
                        ..source.clone()
                    })
                })
                .collect();
            whom.extend(&of);
            of_named(statement, &whom, &sources)
        }
        Admitted::Unknown(why) => {
            whom.extend(&for_anyone);
            let mut grant = of_named(statement, &whom, &[]);
            grant.instead = format!("{}; {}", why.join("; "), grant.instead);
            grant.removal = Removal::Never;
            grant
        }
        Admitted::Anyone(..) => {
            whom.extend(&for_anyone);
            let mut grant = of_named(statement, &whom, &[]);
            if strangers.is_empty() {
                grant.removal = Removal::Never;
            }
            grant
        }
    }
}

/// The grant to some who are not trusted. `narrowed`: those whom a condition names.
fn of_named<'t>(statement: &Statement<'t>, whom: &[&Named], narrowed: &[Named]) -> Grant<'t> {
    let strangers: Vec<&Named> = whom.iter().copied().filter(|one| !one.trusted).collect();
    let principals = &statement.principals;
    let names_trusted = principals
        .named
        .iter()
        .chain(narrowed)
        .any(|one| one.trusted);
    let includes_trusted = strangers.iter().any(|one| one.some_trusted);
    let serves = !principals.services.is_empty() && !principals.named.is_empty();
    Grant {
        raw: statement.raw,
        label: statement.label.clone(),
        to: To::Named,
        detail: format!(
            "statement {} lets {} {}",
            statement.label,
            list(strangers.iter().copied()),
            statement.actions.uses()
        ),
        instead: trust_them(&strangers),
        removal: if names_trusted || serves || includes_trusted {
            Removal::Never
        } else {
            Removal::Whole
        },
        strangers: strangers.iter().filter_map(|one| one.stranger()).collect(),
    }
}

/// More are counted.
const MOST_NAMED: usize = 20;

fn list<'n>(named: impl Iterator<Item = &'n Named>) -> String {
    let mut texts: Vec<&str> = named.map(|one| one.text.as_str()).collect();
    texts.dedup();
    let more = texts.len().saturating_sub(MOST_NAMED);
    texts.truncate(MOST_NAMED);
    let listed = texts.join(", ");
    match more {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

/// The ways to trust these identities, or to remove them.
fn trust_them(strangers: &[&Named]) -> String {
    let mut settings: Vec<Setting> = strangers.iter().map(|one| one.setting).collect();
    settings.sort_unstable();
    settings.dedup();
    let names: Vec<String> = settings
        .iter()
        .filter_map(|setting| setting.name())
        .map(|name| format!("`{name}`"))
        .collect();
    let mut ways = Vec::new();
    if !names.is_empty() {
        ways.push(format!(
            "add those that may be let in to {}",
            names.join(" or ")
        ));
    }
    if settings.contains(&Setting::Accounts) {
        ways.push(
            "for members of a trusted organization, add the condition `aws:PrincipalOrgID`"
                .to_owned(),
        );
    }
    if settings.contains(&Setting::Services) {
        ways.push(
            "add a condition on `aws:SourceAccount`, `aws:SourceArn` or `aws:SourceOrgID` that says for whom the service acts"
                .to_owned(),
        );
    }
    ways.push("remove the others from the statement".to_owned());
    ways.join("; ")
}

/// The statement with `*` taken out of its principals.
fn without_everyone(mut statement: Value) -> String {
    if let Some(Value::Object(kinds)) = statement.get_mut("Principal") {
        kinds.retain(|_, named| match named {
            Value::Array(many) => {
                many.retain(|one| one.as_str() != Some("*"));
                !many.is_empty()
            }
            other => other.as_str() != Some("*"),
        });
    }
    statement.to_string()
}
