//! What the images cost, for a reader.

use comfy_table::Table;
use ecr_warden_core::audit::Audit;
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::storage::StorageCost;
use ecr_warden_core::units::gigabytes;

use crate::output::{Stream, lines, table};

/// Repositories that are listed with their costs, at most.
const DEAREST: usize = 20;

pub(super) fn storage(audit: &Audit, costs: &[StorageCost]) -> String {
    let mut table: Table = table(
        &[
            "repository",
            "images",
            "GB",
            "USD a month",
            "untagged",
            "old",
            "default lifecycle saves",
        ],
        Stream::Output,
    );
    for cost in costs.iter().take(DEAREST) {
        let name = name(&cost.repository);
        if let Some(why) = &cost.unreadable {
            table.add_row([name.as_str(), why]);
            continue;
        }
        let usd = |usd: f64| format!("{usd:.2}");
        table.add_row([
            name,
            cost.images.to_string(),
            format!("{:.1}", gigabytes(cost.bytes)),
            usd(cost.monthly_usd),
            usd(cost.untagged_usd),
            usd(cost.old_usd),
            cost.default_lifecycle_saves_usd
                .map_or_else(String::new, usd),
        ]);
    }
    let more = match costs.len().saturating_sub(DEAREST) {
        0 => String::new(),
        more => format!(" The dearest {DEAREST} are listed, {more} more are not."),
    };
    let monthly = audit.summary.estimated_monthly_cost_usd.unwrap_or(0.0);
    format!(
        "{}\nStorage costs about {monthly:.2} USD a month; less, where images share layers.{more}",
        lines(&table)
    )
}

fn name(arn: &str) -> String {
    RepositoryId::from_arn(arn).map_or_else(|| arn.to_owned(), |id| id.label())
}
