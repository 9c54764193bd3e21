//! What a right configuration becomes.

use std::fs;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use thrio_edge::config::DestinationTarget;

use crate::site::{Site, messages, with};

#[test]
fn a_configuration_becomes_the_options_of_the_components() {
    let site = Site::new(
        r#"
        [box]
        id = "front-desk"
        state_dir = "state"
        [store]
        max_bytes = "2GiB"
        retention_days = 7
        when_full = "stop_collecting"
        [[source]]
        name = "main"
        time_zone = "Europe/Berlin"
        queues.include = ["q1"]
        [source.realtime]
        account = "rt"
        password_file = "secret"
        transaction_collection_interval_s = 5
        snapshot = "full"
        missing_agent = "keep"
        [source.historical]
        username = "hist"
        password_env = "THRIO_PASSWORD"
        night_at = "03:15"
        [source.configuration]
        period_h = 12
        [source.states]
        Lunch = "AUX"
        [source.api.historical]
        interval_from = "request"
        query = "from={start}&q={queues}"
        [[destination]]
        name = "local"
        kind = "sqlite"
        path = "wfm.db"
        sources = ["main"]
        feeds = ["historical"]
        facts_from = 2026-01-01T00:15:00Z
        "#,
    );
    let config = site.config();
    assert_eq!(config.warnings, []);
    assert_eq!(config.store.box_id.as_str(), "front-desk");
    assert_eq!(config.store.state_dir, site.path("state"));
    assert_eq!(config.store.max_bytes, 2 << 30);
    assert_eq!(config.store.retention, Duration::from_hours(7 * 24));
    let source = &config.sources[0];
    assert_eq!(source.time_zone, "Europe/Berlin");
    let realtime = source.realtime.as_ref().unwrap();
    assert_eq!(realtime.options.period, Duration::from_secs(5));
    assert_eq!(realtime.connection.options.user, "rt");
    assert_eq!(
        realtime.connection.password.read().unwrap().expose_secret(),
        "s3cret"
    );
    let historical = source.historical.as_ref().unwrap();
    assert_eq!(
        historical
            .connection
            .password
            .read()
            .unwrap()
            .expose_secret(),
        "from-env"
    );
    assert_eq!(
        historical.options.night_at,
        Duration::from_mins(3 * 60 + 15)
    );
    assert!(historical.options.name_queues);
    let DestinationTarget::Sqlite(sqlite) = &config.destinations[0].target else {
        panic!("{:?}", config.destinations[0]);
    };
    assert_eq!(sqlite.path, site.path("wfm.db"));
    let facts_from = config.destinations[0].delivery.facts_from.unwrap();
    assert_eq!(facts_from.start().to_string(), "2026-01-01T00:15:00Z");
}

#[test]
fn drop_ins_add_in_name_order_and_settings_come_last() {
    let site = Site::new(&with(
        "[defaults.source.historical]\nusername = \"all\"\npassword_file = \"secret\"",
        "",
        "",
    ));
    site.write(
        "conf.d/20-b.toml",
        "[[source]]\nname = \"b\"\n[source.historical]\npassword_file = \"../secret\"",
    );
    site.write(
        "conf.d/10-a.toml",
        "[[source]]\nname = \"a\"\n[source.historical]\n[log]\nlevel = \"debug\"",
    );
    site.write("conf.d/ignored.txt", "not TOML at all");
    site.write(
        "state/settings.toml",
        "[[source]]\nname = \"page\"\n[source.historical]\nusername = \"own\"",
    );
    let config = site.config();
    let names: Vec<&str> = config.sources.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["main", "a", "b", "page"]);
    let user = |at: usize| {
        config.sources[at]
            .historical
            .as_ref()
            .unwrap()
            .connection
            .options
            .user
            .clone()
    };
    assert_eq!([user(1), user(2), user(3)], ["all", "all", "own"]);
    assert_eq!(config.log.filter, "debug");
    for source in &config.sources[1..] {
        let password = &source.historical.as_ref().unwrap().connection.password;
        assert_eq!(password.read().unwrap().expose_secret(), "s3cret");
    }
}

#[test]
fn a_key_in_two_files_is_an_error_because_neither_wins() {
    let site = Site::new(&with("[log]\nlevel = \"info\"", "", ""));
    site.write("conf.d/log.toml", "[log]\nlevel = \"debug\"");
    assert_eq!(
        messages(&site),
        ["`level` is set in two files, first in main.toml:2"]
    );
}

#[test]
fn settings_may_hold_new_sources_only() {
    let site = Site::new(&with("", "", ""));
    site.write(
        "state/settings.toml",
        "[log]\nlevel = \"debug\"\n[[source]]\nname = \"main\"\n[source.realtime]\naccount = \"x\"\npassword_file = \"../secret\"",
    );
    assert_eq!(
        messages(&site),
        [
            "unknown key `log` at the top of the file",
            "the source name \"main\" is taken, by main.toml:6"
        ]
    );
}

#[test]
fn equal_means_that_the_program_would_do_the_same() {
    let site = Site::new(&with("", "", ""));
    let before = site.config();
    site.write(
        "main.toml",
        with("# moved\n\n", "snapshot = \"unknown\"", ""),
    );
    assert_eq!(site.config(), before);
    site.write(
        "main.toml",
        with("", "transaction_collection_interval_s = 5", ""),
    );
    let after = site.config();
    assert_ne!(after, before);
    assert_eq!(after.destinations, before.destinations);
}

#[test]
fn the_box_id_is_derived_and_does_not_tell_the_machine_id() {
    let site = Site::new("");
    let id = site.config().store.box_id;
    assert_eq!(id.as_str(), "box-245b4b80535615c2");
    assert_eq!(site.config().store.box_id, id);
    fs::remove_file(site.path("machine-id")).unwrap();
    assert!(messages(&site)[0].starts_with("`id` is missing in [box], and this machine has no"));
}
