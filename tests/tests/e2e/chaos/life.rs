//! What happens to one repository while all goes wrong, and what must be left of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ecr_warden_tests::eventually;
use ecr_warden_tests::proxy::Fault;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::faulty::{self, Faulty};
use super::people::{Change, Made};
use super::versions::Versions;
use super::weather::{Chance, ClaimsUnderWay};
use crate::support::{World, call, created_immutable};

/// What people were told last of a repository's rules.
pub(super) type Told = BTreeMap<String, Value>;

/// What happens to one repository, beside what fails.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) seed: u64,
    pub(super) name: String,
    pub(super) faulty: Faulty,
    /// An event comes before there is anything that it could be about.
    too_early: bool,
    /// Events by their operations, in the order in which they come, each with its identity.
    events: Vec<(&'static str, String)>,
    /// They come at the same time, and not one after the other.
    at_once: bool,
    /// Each event is delivered twice at once, under one identity.
    twice: bool,
    /// A sweep runs at the same time.
    swept: bool,
    /// Of so many calls one fails.
    rarity: usize,
    /// Somebody changes it, before that call.
    change: Option<(Change, usize)>,
    pub(super) made: Option<Made>,
    /// Somebody deletes it and makes it again, and the event comes after that.
    again: Option<Faulty>,
    pub(super) told: Told,
    /// The calls in bad weather, by whom, and what became of them: shown where something is wrong in the end.
    happened: Arc<Mutex<Vec<String>>>,
}

