//! `missing-tags`: a resource tag that the policy requires is absent or has a value that it does not allow.

mod text;

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use wildmatch::WildMatch;

use self::text::advise;
use crate::action::Action;
use crate::finding::{Fix, Severity, Violation};
use crate::repository::{Reads, Repository, RepositoryId};
use crate::rule::{Advice, Meta, Rule, RuleMode, Settings, Subject};

/// ECR: keys of 1 to 128 characters, values of up to 256.
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;

/// A required tag that is absent or wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MissingTags {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// The required tags by key.
    pub require: BTreeMap<String, RequiredTag>,
    /// A repository needs at least one tag, whichever it is.
    pub any: bool,
}

/// What is asked of one tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RequiredTag {
    /// The values that it may have, with `*`: `team-*`; without any, every value that is not empty.
    pub allowed: Vec<String>,
    /// The value that a repair sets if the tag is absent or wrong; without it, findings are only reported. `{ actor: true }`: the ARN of the
    /// caller who creates the repository.
    pub default: Option<DefaultValue>,
}

/// What a repair sets a tag to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum DefaultValue {
    /// This value.
    Text(String),
    /// The ARN of who created the repository. It is known from the event of the creation alone.
    Actor {
        /// `true`.
        actor: bool,
    },
}

impl<'de> Deserialize<'de> for DefaultValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfDefault)
    }
}

struct OfDefault;

impl<'de> Visitor<'de> for OfDefault {
    type Value = DefaultValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value in quotes, or { actor: true }")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<DefaultValue, E> {
        Ok(DefaultValue::Text(value.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<DefaultValue, A::Error> {
        let mut actor = false;
        while let Some(key) = fields.next_key::<String>()? {
            if key != "actor" {
                return Err(de::Error::unknown_field(&key, &["actor"]));
            }
            actor = fields.next_value()?;
        }
        if actor {
            Ok(DefaultValue::Actor { actor })
        } else {
            Err(de::Error::custom(
                "write `{ actor: true }`, or leave `default` out",
            ))
        }
    }
}

impl RequiredTag {
    fn accepts(&self, value: &str) -> bool {
        if self.allowed.is_empty() {
            !value.is_empty()
        } else {
            let matches = |allowed: &String| WildMatch::new(allowed).matches(value);
            self.allowed.iter().any(matches)
        }
    }

    /// A value that the policy names: AWS takes no `*` in a value.
    fn value(&self) -> Option<&String> {
        let written = |allowed: &&String| !allowed.contains('*');
        self.text().or_else(|| self.allowed.iter().find(written))
    }

    fn text(&self) -> Option<&String> {
        match &self.default {
            Some(DefaultValue::Text(text)) => Some(text),
            Some(DefaultValue::Actor { .. }) | None => None,
        }
    }

    /// What a repair sets it to, if that is known and allowed.
    fn default_for(&self, repository: &Repository) -> Option<String> {
        match &self.default {
            Some(DefaultValue::Text(text)) => Some(text.clone()),
            Some(DefaultValue::Actor { .. }) => {
                let creator = repository.creator.as_deref()?;
                Some(tag_value(creator)).filter(|value| self.accepts(value))
            }
            None => None,
        }
    }

    /// What the team is to tag it with.
    fn wanted(&self, key: &str) -> String {
        let values = match self.allowed.as_slice() {
            [] => String::new(),
            allowed => format!(" (one of {})", allowed.join(", ")),
        };
        let actor = match &self.default {
            Some(DefaultValue::Actor { .. }) => {
                " (its creator is set if the event of its creation names one, and the value is allowed)"
            }
            Some(DefaultValue::Text(_)) | None => "",
        };
        format!("`{key}`{values}{actor}")
    }
}

/// A text as a tag's value: ECR takes letters, digits, spaces and `_.:/=+-@`, at most 256 of them (API reference, Tag).
fn tag_value(text: &str) -> String {
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c) {
            c
        } else {
            '_'
        }
    };
    text.chars().map(fit).take(LONGEST_VALUE).collect()
}

impl Settings for MissingTags {
    const KNOWN_AT_CREATION: bool = true;

