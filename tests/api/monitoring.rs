//! `conf/monitoring/` against what `/metrics` really says.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::site::Site;

fn shipped(file: &str) -> String {
    let path = root().join("conf/monitoring").join(file);
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
    site.wait_for("the size of the journal, and a login's end", |status| {
        let ends = status.expiries.iter().any(|expiry| expiry.until.is_some());
        status.store.allocated_bytes.is_some() && ends
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
    every_label_is_there(&metrics.text);
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

/// The labels that queries choose by, against those that the box gives the metric.
fn every_label_is_there(metrics: &str) {
    let given = |name: &str| -> BTreeSet<String> {
        let series = metrics.lines().filter_map(|line| line.strip_prefix(name));
        series
            .filter(|rest| rest.starts_with('{'))
            .flat_map(label_names)
            .collect()
    };
    let mut seen = 0;
    for file in ["prometheus-rules.yml", "grafana-dashboard.json"] {
        let text = shipped(file).replace("\\\"", "\"");
        for (at, _) in text.match_indices("thrio_edge_") {
            let rest = &text[at..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
            if !rest.starts_with('{') {
                continue;
            }
            let known = given(name);
            for label in label_names(rest).filter(|label| label != "instance") {
                seen += 1;
                assert!(
                    known.contains(&label),
                    "{file}: {name} has no {label}: {known:?}"
                );
            }
        }
    }
    assert!(seen > 5, "the queries choose by {seen} labels");
}

/// Of `{a="x",b=~"y"} ...`.
fn label_names(text: &str) -> impl Iterator<Item = String> + '_ {
    let inner = text.split(['{', '}']).nth(1).unwrap_or_default();
    inner
        .split("\",")
        .filter_map(|pair| pair.split(['=', '!']).next())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

/// Debian's, where `scripts/test` put it.
fn promtool() -> Command {
    let own = root().join("target/prometheus/usr/bin/promtool");
    Command::new(if own.exists() { own } else { "promtool".into() })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn prometheus_takes_the_rules_and_each_fires_in_its_time() {
    for arguments in [
        ["check", "rules", "conf/monitoring/prometheus-rules.yml"],
        ["test", "rules", "tests/api/prometheus-rules.test.yml"],
    ] {
        let done = promtool().args(arguments).current_dir(root()).output();
        let done =
            done.expect("promtool (scripts/test takes it out of Debian's package prometheus)");
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    }
    let tested = std::fs::read_to_string(root().join("tests/api/prometheus-rules.test.yml"));
    let tested = tested.unwrap();
    for line in shipped("prometheus-rules.yml").lines() {
        if let Some(alert) = line.trim().strip_prefix("- alert: ") {
            let expected = format!("{{labels: '{{alertname=\"{alert}\"}}', value: 1}}");
            assert!(tested.contains(&expected), "{alert} is not tested");
        }
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
