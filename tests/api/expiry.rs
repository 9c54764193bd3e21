//! Certificates and tokens that end: shown, alarmed, and renewed without a restart.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, KeyPair};
use thrio_edge::clock::{Clock as _, SystemClock};
use thrio_edge::control::Status;
use thrio_edge::control::status::ExpiryStatus;
use thrio_edge::domain::timestamp::WallTime;
use thrio_edge::transport::certificate::{TlsBegins, TlsServer, term_of_server};

use crate::site::Site;

const DAY: Duration = Duration::from_hours(24);

/// A certificate in files, as an authority of the site would put it there.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    /// One that has counted for a year and does so for some days more.
    fn ending_in(days: u32) -> Self {
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        files.renew(days);
        files
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("c.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("k.pem")
    }

    /// Replaces both; the end of the new one, in whole seconds as certificates have it.
    fn renew(&self, days: u32) -> WallTime {
        let now = WallTime::from_s(SystemClock::new().now().wall.s());
        let until = now.plus(days * DAY);
        let date = |at: WallTime| {
            let origin = rcgen::date_time_ymd(1970, 1, 1);
            origin + Duration::from_secs(at.s().cast_unsigned())
        };
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date(now.minus(365 * DAY));
        params.not_after = date(until);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(self.certificate(), certificate.pem()).unwrap();
        fs::write(self.key(), key.serialize_pem()).unwrap();
        until
    }

    fn control(&self) -> String {
        let (certificate, key) = (self.certificate(), self.key());
        format!(
            "listen = \"127.0.0.1:0\"\ncertificate = \"{}\"\nkey = \"{}\"\n",
            certificate.display(),
            key.display()
        )
    }
}

fn server(site: &Site) -> TlsServer {
    TlsServer {
        host: "localhost".to_owned(),
        port: site.daemon().control_address().port(),
        begins: TlsBegins::AtOnce,
    }
}

fn shown(site: &Site) -> WallTime {
    term_of_server(&server(site)).unwrap().until.unwrap()
}

fn expiry<'a>(status: &'a Status, name: &str) -> &'a ExpiryStatus {
    let found = status.expiries.iter().find(|expiry| expiry.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {:?}", status.expiries))
}

fn alarms(status: &Status) -> Vec<(&str, &str)> {
    let problems = status.problems.iter();
    problems
        .filter(|problem| problem.code.starts_with("expir"))
        .map(|problem| (problem.code.as_str(), problem.subject.as_str()))
        .collect()
}

#[test]
fn what_ends_soon_is_shown_and_alarmed_and_a_reload_takes_the_renewed_one_over() {
    let theirs = Files::ending_in(2);
    let upstream = Site::with_control(&theirs.control());
    let ours = Files::ending_in(10);
    let claims = format!("{{\"exp\":{}}}", SystemClock::new().now().wall.s() + 3_600);
    let token = format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims));
    let site = Site::with_control(&format!(
        "{}[alarm]\nwebhook_url = \"https://localhost:{}/hook-key\"\nwebhook_token = \"{token}\"\n",
        ours.control(),
        server(&upstream).port,
    ));
    let all = [
        ("expiry_due", "alarm webhook: server localhost"),
        ("expiry_due", "alarm: webhook token"),
        ("expiring", "control: certificate"),
    ];
    let logins = |status: &Status| {
        let expiries = status.expiries.iter();
        expiries.filter(|expiry| expiry.kind == "session").count()
    };
    let status = site.wait_for("every look and both logins", |status| {
        alarms(status) == all && logins(status) == 2
    });
    assert_eq!(
        expiry(&status, "alarm webhook: server localhost").until,
        Some(shown(&upstream))
    );
    assert_eq!(expiry(&status, "alarm: webhook token").kind, "token");
    let login = expiry(&status, "source main: realtime login");
    assert_eq!(
        (login.kind.as_str(), login.since.is_some()),
        ("session", true)
    );
    let password = expiry(&status, "source main: realtime password");
    assert_eq!(
        (password.place.as_str(), password.until),
        ("inline (not shown)", None)
    );
    let told = serde_json::to_string(&status).unwrap();
    assert!(
        !told.contains(&token) && !told.contains("hook-key"),
        "{told}"
    );
    let problem = &status.problems[0];
    assert_eq!(
        (problem.by, problem.severity.as_str()),
        (Some(shown(&upstream)), "error")
    );

    let before = shown(&site);
    let renewed = ours.renew(300);
    assert_eq!(shown(&site), before, "nobody said so yet");
    site.daemon().reload().unwrap();
    assert_eq!(shown(&site), renewed);
    site.wait_for("the end of its alarm", |status| alarms(status) == all[..2]);

    fs::write(ours.key(), "no key").unwrap();
    let refused = site.daemon().reload().unwrap_err().to_string();
    assert!(refused.contains("control.key"), "{refused}");
    assert_eq!(shown(&site), renewed, "the former one serves on");
}

#[test]
fn what_is_no_longer_configured_is_no_longer_watched() {
    let files = Files::ending_in(2);
    let site = Site::with_control(&format!(
        "listen = \"127.0.0.1:0\"\n[alarm]\nca_file = \"{}\"\n",
        files.certificate().display()
    ));
    let status = site.wait_for("the look", |status| !alarms(status).is_empty());
    assert_eq!(alarms(&status), [("expiry_due", "alarm: ca_file")]);
    let text = fs::read_to_string(site.main_file()).unwrap();
    fs::write(site.main_file(), text.replace("ca_file", "#ca_file")).unwrap();
    site.daemon().reload().unwrap();
    site.wait_for("its end", |status| {
        alarms(status).is_empty() && status.expiries.iter().all(|e| !e.name.contains("ca_file"))
    });
}

#[test]
fn a_server_that_shows_nothing_says_why() {
    let site = Site::new();
    let plain = term_of_server(&server(&site)).unwrap_err();
    assert!(!plain.is_empty());
    let mut nowhere = server(&site);
    nowhere.begins = TlsBegins::Postgres;
    assert!(term_of_server(&nowhere).is_err());
    nowhere.host = "no such host".to_owned();
    assert!(term_of_server(&nowhere).is_err());
}
