//! How one world follows from another.

use super::*;
use crate::record::Lease;

impl World {
    pub(in super::super) fn on_record(&self) -> bool {
        self.record.is_some()
    }

    pub(in super::super) fn idle(&self) -> bool {
        self.attempt.is_none() && self.duplicate.is_none()
    }

    /// Whether two attempts work at the same time.
    pub(in super::super) fn two_at_work(&self) -> bool {
        self.attempt.is_some() && self.duplicate.is_some()
    }

    /// The one known gap, which is not explored: somebody deletes the original just before a rehearsal asks to create
    /// what should be there. The rehearsal makes it again then, and its other writes meet ours: it can be left without
    /// its policies.
    pub(in super::super) fn rehearses_on_nothing(&self) -> bool {
        let asks = |attempt: Attempt| matches!(attempt.step, Step::Rehearse(calls) if calls.create);
        self.repo.is_none() && self.attempt.is_some_and(asks)
    }

    /// Everything that can happen next, with a word for it.
    pub(in super::super) fn successors(&self, given: &Given) -> Vec<(&'static str, Self)> {
        let mut all = Vec::new();
        if self.duplicate.is_some() {
            let moves = self.swapped().moves(given);
            all.extend(
                moves
                    .into_iter()
                    .map(|(what, world)| (what, world.swapped())),
            );
        }
        all.extend(self.moves(given));
        if self.idle() && !self.on_record() {
            return all;
        }
        if let Some(deeds) = self.left.deeds.checked_sub(1) {
            all.extend(self.deeds(given).into_iter().map(|(what, mut world)| {
                world.left.deeds = deeds;
                (what, world)
            }));
        }
        all.extend(self.delivered_again());
        all
    }

    fn swapped(&self) -> Self {
        Self {
            attempt: self.duplicate,
            duplicate: self.attempt,
            ..*self
        }
    }

    /// The event is delivered once more while an attempt works. Whether that one may work, too, is what the state table's conditions
    /// say: of the intent's identity when it is put on record, of the lease when it is taken over.
    fn delivered_again(&self) -> Vec<(&'static str, Self)> {
        let (Some(attempt), None, Some(duplicates)) = (
            self.attempt,
            self.duplicate,
            self.left.duplicates.checked_sub(1),
        ) else {
            return Vec::new();
        };
        let lease = |nonce: u8| Lease {
            owner: delivery("message", u64::from(nonce)),
            until: 90,
        };
        let number = attempt.delivery.saturating_add(1);
        let (theirs, mine) = (lease(attempt.delivery), lease(number));
        let let_in = |first: bool| {
            let mut world = *self;
            world.left.duplicates = duplicates;
            world.duplicate = self.record.map(|record| Attempt {
                progress: RecreationProgress {
                    first,
                    ..RecreationProgress::default()
                },
                record,
                step: Step::Look,
                delivery: number,
                refused_step: None,
            });
            world
        };
        let mut all = Vec::new();
        if theirs.owner == mine.owner {
            all.push(("a duplicate puts the same intent on record", let_in(true)));
        }
        if !theirs.held_against(&mine, 1) {
            all.push(("a duplicate takes the intent over", let_in(false)));
        }
        all
    }

    /// What the one attempt can do next.
    fn moves(&self, given: &Given) -> Vec<(&'static str, Self)> {
        let mut all = Vec::new();
        match self.attempt {
            None if self.on_record() => all.push(("another attempt", self.begun())),
            None => return all,
            Some(attempt) if attempt.step == Step::Look => {
                all.extend(self.looks(given, attempt, true));
            }
            Some(attempt) => all.extend(self.acts(given, attempt)),
        }
        if let (Some(_), Some(crashes)) = (self.attempt, self.left.crashes.checked_sub(1)) {
            let mut world = self.ended();
            world.left.crashes = crashes;
            all.push(("crash", world));
        }
        all
    }

    /// What comes of it when nothing goes wrong any more: the attempt under way, then the sweep's. `None`: no end.
    pub(in super::super) fn undisturbed(mut self, given: &Given) -> Option<Self> {
        self.older = self.repo;
        self.left = Left {
            crashes: 0,
            lost_answers: 0,
            wrong_answers: 0,
            duplicates: 0,
            deeds: 0,
        };
        let mut attempts = 0;
        for _ in 0..60 {
            if self.attempt.is_none() && self.duplicate.is_some() {
                self = self.swapped();
            }
            let then = match self.attempt {
                None if !self.on_record() => return Some(self),
                None => {
                    attempts += 1;
                    vec![("another attempt", self.begun())]
                }
                Some(attempt) if attempt.step == Step::Look => self.looks(given, attempt, false),
                Some(attempt) => self.acts(given, attempt),
            };
            self = then.first()?.1;
            self.older = self.repo;
            if attempts > 1 {
                return None;
            }
        }
        None
    }

