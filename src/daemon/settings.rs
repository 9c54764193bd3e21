//! What is set up on the page: sources, mappings of states, and the test of a connection that is
//! not saved yet. Everything is validated with the main file before it is saved, and runs by the
//! way of a reload, which leaves the journal and its cursors alone.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::commands::refuse_reload;
use super::{Parts, Reloaded, lock, probing};
use crate::config::settings::{self, Settings, SettingsError};
use crate::config::{self, ConfigErrors, Problem, Severity, SourceConfig};
use crate::control::Refusal;
use crate::control::protocol::GivenSettings;
use crate::domain::ids::SourceName;
use crate::domain::record::{Category, StateCode};
use crate::lifecycle::exit::Exit;
use crate::thrio::probe::ProbeFeed;

impl Parts {
    /// Every source with its settings, without secrets, and every key that one can have.
    pub(super) fn sources_with_settings(&self) -> Result<Value, Refusal> {
        let rows: Vec<Value> = settings::sources(self.main_file()?)
            .into_iter()
            .map(|source| {
                json!({
                    "name": source.name,
                    "managed": if source.is_saved { "page" } else { "file" },
                    "file": source.file,
                    "settings": source.settings,
                })
            })
            .collect();
        let of_source = |table: &str| table == "source" || table.starts_with("source.");
        let keys: Vec<Value> = config::catalogue()
            .iter()
            .filter(|note| of_source(&note.table))
            .map(|note| {
                json!({
                    "table": note.table,
                    "key": note.key,
                    "default": note.default,
                    "default_value": note.default_value(),
                    "help": note.help(),
                    "allowed": note.allowed,
                    "is_secret": note.is_secret,
                })
            })
            .collect();
        Ok(json!({"rows": rows, "keys": keys}))
    }

