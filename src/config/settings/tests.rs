use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::*;

const MAIN: &str = r#"
[box]
id = "test-box"
state_dir = "state"
[[source]]
name = "filed"
[source.realtime]
account = "wfm@example.com"
password = "main-secret"
[[destination]]
name = "local"
kind = "sqlite"
path = "wfm.db"
"#;

struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thrio-edge.toml"), MAIN).unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        Self { folder }
    }

    fn main(&self) -> PathBuf {
        self.folder.path().join("thrio-edge.toml")
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn read(&self) -> Settings {
        Settings::read(&self.state_dir()).unwrap()
    }

    fn save(&self, source: &Value) {
        let settings = self.read().with_source(object(source)).unwrap();
        settings.check(&self.main()).unwrap();
        settings.save(&self.state_dir()).unwrap();
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

fn two(password: &str) -> Value {
    json!({
        "name": "two",
        "time_zone": null,
        "realtime": {
            "base_url": "https://login.example.com",
            "account": "wfm@example.com",
            "password": password,
            "password_is_set": true,
            "transaction_collection_interval_s": 5,
        },
        "api": {"realtime": {"headers": {"X-Key": "gateway-key"}}},
    })
}

#[test]
fn a_saved_source_runs_beside_those_of_the_main_file() {
    let site = Site::new();
    site.save(&two("secret-1"));
    let config = super::super::load(&site.main()).unwrap();
    let names: Vec<String> = config.sources.iter().map(|s| s.name.to_string()).collect();
    assert_eq!(names, ["filed", "two"]);
    let mode = fs::metadata(site.state_dir().join(FILE))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn secrets_go_in_and_never_come_out() {
    let site = Site::new();
    site.save(&two("secret-1"));
    let shown = sources(&site.main());
    let text = format!("{shown:?}");
    for secret in ["secret-1", "main-secret", "gateway-key"] {
        assert!(!text.contains(secret), "{text}");
    }
    let two = shown.iter().find(|s| s.name == "two").unwrap();
    assert!(two.is_saved);
    assert_eq!(two.settings["realtime"]["password_is_set"], true);
    assert_eq!(two.settings["api"]["realtime"]["headers"]["X-Key"], MASK);
}

#[test]
fn what_is_left_empty_or_masked_keeps_its_saved_value() {
    let site = Site::new();
    site.save(&two("secret-1"));
    let mut shown = sources(&site.main()).pop().unwrap().settings;
    shown["realtime"]["password"] = "".into();
    shown["realtime"]["transaction_collection_interval_s"] = 15.into();
    site.save(&Value::Object(shown));
    let text = fs::read_to_string(site.state_dir().join(FILE)).unwrap();
    for part in ["secret-1", "gateway-key", "interval_s = 15"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

#[test]
fn a_saved_password_is_not_sent_to_another_host() {
    let site = Site::new();
    site.save(&two("secret-1"));
    let mut moved = two("");
    moved["realtime"]["base_url"] = "https://elsewhere.example.com".into();
    let error = site
        .read()
        .with_source(object(&moved))
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("source.realtime.password"), "{error}");
}

#[test]
fn a_name_of_the_main_file_and_keys_that_read_files_are_refused() {
    let site = Site::new();
    let mut taken = two("x");
    taken["name"] = "filed".into();
    let settings = site.read().with_source(object(&taken)).unwrap();
    let error = settings.check(&site.main()).unwrap_err().to_string();
    assert!(error.contains("is taken"), "{error}");
    let mut reading = two("");
    reading["realtime"]["password_file"] = "/etc/shadow".into();
    let refused = site.read().with_source(object(&reading));
    assert!(matches!(refused, Err(SettingsError::Invalid(_))));
}

#[test]
fn a_mapping_adds_to_a_source_of_the_main_file() {
    let site = Site::new();
    let settings = site
        .read()
        .with_state("filed", "Lunch", Some(Category::Aux));
    assert!(settings.maps("filed", "lunch") && !settings.maps("two", "lunch"));
    let config = settings.check(&site.main()).unwrap();
    let states = &config.sources[0].realtime.as_ref().unwrap().options.states;
    assert_eq!(states.meaning("LUNCH").category, Category::Aux);
    let back = settings.with_state("filed", "lunch", None);
    let config = back.check(&site.main()).unwrap();
    let states = &config.sources[0].realtime.as_ref().unwrap().options.states;
    assert!(!states.meaning("Lunch").mapped);
}

#[test]
fn a_damaged_file_gives_way_to_the_one_before() {
    let site = Site::new();
    site.save(&two("secret-1"));
    site.save(&two("secret-2"));
    fs::write(site.state_dir().join(FILE), "[[source]]\nname = \"tw").unwrap();
    let config = super::super::load(&site.main()).unwrap();
    assert_eq!(config.sources.len(), 2);
    let warned = config.warnings.iter().any(|w| w.message.contains(PREVIOUS));
    assert!(warned, "{:?}", config.warnings);
}