    /// It comes later, so that its reads know what earlier attempts wrote.
    fn begun(&self) -> Self {
        let mut world = *self;
        if world.last_write_ours {
            world.older = world.repo;
        }
        world.refused_deletions = 0;
        world.attempt = self.record.map(|record| Attempt {
            progress: RecreationProgress::default(),
            record,
            step: Step::Look,
            delivery: 0,
            refused_step: None,
        });
        world
    }

    fn ended(&self) -> Self {
        Self {
            attempt: None,
            ..*self
        }
    }

    fn wrote(mut self, repo: Option<Repo>, ours: bool) -> Self {
        if self.repo != repo {
            self.older = self.repo;
            self.repo = repo;
            self.last_write_ours = ours;
        }
        self
    }

    fn at(mut self, attempt: Attempt, step: Step) -> Self {
        self.attempt = Some(Attempt { step, ..attempt });
        self
    }

    /// Each call of the round may answer as of before the last write.
    fn looks(&self, given: &Given, attempt: Attempt, stale: bool) -> Vec<(&'static str, Self)> {
        let mut all: Vec<(&'static str, Self)> = Vec::new();
        let mixes = if stale && self.older != self.repo {
            32
        } else {
            1
        };
        for mix in 0..mixes {
            let step = given.decide(&attempt, self.view(given, mix));
            let refused_again = matches!(
                (step, attempt.refused_step),
                (Step::Restore { .. }, Some(Refused::Restore))
                    | (Step::RemoveMarker, Some(Refused::RemoveMarker))
            );
            let then = if step == Step::Wait {
                // It looks again, which is where it was; or it has looked often enough.
                ("gives up waiting", self.ended())
            } else if refused_again {
                ("is refused the same again", self.ended())
            } else {
                ("looks", self.at(attempt, step))
            };
            if !all.contains(&then) {
                all.push(then);
            }
        }
        all
    }

    /// Bit by bit, whether a call shows the older state.
    fn view(&self, given: &Given, mix: u8) -> Option<View> {
        let of = |bit: u8| {
            if mix & (1 << bit) == 0 {
                self.repo
            } else {
                self.older
            }
        };
        // Whichever call finds no repository, the whole round says so.
        let (described, tags) = (of(0)?, of(1)?);
        let (policy, lifecycle, images) = (of(2)?, of(3)?, of(4)?);
        Some(View {
            created_at: described.time(given),
            asked_encryption: described.asked_encryption,
            tags: tags.tags,
            policy: policy.policy,
            lifecycle: lifecycle.lifecycle,
            image: images.image,
        })
    }

    /// The call is made; first of all as it should go.
    fn acts(&self, given: &Given, attempt: Attempt) -> Vec<(&'static str, Self)> {
        let mut all = Vec::new();
        let mut progressed = attempt;
        // The call acts and its answer is lost: the SDK sends it again, which is where the attempt is.
        let again = |all: &mut Vec<(&'static str, Self)>, acted: Self| {
            if let Some(left) = self.left.lost_answers.checked_sub(1) {
                let mut world = acted.at(attempt, attempt.step);
                world.left.lost_answers = left;
                all.push(("acts, and the answer is lost", world));
            }
        };
        // The call acts, or it does not, and is answered with an error.
        let wrong =
            |all: &mut Vec<(&'static str, Self)>, acted: Self, then: Attempt, step: Step| {
                if let Some(left) = self.left.wrong_answers.checked_sub(1) {
                    for mut world in [acted.at(then, step), self.at(then, step)] {
                        world.left.wrong_answers = left;
                        world.wrong_answers_given = true;
                        all.push(("is answered with an error", world));
                    }
                }
            };
        // A write to what was created a moment ago is answered as if there were nothing.
        let not_visible_yet = self.older.is_none() && self.last_write_ours;
        let ours = Repo {
            maker: Maker::Ours,
            asked_encryption: !attempt.record.fallback,
            image: false,
            policy: Setting::None,
            lifecycle: Setting::None,
            tags: Tags::Marked,
        };
        match attempt.step {
            Step::Look | Step::Wait => {}
            Step::End(end) => {
                let mut world = self.ended();
                world.record = None;
                world.said = Some(end);
                all.push(("clears the intent", world));
            }
            Step::Rehearse(calls) => {
                if calls.create {
                    let mut then = Rehearsal {
                        create: false,
                        ..calls
                    };
                    then.refused = given.key == Key::RefusedAtOnce && !attempt.record.fallback;
                    all.push(("rehearses the creation", self.rehearsed(attempt, then)));
                    if let Some(left) = self.left.wrong_answers.checked_sub(1) {
                        then.refused = true;
                        let mut world = self.rehearsed(attempt, then);
                        world.left.wrong_answers = left;
                        all.push(("the rehearsal is answered with an error", world));
                    }
                }
                let mut put = |pending: bool, then: Rehearsal, change: &dyn Fn(&mut Repo)| {
                    if !pending {
                        return;
                    }
                    let Some(mut repo) = self.repo else {
                        // The first failure ends the others.
                        let then = Rehearsal {
                            create: calls.create,
                            gone: true,
                            policy: false,
                            lifecycle: false,
                            unmark: false,
                            ..calls
                        };
                        all.push(("rehearses: gone", self.rehearsed(attempt, then)));
                        return;
                    };
                    change(&mut repo);
                    let world = self.wrote(Some(repo), true);
                    all.push(("rehearses a write", world.rehearsed(attempt, then)));
                };
                let then = Rehearsal {
                    policy: false,
                    ..calls
                };
                put(calls.policy, then, &|repo| {
                    if given.policy {
                        repo.policy = Setting::Snapshot;
                    }
                });
                let then = Rehearsal {
                    lifecycle: false,
                    ..calls
                };
                put(calls.lifecycle, then, &|repo| {
                    repo.lifecycle = Setting::Snapshot;
                });
                let then = Rehearsal {
                    unmark: false,
                    ..calls
                };
                put(calls.unmark, then, &Repo::unmark);
            }
            Step::Delete => match self.repo {
                Some(repo) if repo.image => {
                    progressed.progress.deletion = Deletion::HoldsImages;
                    let mut world = self.at(progressed, Step::Look);
                    world.refused_deletions += 1;
                    all.push(("deletes: not empty", world));
                }
                there => {
                    let mut deleted = self.wrote(None, true);
                    deleted.gone_by_us |= there.is_some();
                    progressed.progress.deletion = Deletion::Done;
                    all.push(("deletes", deleted.at(progressed, Step::Look)));
                    if there.is_some() {
                        again(&mut all, deleted);
                    }
                    wrong(&mut all, deleted, attempt, Step::SaveRefusal);
                }
            },
            Step::SaveRefusal => {
                let mut world = *self;
                progressed.record.refused = true;
                progressed.progress.deletion = Deletion::InDoubt;
                world.record = Some(progressed.record);
                all.push(("saves the refusal", world.at(progressed, Step::Look)));
            }
            Step::Create => match self.repo {
                Some(_) => all.push(("creates: exists", self.at(attempt, Step::Look))),
                None if given.key != Key::Accepted && !attempt.record.fallback => {
                    let refused = self.at(attempt, Step::SaveFallback);
                    all.push(("creates: refused for good", refused));
                }
                None => {
                    let created = self.wrote(Some(ours), true).created();
                    progressed.progress.created = true;
                    all.push(("creates", created.at(progressed, Step::Look)));
                    again(&mut all, created);
                    // An error that says that the key is refused for good, or another one.
                    if !attempt.record.fallback {
                        wrong(&mut all, created, attempt, Step::SaveFallback);
                    }
                    wrong(&mut all, created, attempt, Step::Look);
                    if self.older.is_some() {
                        // The name of what was deleted is taken for a moment.
                        all.push(("creates: taken", self.at(attempt, Step::Look)));
                    }
                }
            },
            Step::SaveFallback => {
                let mut world = *self;
                progressed.record.fallback = true;
                world.record = Some(progressed.record);
                all.push(("saves the fallback", world.at(progressed, Step::Look)));
            }
            Step::Remember { made, accepted } => {
                let mut world = *self;
                progressed.record.made = Some(made);
                progressed.record.fallback &= !accepted;
                world.record = Some(progressed.record);
                all.push((
                    "remembers when it was made",
                    world.at(progressed, Step::Look),
                ));
            }
            Step::Restore { policy, lifecycle } => match self.repo {
                None => all.push(("restores: gone", self.at(attempt, Step::Look))),
                // Both at once, so either may be first.
                Some(repo) => {
                    let then = |policy, lifecycle| match (policy, lifecycle) {
                        (false, false) => Step::Look,
                        _ => Step::Restore { policy, lifecycle },
                    };
                    let done = Attempt {
                        progress: RecreationProgress {
                            restored: !(policy && lifecycle),
                            ..attempt.progress
                        },
                        ..attempt
                    };
                    let mut refused = attempt;
                    refused.refused_step = Some(Refused::Restore);
                    if policy {
                        let repo = Repo {
                            policy: Setting::Snapshot,
                            ..repo
                        };
                        let world = self.wrote(Some(repo), true);
                        all.push(("puts the policy", world.at(done, then(false, lifecycle))));
                        wrong(&mut all, world, refused, Step::Look);
                    }
                    if lifecycle {
                        let repo = Repo {
                            lifecycle: Setting::Snapshot,
                            ..repo
                        };
                        let world = self.wrote(Some(repo), true);
                        all.push(("puts the lifecycle", world.at(done, then(policy, false))));
                        wrong(&mut all, world, refused, Step::Look);
                    }
                    if not_visible_yet {
                        all.push(("restores: not found yet", self.at(attempt, Step::Look)));
                    }
                }
            },
            Step::RemoveMarker => match self.repo {
                None => all.push(("removes the marker: gone", self.at(attempt, Step::Look))),
                Some(mut repo) => {
                    repo.unmark();
                    progressed.progress.unmarked = true;
                    let world = self.wrote(Some(repo), true);
                    all.push(("removes the marker", world.at(progressed, Step::Look)));
                    let mut refused = attempt;
                    refused.refused_step = Some(Refused::RemoveMarker);
                    wrong(&mut all, world, refused, Step::Look);
                    if not_visible_yet {
                        all.push(("unmarks: not found yet", self.at(attempt, Step::Look)));
                    }
                }
            },
        }
        all
    }

    /// What the rehearsal comes to when all its calls are answered.
    fn rehearsed(&self, mut attempt: Attempt, calls: Rehearsal) -> Self {
        if calls.create || calls.policy || calls.lifecycle || calls.unmark {
            return self.at(attempt, Step::Rehearse(calls));
        }
        if calls.refused {
            return self.at(attempt, Step::End(End::Refused));
        } else if !calls.gone {
            attempt.progress.rehearsed = true;
        }
        self.at(attempt, Step::Look)
    }

    fn created(mut self) -> Self {
        self.gone_by_us = false;
        self
    }

    /// What people do.
    fn deeds(&self, given: &Given) -> Vec<(&'static str, Self)> {
        let mut all = Vec::new();
        match self.repo {
            None => {
                // By the same code as the original was, or by a person who has read the policy.
                for (asked_encryption, tags) in [
                    (false, Tags::Snapshot),
                    (true, Tags::Snapshot),
                    (true, Tags::Others),
                ] {
                    let repo = Repo {
                        maker: Maker::Somebody,
                        asked_encryption,
                        image: false,
                        policy: Setting::None,
                        lifecycle: Setting::None,
                        tags,
                    };
                    let world = self.wrote(Some(repo), false).created();
                    all.push(("somebody creates it", world));
                }
            }
            Some(repo) => {
                if !repo.image {
                    let repo = Repo {
                        image: true,
                        ..repo
                    };
                    all.push(("somebody pushes", self.wrote(Some(repo), false)));
                }
                let tags = match repo.tags {
                    Tags::Snapshot => Some(Tags::More),
                    Tags::Marked => Some(Tags::MarkedMore),
                    Tags::More | Tags::MarkedMore | Tags::Others => None,
                };
                if let Some(tags) = tags {
                    let repo = Repo { tags, ..repo };
                    all.push(("somebody tags it", self.wrote(Some(repo), false)));
                }
                if repo.policy != Setting::Newer {
                    let repo = Repo {
                        policy: Setting::Newer,
                        ..repo
                    };
                    all.push(("somebody sets a policy", self.wrote(Some(repo), false)));
                }
                if given.deletions {
                    all.push(("somebody deletes it", self.wrote(None, false)));
                }
            }
        }
        all
    }
}
