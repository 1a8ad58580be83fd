//! What fails, and when: drawn from a seed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ecr_warden_tests::proxy::{Call, Fault, Refusal};

/// Numbers that look like chance (SplitMix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of so many numbers, from nought.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n).unwrap()).unwrap()
    }

    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    pub(crate) fn fault(&mut self) -> Fault {
        match self.below(14) {
            0 | 1 => Fault::Throttle,
            2 | 3 => Fault::ServerError,
            4 | 5 => Fault::DropAnswer,
            6 | 7 => Fault::Cut,
            8 | 9 => Fault::Kill,
            10 => Fault::Delay(Duration::from_millis(300)),
            11 => Fault::DoneBut(Refusal::kms("KMSInvalidStateException")),
            12 => Fault::DoneBut(Refusal::denied("is not authorized to perform: this")),
            // It takes long, so it is rare.
            _ if self.once_in(4) => Fault::Late,
            _ => Fault::Delay(Duration::from_millis(30)),
        }
    }
}

/// Where an invocation is on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Looking,
    Recreating,
    /// It claims what there is to say and makes repairs, at the same time.
    Telling {
        claimed: bool,
    },
    Told,
}

/// A claim and its repairs are made at the same time (docs/decisions/0002): what a function that is killed has repaired while its
/// claim had not arrived is told by nobody. This knows when that is, of each invocation.
#[derive(Default)]
pub(crate) struct ClaimsUnderWay {
    stages: HashMap<String, Stage>,
    /// What each has read of the repository, until it begins anew.
    read: HashSet<(String, String)>,
}

impl ClaimsUnderWay {
    /// Takes note of a call that AWS acts on, or not, and says whether its caller may have repaired by now what it has not claimed.
    pub(crate) fn may_be_unclaimed(&mut self, call: &Call, acts: bool) -> bool {
        let by = &call.invocation;
        // A repair of a document reads it once more, while the claim and other repairs are on their way already.
        let once_more = matches!(
            call.operation.as_str(),
            "DescribeRepositories" | "GetRepositoryPolicy" | "GetLifecyclePolicy"
        ) && acts
            && !self.read.insert((by.clone(), call.operation.clone()));
        let stage = self.stages.get(by);
        if matches!(stage, Some(Stage::Recreating | Stage::Told)) {
            self.read.retain(|(reader, _)| reader != by);
        }
        let stage = match (call.operation.as_str(), stage.unwrap_or(&Stage::Looking)) {
            // A repair that finds a recreation's marker asks whether there is one, while the claim is on its way.
            ("Query", Stage::Telling { claimed: false }) => Stage::Telling { claimed: false },
            ("Query", _) => Stage::Looking,
            ("PutItem" | "UpdateItem", _) if call.body.contains(r#"{"S":"recreate"}"#) => {
                Stage::Recreating
            }
            ("TransactWriteItems", Stage::Recreating) if acts => Stage::Looking,
            ("TransactWriteItems", Stage::Looking) => Stage::Telling { claimed: acts },
            ("TransactWriteItems", Stage::Telling { claimed }) => Stage::Telling {
                claimed: *claimed || acts,
            },
            (
                "PutImageTagMutability"
                | "PutRegistryScanningConfiguration"
                | "PutImageScanningConfiguration"
                | "TagResource"
                | "SetRepositoryPolicy"
                | "DeleteRepositoryPolicy"
                | "PutLifecyclePolicy",
                Stage::Looking,
            ) => Stage::Telling { claimed: false },
            (_, Stage::Looking) if once_more => Stage::Telling { claimed: false },
            ("Publish", _) => Stage::Told,
            (_, other) => *other,
        };
        self.stages.insert(call.invocation.clone(), stage);
        stage == Stage::Telling { claimed: false }
    }

    /// Whether a caller is somewhere between its claim and its alert: with others at the same repository, its claim may have been
    /// refused, and it does not know yet.
    pub(crate) fn is_telling(&self, call: &Call) -> bool {
        matches!(
            self.stages.get(&call.invocation),
            Some(Stage::Telling { .. })
        )
    }
}
