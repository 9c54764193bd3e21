//! Temporary tables of the connection: rows are loaded into them in bulk, and from there written
//! by few statements. Each is empty but between a load and the statements that use it.

use std::fmt::Write as _;

/// A temporary table.
#[derive(Debug)]
pub(super) struct Stage {
    /// Its name.
    pub(super) name: &'static str,
    /// Its columns, in the order of the rows that are loaded.
    columns: &'static str,
}

// Keys compare by their bits, as in the tables.

pub(super) const QUEUES: Stage = Stage {
    name: "#thrio_edge_queue",
    columns: "seq bigint NOT NULL,
  queue_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  valid_from datetime2(3) NOT NULL,
  name nvarchar(max) NULL,
  description nvarchar(max) NULL,
  is_active bit NOT NULL,
  is_provisional bit NOT NULL,
  first_seen datetime2(3) NOT NULL,
  is_closed bit NOT NULL",
};

pub(super) const AGENTS: Stage = Stage {
    name: "#thrio_edge_agent",
    columns: "seq bigint NOT NULL,
  agent_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  valid_from datetime2(3) NOT NULL,
  username nvarchar(max) NULL,
  first_name nvarchar(max) NULL,
  last_name nvarchar(max) NULL,
  display_name nvarchar(max) NULL,
  email nvarchar(max) NULL,
  time_zone nvarchar(max) NULL,
  is_active bit NOT NULL,
  is_provisional bit NOT NULL,
  first_seen datetime2(3) NOT NULL,
  is_closed bit NOT NULL",
};

pub(super) const STATE_CODES: Stage = Stage {
    name: "#thrio_edge_state_code",
    columns: "seq bigint NOT NULL,
  state nvarchar(1000) COLLATE Latin1_General_100_BIN2 NOT NULL,
  category nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  first_seen datetime2(3) NOT NULL,
  mapped bit NOT NULL",
};

pub(super) const COVERAGE: Stage = Stage {
    name: "#thrio_edge_coverage",
    columns: "seq bigint NOT NULL,
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
  unknown_s bigint NULL",
};

pub(super) const INTERVALS: Stage = Stage {
    name: "#thrio_edge_interval",
    columns: "seq bigint NOT NULL,
  queue_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  interval_start datetime2(3) NOT NULL,
  entered bigint NULL,
  abandoned bigint NULL,
  handle_time_s bigint NULL,
  suspect nvarchar(64) COLLATE Latin1_General_100_BIN2 NULL,
  revision bigint NOT NULL,
  first_stored_at datetime2(3) NOT NULL,
  last_changed_at datetime2(3) NOT NULL",
};

pub(super) const REVISIONS: Stage = Stage {
    name: "#thrio_edge_revision",
    columns: "seq bigint NOT NULL,
  queue_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  interval_start datetime2(3) NOT NULL,
  revision bigint NOT NULL,
  entered bigint NULL,
  abandoned bigint NULL,
  handle_time_s bigint NULL,
  suspect nvarchar(64) COLLATE Latin1_General_100_BIN2 NULL,
  stored_at datetime2(3) NOT NULL,
  replaced_at datetime2(3) NULL,
  reason nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  run nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL",
};

pub(super) const TRANSACTIONS: Stage = Stage {
    name: "#thrio_edge_transaction",
    columns: "seq bigint NOT NULL,
  agent_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  started_at datetime2(3) NOT NULL,
  state nvarchar(1000) COLLATE Latin1_General_100_BIN2 NOT NULL,
  category nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  previous_state nvarchar(1000) COLLATE Latin1_General_100_BIN2 NULL,
  earliest_at datetime2(3) NULL,
  observed_at datetime2(3) NOT NULL,
  origin nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  is_clamped bit NOT NULL,
  is_tied bit NOT NULL",
};

pub(super) const CURRENT: Stage = Stage {
    name: "#thrio_edge_current",
    columns: "seq bigint NOT NULL,
  agent_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  state nvarchar(1000) COLLATE Latin1_General_100_BIN2 NOT NULL,
  category nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
  since datetime2(3) NOT NULL,
  origin nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL",
};

pub(super) const LAST_SEEN: Stage = Stage {
    name: "#thrio_edge_last_seen",
    columns: "agent_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  hour datetime2(3) NOT NULL",
};

/// Keys of intervals whose rows are to be written once more.
pub(super) const FORGOTTEN: Stage = Stage {
    name: "#thrio_edge_forgotten",
    columns: "seq bigint NOT NULL,
  queue_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  interval_start datetime2(3) NOT NULL",
};

// One row each: a statement's value cannot be NULL, because this protocol's NULL has no type.

pub(super) const BOX: Stage = Stage {
    name: "#thrio_edge_box",
    columns: "box_id nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
  version nvarchar(256) NOT NULL,
  started_at datetime2(3) NOT NULL,
  last_seen_at datetime2(3) NOT NULL,
  backlog bigint NOT NULL,
  oldest_unsent_at datetime2(3) NULL,
  alarms nvarchar(max) NOT NULL",
};

pub(super) const FEED: Stage = Stage {
    name: "#thrio_edge_feed",
    columns: "source nvarchar(32) COLLATE Latin1_General_100_BIN2 NOT NULL,
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
  heartbeat_at datetime2(3) NOT NULL",
};

const ALL: [&Stage; 12] = [
    &QUEUES,
    &AGENTS,
    &STATE_CODES,
    &COVERAGE,
    &INTERVALS,
    &REVISIONS,
    &TRANSACTIONS,
    &CURRENT,
    &LAST_SEEN,
    &FORGOTTEN,
    &BOX,
    &FEED,
];

/// The statements that make them all.
pub(super) fn make_all() -> String {
    let mut statements = String::new();
    for stage in ALL {
        let _ = writeln!(
            statements,
            "CREATE TABLE {} (\n  {}\n);",
            stage.name, stage.columns
        );
    }
    statements
}
