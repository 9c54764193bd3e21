//! The configuration as an operator meets it: the shipped file against the code, every kind of
//! mistake with the exact text that it is answered with, and secrets that stay secret.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use thrio_edge::config::{
    Config, ConfigErrors, DestinationTarget, Severity, Surroundings, catalogue, load_in,
};

const CANARY: &str = "CaNaRy-7391";

/// A folder with a configuration, and a machine of its own around it.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new(main: &str) -> Self {
        let site = Self {
            folder: TempDir::new().unwrap(),
        };
        site.write("secret", "s3cret\n");
        site.write("machine-id", "0123456789abcdef0123456789abcdef\n");
        site.write("zoneinfo/Europe/Berlin", "TZif2");
        site.write("main.toml", main);
        site
    }

    /// A file with mode 0600.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn around(&self) -> Surroundings {
        Surroundings {
            machine_id: vec![self.path("machine-id")],
            zoneinfo: self.path("zoneinfo"),
            credentials: Some(self.path("credentials")),
            variable: |name| (name == "THRIO_PASSWORD").then(|| "from-env".to_owned()),
        }
    }

    fn load(&self) -> Result<Config, ConfigErrors> {
        load_in(&self.path("main.toml"), &self.around())
    }

    fn config(&self) -> Config {
        self.load().unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// The report with the folder's name taken out.
    fn report(&self) -> String {
        let text = match self.load() {
            Ok(config) => thrio_edge::config::problem::render(&config.warnings),
            Err(errors) => errors.to_string(),
        };
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

/// A source and a destination that are right, and what a test adds: to the file's start, to
/// `[source.realtime]`, to `[[destination]]`.
fn with(head: &str, realtime: &str, destination: &str) -> String {
    format!(
        "{head}\n[box]\nid = \"b\"\nstate_dir = \"state\"\n[[source]]\nname = \"main\"\n\
         [source.realtime]\naccount = \"wfm@example.com\"\npassword_file = \"secret\"\n{realtime}\n\
         [[destination]]\nname = \"local\"\nkind = \"sqlite\"\npath = \"wfm.db\"\n{destination}\n"
    )
}

fn realtime(line: &str) -> String {
    with("", line, "")
}

#[track_caller]
fn check(main: &str, report: &str) {
    assert_eq!(Site::new(main).report(), report.trim_matches('\n'));
}

/// The messages alone.
#[track_caller]
fn messages(site: &Site) -> Vec<String> {
    let problems = match site.load() {
        Ok(config) => config.warnings,
        Err(errors) => errors.problems,
    };
    let prefix = format!("{}/", site.folder.path().display());
    let message = |m: &str| m.replace(&prefix, "");
    problems.iter().map(|p| message(&p.message)).collect()
}

// ---------------------------------------------------------------- the shipped file

fn shipped() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/thrio-edge.toml");
    fs::read_to_string(path).unwrap()
}

/// The file with the lines uncommented whose table and key `wanted` takes; tables always are.
fn uncommented(wanted: impl Fn(&str, &str) -> bool) -> String {
    let mut table = String::new();
    let mut text = String::new();
    for line in shipped().lines() {
        let bare = match line.strip_prefix('#') {
            Some(bare) if !bare.is_empty() && !bare.starts_with(' ') => bare,
            _ => line,
        };
        if bare.starts_with('[') {
            bare.trim_matches(['[', ']']).clone_into(&mut table);
            text.push_str(bare);
        } else if bare != line {
            let key = bare.split(" = ").next().unwrap();
            text.push_str(if wanted(&table, key) { bare } else { "" });
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

/// Every key of the text by its path, with its value as TOML writes it.
fn keys_of(text: &str) -> BTreeMap<String, String> {
    fn walk(path: &str, value: &toml::Value, into: &mut BTreeMap<String, String>) {
        match value {
            toml::Value::Table(table) if !path.ends_with(".headers") => {
                for (key, value) in table {
                    let path = format!("{path}.{key}");
                    walk(path.trim_start_matches('.'), value, into);
                }
            }
            toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
                items.iter().for_each(|item| walk(path, item, into));
            }
            other => {
                into.insert(path.to_owned(), other.to_string());
            }
        }
    }
    let mut keys = BTreeMap::new();
    let table: toml::Table = text.parse().unwrap();
    walk("", &toml::Value::Table(table), &mut keys);
    keys
}

#[test]
fn the_shipped_file_is_right_as_it_is() {
    let site = Site::new(&shipped());
    let config = site.config();
    assert_eq!(config.sources[0].name.as_str(), "main");
    assert_eq!(config.destinations[0].target.kind(), "sqlite");
    assert!(
        config
            .warnings
            .iter()
            .all(|w| w.message.starts_with("the password cannot be read"))
    );
}

#[test]
fn the_shipped_file_names_every_key_of_the_code_and_no_other() {
    let in_file = keys_of(&uncommented(|_, _| true));
    let known: BTreeSet<String> = catalogue()
        .iter()
        .map(thrio_edge::config::KeyNote::path)
        .collect();
    let mut file: BTreeSet<String> = in_file.into_keys().collect();
    // States are the site's own texts.
    file.retain(|path| !path.starts_with("source.states."));
    file.insert("source.states".to_owned());
    let shared: BTreeSet<String> = file
        .iter()
        .filter_map(|p| p.strip_prefix("defaults.").map(str::to_owned))
        .collect();
    file.retain(|path| !path.starts_with("defaults."));
    assert!(shared.is_subset(&known), "{shared:?}");
    assert_eq!(
        file.difference(&known).collect::<Vec<_>>(),
        [""; 0],
        "unknown to the code"
    );
    assert_eq!(
        known.difference(&file).collect::<Vec<_>>(),
        [""; 0],
        "missing in the file"
    );
}

#[test]
fn the_shipped_file_shows_each_default_as_the_code_has_it() {
    let in_file = keys_of(&uncommented(|_, _| true));
    for note in catalogue() {
        if let (Some(default), Some(shown)) = (&note.default, in_file.get(&note.path())) {
            assert_eq!(shown, default, "{}", note.path());
        }
    }
}

#[test]
fn the_shipped_file_gives_every_range_and_choice_in_its_comments() {
    let text = shipped();
    for note in catalogue() {
        let Some(allowed) = &note.allowed else {
            continue;
        };
        let numbers: Vec<&str> = allowed
            .split([' ', ','])
            .map(|word| word.trim_matches('"'))
            .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
            .filter(|word| word.bytes().all(|b| b.is_ascii_alphanumeric()))
            .collect();
        assert!(
            numbers.iter().all(|number| text.contains(number)),
            "{}: {allowed}",
            note.path()
        );
    }
}

#[test]
fn writing_the_defaults_out_changes_nothing() {
    let has_default = |table: &str, key: &str| {
        let path = format!("{table}.{key}");
        catalogue()
            .iter()
            .any(|n| n.path() == path && n.default.is_some())
    };
    let plain = Site::new(&shipped());
    let full = Site::new(&uncommented(has_default));
    let around = plain.around();
    fs::copy(full.path("main.toml"), plain.path("full.toml")).unwrap();
    let full = load_in(&plain.path("full.toml"), &around).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(full, plain.config());
}

#[test]
fn the_shipped_states_and_mappings_can_be_used() {
    let site = Site::new(&with("", "", ""));
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    for mapping in ["community", "sibling"] {
        let file = conf.join(format!("api/{mapping}.toml"));
        let head = format!(
            "[defaults.source]\napi_file = {:?}\nstates_file = {:?}",
            file,
            conf.join("states.toml")
        );
        site.write("main.toml", with(&head, "", ""));
        let config = site.config();
        let states = &config.sources[0].realtime.as_ref().unwrap().options.states;
        assert!(states.meaning("lunch").mapped);
        assert_eq!(
            mapping == "sibling",
            config.sources[0].api != Default::default()
        );
    }
}

// ---------------------------------------------------------------- what is read

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
        Duration::from_secs(3 * 3600 + 900)
    );
    assert!(historical.options.name_queues);
    let DestinationTarget::Sqlite(sqlite) = &config.destinations[0].target;
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

// ---------------------------------------------------------------- every kind of mistake

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
  = help: `listen` belongs into [control]

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
fn a_kind_of_the_design_that_this_build_lacks_is_told_from_a_mistake() {
    let kind = |kind: &str| {
        let main = with("", "", "").replace("kind = \"sqlite\"", &format!("kind = \"{kind}\""));
        messages(&Site::new(&main))
    };
    assert_eq!(
        kind("postgres"),
        [
            "`kind` is a kind of destination that this version does not deliver to; it delivers to \"sqlite\""
        ]
    );
    assert_eq!(
        kind("sqllite"),
        ["`kind` is no kind of destination; did you mean \"sqlite\"?"]
    );
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
        "{}\n[store]\nretention_days = 0\nmax_byte = \"1GiB\"\n[log]\nlevel = \"loud\"\n",
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
fn the_control_server_stays_on_loopback() {
    let main = with("[control]\nlisten = \"0.0.0.0:8640\"", "", "");
    assert_eq!(
        messages(&Site::new(&main)),
        ["`listen` is open to the network: this version answers on loopback addresses only"]
    );
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

// ---------------------------------------------------------------- secrets

#[test]
fn a_secret_that_cannot_be_read_holds_its_connection_only() {
    let site = Site::new(&with("", "", "").replace("\"secret\"", "\"gone\""));
    let config = site.config();
    let [warning] = config.warnings.as_slice() else {
        panic!("{:?}", config.warnings);
    };
    assert_eq!(warning.severity, Severity::Warning);
    assert!(
        warning
            .message
            .ends_with("gone cannot be read: no such file or directory")
    );
    let password = config.sources[0]
        .realtime
        .as_ref()
        .unwrap()
        .connection
        .password
        .provider();
    let error = password().unwrap_err();
    assert!(
        error.starts_with("source.realtime.password_file (source \"main\"): "),
        "{error}"
    );
    site.write("gone", "here again\r\n");
    assert_eq!(password().unwrap().expose_secret(), "here again");
    site.write("gone", "replaced");
    assert_eq!(password().unwrap().expose_secret(), "replaced");
}

#[test]
fn a_secret_file_that_others_may_read_is_warned_of() {
    let site = Site::new(&with("", "", ""));
    fs::set_permissions(site.path("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        messages(&site),
        ["secret may be read by others than its owner (mode 0644)"]
    );
}

#[test]
fn each_way_to_name_a_secret_works_and_says_what_it_lacks() {
    let with_key =
        |line: &str| Site::new(&with("", "", "").replace("password_file = \"secret\"", line));
    for (line, lacks) in [
        (
            "password_credential = \"rt\"",
            "the password cannot be read: the credential \"rt\" cannot be read: no such file or directory",
        ),
        (
            "password_env = \"NOT_SET\"",
            "the password cannot be read: the environment variable NOT_SET is not set",
        ),
        (
            "password_file = \"zoneinfo\"",
            "the password cannot be read: zoneinfo cannot be read: is a directory",
        ),
    ] {
        assert_eq!(messages(&with_key(line)), [lacks]);
    }
    let site = with_key("password_credential = \"rt\"");
    site.write("credentials/rt", "from-systemd");
    let read = |site: &Site| {
        let config = site.config();
        let secret = config.sources[0]
            .realtime
            .as_ref()
            .unwrap()
            .connection
            .password
            .read();
        secret.unwrap().expose_secret().to_owned()
    };
    assert_eq!(read(&site), "from-systemd");
    assert_eq!(
        read(&with_key("password_env = \"THRIO_PASSWORD\"")),
        "from-env"
    );
    assert_eq!(read(&with_key("password = \"plain\"")), "plain");
}

#[test]
fn debug_never_shows_a_secret_but_equality_knows_it() {
    let main = |password: &str| {
        with("", "", "").replace(
            "password_file = \"secret\"",
            &format!("password = \"{password}\""),
        )
    };
    let (one, same, other) = (
        Site::new(&main(CANARY)),
        Site::new(&main(CANARY)),
        Site::new(&main("x")),
    );
    assert!(!format!("{:?}", one.config()).contains(CANARY));
    assert_eq!(one.config().sources, same.config().sources);
    assert_ne!(one.config().sources, other.config().sources);
}

/// A file as an operator may have it, with the secret in three places.
fn victim() -> String {
    format!(
        "[box]\nid = \"b\"\n[[source]]\nname = \"main\"\n[source.realtime]\naccount = \"a\"\n\
         password = \"{CANARY}\"\nsnapshot = \"full\"\n[source.historical]\nusername = \"a\"\n\
         password = '''{CANARY}'''\nbase_url = \"https://u:{CANARY}@login.thrio.com\"\n\
         [source.api.realtime]\nheaders = {{ \"X-Key\" = \"{CANARY}\" }}\n[[destination]]\n\
         name = \"d\"\nkind = \"sqlite\"\npath = \"d.db\"\n[store]\nmax_bytes = \"8GiB\"\n"
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_never_panics_and_never_shows_a_secret(
        edits in proptest::collection::vec((0.0f64..1.0, 0u8..4, "[\\[\\]{}=\"'#.,\\n a-z0-9]{1,3}"), 1..4)
    ) {
        let mut text = victim();
        for (at, kind, piece) in edits {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
            let at = (at * text.len() as f64) as usize;
            // The secret stays whole where it is: half of it could not be recognised.
            let inside = text.match_indices(CANARY).any(|(start, _)| start < at + 3 && at < start + CANARY.len());
            if inside { continue; }
            match kind {
                0 => text.insert_str(at, &piece),
                1 => { text.remove(at); }
                2 => text.replace_range(at..=at, &piece),
                // A whole line is lost.
                _ => {
                    let line = text[..at].matches('\n').count();
                    text = text.lines().enumerate().filter(|(n, _)| *n != line).map(|(_, l)| format!("{l}\n")).collect();
                }
            }
        }
        let site = Site::new(&text);
        let report = site.report();
        prop_assert!(!report.contains(CANARY), "from\n{}\ncame\n{}", text, report);
        let debug = format!("{:?}", site.load());
        prop_assert!(!debug.contains(CANARY), "from\n{}\ncame\n{}", text, debug);
    }
}
