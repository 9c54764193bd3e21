//! Every kind of mistake, and the text that it is answered with.

use std::fs;

use crate::site::{CANARY, Site, check, messages, realtime, with};

#[test]
fn a_number_out_of_range_shows_its_range_and_unit() {
    check(
        &realtime("transaction_collection_interval_s = 0"),
        r#"
error: `transaction_collection_interval_s` is out of range
  --> main.toml:10:37
   |
10 | transaction_collection_interval_s = 0
   |                                     ^
   = field: source.realtime.transaction_collection_interval_s (source "main")
   = value: 0
   = allowed: 1 to 3600 s

1 error"#,
    );
}

#[test]
fn an_unknown_key_shows_the_nearest_known_one() {
    check(
        &realtime("snapshto = \"full\""),
        r#"
error: unknown key `snapshto` in [source.realtime]
  --> main.toml:10:1
   |
10 | snapshto = ***
   | ^^^^^^^^
   = field: source.realtime.snapshto (source "main")
   = help: did you mean `snapshot`?

1 error"#,
    );
}

#[test]
fn a_misspelt_secret_is_not_shown_either() {
    check(
        &realtime(&format!("pasword = \"{CANARY}\" # {CANARY}")),
        r#"
error: unknown key `pasword` in [source.realtime]
  --> main.toml:10:1
   |
10 | pasword = ***
   | ^^^^^^^
   = field: source.realtime.pasword (source "main")
   = help: did you mean `password`?

1 error"#,
    );
}

#[test]
fn a_malformed_password_line_is_masked() {
    check(
        &with("", "", "").replace(
            "password_file = \"secret\"",
            &format!("password = \"{CANARY}"),
        ),
        r#"
error: not valid TOML: invalid basic string, expected `"`
 --> main.toml:9:12
  |
9 | password = ***
  |            ^^^

1 error"#,
    );
}

#[test]
fn a_key_in_the_wrong_table_is_told_the_right_one() {
    check(
        &with("[store]\nlisten = \"127.0.0.1:1\"", "", ""),
        r"
error: unknown key `listen` in [store]
 --> main.toml:2:1
  |
2 | listen = ***
  | ^^^^^^
  = field: store.listen
  = help: `listen` belongs into [control] or [receive]

1 error",
    );
}

#[test]
fn the_two_words_for_the_user_are_told_apart() {
    let site = Site::new(&realtime("username = \"x\""));
    assert!(
        site.report().contains("= help: did you mean `account`?"),
        "{}",
        site.report()
    );
}

#[test]
fn a_value_of_the_wrong_type_says_what_is_wanted() {
    for (line, message) in [
        (
            "snapshot = 1",
            "`snapshot` must be a text in quotes, found an integer",
        ),
        (
            "transaction_collection_interval_s = \"5\"",
            "`transaction_collection_interval_s` must be a whole number, found a text",
        ),
        (
            "transaction_collection_interval_s = 1.5",
            "`transaction_collection_interval_s` must be a whole number, found a number with a fraction",
        ),
        (
            "transaction_collection_interval_s = -1",
            "`transaction_collection_interval_s` is out of range",
        ),
        (
            "transaction_collection_interval_s = 99999999999999999999",
            "`transaction_collection_interval_s` is out of range",
        ),
        (
            "max_body_bytes = \"8G\"",
            "`max_body_bytes` is no size such as \"8GiB\", \"512MiB\" or a number of bytes",
        ),
        (
            "max_body_bytes = \"1KiB\"",
            "`max_body_bytes` is out of range",
        ),
        (
            "allowed_host_suffixes = 1",
            "`allowed_host_suffixes` must be a list of texts, found an integer",
        ),
        (
            "snapshot = \"ful\"",
            "`snapshot` is none of its words; did you mean \"full\"?",
        ),
        (
            "base_url = \"login.thrio.com\"",
            "`base_url` cannot be used",
        ),
        (
            "base_url = \"http://login.thrio.com\"",
            "`base_url` cannot be used",
        ),
        ("base_url = \"\"", "`base_url` is empty"),
        (
            "ca_file = \"none.pem\"",
            "none.pem cannot be read: no such file or directory",
        ),
    ] {
        assert_eq!(messages(&Site::new(&realtime(line))), [message], "{line}");
    }
}

