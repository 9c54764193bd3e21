//! The package and the installer, in a folder that stands for a clean machine. dpkg, its database
//! and the maintainer scripts are the real ones; only nothing is started by them there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::life::{self, Site};
use crate::{mode, root, run, succeed};

const PROGRAM: &str = env!("CARGO_BIN_EXE_thrio-edge");

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("not root: giving folders to another user is not tried");
    }
    root
}

fn owner(path: &Path) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt as _;
    let about = fs::metadata(path).unwrap();
    (about.uid(), about.gid())
}

fn package(version: &str, out: &Path) -> PathBuf {
    let said = succeed(
        Command::new(root().join("scripts/package"))
            .args([
                "--quick",
                "--binary",
                PROGRAM,
                "--version",
                version,
                "--out",
            ])
            .arg(out),
    );
    PathBuf::from(said.trim())
}

/// A machine on which nothing is installed yet.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for folder in ["etc", "var/lib/dpkg/updates", "var/lib/dpkg/info"] {
            fs::create_dir_all(machine.at(folder)).unwrap();
        }
        for file in ["status", "available"] {
            fs::write(machine.at("var/lib/dpkg").join(file), "").unwrap();
        }
        machine
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// dpkg on this machine. It has no C library of its own, so dependencies are not looked at.
    fn dpkg(&self, arguments: &[&str]) -> String {
        let at = format!("--root={}", self.0.path().display());
        succeed(
            Command::new("dpkg")
                .args([&at, "--force-script-chrootless", "--force-depends"])
                .args(arguments),
        )
    }

    fn state(&self) -> String {
        let at = format!("--admindir={}", self.at("var/lib/dpkg").display());
        let ask = ["-W", "-f=${db:Status-Abbrev}${Version}", "thrio-edge"];
        run(Command::new("dpkg-query").arg(at).args(ask)).1
    }

    /// The numbers of the service's user and group.
    fn service(&self) -> (u32, u32) {
        let number = |file: &str| {
            let list = fs::read_to_string(self.at("etc").join(file)).unwrap();
            let line = list.lines().find(|line| line.starts_with("thrio-edge:"));
            let line = line.unwrap_or_else(|| panic!("no thrio-edge in {list}"));
            line.split(':').nth(2).unwrap().parse().unwrap()
        };
        (number("passwd"), number("group"))
    }

    fn config(&self) -> PathBuf {
        self.at("etc/thrio-edge/thrio-edge.toml")
    }
}

