use super::*;
use crate::doctor::checkup::Health;

fn aws() -> AwsCli {
    AwsCli {
        profile: None,
        region: "eu-west-1".to_owned(),
    }
}

fn all_writes() -> Selectors {
    Selectors::Basic(vec![(true, true)])
}

/// A trail of this account and region that does.
fn good() -> TrailSummary {
    TrailSummary {
        arn: "arn:aws:cloudtrail:eu-west-1:1:trail/main".to_owned(),
        home_region: "eu-west-1".to_owned(),
        is_multi_region: false,
        is_of_organization: false,
        is_logging: Ok(true),
        selectors: Ok(all_writes()),
    }
}

fn verdict(trails: &[TrailSummary]) -> Checkup {
    trail(&Ok(trails.to_vec()), &aws())
}

fn denied(permission: &str) -> NoAnswer {
    NoAnswer::Denied {
        permission: permission.to_owned(),
        why: format!("the permission {permission} is missing"),
    }
}

#[test]
fn a_trail_has_to_apply_here_and_to_log() {
    let elsewhere = TrailSummary {
        home_region: "us-east-1".to_owned(),
        ..good()
    };
    let of_all_regions = TrailSummary {
        is_multi_region: true,
        ..elsewhere.clone()
    };
    let of_organization = TrailSummary {
        is_of_organization: true,
        ..of_all_regions.clone()
    };
    let stopped = TrailSummary {
        is_logging: Ok(false),
        ..good()
    };
    for (trails, health, detail, advice) in [
        (vec![good()], Health::Ok, "the trail `main` records", ""),
        (
            vec![of_all_regions],
            Health::Ok,
            "the trail of all regions `main`",
            "",
        ),
        (
            vec![of_organization],
            Health::Ok,
            "the organization's trail `main`",
            "",
        ),
        (
            vec![],
            Health::Failing,
            "no CloudTrail trail records eu-west-1",
            "CreateTrail=true",
        ),
        (
            vec![elsewhere],
            Health::Failing,
            "no CloudTrail trail",
            "CreateTrail=true",
        ),
        (
            vec![stopped.clone()],
            Health::Failing,
            "does not log",
            "start-logging --name arn:",
        ),
        (vec![stopped, good()], Health::Ok, "records", ""),
    ] {
        let found = verdict(&trails);
        assert_eq!(found.status, health, "{trails:?}");
        assert!(found.detail.contains(detail), "{}", found.detail);
        assert!(found.advice.unwrap_or_default().contains(advice));
    }
}

#[test]
fn what_cannot_be_read_is_unknown_unless_another_trail_does() {
    let unread = TrailSummary {
        selectors: Err(denied("cloudtrail:GetEventSelectors")),
        ..good()
    };
    let of_organization = TrailSummary {
        is_of_organization: true,
        selectors: Err(NoAnswer::Gone),
        ..good()
    };
    let status = TrailSummary {
        is_logging: Err(denied("cloudtrail:GetTrailStatus")),
        ..good()
    };
    let stopped = TrailSummary {
        is_logging: Ok(false),
        ..unread.clone()
    };
    for (trails, health, advice) in [
        (
            vec![unread.clone()],
            Health::Unknown,
            "allow cloudtrail:GetEventSelectors",
        ),
        (vec![of_organization], Health::Unknown, "management account"),
        (
            vec![status],
            Health::Unknown,
            "allow cloudtrail:GetTrailStatus",
        ),
        (vec![stopped.clone()], Health::Failing, "start-logging"),
        (
            vec![stopped, unread.clone()],
            Health::Unknown,
            "allow cloudtrail:GetEventSelectors",
        ),
        (vec![unread, good()], Health::Ok, ""),
    ] {
        let found = verdict(&trails);
        assert_eq!(found.status, health, "{trails:?}");
        assert!(found.advice.unwrap_or_default().contains(advice));
    }
    let found = trail(&Err(denied("cloudtrail:DescribeTrails")), &aws());
    assert_eq!(found.status, Health::Unknown);
}

#[test]
fn a_basic_selector_has_to_include_management_writes() {
    for (selectors, health) in [
        (vec![], Health::Ok),
        (vec![(true, true)], Health::Ok),
        (vec![(true, false)], Health::Failing),
        (vec![(false, true)], Health::Failing),
        (vec![(false, true), (true, false)], Health::Failing),
        (vec![(false, true), (true, true)], Health::Ok),
    ] {
        let found = verdict(&[TrailSummary {
            selectors: Ok(Selectors::Basic(selectors.clone())),
            ..good()
        }]);
        assert_eq!(found.status, health, "{selectors:?}");
    }
}

/// A condition: the field, the operator and its values.
fn condition(field: &str, operator: &str, values: &[&str]) -> FieldSelector {
    let values: Vec<String> = values.iter().map(|it| (*it).to_owned()).collect();
    let mut condition = FieldSelector {
        field: field.to_owned(),
        ..FieldSelector::default()
    };
    match operator {
        "equals" => condition.equals = values,
        "starts-with" => condition.starts_with = values,
        "ends-with" => condition.ends_with = values,
        "not-equals" => condition.not_equals = values,
        "not-starts-with" => condition.not_starts_with = values,
        _ => condition.not_ends_with = values,
    }
    condition
}

#[test]
fn an_advanced_selector_has_to_admit_the_calls_of_ecr() {
    let management = || condition("eventCategory", "equals", &["Management"]);
    let with = |more: FieldSelector| vec![vec![management(), more]];
    let exclude = ["kms.amazonaws.com", "rdsdata.amazonaws.com"];
    for (selectors, health) in [
        (vec![vec![management()]], Health::Ok),
        (
            with(condition("readOnly", "equals", &["false"])),
            Health::Ok,
        ),
        (
            with(condition("readOnly", "equals", &["true"])),
            Health::Failing,
        ),
        (
            with(condition("eventSource", "not-equals", &exclude)),
            Health::Ok,
        ),
        (
            with(condition(
                "eventSource",
                "not-equals",
                &["ecr.amazonaws.com"],
            )),
            Health::Failing,
        ),
        (
            with(condition("eventSource", "equals", &["ecr.amazonaws.com"])),
            Health::Ok,
        ),
        (
            with(condition("eventSource", "starts-with", &["kms."])),
            Health::Failing,
        ),
        (
            with(condition(
                "eventSource",
                "not-ends-with",
                &[".amazonaws.com"],
            )),
            Health::Failing,
        ),
        (
            with(condition("eventName", "equals", &["CreateRepository"])),
            Health::Failing,
        ),
        (
            with(condition("eventName", "starts-with", &["Create", "Put"])),
            Health::Ok,
        ),
        (
            with(condition("eventName", "ends-with", &["Image"])),
            Health::Failing,
        ),
        (
            with(condition("eventName", "not-starts-with", &["Put"])),
            Health::Failing,
        ),
        (
            with(condition("userIdentity.arn", "not-starts-with", &["arn:x"])),
            Health::Unknown,
        ),
        (
            vec![vec![condition("eventCategory", "equals", &["Data"])]],
            Health::Failing,
        ),
        (vec![], Health::Failing),
        (
            vec![
                vec![condition("eventCategory", "equals", &["Data"])],
                vec![management()],
            ],
            Health::Ok,
        ),
    ] {
        let found = verdict(&[TrailSummary {
            selectors: Ok(Selectors::Advanced(selectors.clone())),
            ..good()
        }]);
        assert_eq!(found.status, health, "{selectors:?}");
    }
}
