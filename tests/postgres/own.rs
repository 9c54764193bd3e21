//! What is PostgreSQL's own: login, names, characters, and the words for what stands in the way.

use std::fs;
use std::sync::Arc;

use secrecy::SecretString;
use thrio_edge::clock::SystemClock;
use thrio_edge::destination::postgres::{PostgresDestination, PostgresOptions, SqlName};
use thrio_edge::destination::{Destination, Secret, SendError, Writer};
use thrio_edge::domain::ids::SeqRange;
use thrio_edge::domain::record::Record;

use crate::SERVER;
use crate::check::check_connect;
use crate::destination_suite::records::{self, batch, seq, source};
use crate::destination_suite::{Place as _, writer};
use crate::place::{Database, password};
use crate::postgres_server::{PASSWORD, USER};

pub(crate) fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::new())
}

fn box_1() -> Writer {
    writer("box-1", 1, &[source()])
}

pub(crate) fn held(result: Result<impl std::fmt::Debug, SendError>) -> String {
    match result {
        Err(SendError::Held { reason, remedy }) => format!("{reason}; {remedy}"),
        other => panic!("{other:?}"),
    }
}

fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "\"{word}\" is missing in: {text}");
    }
}

fn transaction(state: &str) -> Record {
    Record::Transaction(records::transaction("a-1", 10, state))
}

#[test]
fn a_wrong_password_is_held_until_the_file_is_replaced() {
    let database = Database::new(&SERVER);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    fs::write(&file, "wrong").expect("written");
    let path = file.clone();
    let secret = Secret::new(Arc::new(move || {
        fs::read_to_string(&path)
            .map(SecretString::from)
            .map_err(|error| error.to_string())
    }));
    let mut to = PostgresDestination::new(database.options.clone(), Some(secret), clock());
    let text = held(to.open(&box_1()));
    says(&text, &["28P01", "check user and password", "next attempt"]);
    assert!(!text.contains("wrong"), "{text}");
    fs::write(&file, PASSWORD).expect("written");
    to.open(&box_1()).expect("the hold is over");

    fs::remove_file(&file).expect("removed");
    says(&held(to.open(&box_1())), &["No such file", "readable"]);
    let mut without = PostgresDestination::new(database.options.clone(), None, clock());
    says(
        &held(without.open(&box_1())),
        &["password missing", "set password_file"],
    );
}

