//! Seeded chance: any call of any operation fails in any way, again and again, while events come twice, in any order and late,
//! sweeps run and people change things. Then the weather clears, one sweep is done, and nothing may be lost. Deferred events do not come back:
//! that takes longer than a quick run and less than a slow one, and what a run shows must not depend on that.
//! `EARLIER_ZIPS=FOLDER` has functions of an earlier version work beside this one's. `SEEDS=10000` for a long run; `FIRST_SEED=n SEEDS=1` has the plan of one seed again.

pub(crate) mod faulty;
mod life;
pub(crate) mod people;
mod versions;
pub(crate) mod weather;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ecr_warden_tests::inbox::Inbox;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use crate::support::{World, arn};
use life::{Life, Told};
use versions::Versions;
use weather::Chance;

/// What a run of the whole test suite has time for.
const SEEDS: u64 = 150;
/// Repositories that are judged together in the end.
const BATCH: usize = 50;
/// Of these live at the same time: much of a life is waiting.
const AT_ONCE: usize = 16;
/// A message about many lists twenty findings; so many repositories have no more.
const SWEPT_AT_ONCE: usize = 4;

/// What people were told last of each rule, by repository.
async fn told(inbox: &mut Inbox) -> HashMap<String, Told> {
    let mut told: HashMap<String, Told> = HashMap::new();
    for alert in inbox.take().await.unwrap() {
        assert_eq!(alert.get("omitted"), None, "{alert}");
        for finding in alert["findings"].as_array().unwrap() {
            let arn = finding.get("repository").unwrap_or(&alert["repository"]);
            let rules = told.entry(arn.as_str().unwrap().to_owned()).or_default();
            rules.insert(
                finding["rule"].as_str().unwrap().to_owned(),
                finding.clone(),
            );
        }
    }
    told
}

async fn hear(lives: &mut [Life], inbox: &mut Inbox) {
    let mut told = told(inbox).await;
    for life in lives {
        life.told
            .extend(told.remove(&arn(&life.name)).unwrap_or_default());
    }
}

/// All that is wrong at the end, each with its seed.
async fn batch(
    world: &World,
    versions: &Versions,
    seeds: &[u64],
    inbox: &mut Inbox,
    faults: &Arc<AtomicU64>,
) -> Vec<String> {
    let mut drawn: Vec<(Life, Chance)> = seeds
        .iter()
        .map(|seed| {
            let mut chance = Chance(*seed);
            (Life::of(&mut chance, *seed), chance)
        })
        .collect();
    let living = drawn.drain(..).map(|(mut life, chance)| async move {
        life.live(world, versions, chance, faults).await;
        life
    });
    let mut lives: Vec<Life> = stream::iter(living)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    hear(&mut lives, inbox).await;
    let again = lives
        .iter_mut()
        .map(|life| life.live_again(world, versions));
    let _: Vec<()> = stream::iter(again)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let chunks = lives.chunks(SWEPT_AT_ONCE).enumerate();
    let sweeps = chunks.map(async |(n, some)| {
        let names: Vec<&String> = some.iter().map(|life| &life.name).collect();
        let sweep = json!({ "mode": "enforce", "repositories": names });
        let auditor = versions.auditor(n);
        world.invoke_function(auditor, &sweep).await.unwrap();
    });
    stream::iter(sweeps)
        .buffer_unordered(SWEPT_AT_ONCE)
        .collect::<Vec<()>>()
        .await;
    hear(&mut lives, inbox).await;
    let names: Vec<&String> = lives.iter().map(|life| &life.name).collect();
    let request = json!({ "repositories": names });
    // What the sweeps changed a moment ago, ECR may not show yet.
    let proxy = &world.local.proxy;
    proxy.real_aws(|aws| aws.visibility.let_all_show());
    let audit = world.invoke_function(&world.stack.auditor, &request).await;
    let audit = audit.unwrap();
    let standing = audit["findings"].as_array().unwrap();
    let judged = lives.iter().map(async |life| {
        let of_it = |finding: &&Value| finding["repository"] == json!(arn(&life.name));
        let standing: Vec<&Value> = standing.iter().filter(of_it).collect();
        let wrong = life.wrong(world, &standing).await;
        if wrong.is_empty() {
            world.forget(&life.name).await;
        }
        (!wrong.is_empty()).then(|| format!("seed {}: {wrong:#?}, {life:?}", life.seed))
    });
    let judged = join_all(judged).await;
    judged.into_iter().flatten().collect()
}

#[tokio::test]
async fn whatever_fails_nothing_is_lost() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let first = number("FIRST_SEED").unwrap_or(0);
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let world = World::own();
    world.set_policy(faulty::POLICY).await;
    world.trace().await;
    world.keep_deferred_events().await;
    let versions = Versions::at(&world);
    let mut inbox = world.inbox("chaos").await;
    let faults = Arc::new(AtomicU64::new(0));
    let all: Vec<u64> = (first..first + seeds).collect();
    let mut wrong = Vec::new();
    for seeds in all.chunks(BATCH) {
        wrong.extend(batch(&world, &versions, seeds, &mut inbox, &faults).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let faults = faults.load(Ordering::SeqCst);
    assert!(faults > seeds, "{faults} faults in {seeds} runs");
}
