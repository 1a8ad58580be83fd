//! `public-access`: the repository policy lets in everyone, or everyone but some.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{self, Services, To, Trust, advice};
use crate::action::Action;
use crate::finding::{Fix, Severity, Violation};
use crate::registry::{Registry, RegistryReads};
use crate::repository::{Reads, Repository, RepositoryId};
use crate::rule::{
    Advice, Meta, NewRepositories, RegistryViolation, Rule, RuleMode, Settings, Subject,
};

/// A repository policy that lets in everyone. Whom this rule or `untrusted-access` trusts counts for both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PublicAccess {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// Account ids, quoted, that may be let in beside the repository's own.
    pub trusted_accounts: BTreeSet<String>,
    /// Organizations (`o-…`) whose accounts may be let in, by a condition on `aws:PrincipalOrgID`.
    pub trusted_organizations: BTreeSet<String>,
    /// Organizational units (`o-…/r-…/ou-…/*`) whose accounts may be let in, by a condition on `aws:PrincipalOrgPaths`.
    pub trusted_organization_paths: BTreeSet<String>,
    /// VPCs (`vpc-…`) through which callers may be let in, by a condition on `aws:SourceVpc`.
    pub trusted_vpcs: BTreeSet<String>,
    /// VPC endpoints (`vpce-…`) through which callers may be let in, by a condition on `aws:SourceVpce`.
    pub trusted_vpc_endpoints: BTreeSet<String>,
    /// Whether AWS services that a statement names may act for any account, or only for those that a condition says.
    pub services: Services,
}

impl Settings for PublicAccess {
    const JUDGES_REGISTRY: bool = true;
    const KNOWN_AT_CREATION: bool = true;

    const META: Meta = Meta {
        id: "public-access",
        severity: Severity::High,
        subject: Subject::Repository,
        summary: "The repository policy or the registry policy admits everyone",
        repair: "removes the offending statements of a repository policy",
        explanation: "\
A statement that allows `*`, or everyone except some (`NotPrincipal`, negated conditions), lets \
strangers pull images, or push them. The document is evaluated as IAM does: a statement passes if \
one of its conditions admits trusted callers only, or if a Deny over the same actions excludes all \
others. Conditions are on the account, the organization or its units, the VPC or the VPC endpoint: \
`aws:PrincipalAccount`, `aws:PrincipalArn`, `aws:PrincipalOrgID`, `aws:PrincipalOrgPaths`, \
`aws:SourceAccount`, `aws:SourceArn`, `aws:SourceVpc`, `aws:SourceVpce` and similar keys. \
`${aws:ResourceAccount}` and `${aws:ResourceOrgID}` are the own account and organization.

These admit strangers, although they look like a restriction: `ForAllValues` and `IfExists`, which \
hold for callers without the key; `Null`; conditions on what is not the caller \
(`aws:ResourceAccount`, `aws:ResourceOrgID`, `aws:SecureTransport`, `aws:CalledVia`); a value of \
`*`; the address range `0.0.0.0/0`.

By default ECR evaluates the registry policy together with each repository policy, so a public one \
opens every repository. It is judged in the same way, once per account and region; the finding is \
the registry's and is never repaired: other teams' replication and pull-through caches depend on \
that document. A glob of repositories is for no registry, so an override or exemption for it names \
accounts or regions only.

The repair removes exactly the statements that admit everyone and leaves the others as they are \
written. From a statement that names others together with `*`, it removes the `*`. These are \
reported and not changed: a statement with a condition that cannot be evaluated, such as \
`aws:SourceIp`; one that names a trusted organization and admits everyone by mistake; a document \
with another statement that denies; and one that cannot be understood. The repair is never \
suspended by `repair-limit`: where something reverts it again and again, the next one is made an \
hour later, then twice as long each time, and the finding is critical. `settle` does not delay it.

The repository policy can also deny ecr-warden itself. AWS's error names that policy, and the \
critical finding `blinded` lists the denied reads. Prevent it by a service control policy that \
denies `ecr:SetRepositoryPolicy` to all principals but those that deploy repository policies: IAM \
has no condition on the text of a repository policy. The callers of the removed statement lose \
access at once.",
        example: r#"public-access:
  trusted-accounts: ["111122223333"]
  trusted-organizations: [o-a1b2c3d4e5]
  trusted-vpc-endpoints: [vpce-0a1b2c3d4e5f60718]"#,
        controls: &["Prowler ecr_repositories_not_publicly_accessible"],
    };
}

