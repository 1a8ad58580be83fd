//! Seeded chance: any call of any operation fails in any way, again and again, while events come twice, in any order and late,
//! sweeps run and people change things. Then the weather clears, one sweep is done, and nothing may be lost.
//! `SEEDS=10000` for a long run; `FIRST_SEED=n SEEDS=1` has the plan of one seed again.

pub(crate) mod faulty;
pub(crate) mod people;
pub(crate) mod weather;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ecr_warden_tests::eventually;
use ecr_warden_tests::inbox::Inbox;
use ecr_warden_tests::proxy::Fault;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{World, arn, call};
use faulty::Faulty;
use people::{Change, Made};
use weather::{Chance, ClaimsUnderWay};

/// What a run of the whole test suite has time for.
const SEEDS: u64 = 150;
/// Repositories that live at the same time.
const BATCH: usize = 50;
/// A message about many lists twenty findings; so many repositories have no more.
const SWEPT_AT_ONCE: usize = 4;

/// What happens to one repository, beside what fails.
struct Life {
    seed: u64,
    name: String,
    faulty: Faulty,
    /// An event comes before there is anything that it could be about.
    too_early: bool,
    /// Events by their operations, in the order in which they come, each with its identity.
    events: Vec<(&'static str, String)>,
    /// They come at the same time, and not one after the other.
    at_once: bool,
    /// A sweep runs at the same time.
    swept: bool,
    /// Of so many calls one fails.
    rarity: usize,
    /// Somebody changes it, before that call.
    change: Option<(Change, usize)>,
    made: Option<Made>,
    /// Somebody deletes it and makes it again, and the event comes after that.
    again: Option<Faulty>,
    told: BTreeSet<String>,
}

impl Life {
    fn of(chance: &mut Chance, seed: u64) -> Self {
        let faulty = Faulty::of(chance, "shop");
        let event = if faulty.pushed {
            "PutImage"
        } else {
            "CreateRepository"
        };
        let mut events = vec![event, event];
        for other in ["PutImageTagMutability", "PutImage"] {
            if chance.once_in(3) {
                events.insert(chance.below(events.len() + 1), other);
            }
        }
        let again = chance.once_in(6);
        let change = chance.once_in(2);
        let identity = |(n, event)| (event, format!("event-{seed}-{n}"));
        Self {
            seed,
            name: format!("shop/chaos-{seed}-x"),
            too_early: chance.once_in(8),
            events: events.into_iter().enumerate().map(identity).collect(),
            at_once: chance.once_in(2),
            swept: chance.once_in(4),
            rarity: 3 + chance.below(18),
            change: (change && !again).then(|| (chance.one_of(&Change::ALL), 1 + chance.below(40))),
            made: None,
            again: again.then(|| Faulty::of(chance, "others")),
            told: BTreeSet::new(),
            faulty,
        }
    }

    /// Plans the weather. The receiver hears when somebody is to change the repository, and everybody waits until that is done.
    fn plan(
        &self,
        world: &World,
        mut chance: Chance,
        faults: &Arc<AtomicU64>,
    ) -> (mpsc::UnboundedReceiver<()>, Arc<AtomicBool>) {
        let (ask, asked) = mpsc::unbounded_channel();
        let done = Arc::new(AtomicBool::new(false));
        let (is_done, faults) = (Arc::clone(&done), Arc::clone(faults));
        let mut change = self.change.map(|(_, before)| (before, Some(ask)));
        let mut calls = 0;
        let mut claims = ClaimsUnderWay::default();
        let (rarity, alone) = (self.rarity, !self.at_once && !self.swept);
        world.local.proxy.plan(&self.name, move |call| {
            if let Some((before, ask)) = &mut change
                && calls == *before
                && !is_done.load(Ordering::SeqCst)
            {
                if let Some(ask) = ask.take() {
                    let _ = ask.send(());
                }
                return Some(Fault::Hold);
            }
            calls += 1;
            let fault = chance.once_in(rarity).then(|| chance.fault());
            let acts = !matches!(
                fault,
                Some(Fault::Throttle | Fault::ServerError | Fault::Cut)
            );
            let unclaimed = claims.may_be_unclaimed(call, acts);
            let spared = unclaimed || (!alone && claims.is_telling(call));
            faults.fetch_add(u64::from(fault.is_some()), Ordering::SeqCst);
            match fault {
                // Here it only does not hear of it.
                Some(Fault::Kill) if spared => Some(Fault::DropAnswer),
                other => other,
            }
        });
        (asked, done)
    }