#[test]
fn a_package_is_installed_runs_is_upgraded_over_a_backlog_removed_and_purged() {
    if !is_root() {
        return;
    }
    let machine = Machine::new();
    let out = tempfile::tempdir().unwrap();
    let first = package("0.1.0~first", out.path());
    machine.dpkg(&["--install", first.to_str().unwrap()]);
    assert_eq!(machine.state(), "ii 0.1.0~first");
    assert_eq!(mode(&machine.config()), 0o640);
    let (user, group) = machine.service();
    assert_eq!(owner(&machine.at("var/lib/thrio-edge")), (user, group));
    assert_eq!(owner(&machine.config()), (0, group));
    assert_eq!(owner(&machine.at("etc/thrio-edge")), (0, group));
    assert_eq!(mode(&machine.at("etc/thrio-edge")), 0o750);
    assert_eq!(mode(&machine.at("var/lib/thrio-edge")), 0o750);
    for file in [
        "lib/systemd/system/thrio-edge.service",
        "usr/share/man/man1/thrio-edge.1.gz",
        "usr/share/man/man1/thrio-edge-store-backup.1.gz",
        "usr/share/bash-completion/completions/thrio-edge",
        "usr/share/doc/thrio-edge/handbook.md",
        "usr/share/doc/thrio-edge/thrio-edge.toml",
        "usr/share/doc/thrio-edge/openapi.yaml",
        "usr/share/doc/thrio-edge/monitoring/prometheus-rules.yml",
        "usr/share/doc/thrio-edge/monitoring/grafana-dashboard.json",
        "usr/share/doc/thrio-edge/bridge/postgres.sql",
    ] {
        assert!(
            machine.at(file).metadata().is_ok_and(|f| f.len() > 0),
            "{file}"
        );
    }

    // The installed program, on the site of somebody who set it up and whose product is down.
    let mut site = Site::new();
    let program = machine.at("usr/bin/thrio-edge");
    site.use_program(&program);
    let state = machine.at("var/lib/thrio-edge");
    let own = site
        .config_text()
        .replace(
            "state_dir = \"state\"",
            &format!("state_dir = \"{}\"", state.display()),
        )
        .replace(
            "path = \"wfm.db\"",
            &format!("path = \"{}/wfm.db\"", state.display()),
        )
        .replace(
            "\"password\"",
            &format!("\"{}/password\"", site.folder().display()),
        );
    fs::write(machine.config(), format!("{own}paused = true\n")).unwrap();
    site.use_config(&machine.config(), &state);
    let mut life = site.start();
    let status = life.wait_for("a backlog", |s| s.destinations[0].backlog > 20);
    let backlog = status.destinations[0].backlog;
    assert_eq!(life.terminate().0, Some(0));

    let second = package("0.1.0", out.path());
    machine.dpkg(&["--install", second.to_str().unwrap()]);
    assert_eq!(machine.state(), "ii 0.1.0");
    let kept = fs::read_to_string(machine.config()).unwrap();
    assert!(
        kept.contains("paused = true"),
        "a person's file stays: {kept}"
    );
    fs::write(machine.config(), own).unwrap();
    let mut life = site.start();
    life.wait_for("the whole backlog", |s| {
        s.store.last_seq >= backlog && life::delivered_all(s)
    });
    assert_eq!(life.terminate().0, Some(0));

    machine.dpkg(&["--remove", "thrio-edge"]);
    assert_eq!(machine.state(), "rc 0.1.0");
    assert!(!program.exists());
    assert!(machine.config().exists() && state.join("journal.redb").exists());
    machine.dpkg(&["--purge", "thrio-edge"]);
    assert!(!machine.at("etc/thrio-edge").exists() && !state.exists());
    assert!(!machine.at("etc/init.d/thrio-edge").exists());
}

fn install(machine: &Machine, more: &[&str]) -> (bool, String) {
    let (done, text) = run(Command::new(root().join("scripts/install"))
        .args(["--binary", PROGRAM, "--prefix", "/usr/local", "--root"])
        .arg(machine.0.path())
        .args(more));
    (done.status.success(), text)
}

fn files_of(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_of(&path, into);
        } else {
            into.push(path);
        }
    }
}

#[test]
fn the_installer_does_what_it_says_twice_and_is_undone() {
    let machine = Machine::new();
    let mut before = Vec::new();
    files_of(machine.0.path(), &mut before);
    let (done, said) = install(&machine, &["--dry-run"]);
    assert!(done, "{said}");
    assert!(said.contains("usr/local/bin/thrio-edge"), "{said}");
    let mut after = Vec::new();
    files_of(machine.0.path(), &mut after);
    assert_eq!(after, before, "a dry run wrote something");

    let (done, said) = install(&machine, &[]);
    assert!(done, "{said}");
    assert!(said.contains("sources: 0, destinations: 1"), "{said}");
    if is_root() {
        let (user, group) = machine.service();
        assert_eq!(owner(&machine.at("var/lib/thrio-edge")), (user, group));
        assert_eq!(owner(&machine.config()), (0, group));
    }
    assert_eq!(mode(&machine.config()), 0o640);
    let unit = fs::read_to_string(machine.at("etc/systemd/system/thrio-edge.service")).unwrap();
    assert!(
        unit.contains("ExecStart=/usr/local/bin/thrio-edge run"),
        "{unit}"
    );
    assert!(!unit.contains("/usr/bin/"), "{unit}");

    let own = "# mine\n".to_owned() + &fs::read_to_string(machine.config()).unwrap();
    fs::write(machine.config(), &own).unwrap();
    let (done, said) = install(&machine, &[]);
    assert!(done, "{said}");
    assert_eq!(fs::read_to_string(machine.config()).unwrap(), own);

    fs::write(machine.config(), own.clone() + "[surprise]\n").unwrap();
    let (done, said) = install(&machine, &[]);
    assert!(!done && said.contains("surprise"), "{said}");

    let undo = |more: &[&str]| {
        succeed(
            Command::new(root().join("scripts/uninstall"))
                .args(["--prefix", "/usr/local", "--root"])
                .arg(machine.0.path())
                .args(more),
        )
    };
    undo(&[]);
    let mut left = Vec::new();
    files_of(machine.0.path(), &mut left);
    // The user stays too: what lies directly in /etc are the lists of users and groups.
    let etc = machine.at("etc");
    left.retain(|path| !before.contains(path) && path.parent() != Some(&etc));
    assert_eq!(left, [machine.config()]);
    undo(&["--purge"]);
    assert!(!machine.at("etc/thrio-edge").exists());
}

