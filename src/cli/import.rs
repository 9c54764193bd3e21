//! `import`: queues and agents now.

use serde_json::Value;

use super::{ConfigFile, output, remote};
use crate::control::Request;
use crate::lifecycle::exit::Exit;

/// Imports queues and agents now, and says what is new, renamed and closed.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// One source; all where not given.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only say what would change.
    #[arg(long, conflicts_with = "confirm")]
    dry_run: bool,
    /// What a list lacks that shrank more than the settings allow is really gone.
    #[arg(long)]
    confirm: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Asks for the import and waits for it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (_, config) = remote::configuration(&arguments.config)?;
    let request = Request::Import {
        source: arguments.source.clone(),
        dry_run: arguments.dry_run,
        confirm: arguments.confirm,
    };
    let found = remote::ask_or_do(&config, &request, |_| {})?;
    if arguments.json {
        output::json(&found);
        return Ok(Exit::Ok);
    }
    for (source, plan) in found.as_object().into_iter().flatten() {
        let how = if arguments.dry_run {
            " (nothing was written)"
        } else {
            ""
        };
        output::line(&format!("{source}{how}"));
        for list in ["queues", "agents"] {
            show(list, &plan[list]);
        }
    }
    Ok(Exit::Ok)
}

fn show(list: &str, plan: &Value) {
    let count = |key: &str| plan[key]["count"].as_u64().unwrap_or(0);
    output::line(&format!(
        "  {list}: {} listed, {} new, {} renamed, {} closed, {} changed otherwise",
        plan["listed"],
        count("new"),
        count("renamed"),
        count("closed"),
        plan["changed"],
    ));
    for (sign, key) in [("+", "new"), ("~", "renamed"), ("-", "closed")] {
        for entry in plan[key]["first"].as_array().into_iter().flatten() {
            let text = |key: &str| entry[key].as_str().unwrap_or("");
            let name = match key {
                "renamed" => format!("{} -> {}", text("old"), text("new")),
                _ => text("name").to_owned(),
            };
            output::line(&format!("    {sign} {}  {name}", text("id")));
        }
    }
    if plan["complete"] == Value::Bool(false) {
        output::line("    the list was incomplete: nothing was closed");
    }
    if let (Some(missing), Some(open)) = (
        plan["held"]["missing"].as_u64(),
        plan["held"]["open"].as_u64(),
    ) {
        output::line(&format!(
            "    held: {missing} of {open} are missing; if they are really gone: import --confirm"
        ));
    }
}
