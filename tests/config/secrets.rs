//! Where secrets come from, and where they never go.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use secrecy::ExposeSecret as _;
use thrio_edge::config::Severity;

use crate::site::{CANARY, Site, messages, with};

#[test]
fn a_secret_that_cannot_be_read_holds_its_connection_only() {
    let site = Site::new(&with("", "", "").replace("\"secret\"", "\"gone\""));
    let config = site.config();
    let [warning] = config.warnings.as_slice() else {
        panic!("{:?}", config.warnings);
    };
    assert_eq!(warning.severity, Severity::Warning);
    assert!(
        warning
            .message
            .starts_with("the password cannot be read: no such file in "),
        "{warning:?}"
    );
    let password = config.sources[0]
        .realtime
        .as_ref()
        .unwrap()
        .connection
        .password
        .provider();
    let error = password().unwrap_err();
    assert!(
        error.starts_with("source.realtime.password_file (source \"main\"): "),
        "{error}"
    );
    site.write("gone", "here again\r\n");
    assert_eq!(password().unwrap().expose_secret(), "here again");
    site.write("gone", "replaced");
    assert_eq!(password().unwrap().expose_secret(), "replaced");
}

/// Somebody had typed the password where the name of its file belongs, and read it in the log.
#[test]
fn a_password_in_the_place_of_its_file_is_not_shown() {
    for typed in [CANARY.to_owned(), format!("{CANARY}/with/slashes")] {
        let site = Site::new(&with("", "", "").replace("\"secret\"", &format!("\"{typed}\"")));
        let config = site.config();
        let held = &config.sources[0].realtime.as_ref().unwrap().connection;
        let said = [
            messages(&site).join("\n"),
            format!("{:?}", config.warnings),
            held.password.provider()().unwrap_err(),
            format!("{:?}", held.password),
        ];
        for text in said {
            assert!(!text.contains(CANARY), "{text}");
        }
    }
}

#[test]
fn a_secret_file_that_others_may_read_is_warned_of() {
    let site = Site::new(&with("", "", ""));
    fs::set_permissions(site.path("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        messages(&site),
        ["secret may be read by others than its owner (mode 0644)"]
    );
}

#[test]
fn a_secret_file_of_roots_for_the_services_group_is_as_the_handbook_says() {
    use std::os::unix::fs::chown;
    let site = Site::new(&with("", "", ""));
    let set = |mode| {
        fs::set_permissions(site.path("secret"), fs::Permissions::from_mode(mode)).unwrap();
    };
    set(0o640);
    let warning = ["secret may be read by others than its owner (mode 0640)"];
    if chown(site.path("secret"), Some(0), Some(12_345)).is_err() {
        assert_eq!(messages(&site), warning, "it is not root's");
        return;
    }
    assert_eq!(messages(&site), [""; 0]);
    set(0o644);
    assert_eq!(
        messages(&site),
        ["secret may be read by others than its owner (mode 0644)"]
    );
    set(0o640);
    chown(site.path("secret"), Some(0), Some(0)).unwrap();
    assert_eq!(
        messages(&site),
        warning,
        "root's own group is not the service's"
    );
}

#[test]
fn each_way_to_name_a_secret_works_and_says_what_it_lacks() {
    let with_key =
        |line: &str| Site::new(&with("", "", "").replace("password_file = \"secret\"", line));
    for (line, lacks) in [
        (
            "password_credential = \"rt\"",
            "the password cannot be read: the credential \"rt\" cannot be read: no such file or directory",
        ),
        (
            "password_env = \"NOT_SET\"",
            "the password cannot be read: the environment variable NOT_SET is not set",
        ),
        (
            "password_file = \"zoneinfo\"",
            "the password cannot be read: zoneinfo cannot be read: is a directory",
        ),
    ] {
        assert_eq!(messages(&with_key(line)), [lacks]);
    }
    let site = with_key("password_credential = \"rt\"");
    site.write("credentials/rt", "from-systemd");
    let read = |site: &Site| {
        let config = site.config();
        let secret = config.sources[0]
            .realtime
            .as_ref()
            .unwrap()
            .connection
            .password
            .read();
        secret.unwrap().expose_secret().to_owned()
    };
    assert_eq!(read(&site), "from-systemd");
    assert_eq!(
        read(&with_key("password_env = \"THRIO_PASSWORD\"")),
        "from-env"
    );
    assert_eq!(read(&with_key("password = \"plain\"")), "plain");
}

#[test]
fn debug_never_shows_a_secret_but_equality_knows_it() {
    let main = |password: &str| {
        with("", "", "").replace(
            "password_file = \"secret\"",
            &format!("password = \"{password}\""),
        )
    };
    let (one, same, other) = (
        Site::new(&main(CANARY)),
        Site::new(&main(CANARY)),
        Site::new(&main("x")),
    );
    assert!(!format!("{:?}", one.config()).contains(CANARY));
    assert_eq!(one.config().sources, same.config().sources);
    assert_ne!(one.config().sources, other.config().sources);
}
