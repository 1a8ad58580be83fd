//! How far an audit of many repositories got, and how many it reads side by side.

use std::collections::{BTreeSet, VecDeque};

use ecr_warden_core::audit::Position;

/// Repositories that are read side by side: ECR says no rate, so it begins low and doubles until it is throttled. From
/// then on it goes up by steps.
const SLOWEST: usize = 1;
const FIRST: usize = 16;
const STEP: usize = 4;
const FASTEST: usize = 64;

/// How many repositories are read side by side.
#[derive(Debug)]
pub(crate) struct Pace {
    pub(crate) at_once: usize,
    /// That went well since it last changed.
    in_a_row: usize,
    throttled: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            at_once: FIRST,
            in_a_row: 0,
            throttled: false,
        }
    }
}

impl Pace {
    pub(crate) fn was_throttled(&mut self) {
        self.at_once = (self.at_once / 2).max(SLOWEST);
        self.in_a_row = 0;
        self.throttled = true;
    }

    pub(crate) fn went_well(&mut self) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row >= self.at_once {
            let more = if self.throttled { STEP } else { self.at_once };
            self.at_once = self.at_once.saturating_add(more).min(FASTEST);
            self.in_a_row = 0;
        }
    }
}

/// The pages of the list of repositories. A page is begun before the one before it is done.
#[derive(Debug)]
pub(crate) struct PageCursor {
    /// Listed and not done, in order.
    open: VecDeque<ListedPage>,
    /// The token of the page after these; the outer `None`: there is none.
    unlisted: Option<Option<String>>,
    /// The last repository before that page.
    last: Option<String>,
    /// What an earlier part has done of pages that are not listed yet.
    before: BTreeSet<String>,
}

#[derive(Debug)]
struct ListedPage {
    token: Option<String>,
    /// The last repository before it.
    after: Option<String>,
    /// Names.
    left: BTreeSet<String>,
    done: BTreeSet<String>,
}

impl PageCursor {
    pub(crate) fn from(start: Position) -> Self {
        Self {
            open: VecDeque::new(),
            unlisted: Some(start.page),
            last: start.after,
            before: start.done.into_iter().collect(),
        }
    }

    /// The token to list the next page by, if there is one.
    pub(crate) fn unlisted(&self) -> Option<&Option<String>> {
        self.unlisted.as_ref()
    }

    /// The last repository before that page.
    pub(crate) fn last(&self) -> Option<&String> {
        self.last.as_ref()
    }

    /// The next page was listed, whose last repository is this one. Answers which of its names are still to be done.
    pub(crate) fn listed(
        &mut self,
        names: impl Iterator<Item = String>,
        last: Option<String>,
        next: Option<String>,
    ) -> BTreeSet<String> {
        let token = self.unlisted.take().flatten();
        let after = self.last.clone();
        self.last = last.or(after.clone());
        self.unlisted = next.map(Some);
        let (done, left): (BTreeSet<String>, BTreeSet<String>) =
            names.partition(|name| self.before.remove(name));
        self.open.push_back(ListedPage {
            token,
            after,
            left: left.clone(),
            done,
        });
        self.close();
        left
    }

    pub(crate) fn did(&mut self, name: &str) {
        for page in &mut self.open {
            if let Some(name) = page.left.take(name) {
                page.done.insert(name);
                break;
            }
        }
        self.close();
    }

    fn close(&mut self) {
        while self.open.front().is_some_and(|page| page.left.is_empty()) {
            self.open.pop_front();
        }
    }

    /// Where another part can go on; `None`: everything is done.
    pub(crate) fn position(self, region: &str) -> Option<Position> {
        let (page, after) = match self.open.front() {
            Some(page) => (page.token.clone(), page.after.clone()),
            None => (self.unlisted?, self.last),
        };
        let done = self.open.into_iter().flat_map(|page| page.done);
        Some(Position {
            region: region.to_owned(),
            page,
            after,
            done: done.chain(self.before).collect(),
            ..Position::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> impl Iterator<Item = String> {
        text.split(' ').map(str::to_owned)
    }

    fn token(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn it_goes_on_at_the_oldest_page_that_is_not_done() {
        let mut progress = PageCursor::from(Position::default());
        assert_eq!(progress.unlisted(), Some(&None));
        progress.listed(names("a b"), token("b"), token("2"));
        progress.listed(names("c d"), token("d"), token("3"));
        progress.did("a");
        progress.did("d");
        let stopped = progress.position("eu-central-1").unwrap();
        assert_eq!(
            (stopped.page.as_deref(), &*stopped.done.join(" ")),
            (None, "a d")
        );

        let mut progress = PageCursor::from(stopped);
        assert_eq!(
            progress.listed(names("a b"), token("b"), token("2")),
            names("b").collect()
        );
        progress.did("b");
        assert_eq!(progress.unlisted(), Some(&token("2")));
        assert_eq!(
            progress.listed(names("c d"), token("d"), token("3")),
            names("c").collect()
        );
        progress.did("c");
        let stopped = progress.position("eu-central-1").unwrap();
        assert_eq!((stopped.page, stopped.done), (token("3"), Vec::new()));
        assert_eq!(stopped.after, token("d"), "whatever was done of the page");
    }

    #[test]
    fn what_a_page_not_listed_yet_has_done_is_kept() {
        let start = Position {
            done: names("a d").collect(),
            ..Position::default()
        };
        let mut progress = PageCursor::from(start);
        progress.listed(names("a b"), token("b"), token("2"));
        let stopped = progress.position("eu-central-1").unwrap();
        assert_eq!((stopped.page, &*stopped.done.join(" ")), (None, "a d"));
    }

    #[test]
    fn after_the_last_page_there_is_nothing_to_go_on_with() {
        let mut progress = PageCursor::from(Position::default());
        progress.listed(names("a"), token("a"), token("2"));
        progress.listed(std::iter::empty(), None, None);
        progress.did("a");
        assert_eq!(progress.unlisted(), None);
        assert_eq!(progress.position("eu-central-1"), None);
    }

    #[test]
    fn it_doubles_until_it_is_throttled() {
        let mut pace = Pace::default();
        let well = |times: usize, pace: &mut Pace| {
            (0..times).for_each(|_| pace.went_well());
            pace.at_once
        };
        assert_eq!(well(16, &mut pace), 32);
        assert_eq!(well(32, &mut pace), 64);
        assert_eq!(well(200, &mut pace), FASTEST);
        pace.was_throttled();
        assert_eq!(pace.at_once, 32);
        assert_eq!(well(32, &mut pace), 36);
        (0..9).for_each(|_| pace.was_throttled());
        assert_eq!(pace.at_once, SLOWEST);
    }
}
