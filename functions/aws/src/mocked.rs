//! Exact requests, and the errors that a local AWS does not make.

use std::collections::BTreeSet;

use aws_sdk_ecr::operation::describe_repositories::DescribeRepositoriesOutput;
use aws_sdk_ecr::operation::list_tags_for_resource::ListTagsForResourceOutput;
use aws_sdk_ecr::operation::put_image_tag_mutability::PutImageTagMutabilityOutput;
use aws_sdk_ecr::types::{ImageStatusFilter, ImageTagMutability};
use aws_sdk_ecr::{Client, types};
use aws_smithy_mocks::{Rule, RuleMode, mock, mock_client};
use ecr_warden_core::action::Action;
use ecr_warden_core::reason::{Code, Reason};
use ecr_warden_core::record::Lease;
use ecr_warden_core::recreate::Intent;
use ecr_warden_core::repository::{
    Encryption, MARKER_TAG, Read, Reads, Repository, RepositoryId, TagMutability,
};

use crate::ecr::apply::{NotApplied, apply};
use std::sync::{Arc, OnceLock};

use crate::connect::clients::Clients;
use crate::connect::clients::Regional;
use crate::connect::rate_limit::Turns;
use crate::ecr::load::{LoadError, load, load_once};
use crate::ecr::recreate::Attempt;
use crate::state::State;

fn id() -> RepositoryId {
    RepositoryId::new("123456789012", "eu-central-1", "payments/api").unwrap()
}

fn aws(rules: &[&Rule]) -> Regional {
    let rules = rules.to_vec();
    let turns = Arc::new(Turns::new(Arc::default(), "111122223333", "eu-central-1"));
    Regional {
        turns,
        ecr: mock_client!(aws_sdk_ecr, RuleMode::MatchAny, rules.as_slice()),
        kms: OnceLock::from(mock_client!(aws_sdk_kms, RuleMode::MatchAny, [].as_slice())).into(),
        config: aws_types::SdkConfig::builder().build(),
    }
}

fn described(mutability: ImageTagMutability) -> DescribeRepositoriesOutput {
    let repository = types::Repository::builder()
        .repository_name("payments/api")
        .image_tag_mutability(mutability)
        .build();
    DescribeRepositoriesOutput::builder()
        .repositories(repository)
        .build()
}

fn found() -> Rule {
    mock!(Client::describe_repositories).then_output(|| described(ImageTagMutability::Immutable))
}

/// An answer as ECR sends errors.
fn error(code: &str, message: &str) -> Option<String> {
    Some(serde_json::json!({ "__type": code, "message": message }).to_string())
}

fn tags_only() -> Reads {
    Reads {
        tags: true,
        ..Reads::default()
    }
}

#[tokio::test]
async fn archived_images_count() {
    let images = mock!(Client::describe_images)
        .match_requests(|request| {
            let status = request.filter().and_then(|filter| filter.image_status());
            request.max_results() == Some(1) && status == Some(&ImageStatusFilter::Any)
        })
        .then_output(|| {
            let image = types::ImageDetail::builder()
                .image_digest("sha256:1")
                .build();
            aws_sdk_ecr::operation::describe_images::DescribeImagesOutput::builder()
                .image_details(image)
                .build()
        });
    let reads = Reads {
        images: true,
        ..Reads::default()
    };
    let repository = load_once(&aws(&[&found(), &images]), &id(), &reads)
        .await
        .unwrap();
    assert_eq!(repository.has_images, Read::Known(true));
}

#[tokio::test]
async fn an_empty_page_that_is_not_the_last_is_not_empty() {
    let images = mock!(Client::describe_images).then_output(|| {
        aws_sdk_ecr::operation::describe_images::DescribeImagesOutput::builder()
            .next_token("more")
            .build()
    });
    let reads = Reads {
        images: true,
        ..Reads::default()
    };
    let repository = load_once(&aws(&[&found(), &images]), &id(), &reads)
        .await
        .unwrap();
    assert_eq!(repository.has_images, Read::Known(true));
}

