//! Who may use all repositories of a registry: by its registry policy, and by the replication that copies images elsewhere.
//!
//! Source: ECR User Guide, "Private registry permissions" and "Private image replication".

use super::statement::Statement;
use super::trust::Trust;
use super::value::strings;
use super::{Grant, JudgedStatement, To, judge_in, ways};
use crate::finding::{Fix, Violation};
use crate::registry::{ROOT, Registry, ReplicationDestination};
use crate::repository::RepositoryId;
use crate::repository_policy::statements;

const SHOW_POLICY: &str = "check the registry policy: aws ecr get-registry-policy";
const SHOW_REPLICATION: &str = "check the replication: aws ecr describe-registry";

/// The statements of the registry policy that let in everyone. That the policy cannot be read is said here.
pub(crate) fn to_everyone(registry: &Registry, trust: &Trust) -> Option<Violation> {
    let unknown = |detail: String| Violation {
        detail,
        fix: Fix::Manual(SHOW_POLICY.to_owned()),
    };
    if let Some(why) = registry.policy.unreadable() {
        return Some(unknown(format!(
            "who may use its repositories is unknown, because the registry policy cannot be read: {why}"
        )));
    }
    let text = registry.policy.known()?.as_ref()?;
    match judge(text, &registry.id, trust) {
        Ok(judged) => violation(vec![of_policy(&judged, To::Everyone)?]),
        Err(why) => Some(unknown(format!(
            "the registry policy cannot be understood: {why}"
        ))),
    }
}

/// The statements that let in callers who are not trusted, and the replication to accounts that are not.
pub(crate) fn to_named(registry: &Registry, trust: &Trust) -> Option<Violation> {
    let text = registry.policy.known().and_then(Option::as_ref);
    let judged = text.and_then(|text| judge(text, &registry.id, trust).ok());
    let granted = judged.and_then(|judged| of_policy(&judged, To::Named));
    violation(
        granted
            .into_iter()
            .chain(replicated(registry, trust))
            .collect(),
    )
}

/// The prefixes under which a registry policy lets other registries create repositories by replication ([`ROOT`]: anywhere). A document
/// that cannot be understood is reported by `public-access`.
pub(crate) fn replicated_into(policy: &str) -> Vec<String> {
    let mut prefixes = Vec::new();
    for raw in statements(policy).unwrap_or_default() {
        let Ok(statement) = Statement::read(raw, 0, &Trust::default()) else {
            continue;
        };
        let asked = ["replicateimage", "createrepository"];
        if !statement.allows || !asked.iter().all(|action| statement.actions.has(action)) {
            continue;
        }
        let resources = statement.value.get("Resource");
        let resources = resources.and_then(|resources| strings(resources).ok());
        prefixes.extend(resources.into_iter().flatten().map(prefix_of));
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}

/// The part of a resource's name that is the same for all repositories it is about, up to a `/`.
fn prefix_of(resource: &str) -> String {
    let name = resource
        .split_once(":repository/")
        .map_or("", |(_, name)| name);
    let fixed = name.split(['*', '?']).next().unwrap_or_default();
    let prefix = fixed.rsplit_once('/').map_or("", |(prefix, _)| prefix);
    if prefix.is_empty() { ROOT } else { prefix }.to_owned()
}

/// What is wrong, and what to do about it.
type Complaint = (String, String);

fn violation(complaints: Vec<Complaint>) -> Option<Violation> {
    let (details, to_do): (Vec<String>, Vec<String>) = complaints.into_iter().unzip();
    (!details.is_empty()).then(|| Violation {
        detail: details.join("; "),
        fix: Fix::Manual(to_do.join("; ")),
    })
}

fn judge<'t>(
    text: &'t str,
    id: &RepositoryId,
    trust: &Trust,
) -> Result<JudgedStatement<'t>, String> {
    let all = RepositoryId {
        name: "*".to_owned(),
        ..id.clone()
    };
    judge_in(text, trust, Some(&all.arn()))
}

fn of_policy(judged: &JudgedStatement<'_>, to: To) -> Option<Complaint> {
    let grants: Vec<&Grant<'_>> = judged.grants.iter().filter(|it| it.to == to).collect();
    let details: Vec<&str> = grants.iter().map(|grant| grant.detail.as_str()).collect();
    (!grants.is_empty()).then(|| {
        let detail = format!("in the registry policy {}", details.join("; "));
        (detail, ways(&grants))
    })
}

