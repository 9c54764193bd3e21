//! `wfm_box` and `wfm_feed_health`: the latest heartbeat.

use super::super::SendError;
use super::super::sql::{self, count, hold_or_take};
use super::connection::Session;
use super::value::{at, bit, int, key, maybe_at, maybe_int, maybe_text, text};
use super::{roster, stage};
use crate::domain::health::{FeedHealth, Heartbeat};
use crate::domain::ids::Feed;
use crate::domain::timestamp::WallTime;

/// What a source answered may be a whole page.
const ERROR_CHARS_MAX: usize = 4_000;

pub(super) const BOX: &str = "UPDATE t SET version = u.version, started_at = u.started_at,
  last_seen_at = u.last_seen_at, backlog = u.backlog, oldest_unsent_at = u.oldest_unsent_at,
  alarms = u.alarms
FROM {t}box AS t JOIN #thrio_edge_box AS u ON u.box_id = t.box_id;
IF @@ROWCOUNT = 0
  INSERT INTO {t}box
    (box_id, version, started_at, last_seen_at, backlog, oldest_unsent_at, alarms)
  SELECT box_id, version, started_at, last_seen_at, backlog, oldest_unsent_at, alarms
  FROM #thrio_edge_box;
TRUNCATE TABLE #thrio_edge_box;";

pub(super) const KNOWN_POLL: &str = "SELECT last_complete_poll_at FROM {t}feed_health
WHERE source = @P1 AND feed = @P2 AND last_complete_poll_at >= @P3";

pub(super) const FEED: &str = "UPDATE t SET box_id = u.box_id, last_success_at = u.last_success_at,
  last_complete_poll_at = u.last_complete_poll_at, last_data_at = u.last_data_at,
  lag_s = u.lag_s, consecutive_failures = u.consecutive_failures, last_error = u.last_error,
  clock_offset_ms = u.clock_offset_ms, is_stale = u.is_stale, heartbeat_at = u.heartbeat_at
FROM {t}feed_health AS t JOIN #thrio_edge_feed AS u ON u.source = t.source AND u.feed = t.feed;
IF @@ROWCOUNT = 0
  INSERT INTO {t}feed_health
    (source, feed, box_id, last_success_at, last_complete_poll_at, last_data_at, lag_s,
     consecutive_failures, last_error, clock_offset_ms, is_stale, heartbeat_at)
  SELECT source, feed, box_id, last_success_at, last_complete_poll_at, last_data_at, lag_s,
    consecutive_failures, last_error, clock_offset_ms, is_stale, heartbeat_at
  FROM #thrio_edge_feed;
TRUNCATE TABLE #thrio_edge_feed;";

/// Writes the heartbeat. A feed of a source that is another's now is not written, and says so.
pub(super) async fn write(
    session: &mut Session,
    beat: &Heartbeat,
    now: WallTime,
) -> Result<(), SendError> {
    box_row(session, beat).await?;
    for feed in &beat.feeds {
        hold_or_take(session, &feed.source, now).await?;
        if let Some(imported_at) = feed_row(session, beat, feed).await? {
            let stamps = sql::stamps(session, [&feed.source], now).await?;
            let stamp = stamps[&feed.source];
            roster::seen(session, &feed.source, imported_at, stamp).await?;
            session.after_apply(&stamps).await?;
        }
    }
    Ok(())
}

async fn box_row(session: &mut Session, beat: &Heartbeat) -> Result<(), SendError> {
    let alarms = serde_json::to_string(&beat.alarms).expect("texts are JSON");
    let values = vec![
        key(beat.box_id.as_str()),
        text(&beat.version),
        at(beat.started_at),
        at(beat.at),
        int(count(beat.backlog)),
        maybe_at(beat.oldest_unsent_at),
        text(&alarms),
    ];
    session.load(&stage::BOX, std::iter::once(values)).await?;
    session.query(BOX, Vec::new()).await.map(drop)
}

/// Answers when the configuration was imported, where the heartbeat is the first to tell.
async fn feed_row(
    session: &mut Session,
    beat: &Heartbeat,
    feed: &FeedHealth,
) -> Result<Option<WallTime>, SendError> {
    let (source, name) = (text(feed.source.as_str()), text(feed.feed.as_str()));
    let imported_at = feed
        .last_complete_poll_at
        .filter(|_| feed.feed == Feed::Configuration);
    let mut is_news = false;
    if let Some(imported_at) = imported_at {
        let values = vec![source.clone(), name.clone(), at(imported_at)];
        is_news = session.query(KNOWN_POLL, values).await?.is_empty();
    }
    let last_error = feed.last_error.as_deref();
    let last_error = last_error.map(|why| why.chars().take(ERROR_CHARS_MAX).collect::<String>());
    let values = vec![
        source,
        name,
        key(beat.box_id.as_str()),
        maybe_at(feed.last_success_at),
        maybe_at(feed.last_complete_poll_at),
        maybe_at(feed.last_data_at),
        int(count(feed.lag_s)),
        int(i64::from(feed.consecutive_failures)),
        maybe_text(last_error.as_deref()),
        maybe_int(feed.clock_offset_ms),
        bit(feed.is_stale),
        at(beat.at),
    ];
    session.load(&stage::FEED, std::iter::once(values)).await?;
    session.query(FEED, Vec::new()).await?;
    Ok(imported_at.filter(|_| is_news))
}
