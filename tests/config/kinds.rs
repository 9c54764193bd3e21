//! The kinds of destinations: the examples of the shipped file, and mistakes that are a kind's own.

use std::collections::BTreeSet;

use thrio_edge::config::{DestinationTarget, KINDS, catalogue};
use thrio_edge::destination::sqlserver::Protection;

use crate::shipped::shipped;
use crate::site::{CANARY, Site, messages, with};

/// The commented `[[destination]]` blocks of the shipped file, comments left out, and of several
/// ways to name a secret the first.
fn examples() -> Vec<Vec<String>> {
    let text = shipped();
    let blocks = text.split("#[[destination]]\n").skip(1);
    let lines = |block: &str| {
        let mut secrets = 0;
        let lines = block.lines().take_while(|line| line.starts_with('#'));
        lines
            .filter_map(|line| line.strip_prefix('#'))
            .filter(|line| !line.starts_with(' '))
            .filter(|line| {
                let is_secret = line.starts_with("password") || line.starts_with("token");
                secrets += usize::from(is_secret);
                // Files that this machine does not have, and the other way to log in.
                let is_left_out = ["ca_file", "client_", "credentials_file", "username"]
                    .iter()
                    .any(|key| line.starts_with(key));
                !is_left_out && (!is_secret || secrets == 1)
            })
            .map(str::to_owned)
            .collect()
    };
    blocks.map(lines).collect()
}

fn target(site: &Site, lines: &[String]) -> DestinationTarget {
    let text = format!("\n[[destination]]\n{}\n", lines.join("\n"));
    site.write("main.toml", with("", "", &text));
    site.config().destinations[1].target.clone()
}

#[test]
fn every_kind_has_an_example_in_the_shipped_file_that_can_be_used() {
    let mut shown: BTreeSet<&str> = BTreeSet::from(["sqlite"]);
    // One site, as some kinds keep a part of their state below its state_dir.
    let site = Site::new(&with("", "", ""));
    for lines in examples() {
        let full = target(&site, &lines);
        shown.insert(full.kind());
        let has_default = |line: &String| {
            let key = line.split(" = ").next().expect("a key");
            let path = format!("destination.{key}");
            catalogue()
                .iter()
                .any(|note| note.path() == path && note.default.is_some())
        };
        let needed: Vec<String> = lines.iter().filter(|l| !has_default(l)).cloned().collect();
        assert_eq!(
            target(&site, &needed),
            full,
            "writing the defaults out changes nothing"
        );
    }
    assert_eq!(shown, BTreeSet::from(KINDS));
}

fn postgres(lines: &str) -> Vec<String> {
    let text = format!("\n[[destination]]\nname = \"product\"\nkind = \"postgres\"\n{lines}\n");
    messages(&Site::new(&with("", "", &text)))
}

#[test]
fn a_database_url_says_what_it_cannot_be_and_shows_no_password() {
    let url = |url: &str| postgres(&format!("url = \"{url}\""));
    assert!(url("postgres://wfm@db.example.com/wfm").is_empty());
    let found = url(&format!("postgres://wfm:{CANARY}@db.example.com/wfm"));
    assert_eq!(
        found,
        ["`url` holds a password: write it into a file and name that in password_file"]
    );
    assert_eq!(
        url("postgres://wfm@db.example.com/wfm?sslmode=prefer"),
        [
            "`url` has sslmode=prefer, which falls back to plain text: say `require` (which verifies \
          the certificate too) or `disable`"
        ]
    );
    let site = Site::new(&with(
        "",
        "",
        &format!(
            "[[destination]]\nname = \"p\"\nkind = \"postgres\"\n\
             url = \"postgres://wfm:{CANARY}@db/wfm\""
        ),
    ));
    assert!(!site.report().contains(CANARY), "{}", site.report());
}

#[test]
fn names_that_statements_hold_are_plain() {
    let url = "url = \"postgres://wfm@db/wfm\"\n";
    let found = postgres(&format!("{url}schema = \"a\\\"b\"\nafter_apply = \"fill\""));
    assert_eq!(
        found,
        [
            "`schema` is no name of 1 to 20 of a-z, 0-9 and '_', a digit not first",
            "`after_apply` is not \"schema.procedure\""
        ]
    );
}

fn sqlserver(lines: &str) -> Site {
    let text = format!(
        "\n[[destination]]\nname = \"product\"\nkind = \"sqlserver\"\n\
         url = \"sqlserver://wfm@db/wfm\"\n{lines}\n"
    );
    Site::new(&with("", "", &text))
}

