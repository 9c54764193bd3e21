//! `wfm_box` and `wfm_feed_health`: the latest heartbeat.

use super::super::SendError;
use super::super::sql::{self, count, hold_or_take};
use super::connection::Session;
use super::pipeline::{at, maybe_text, text};
use super::roster;
use crate::domain::health::{FeedHealth, Heartbeat};
use crate::domain::ids::Feed;
use crate::domain::timestamp::WallTime;

pub(super) const BOX: &str = "INSERT INTO {t}box
    (box_id, version, started_at, last_seen_at, backlog, oldest_unsent_at, alarms)
  VALUES ($1::text, $2::text, $3::timestamptz, $4::timestamptz, $5::bigint, $6::timestamptz,
    $7::text)
  ON CONFLICT (box_id) DO UPDATE SET version = excluded.version,
    started_at = excluded.started_at, last_seen_at = excluded.last_seen_at,
    backlog = excluded.backlog, oldest_unsent_at = excluded.oldest_unsent_at,
    alarms = excluded.alarms";

pub(super) const KNOWN_POLL: &str = "SELECT last_complete_poll_at FROM {t}feed_health
  WHERE source = $1::text AND feed = $2::text AND last_complete_poll_at >= $3::timestamptz";

pub(super) const FEED: &str = "INSERT INTO {t}feed_health
    (source, feed, box_id, last_success_at, last_complete_poll_at, last_data_at, lag_s,
     consecutive_failures, last_error, clock_offset_ms, is_stale, heartbeat_at)
  VALUES ($1::text, $2::text, $3::text, $4::timestamptz, $5::timestamptz, $6::timestamptz,
    $7::bigint, $8::bigint, $9::text, $10::bigint, $11::boolean, $12::timestamptz)
  ON CONFLICT (source, feed) DO UPDATE SET box_id = excluded.box_id,
    last_success_at = excluded.last_success_at,
    last_complete_poll_at = excluded.last_complete_poll_at,
    last_data_at = excluded.last_data_at, lag_s = excluded.lag_s,
    consecutive_failures = excluded.consecutive_failures, last_error = excluded.last_error,
    clock_offset_ms = excluded.clock_offset_ms, is_stale = excluded.is_stale,
    heartbeat_at = excluded.heartbeat_at";

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

async fn box_row(session: &Session, beat: &Heartbeat) -> Result<(), SendError> {
    let alarms = serde_json::to_string(&beat.alarms).expect("texts are JSON");
    session
        .execute(
            BOX,
            &[
                &beat.box_id.as_str(),
                &text(&beat.version),
                &at(beat.started_at),
                &at(beat.at),
                &count(beat.backlog),
                &beat.oldest_unsent_at.map(at),
                &alarms,
            ],
        )
        .await
        .map(drop)
}

/// Answers when the configuration was imported, where the heartbeat is the first to tell.
async fn feed_row(
    session: &Session,
    beat: &Heartbeat,
    feed: &FeedHealth,
) -> Result<Option<WallTime>, SendError> {
    let (source, name) = (feed.source.as_str(), feed.feed.as_str());
    let imported_at = feed
        .last_complete_poll_at
        .filter(|_| feed.feed == Feed::Configuration);
    let mut is_news = false;
    if let Some(imported_at) = imported_at {
        let known = session
            .query_opt(KNOWN_POLL, &[&source, &name, &at(imported_at)])
            .await?;
        is_news = known.is_none();
    }
    session
        .execute(
            FEED,
            &[
                &source,
                &name,
                &beat.box_id.as_str(),
                &feed.last_success_at.map(at),
                &feed.last_complete_poll_at.map(at),
                &feed.last_data_at.map(at),
                &count(feed.lag_s),
                &i64::from(feed.consecutive_failures),
                &maybe_text(feed.last_error.as_deref()),
                &feed.clock_offset_ms,
                &feed.is_stale,
                &at(beat.at),
            ],
        )
        .await?;
    Ok(imported_at.filter(|_| is_news))
}
