//! What the statements must be like, as far as their text tells: the rest needs a server.

use std::collections::{BTreeMap, BTreeSet};

use super::{claim, heartbeat, holdings, receipt, roster, schema, stage, write};

const ALL: [(&str, &str); 22] = [
    ("claim::LOCK", claim::LOCK),
    ("claim::CURRENT", claim::CURRENT),
    ("claim::HAD_CLAIM", claim::HAD_CLAIM),
    ("claim::NEW_CLAIM", claim::NEW_CLAIM),
    ("claim::CLOSE", claim::CLOSE),
    ("claim::NEXT", claim::NEXT),
    ("claim::ROSTER_SENT", claim::ROSTER_SENT),
    ("claim::AFTER_APPLIED", claim::AFTER_APPLIED),
    ("receipt::READ", receipt::READ),
    ("receipt::ADD", receipt::ADD),
    ("roster::SEEN", roster::SEEN),
    ("heartbeat::KNOWN_POLL", heartbeat::KNOWN_POLL),
    ("heartbeat::BOX", heartbeat::BOX),
    ("heartbeat::FEED", heartbeat::FEED),
    ("write::LAST_SEEN", write::LAST_SEEN),
    ("holdings::FORGET", holdings::FORGET),
    ("roster::AGENTS", roster::AGENTS),
    ("roster::QUEUES", roster::QUEUES),
    ("write::STATE_CODES", write::STATE_CODES),
    ("write::COVERAGE", write::COVERAGE),
    ("write::TRANSACTIONS", write::TRANSACTIONS),
    ("write::CURRENT", write::CURRENT),
];

/// The statements of facts, with the one that takes more values.
fn facts() -> impl Iterator<Item = (&'static str, &'static str)> {
    let last = ALL[16..].iter().copied();
    last.chain([("write::INTERVALS", write::INTERVALS)])
}

fn every() -> impl Iterator<Item = (&'static str, &'static str)> {
    let others = [
        ("write::INTERVALS", write::INTERVALS),
        ("holdings::VOLUMES", holdings::VOLUMES),
        ("holdings::TRANSACTIONS", holdings::TRANSACTIONS),
        ("schema::FIND", schema::FIND),
        ("schema::NOTE", schema::NOTE),
    ];
    ALL.into_iter().chain(others)
}

/// The tables of the statements that make them: each column, and whether an insert may leave it out.
fn tables() -> BTreeMap<String, BTreeMap<String, bool>> {
    let versions = schema::VERSIONS.lines();
    let made = schema::MIGRATIONS.iter().flat_map(|one| one.sql.lines());
    let mut tables: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    let mut table = None;
    for line in versions.chain(made) {
        if let Some(rest) = line.strip_prefix("CREATE TABLE {t}") {
            table = rest.split_whitespace().next().map(str::to_owned);
        } else if line.starts_with(')') {
            table = None;
        } else if let (Some(table), false) = (&table, line.contains("PRIMARY KEY")) {
            let name = line.split_whitespace().next().expect("a column");
            let may_lack = !line.contains("NOT NULL") || line.contains("DEFAULT");
            let columns = tables.entry(table.clone()).or_default();
            columns.insert(name.to_owned(), may_lack);
        }
    }
    tables
}

/// Each insert's table and columns.
fn inserts(statement: &str) -> Vec<(String, BTreeSet<String>)> {
    let inserts = statement.split("INSERT INTO {t}").skip(1);
    inserts
        .map(|rest| {
            let (table, rest) = rest.split_once('(').expect("its columns");
            let (columns, _) = rest.split_once(')').expect("their end");
            let columns = columns.split(',').map(|name| name.trim().to_owned());
            (table.trim().to_owned(), columns.collect())
        })
        .collect()
}

#[test]
fn values_are_numbered_without_a_hole() {
    for (name, statement) in every() {
        let numbers: BTreeSet<usize> = statement
            .split("@P")
            .skip(1)
            .map(|rest| {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                digits.parse().expect("a number")
            })
            .collect();
        let expected = (1..=numbers.len()).collect();
        assert_eq!(numbers, expected, "{name}");
    }
}

#[test]
fn every_insert_fills_what_must_be_filled_of_a_table_that_is_made() {
    let tables = tables();
    let mut filled = BTreeSet::new();
    for (name, statement) in every() {
        for (table, given) in inserts(statement) {
            let columns = tables
                .get(&table)
                .unwrap_or_else(|| panic!("{name}: no table {table}"));
            for column in &given {
                assert!(columns.contains_key(column), "{name}: {table}.{column}");
            }
            for (column, may_lack) in columns {
                let is_given = given.contains(column) || *may_lack;
                assert!(is_given, "{name}: {table}.{column} is left out");
            }
            filled.insert(table);
        }
    }
    let made: BTreeSet<String> = tables.into_keys().collect();
    assert_eq!(filled, made, "every table is written");
}

#[test]
fn facts_go_over_a_stage_that_is_empty_again_and_never_back_to_an_older_record() {
    for (name, statement) in facts() {
        assert!(
            statement.contains("t.record_seq < u.seq"),
            "{name} has no guard"
        );
        assert!(statement.contains("WHERE NOT EXISTS"), "{name}");
    }
    let made = stage::make_all();
    for (name, statement) in every() {
        let used: BTreeSet<&str> = statement
            .split(|c: char| !c.is_alphanumeric() && c != '#' && c != '_')
            .filter(|word| word.starts_with('#'))
            .collect();
        for stage in used {
            let create = format!("CREATE TABLE {stage} (");
            assert!(made.contains(&create), "{name}: {stage}");
            let emptied = format!("TRUNCATE TABLE {stage};");
            assert!(statement.contains(&emptied), "{name}: {stage}");
        }
    }
}

#[test]
fn no_statement_relies_on_what_an_old_server_or_level_lacks() {
    // MERGE does less than it says; the others came with 2016 and later, or with a compatibility
    // level that old databases do not have.
    let absent = [
        "MERGE ",
        "OPENJSON",
        "STRING_",
        "GREATEST",
        "LEAST(",
        "NOLOCK",
        "IS DISTINCT",
        "CONCAT_WS",
        "DROP TABLE IF",
        "TRIM(",
    ];
    let migrations = schema::MIGRATIONS
        .iter()
        .map(|one| ("a migration", one.sql));
    for (name, statement) in every().chain(migrations) {
        for word in absent {
            assert!(!statement.contains(word), "{name}: {word}");
        }
    }
}
