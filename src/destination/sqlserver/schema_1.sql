CREATE TABLE {t}source (
  source nvarchar(32) COLLATE Latin1_General_100_BIN2 NOT NULL,
  claim_no bigint NOT NULL,
  box_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  store_id nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  claimed_at datetime2(3) NOT NULL,
  confirmed_at datetime2(3) NOT NULL,
  last_applied_no bigint NOT NULL,
  after_applied_no bigint NOT NULL DEFAULT 0,
  roster_pending bit NOT NULL,
  PRIMARY KEY (source)
);

CREATE TABLE {t}source_claim (
  claim_no bigint NOT NULL,
  source nvarchar(32) COLLATE Latin1_General_100_BIN2 NOT NULL,
  box_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  store_id nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  claimed_at datetime2(3) NOT NULL,
  PRIMARY KEY (claim_no)
);

CREATE TABLE {t}delivery (
  box_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  store_id nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL,
  updated_at datetime2(3) NOT NULL,
  PRIMARY KEY (box_id, store_id, first_seq)
);

CREATE TABLE {t}box (
  box_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  version nvarchar(256) NOT NULL,
  started_at datetime2(3) NOT NULL,
  last_seen_at datetime2(3) NOT NULL,
  backlog bigint NOT NULL,
  oldest_unsent_at datetime2(3) NULL,
  alarms nvarchar(max) NOT NULL,
  PRIMARY KEY (box_id)
);

CREATE TABLE {t}feed_health (
  source nvarchar(32) COLLATE Latin1_General_100_BIN2 NOT NULL,
  feed nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  box_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  last_success_at datetime2(3) NULL,
  last_complete_poll_at datetime2(3) NULL,
  last_data_at datetime2(3) NULL,
  lag_s bigint NOT NULL,
  consecutive_failures bigint NOT NULL,
  last_error nvarchar(max) NULL,
  clock_offset_ms bigint NULL,
  is_stale bit NOT NULL,
  heartbeat_at datetime2(3) NOT NULL,
  PRIMARY KEY (source, feed)
);

CREATE TABLE {t}queue (
  source nvarchar(32) COLLATE Latin1_General_100_BIN2 NOT NULL,
  queue_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  valid_from datetime2(3) NOT NULL,
  valid_to datetime2(3) NULL,
  name nvarchar(max) NULL,
  description nvarchar(max) NULL,
  is_active bit NOT NULL,
  is_provisional bit NOT NULL,
  first_seen datetime2(3) NOT NULL,
  last_seen datetime2(3) NOT NULL,
  claim_no bigint NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, queue_id, valid_from)
);
CREATE INDEX {p}queue_applied ON {t}queue (source, applied_no);

CREATE TABLE {t}agent (
  source nvarchar(32) COLLATE Latin1_General_100_BIN2 NOT NULL,
  agent_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  valid_from datetime2(3) NOT NULL,
  valid_to datetime2(3) NULL,
  username nvarchar(max) NULL,
  first_name nvarchar(max) NULL,
  last_name nvarchar(max) NULL,
  display_name nvarchar(max) NULL,
  email nvarchar(max) NULL,
  time_zone nvarchar(max) NULL,
  is_active bit NOT NULL,
  is_provisional bit NOT NULL,
  first_seen datetime2(3) NOT NULL,
  last_seen datetime2(3) NOT NULL,
  last_seen_in_realtime datetime2(3) NULL,
  claim_no bigint NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, agent_id, valid_from)
);
CREATE INDEX {p}agent_applied ON {t}agent (source, applied_no);

CREATE TABLE {t}queue_interval (
  source nvarchar(32) COLLATE Latin1_General_100_BIN2 NOT NULL,
  queue_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  interval_start datetime2(3) NOT NULL,
  interval_s bigint NOT NULL,
  entered bigint NULL,
  abandoned bigint NULL,
  handle_time_s bigint NULL,
  status nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  suspect nvarchar(64) COLLATE Latin1_General_100_BIN2 NULL,
  revision bigint NOT NULL,
  first_stored_at datetime2(3) NOT NULL,
  last_changed_at datetime2(3) NOT NULL,
  claim_no bigint NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, interval_start, queue_id)
);
CREATE INDEX {p}queue_interval_applied ON {t}queue_interval (source, applied_no);

