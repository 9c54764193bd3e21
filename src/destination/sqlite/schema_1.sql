CREATE TABLE wfm_source (
  source TEXT NOT NULL,
  claim_no INTEGER NOT NULL,
  box_id TEXT NOT NULL,
  store_id TEXT NOT NULL,
  claimed_at INTEGER NOT NULL,
  confirmed_at INTEGER NOT NULL,
  last_applied_no INTEGER NOT NULL,
  roster_pending INTEGER NOT NULL,
  PRIMARY KEY (source)
) STRICT, WITHOUT ROWID;

CREATE TABLE wfm_source_claim (
  claim_no INTEGER NOT NULL,
  source TEXT NOT NULL,
  box_id TEXT NOT NULL,
  store_id TEXT NOT NULL,
  claimed_at INTEGER NOT NULL,
  PRIMARY KEY (claim_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE wfm_delivery (
  box_id TEXT NOT NULL,
  store_id TEXT NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (box_id, store_id, first_seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE wfm_box (
  box_id TEXT NOT NULL,
  version TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL,
  backlog INTEGER NOT NULL,
  oldest_unsent_at INTEGER,
  alarms TEXT NOT NULL,
  PRIMARY KEY (box_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE wfm_feed_health (
  source TEXT NOT NULL,
  feed TEXT NOT NULL,
  box_id TEXT NOT NULL,
  last_success_at INTEGER,
  last_complete_poll_at INTEGER,
  last_data_at INTEGER,
  lag_s INTEGER NOT NULL,
  consecutive_failures INTEGER NOT NULL,
  last_error TEXT,
  clock_offset_ms INTEGER,
  is_stale INTEGER NOT NULL,
  heartbeat_at INTEGER NOT NULL,
  PRIMARY KEY (source, feed)
) STRICT, WITHOUT ROWID;

CREATE TABLE wfm_queue (
  source TEXT NOT NULL,
  queue_id TEXT NOT NULL,
  valid_from INTEGER NOT NULL,
  valid_to INTEGER,
  name TEXT,
  description TEXT,
  is_active INTEGER NOT NULL,
  is_provisional INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  claim_no INTEGER NOT NULL,
  record_seq INTEGER NOT NULL,
  applied_no INTEGER NOT NULL,
  PRIMARY KEY (source, queue_id, valid_from)
) STRICT, WITHOUT ROWID;
CREATE INDEX wfm_queue_applied ON wfm_queue (source, applied_no);

CREATE TABLE wfm_agent (
  source TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  valid_from INTEGER NOT NULL,
  valid_to INTEGER,
  username TEXT,
  first_name TEXT,
  last_name TEXT,
  display_name TEXT,
  email TEXT,
  time_zone TEXT,
  is_active INTEGER NOT NULL,
  is_provisional INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  last_seen_in_realtime INTEGER,
  claim_no INTEGER NOT NULL,
  record_seq INTEGER NOT NULL,
  applied_no INTEGER NOT NULL,
  PRIMARY KEY (source, agent_id, valid_from)
) STRICT, WITHOUT ROWID;
CREATE INDEX wfm_agent_applied ON wfm_agent (source, applied_no);

CREATE TABLE wfm_queue_interval (
  source TEXT NOT NULL,
  queue_id TEXT NOT NULL,
  interval_start INTEGER NOT NULL,
  interval_s INTEGER NOT NULL,
  entered INTEGER,
  abandoned INTEGER,
  handle_time_s INTEGER,
  status TEXT NOT NULL,
  suspect TEXT,
  revision INTEGER NOT NULL,
  first_stored_at INTEGER NOT NULL,
  last_changed_at INTEGER NOT NULL,
  claim_no INTEGER NOT NULL,
  record_seq INTEGER NOT NULL,
  applied_no INTEGER NOT NULL,
  PRIMARY KEY (source, interval_start, queue_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX wfm_queue_interval_applied ON wfm_queue_interval (source, applied_no);

CREATE TABLE wfm_queue_interval_revision (
  source TEXT NOT NULL,
  queue_id TEXT NOT NULL,
  interval_start INTEGER NOT NULL,
  claim_no INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  entered INTEGER,
  abandoned INTEGER,
  handle_time_s INTEGER,
  suspect TEXT,
  stored_at INTEGER NOT NULL,
  replaced_at INTEGER,
  reason TEXT NOT NULL,
  run TEXT NOT NULL,
  record_seq INTEGER NOT NULL,
  applied_no INTEGER NOT NULL,
  PRIMARY KEY (source, interval_start, queue_id, claim_no, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX wfm_queue_interval_revision_applied
  ON wfm_queue_interval_revision (source, applied_no);

CREATE TABLE wfm_agent_state_transaction (
  source TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  category TEXT NOT NULL,
  previous_state TEXT,
  earliest_at INTEGER,
  observed_at INTEGER NOT NULL,
  origin TEXT NOT NULL,
  is_clamped INTEGER NOT NULL,
  is_tied INTEGER NOT NULL,
  claim_no INTEGER NOT NULL,
  record_seq INTEGER NOT NULL,
  applied_no INTEGER NOT NULL,
  PRIMARY KEY (source, agent_id, started_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX wfm_agent_state_transaction_applied
  ON wfm_agent_state_transaction (source, applied_no);

CREATE TABLE wfm_agent_state_current (
  source TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  state TEXT NOT NULL,
  category TEXT NOT NULL,
  since INTEGER NOT NULL,
  origin TEXT NOT NULL,
  last_observed_hour INTEGER,
  claim_no INTEGER NOT NULL,
  record_seq INTEGER NOT NULL,
  applied_no INTEGER NOT NULL,
  PRIMARY KEY (source, agent_id)
) STRICT, WITHOUT ROWID;
-- No index by applied_no: a row an agent is soon read, and moving an entry with each change costs a
-- page more to write. Files of before have one.

CREATE TABLE wfm_state_code (
  source TEXT NOT NULL,
  state TEXT NOT NULL,
  category TEXT NOT NULL,
  first_seen INTEGER NOT NULL,
  mapped INTEGER NOT NULL,
  claim_no INTEGER NOT NULL,
  record_seq INTEGER NOT NULL,
  applied_no INTEGER NOT NULL,
  PRIMARY KEY (source, state)
) STRICT, WITHOUT ROWID;
CREATE INDEX wfm_state_code_applied ON wfm_state_code (source, applied_no);

CREATE TABLE wfm_interval_coverage (
  source TEXT NOT NULL,
  feed TEXT NOT NULL,
  interval_start INTEGER NOT NULL,
  status TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  last_error TEXT,
  rows INTEGER NOT NULL,
  fetched_at INTEGER,
  final_at INTEGER,
  polls_expected INTEGER,
  polls_made INTEGER,
  unknown_s INTEGER,
  claim_no INTEGER NOT NULL,
  record_seq INTEGER NOT NULL,
  applied_no INTEGER NOT NULL,
  PRIMARY KEY (source, feed, interval_start)
) STRICT, WITHOUT ROWID;
CREATE INDEX wfm_interval_coverage_applied ON wfm_interval_coverage (source, applied_no);

CREATE VIEW wfm_agent_state_span AS
SELECT t.source, t.agent_id, t.started_at,
  (SELECT MIN(n.started_at) FROM wfm_agent_state_transaction n
    WHERE n.source = t.source AND n.agent_id = t.agent_id AND n.started_at > t.started_at
  ) AS ended_at,
  t.state, t.category, t.origin, t.claim_no, t.record_seq, t.applied_no
FROM wfm_agent_state_transaction t;

CREATE VIEW wfm_agent_state_live AS
SELECT c.source, c.agent_id, c.state, c.category, c.since, c.origin,
  h.last_complete_poll_at AS last_confirmed_at,
  CASE
    WHEN h.is_stale IS NULL OR h.is_stale <> 0 THEN 1
    WHEN h.heartbeat_at < unixepoch() * 1000 - 150000 THEN 1
    ELSE 0
  END AS is_stale,
  c.claim_no, c.record_seq, c.applied_no
FROM wfm_agent_state_current c
LEFT JOIN wfm_feed_health h ON h.source = c.source AND h.feed = 'realtime';