fn replicated(registry: &Registry, trust: &Trust) -> Option<Complaint> {
    if let Some(why) = registry.destinations.unreadable() {
        let detail = format!("where replication copies images to cannot be read: {why}");
        return Some((detail, SHOW_REPLICATION.to_owned()));
    }
    let trusted = |account: &String| *account == trust.own || trust.accounts.contains(account);
    let mut foreign: Vec<&ReplicationDestination> = registry
        .destinations
        .known()?
        .iter()
        .filter(|destination| !trusted(&destination.account))
        .collect();
    foreign.sort_unstable();
    foreign.dedup();
    let places: Vec<String> = foreign
        .iter()
        .map(|destination| format!("{} ({})", destination.account, destination.region))
        .collect();
    (!places.is_empty()).then(|| {
        let detail = format!("replication copies images to account {}", places.join(", "));
        let to_do = "add the account to `trusted-accounts`, or remove it from the replication: aws ecr \
                     put-replication-configuration";
        (detail, to_do.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::Read;

    const OWN: &str = "123456789012";

    fn trust() -> Trust {
        Trust {
            own: OWN.to_owned(),
            accounts: ["210987654321".to_owned()].into(),
            organizations: ["o-abcdefghij".to_owned()].into(),
            ..Trust::default()
        }
    }

    fn registry(statements: &str) -> Registry {
        Registry {
            policy: Read::Known(Some(format!(
                r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#
            ))),
            destinations: Read::Known(Vec::new()),
            ..Registry::unread(&RepositoryId::of_registry(OWN, "eu-central-1"))
        }
    }

    fn statement(effect: &str, principal: &str, condition: &str) -> String {
        format!(
            r#"{{"Sid":"{effect}It","Effect":"{effect}","Principal":{principal},"Action":"ecr:*",
                "Resource":"arn:aws:ecr:eu-central-1:123456789012:repository/*"{condition}}}"#
        )
    }

    const OUTSIDE: &str =
        r#","Condition":{"StringNotEquals":{"aws:PrincipalOrgID":"o-abcdefghij"}}"#;
    const EVERYONE: &str = r#""*""#;
    const TRUSTED: &str = r#"{"AWS":"arn:aws:iam::210987654321:root"}"#;
    const STRANGER: &str = r#"{"AWS":"arn:aws:iam::999988887777:root"}"#;

    /// The situations of a registry policy, and which of the two rules finds something.
    #[test]
    fn a_registry_policy_is_judged_as_one_document() {
        let allow = |principal: &str| statement("Allow", principal, "");
        let perimeter = statement("Deny", EVERYONE, OUTSIDE);
        let elsewhere = perimeter.replace("eu-central-1", "us-east-1");
        for (statements, everyone, named) in [
            (allow(TRUSTED), false, false),
            (allow(STRANGER), false, true),
            (allow(EVERYONE), true, false),
            (
                format!("{},{}", allow(EVERYONE), allow(STRANGER)),
                true,
                true,
            ),
            // The Deny over all repositories leaves the organization alone; one over those of another region does not.
            (format!("{},{perimeter}", allow(EVERYONE)), false, false),
            (format!("{},{elsewhere}", allow(EVERYONE)), true, false),
        ] {
            let registry = registry(&statements);
            let found = (
                to_everyone(&registry, &trust()).is_some(),
                to_named(&registry, &trust()).is_some(),
            );
            assert_eq!(found, (everyone, named), "{statements}");
        }
    }

    #[test]
    fn the_message_names_the_statement_who_is_let_in_and_what_to_write_instead() {
        let found = to_everyone(&registry(&statement("Allow", EVERYONE, "")), &trust()).unwrap();
        assert_eq!(
            found.detail,
            "in the registry policy statement `AllowIt` lets everyone pull, push and administer"
        );
        assert_eq!(
            found.for_people(),
            "statement `AllowIt`: name the accounts that it is for, or add a condition on `aws:PrincipalOrgID`"
        );
    }

    /// AWS's example allows both actions in one statement (ECR User Guide, "Granting registry permissions for cross account replication").
    #[test]
    fn replication_creates_repositories_where_the_policy_allows_both_actions() {
        let of = |action: &str, resource: &str| {
            let statement = format!(
                r#"{{"Effect":"Allow","Principal":{TRUSTED},"Action":{action},"Resource":{resource}}}"#
            );
            replicated_into(&format!(
                r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#
            ))
        };
        let both = r#"["ecr:CreateRepository","ecr:ReplicateImage"]"#;
        let arn = |name: &str| format!(r#""arn:aws:ecr:us-east-1:123456789012:repository/{name}""#);
        assert_eq!(of(both, &arn("*")), ["ROOT"]);
        assert_eq!(of(both, r#""*""#), ["ROOT"]);
        assert_eq!(of(both, &arn("prod/*")), ["prod"]);
        assert_eq!(of(both, &arn("prod/team/api")), ["prod/team"]);
        assert_eq!(of(both, &arn("prod-*")), ["ROOT"]);
        assert_eq!(of(r#""ecr:*""#, &arn("prod/*")), ["prod"]);
        assert_eq!(of(r#""ecr:ReplicateImage""#, &arn("prod/*")), [""; 0]);
        assert_eq!(replicated_into("not a policy"), [""; 0]);
    }

    #[test]
    fn replication_to_an_account_that_is_not_trusted_is_access() {
        let to = |account: &str| ReplicationDestination {
            account: account.to_owned(),
            region: "us-east-1".to_owned(),
        };
        let mut registry = Registry {
            destinations: Read::Known(vec![to(OWN), to("210987654321")]),
            policy: Read::Known(None),
            ..registry("")
        };
        assert_eq!(to_named(&registry, &trust()), None);
        registry.destinations = Read::Known(vec![to("999988887777"), to("999988887777")]);
        let found = to_named(&registry, &trust()).unwrap();
        assert_eq!(
            found.detail,
            "replication copies images to account 999988887777 (us-east-1)"
        );
        assert_eq!(to_everyone(&registry, &trust()), None);
    }

    #[test]
    fn what_cannot_be_read_or_understood_is_no_conforming_registry() {
        let unreadable = |why: &str| Read::Unreadable(why.to_owned());
        let registry = Registry {
            policy: unreadable("ecr:GetRegistryPolicy is denied"),
            destinations: Read::Unreadable("ecr:DescribeRegistry is denied".to_owned()),
            ..registry("")
        };
        let everyone = to_everyone(&registry, &trust()).unwrap().detail;
        assert!(everyone.contains("GetRegistryPolicy"), "{everyone}");
        let named = to_named(&registry, &trust()).unwrap().detail;
        assert!(named.contains("DescribeRegistry"), "{named}");
        let odd = Registry {
            policy: Read::Known(Some("{}".to_owned())),
            ..registry
        };
        assert!(to_everyone(&odd, &trust()).is_some());
    }
}
