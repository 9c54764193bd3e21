//! The house rules that a machine can hold: who may name whom, where a package may be named, what
//! may not be left behind. Each rule is also shown a planted offence, so that it is known to fail.

use std::fs;
use std::path::{Path, PathBuf};

/// One source file.
struct Source {
    /// Relative to the project's root, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn planted(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The folder or file directly below `src/`: `src/store/codec.rs` and `src/store.rs` are `store`.
    fn component(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        let first = below.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }

    /// The lines that are code, numbered from 1, comments left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(n, line)| (n + 1, line.trim_start()))
            .filter(|(_, line)| !line.starts_with("//"))
    }

    fn offence(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &str, ending: &str) -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries.map(|e| e.expect("a readable folder")) {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join(folder), &mut paths);
    paths.retain(|path| path.to_string_lossy().ends_with(ending));
    paths.sort();
    paths
        .into_iter()
        .map(|path| Source {
            path: path
                .strip_prefix(root())
                .expect("a path below the root")
                .to_string_lossy()
                .replace('\\', "/"),
            text: fs::read_to_string(&path).expect("a readable text file"),
        })
        .collect()
}

fn sources() -> Vec<Source> {
    let found = files_below("src", ".rs");
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// Which components each component may name (ARCHITECTURE.md). `clock` and `stop` are free to all
/// but `domain`; what is not listed (`daemon`, `cli`, `lib`, `main`, `config`) composes.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &["domain"]),
    ("clock", &["domain"]),
    ("stop", &[]),
    ("transport", &["transport", "domain"]),
    ("thrio", &["thrio", "transport", "domain", "clock", "stop"]),
    ("alarm", &["alarm", "transport", "domain", "clock", "stop"]),
    ("store", &["store", "domain", "clock", "stop"]),
    (
        "destination",
        &["destination", "transport", "domain", "clock", "stop"],
    ),
    (
        "collector",
        &["collector", "thrio", "store", "domain", "clock", "stop"],
    ),
    (
        "forwarder",
        &[
            "forwarder",
            "destination",
            "store",
            "domain",
            "clock",
            "stop",
        ],
    ),
    (
        "receive",
        &[
            "receive",
            "destination",
            "transport",
            "domain",
            "clock",
            "stop",
        ],
    ),
    ("lifecycle", &["lifecycle", "clock", "stop"]),
    ("simulator", &["simulator", "clock", "stop"]),
    ("control", &["control", "domain", "lifecycle", "clock"]),
];

fn wrong_directions(source: &Source) -> Vec<String> {
    let Some(component) = source.component() else {
        return Vec::new();
    };
    let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == component) else {
        return Vec::new();
    };
    let mut offences = Vec::new();
    for (line, code) in source.code() {
        for named in code.split("crate::").skip(1) {
            let named: String = named
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if !named.is_empty() && !allowed.contains(&named.as_str()) {
                offences.push(source.offence(line, &format!("{component} must not name {named}")));
            }
        }
    }
    offences
}

/// Where a package may be named: the only components that know it.
const NAMED_ONLY_IN: &[(&str, &[&str])] = &[
    ("redb::", &["store"]),
    ("ureq::", &["transport", "thrio", "alarm", "destination"]),
    ("toml::", &["config"]),
    ("rusqlite::", &["destination"]),
    ("tokio_postgres::", &["destination"]),
    ("tiberius::", &["destination"]),
    ("async_nats::", &["destination"]),
    ("axum::", &["control", "receive", "simulator"]),
    ("daemonize::", &["lifecycle"]),
    ("anyhow::", &["cli", "main"]),
];

fn misplaced_packages(source: &Source) -> Vec<String> {
    // A test may read what it checks, for example that lines to paste are TOML.
    if source.path.contains("/tests/") || source.path.ends_with("/tests.rs") {
        return Vec::new();
    }
    let Some(component) = source.component() else {
        return Vec::new();
    };
    let mut offences = Vec::new();
    for (package, places) in NAMED_ONLY_IN {
        if places.contains(&component) {
            continue;
        }
        for (line, code) in source.code() {
            let named = code.match_indices(package).any(|(at, _)| {
                !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if named {
                offences.push(source.offence(line, &format!("{package} belongs to {places:?}")));
            }
        }
    }
    offences
}

/// What pure code cannot do.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::io",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime::now",
    "Utc::now",
    "Local::now",
    "tokio",
    "tracing::",
    "println!",
    "eprintln!",
];

fn impurities(source: &Source) -> Vec<String> {
    // Tests beside pure code may say their seed.
    if source.component() != Some("domain") || source.path.contains("/tests/") {
        return Vec::new();
    }
    let mut offences = Vec::new();
    let mut in_tests = false;
    for (line, code) in source.code() {
        in_tests |= code.starts_with("#[cfg(test)]");
        for word in IMPURE {
            if code.contains(word) && !(in_tests && word.ends_with("println!")) {
                offences.push(source.offence(line, &format!("domain must not use {word}")));
            }
        }
    }
    offences
}

fn left_behind(source: &Source) -> Vec<String> {
    // Spelled in halves, so that this file does not accuse itself.
    let words = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
        concat!("#[ign", "ore"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("TO", "DO"),
    ];
    let mut offences = Vec::new();
    for (n, line) in source.text.lines().enumerate() {
        for word in words {
            if line.contains(word) {
                offences.push(source.offence(n + 1, &format!("{word} was left behind")));
            }
        }
    }
    offences
}

/// `unwrap()` outside of tests says nothing to the one who meets it.
fn bare_unwraps(source: &Source) -> Vec<String> {
    if !source.path.starts_with("src/") || source.path.contains("/tests") {
        return Vec::new();
    }
    let mut offences = Vec::new();
    for (line, code) in source.code() {
        if code.starts_with("#[cfg(test)]") {
            break;
        }
        if code.contains(".unwrap()") {
            offences.push(source.offence(line, "say with expect why it cannot happen"));
        }
    }
    offences
}

/// Paths of the machine that somebody worked on.
fn machine_paths(source: &Source) -> Vec<String> {
    let roots = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
    ];
    let mut offences = Vec::new();
    for (n, line) in source.text.lines().enumerate() {
        for path in roots {
            let found = line.match_indices(path).any(|(at, _)| {
                !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-".contains(c))
            });
            if found {
                offences.push(source.offence(n + 1, &format!("{path} is a path of one machine")));
            }
        }
    }
    offences
}