/// This machine as it is, in a mount namespace of its own; what is written there is written to memory
/// and gone at the end. Where such a thing cannot be made, it says so.
fn on_a_copy_of_this_machine(script: &str) -> Option<String> {
    const ENTER: &str = r#"
        set -eu
        mount -t tmpfs tmpfs "$1"
        mkdir "$1/up" "$1/work" "$1/root"
        mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
        for folder in /dev /proc "$2" "${3%/*}"; do
            mkdir -p "$1/root$folder"
            mount --rbind "$folder" "$1/root$folder"
        done
        if [ "$4" = try ]; then exit; fi
        exec chroot "$1/root" /bin/sh -euc "$4" sh "$2" "$3"
    "#;
    let enter = |what: &str| {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_str().unwrap().to_owned();
        let repository = root();
        run(Command::new("unshare")
            .args(["--mount", "sh", "-c", ENTER, "sh", &place])
            .args([repository.to_str().unwrap(), PROGRAM, what]))
    };
    let (tried, why) = enter("try");
    if !tried.status.success() {
        println!("no copy of this machine can be made here: {why}");
        return None;
    }
    let (done, said) = enter(script);
    assert!(done.status.success(), "{said}");
    Some(said)
}

#[test]
fn the_installer_makes_the_admin_token_for_the_service_and_shows_it_once() {
    if !is_root() {
        return;
    }
    let script = r#"
        install="$1/scripts/install --binary $2 --prefix /usr/local --no-start"
        echo FIRST; $install 2>&1
        file=/var/lib/thrio-edge/admin-token
        echo FILE; stat -c '%U:%G %a' $file; cat $file
        echo SECOND; $install 2>&1
        echo SAME; cat $file
    "#;
    let Some(said) = on_a_copy_of_this_machine(script) else {
        return;
    };
    let part = |from: &str, to: &str| {
        let (_, rest) = said.split_once(from).unwrap_or_else(|| panic!("{said}"));
        rest.split(to).next().unwrap().trim().to_owned()
    };
    let (first, second) = (part("FIRST", "FILE"), part("SECOND", "SAME"));
    let tokens = |text: &str| {
        let words = text.split_whitespace();
        let is_token = |word: &&str| word.len() > 40 && !word.contains('/');
        words
            .filter(is_token)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let [token] = &tokens(&first)[..] else {
        panic!("one token is shown: {first}");
    };
    assert!(first.contains("shown only now"), "{first}");
    let file = part("FILE", "SECOND");
    let (about, kept) = file.split_once('\n').unwrap();
    assert_eq!(about, "thrio-edge:thrio-edge 600");
    assert!(!kept.contains(token.as_str()) && kept.len() == 64, "{kept}");
    assert_eq!(tokens(&second), [""; 0], "{second}");
    assert!(second.contains("made already"), "{second}");
    assert_eq!(part("SAME", "\0"), kept, "it was made anew");
    assert!(!Path::new("/var/lib/thrio-edge/admin-token").exists());
}