impl Rule for PublicAccess {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        Reads {
            policy: true,
            ..Reads::default()
        }
    }

    fn check(&self, repository: &Repository) -> Option<Violation> {
        let unknown = |detail: String| Violation {
            detail,
            fix: Fix::Manual(
                "check the repository policy: aws ecr get-repository-policy --repository-name \
                 \"$REPOSITORY\""
                    .to_owned(),
            ),
        };
        let text = match repository.policy.required() {
            Ok(text) => text.as_ref()?,
            Err(why) => return Some(unknown(format!("who may use it is unknown: {why}"))),
        };
        match access::judge(text, &self.trust(&repository.id.account)) {
            Ok(judged) => judged.violation(text, To::Everyone, true),
            Err(why) => Some(unknown(format!(
                "the repository policy can't be understood: {why}"
            ))),
        }
    }

    fn registry_reads(&self) -> RegistryReads {
        RegistryReads {
            policy: true,
            ..RegistryReads::default()
        }
    }

    fn check_registry(
        &self,
        registry: &Registry,
        _policy: &NewRepositories<'_>,
    ) -> Option<RegistryViolation> {
        let trust = self.trust(&registry.id.account);
        access::registry::to_everyone(registry, &trust).map(RegistryViolation::from)
    }

    fn contradictions(&self) -> Vec<String> {
        self.trust("").contradictions()
    }

    fn advice(&self, id: &RepositoryId) -> Advice {
        self.advice_on(id, None)
    }

    fn advice_on(&self, id: &RepositoryId, repair: Option<&Action>) -> Advice {
        advice::on(id, &self.trust(&id.account), repair)
    }
}