impl Life {
    pub(super) fn of(chance: &mut Chance, seed: u64) -> Self {
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
            twice: chance.once_in(3),
            swept: chance.once_in(4),
            rarity: 3 + chance.below(18),
            change: (change && !again).then(|| (chance.one_of(&Change::ALL), 1 + chance.below(40))),
            made: None,
            again: again.then(|| Faulty::of(chance, "others")),
            told: Told::new(),
            happened: Arc::default(),
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
        let happened = Arc::clone(&self.happened);
        let mut change = self.change.map(|(_, before)| (before, Some(ask)));
        let mut calls = 0;
        let mut claims = ClaimsUnderWay::default();
        let (rarity, alone) = (self.rarity, self.is_alone());
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
            // What is delayed has not arrived when its caller dies meanwhile.
            let acts = !matches!(
                fault,
                Some(Fault::Throttle | Fault::ServerError | Fault::Cut | Fault::Delay(_))
            );
            let unclaimed = claims.may_be_unclaimed(call, acts);
            let spared = unclaimed || (!alone && claims.is_telling(call));
            faults.fetch_add(u64::from(fault.is_some()), Ordering::SeqCst);
            let fault = match fault {
                // Here it only does not hear of it.
                Some(Fault::Kill) if spared => Some(Fault::DropAnswer),
                other => other,
            };
            let by = call.invocation.rsplit_once('-').map_or("", |(_, id)| id);
            let by = by.split(';').next().unwrap_or_default();
            let happens = format!("{} by {by}: {fault:?}", call.operation);
            happened.lock().unwrap().push(happens);
            fault
        });
        (asked, done)
    }

    /// Whether it has one event at a time and nobody else: leases outlive those who hold them, so that they can be made to run out
    /// only where all are done.
    fn is_alone(&self) -> bool {
        !self.at_once && !self.twice && !self.swept && self.change.is_none()
    }

    /// Bad weather, with everything that happens at the same time.
    pub(super) async fn live(
        &mut self,
        world: &World,
        versions: &Versions,
        chance: Chance,
        faults: &Arc<AtomicU64>,
    ) {
        let first = usize::try_from(self.seed).unwrap();
        if self.too_early {
            let event = call("PutImageTagMutability", &self.name);
            let outcome = world.deliver(&event).await.unwrap();
            assert_eq!(outcome["reason"], "repository-gone");
        }
        self.faulty.create(world, &self.name).await;
        let (mut asked, done) = self.plan(world, chance, faults);
        let events = async {
            let deliver = async |(n, (operation, id)): (usize, &(&'static str, String))| {
                // What a record says of ECR's answer may be past when the event comes.
                let event = match *operation {
                    "CreateRepository" if self.seed.is_multiple_of(3) => {
                        created_immutable(&self.name)
                    }
                    operation => call(operation, &self.name),
                };
                let enforcer = versions.enforcer(first + n);
                if self.twice {
                    // Lambda and SQS may deliver an event twice at once, under one identity. Neither is retried before both have ended.
                    let another = versions.enforcer(first + n + 1);
                    let one = world.invoke_message(enforcer, id, &event);
                    let other = world.invoke_message(another, id, &event);
                    let (one, other) = tokio::join!(one, other);
                    if one.is_ok() && other.is_ok() {
                        return;
                    }
                }
                let _ = world.deliver_to(enforcer, id, &event).await;
            };
            if self.at_once {
                join_all(self.events.iter().enumerate().map(deliver)).await;
            } else {
                for event in self.events.iter().enumerate() {
                    deliver(event).await;
                    if self.is_alone() {
                        world.let_leases_run_out(&self.name).await;
                    }
                }
            }
        };
        let sweep = async {
            if self.swept {
                let request = json!({ "mode": "enforce", "repositories": [self.name] });
                let auditor = versions.auditor(first);
                let _ = world.invoke_function(auditor, &request).await;
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
                let event = call(change.event(), &self.name);
                let enforcer = versions.enforcer(first + 1);
                let _ = world.deliver_to(enforcer, &id, &event).await;
            }
            made
        };
        let ((), made) = tokio::join!(work, person);
        self.made = made;
        world.let_leases_run_out(&self.name).await;
    }

    /// Somebody has deleted it and made it again, and the event comes an hour or a day late.
    pub(super) async fn live_again(&mut self, world: &World, versions: &Versions) {
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
        let id = format!("event-{}-late", self.seed);
        let enforcer = versions.enforcer(usize::try_from(self.seed).unwrap() + 1);
        let _ = world.deliver_to(enforcer, &id, &event).await;
        self.told.clear();
        self.faulty = again.clone();
        world.let_leases_run_out(&self.name).await;
    }

    /// What is not as it must be.
    pub(super) async fn wrong(&self, world: &World, standing: &[&Value]) -> Vec<String> {
        let Some(found) = faulty::look(world, &self.name).await else {
            return vec!["it is gone".to_owned()];
        };
        let calls = world.local.proxy.calls(&self.name);
        let mut wrong = self.faulty.missing(&found);
        let mut must_be_told = self.faulty.wrong();
        match self.made {
            Some(made) => {
                wrong.extend(made.lost(&found, &calls));
                if let Some(rule) = made.cures {
                    // Perhaps before anybody looked.
                    must_be_told.remove(rule);
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
        let untold = untold.filter(|rule| !self.told.contains_key(*rule));
        wrong.extend(untold.map(|rule| format!("nobody was told of {rule}")));
        for finding in standing {
            let rule = finding["rule"].as_str().unwrap();
            if rule != "weak-encryption" || !self.says_why_not(found.holds_images) {
                wrong.push(format!("stands: {finding}"));
            }
        }
        let remembered = world.state(&self.name).await;
        if remembered.contains(&"recreate".to_owned()) {
            wrong.push(format!("{remembered:?}"));
        }
        wrong
    }

    /// Whether people know that it is not encrypted as the policy asks, and why: it holds images, or somebody changed it while
    /// the last one tried.
    fn says_why_not(&self, holds_images: bool) -> bool {
        let Some(told) = self.told.get("weak-encryption") else {
            return false;
        };
        let changed = told["reason"] == "changed-meanwhile";
        told["status"] == "open" && (holds_images || changed)
    }
}
