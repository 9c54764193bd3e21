//! `after_apply`: a site's own procedure in the rows' transaction, by the example of
//! `conf/bridge/sqlserver.sql`.

use std::sync::Mutex;

use fastrand::Rng;
use thrio_edge::destination::Destination;
use thrio_edge::destination::sqlserver::{ProcedureName, SqlServerDestination};
use thrio_edge::domain::ids::SeqRange;
use thrio_edge::domain::record::Record;

use crate::destination_suite::history::cut;
use crate::destination_suite::records::{self, batch, seq, source};
use crate::destination_suite::{seed, writer};
use crate::own::{clock, held};
use crate::place::Database;
use crate::{is_named, server};

const BRIDGE: &str = include_str!("../../conf/bridge/sqlserver.sql");

/// The example names one place of the product's: one test at a time.
static PRODUCT: Mutex<()> = Mutex::new(());

/// What the product must hold, by the neutral tables.
const DIFFERENCES: &str = "SELECT
   (SELECT COUNT(*) FROM {s}.wfm_queue_interval AS i FULL JOIN product.queue_volume AS v
      ON v.queue = i.queue_id AND v.starts_at = i.interval_start
      WHERE v.queue IS NULL OR i.queue_id IS NULL
        OR ISNULL(v.offered, -1) <> ISNULL(i.entered, -1)
        OR ISNULL(v.abandoned, -1) <> ISNULL(i.abandoned, -1)
        OR ISNULL(v.handle_seconds, -1) <> ISNULL(i.handle_time_s, -1)
        OR v.is_final <> CASE WHEN i.status = 'provisional' THEN 0 ELSE 1 END)
   + (SELECT COUNT(*) FROM {s}.wfm_agent_state_transaction AS t
      FULL JOIN product.agent_event AS e ON e.agent = t.agent_id AND e.starts_at = t.started_at
      WHERE e.agent IS NULL OR t.agent_id IS NULL
        OR CASE WHEN t.category = 'AVAILABLE' THEN 1 ELSE 0 END
          <> CASE WHEN e.code = 'READY' THEN 1 ELSE 0 END) AS differences";

/// The statements between the lines that say GO, with the neutral tables in the test's schema.
fn run_script(database: &Database) {
    let here = format!("[{}].wfm_", database.options.schema);
    let script = BRIDGE.replace("dbo.wfm_", &here);
    let mut statements = String::new();
    for line in script.lines().chain(["GO"]) {
        if line.trim() != "GO" {
            statements.push_str(line);
            statements.push('\n');
        } else if !statements.trim().is_empty() {
            server().admin().run(&std::mem::take(&mut statements));
        }
    }
}

fn remove_product() {
    for drop in [
        "IF OBJECT_ID(N'product.thrio_edge_applied') IS NOT NULL
           DROP PROCEDURE product.thrio_edge_applied",
        "IF OBJECT_ID(N'product.queue_volume') IS NOT NULL DROP TABLE product.queue_volume",
        "IF OBJECT_ID(N'product.agent_event') IS NOT NULL DROP TABLE product.agent_event",
    ] {
        server().admin().run(drop);
    }
}

fn with_bridge(database: &mut Database) -> SqlServerDestination {
    let name = ProcedureName::new("product.thrio_edge_applied").expect("a name");
    database.options.after_apply = Some(name);
    database.open(clock())
}

fn opened(mut to: SqlServerDestination) -> SqlServerDestination {
    to.open(&writer("box-1", 1, &[source()]))
        .unwrap_or_else(|error| panic!("{error}"));
    to
}

#[test]
fn the_products_own_tables_follow_in_any_order_of_batches() {
    if !is_named() {
        return;
    }
    let _alone = PRODUCT.lock();
    let mut rng = Rng::with_seed(seed());
    let mut database = Database::new();
    remove_product();
    // The procedure's tables are looked up when it runs.
    run_script(&database);
    let mut to = opened(with_bridge(&mut database));
    let mut batches = cut(&mut rng, 1, &records::history());
    rng.shuffle(&mut batches);
    for piece in &batches {
        to.send(piece).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(database.one(DIFFERENCES), "0");
    }
    let events = "SELECT COUNT(*) AS events FROM product.agent_event";
    assert_eq!(database.one(events), "60");
}

#[test]
fn a_procedure_that_comes_later_is_told_of_everything_before() {
    if !is_named() {
        return;
    }
    let _alone = PRODUCT.lock();
    let mut database = Database::new();
    remove_product();
    let mut to = opened(database.open(clock()));
    let records = records::history();
    let (before, after) = records.split_at(records.len() - 1);
    to.send(&batch(1, before)).expect("sent");
    run_script(&database);
    let mut to = opened(with_bridge(&mut database));
    to.send(&batch(before.len() as u64 + 1, after))
        .expect("sent");
    assert_eq!(database.one(DIFFERENCES), "0");
    assert_eq!(
        database.one("SELECT COUNT(*) AS events FROM product.agent_event"),
        "60"
    );
}

#[test]
fn an_error_of_the_procedure_holds_with_its_text_and_takes_the_rows_back() {
    if !is_named() {
        return;
    }
    let _alone = PRODUCT.lock();
    let mut database = Database::new();
    remove_product();
    let text = held(with_bridge(&mut database).open(&writer("box-1", 1, &[source()])));
    assert!(
        text.contains("does not exist")
            && text.contains("product.thrio_edge_applied (@source nvarchar(32)"),
        "{text}"
    );
    run_script(&database);
    let mut to = opened(with_bridge(&mut database));
    database.run("ALTER TABLE product.agent_event ADD CONSTRAINT no_break CHECK (code <> 'READY')");
    let record = [Record::Transaction(records::transaction(
        "a-1", 10, "Ready",
    ))];
    let text = held(to.send(&batch(1, &record)));
    for word in [
        "after_apply product.thrio_edge_applied",
        "no_break",
        "take after_apply out",
    ] {
        assert!(text.contains(word), "\"{word}\" is missing in: {text}");
    }
    let rows = "SELECT COUNT(*) AS n FROM {s}.wfm_agent_state_transaction";
    assert_eq!(database.one(rows), "0");
    database.run("ALTER TABLE product.agent_event DROP CONSTRAINT no_break");
    let mut to = opened(to);
    to.send(&batch(1, &record)).expect("sent");
    let receipt = to.open(&writer("box-1", 1, &[source()])).expect("opened");
    assert_eq!(receipt.applied, [SeqRange::new(seq(1), seq(1))]);
}