impl PublicAccess {
    fn trust(&self, own: &str) -> Trust {
        Trust {
            own: own.to_owned(),
            accounts: self.trusted_accounts.clone(),
            organizations: self.trusted_organizations.clone(),
            organization_paths: self.trusted_organization_paths.clone(),
            vpcs: self.trusted_vpcs.clone(),
            vpc_endpoints: self.trusted_vpc_endpoints.clone(),
            services: self.services,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::evaluate::tests::repository;
    use crate::repository::Read;

    const OWN: &str = "123456789012";

    fn rule() -> PublicAccess {
        PublicAccess {
            trusted_accounts: ["210987654321".to_owned()].into(),
            trusted_organizations: ["o-abcdefghij".to_owned()].into(),
            ..PublicAccess::default()
        }
    }

    fn with(text: &str) -> Repository {
        let mut repository = repository();
        repository.policy = Read::Known(Some(text.to_owned()));
        repository
    }

    #[test]
    fn everyone_beside_trusted_accounts_is_removed_and_they_stay() {
        let statement = json!({ "Sid": "x", "Effect": "Allow", "Principal": { "AWS": ["*", OWN] }, "Action": "ecr:*" });
        let services = json!({ "Effect": "Allow", "Principal": { "AWS": "*", "Service": "codebuild.amazonaws.com" }, "Action": "ecr:*" });
        let own = r#"{ "Sid" : "keep", "Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"ecr:*" }"#;
        let text = format!(r#"{{"Statement":[{statement}, {own},{services}]}}"#);
        let violation = rule().check(&with(&text)).unwrap();
        let Fix::Safe(Action::SetRepositoryPolicy { to: Some(to), .. }) = violation.fix else {
            panic!("{violation:?}");
        };
        assert_eq!(rule().check(&with(&to)), None, "{to}");
        assert!(to.contains(own), "{to}");
        let left: Value = serde_json::from_str(&to).unwrap();
        assert_eq!(
            left["Statement"][0]["Principal"],
            json!({ "AWS": [OWN] }),
            "{to}"
        );
        let service = json!({ "Service": "codebuild.amazonaws.com" });
        assert_eq!(left["Statement"][2]["Principal"], service, "{to}");
    }

    #[test]
    fn a_doubtful_statement_does_not_keep_an_offending_one() {
        let open = r#"{"Sid":"open","Effect":"Allow","Principal":"*","Action":"ecr:*"}"#;
        let doubtful = r#"{"Sid":"doubt","Effect":"Allow","Principal":"*","Action":"ecr:*","Condition":{"StringEquals":{"aws:SourceIp":"10.0.0.0/8"}}}"#;
        let text = format!(r#"{{"Statement":[{open},{doubtful}]}}"#);
        let violation = rule().check(&with(&text)).unwrap();
        let Fix::Safe(Action::SetRepositoryPolicy { to: Some(to), .. }) = violation.fix else {
            panic!("{violation:?}");
        };
        assert_eq!(to, format!(r#"{{"Statement":[{doubtful}]}}"#));
        let left = rule().check(&with(&to)).unwrap();
        assert!(
            left.detail.contains("`doubt`") && matches!(left.fix, Fix::Manual(_)),
            "{left:?}"
        );
    }

    #[test]
    fn only_the_offending_statements_go_and_the_rest_keeps_its_bytes() {
        let keep = r#"{ "Sid" : "keep", "Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":[ "ecr:*" ] }"#;
        let open =
            r#"{"Sid":"open","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}"#;
        for (order, left) in [
            (
                vec![keep, open],
                format!("{{\"Version\":\"2012-10-17\",\n \"Statement\" : [ {keep} ]}}"),
            ),
            (
                vec![open, keep],
                format!("{{\"Version\":\"2012-10-17\",\n \"Statement\" : [ {keep} ]}}"),
            ),
            (
                vec![open, keep, open],
                format!("{{\"Version\":\"2012-10-17\",\n \"Statement\" : [ {keep} ]}}"),
            ),
            (
                vec![keep, open, keep],
                format!("{{\"Version\":\"2012-10-17\",\n \"Statement\" : [ {keep} , {keep} ]}}"),
            ),
        ] {
            let text = format!(
                "{{\"Version\":\"2012-10-17\",\n \"Statement\" : [ {} ]}}",
                order.join(" , ")
            );
            let Some(Fix::Safe(Action::SetRepositoryPolicy { to: Some(to), .. })) =
                rule().check(&with(&text)).map(|violation| violation.fix)
            else {
                panic!("no repair of {text}");
            };
            assert_eq!(to, left, "of {text}");
            assert_eq!(rule().check(&with(&to)), None, "what is left is fine");
        }
    }

    #[test]
    fn a_policy_of_nothing_else_is_deleted() {
        for text in [
            r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:*"}}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}"#,
        ] {
            let violation = rule().check(&with(text)).unwrap();
            assert!(
                matches!(
                    violation.fix,
                    Fix::Safe(Action::SetRepositoryPolicy { to: None, .. })
                ),
                "{violation:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_understood_is_for_people() {
        let deep = format!("{{\"Statement\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        for text in [
            "",
            "{}",
            "[]",
            "{\"Statement\":7}",
            "{\"Statement\":[7]}",
            "{\"Statement\":[{\"Effect\":\"Maybe\"}]}",
            "{\"Statement\":[{\"Effect\":\"Allow\"}]}",
            "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":7}}]}",
            "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Condition\":7}]}",
            "{\"Statement\":[],\"Statement\":[]}",
            &deep,
        ] {
            let violation = rule()
                .check(&with(text))
                .unwrap_or_else(|| panic!("{text} passed"));
            assert!(
                matches!(violation.fix, Fix::Manual(_)),
                "{text}: {violation:?}"
            );
        }
        let mut unread = repository();
        unread.policy = Read::Unreadable("denied".to_owned());
        assert!(matches!(rule().check(&unread).unwrap().fix, Fix::Manual(_)));
    }

    #[test]
    fn no_policy_and_no_statements_are_fine() {
        assert_eq!(rule().check(&repository()), None);
        assert_eq!(rule().check(&with("{\"Statement\":[]}")), None);
    }

    #[test]
    fn settings_that_are_no_accounts() {
        let wrong = PublicAccess {
            trusted_accounts: ["12345".to_owned()].into(),
            trusted_organizations: ["abc".to_owned(), "o-abc/r-1".to_owned()].into(),
            trusted_organization_paths: ["o-abc".to_owned(), "o-abc/r-*/ou-1/".to_owned()].into(),
            trusted_vpcs: ["vpce-1".to_owned()].into(),
            trusted_vpc_endpoints: ["vpc-1".to_owned()].into(),
            ..PublicAccess::default()
        };
        assert_eq!(wrong.contradictions().len(), 7);
    }

    #[test]
    fn advice_passes_the_rule_itself() {
        for rule in [
            PublicAccess::default(),
            PublicAccess {
                trusted_accounts: ["111122223333".to_owned()].into(),
                ..PublicAccess::default()
            },
            PublicAccess {
                trusted_organizations: ["o-abc123".to_owned()].into(),
                ..PublicAccess::default()
            },
        ] {
            let mut repository = crate::evaluate::tests::repository();
            let document = advice::trusting(&rule.trust(&repository.id.account));
            let advice = rule.advice(&repository.id);
            assert!(advice.cli.ends_with(&format!("--policy-text '{document}'")));
            for text in [&advice.terraform, &advice.cloudformation] {
                assert!(text.contains(&document), "{text}");
            }
            repository.policy = crate::repository::Read::Known(Some(document));
            assert_eq!(rule.check(&repository), None);
        }
    }

    #[test]
    fn advice_on_a_repair_is_what_it_leaves() {
        let id = crate::evaluate::tests::repository().id;
        let leaves = |to: Option<&str>| {
            let action = Action::SetRepositoryPolicy {
                from: Some("{}".to_owned()),
                to: to.map(str::to_owned),
            };
            PublicAccess::default().advice_on(&id, Some(&action))
        };
        assert!(leaves(Some("{\"kept\":1}")).cli.ends_with("'{\"kept\":1}'"));
        assert!(leaves(None).cli.contains("delete-repository-policy"));
    }
}
