//! `ecr-warden doctor`: reads what the core's checks decide by. Only a canary's run creates something.

mod answer;
mod canary;
mod functions;
mod roles;
mod settings;
mod stack;
mod trails;
mod triggers;

use ecr_warden_core::brakes::Braked;
use ecr_warden_core::doctor::{self, AwsCli, CheckName, Checkup, Diagnosis, NoAnswer};
use ecr_warden_core::repository::RepositoryId;
use futures_util::future::OptionFuture;
use time::OffsetDateTime;

pub use canary::canary;

use crate::connect::clients::Clients;
use crate::connect::profiles::Caller;
use crate::doctor::answer::of_failure;
use crate::doctor::stack::Resources;
use crate::state::State;

/// Makes all checks of a stack. A call that is not answered makes its own check unknown.
pub async fn diagnose(clients: &Clients, caller: &Caller, stack: &str, aws: &AwsCli) -> Diagnosis {
    let config = clients.config();
    let (summary, resources, trails) = tokio::join!(
        stack::summary(config, stack),
        stack::resources(config, stack),
        trails::trails(config),
    );
    let credentials = Checkup::ok(
        CheckName::Credentials,
        format!(
            "{} in account {}, {}",
            caller.arn, caller.account, caller.region
        ),
    );
    let mut checks = vec![
        credentials,
        doctor::stack(stack, &summary, aws),
        doctor::trail(&trails, aws),
    ];
    let parameter = summary
        .as_ref()
        .map(|summary| summary.policy_parameter.clone());
    let table = summary.as_ref().map(|summary| summary.state_table.clone());
    let registry = RepositoryId::of_registry(&caller.account, &caller.region);
    let (policy, braked, of_stack) = tokio::join!(
        policy(clients, parameter, aws),
        braked(clients, table, &registry),
        of_stack(clients, resources, &caller.region, aws),
    );
    checks.push(policy);
    checks.push(doctor::brakes(&braked));
    checks.extend(of_stack);
    Diagnosis::new(stack, &caller.account, &caller.region, checks)
}

/// `parameter`: the name of the policy's, where the stack has one.
async fn policy(
    clients: &Clients,
    parameter: Result<Option<String>, &NoAnswer>,
    aws: &AwsCli,
) -> Checkup {
    let name = match parameter {
        Ok(name) => name,
        Err(why) => return Checkup::unanswered(CheckName::Policy, &stack::needs_stack(why)),
    };
    let read = name.as_deref().map(|name| settings::policy(clients, name));
    let text = OptionFuture::from(read).await;
    doctor::policy(name.as_deref().zip(text.as_ref()), aws)
}

/// What stops all changes. `table`: the state table's name, where the stack has one.
async fn braked(
    clients: &Clients,
    table: Result<Option<String>, &NoAnswer>,
    registry: &RepositoryId,
) -> Result<Option<Braked>, NoAnswer> {
    let Some(table) = table.map_err(stack::needs_stack)? else {
        let why = "the stack has no output StateTableName".to_owned();
        return Err(NoAnswer::NotAsked(why));
    };
    let record = State::new(clients, table).brakes().await;
    let record = record.map_err(of_failure)?;
    Ok(record.braked(registry, OffsetDateTime::now_utc().unix_timestamp()))
}

/// The checks of what the stack consists of.
async fn of_stack(
    clients: &Clients,
    resources: Result<Resources, NoAnswer>,
    region: &str,
    aws: &AwsCli,
) -> Vec<Checkup> {
    let resources = match resources {
        Ok(resources) => resources,
        Err(why) => {
            let why = stack::needs_stack(&why);
            return [
                CheckName::Triggers,
                CheckName::Subscribers,
                CheckName::DeadLetters,
                CheckName::Functions,
                CheckName::Permissions,
            ]
            .map(|check| Checkup::unanswered(check, &why))
            .into();
        }
    };
    let config = clients.config();
    let topic = resources.physical("AlertTopic");
    let queue = resources.physical("DeadLetterQueue");
    let (triggers, subscriptions, waiting, functions, roles) = tokio::join!(
        triggers::triggers(config, &resources),
        settings::subscriptions(config, topic),
        settings::dead_letters(clients, queue),
        functions::functions(config, &resources),
        roles::roles(config, &resources, region),
    );
    vec![
        doctor::triggers(&triggers, aws),
        doctor::subscribers(topic.unwrap_or_default(), &subscriptions, aws),
        doctor::dead_letters(queue.unwrap_or_default(), &waiting, aws),
        doctor::functions(&functions, aws),
        doctor::permissions(&roles),
    ]
}
