CREATE TABLE {t}source (
  source text NOT NULL,
  claim_no bigint NOT NULL,
  box_id text NOT NULL,
  store_id text NOT NULL,
  claimed_at timestamptz NOT NULL,
  confirmed_at timestamptz NOT NULL,
  last_applied_no bigint NOT NULL,
  after_applied_no bigint NOT NULL DEFAULT 0,
  roster_pending boolean NOT NULL,
  PRIMARY KEY (source)
);

CREATE TABLE {t}source_claim (
  claim_no bigint NOT NULL,
  source text NOT NULL,
  box_id text NOT NULL,
  store_id text NOT NULL,
  claimed_at timestamptz NOT NULL,
  PRIMARY KEY (claim_no)
);

CREATE TABLE {t}delivery (
  box_id text NOT NULL,
  store_id text NOT NULL,
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (box_id, store_id, first_seq)
);

CREATE TABLE {t}box (
  box_id text NOT NULL,
  version text NOT NULL,
  started_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  backlog bigint NOT NULL,
  oldest_unsent_at timestamptz,
  alarms text NOT NULL,
  PRIMARY KEY (box_id)
);

CREATE TABLE {t}feed_health (
  source text NOT NULL,
  feed text NOT NULL,
  box_id text NOT NULL,
  last_success_at timestamptz,
  last_complete_poll_at timestamptz,
  last_data_at timestamptz,
  lag_s bigint NOT NULL,
  consecutive_failures bigint NOT NULL,
  last_error text,
  clock_offset_ms bigint,
  is_stale boolean NOT NULL,
  heartbeat_at timestamptz NOT NULL,
  PRIMARY KEY (source, feed)
);

CREATE TABLE {t}queue (
  source text NOT NULL,
  queue_id text NOT NULL,
  valid_from timestamptz NOT NULL,
  valid_to timestamptz,
  name text,
  description text,
  is_active boolean NOT NULL,
  is_provisional boolean NOT NULL,
  first_seen timestamptz NOT NULL,
  last_seen timestamptz NOT NULL,
  claim_no bigint NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, queue_id, valid_from)
);
CREATE INDEX {p}queue_applied ON {t}queue (source, applied_no);

CREATE TABLE {t}agent (
  source text NOT NULL,
  agent_id text NOT NULL,
  valid_from timestamptz NOT NULL,
  valid_to timestamptz,
  username text,
  first_name text,
  last_name text,
  display_name text,
  email text,
  time_zone text,
  is_active boolean NOT NULL,
  is_provisional boolean NOT NULL,
  first_seen timestamptz NOT NULL,
  last_seen timestamptz NOT NULL,
  last_seen_in_realtime timestamptz,
  claim_no bigint NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, agent_id, valid_from)
);
CREATE INDEX {p}agent_applied ON {t}agent (source, applied_no);

CREATE TABLE {t}queue_interval (
  source text NOT NULL,
  queue_id text NOT NULL,
  interval_start timestamptz NOT NULL,
  interval_s bigint NOT NULL,
  entered bigint,
  abandoned bigint,
  handle_time_s bigint,
  status text NOT NULL,
  suspect text,
  revision bigint NOT NULL,
  first_stored_at timestamptz NOT NULL,
  last_changed_at timestamptz NOT NULL,
  claim_no bigint NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, interval_start, queue_id)
);
CREATE INDEX {p}queue_interval_applied ON {t}queue_interval (source, applied_no);

CREATE TABLE {t}queue_interval_revision (
  source text NOT NULL,
  queue_id text NOT NULL,
  interval_start timestamptz NOT NULL,
  claim_no bigint NOT NULL,
  revision bigint NOT NULL,
  entered bigint,
  abandoned bigint,
  handle_time_s bigint,
  suspect text,
  stored_at timestamptz NOT NULL,
  replaced_at timestamptz,
  reason text NOT NULL,
  run text NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, interval_start, queue_id, claim_no, revision)
);
CREATE INDEX {p}queue_interval_revision_applied
  ON {t}queue_interval_revision (source, applied_no);

CREATE TABLE {t}agent_state_transaction (
  source text NOT NULL,
  agent_id text NOT NULL,
  started_at timestamptz NOT NULL,
  state text NOT NULL,
  category text NOT NULL,
  previous_state text,
  earliest_at timestamptz,
  observed_at timestamptz NOT NULL,
  origin text NOT NULL,
  is_clamped boolean NOT NULL,
  is_tied boolean NOT NULL,
  claim_no bigint NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, agent_id, started_at)
);
CREATE INDEX {p}agent_state_transaction_applied
  ON {t}agent_state_transaction (source, applied_no);

CREATE TABLE {t}agent_state_current (
  source text NOT NULL,
  agent_id text NOT NULL,
  state text NOT NULL,
  category text NOT NULL,
  since timestamptz NOT NULL,
  origin text NOT NULL,
  last_observed_hour timestamptz,
  claim_no bigint NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, agent_id)
);
CREATE INDEX {p}agent_state_current_applied ON {t}agent_state_current (source, applied_no);

CREATE TABLE {t}state_code (
  source text NOT NULL,
  state text NOT NULL,
  category text NOT NULL,
  first_seen timestamptz NOT NULL,
  mapped boolean NOT NULL,
  claim_no bigint NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, state)
);
CREATE INDEX {p}state_code_applied ON {t}state_code (source, applied_no);

CREATE TABLE {t}interval_coverage (
  source text NOT NULL,
  feed text NOT NULL,
  interval_start timestamptz NOT NULL,
  status text NOT NULL,
  attempts bigint NOT NULL,
  last_error text,
  rows bigint NOT NULL,
  fetched_at timestamptz,
  final_at timestamptz,
  polls_expected bigint,
  polls_made bigint,
  unknown_s bigint,
  claim_no bigint NOT NULL,
  record_seq bigint NOT NULL,
  applied_no bigint NOT NULL,
  PRIMARY KEY (source, feed, interval_start)
);
CREATE INDEX {p}interval_coverage_applied ON {t}interval_coverage (source, applied_no);

CREATE VIEW {t}agent_state_span AS
SELECT t.source, t.agent_id, t.started_at,
  (SELECT MIN(n.started_at) FROM {t}agent_state_transaction n
    WHERE n.source = t.source AND n.agent_id = t.agent_id AND n.started_at > t.started_at
  ) AS ended_at,
  t.state, t.category, t.origin, t.claim_no, t.record_seq, t.applied_no
FROM {t}agent_state_transaction t;

CREATE VIEW {t}agent_state_live AS
SELECT c.source, c.agent_id, c.state, c.category, c.since, c.origin,
  h.last_complete_poll_at AS last_confirmed_at,
  (h.is_stale IS NULL OR h.is_stale OR h.heartbeat_at < now() - interval '150 seconds')
    AS is_stale,
  c.claim_no, c.record_seq, c.applied_no
FROM {t}agent_state_current c
LEFT JOIN {t}feed_health h ON h.source = c.source AND h.feed = 'realtime';
