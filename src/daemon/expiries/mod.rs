//! When certificates and credentials end: looked at by a thread of its own, because a server may
//! take its time, and shown in the picture.
//!
//! The thread holds nothing of the box, so that nobody waits for it when the process stops.

mod watched;

use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::sources::RunningSource;
use super::{Parts, lock};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::control::status::ExpiryStatus;
use crate::domain::expiry::{ExpiryKind, Term};
use crate::domain::timestamp::{MonoTime, Now, WallTime};
use crate::stop::{StopToken, Waker, Woken};
use watched::Watched;

/// How often files are looked at: a replaced one clears its alarm soon.
const FILE_PERIOD: Duration = Duration::from_mins(1);
/// How often a server is asked for its certificate, which is one handshake.
const SERVER_PERIOD: Duration = Duration::from_hours(12);
/// When a server that could not be asked is asked again.
const SERVER_RETRY: Duration = Duration::from_mins(15);

/// What is looked at, and what was found.
pub(super) struct Expiries {
    shared: Arc<Shared>,
    waker: Waker,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared(Mutex<Vec<Entry>>);

/// One thing, and the last look at it.
struct Entry {
    watched: Watched,
    looked: Option<Look>,
    due: MonoTime,
}

#[derive(Clone)]
struct Look {
    at: WallTime,
    term: Result<Term, String>,
}

impl Default for Expiries {
    fn default() -> Self {
        Self {
            shared: Arc::default(),
            waker: Waker::new(&StopToken::new()),
            thread: Mutex::default(),
        }
    }
}

impl Expiries {
    fn start(&self) -> std::io::Result<()> {
        let (shared, waker) = (Arc::clone(&self.shared), self.waker.clone());
        let thread = Builder::new()
            .name("expiry".to_owned())
            .spawn(move || shared.look_on(&waker))?;
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// Looks at these from now on; what is known of those that stay is kept.
    fn watch(&self, wanted: Vec<Watched>) {
        let mut entries = lock(&self.shared.0);
        if entries.iter().map(|entry| &entry.watched).eq(&wanted) {
            return;
        }
        let mut former = std::mem::take(&mut *entries);
        for watched in wanted {
            let known = former.iter().position(|entry| entry.watched == watched);
            entries.push(match known {
                Some(at) => former.swap_remove(at),
                None => Entry {
                    watched,
                    looked: None,
                    due: MonoTime::ZERO,
                },
            });
        }
        drop(entries);
        self.waker.wake();
    }

    /// Looks at the files anew at once: somebody says that they are others.
    fn look_again(&self) {
        let mut entries = lock(&self.shared.0);
        for entry in entries.iter_mut().filter(|e| !e.watched.at.is_far()) {
            entry.due = MonoTime::ZERO;
        }
        drop(entries);
        self.waker.wake();
    }

    /// Whether the thread has ended although nobody asked it to.
    pub(super) fn is_dead(&self) -> bool {
        let thread = lock(&self.thread);
        thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    fn all(&self) -> Vec<ExpiryStatus> {
        lock(&self.shared.0).iter().map(Entry::status).collect()
    }
}

impl Drop for Expiries {
    fn drop(&mut self) {
        self.waker.token().stop();
    }
}

impl Shared {
    fn look_on(&self, waker: &Waker) {
        let clock = SystemClock::new();
        loop {
            let now = clock.now();
            let due: Vec<Watched> = lock(&self.0)
                .iter()
                .filter(|entry| entry.due <= now.mono)
                .map(|entry| entry.watched.clone())
                .collect();
            for watched in due {
                let term = watched.at.term();
                self.note(&watched, term, clock.now());
                if waker.token().is_stopped() {
                    return;
                }
            }
            if waker.wait(FILE_PERIOD) == Woken::Stopped {
                return;
            }
        }
    }

    fn note(&self, watched: &Watched, term: Result<Term, String>, now: Now) {
        let wait = match (watched.at.is_far(), &term) {
            (false, _) => FILE_PERIOD,
            (true, Ok(_)) => SERVER_PERIOD,
            (true, Err(_)) => SERVER_RETRY,
        };
        // It may be watched no longer.
        let mut entries = lock(&self.0);
        if let Some(entry) = entries.iter_mut().find(|entry| entry.watched == *watched) {
            entry.due = now.mono.plus(wait);
            entry.look(term, now.wall);
        }
    }
}

impl Entry {
    /// A look that failed does not forget what an earlier one saw.
    fn look(&mut self, term: Result<Term, String>, at: WallTime) {
        let known = self.looked.as_ref().and_then(|look| look.term.clone().ok());
        let is_far = self.watched.at.is_far();
        self.looked = match (term, known) {
            (Err(_), Some(_)) if is_far => return,
            (term, _) => Some(Look { at, term }),
        };
    }

    fn status(&self) -> ExpiryStatus {
        let look = self.looked.clone();
        let term = look.as_ref().and_then(|look| look.term.clone().ok());
        let term = term.unwrap_or_default();
        ExpiryStatus {
            name: self.watched.name.clone(),
            kind: self.watched.kind.as_str().to_owned(),
            place: self.watched.at.text(),
            since: term.since,
            until: term.until,
            looked_at: look.as_ref().map(|look| look.at),
            error: look.and_then(|look| look.term.err()),
        }
    }
}

impl Parts {
    pub(super) fn start_expiries(&self) -> std::io::Result<()> {
        if self.only.is_some() {
            return Ok(());
        }
        self.watch_expiries();
        self.expiries.start()
    }

    /// Looks at what the configuration that runs has, and at the hosts that its logins named.
    pub(super) fn watch_expiries(&self) {
        let bases: Vec<_> = {
            let sources = lock(&self.sources);
            let named = sources.iter().flat_map(|source| {
                let owner = format!("source {}", source.config.name);
                let logins = source.logins();
                logins.map(move |(_, login)| (owner.clone(), login.base))
            });
            named.collect()
        };
        let wanted = watched::of(&lock(&self.applied).config, &bases);
        self.expiries.watch(wanted);
    }

    /// The same, and whatever was replaced under its name is seen at once.
    pub(super) fn watch_expiries_anew(&self) {
        self.watch_expiries();
        self.expiries.look_again();
    }

    pub(super) fn expiry_status(&self) -> Vec<ExpiryStatus> {
        let mut all = self.expiries.all();
        all.extend(lock(&self.sources).iter().flat_map(sessions));
        all
    }
}

fn sessions(source: &RunningSource) -> impl Iterator<Item = ExpiryStatus> + '_ {
    source.logins().map(|(feed, login)| ExpiryStatus {
        name: format!("source {}: {feed} login", source.config.name),
        kind: ExpiryKind::Session.as_str().to_owned(),
        place: crate::transport::host_of(&login.base),
        since: login.term.since,
        until: login.term.until,
        looked_at: login.term.since,
        error: None,
    })
}

/// What can be said without a daemon: files are looked at, servers are not asked.
pub(super) fn at_rest(config: &Config, now: WallTime) -> Vec<ExpiryStatus> {
    let near = watched::of(config, &[]);
    let near = near.into_iter().filter(|watched| !watched.at.is_far());
    let seen = near.map(|watched| {
        let term = watched.at.term();
        let mut entry = Entry {
            watched,
            looked: None,
            due: MonoTime::ZERO,
        };
        entry.look(term, now);
        entry.status()
    });
    seen.collect()
}