    /// Bad weather, with everything that happens at the same time.
    async fn live(&mut self, world: &World, chance: Chance, faults: &Arc<AtomicU64>) {
        if self.too_early {
            let event = call("PutImageTagMutability", &self.name);
            let outcome = world.deliver(&event).await.unwrap();
            assert_eq!(outcome["ignored"], "the repository is gone");
        }
        self.faulty.create(world, &self.name).await;
        let (mut asked, done) = self.plan(world, chance, faults);
        let events = async {
            let deliver = async |(operation, id): &(&'static str, String)| {
                let _ = world.deliver_as(id, &call(operation, &self.name)).await;
            };
            if self.at_once {
                join_all(self.events.iter().map(deliver)).await;
            } else {
                for event in &self.events {
                    deliver(event).await;
                    world.let_leases_run_out(&self.name).await;
                }
            }
        };
        let sweep = async {
            if self.swept {
                let request = json!({ "mode": "enforce", "repositories": [self.name] });
                let _ = world.invoke_function(&world.stack.auditor, &request).await;
            }
        };
        let work = async {
            tokio::join!(events, sweep);
            world.local.proxy.calm(&self.name);
        };
        let person = async {
            let (change, _) = self.change?;
            asked.recv().await?;
            eventually("the calls before", Duration::from_secs(20), || async {
                Ok(world.local.proxy.is_at_rest(&self.name).then_some(()))
            })
            .await
            .unwrap();
            let made = change.make(world, &self.name).await;
            done.store(true, Ordering::SeqCst);
            if made.is_some() {
                let id = format!("event-{}-person", self.seed);
                let _ = world
                    .deliver_as(&id, &call(change.event(), &self.name))
                    .await;
            }
            made
        };
        let ((), made) = tokio::join!(work, person);
        self.made = made;
        world.let_leases_run_out(&self.name).await;
    }

    /// Somebody has deleted it and made it again, and the event comes an hour or a day late.
    async fn live_again(&mut self, world: &World) {
        let Some(again) = &self.again else {
            return;
        };
        let gone = world.clients.ecr.delete_repository();
        // It may be gone already.
        let _ = gone.repository_name(&self.name).force(true).send().await;
        again.create(world, &self.name).await;
        let mut event = call("CreateRepository", &self.name);
        let late = ["2026-11-23T07:00:00Z", "2026-11-22T08:00:00Z"];
        event["detail"]["eventTime"] = json!(late[usize::from(self.at_once)]);
        let _ = world
            .deliver_as(&format!("event-{}-late", self.seed), &event)
            .await;
        self.told.clear();
        self.faulty = again.clone();
        world.let_leases_run_out(&self.name).await;
    }