#[tokio::test]
async fn what_may_not_be_read_names_the_permission() {
    let denied = mock!(Client::list_tags_for_resource)
        .sequence()
        .http_status(
            400,
            error(
                "AccessDeniedException",
                "User: x is not authorized to perform: ecr:ListTagsForResource on resource: y",
            ),
        )
        .build();
    let repository = load_once(&aws(&[&found(), &denied]), &id(), &tags_only())
        .await
        .unwrap();
    assert_eq!(
        repository.tags,
        Read::Unreadable("the permission ecr:ListTagsForResource is missing".to_owned())
    );
}

#[tokio::test]
async fn what_cannot_be_read_now_is_no_snapshot() {
    for (status, code) in [(400, "ThrottlingException"), (500, "ServerException")] {
        let busy = mock!(Client::list_tags_for_resource)
            .sequence()
            .http_status(status, error(code, "later"))
            .times(9)
            .build();
        let result = load_once(&aws(&[&found(), &busy]), &id(), &tags_only()).await;
        assert!(
            matches!(result, Err(LoadError::Unavailable(_))),
            "{code}: {result:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_young_repository_is_asked_for_again() {
    let late = || {
        mock!(Client::describe_repositories)
            .sequence()
            .http_status(400, error("RepositoryNotFoundException", "not yet"))
            .times(2)
            .output(|| described(ImageTagMutability::Mutable))
            .build()
    };
    let repository = load(&aws(&[&late()]), &id(), &Reads::default(), true, &|_| true)
        .await
        .unwrap();
    assert_eq!(repository.mutability, TagMutability::Mutable);
    let old = load(&aws(&[&late()]), &id(), &Reads::default(), false, &|_| true).await;
    assert_eq!(old, Err(LoadError::Gone));
}

#[tokio::test]
async fn a_snapshot_holds_the_tags() {
    let tags = mock!(Client::list_tags_for_resource)
        .match_requests(|request| {
            request.resource_arn()
                == Some("arn:aws:ecr:eu-central-1:123456789012:repository/payments/api")
        })
        .then_output(|| {
            let tag = types::Tag::builder()
                .key("team")
                .value("x")
                .build()
                .unwrap();
            ListTagsForResourceOutput::builder().tags(tag).build()
        });
    let repository = load_once(&aws(&[&found(), &tags]), &id(), &tags_only())
        .await
        .unwrap();
    assert_eq!(
        repository.tags,
        Read::Known([("team".to_owned(), "x".to_owned())].into())
    );
}

fn set_to(filters: &[&str]) -> Action {
    let filters: BTreeSet<String> = filters.iter().map(|f| (*f).to_owned()).collect();
    Action::SetTagMutability {
        from: TagMutability::Mutable,
        to: if filters.is_empty() {
            TagMutability::Immutable
        } else {
            TagMutability::ImmutableWithExclusion(filters)
        },
    }
}

#[tokio::test]
async fn the_answer_to_a_change_is_its_proof() {
    let put = mock!(Client::put_image_tag_mutability)
        .match_requests(|request| {
            request.repository_name() == Some("payments/api")
                && request.image_tag_mutability() == Some(&ImageTagMutability::Immutable)
                && request.image_tag_mutability_exclusion_filters().is_empty()
        })
        .then_output(|| {
            PutImageTagMutabilityOutput::builder()
                .image_tag_mutability(ImageTagMutability::Immutable)
                .build()
        });
    assert_eq!(apply(&aws(&[&put]), &id(), &set_to(&[])).await, Ok(()));
}

#[tokio::test]
async fn a_change_that_is_not_seen_is_not_fixed() {
    let put = mock!(Client::put_image_tag_mutability)
        .match_requests(|request| request.image_tag_mutability_exclusion_filters().len() == 1)
        .then_output(|| {
            PutImageTagMutabilityOutput::builder()
                .image_tag_mutability(ImageTagMutability::ImmutableWithExclusion)
                .build()
        });
    let still =
        mock!(Client::describe_repositories).then_output(|| described(ImageTagMutability::Mutable));
    let result = apply(&aws(&[&put, &still]), &id(), &set_to(&["latest"])).await;
    assert_eq!(
        result,
        Err(NotApplied::Failed(Reason::new(
            Code::NotShown,
            "it was set to IMMUTABLE_WITH_EXCLUSION (latest), and ECR does not show it"
        )))
    );
}

#[tokio::test]
async fn a_change_that_may_work_later_has_not_failed() {
    let put = mock!(Client::put_image_tag_mutability)
        .sequence()
        .http_status(400, error("ThrottlingException", "later"))
        .times(9)
        .build();
    let result = apply(&aws(&[&put]), &id(), &set_to(&[])).await;
    assert!(matches!(result, Err(NotApplied::Later(_))), "{result:?}");
}

#[tokio::test]
async fn a_refused_change_says_why() {
    let put = mock!(Client::put_image_tag_mutability)
        .sequence()
        .http_status(403, error("AccessDeniedException", "no"))
        .build();
    let unchanged =
        mock!(Client::describe_repositories).then_output(|| described(ImageTagMutability::Mutable));
    let result = apply(&aws(&[&put, &unchanged]), &id(), &set_to(&[])).await;
    assert_eq!(
        result,
        Err(NotApplied::Failed(Reason::new(
            Code::AccessDenied,
            "the permission ecr:PutImageTagMutability is missing"
        )))
    );
}

/// ECR answers an error and has made the change: what is there decides.
#[tokio::test]
async fn a_change_that_is_made_and_answered_with_an_error_is_made() {
    let put = mock!(Client::put_image_tag_mutability)
        .sequence()
        .http_status(403, error("AccessDeniedException", "no"))
        .build();
    let result = apply(&aws(&[&put, &found()]), &id(), &set_to(&[])).await;
    assert_eq!(result, Ok(()));
}

/// The local AWS drops exclusion filters, so what creation carries is pinned here.
#[tokio::test]
async fn a_recreation_creates_with_everything_that_creation_can_carry() {
    let filters = ["cache*", "latest"];
    let create = mock!(Client::create_repository)
        .match_requests(move |request| {
            let tags: Vec<_> = request
                .tags()
                .iter()
                .map(|t| (t.key(), t.value()))
                .collect();
            let sent: Vec<_> = request
                .image_tag_mutability_exclusion_filters()
                .iter()
                .map(|filter| filter.filter())
                .collect();
            let encryption = request.encryption_configuration();
            tags == [("team", "x"), (MARKER_TAG, "intent-1")]
                && sent == filters
                && request.image_tag_mutability()
                    == Some(&ImageTagMutability::ImmutableWithExclusion)
                && request
                    .image_scanning_configuration()
                    .is_some_and(|s| s.scan_on_push())
                && encryption.is_some_and(|e| *e.encryption_type() == types::EncryptionType::Kms)
                && encryption.and_then(|e| e.kms_key()) == Some("alias/ecr")
        })
        .then_output(|| {
            aws_sdk_ecr::operation::create_repository::CreateRepositoryOutput::builder().build()
        });
    let regional = aws(&[&create]);
    let tags = [
        ("team", "x"),
        // AWS's own can't be written, and a marker that was left behind is replaced.
        ("aws:cloudformation:stack-name", "s"),
        (MARKER_TAG, "intent-0"),
    ];
    let before = Repository {
        mutability: TagMutability::ImmutableWithExclusion(filters.map(str::to_owned).into()),
        encryption: Encryption::aes256(),
        scan_on_push: true,
        tags: Read::Known(tags.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
        policy: Read::Known(None),
        lifecycle: Read::Known(None),
        has_images: Read::Known(false),
        ..Repository::unread(&id(), Some(1), None)
    };
    let to = Encryption::kms(Some("alias/ecr"));
    let unused = aws_types::SdkConfig::builder()
        .behavior_version(aws_sdk_ecr::config::BehaviorVersion::latest())
        .build();
    let state = State::new(&Clients::new(unused, None), "unused".to_owned());
    let attempt = Attempt {
        aws: &regional,
        state: &state,
        lease: &Lease {
            owner: "me".to_owned(),
            until: 0,
        },
        claimant: &Lease {
            owner: "me".to_owned(),
            until: 0,
        },
        said_version: 0,
        repairs: ecr_warden_core::record::Repairs::default(),
        now: 0,
        intent: Intent {
            unknown: [].into(),
            id: "intent-1".to_owned(),
            rule: "weak-encryption".to_owned(),
            before,
            to: to.clone(),
            fallback: None,
            refused: None,
            made: None,
            cause: "CreateRepository".to_owned(),
            actor: None,
            started_at: 0,
        },
    };
    assert_eq!(attempt.send_create(&to).await, Ok(()));
}

/// Before tags are stopped from moving, all of them are looked at, however many pages they fill.
#[tokio::test]
async fn tags_of_every_page_are_looked_at() {
    let mutable =
        mock!(Client::describe_repositories).then_output(|| described(ImageTagMutability::Mutable));
    let page = |token: Option<&'static str>, tag: &'static str, next: Option<&'static str>| {
        mock!(Client::describe_images)
            .match_requests(move |request| {
                let size = if token.is_some() { 1000 } else { 100 };
                request.next_token() == token && request.max_results() == Some(size)
            })
            .then_output(move || {
                let image = types::ImageDetail::builder().image_tags(tag).build();
                aws_sdk_ecr::operation::describe_images::DescribeImagesOutput::builder()
                    .image_details(image)
                    .set_next_token(next.map(str::to_owned))
                    .build()
            })
    };
    let (first, second) = (
        page(None, "v1", Some("more")),
        page(Some("more"), "latest", None),
    );
    let reads = Reads {
        recent_tags: true,
        ..Reads::default()
    };
    let repository = load_once(&aws(&[&mutable, &first, &second]), &id(), &reads)
        .await
        .unwrap();
    let tags = ["latest", "v1"].map(str::to_owned);
    assert_eq!(repository.recent_tags, Read::Known(tags.into()));
    // Where no rule objects, there may be hundreds of pages that nobody needs.
    let (first, second) = (
        page(None, "v1", Some("more")),
        page(Some("more"), "latest", None),
    );
    let aws = aws(&[&mutable, &first, &second]);
    load(&aws, &id(), &reads, false, &|_| false).await.unwrap();
    assert_eq!((first.num_calls(), second.num_calls()), (1, 0));
}

/// What a repository weighs is the sum over all pages.
#[tokio::test]
async fn images_of_every_page_are_weighed() {
    let page = |token: Option<&'static str>, bytes: i64, next: Option<&'static str>| {
        mock!(Client::describe_images)
            .match_requests(move |request| {
                request.next_token() == token
                    && request.max_results() == Some(1000)
                    && request.filter().is_none()
            })
            .then_output(move || {
                let image = types::ImageDetail::builder()
                    .image_size_in_bytes(bytes)
                    .image_tags("v1")
                    .build();
                aws_sdk_ecr::operation::describe_images::DescribeImagesOutput::builder()
                    .image_details(image)
                    .set_next_token(next.map(str::to_owned))
                    .build()
            })
    };
    let pages = [
        page(None, 1, Some("a")),
        page(Some("a"), 2, Some("b")),
        page(Some("b"), 4, None),
    ];
    let reads = Reads {
        storage: true,
        ..Reads::default()
    };
    let aws = aws(&[&found(), &pages[0], &pages[1], &pages[2]]);
    let repository = load_once(&aws, &id(), &reads).await.unwrap();
    let images = repository.images.known().unwrap();
    let weights: Vec<u64> = images.iter().map(|image| image.bytes).collect();
    assert_eq!(weights, [1, 2, 4]);
}

#[tokio::test]
async fn pull_through_caches_are_told_by_their_prefix() {
    let reads = Reads {
        pull_through: true,
        ..Reads::default()
    };
    for (prefix, fills) in [
        ("payments", true),
        ("pay", false),
        ("shop", false),
        ("ROOT", true),
    ] {
        let rules = mock!(Client::describe_pull_through_cache_rules).then_output(move || {
            let rule = types::PullThroughCacheRule::builder()
                .ecr_repository_prefix(prefix)
                .build();
            aws_sdk_ecr::operation::describe_pull_through_cache_rules::DescribePullThroughCacheRulesOutput::builder()
                .pull_through_cache_rules(rule)
                .build()
        });
        let repository = load_once(&aws(&[&found(), &rules]), &id(), &reads)
            .await
            .unwrap();
        assert_eq!(repository.pull_through, Read::Known(fills), "{prefix}");
    }
}

#[tokio::test]
async fn an_organizations_refusal_is_said_as_such() {
    let refused = mock!(Client::put_image_scanning_configuration)
        .sequence()
        .http_status(
            400,
            error(
                "BlockedByOrganizationPolicyException",
                "scanning is managed centrally",
            ),
        )
        .build();
    let action = Action::SetScanOnPush {
        from: false,
        to: true,
    };
    let result = apply(&aws(&[&refused, &found()]), &id(), &action).await;
    let Err(NotApplied::Failed(why)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(why.code, Code::OrganizationPolicy);
    assert_eq!(
        why.text,
        "a policy of the organization (AWS Organizations) forbids it: scanning is managed centrally"
    );
}

/// ECR gives out the lists of a policy in another order at each reading.
#[tokio::test]
async fn a_policy_in_another_order_is_the_same() {
    let statement = |principals: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":[{principals}]}},"Action":"ecr:*"}}]}}"#
        )
    };
    let written = statement(r#""arn:aws:iam::111111111111:root","arn:aws:iam::222222222222:root""#);
    let shown = statement(r#""arn:aws:iam::222222222222:root","arn:aws:iam::111111111111:root""#);
    let none = mock!(Client::list_tags_for_resource)
        .then_output(|| ListTagsForResourceOutput::builder().build());
    let get = mock!(Client::get_repository_policy).then_output(move || {
        aws_sdk_ecr::operation::get_repository_policy::GetRepositoryPolicyOutput::builder()
            .policy_text(shown.clone())
            .build()
    });
    let put = mock!(Client::set_repository_policy).then_output(|| {
        aws_sdk_ecr::operation::set_repository_policy::SetRepositoryPolicyOutput::builder()
            .policy_text("{}")
            .build()
    });
    let remove = mock!(Client::delete_repository_policy).then_output(|| {
        aws_sdk_ecr::operation::delete_repository_policy::DeleteRepositoryPolicyOutput::builder()
            .build()
    });
    let aws = aws(&[&found(), &none, &get, &put, &remove]);
    // It is what was judged, so it is changed.
    let removed = Action::SetRepositoryPolicy {
        from: Some(written.clone()),
        to: None,
    };
    assert_eq!(apply(&aws, &id(), &removed).await, Ok(()));
    assert_eq!(remove.num_calls(), 1);
    // It is what was to be made, so nothing is left to do.
    let made = Action::SetRepositoryPolicy {
        from: None,
        to: Some(written),
    };
    assert_eq!(apply(&aws, &id(), &made).await, Ok(()));
    assert_eq!(put.num_calls(), 0);
}

/// Who looked before a recreation began sees a repository without what has yet to be put back.
#[tokio::test]
async fn what_is_being_recreated_is_given_no_default() {
    let tags = mock!(Client::list_tags_for_resource).then_output(|| {
        let marker = types::Tag::builder().key(MARKER_TAG).value("r-1");
        ListTagsForResourceOutput::builder()
            .tags(marker.build().unwrap())
            .build()
    });
    let none = mock!(Client::get_lifecycle_policy).then_error(|| {
        let none = types::error::LifecyclePolicyNotFoundException::builder().build();
        aws_sdk_ecr::operation::get_lifecycle_policy::GetLifecyclePolicyError::LifecyclePolicyNotFoundException(none)
    });
    let put = mock!(Client::put_lifecycle_policy).then_output(|| {
        aws_sdk_ecr::operation::put_lifecycle_policy::PutLifecyclePolicyOutput::builder().build()
    });
    let action = Action::SetLifecyclePolicy {
        from: None,
        to: Some("{}".to_owned()),
    };
    let result = apply(&aws(&[&found(), &tags, &none, &put]), &id(), &action).await;
    assert!(
        matches!(&result, Err(NotApplied::Marked { why, .. }) if why.code == Code::Marked),
        "{result:?}"
    );
    assert_eq!(put.num_calls(), 0);
}
