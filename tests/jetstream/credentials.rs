//! A login by a credentials file: a token of the user that an account signed, which an operator
//! signed, and the key that answers the server's question with it.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nkeys::{KeyPair, KeyPairType};
use serde_json::{Value, json};
use tempfile::TempDir;
use thrio_edge::clock::{Clock as _, SystemClock};
use thrio_edge::destination::jetstream::{JetStreamDestination, JetStreamOptions};
use thrio_edge::destination::{Credentials, Destination as _};

use crate::nats_server::Servers;
use crate::site::{held, opened, part, writer};

fn key(kind: KeyPairType) -> KeyPair {
    let mut bytes = [0; 32];
    fastrand::fill(&mut bytes);
    KeyPair::new_from_raw(kind, bytes).expect("32 bytes are a key")
}

/// What `issuer` says of `subject`, signed, as NATS reads it.
fn token(subject: &KeyPair, issuer: &KeyPair, mut nats: Value, ends_at_s: Option<i64>) -> String {
    nats["version"] = json!(2);
    let mut claims = json!({
        "jti": "1", "iat": 1, "iss": issuer.public_key(), "sub": subject.public_key(),
        "name": nats["type"], "nats": nats,
    });
    if let Some(at_s) = ends_at_s {
        claims["exp"] = json!(at_s);
    }
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let head = json!({"typ": "JWT", "alg": "ed25519-nkey"}).to_string();
    let text = format!(
        "{}.{}",
        encode(head.as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let signature = issuer.sign(text.as_bytes()).expect("it has its seed");
    format!("{text}.{}", encode(&signature))
}

/// Servers that believe an operator, and an account of its with JetStream.
struct Fleet {
    servers: Servers,
    account: KeyPair,
    folder: TempDir,
}

impl Fleet {
    fn new() -> Self {
        let (operator, account) = (key(KeyPairType::Operator), key(KeyPairType::Account));
        let system = key(KeyPairType::Account);
        let unlimited = |disk: i64| {
            json!({"type": "account", "limits": {
                "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1,
                "leaf": -1, "wildcards": true, "mem_storage": 0, "disk_storage": disk,
                "streams": -1, "consumer": -1,
            }})
        };
        let servers = Servers::one(&format!(
            "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload {{ {}: {}, {}: {} }}",
            token(&operator, &operator, json!({"type": "operator"}), None),
            system.public_key(),
            account.public_key(),
            token(&account, &operator, unlimited(-1), None),
            system.public_key(),
            token(&system, &operator, unlimited(0), None),
        ));
        Self {
            servers,
            account,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// The file of a user that this account has signed.
    fn file(&self, account: &KeyPair, ends_at_s: Option<i64>) -> (PathBuf, String) {
        let user = key(KeyPairType::User);
        let rights = json!({"type": "user", "subs": -1, "data": -1, "payload": -1});
        let token = token(&user, account, rights, ends_at_s);
        let seed = user.seed().expect("its own");
        let file = self.folder.path().join("fleet.creds");
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        fs::write(&file, text).expect("written");
        (file, seed)
    }

    fn destination(&self, file: PathBuf) -> JetStreamDestination {
        let url = format!("nats://{}", self.servers.single().address());
        let mut options = JetStreamOptions::new(vec![url.parse().expect("a URL")]);
        options.credentials_file = Some(file);
        JetStreamDestination::new(options, Credentials::default())
    }
}

#[test]
fn a_credentials_file_opens_its_account_and_no_other_does() {
    let fleet = Fleet::new();
    let (file, _) = fleet.file(&fleet.account, None);
    let mut to = opened(fleet.destination(file), &writer("box-1", 1));
    to.send(&part(1, 5)).expect("published");

    let stranger = key(KeyPairType::Account);
    let yesterday_s = SystemClock::new().now().wall.s() - 86_400;
    for (account, ends_at_s) in [(&stranger, None), (&fleet.account, Some(yesterday_s))] {
        let (file, seed) = fleet.file(account, ends_at_s);
        let why = held(fleet.destination(file).open(&writer("box-1", 1)));
        assert!(why.contains("credentials_file"), "{why}");
        assert!(!why.contains(&seed), "{why}");
    }
    // A file that was renewed counts with the next attempt.
    let (file, _) = fleet.file(&fleet.account, Some(yesterday_s + 2 * 86_400));
    let mut to = opened(fleet.destination(file), &writer("box-1", 1));
    to.send(&part(6, 5)).expect("published");
}
