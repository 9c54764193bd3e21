//! `after_apply`: a site's own procedure in the rows' transaction, by the example of
//! `conf/bridge/postgres.sql`.

use fastrand::Rng;
use thrio_edge::destination::Destination;
use thrio_edge::destination::postgres::{PostgresDestination, ProcedureName};
use thrio_edge::domain::ids::SeqRange;
use thrio_edge::domain::record::Record;

use crate::SERVER;
use crate::destination_suite::history::cut;
use crate::destination_suite::records::{self, batch, seq, source};
use crate::destination_suite::{seed, writer};
use crate::own::{clock, held};
use crate::place::Database;

const BRIDGE: &str = include_str!("../../conf/bridge/postgres.sql");

/// What the product must hold, by the neutral tables.
const DIFFERENCES: &str = "SELECT
   (SELECT count(*) FROM wfm_queue_interval AS i FULL JOIN product.queue_volume AS v
      ON v.queue = i.queue_id AND v.starts_at = i.interval_start
      WHERE v.offered IS DISTINCT FROM i.entered OR v.abandoned IS DISTINCT FROM i.abandoned
        OR v.handle_seconds IS DISTINCT FROM i.handle_time_s
        OR v.is_final IS DISTINCT FROM (i.status <> 'provisional'))
   + (SELECT count(*) FROM wfm_agent_state_transaction AS t FULL JOIN product.agent_event AS e
      ON e.agent = t.agent_id AND e.starts_at = t.started_at
      WHERE e.agent IS NULL OR t.agent_id IS NULL
        OR (t.category = 'AVAILABLE') <> (e.code = 'READY'))";

fn with_bridge(database: &mut Database) -> PostgresDestination {
    let name = ProcedureName::new("product.thrio_edge_applied").expect("a name");
    database.options.after_apply = Some(name);
    database.open(clock())
}

fn opened(mut to: PostgresDestination) -> PostgresDestination {
    to.open(&writer("box-1", 1, &[source()]))
        .unwrap_or_else(|error| panic!("{error}"));
    to
}

#[test]
fn the_products_own_tables_follow_in_any_order_of_batches() {
    let mut rng = Rng::with_seed(seed());
    let mut database = Database::new(&SERVER);
    database.admin.run(BRIDGE);
    let mut to = opened(with_bridge(&mut database));
    let mut batches = cut(&mut rng, 1, &records::history());
    rng.shuffle(&mut batches);
    for piece in &batches {
        to.send(piece).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(database.admin.one(DIFFERENCES), "0");
    }
    let events = database
        .admin
        .one("SELECT count(*) FROM product.agent_event");
    assert_eq!(events, "60");
}

#[test]
fn a_procedure_that_comes_later_is_told_of_everything_before() {
    let mut database = Database::new(&SERVER);
    let mut to = opened(database.open(clock()));
    let records = records::history();
    let (before, after) = records.split_at(records.len() - 1);
    to.send(&batch(1, before)).expect("sent");
    database.admin.run(BRIDGE);
    let mut to = opened(with_bridge(&mut database));
    to.send(&batch(before.len() as u64 + 1, after))
        .expect("sent");
    assert_eq!(database.admin.one(DIFFERENCES), "0");
    assert_ne!(
        database
            .admin
            .one("SELECT count(*) FROM product.agent_event"),
        "0"
    );
}

#[test]
fn an_error_of_the_procedure_holds_with_its_text_and_takes_the_rows_back() {
    let mut database = Database::new(&SERVER);
    let text = held(with_bridge(&mut database).open(&writer("box-1", 1, &[source()])));
    assert!(
        text.contains("does not exist") && text.contains("product.thrio_edge_applied(source text"),
        "{text}"
    );
    database.admin.run(BRIDGE);
    let mut to = opened(with_bridge(&mut database));
    database
        .admin
        .run("ALTER TABLE product.agent_event ADD CONSTRAINT no_break CHECK (code <> 'READY')");
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
    let rows = "SELECT count(*) FROM wfm_agent_state_transaction";
    assert_eq!(database.admin.one(rows), "0");
    database
        .admin
        .run("ALTER TABLE product.agent_event DROP CONSTRAINT no_break");
    let mut to = opened(to);
    to.send(&batch(1, &record)).expect("sent");
    let receipt = to.open(&writer("box-1", 1, &[source()])).expect("opened");
    assert_eq!(receipt.applied, [SeqRange::new(seq(1), seq(1))]);
}