#[test]
fn a_destination_says_what_it_cannot_be() {
    for (line, message) in [
        (
            "paused = \"yes\"",
            "`paused` must be true or false, found a text",
        ),
        (
            "facts_from = 2026-01-01T00:20:00Z",
            "`facts_from` is no quarter hour",
        ),
        (
            "facts_from = \"yesterday\"",
            "`facts_from` is no time with its offset from UTC",
        ),
        ("feeds = [\"realtme\"]", "`feeds` holds what is no feed"),
        ("sources = [\"mian\"]", "there is no source \"mian\""),
        ("start = \"newest\"", "`start` is none of its words"),
        ("batch_records = 0", "`batch_records` is out of range"),
    ] {
        assert_eq!(
            messages(&Site::new(&with("", "", line))),
            [message],
            "{line}"
        );
    }
}

#[test]
fn a_kind_that_is_none_is_told_the_nearest() {
    let kind = |kind: &str| {
        let main = with("", "", "").replace("kind = \"sqlite\"", &format!("kind = \"{kind}\""));
        messages(&Site::new(&main))
    };
    assert_eq!(
        kind("sqllite"),
        ["`kind` is no kind of destination; did you mean \"sqlite\"?"]
    );
    assert_eq!(kind("fax"), ["`kind` is no kind of destination"]);
}

#[test]
fn what_is_missing_is_named_with_an_example() {
    check(
        "[box]\nid = \"b\"\n[[source]]\n[source.historical]\n[[destination]]\nname = \"x\"\nkind = \"sqlite\"",
        r#"
error: `name` is missing in [source]
 --> main.toml:3:1
  |
3 | [[source]]
  | ^^^^^^^^^^
  = field: source.name
  = help: name = "main"

error: `username` is missing in [source.historical]
 --> main.toml:4:1
  |
4 | [source.historical]
  | ^^^^^^^^^^^^^^^^^^^
  = field: source.historical.username
  = help: the user name that was made for this integration

error: a password is missing in [source.historical]
 --> main.toml:4:1
  |
4 | [source.historical]
  | ^^^^^^^^^^^^^^^^^^^
  = field: source.historical.password_file
  = help: set password_file (or password_credential, password_env, password)

error: `path` is missing in [destination]
 --> main.toml:5:1
  |
5 | [[destination]]
  | ^^^^^^^^^^^^^^^
  = field: destination.path (destination "x")
  = help: path = "wfm.db"

4 errors"#,
    );
}

#[test]
fn every_problem_comes_at_once_also_beside_a_syntax_error() {
    let site = Site::new(&format!(
        "{}\n[store]\nretention_days = 4000\nmax_byte = \"1GiB\"\n[log]\nlevel = \"loud\"\n",
        realtime(&format!("password = \"{CANARY}\nsnapshot = \"ful\""))
    ));
    let report = site.report();
    for part in [
        "not valid TOML",
        "both `password_file` and `password` are set",
        "`snapshot` is none of its words",
        "`retention_days` is out of range",
        "unknown key `max_byte` in [store]",
        "`level` is no level",
    ] {
        assert!(report.contains(part), "{part} is missing in\n{report}");
    }
    assert!(!report.contains(CANARY), "{report}");
}

#[test]
fn a_mapping_is_checked_key_by_key_with_its_own_places() {
    let site = Site::new(&with("", "", ""));
    site.write("map.toml", "[realtime]\nmethod = \"PUT\"\npth = \"/x\"\n[historical]\nquery = \"from={start}&to={stop}\"\n");
    let main = with("", "", "").replace(
        "name = \"main\"",
        "name = \"main\"\napi_file = \"map.toml\"",
    );
    site.write("main.toml", main);
    let report = site.report();
    for part in [
        "map.toml:2:10",
        "map.toml:3:1",
        "did you mean `path`?",
        "map.toml:5:9",
        "{stop} is not known here",
    ] {
        assert!(report.contains(part), "{part} is missing in\n{report}");
    }
    fs::remove_file(site.path("map.toml")).unwrap();
    assert_eq!(
        messages(&site),
        ["map.toml cannot be read: no such file or directory"]
    );
}

