//! `over-budget`: a repository's images weigh more than the policy grants it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::no_lifecycle_policy::{UNTAGGED_EXPIRE, lifecycle_cloudformation, lifecycle_terraform};
use crate::finding::{Fix, Severity, Violation};
use crate::repository::{Reads, Repository, RepositoryId};
use crate::rule::{Advice, Meta, Rule, RuleMode, Settings, Subject, shell_word};
use crate::units::gigabytes;

/// A repository that holds more than its budget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct OverBudget {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// The most that a repository's images may weigh together, in gigabytes (10⁹ bytes): a tenth of a dollar a month each, at
    /// the usual price.
    pub most_gb: f64,
}

impl Settings for OverBudget {
    const META: Meta = Meta {
        id: "over-budget",
        severity: Severity::Low,
        subject: Subject::Repository,
        summary: "The repository's images are larger than its budget",
        repair: "none",
        explanation: "\
ECR bills storage by the month, for unused images too.

The size is the sum of what DescribeImages returns for each image that is not archived. Layers \
that images share are counted with each image, so the bill is lower. Each evaluation reads all \
pages of images: enable this rule where that is worth the calls. There is no repair: decide which \
images may expire, and write a lifecycle policy.",
        example: r#"over-budget:
  most-gb: 50"#,
        controls: &[],
    };
}

impl Rule for OverBudget {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        Reads {
            storage: true,
            ..Reads::default()
        }
    }

    fn check(&self, repository: &Repository) -> Option<Violation> {
        let images = match repository.images.required() {
            Ok(images) => images,
            Err(why) => {
                return Some(Violation {
                    detail: format!("cannot read the size of its images: {why}"),
                    fix: Fix::Manual("fix the read error above".to_owned()),
                });
            }
        };
        let bytes = images
            .iter()
            .fold(0_u64, |sum, image| sum.saturating_add(image.bytes));
        let weight = gigabytes(bytes);
        (weight > self.most_gb).then(|| Violation {
            // Rounded, so that it is the same finding after the next push.
            detail: format!(
                "its images weigh about {} GB, and its budget is {} GB",
                two_digits(weight),
                self.most_gb
            ),
            fix: Fix::Manual(
                "add a lifecycle policy that expires unused images, or raise `most-gb`".to_owned(),
            ),
        })
    }

    fn contradictions(&self) -> Vec<String> {
        let fits = self.most_gb > 0.0 && self.most_gb.is_finite();
        let problem = (!fits).then(|| "most-gb: give a weight above 0".to_owned());
        problem.into_iter().collect()
    }

    fn advice(&self, _id: &RepositoryId) -> Advice {
        Advice {
            text: "Have old images expired where the repository is defined: this lets untagged ones go after two weeks; add rules \
                   for what else is not used."
                .to_owned(),
            terraform: lifecycle_terraform(UNTAGGED_EXPIRE),
            cloudformation: lifecycle_cloudformation(UNTAGGED_EXPIRE),
            // A lifecycle policy may be there, and putting one replaces it and deletes images: so a preview.
            cli: format!(
                "# shows what would go; put-lifecycle-policy with the same text replaces a lifecycle policy that is there\n\
                 aws ecr start-lifecycle-policy-preview --repository-name \"$REPOSITORY\" --lifecycle-policy-text {}",
                shell_word(UNTAGGED_EXPIRE)
            ),
        }
    }
}

/// Rounded to two significant digits.
fn two_digits(weight: f64) -> f64 {
    let mut unit = 0.01;
    while weight / unit >= 100.0 {
        unit *= 10.0;
    }
    let rounded = (weight / unit).round() * unit;
    // What the multiplication leaves behind the second digit.
    (rounded * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::evaluate::tests::repository;
    use crate::image::Image;
    use crate::repository::Read;

    #[test]
    fn what_weighs_more_than_its_budget_is_found() {
        let rule = OverBudget {
            mode: None,
            most_gb: 50.0,
        };
        let mut repository = repository();
        let of = |gb: u64| {
            Read::Known(Arc::from([Image {
                pushed_at: 0,
                pulled_at: None,
                bytes: gb * 1_000_000_000,
                index: false,
                tags: Vec::new(),
            }]))
        };
        repository.images = of(50);
        assert_eq!(rule.check(&repository), None);
        repository.images = of(512);
        let found = rule.check(&repository).unwrap();
        assert_eq!(
            found.detail,
            "its images weigh about 510 GB, and its budget is 50 GB"
        );
        // A small push more is not another finding.
        repository.images = of(513);
        assert_eq!(rule.check(&repository), Some(found));
        repository.images = Read::Unreadable("no".to_owned());
        assert!(rule.check(&repository).unwrap().detail.contains("no"));
        assert_eq!(rule.contradictions(), Vec::<String>::new());
        assert_eq!(OverBudget::default().contradictions().len(), 1);
    }

    #[test]
    fn two_digits_are_kept() {
        for (weight, rounded) in [(0.123, 0.12), (7.77, 7.8), (99.6, 100.0), (1234.0, 1200.0)] {
            assert!((two_digits(weight) - rounded).abs() < 1e-9, "{weight}");
        }
    }

    #[test]
    fn advice_looks_before_it_deletes() {
        let advice = OverBudget::default().advice(&repository().id);
        assert!(advice.terraform.contains(UNTAGGED_EXPIRE));
        assert!(advice.cloudformation.contains(UNTAGGED_EXPIRE));
        assert!(
            advice.cli.contains(UNTAGGED_EXPIRE)
                && advice
                    .cli
                    .contains("\naws ecr start-lifecycle-policy-preview")
        );
    }
}
