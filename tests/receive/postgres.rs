//! PostgreSQL behind the receiver, restarted and killed in the middle of two boxes' drains.

use std::sync::Arc;

use secrecy::SecretString;
use thrio_edge::destination::postgres::{PostgresDestination, PostgresOptions};
use thrio_edge::destination::{Destination, Secret};

use crate::postgres_server::{PASSWORD, PostgresServer};
use crate::site::{Site, clock};

#[test]
fn with_postgresql_behind_it_two_boxes_lose_and_double_nothing_whatever_happens_to_the_server() {
    let mut server = PostgresServer::start();
    let name = server.new_database();
    let options = PostgresOptions::new(server.url(&name).parse().expect("a URL"));
    let make = move || -> Box<dyn Destination> {
        let password = Secret::new(Arc::new(|| Ok(SecretString::from(PASSWORD))));
        Box::new(PostgresDestination::new(
            options.clone(),
            Some(password),
            clock(),
        ))
    };
    let site = Site::with(tempfile::tempdir().expect("a folder"), Box::new(make));
    let mut first = site.sender("front-desk", "main");
    let mut second = site.sender("north", "second");
    first.journal_transactions(6_000);
    second.journal_transactions(3_000);
    for (part, is_killed) in [(1_500, false), (3_500, true)] {
        for (edge, part) in [(&mut first, part), (&mut second, part / 2)] {
            edge.run_until("some is there", |status| {
                status.balance.counts.acknowledged >= part
            });
        }
        if is_killed {
            server.kill();
        } else {
            server.stop();
        }
        for edge in [&mut first, &mut second] {
            edge.run_until("it is told to wait", |status| {
                status
                    .last_error
                    .as_ref()
                    .is_some_and(|e| e.contains("503"))
            });
        }
        assert_eq!(site.status_of("/readyz"), 503);
        server.run();
    }
    first.run_until_delivered();
    second.run_until_delivered();
    assert_eq!(site.status_of("/readyz"), 200);
    let admin = server.admin(&name);
    for (source, expected) in [("main", "6000|6000"), ("second", "3000|3000")] {
        let counted = format!(
            "SELECT count(*) || '|' || count(DISTINCT record_seq) FROM wfm_agent_state_transaction
             WHERE source = '{source}'"
        );
        assert_eq!(admin.one(&counted), expected, "{source}");
    }
    let ranges = "SELECT string_agg(box_id || ' ' || first_seq || '-' || last_seq, ', '
                  ORDER BY box_id) FROM wfm_delivery";
    assert_eq!(admin.one(ranges), "front-desk 1-6000, north 1-3000");
}