#[test]
fn headers_may_hold_keys_and_are_never_shown() {
    let site = Site::new(&realtime(&format!(
        "[source.api.realtime]\nheaders = {{ \"X-Key\" = \"{CANARY}\", Authorization = \"{CANARY}\" }}\npath = \"x\""
    )));
    let report = site.report();
    assert!(
        report.contains("this header is set by the program"),
        "{report}"
    );
    assert!(!report.contains(CANARY), "{report}");
    let site = Site::new(&realtime(&format!(
        "[source.api.realtime]\nheaders = \"{CANARY}\""
    )));
    assert!(!site.report().contains(CANARY), "{}", site.report());
}

#[test]
fn credentials_in_a_url_are_never_shown() {
    for line in [
        format!("base_url = \"https://u:{CANARY}@login.thrio.com\""),
        format!("proxy = \"htp://u:{CANARY}@p:1:2\""),
        format!("base_url = \"//{CANARY}@x\""),
        format!("base_url = \"https://u:{CANARY}login.thrio.com\""),
        format!("proxy = \"http:/u:{CANARY}\""),
    ] {
        let site = Site::new(&realtime(&line));
        assert!(site.load().is_err(), "{line}");
        assert!(!site.report().contains(CANARY), "{}", site.report());
        assert!(!format!("{:?}", site.load()).contains(CANARY));
    }
}

#[test]
fn names_are_taken_once() {
    let twin = "\n[[destination]]\nname = \"local\"\nkind = \"sqlite\"\npath = \"wfm.db\"";
    assert_eq!(
        messages(&Site::new(&with("", "", twin))),
        [
            "the destination name \"local\" is taken, by main.toml:12",
            "destination \"local\" writes this file already"
        ]
    );
}

#[test]
fn shared_keys_are_checked_where_they_stand_and_wrong_once() {
    let main = format!(
        "{}\n[[source]]\nname = \"two\"\n[source.realtime]\naccount = \"x\"\npassword_file = \"secret\"",
        with(
            "[defaults.source]\nname = \"x\"\n[defaults.source.realtime]\nsnapshot = \"ful\"\ncolour = 1",
            "",
            ""
        )
    );
    assert_eq!(
        messages(&Site::new(&main)),
        [
            "unknown key `name` in [defaults.source]",
            "`snapshot` is none of its words; did you mean \"full\"?",
            "unknown key `colour` in [defaults.source.realtime]",
        ]
    );
}

#[test]
fn a_zone_must_be_one_that_the_system_knows() {
    let main = |zone: &str| {
        with("", "", "").replace(
            "name = \"main\"",
            &format!("name = \"main\"\ntime_zone = \"{zone}\""),
        )
    };
    assert_eq!(messages(&Site::new(&main("Europe/Berlin"))), [""; 0]);
    assert_eq!(
        messages(&Site::new(&main("Europe/Berln"))),
        ["`time_zone` is no time zone that this system knows"]
    );
    assert_eq!(
        messages(&Site::new(&main("../../secret"))),
        ["`time_zone` is no name of a time zone"]
    );
}

#[test]
fn the_control_server_leaves_loopback_only_with_a_certificate() {
    let main = with("[control]\nlisten = \"0.0.0.0:8640\"", "", "");
    assert_eq!(
        messages(&Site::new(&main)),
        ["`listen` is open to the network, without a certificate"]
    );
    let main = with("[control]\ncertificate = \"control.pem\"", "", "");
    assert_eq!(
        messages(&Site::new(&main)),
        ["`key` is missing in [control]"]
    );
    let table = "[control]\nlisten = \"0.0.0.0:8640\"\ncertificate = \"a.pem\"\nkey = \"a.key\"";
    assert_eq!(messages(&Site::new(&with(table, "", ""))), [""; 0]);
}

#[test]
fn a_file_that_cannot_be_read_at_all_is_named() {
    let site = Site::new("");
    fs::remove_file(site.path("main.toml")).unwrap();
    assert_eq!(
        site.report(),
        "error: main.toml cannot be read: no such file or directory\n --> main.toml\n\n1 error"
    );
    site.write("main.toml", b"a = 1\n# \xff");
    assert_eq!(messages(&site), ["main.toml is not UTF-8 text (line 2)"]);
}