    /// What is wrong with these settings, if anything.
    pub(super) fn check_source(&self, given: &GivenSettings) -> Result<Value, Refusal> {
        let checked = self.with_source(given).and_then(|(settings, name)| {
            let config = settings.check(self.main_file()?).map_err(refuse_errors)?;
            Ok((config, name))
        });
        match checked {
            Ok((config, name)) => {
                let problems = warnings_of(&config.warnings, &name);
                Ok(json!({"valid": true, "problems": problems}))
            }
            Err(refusal) if !refusal.problems.is_empty() => {
                Ok(json!({"valid": false, "problems": refusal.problems}))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Saves a source and runs it.
    pub(super) fn save_source(&self, given: &GivenSettings) -> Result<Value, Refusal> {
        let _only = lock(&self.saving);
        let (settings, name) = self.with_source(given)?;
        let config = settings.check(self.main_file()?).map_err(refuse_errors)?;
        let warnings = warnings_of(&config.warnings, &name);
        let reloaded = self.save_and_run(&settings)?;
        Ok(json!({"saved": name, "reloaded": reloaded, "warnings": warnings}))
    }

    /// Removes a saved source; what was collected stays.
    pub(super) fn remove_source(&self, name: &SourceName) -> Result<Value, Refusal> {
        let _only = lock(&self.saving);
        self.refuse_of_main_file(name.as_str())?;
        let saved = self.saved()?;
        let settings = saved.without_source(name.as_str()).ok_or_else(|| {
            Refusal::new(Exit::Usage, format!("no source \"{name}\" was saved here"))
        })?;
        settings.check(self.main_file()?).map_err(refuse_errors)?;
        let reloaded = self.save_and_run(&settings)?;
        Ok(json!({"removed": name, "reloaded": reloaded}))
    }

    /// Gives a state text a category; the worker journals the state code when it starts anew.
    pub(super) fn map_state(
        &self,
        source: &SourceName,
        state: &str,
        category: Option<Category>,
    ) -> Result<Value, Refusal> {
        let _only = lock(&self.saving);
        let saved = self.saved()?;
        if !self.realtime_sources().contains(source) {
            let message = format!("no source \"{source}\" with a realtime feed runs");
            return Err(Refusal::new(Exit::Usage, message));
        }
        if !saved.maps(source.as_str(), state) && self.is_custom(source, state) {
            let message = format!(
                "\"{state}\" is mapped in the main file's settings of \"{source}\": change it there"
            );
            return Err(Refusal::new(Exit::Configuration, message));
        }
        if saved.source_maps(source.as_str(), state) {
            let message = format!(
                "\"{state}\" is mapped by the saved settings of \"{source}\": change its states \
                 there"
            );
            return Err(Refusal::new(Exit::Configuration, message));
        }
        let settings = saved.with_state(source.as_str(), state, category);
        let config = settings.check(self.main_file()?).map_err(refuse_errors)?;
        if let Some(category) = category {
            refuse_without_effect(&config.sources, source, state, category)?;
        }
        let reloaded = self.save_and_run(&settings)?;
        Ok(json!({
            "source": source,
            "state": state,
            "category": category,
            "reloaded": reloaded,
        }))
    }

    /// Logs in with settings that are not saved, and shows what came back.
    pub(super) fn probe_source(
        &self,
        given: &GivenSettings,
        feed: &str,
        polls: u32,
    ) -> Result<Value, Refusal> {
        let feed = probe_feed(feed)?;
        let (settings, name) = match self.with_source(given) {
            Err(refusal) if refusal.exit == Exit::Configuration && refusal.problems.is_empty() => {
                // A source of the main file can be tested as it runs there.
                let name = given.name().to_owned();
                (self.saved()?, name)
            }
            other => other?,
        };
        let config = settings.check(self.main_file()?).map_err(refuse_errors)?;
        let source = config
            .sources
            .into_iter()
            .find(|source| source.name.as_str() == name)
            .ok_or_else(|| Refusal::new(Exit::Usage, format!("there is no source \"{name}\"")))?;
        Ok(probing::tested(&source, feed, polls, &self.clock))
    }

    /// Who maps a state text.
    pub(super) fn mapped_by(&self, code: &StateCode) -> &'static str {
        let is_custom = self.is_custom(&code.source, code.state.as_str());
        match (code.mapped, is_custom) {
            (false, _) => "nowhere",
            (true, false) => "built_in",
            (true, true) => {
                let saved = self.saved().unwrap_or_default();
                if saved.maps(code.source.as_str(), code.state.as_str()) {
                    "page"
                } else {
                    "file"
                }
            }
        }
    }

    fn is_custom(&self, source: &SourceName, state: &str) -> bool {
        let applied = lock(&self.applied);
        let running = applied.config.sources.iter().find(|s| s.name == *source);
        running
            .and_then(|source| source.realtime.as_ref())
            .is_some_and(|realtime| realtime.options.states.is_custom(state))
    }

    fn realtime_sources(&self) -> Vec<SourceName> {
        let applied = lock(&self.applied);
        let sources = applied.config.sources.iter();
        let with = sources.filter(|source| source.realtime.is_some());
        with.map(|source| source.name.clone()).collect()
    }

    fn with_source(&self, given: &GivenSettings) -> Result<(Settings, String), Refusal> {
        let name = given.name();
        self.refuse_of_main_file(name)?;
        let settings = self
            .saved()?
            .with_source(&given.0)
            .map_err(refuse_settings)?;
        Ok((settings, name.to_owned()))
    }

    fn refuse_of_main_file(&self, name: &str) -> Result<(), Refusal> {
        let sources = settings::sources(self.main_file()?);
        let of_file = sources.iter().find(|s| s.name == name && !s.is_saved);
        of_file.map_or(Ok(()), |source| {
            let message = format!(
                "the source \"{name}\" stands in {}: change it there, or choose another name",
                source.file
            );
            Err(Refusal::new(Exit::Configuration, message))
        })
    }

    /// Saves what was checked and runs it. Where it does not run after all, the former settings
    /// come back, so that the next start is not worse than this process.
    fn save_and_run(&self, settings: &Settings) -> Result<Reloaded, Refusal> {
        let state_dir = self.state_dir();
        let former = Settings::read(&state_dir).map_err(refuse_settings)?;
        settings.save(&state_dir).map_err(refuse_settings)?;
        self.reload().map_err(|error| {
            if let Err(error) = former.save(&state_dir) {
                tracing::error!(%error, "the former settings could not be put back");
            }
            refuse_reload(error)
        })
    }

    fn saved(&self) -> Result<Settings, Refusal> {
        Settings::read(&self.state_dir()).map_err(refuse_settings)
    }

    fn state_dir(&self) -> PathBuf {
        lock(&self.applied).config.store.state_dir.clone()
    }

    fn main_file(&self) -> Result<&Path, Refusal> {
        self.file.as_deref().ok_or_else(|| {
            let message = "this daemon was started without a configuration file";
            Refusal::new(Exit::Usage, message)
        })
    }
}

/// A mapping that the main file contradicts would be saved and do nothing.
fn refuse_without_effect(
    sources: &[SourceConfig],
    source: &SourceName,
    state: &str,
    category: Category,
) -> Result<(), Refusal> {
    let found = sources.iter().find(|one| one.name == *source);
    let realtime = found.and_then(|source| source.realtime.as_ref());
    let counts = realtime.is_some_and(|realtime| {
        let meaning = realtime.options.states.meaning(state);
        meaning.mapped && meaning.category == category
    });
    if counts {
        return Ok(());
    }
    let message = format!("\"{state}\" cannot be mapped: it is no state text, or is too long");
    Err(Refusal::new(Exit::Usage, message))
}

fn probe_feed(word: &str) -> Result<ProbeFeed, Refusal> {
    match word {
        "realtime" => Ok(ProbeFeed::Realtime),
        "historical" => Ok(ProbeFeed::Historical),
        "queues" => Ok(ProbeFeed::Queues),
        "agents" => Ok(ProbeFeed::Agents),
        other => {
            let message = format!("there is no feed \"{other}\" to test");
            Err(Refusal::new(Exit::Usage, message))
        }
    }
}

fn warnings_of(warnings: &[Problem], name: &str) -> Vec<Value> {
    let subject = format!("source \"{name}\"");
    let its = warnings
        .iter()
        .filter(|w| w.subject.as_deref() == Some(&subject));
    its.map(problem).collect()
}

/// A problem of the configuration as the page shows it.
fn problem(problem: &Problem) -> Value {
    json!({
        "severity": match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "field": problem.field,
        "message": problem.message,
        "value": problem.value,
        "allowed": problem.allowed,
        "hint": problem.hint,
    })
}

/// A refusal that holds every problem.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(super) fn refuse_errors(errors: ConfigErrors) -> Refusal {
    let problems = errors.problems.iter().map(problem).collect();
    Refusal {
        problems,
        ..Refusal::new(Exit::Configuration, errors.to_string())
    }
}

fn refuse_settings(error: SettingsError) -> Refusal {
    match error {
        SettingsError::Invalid(errors) => refuse_errors(errors),
        SettingsError::Conflict(message) => Refusal::new(Exit::Configuration, message),
        SettingsError::Io { .. } => Refusal::new(Exit::Io, error.to_string()),
    }
}

/// The test's answer: what came back with the settings that would understand it better.
pub(super) fn with_suggestion(mut report: Map<String, Value>) -> Map<String, Value> {
    let text = report.get("settings").and_then(Value::as_str).unwrap_or("");
    let suggested = settings::api_as_json(text);
    report.insert("suggested".to_owned(), Value::Object(suggested));
    report
}
