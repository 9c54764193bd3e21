//! Without systemd: the `SysV` script, in a real cycle.

use std::fs;
use std::process::Command;

use crate::life::{Life, Site, feed};
use crate::{root, run};

/// The script on this site.
fn service(site: &Site, action: &str) -> (Option<i32>, String) {
    let user = rustix::process::geteuid().as_raw().to_string();
    let (done, text) = run(Command::new(root().join("conf/init.d/thrio-edge"))
        .arg(action)
        .env("DAEMON", env!("CARGO_BIN_EXE_thrio-edge"))
        .env("CONFIG", site.config_file())
        .env("RUN_AS", user)
        .env("RUN_DIR", site.folder().join("run"))
        .env_remove("NOTIFY_SOCKET"));
    (done.status.code(), text)
}

#[test]
fn start_status_reload_restart_stop() {
    let site = Site::new();
    let pid_file = site.folder().join("run/thrio-edge.pid");
    assert_eq!(service(&site, "status").0, Some(3));

    let started = service(&site, "start");
    assert_eq!(started.0, Some(0), "{}", started.1);
    // Ready means ready: it can be asked at once.
    let first = Life::of_background(&site, &pid_file);
    let pid = first.status().expect("it answers").pid;
    assert_eq!(service(&site, "status").0, Some(0));
    assert!(service(&site, "start").1.contains("already"));
    first.wait_for("polls", |s| feed(s, "realtime").counts.answers > 0);

    assert_eq!(service(&site, "reload").0, Some(0));
    fs::write(site.config_file(), site.config_text() + "\n[surprise]\n").unwrap();
    let bad = service(&site, "reload");
    assert_eq!(bad.0, Some(78), "{}", bad.1);
    fs::write(site.config_file(), site.config_text()).unwrap();

    let restarted = service(&site, "restart");
    assert_eq!(restarted.0, Some(0), "{}", restarted.1);
    let second = Life::of_background(&site, &pid_file);
    assert_ne!(second.status().expect("it answers").pid, pid);

    assert_eq!(service(&site, "stop").0, Some(0));
    assert!(second.status().is_none());
    assert!(!pid_file.exists());
    assert_eq!(service(&site, "status").0, Some(3));
    assert_eq!(service(&site, "stop").0, Some(0), "twice is no failure");
    // Nobody is left to end.
    std::mem::forget((first, second));
}

#[test]
fn a_start_that_fails_says_why_with_the_programs_code() {
    let site = Site::new();
    fs::write(site.config_file(), site.config_text() + "\n[surprise]\n").unwrap();
    let (code, text) = service(&site, "start");
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("surprise"), "{text}");
    assert_eq!(service(&site, "status").0, Some(3));
}

#[test]
fn a_process_that_died_is_told_from_one_that_was_stopped() {
    let site = Site::new();
    assert_eq!(service(&site, "start").0, Some(0));
    let life = Life::of_background(&site, &site.folder().join("run/thrio-edge.pid"));
    let pid = rustix::process::Pid::from_raw(life.pid()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    site.wait_until_free();
    assert_eq!(service(&site, "status").0, Some(1));
    assert_eq!(
        service(&site, "start").0,
        Some(0),
        "what it left is no hindrance"
    );
    assert_eq!(service(&site, "stop").0, Some(0));
    std::mem::forget(life);
}