CREATE TABLE {t}queue_interval_revision (
  source nvarchar(32) COLLATE Latin1_General_100_BIN2 NOT NULL,
  queue_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  interval_start datetime2(3) NOT NULL,
  claim_no bigint NOT NULL,
  revision bigint NOT NULL,
  entered bigint NULL,
  abandoned bigint NULL,
  handle_time_s bigint NULL,
  suspect nvarchar(64) COLLATE Latin1_General_100_BIN2 NULL,
  stored_at datetime2(3) NOT NULL,
  replaced_at datetime2(3) NULL,
  reason nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  run nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, interval_start, queue_id, claim_no, revision)
);
CREATE INDEX {p}queue_interval_revision_applied
  ON {t}queue_interval_revision (source, applied_no);

CREATE TABLE {t}agent_state_transaction (
  source nvarchar(32) COLLATE Latin1_General_100_BIN2 NOT NULL,
  agent_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  started_at datetime2(3) NOT NULL,
  state nvarchar(1000) COLLATE Latin1_General_100_BIN2 NOT NULL,
  category nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  previous_state nvarchar(1000) COLLATE Latin1_General_100_BIN2 NULL,
  earliest_at datetime2(3) NULL,
  observed_at datetime2(3) NOT NULL,
  origin nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  is_clamped bit NOT NULL,
  is_tied bit NOT NULL,
  claim_no bigint NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, agent_id, started_at)
);
CREATE INDEX {p}agent_state_transaction_applied
  ON {t}agent_state_transaction (source, applied_no);

CREATE TABLE {t}agent_state_current (
  source nvarchar(32) COLLATE Latin1_General_100_BIN2 NOT NULL,
  agent_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  state nvarchar(1000) COLLATE Latin1_General_100_BIN2 NOT NULL,
  category nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  since datetime2(3) NOT NULL,
  origin nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  last_observed_hour datetime2(3) NULL,
  claim_no bigint NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, agent_id)
);
CREATE INDEX {p}agent_state_current_applied ON {t}agent_state_current (source, applied_no);

CREATE TABLE {t}state_code (
  source nvarchar(32) COLLATE Latin1_General_100_BIN2 NOT NULL,
  state nvarchar(1000) COLLATE Latin1_General_100_BIN2 NOT NULL,
  category nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  first_seen datetime2(3) NOT NULL,
  mapped bit NOT NULL,
  claim_no bigint NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL
);
-- A state is longer than a key may be; that it comes once follows from the lock on the source's row.
CREATE CLUSTERED INDEX {p}state_code_source ON {t}state_code (source);
CREATE INDEX {p}state_code_applied ON {t}state_code (source, applied_no);

CREATE TABLE {t}interval_coverage (
  source nvarchar(32) COLLATE Latin1_General_100_BIN2 NOT NULL,
  feed nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  interval_start datetime2(3) NOT NULL,
  status nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  attempts bigint NOT NULL,
  last_error nvarchar(max) NULL,
  rows bigint NOT NULL,
  fetched_at datetime2(3) NULL,
  final_at datetime2(3) NULL,
  polls_expected bigint NULL,
  polls_made bigint NULL,
  unknown_s bigint NULL,
  claim_no bigint NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, feed, interval_start)
);
CREATE INDEX {p}interval_coverage_applied ON {t}interval_coverage (source, applied_no);

EXEC (N'CREATE VIEW {t}agent_state_span AS
SELECT t.source, t.agent_id, t.started_at,
  (SELECT MIN(n.started_at) FROM {t}agent_state_transaction AS n
    WHERE n.source = t.source AND n.agent_id = t.agent_id AND n.started_at > t.started_at
  ) AS ended_at,
  t.state, t.category, t.origin, t.claim_no, t.record_seq, t.applied_no
FROM {t}agent_state_transaction AS t');

EXEC (N'CREATE VIEW {t}agent_state_live AS
SELECT c.source, c.agent_id, c.state, c.category, c.since, c.origin,
  h.last_complete_poll_at AS last_confirmed_at,
  CAST(CASE WHEN h.is_stale = 0 AND h.heartbeat_at >= DATEADD(second, -150, SYSUTCDATETIME())
    THEN 0 ELSE 1 END AS bit) AS is_stale,
  c.claim_no, c.record_seq, c.applied_no
FROM {t}agent_state_current AS c
LEFT JOIN {t}feed_health AS h ON h.source = c.source AND h.feed = N''realtime''');
