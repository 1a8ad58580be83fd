//! `ecr-warden doctor`: reads what the core's checks decide by. Only a canary's run creates something.

mod answer;
mod canary;
mod functions;
mod roles;
mod settings;
mod stack;
mod trails;
mod triggers;

use ecr_warden_core::doctor::{self, AwsCli, CheckName, Checkup, Diagnosis, NoAnswer};
use futures_util::future::OptionFuture;

pub use canary::canary;

use crate::connect::clients::Clients;
use crate::connect::profiles::Caller;
use crate::doctor::stack::Resources;

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
    let (policy, of_stack) = tokio::join!(
        policy(clients, parameter, aws),
        of_stack(clients, resources, &caller.region, aws),
    );
    checks.push(policy);
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