#[test]
fn what_is_not_there_is_named_with_a_remedy() {
    let database = Database::new(&SERVER);
    let open = |options: PostgresOptions| {
        PostgresDestination::new(options, Some(password(PASSWORD)), clock()).open(&box_1())
    };
    let mut options = database.options.clone();
    options.server.database = "no_such_database".to_owned();
    says(&held(open(options)), &["3D000", "make the database"]);

    let mut options = database.options.clone();
    options.server.tls = true;
    says(
        &held(open(options)),
        &["does not speak TLS", "sslmode=disable"],
    );

    let mut options = database.options.clone();
    options.server.port = 1;
    let error = open(options).expect_err("nobody listens there");
    assert!(
        matches!(
            error,
            SendError::Retry {
                unreachable: true,
                ..
            }
        ),
        "{error:?}"
    );

    database
        .admin
        .run("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let mut options = database.options.clone();
    options.server.database = "latin".to_owned();
    says(&held(open(options)), &["LATIN1", "UTF8"]);
}

#[test]
fn any_character_is_stored_and_a_nul_as_its_symbol() {
    let database = Database::new(&SERVER);
    let mut to = database.open(clock());
    to.open(&box_1()).expect("opened");
    to.send(&batch(1, &[transaction("a\0b 昼休み '\"\\ 🙂")]))
        .expect("sent");
    let state = database
        .admin
        .one("SELECT state FROM wfm_agent_state_transaction");
    assert_eq!(state, "a\u{2400}b 昼休み '\"\\ 🙂");
}

#[test]
fn a_refused_record_does_not_break_the_connection() {
    let database = Database::new(&SERVER);
    let mut to = database.open(clock());
    to.open(&box_1()).expect("opened");
    database.admin.run(
        "ALTER TABLE wfm_agent_state_transaction ADD CONSTRAINT no_lunch CHECK (state <> 'Lunch')",
    );
    let error = to
        .send(&batch(1, &[transaction("Lunch")]))
        .expect_err("refused");
    let SendError::Refused { message, records } = error else {
        panic!("{error:?}");
    };
    says(&message, &["no_lunch", "23514"]);
    assert!(records.is_empty(), "which one is found by bisecting");
    assert!(!message.contains("Failing row"), "{message}");
    to.send(&batch(2, &[transaction("Dinner")])).expect("sent");
    let receipt = to.open(&box_1()).expect("opened");
    assert_eq!(receipt.applied, [SeqRange::new(seq(2), seq(2))]);
}

#[test]
fn tables_can_lie_in_another_schema_under_another_prefix_beside_others() {
    let database = Database::new(&SERVER);
    let mut options = database.options.clone();
    options.schema = SqlName::new("user").expect("a name, though a reserved word");
    options.table_prefix = SqlName::new("edge_").expect("a name");
    let secret = || Some(password(PASSWORD));
    let mut elsewhere = PostgresDestination::new(options, secret(), clock());
    elsewhere.open(&box_1()).expect("opened");
    elsewhere
        .send(&batch(1, &records::history()))
        .expect("sent");
    let count = "SELECT count(*) > 0 FROM \"user\".edge_agent_state_transaction";
    assert_eq!(database.admin.one(count), "t");
    assert!(!database.has_tables());
    let mut usual = database.open(clock());
    let receipt = usual.open(&box_1()).expect("opened");
    assert!(receipt.applied.is_empty());
}

/// Every schema, table, view, index and function of the database's own.
fn objects(database: &Database) -> Vec<String> {
    let objects = "SELECT 'schema ' || nspname FROM pg_namespace
        UNION ALL SELECT relkind::text || ' ' || oid::regclass::text FROM pg_class
        UNION ALL SELECT 'function ' || oid::regprocedure::text FROM pg_proc ORDER BY 1";
    let rows = database.admin.rows(objects).into_iter().flatten();
    rows.filter_map(|(_, name)| name).collect()
}

#[test]
fn check_connect_makes_no_schema_and_no_table_and_writes_no_row() {
    let database = Database::new(&SERVER);
    let name = database.admin.one("SELECT current_database()");
    let url = SERVER.url(&name);
    let folder = tempfile::tempdir().expect("a folder");
    let check = |schema: &str| {
        let (code, said) = check_connect(
            folder.path(),
            &format!(
                "kind = \"postgres\"\nurl = \"{url}\"\npassword = \"{PASSWORD}\"\nschema = \"{schema}\"\n"
            ),
        );
        assert!(!said.contains(PASSWORD), "{said}");
        assert_eq!(code, Some(0), "{said}");
    };
    // It does with a login that may only read.
    database.admin.run(&format!(
        "ALTER ROLE {USER} IN DATABASE {name} SET default_transaction_read_only = on"
    ));
    let before = objects(&database);
    check("a_schema_to_come");
    check("public");
    assert_eq!(objects(&database), before);

    database.admin.run(&format!(
        "ALTER ROLE {USER} IN DATABASE {name} RESET default_transaction_read_only"
    ));
    let mut to = database.open(clock());
    to.open(&box_1()).expect("opened");
    to.send(&batch(1, &records::history())).expect("sent");
    let rows = "SELECT string_agg(xmin::text || wfm_source::text, '') FROM wfm_source";
    let (before, written) = (objects(&database), database.admin.one(rows));
    check("public");
    assert_eq!(objects(&database), before);
    assert_eq!(database.admin.one(rows), written);
}
