//! `store`: figures, proof, space and copies of the journal. It asks the daemon where one runs,
//! and opens the store itself where its lock is free.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::Value;

use super::{ConfigFile, Failure, absolute, output, remote};
use crate::config::Config;
use crate::control::Request;
use crate::domain::timestamp::WallTime;
use crate::lifecycle::exit::Exit;
use crate::store::Store;

/// Looks after the journal.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    config: ConfigFile,
    /// Print the answer as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// How large it is, and what it holds.
    Stats,
    /// Recompute every table and both balances from the journal. Exits 74 where they differ.
    Verify,
    /// Give free pages back to the file system; the feeds wait meanwhile.
    Compact,
    /// Copy everything of one moment into a new file.
    Backup {
        /// The file; it must not be there yet.
        file: PathBuf,
    },
    /// Bring the store to the format of the version before, so that that version can be installed
    /// again. No daemon may run; a copy of the file is made first.
    Downgrade,
}

/// Does it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (_, config) = remote::configuration(&arguments.config)?;
    let request = match &arguments.action {
        Action::Downgrade => return downgrade(&config, arguments.json),
        Action::Stats => Request::StoreStats,
        Action::Verify => Request::StoreVerify,
        Action::Compact => Request::StoreCompact,
        Action::Backup { file } => {
            let done = backup(&config, &absolute(file)?)?;
            return Ok(say(&done, arguments.json));
        }
    };
    let done = remote::ask_or_do(&config, &request, |_| {})?;
    Ok(say(&done, arguments.json))
}

fn say(done: &Value, json: bool) -> Exit {
    if json {
        output::json(done);
    } else {
        show(done);
    }
    let problems = done["problems_count"].as_u64().unwrap_or(0);
    if problems == 0 { Exit::Ok } else { Exit::Io }
}

/// A copy of this moment. A daemon may write in its state folder only (its sandbox sees to that), so
/// it writes there, and this process brings the copy to its place.
fn backup(config: &Config, file: &Path) -> anyhow::Result<Value> {
    if file.exists() {
        let message = format!("{} is there already", file.display());
        return Err(Failure::new(Exit::Io, message).into());
    }
    let name = format!("backup-{}.redb", std::process::id());
    let beside = config.store.state_dir.join(name);
    let request = |file: &Path| Request::StoreBackup {
        file: file.to_owned(),
    };
    if remote::try_ask(config, &request(&beside), |_| {})?.is_none() {
        return remote::ask_or_do(config, &request(file), |_| {});
    }
    let moved = bring(&beside, file).with_context(|| {
        let (beside, file) = (beside.display(), file.display());
        format!("the copy {beside} cannot be brought to {file}")
    });
    if moved.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    moved?;
    Ok(serde_json::json!({"file": file.display().to_string()}))
}

/// Moves a file, also to another file system.
fn bring(from: &Path, to: &Path) -> std::io::Result<()> {
    if std::fs::rename(from, to).is_ok() {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    let mut copy = options.write(true).create_new(true).mode(0o600).open(to)?;
    let copied = File::open(from)
        .and_then(|mut original| std::io::copy(&mut original, &mut copy))
        .and_then(|_| copy.sync_all());
    if copied.is_err() {
        let _ = std::fs::remove_file(to);
    }
    copied?;
    std::fs::remove_file(from)
}

fn downgrade(config: &Config, json: bool) -> anyhow::Result<Exit> {
    let done = Store::downgrade(&config.store)?;
    let backup = done.backup.as_ref().map(|path| path.display().to_string());
    let done = serde_json::json!({"from": done.from, "to": done.to, "backup": backup});
    if json {
        output::json(&done);
    } else {
        show(&done);
    }
    Ok(Exit::Ok)
}

/// The answer's fields, a line each.
fn show(value: &Value) {
    for (field, value) in value.as_object().into_iter().flatten() {
        let name = field.replace('_', " ");
        match value {
            Value::Number(number) if field.ends_with("_bytes") => {
                let size = number.as_u64().map(output::bytes).unwrap_or_default();
                output::line(&format!("{name}: {number} ({size})"));
            }
            Value::Number(number) if field.ends_with("_at") => {
                let at = number.as_i64().map(WallTime::from_ms);
                output::line(&format!("{name}: {}", at.unwrap_or_default()));
            }
            Value::Array(items) if items.is_empty() => output::line(&format!("{name}: none")),
            Value::Array(items) => {
                output::line(&format!("{name}:"));
                for item in items {
                    output::line(&format!("  {}", output::plain(item)));
                }
            }
            other => output::line(&format!("{name}: {}", output::plain(other))),
        }
    }
}