#[test]
fn how_sql_server_is_trusted_is_said_once() {
    let protection = |lines: &str| match &sqlserver(lines).config().destinations[1].target {
        DestinationTarget::SqlServer(config) => config.options.protection.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(protection(""), Protection::Verified { ca_file: None });
    assert_eq!(
        protection("trust_server_certificate = true"),
        Protection::TrustingAnyone
    );
    assert_eq!(protection("encrypt = false"), Protection::None);
    assert_eq!(
        messages(&sqlserver(
            "encrypt = false\ntrust_server_certificate = true"
        )),
        ["`trust_server_certificate` speaks of TLS, and `encrypt = false` switches it off"]
    );
    let parameters = "url = \"sqlserver://wfm@db/wfm?encrypt=false\"";
    let text = format!("[[destination]]\nname = \"p\"\nkind = \"sqlserver\"\n{parameters}");
    let found = messages(&Site::new(&with("", "", &text)));
    assert_eq!(
        found,
        ["`url` has parameters: what they say elsewhere is said by keys here, such as `encrypt`"]
    );
}

#[test]
fn a_transaction_of_sql_server_takes_no_more_than_it_locks() {
    let batch = |lines: &str| {
        sqlserver(lines).config().destinations[1]
            .delivery
            .batch_records
    };
    assert_eq!(batch("batch_records = 100000"), 2_000);
    assert_eq!(batch("batch_records = 500"), 500);
}

#[test]
fn two_destinations_into_the_same_tables_are_a_mistake() {
    let one = |name: &str, more: &str| {
        format!(
            "[[destination]]\nname = \"{name}\"\nkind = \"postgres\"\n\
             url = \"postgres://wfm@db/wfm\"\n{more}\n"
        )
    };
    let both = |more: &str| messages(&Site::new(&with("", "", &(one("a", "") + &one("b", more)))));
    assert_eq!(both(""), ["destination \"a\" writes these tables already"]);
    assert!(both("schema = \"other\"").is_empty());
    assert!(both("table_prefix = \"other_\"").is_empty());
}

fn jetstream(lines: &str) -> Vec<String> {
    let text = format!("\n[[destination]]\nname = \"fleet\"\nkind = \"jetstream\"\n{lines}\n");
    let site = Site::new(&with("", "", &text));
    assert!(!site.report().contains(CANARY), "{}", site.report());
    messages(&site)
}

#[test]
fn servers_of_a_stream_are_reached_by_tls_and_their_addresses_hold_no_password() {
    let urls = |urls: &str| jetstream(&format!("urls = [{urls}]"));
    assert!(urls("\"tls://n1.example.com:4222\", \"tls://n2.example.com:4222\"").is_empty());
    assert!(urls("\"nats://127.0.0.1:4222\"").is_empty());
    assert_eq!(
        urls("\"nats://n1.example.com:4222\""),
        [
            "an address in `urls` is nats://, plain text, which is for loopback addresses only: use \
          tls://"
        ]
    );
    assert_eq!(
        urls(&format!("\"tls://wfm:{CANARY}@n1.example.com:4222\"")),
        ["an address in `urls` holds a user or a token: these have keys of their own"]
    );
    assert_eq!(urls(""), ["an address in `urls` is missing"]);
}

#[test]
fn a_stream_has_plain_names_and_one_login() {
    let url = "urls = [\"tls://n1.example.com:4222\"]\n";
    assert_eq!(
        jetstream(&format!(
            "{url}stream = \"a.b\"\nsubject_prefix = \"wfm.>\""
        )),
        [
            "`stream` holds more than letters, digits, '-' and '_'",
            "`subject_prefix` holds more than letters, digits, '-' and '_'"
        ]
    );
    assert_eq!(
        jetstream(&format!(
            "{url}username = \"wfm\"\ntoken = \"0123456789abcdef\"\n"
        )),
        ["both a user name and a token are set"]
    );
}

#[test]
fn two_destinations_into_the_same_subjects_are_a_mistake() {
    let one = |name: &str, more: &str| {
        format!(
            "[[destination]]\nname = \"{name}\"\nkind = \"jetstream\"\n\
             urls = [\"tls://n1.example.com:4222\", \"tls://n2.example.com:4222\"]\n{more}\n"
        )
    };
    let both = |more: &str| messages(&Site::new(&with("", "", &(one("a", "") + &one("b", more)))));
    assert_eq!(both(""), ["destination \"a\" publishes there already"]);
    assert!(both("subject_prefix = \"other\"").is_empty());
}