    /// What is not as it must be.
    async fn wrong(&self, world: &World, standing: &[&Value]) -> Vec<String> {
        let Some(found) = faulty::look(world, &self.name).await else {
            return vec!["it is gone".to_owned()];
        };
        let calls = world.local.proxy.calls(&self.name);
        let mut wrong = self.faulty.missing(&found);
        let mut must_be_told = self.faulty.wrong();
        match self.made {
            Some(made) => {
                wrong.extend(made.lost(&found, &calls));
                if made.change == Change::Lifecycle {
                    // It was mended before anybody looked.
                    must_be_told.remove("no-lifecycle-policy");
                }
                if made.change == Change::Mutability && !made.came_after_the_last_look(&calls) {
                    must_be_told.insert("mutable-tags");
                }
            }
            None if self.faulty.lifecycle && found.lifecycle != crate::recreate::LIFECYCLE => {
                wrong.push(format!("its lifecycle policy: {}", found.lifecycle));
            }
            None => {}
        }
        let untold = must_be_told.into_iter();
        let untold = untold.filter(|rule| !self.told.contains(*rule));
        wrong.extend(untold.map(|rule| format!("nobody was told of {rule}")));
        for finding in standing {
            let rule = finding["rule"].as_str().unwrap();
            let may_stand = rule == "weak-encryption" && found.holds_images;
            if !may_stand || !self.told.contains(rule) {
                wrong.push(format!("stands: {finding}"));
            }
        }
        let remembered = world.state(&self.name).await;
        if remembered.contains(&"recreate".to_owned()) {
            wrong.push(format!("{remembered:?}"));
        }
        wrong
    }
}

/// The rules that people were told of, by repository.
async fn told(inbox: &mut Inbox) -> HashMap<String, BTreeSet<String>> {
    let mut told: HashMap<String, BTreeSet<String>> = HashMap::new();
    for alert in inbox.take().await.unwrap() {
        assert_eq!(alert.get("omitted"), None, "{alert}");
        for finding in alert["findings"].as_array().unwrap() {
            let arn = finding.get("repository").unwrap_or(&alert["repository"]);
            let rules = told.entry(arn.as_str().unwrap().to_owned()).or_default();
            rules.insert(finding["rule"].as_str().unwrap().to_owned());
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
    seeds: &[u64],
    inbox: &mut Inbox,
    faults: &Arc<AtomicU64>,
) -> Vec<String> {
    let at_once: usize = std::env::var("AT_ONCE").map_or(8, |n| n.parse().unwrap());
    let began = std::time::Instant::now();
    let mut drawn: Vec<(Life, Chance)> = seeds
        .iter()
        .map(|seed| {
            let mut chance = Chance(*seed);
            (Life::of(&mut chance, *seed), chance)
        })
        .collect();
    let living = drawn.drain(..).map(|(mut life, chance)| async move {
        life.live(world, chance, faults).await;
        life
    });
    let mut lives: Vec<Life> = stream::iter(living)
        .buffer_unordered(at_once)
        .collect()
        .await;
    hear(&mut lives, inbox).await;
    let again = lives.iter_mut().map(|life| life.live_again(world));
    let _: Vec<()> = stream::iter(again)
        .buffer_unordered(at_once)
        .collect()
        .await;
    let auditor = &world.stack.auditor;
    let sweeps = lives.chunks(SWEPT_AT_ONCE).map(async |some| {
        let names: Vec<&String> = some.iter().map(|life| &life.name).collect();
        let sweep = json!({ "mode": "enforce", "repositories": names });
        world.invoke_function(auditor, &sweep).await.unwrap();
    });
    stream::iter(sweeps)
        .buffer_unordered(SWEPT_AT_ONCE)
        .collect::<Vec<()>>()
        .await;
    hear(&mut lives, inbox).await;
    let names: Vec<&String> = lives.iter().map(|life| &life.name).collect();
    let request = json!({ "repositories": names });
    let audit = world.invoke_function(auditor, &request).await.unwrap();
    let standing = audit["findings"].as_array().unwrap();
    let judged = lives.iter().map(async |life| {
        let of_it = |finding: &&Value| finding["repository"] == json!(arn(&life.name));
        let standing: Vec<&Value> = standing.iter().filter(of_it).collect();
        let wrong = life.wrong(world, &standing).await;
        world.forget(&life.name).await;
        (!wrong.is_empty()).then(|| {
            format!(
                "seed {}: {wrong:#?}, told {:?}, {:?}, {:?}",
                life.seed, life.told, life.faulty, life.made
            )
        })
    });
    let judged = join_all(judged).await;
    eprintln!("batch {:?}", began.elapsed());
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
    let mut inbox = world.inbox("chaos").await;
    let faults = Arc::new(AtomicU64::new(0));
    let all: Vec<u64> = (first..first + seeds).collect();
    let mut wrong = Vec::new();
    for seeds in all.chunks(BATCH) {
        wrong.extend(batch(&world, seeds, &mut inbox, &faults).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let faults = faults.load(Ordering::SeqCst);
    assert!(faults > seeds, "{faults} faults in {seeds} runs");
}
