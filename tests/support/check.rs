//! `check --connect` as a person runs it, of one destination.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes a configuration with this destination (what its table says beside its name) into the
/// folder and checks it: the exit code, and what was said. Nothing appears in the folder.
pub(crate) fn check_connect(folder: &Path, destination: &str) -> (Option<i32>, String) {
    let file = folder.join("thrio-edge.toml");
    let text = format!(
        "[box]\nstate_dir = \"state\"\n[[destination]]\nname = \"upstream\"\n{destination}"
    );
    fs::write(&file, text).expect("written");
    let before = everything_below(folder);
    let output = Command::new(env!("CARGO_BIN_EXE_thrio-edge"))
        .args(["check", "--connect", "--config"])
        .arg(&file)
        .output()
        .expect("run");
    assert_eq!(everything_below(folder), before, "it left something behind");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("text"))
}

/// Every file and folder, with a checksum of what is in it. What SQLite's readers share beside a file
/// that is open is memory of theirs, and only its being there counts.
fn everything_below(folder: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(everything_below(&path));
        }
        let name = path.display().to_string();
        let content = if name.ends_with("-shm") {
            Vec::new()
        } else {
            fs::read(&path).unwrap_or_default()
        };
        found.push((name, crc32fast::hash(&content)));
    }
    found.sort();
    found
}
