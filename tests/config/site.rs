//! A folder with a configuration, and a machine of its own around it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;
use thrio_edge::config::{Config, ConfigErrors, Surroundings, load_in};

/// What must never be printed.
pub(crate) const CANARY: &str = "CaNaRy-7391";

/// A folder with a configuration, and a machine of its own around it.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
}

impl Site {
    pub(crate) fn new(main: &str) -> Self {
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
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn around(&self) -> Surroundings {
        Surroundings {
            machine_id: vec![self.path("machine-id")],
            zoneinfo: self.path("zoneinfo"),
            credentials: Some(self.path("credentials")),
            variable: |name| (name == "THRIO_PASSWORD").then(|| "from-env".to_owned()),
        }
    }

    pub(crate) fn load(&self) -> Result<Config, ConfigErrors> {
        load_in(&self.path("main.toml"), &self.around())
    }

    pub(crate) fn config(&self) -> Config {
        self.load().unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// The report with the folder's name taken out.
    pub(crate) fn report(&self) -> String {
        let text = match self.load() {
            Ok(config) => thrio_edge::config::problem::render(&config.warnings),
            Err(errors) => errors.to_string(),
        };
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

/// A source and a destination that are right, and what a test adds: to the file's start, to
/// `[source.realtime]`, to `[[destination]]`.
pub(crate) fn with(head: &str, realtime: &str, destination: &str) -> String {
    format!(
        "{head}\n[box]\nid = \"b\"\nstate_dir = \"state\"\n[[source]]\nname = \"main\"\n\
         [source.realtime]\naccount = \"wfm@example.com\"\npassword_file = \"secret\"\n{realtime}\n\
         [[destination]]\nname = \"local\"\nkind = \"sqlite\"\npath = \"wfm.db\"\n{destination}\n"
    )
}

pub(crate) fn realtime(line: &str) -> String {
    with("", line, "")
}

#[track_caller]
pub(crate) fn check(main: &str, report: &str) {
    assert_eq!(Site::new(main).report(), report.trim_matches('\n'));
}

/// The messages alone.
#[track_caller]
pub(crate) fn messages(site: &Site) -> Vec<String> {
    let problems = match site.load() {
        Ok(config) => config.warnings,
        Err(errors) => errors.problems,
    };
    let prefix = format!("{}/", site.folder.path().display());
    let message = |m: &str| m.replace(&prefix, "");
    problems.iter().map(|p| message(&p.message)).collect()
}