    const META: Meta = Meta {
        id: "missing-tags",
        severity: Severity::Low,
        subject: Subject::Repository,
        summary: "A required resource tag is absent or has a value that is not allowed",
        repair: "sets the default of a tag that has one",
        explanation: "\
Tags name the team that owns a repository, its cost centre and how sensitive its images are. \
Overrides and exemptions of this policy can depend on them.

The repair sets the policy's default where it has one, and replaces a wrong value by it. The alert \
and the record contain the old value. With `default: { actor: true }` the value is the ARN of the \
caller who created the repository, as the event of the creation names it: characters that a tag \
cannot have become `_`, and no more than 256 are kept. Where an AWS service created \
it, and in other events and sweeps, which do not know the creator, the tag is reported.",
        example: r#"missing-tags:
  require:
    team: {}
    owner: { allowed: ["team-*"] }
    data: { allowed: [public, internal, secret], default: internal }
    creator: { default: { actor: true } }"#,
        controls: &["AWS Config ECR_REPOSITORY_TAGGED"],
    };
}

impl Rule for MissingTags {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        Reads {
            tags: self.any || !self.require.is_empty(),
            ..Reads::default()
        }
    }

    fn judges_tags(&self) -> bool {
        true
    }

    fn check(&self, repository: &Repository) -> Option<Violation> {
        if !self.any && self.require.is_empty() {
            return None;
        }
        let tags = match repository.tags.required() {
            Ok(tags) => tags,
            Err(why) => {
                return Some(Violation {
                    detail: format!("cannot read its resource tags: {why}"),
                    fix: Fix::Manual(
                        "fix the read error above, or check its tags manually".to_owned(),
                    ),
                });
            }
        };
        let wrong: Vec<(&String, &RequiredTag)> = self
            .require
            .iter()
            .filter(|(key, required)| !tags.get(*key).is_some_and(|value| required.accepts(value)))
            .collect();
        if wrong.is_empty() {
            // AWS's own, such as `aws:cloudformation:stack-name`, say nothing of whose it is.
            let none = tags.keys().all(|key| key.starts_with("aws:"));
            return (self.any && none).then(|| Violation {
                detail: "it has no tags".to_owned(),
                fix: Fix::Manual("tag it, for example with the team that owns it".to_owned()),
            });
        }
        let named: Vec<String> = wrong
            .iter()
            .map(|(key, _)| match tags.get(*key) {
                Some(value) => format!(
                    "tag `{key}` is `{}`",
                    crate::text::one_line(value, LONGEST_VALUE)
                ),
                None => format!("tag `{key}` is missing"),
            })
            .collect();
        let to: BTreeMap<String, Option<String>> = wrong
            .iter()
            .filter_map(|(key, required)| {
                Some(((*key).clone(), Some(required.default_for(repository)?)))
            })
            .collect();
        let from = to
            .keys()
            .map(|key| (key.clone(), tags.get(key).cloned()))
            .collect();
        Some(Violation {
            detail: named.join(", "),
            fix: if to.is_empty() {
                let wanted: Vec<String> = wrong
                    .iter()
                    .map(|(key, required)| required.wanted(key))
                    .collect();
                Fix::Manual(format!("tag it with {}", wanted.join(", ")))
            } else {
                Fix::Safe(Action::SetTags { from, to })
            },
        })
    }

    fn at_creation(&self, new: &Repository, violation: &Violation) -> Result<Action, String> {
        let tags = new.tags.required()?;
        let wrong = self
            .require
            .iter()
            .filter(|(key, required)| !tags.get(*key).is_some_and(|value| required.accepts(value)));
        let to: BTreeMap<String, Option<String>> = wrong
            .filter_map(|(key, required)| Some((key.clone(), Some(required.value()?.clone()))))
            .collect();
        if to.is_empty() {
            return Err(violation.for_people().to_owned());
        }
        let from = to.keys().map(|key| (key.clone(), tags.get(key).cloned()));
        Ok(Action::SetTags {
            from: from.collect(),
            to,
        })
    }

    fn contradictions(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, required) in &self.require {
            let name = crate::text::one_line(key, 80);
            if key.is_empty() || key.chars().count() > LONGEST_KEY || key.starts_with("aws:") {
                problems.push(format!(
                    "require: `{name}` can't be a tag: 1 to {LONGEST_KEY} characters, not beginning with `aws:`"
                ));
            }
            let values = required.allowed.iter().chain(required.text());
            if values
                .into_iter()
                .any(|value| value.chars().count() > LONGEST_VALUE)
            {
                problems.push(format!(
                    "require: a value of `{name}` is longer than {LONGEST_VALUE} characters"
                ));
            }
            if required
                .text()
                .is_some_and(|default| !required.accepts(default))
            {
                problems.push(format!(
                    "require: the default of `{name}` is not one of its allowed values"
                ));
            }
            if required.text().is_some_and(|default| default.contains('*')) {
                problems.push(format!(
                    "require: the default of `{name}` has a `*`, which AWS does not take in a tag's value"
                ));
            }
        }
        problems
    }

    fn advice(&self, id: &RepositoryId) -> Advice {
        let tags = self
            .require
            .iter()
            .map(|(key, required)| (key.as_str(), required.value().map(String::as_str)));
        let one_of_any = self.require.is_empty().then_some(("team", None));
        advise(
            id,
            tags.chain(one_of_any),
            "# those that are missing or wrong; what is there is replaced\n",
        )
    }

    /// Of the tags, those that the repair puts: the others are right, or for people to say.
    fn advice_on(&self, id: &RepositoryId, repair: Option<&Action>) -> Advice {
        let Some(Action::SetTags { to, .. }) = repair else {
            return self.advice(id);
        };
        let put = to
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_deref()));
        Advice {
            cli: advise(id, put, "").cli,
            ..self.advice(id)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::repository;
    use crate::repository::Read;

    fn rule(default: Option<&str>) -> MissingTags {
        let required = RequiredTag {
            allowed: vec!["public".to_owned(), "sensitive".to_owned()],
            default: default.map(|text| DefaultValue::Text(text.to_owned())),
        };
        MissingTags {
            mode: None,
            any: false,
            require: [
                ("data".to_owned(), required),
                ("team".to_owned(), RequiredTag::default()),
            ]
            .into(),
        }
    }

    fn with(tags: &[(&str, &str)]) -> Repository {
        let mut repository = repository();
        repository.tags = Read::Known(
            tags.iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        );
        repository
    }

    #[test]
    fn all_there_and_right_passes() {
        assert_eq!(
            rule(None).check(&with(&[("data", "public"), ("team", "x")])),
            None
        );
        assert_eq!(MissingTags::default().check(&with(&[])), None);
    }

    #[test]
    fn absent_and_wrong_are_found() {
        let violation = rule(None).check(&with(&[("data", "secret")])).unwrap();
        assert_eq!(
            violation.detail,
            "tag `data` is `secret`, tag `team` is missing"
        );
        assert_eq!(
            violation.fix,
            Fix::Manual("tag it with `data` (one of public, sensitive), `team`".to_owned())
        );
    }

    #[test]
    fn the_default_is_put_and_what_was_there_is_kept_on_record() {
        let mut repository = with(&[("data", "secret"), ("team", "x")]);
        let rule = rule(Some("sensitive"));
        let Some(Fix::Safe(action)) = rule.check(&repository).map(|violation| violation.fix) else {
            panic!("no repair");
        };
        assert_eq!(
            (action.from(), action.to()),
            ("data=secret".into(), "data=sensitive".into())
        );
        action.apply_to(&mut repository);
        assert_eq!(rule.check(&repository), None);
    }

    #[test]
    fn what_cannot_be_read_is_for_people() {
        let mut repository = repository();
        repository.tags = Read::Unreadable("denied".to_owned());
        assert!(matches!(
            rule(Some("public")).check(&repository).unwrap().fix,
            Fix::Manual(_)
        ));
    }

    #[test]
    fn settings_that_ecr_would_refuse() {
        let wrong = MissingTags {
            mode: None,
            any: false,
            require: [
                ("aws:x".to_owned(), RequiredTag::default()),
                (
                    "data".to_owned(),
                    RequiredTag {
                        allowed: vec!["a".to_owned()],
                        default: Some(DefaultValue::Text("b".to_owned())),
                    },
                ),
                (
                    "owner".to_owned(),
                    RequiredTag {
                        allowed: vec!["team-*".to_owned()],
                        default: Some(DefaultValue::Text("team-*".to_owned())),
                    },
                ),
            ]
            .into(),
        };
        assert_eq!(wrong.contradictions().len(), 3);
    }

    #[test]
    fn an_allowed_value_may_be_a_pattern() {
        let owner = RequiredTag {
            allowed: vec!["team-*".to_owned(), "platform".to_owned()],
            default: None,
        };
        let rule = MissingTags {
            require: [("owner".to_owned(), owner)].into(),
            ..MissingTags::default()
        };
        for (value, passes) in [
            ("team-shop", true),
            ("team-", true),
            ("platform", true),
            ("platform-team-x", false),
            ("teams", false),
            ("", false),
        ] {
            let found = rule.check(&with(&[("owner", value)]));
            assert_eq!(found.is_none(), passes, "{value}: {found:?}");
        }
        // A pattern is no value that could be pasted.
        assert!(
            rule.advice(&repository().id)
                .terraform
                .contains("\"platform\"")
        );
    }

    #[test]
    fn the_creator_may_be_the_default() {
        let long = format!("arn:aws:iam::111122223333:user/{}", "x".repeat(300));
        for (allowed, creator, value) in [
            (
                None,
                Some("arn:aws:sts::111122223333:assumed-role/Admin/mary@example.com"),
                Some("arn:aws:sts::111122223333:assumed-role/Admin/mary@example.com"),
            ),
            (
                None,
                Some("arn:aws:sts::111122223333:assumed-role/a/<b,c>\u{202e}\n*"),
                Some("arn:aws:sts::111122223333:assumed-role/a/_b_c____"),
            ),
            (None, Some(long.as_str()), long.get(..256)),
            (
                Some("arn:aws:iam::*"),
                Some("arn:aws:sts::111122223333:assumed-role/Admin/mary"),
                None,
            ),
            (None, None, None),
        ] {
            let required = RequiredTag {
                allowed: allowed.into_iter().map(str::to_owned).collect(),
                default: Some(DefaultValue::Actor { actor: true }),
            };
            let rule = MissingTags {
                require: [("owner".to_owned(), required)].into(),
                ..MissingTags::default()
            };
            let mut repository = with(&[]);
            repository.creator = creator.map(str::to_owned);
            let fix = rule.check(&repository).unwrap().fix;
            match (fix, value) {
                (Fix::Safe(Action::SetTags { to, .. }), Some(value)) => {
                    assert_eq!(to, [("owner".to_owned(), Some(value.to_owned()))].into());
                }
                (Fix::Manual(why), None) => assert!(why.contains("its creator"), "{why}"),
                other => panic!("{creator:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_default_is_a_text_or_the_actor() {
        for (default, said) in [
            ("x", None),
            ("{ actor: true }", None),
            ("{ actor: false }", Some("write `{ actor: true }`")),
            ("{}", Some("write `{ actor: true }`")),
            ("{ actr: true }", Some("actr")),
            ("7", Some("{ actor: true }")),
            ("[x]", Some("{ actor: true }")),
        ] {
            let policy = format!(
                "version: 1\nmode: monitor\nrules:\n  missing-tags:\n    require:\n      owner: {{ default: {default} }}\n"
            );
            let why = crate::policy::Policy::parse(&policy).err();
            let why = why.map(|why| why.to_string());
            match said {
                None => assert_eq!(why, None, "{default}"),
                Some(said) => {
                    let why = why.unwrap_or_else(|| panic!("{default} is taken"));
                    assert!(
                        why.contains(said) && why.contains("line 6"),
                        "{default}: {why}"
                    );
                }
            }
        }
    }

    #[test]
    fn any_tag_is_enough_where_the_policy_says_so() {
        let rule = MissingTags {
            any: true,
            ..MissingTags::default()
        };
        assert!(rule.reads().tags);
        assert_eq!(rule.check(&with(&[("x", "")])), None);
        for none in [vec![], vec![("aws:cloudformation:stack-name", "shop")]] {
            let found = rule.check(&with(&none)).unwrap();
            assert_eq!(found.detail, "it has no tags");
        }
        let advice = rule.advice(&repository().id);
        assert_eq!(advice.terraform, "tags = {\n  \"team\" = var.team\n}");
    }

    #[test]
    fn advice_has_the_values_and_stops_where_only_people_know_them() {
        let id = repository().id;
        let rule = rule(Some("sensitive"));
        let advice = rule.advice(&id);
        assert_eq!(
            advice.terraform,
            "tags = {\n  \"data\" = \"sensitive\"\n  \"team\" = var.team\n}"
        );
        assert!(
            advice
                .cloudformation
                .ends_with("- Key: \"team\"\n    Value: !Ref team")
        );
        let arn = "\"arn:aws:ecr:eu-central-1:123456789012:repository/$REPOSITORY\"";
        assert!(
            advice
                .cli
                .contains(&format!("{arn} --tags 'Key=data,Value=''sensitive'")),
            "{}",
            advice.cli
        );
        assert!(
            advice.cli.contains("'Key=team,Value='\"${TEAM:?"),
            "{}",
            advice.cli
        );
        // A right value is not replaced.
        let found = rule.check(&with(&[("data", "public")])).unwrap();
        let Fix::Manual(_) = found.fix else {
            panic!("{found:?}")
        };
        let put = Action::SetTags {
            from: [("data".to_owned(), None)].into(),
            to: [("data".to_owned(), Some("sensitive".to_owned()))].into(),
        };
        let advice = rule.advice_on(&id, Some(&put));
        assert!(
            advice.cli.contains("Key=data") && !advice.cli.contains("Key=team"),
            "{}",
            advice.cli
        );
    }
}
