//! The command `check`, against the simulated Thrio and a real file.

use std::net::SocketAddr;
use std::sync::Arc;

use thrio_edge::cli::check::check;
use thrio_edge::clock::SystemClock;
use thrio_edge::lifecycle::exit::Exit;
use thrio_edge::simulator::{self, Behaviour, Centre, Preset, Server};

use crate::site::{CANARY, Site, with};

fn thrio() -> Server {
    let anywhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let centre = Arc::new(Centre::new(Preset::S, 1));
    let clock = Arc::new(SystemClock::new());
    simulator::serve(anywhere, centre, clock, Behaviour::default()).unwrap()
}

fn run(site: &Site, connects: bool, json: bool) -> (Exit, String) {
    let mut out = Vec::new();
    let path = site.path("main.toml");
    let exit = check(&path, connects, json, &site.around(), &mut out).unwrap();
    (exit, String::from_utf8(out).unwrap())
}

/// Both connections to this login host.
fn connected(base_url: &str) -> Site {
    let feeds = format!(
        "base_url = \"{base_url}\"\n[source.historical]\nusername = \"h\"\n\
         password_file = \"secret\"\nbase_url = \"{base_url}\"\nconnect_timeout_s = 2"
    );
    Site::new(&with("", &feeds, ""))
}

#[test]
fn a_right_file_exits_with_0_and_connects_nowhere() {
    let (exit, text) = run(&connected("https://login.invalid"), false, false);
    assert_eq!(exit, Exit::Ok);
    assert!(
        text.ends_with("main.toml: right (sources: 1, destinations: 1)\n"),
        "{text}"
    );
}

#[test]
fn a_wrong_file_exits_with_78_and_connects_nowhere() {
    let site = Site::new(&with("", "snapshot = \"ful\"", ""));
    let (exit, text) = run(&site, true, false);
    assert_eq!(exit, Exit::Configuration);
    assert!(
        text.contains("did you mean \"full\"?") && text.ends_with("1 error\n"),
        "{text}"
    );
}

#[test]
fn connect_tries_each_connection_feed_and_destination() {
    let server = thrio();
    let (exit, text) = run(&connected(&server.base_url()), true, false);
    assert_eq!(exit, Exit::Ok, "{text}");
    for start in [
        "ok     source \"main\" realtime login: http://127.0.0.1:",
        "ok     source \"main\" historical login: ",
        "ok     source \"main\" realtime: ",
        "ok     source \"main\" historical: ",
        "ok     source \"main\" queues: ",
        "ok     source \"main\" agents: ",
        "ok     destination \"local\" probe: sqlite",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(start)),
            "{start} in\n{text}"
        );
    }
}

#[test]
fn what_cannot_be_reached_exits_with_69_and_the_rest_is_tried_all_the_same() {
    let server = thrio();
    let base_url = server.base_url();
    server.stop();
    let site = connected(&base_url);
    let (exit, text) = run(&site, true, false);
    assert_eq!(exit, Exit::Unavailable);
    assert!(
        text.contains("failed source \"main\" realtime login: "),
        "{text}"
    );
    assert!(
        text.contains("ok     destination \"local\" probe"),
        "{text}"
    );
}

#[test]
fn a_secret_that_is_not_there_is_a_warning_and_with_connect_69() {
    let server = thrio();
    let site = connected(&server.base_url());
    std::fs::remove_file(site.path("secret")).unwrap();
    let (exit, text) = run(&site, false, false);
    assert_eq!(exit, Exit::Ok);
    assert!(
        text.contains("warning: the password cannot be read"),
        "{text}"
    );
    let (exit, text) = run(&site, true, false);
    assert_eq!(exit, Exit::Unavailable);
    assert!(text.contains("source.realtime.password_file"), "{text}");
}

#[test]
fn json_says_the_same_to_machines_and_shows_no_secret_either() {
    let line = format!("pasword = \"{CANARY}\"\nsnapshot = \"ful\"");
    let (exit, text) = run(&Site::new(&with("", &line, "")), false, true);
    assert_eq!(exit, Exit::Configuration);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["valid"], false);
    assert_eq!(report["problems"][0]["line"], 10);
    assert_eq!(report["problems"][0]["hint"], "did you mean `password`?");
    assert_eq!(report["problems"][1]["field"], "source.realtime.snapshot");
    assert_eq!(report["problems"][1]["value"], "\"ful\"");
    assert!(!text.contains(CANARY));

    let server = thrio();
    let (_, text) = run(&connected(&server.base_url()), true, true);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["reachable"], true);
    assert_eq!(report["attempts"][6]["subject"], "destination \"local\"");
}
