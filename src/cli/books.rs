//! The journal as `export` and `report` read it: from the daemon, or from the store where none runs.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::{Failure, remote};
use crate::config::Config;
use crate::control::Request;
use crate::control::protocol::{ExportPage, ExportQuestion, ExportTable};
use crate::daemon;
use crate::destination::file::Zone;
use crate::domain::ids::SourceName;
use crate::domain::timestamp::WallTime;
use crate::lifecycle::exit::Exit;

/// Where the answers come from. Cheap questions, each bounded; nothing is held between two.
pub(super) struct Books<'a> {
    config: &'a Config,
    /// None: a daemon runs.
    at_rest: Option<daemon::Books>,
}

/// A span of one source.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) table: ExportTable,
    pub(super) source: SourceName,
    pub(super) from: WallTime,
    pub(super) to: WallTime,
}

impl<'a> Books<'a> {
    /// Asks the daemon, or opens the store, whose lock must be free then.
    pub(super) fn open(config: &'a Config) -> anyhow::Result<Self> {
        let runs = remote::try_ask(config, &Request::Status, |_| {})?.is_some();
        let at_rest = if runs {
            None
        } else {
            Some(daemon::Books::look(config)?)
        };
        Ok(Self { config, at_rest })
    }

    /// One answer.
    pub(super) fn ask<T: DeserializeOwned>(&self, request: &Request) -> anyhow::Result<T> {
        let answer = match &self.at_rest {
            Some(books) => books.answer(request)?,
            None => remote::ask_running(self.config, request, |_| {})?,
        };
        Ok(serde_json::from_value(answer)?)
    }

    /// Hands over every page, one after the other; there is always a first one.
    pub(super) fn each_page(
        &self,
        wanted: &Wanted,
        mut each: impl FnMut(ExportPage) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            let question = ExportQuestion {
                table: wanted.table,
                source: wanted.source.clone(),
                from: wanted.from,
                to: wanted.to,
                after,
            };
            let mut page: ExportPage = self.ask(&Request::Export(question))?;
            after = page.next.take();
            each(page)?;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

/// Which sources are meant: this one, which may be configured no more, or every configured one.
pub(super) fn sources(
    config: &Config,
    only: Option<&SourceName>,
) -> anyhow::Result<Vec<SourceName>> {
    let mut names: Vec<SourceName> = match only {
        Some(name) => vec![name.clone()],
        None => config.sources.iter().map(|s| s.name.clone()).collect(),
    };
    if names.is_empty() {
        let message = "no source is configured; name one with --source";
        return Err(Failure::new(Exit::Usage, message).into());
    }
    names.sort();
    Ok(names)
}

/// The zone of each source, or the one that was asked for.
pub(super) fn zones(
    config: &Config,
    sources: &[SourceName],
    asked: Option<&Zone>,
) -> BTreeMap<SourceName, Zone> {
    let zone_of = |name: &SourceName| {
        let configured = config.sources.iter().find(|source| source.name == *name);
        let zone = configured.and_then(|source| source.time_zone.parse().ok());
        asked.cloned().or(zone).unwrap_or_else(Zone::utc)
    };
    let zones = sources.iter().map(|name| (name.clone(), zone_of(name)));
    zones.collect()
}

/// The one zone of a file: UTC, said aloud, where its sources have several.
pub(super) fn one_zone(zones: &BTreeMap<SourceName, Zone>) -> Zone {
    let mut all = zones.values();
    let first = all.next().cloned().unwrap_or_else(Zone::utc);
    if all.all(|zone| *zone == first) {
        return first;
    }
    eprintln!("the sources have several time zones: times are in UTC; --time-zone names another");
    Zone::utc()
}
