//! Every command line of the documents is one that the program takes.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;

use super::CommandLine;

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let below = fs::read_dir(root.join("docs")).expect("the documents");
    let mut all: Vec<PathBuf> = below.map(|entry| entry.expect("a file").path()).collect();
    all.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    all.push(root.join("README.md"));
    all.sort();
    all
}

/// The lines of `sh` blocks that call the program, without their comments.
fn command_lines(text: &str) -> Vec<String> {
    let mut in_shell = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            in_shell = kind == "sh" || kind == "bash";
        } else if in_shell && line.contains("thrio-edge ") {
            // As another user, or by itself.
            let line = line.trim_start_matches("runuser -u thrio-edge -- ");
            if !line.starts_with("thrio-edge ") {
                continue;
            }
            let line = line.split(" #").next().unwrap_or(line);
            found.push(line.split(" | ").next().unwrap_or(line).trim().to_owned());
        }
    }
    found
}

/// Words as a shell parts them; what stands in quotes is one.
fn words(line: &str) -> Vec<String> {
    let pieces = line.split('"').enumerate();
    pieces
        .flat_map(|(n, piece)| match n % 2 {
            0 => piece.split_whitespace().map(str::to_owned).collect(),
            _ => vec![piece.to_owned()],
        })
        .collect()
}

#[test]
fn every_command_of_the_documents_is_one() {
    let mut count = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).expect("a readable text");
        for line in command_lines(&text) {
            count += 1;
            let parsed = CommandLine::try_parse_from(words(&line));
            assert!(
                parsed.is_ok(),
                "{}: {line}: {}",
                path.display(),
                parsed.unwrap_err()
            );
        }
    }
    assert!(count >= 15, "only {count} commands were found");
}

#[test]
fn a_command_that_is_none_is_found() {
    let planted = "```sh\nthrio-edge store mend  # no such thing\n```\nthrio-edge is a program\n";
    let lines = command_lines(planted);
    assert_eq!(lines, ["thrio-edge store mend"]);
    assert!(CommandLine::try_parse_from(words(&lines[0])).is_err());
}