/// Above this a file wants a reason: it is reported.
const LINES_WANTED_MAX: usize = 500;
/// Above this no reason is good enough.
const LINES_MAX: usize = 900;

fn too_long(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    if lines > LINES_WANTED_MAX {
        println!("{}: {lines} lines", source.path);
    }
    let offence = (lines > LINES_MAX).then(|| source.offence(lines, "split it by concern"));
    offence.into_iter().collect()
}

fn hold(rule: fn(&Source) -> Vec<String>, sources: &[Source], planted: &Source) {
    assert!(
        !rule(planted).is_empty(),
        "the rule does not see a planted offence"
    );
    let offences: Vec<_> = sources.iter().flat_map(rule).collect();
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn components_name_only_what_lies_below_them() {
    for (path, text) in [
        ("src/domain/a.rs", "use crate::store::Store;"),
        ("src/store/a.rs", "    let x = crate::thrio::parse();"),
        ("src/collector/a.rs", "use crate::forwarder::ForwardWorker;"),
        ("src/forwarder.rs", "use crate::collector::FeedWorker;"),
        ("src/alarm/a.rs", "use crate::control::status::Problem;"),
    ] {
        hold(wrong_directions, &sources(), &Source::planted(path, text));
    }
    assert!(wrong_directions(&Source::planted("src/store/a.rs", "// crate::thrio::x")).is_empty());
}

#[test]
fn a_package_is_named_only_by_the_component_that_owns_it() {
    let planted = Source::planted("src/collector/a.rs", "use redb::Database;");
    hold(misplaced_packages, &sources(), &planted);
    assert!(
        misplaced_packages(&Source::planted("src/cli/a.rs", "config_toml::parse()")).is_empty(),
        "a longer name is another one"
    );
}

#[test]
fn the_domain_is_pure() {
    let planted = Source::planted("src/domain/a.rs", "let now = Instant::now();");
    hold(impurities, &sources(), &planted);
}

#[test]
fn nothing_unfinished_is_left_behind() {
    let planted = Source::planted("src/a.rs", concat!("todo", "!()"));
    let mut all = sources();
    all.extend(files_below("tests", ".rs"));
    all.extend(files_below("benches", ".rs"));
    hold(left_behind, &all, &planted);
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let planted = Source::planted("src/a.rs", &"\n".repeat(LINES_MAX + 1));
    hold(too_long, &sources(), &planted);
}

#[test]
fn tests_beside_the_domain_may_print_and_the_domain_may_not() {
    let text = "println!(\"seed 7\");";
    assert!(impurities(&Source::planted("src/domain/a/tests/b.rs", text)).is_empty());
    assert!(!impurities(&Source::planted("src/domain/a/b.rs", text)).is_empty());
    let beside = format!("#[cfg(test)]\nmod tests {{\n{text}\n}}");
    assert!(impurities(&Source::planted("src/domain/a/b.rs", &beside)).is_empty());
    let clock = beside.replace("println!", "Instant::now");
    assert!(!impurities(&Source::planted("src/domain/a/b.rs", &clock)).is_empty());
}

#[test]
fn no_bare_unwrap_outside_of_tests() {
    let planted = Source::planted("src/a.rs", "let x = y.unwrap();");
    hold(bare_unwraps, &sources(), &planted);
}

#[test]
fn no_path_of_a_machine_is_committed() {
    let planted = Source::planted("README.md", concat!("cd /wo", "rk/thing"));
    let mut all = sources();
    for (folder, ending) in [
        ("tests", ".rs"),
        ("benches", ".rs"),
        ("docs", ".md"),
        ("conf", ".toml"),
        ("scripts", ""),
        ("systemd", ""),
    ] {
        all.extend(files_below(folder, ending));
    }
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Cargo.toml"] {
        let text = fs::read_to_string(root().join(name)).expect("a file that the project needs");
        all.push(Source::planted(name, &text));
    }
    hold(machine_paths, &all, &planted);
}
