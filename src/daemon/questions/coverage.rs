//! What is known of each quarter hour of a day.

use std::collections::HashMap;

use serde_json::Value;

use super::super::Parts;
use super::page;
use crate::control::question::{PAGE_DAYS_MAX, Span};
use crate::control::rows::{CoverageDay, Quarter};
use crate::domain::ids::{Feed, SourceName};
use crate::domain::interval::{INTERVALS_PER_DAY, IntervalStart, Window};
use crate::domain::record::{CoverageEntry, CoverageStatus};
use crate::domain::timestamp::WallTime;
use crate::store::StoreError;

/// The feeds whose data have quarter hours.
const FEEDS: [Feed; 2] = [Feed::Realtime, Feed::Historical];

impl Parts {
    pub(super) fn coverage(
        &self,
        source: Option<&SourceName>,
        feed: Option<Feed>,
        span: Span,
        after: Option<&(SourceName, Feed, IntervalStart)>,
    ) -> Result<Value, StoreError> {
        let feeds: Vec<Feed> = FEEDS
            .into_iter()
            .filter(|one| feed.is_none_or(|wanted| wanted == *one))
            .collect();
        let mut days = Vec::new();
        for name in self.meant(source) {
            for feed in &feeds {
                let wanted = self.configured(&name, *feed);
                days.extend(
                    days_of(span)
                        .map(|day| (name.clone(), *feed, day))
                        .filter(|_| wanted),
                );
            }
        }
        days.retain(|day| after.is_none_or(|last| day > last));
        days.truncate(PAGE_DAYS_MAX + 1);
        let rows: Result<Vec<CoverageDay>, StoreError> = days
            .into_iter()
            .map(|(name, feed, day)| self.coverage_day(name, feed, day))
            .collect();
        Ok(page(rows?, PAGE_DAYS_MAX, |row| {
            let first = row.quarters.first().map_or(0, |q| q.start.s());
            format!("{}/{}/{first}", row.source, row.feed)
        }))
    }

    /// Whether the source has this feed; of a source that is gone, both are shown.
    fn configured(&self, name: &SourceName, feed: Feed) -> bool {
        let applied = super::super::lock(&self.applied);
        let source = applied.config.sources.iter().find(|s| s.name == *name);
        source.is_none_or(|source| match feed {
            Feed::Realtime => source.realtime.is_some(),
            Feed::Historical => source.historical.is_some(),
            Feed::Configuration => false,
        })
    }

    fn coverage_day(
        &self,
        source: SourceName,
        feed: Feed,
        day: IntervalStart,
    ) -> Result<CoverageDay, StoreError> {
        let window = Window::new(day, day.plus(INTERVALS_PER_DAY));
        let entries = self.store.coverage(&source, feed, window)?;
        let mut entries: HashMap<IntervalStart, CoverageEntry> =
            entries.into_iter().map(|e| (e.interval_start, e)).collect();
        let now = self.clock.now().wall;
        let installed = self.store.installed_at();
        let quarters = window
            .starts()
            .map(|start| match entries.remove(&start) {
                Some(entry) => known(entry),
                None => unknown(start, now, installed),
            })
            .collect();
        let day = day.to_string().chars().take(10).collect();
        Ok(CoverageDay {
            source,
            feed,
            day,
            quarters,
        })
    }
}

/// The first quarter hour of each day that the span touches.
fn days_of(span: Span) -> impl Iterator<Item = IntervalStart> {
    let first = day(span.from);
    let count = (span.to.ms_since(first.start()).max(0) + DAY_MS - 1) / DAY_MS;
    (0..count).map(move |n| first.plus(n * INTERVALS_PER_DAY))
}

const DAY_MS: i64 = 86_400_000;

fn day(at: WallTime) -> IntervalStart {
    let s = at.s() - at.s().rem_euclid(86_400);
    IntervalStart::aligned_s(s).expect("a day begins with a quarter hour")
}

fn known(entry: CoverageEntry) -> Quarter {
    let (shown, why) = shown(&entry);
    Quarter {
        start: entry.interval_start.start(),
        shown,
        status: Some(entry.status),
        why,
        rows: Some(entry.rows),
        attempts: Some(entry.attempts),
        last_error: entry.last_error,
        fetched_at: entry.fetched_at,
        final_at: entry.final_at,
        polls_expected: entry.polls_expected,
        polls_made: entry.polls_made,
        unknown_s: entry.unknown_s,
    }
}

fn shown(entry: &CoverageEntry) -> (&'static str, String) {
    let because = |text: &str| match &entry.last_error {
        Some(error) => format!("{text}: {error}"),
        None => text.to_owned(),
    };
    match (entry.status, entry.feed, entry.unknown_s.unwrap_or(0)) {
        (CoverageStatus::Failed, _, _) => (
            "missing",
            because("Given up: it lies beyond what may be asked for, or was lost"),
        ),
        (CoverageStatus::Missing, Feed::Realtime, s) => {
            ("unknown", because(&format!("Nobody saw {s} s of it")))
        }
        (CoverageStatus::Missing, ..) => (
            "missing",
            because("Not there; it is asked for again by itself"),
        ),
        (CoverageStatus::Expected, ..) => ("pending", because("Not asked for yet")),
        (_, Feed::Realtime, s) if s > 0 => ("unknown", because(&format!("Nobody saw {s} s of it"))),
        (CoverageStatus::EmptyConfirmed, ..) => (
            "empty",
            "The source said nothing, which the settings take for zero".to_owned(),
        ),
        (CoverageStatus::Fetched, Feed::Realtime, _) => ("fetched", polled(entry)),
        (CoverageStatus::Fetched, _, _) if entry.rows == 0 => {
            ("empty", "A good answer came, without any row".to_owned())
        }
        (CoverageStatus::Fetched, ..) => (
            "fetched",
            format!(
                "{} rows, {}",
                entry.rows,
                if entry.final_at.is_some() {
                    "final"
                } else {
                    "provisional"
                }
            ),
        ),
    }
}

fn polled(entry: &CoverageEntry) -> String {
    match entry.polls_made.zip(entry.polls_expected) {
        Some((made, expected)) => format!("{made} of {expected} polls answered"),
        None => "Polled".to_owned(),
    }
}

/// A quarter hour that the journal says nothing of.
fn unknown(start: IntervalStart, now: WallTime, installed: WallTime) -> Quarter {
    let (shown, why) = if start.end() > now {
        ("pending", "Not over yet")
    } else if start.end() <= installed {
        ("none", "Before this box was installed")
    } else {
        ("pending", "Nothing is journaled of it yet")
    };
    Quarter {
        start: start.start(),
        shown,
        status: None,
        why: why.to_owned(),
        rows: None,
        attempts: None,
        last_error: None,
        fetched_at: None,
        final_at: None,
        polls_expected: None,
        polls_made: None,
        unknown_s: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_touches_every_day_that_it_has_a_moment_of() {
        let check = |from: i64, to: i64, expected: &[i64]| {
            let span = Span {
                from: WallTime::from_s(from),
                to: WallTime::from_s(to),
            };
            let days: Vec<i64> = days_of(span).map(IntervalStart::s).collect();
            assert_eq!(days, expected, "{from} {to}");
        };
        check(86_400, 2 * 86_400, &[86_400]);
        check(86_399, 86_401, &[0, 86_400]);
        check(100, 100, &[0]);
        check(86_400, 100, &[]);
    }
}
