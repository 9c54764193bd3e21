//! Answers that `probe --save` kept, served again.
//!
//! A directory holds, per kind of call, the bodies in the order of their file names:
//! `realtime*`, `historical*`, `queues*`, `users*`. Each call gets the next one; the last stays.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::Route;

/// Kept answers, with how many of each kind were served.
#[derive(Debug)]
pub struct Replay {
    answers: BTreeMap<Route, Vec<Kept>>,
    served: Mutex<BTreeMap<Route, usize>>,
}

#[derive(Debug, Clone)]
struct Kept {
    content_type: String,
    body: Vec<u8>,
}

const PREFIXES: [(&str, Route); 5] = [
    ("realtime", Route::Realtime),
    ("historical", Route::Historical),
    ("configuration-queues", Route::Queues),
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
        let mut answers: BTreeMap<Route, Vec<Kept>> = BTreeMap::new();
        for path in paths.iter().filter(|path| path.is_file()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if let Some((_, route)) = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)) {
                answers.entry(*route).or_default().push(Kept {
                    content_type: content_type(&name).to_owned(),
                    body: fs::read(path)?,
                });
            }
        }
        if answers.is_empty() {
            let message = format!(
                "{}: no file named realtime*, historical*, queues* or users*",
                directory.display()
            );
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(Self {
            answers,
            served: Mutex::default(),
        })
    }

    /// The next answer of a kind: its content type and body.
    pub(super) fn next(&self, route: Route) -> Option<(String, Vec<u8>)> {
        let kept = self.answers.get(&route)?;
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let count = served.entry(route).or_default();
        let answer = &kept[(*count).min(kept.len() - 1)];
        *count += 1;
        Some((answer.content_type.clone(), answer.body.clone()))
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
