//! Answers that `probe --save` kept, served again.
//!
//! A directory holds, per kind of call, the bodies in the order of their file names:
//! `realtime*`, `historical*`, `queues*`, `users*`. Each call gets the next one; the last stays.
//! Beside a body may lie its description, `call-<body's stem>.json`: then its path, status and
//! content type are those of the tenant; else the defaults of the API.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::Route;

/// Kept answers, with how many of each kind were served.
#[derive(Debug)]
pub struct Replay {
    answers: BTreeMap<Route, Vec<Kept>>,
    /// The tenant's own paths.
    paths: BTreeMap<String, Route>,
    served: Mutex<BTreeMap<Route, usize>>,
}

/// One answer.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

/// What is read of a description.
#[derive(Debug, Deserialize)]
struct Description {
    path: String,
    status: u16,
    content_type: String,
}

const PREFIXES: [(&str, Route); 4] = [
    ("realtime", Route::Realtime),
    ("historical", Route::Historical),
    ("queues", Route::Queues),
    ("users", Route::Users),
];

impl Replay {
    /// Reads a directory; an error where it holds no answer at all.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let mut paths: Vec<_> = fs::read_dir(directory)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()?;
        paths.sort();
        let mut replay = Self {
            answers: BTreeMap::new(),
            paths: BTreeMap::new(),
            served: Mutex::default(),
        };
        for path in paths.iter().filter(|path| path.is_file()) {
            replay.keep(path)?;
        }
        if replay.answers.is_empty() {
            let message = format!(
                "{}: no file named realtime*, historical*, queues* or users*",
                directory.display()
            );
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(replay)
    }

    fn keep(&mut self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some((_, route)) = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)) else {
            return Ok(());
        };
        let described = description(path)?;
        let body = fs::read(path)?;
        let (status, content_type) = match described {
            Some(described) => {
                self.paths.insert(described.path, *route);
                (described.status, described.content_type)
            }
            None => (200, content_type(&name).to_owned()),
        };
        self.answers.entry(*route).or_default().push(Kept {
            status,
            content_type,
            body,
        });
        Ok(())
    }

    /// What a call to one of the tenant's own paths is for.
    pub(super) fn route(&self, path: &str) -> Option<Route> {
        self.paths.get(path).copied()
    }

    /// The next answer of a kind.
    pub(super) fn next(&self, route: Route) -> Option<Kept> {
        let kept = self.answers.get(&route)?;
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let count = served.entry(route).or_default();
        let answer = &kept[(*count).min(kept.len() - 1)];
        *count += 1;
        Some(answer.clone())
    }
}

/// The description that lies beside a body.
fn description(body: &Path) -> io::Result<Option<Description>> {
    let stem = body.file_stem().unwrap_or_default().to_string_lossy();
    let path = body.with_file_name(format!("call-{stem}.json"));
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
            let message = format!("{}: {error}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn content_type(name: &str) -> &'static str {
    match Path::new(name)
        .extension()
        .and_then(|extension| extension.to_str())
    {
        Some("html" | "htm") => "text/html; charset=utf-8",
        _ => "application/json",
    }
}
