//! `conf/monitoring/` against what `/metrics` really says.

use std::collections::BTreeSet;
use std::path::Path;

use crate::site::Site;

fn shipped(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("conf/monitoring")
        .join(file);
    std::fs::read_to_string(path).unwrap()
}

/// Every name with the program's prefix in the text.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_part(c))
        .filter(|word| word.starts_with("thrio_edge_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn dashboard_and_alert_rules_name_metrics_that_are_there() {
    let site = Site::new();
    site.wait_for_data();
    // Something that a person should know, and what upkeep finds out first after some seconds.
    std::fs::write(site.main_file(), "[box").unwrap();
    assert_eq!(
        site.post("/api/v1/reload", &serde_json::json!({})).status,
        422
    );
    site.wait_for("the size of the journal", |status| {
        status.store.allocated_bytes.is_some()
    });
    let metrics = site.get("/metrics");
    assert!(
        metrics
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    let scraped: BTreeSet<String> = metrics
        .text
        .lines()
        .filter_map(|line| {
            let described = line.strip_prefix("# TYPE ")?;
            let (name, kind) = described.split_once(' ')?;
            Some(if kind == "counter" {
                format!("{name}_total")
            } else {
                name.to_owned()
            })
        })
        .collect();
    for file in ["prometheus-rules.yml", "grafana-dashboard.json"] {
        let named = names(&shipped(file));
        assert!(named.len() > 10, "{file}: {named:?}");
        let unknown: Vec<&String> = named.difference(&scraped).collect();
        assert!(
            unknown.is_empty(),
            "{file} names {unknown:?}, of {scraped:?}"
        );
    }
    for line in metrics
        .text
        .lines()
        .filter(|line| line.starts_with("# TYPE "))
    {
        let name = line.split(' ').nth(2).unwrap();
        let help = format!("# HELP {name} ");
        assert!(metrics.text.contains(&help), "{name} has no help");
    }
}

#[test]
fn dashboard_and_alert_rules_are_what_their_readers_read() {
    let rules: serde_json::Value =
        serde_saphyr::from_str(&shipped("prometheus-rules.yml")).unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    let mut seen = BTreeSet::new();
    for rule in rules {
        for key in ["alert", "expr"] {
            assert!(rule[key].is_string(), "{rule}");
        }
        assert!(rule["annotations"]["summary"].is_string(), "{rule}");
        assert!(seen.insert(rule["alert"].as_str().unwrap()), "{rule}");
    }
    let board: serde_json::Value =
        serde_json::from_str(&shipped("grafana-dashboard.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len());
}
