//! `documents` (hidden): what packaging generates from the command line itself: a manual page for
//! each command, and completions for bash, zsh and fish. None of it is kept in the sources, so that
//! it cannot differ from the program.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use super::CommandLine;
use crate::lifecycle::exit::Exit;

const NAME: &str = "thrio-edge";

/// Writes manual pages and shell completions, for packaging.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder; `man1/` and `completions/` are made below it.
    folder: PathBuf,
}

/// Writes them.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut command = CommandLine::command();
    command.build();
    let manuals = arguments.folder.join("man1");
    fs::create_dir_all(&manuals).with_context(|| manuals.display().to_string())?;
    write_manual(&command, &manuals)?;
    let completions = arguments.folder.join("completions");
    fs::create_dir_all(&completions).with_context(|| completions.display().to_string())?;
    for (shell, file) in [
        (Shell::Bash, "thrio-edge.bash"),
        (Shell::Zsh, "_thrio-edge"),
        (Shell::Fish, "thrio-edge.fish"),
    ] {
        let mut file = File::create(completions.join(file))?;
        clap_complete::generate(shell, &mut command, NAME, &mut file);
    }
    Ok(Exit::Ok)
}

/// A page for this command and one for each below it: `thrio-edge-store-backup.1`.
fn write_manual(command: &Command, folder: &Path) -> anyhow::Result<()> {
    let name = command.get_display_name().unwrap_or(NAME).to_owned();
    let mut file = File::create(folder.join(format!("{name}.1")))?;
    clap_mangen::Man::new(command.clone()).render(&mut file)?;
    let shown = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set() && below.get_name() != "help");
    for below in shown {
        write_manual(below, folder)?;
    }
    Ok(())
}
