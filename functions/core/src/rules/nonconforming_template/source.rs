//! Where the settings of the repositories that ECR creates come from: a template, or ECR's defaults where there is none.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::access::registry::replicated_into;
use crate::registry::{Creation, ROOT, Registry, Template};
use crate::repository::{Read, Repository, RepositoryId};
use crate::rule::shell_word;

/// A name that stands for all below a prefix.
const ANY: &str = "any";

/// A template, or what ECR does without one.
#[derive(Clone, Debug)]
pub(super) struct TemplateSource {
    pub(super) template: Template,
    pub(super) kind: TemplateKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TemplateKind {
    Template,
    /// There is none for the occasions of `template`.
    NoTemplate,
    /// There is one of this prefix, and it is applied on these other occasions only.
    NotApplied(BTreeSet<Creation>),
}

/// What a template would have to be.
pub(super) struct Correction {
    pub(super) source: TemplateSource,
    /// As it creates repositories now, and as it would conform.
    pub(super) from: Repository,
    pub(super) to: Repository,
}

/// All from which repositories of the registry can come. Without the templates nothing is known of them.
pub(super) fn sources(registry: &Registry) -> Vec<TemplateSource> {
    let Some(templates) = registry.templates.known() else {
        return Vec::new();
    };
    let mut sources: Vec<TemplateSource> = templates
        .iter()
        .map(|template| TemplateSource {
            template: template.clone(),
            kind: TemplateKind::Template,
        })
        .collect();
    let caches = registry.caches.known().cloned().unwrap_or_default();
    let policy = registry.policy.known().and_then(Option::as_ref);
    let replicated = policy
        .map(|policy| replicated_into(policy))
        .unwrap_or_default();
    let of = |prefixes: Vec<String>, creation: Creation| {
        let pairs = prefixes.into_iter();
        pairs.map(move |prefix| (prefix, creation.clone()))
    };
    let occasions =
        of(caches, Creation::PullThroughCache).chain(of(replicated, Creation::Replication));
    for (prefix, creation) in occasions {
        if templates.iter().any(|it| it.covers(&prefix, &creation)) {
            continue;
        }
        let known = sources
            .iter_mut()
            .find(|it| it.template.prefix == prefix && it.kind != TemplateKind::Template);
        if let Some(known) = known {
            known.template.applied_for.insert(creation);
            continue;
        }
        let other = templates.iter().find(|it| it.prefix == prefix);
        sources.push(TemplateSource {
            template: Template::without_one(&prefix, creation),
            kind: other.map_or(TemplateKind::NoTemplate, |it| {
                TemplateKind::NotApplied(it.applied_for.clone())
            }),
        });
    }
    sources
}

impl TemplateSource {
    /// The repository that ECR would create, in a region that is scanned as the registry says.
    pub(super) fn repository(&self, registry: &Registry, creation: &Creation) -> Repository {
        let template = &self.template;
        let name = match template.prefix.as_str() {
            ROOT => ANY.to_owned(),
            prefix => format!("{prefix}/{ANY}"),
        };
        let id = RepositoryId {
            name,
            ..registry.id.clone()
        };
        Repository {
            mutability: template.mutability.clone(),
            encryption: template.encryption.clone(),
            tags: Read::Known(template.tags.clone()),
            policy: Read::Known(template.policy.clone()),
            lifecycle: Read::Known(template.lifecycle.clone()),
            has_images: Read::Known(false),
            recent_tags: Read::Known(BTreeSet::new()),
            scanning: registry.scanning.clone(),
            pull_through: Read::Known(*creation == Creation::PullThroughCache),
            images: Read::Known(Arc::default()),
            replicated: *creation == Creation::Replication,
            keys: registry.keys.clone(),
            ..Repository::unread(&id, None, None)
        }
    }

    /// For messages: what creates the repositories.
    pub(super) fn subject(&self) -> String {
        let prefix = &self.template.prefix;
        if self.kind == TemplateKind::Template {
            return format!("repositories by the creation template `{prefix}` would not conform");
        }
        let occasions: Vec<&str> = self
            .template
            .applied_for
            .iter()
            .map(|creation| match creation {
                Creation::PullThroughCache => "the pull-through cache",
                Creation::Replication => "replication into",
                Creation::Push | Creation::Other(_) => "pushes to",
            })
            .collect();
        format!(
            "repositories by {} `{prefix}` would not conform, because no creation template is for them and ECR's defaults apply",
            occasions.join(" and ")
        )
    }

    /// The command that applies the template of the same prefix on all occasions, where there is one.
    pub(super) fn not_applied(&self) -> Option<String> {
        let TemplateKind::NotApplied(others) = &self.kind else {
            return None;
        };
        let all: Vec<&str> = others
            .union(&self.template.applied_for)
            .map(Creation::name)
            .collect();
        Some(format!(
            "apply the template of this prefix to them as well: aws ecr update-repository-creation-template --prefix {} --applied-for {}",
            shell_word(&self.template.prefix),
            all.join(" ")
        ))
    }
}
