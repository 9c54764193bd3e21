//! Disks as they are in the field: damaged, full, read-only, and written by a later version.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use redb::{Database, TableDefinition};
use thrio_edge::control::Request;
use thrio_edge::control::client::ask;
use thrio_edge::control::status::Status;

use crate::life::{self, Site, feed, wait_until};

const FILE: &str = "journal.redb";

fn has(status: &Status, code: &str) -> bool {
    status.problems.iter().any(|problem| problem.code == code)
}

/// A site whose destination takes nothing, so that all that is journaled is backlog.
fn with_backlog() -> (Site, u64) {
    let site = Site::new();
    fs::write(site.config_file(), site.config_text() + "paused = true\n").unwrap();
    let mut life = site.start();
    let status = life.wait_for("a backlog from every feed", |status| {
        status.feeds.iter().all(|feed| feed.counts.rows_changed > 0)
    });
    let backlog = status.destinations[0].backlog;
    assert!(
        backlog > 0 && backlog == status.store.last_seq,
        "{status:?}"
    );
    life.kill();
    (site, backlog)
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_damaged_store_is_told_at_rest_and_replaced_and_salvaged_at_the_start() {
    let (site, backlog) = with_backlog();
    let file = site.state_dir().join(FILE);
    let mut bytes = fs::read(&file).unwrap();
    for byte in &mut bytes[..64] {
        *byte = !*byte;
    }
    fs::write(&file, &bytes).unwrap();

    let before = files(&site.state_dir());
    for command in [
        &["status", "--json"][..],
        &["status"],
        &["store", "verify"],
        &["store", "stats"],
    ] {
        let told = site.command(command);
        assert_ne!(told.code, 0, "{command:?}");
        let text = told.stdout + &told.stderr;
        assert!(text.contains("damaged"), "{command:?}: {text}");
        assert!(
            fs::read(&file).unwrap() == bytes,
            "{command:?} touched the store"
        );
    }
    assert_eq!(files(&site.state_dir()), before);

    fs::write(site.config_file(), site.config_text()).unwrap();
    let mut life = site.start();
    life.wait_for("polls on the new store", |s| {
        feed(s, "realtime").counts.answers > 0
    });
    life.wait_for_log("what was intact of the damaged store is journaled again");
    let status = life.wait_for("what was intact", |status| {
        life::delivered_all(status) && status.store.last_seq >= backlog
    });
    assert!(has(&status, "store_replaced"), "{status:?}");
    let (code, log) = life.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("it was set aside and a new one started"),
        "{log}"
    );
    let verified = site.command(&["store", "verify", "--json"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn a_store_of_a_later_version_is_refused_untouched() {
    let (site, _) = with_backlog();
    let file = site.state_dir().join(FILE);
    let meta: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");
    let db = Database::open(&file).unwrap();
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(meta).unwrap();
        for (key, value) in [
            (&b"format"[..], &99_u32.to_le_bytes()[..]),
            (b"written_by", b"9.8.7"),
        ] {
            let sealed = [b"meta\0", key, value].concat();
            let value = [value, &crc32fast::hash(&sealed).to_le_bytes()].concat();
            table.insert(key, value.as_slice()).unwrap();
        }
    }
    txn.commit().unwrap();
    drop(db);
    let bytes = fs::read(&file).unwrap();
    let before = files(&site.state_dir());
    for command in [
        &["run"][..],
        &["status"],
        &["store", "verify"],
        &["store", "downgrade"],
    ] {
        let refused = site.command(command);
        assert_eq!(refused.code, 74, "{command:?}: {}", refused.stderr);
        for part in ["format 99", "9.8.7", "nothing was touched"] {
            assert!(
                refused.stderr.contains(part),
                "{command:?}: {}",
                refused.stderr
            );
        }
    }
    assert!(fs::read(&file).unwrap() == bytes, "the file was touched");
    assert_eq!(files(&site.state_dir()), before);
}

#[test]
fn the_version_before_gets_its_format_back_by_command_and_nothing_is_lost() {
    let (site, backlog) = with_backlog();
    let down = site.command(&["store", "downgrade", "--json"]);
    assert_eq!(down.code, 0, "{}", down.stderr);
    let down: serde_json::Value = serde_json::from_str(&down.stdout).unwrap();
    assert_eq!(
        down["to"].as_u64(),
        down["from"].as_u64().map(|from| from - 1)
    );
    assert!(Path::new(down["backup"].as_str().unwrap()).exists());
    fs::write(site.config_file(), site.config_text()).unwrap();
    let mut life = site.start();
    life.wait_for_log("the store was brought to this version's format; the former file is kept");
    life.wait_for("the whole backlog", |s| {
        s.store.last_seq >= backlog && life::delivered_all(s)
    });
    let busy = site.command(&["store", "downgrade"]);
    assert_eq!(busy.code, 75, "{}", busy.stderr);
    assert_eq!(life.terminate().0, Some(0));
}

#[test]
fn a_state_folder_that_cannot_be_written_is_named() {
    let site = Site::new();
    // A folder below a file: no user, root included, can write there.
    let text = site
        .config_text()
        .replace("state_dir = \"state\"", "state_dir = \"password/state\"");
    fs::write(site.config_file(), text).unwrap();
    let run = site.command(&["run"]);
    assert_eq!(run.code, 74, "{}", run.stderr);
    assert!(run.stderr.contains("password/state"), "{}", run.stderr);
}

/// Runs the daemon in a mount namespace of its own, with `options` for a tmpfs on its state folder.
/// None where this machine does not let us mount.
fn start_on_tmpfs(site: &Site, options: &str, then: &str) -> Option<std::process::Child> {
    fs::create_dir_all(site.state_dir()).unwrap();
    let mount = "mount -t tmpfs -o";
    let state = site.state_dir().display().to_string();
    let mut tried = Command::new("unshare");
    tried.args([
        "-m",
        "sh",
        "-c",
        &format!("{mount} {options} tmpfs '{state}'"),
    ]);
    if !tried.status().is_ok_and(|status| status.success()) {
        println!("no tmpfs can be mounted here: not tried");
        return None;
    }
    let log = fs::File::create(site.folder().join("edge.log")).unwrap();
    let script = format!(
        "{mount} {options} tmpfs '{state}' && {then} exec '{}' run --config '{}'",
        env!("CARGO_BIN_EXE_thrio-edge"),
        site.config_file().display()
    );
    let child = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .env_remove("NOTIFY_SOCKET")
        .env_remove("JOURNAL_STREAM")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Some(child)
}

#[test]
fn a_state_folder_on_a_read_only_file_system_is_named() {
    let site = Site::new();
    let state = site.state_dir().display().to_string();
    let read_only = format!("mount -o remount,ro '{state}' &&");
    let Some(mut child) = start_on_tmpfs(&site, "size=32m", &read_only) else {
        return;
    };
    assert_eq!(child.wait().unwrap().code(), Some(74));
    let log = fs::read_to_string(site.folder().join("edge.log")).unwrap();
    assert!(log.contains("cannot write the store"), "{log}");
    assert!(log.to_lowercase().contains("read-only"), "{log}");
}

#[test]
fn a_disk_that_fills_up_ends_nothing_and_collecting_goes_on_when_there_is_room() {
    let site = Site::new();
    fs::write(
        site.config_file(),
        site.config_text() + "[store]\nmin_free = 0\n",
    )
    .unwrap();
    let Some(mut child) = start_on_tmpfs(&site, "size=24m", "") else {
        return;
    };
    let pid = child.id();
    // Its state folder, as it sees it.
    let state = format!("/proc/{pid}/root{}", site.state_dir().display());
    let state = Path::new(&state);
    let status = || -> Option<Status> {
        let value = ask(state, &Request::Status, |_| {}).ok()?;
        serde_json::from_value(value).ok()
    };
    let log = || fs::read_to_string(site.folder().join("edge.log")).unwrap_or_default();
    let until = |what: &str, is_so: &dyn Fn(&Status) -> bool| -> Status {
        wait_until(what, || match status() {
            Some(status) if is_so(&status) => Ok(status),
            Some(status) => Err(format!("{status:#?}\n{}", log())),
            None => Err(log()),
        })
    };
    until("the first records", &|s| s.store.last_seq > 0);
    // Somebody else takes every byte that is left.
    let hog = state.join("hog");
    let filled = fs::File::create(&hog)
        .and_then(|mut file| std::io::copy(&mut std::io::repeat(7), &mut file));
    assert!(filled.is_err(), "the disk is full");
    let full = until("the alarm", &|s| {
        has(s, "store_failing") || has(s, "not_journaled") || has(s, "store_full")
    });
    let seen = feed(&full, "realtime").counts.answers;
    until("three seconds more", &|s| s.at.ms_since(full.at) > 3_000);
    assert!(child.try_wait().unwrap().is_none(), "it ended: {}", log());
    fs::remove_file(&hog).unwrap();
    until("collecting again", &|s| {
        feed(s, "realtime").counts.answers > seen
            && s.store.last_seq > full.store.last_seq
            && !has(s, "store_failing")
            && !has(s, "not_journaled")
    });
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", log());
}
