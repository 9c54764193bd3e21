//! `[receive]`: the other end of the HTTP destination.

use std::net::SocketAddr;

use super::destination::{self, DestinationConfig, DestinationTarget};
use super::secret::{self, SecretSource};
use super::section::{Finding, Reader, Section};
use super::source::readable_under;
use super::surroundings::Surroundings;
use super::text;
use super::tree::{Place, Table};
use crate::domain::ids::{BoxId, DestinationName, SourceName};
use crate::receive::ServerIdentity;

/// Where `thrio-edge receive` listens without being told.
const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8650);

/// What `thrio-edge receive` does; the daemon does not look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Who it is.
    pub identity: Option<ServerIdentity>,
    /// Where it writes; none = the file's only destination.
    pub destination: Option<DestinationName>,
    /// Who may write.
    pub boxes: Vec<ReceiveBox>,
}

/// A box that may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveBox {
    /// Its id.
    pub id: BoxId,
    /// Its token.
    pub token: SecretSource,
    /// What it may write; empty = any source that no other box has claimed.
    pub sources: Vec<SourceName>,
}

/// What was read, and where the destination is named.
pub(super) struct Read {
    pub(super) config: ReceiveConfig,
    destination_place: Option<Place>,
}

/// Reads the table; without one, its defaults.
pub(super) fn read(root: &Section<'_>, around: &Surroundings) -> Read {
    let section = root.child("receive");
    let identity = identity(&section);
    let listen = listen(&section);
    let destination = section
        .checked("destination", "", DestinationName::to_string, |name| {
            DestinationName::new(name).map_err(|_| "cannot be a name".to_owned())
        })
        .optional();
    let tables = section.tables("box");
    let reader = section.reader;
    let mut boxes: Vec<ReceiveBox> = Vec::new();
    for table in &tables {
        let Some(one) = read_box(reader, table, around) else {
            continue;
        };
        if boxes.iter().any(|other| other.id == one.id) {
            let message = "a box has two tables";
            section.add("box.id", Finding::error(&table.place, message));
        }
        boxes.push(one);
    }
    if reader.is_listing {
        list_box(reader, around);
    }
    section.finish();
    Read {
        destination_place: destination.as_ref().map(|name| name.place.clone()),
        config: ReceiveConfig {
            listen,
            identity,
            destination: destination.map(|name| name.value),
            boxes,
        },
    }
}

fn list_box(reader: &Reader<'_>, around: &Surroundings) {
    let section = Section::new(reader, "receive.box", Vec::new());
    box_of(&section, around);
}

fn read_box(reader: &Reader<'_>, table: &Table, around: &Surroundings) -> Option<ReceiveBox> {
    let section = Section::new(reader, "receive.box", vec![table]);
    let found = box_of(&section, around);
    section.finish();
    found
}

fn box_of(section: &Section<'_>, around: &Surroundings) -> Option<ReceiveBox> {
    let check = |id: &str| BoxId::new(id).map_err(|error| format!("cannot be used: {error}"));
    let id = section
        .checked("id", "1 to 128 characters", BoxId::to_string, check)
        .required("id = \"front-desk\"");
    let token = secret::token_if_given(section, around);
    let is_given = ["token_file", "token_credential", "token_env", "token"]
        .iter()
        .any(|key| section.entry(key).is_some());
    if !is_given && !section.reader.is_listing {
        let finding = Finding::error(&section.place(), "a token is missing in [[receive.box]]");
        let hint = "set token_file (or token_credential, token_env, token)";
        section.add("token_file", finding.hint(hint));
    }
    let sources = destination::sources(section);
    Some(ReceiveBox {
        id: id?.value,
        token: token?,
        sources,
    })
}

fn listen(section: &Section<'_>) -> SocketAddr {
    let has_certificate = section.entry("certificate").is_some();
    let check = |text: &str| {
        let address: SocketAddr = text
            .parse()
            .map_err(|_| "is no address with a port such as \"127.0.0.1:8650\"".to_owned())?;
        if address.ip().is_loopback() || has_certificate {
            Ok(address)
        } else {
            Err("can be reached by others: set certificate and key".to_owned())
        }
    };
    let show = |address: &SocketAddr| text::quote(&address.to_string());
    section
        .checked("listen", "an address and a port", show, check)
        .or(LISTEN)
}

fn identity(section: &Section<'_>) -> Option<ServerIdentity> {
    let file = |key: &'static str| {
        let file = section.path(key).optional()?;
        readable_under(section, key, file)
    };
    let (certificate, key) = (file("certificate"), file("key"));
    for (one, other) in [("certificate", "key"), ("key", "certificate")] {
        if let (Some(entry), None) = (section.entry(one), section.entry(other)) {
            let message = format!("`{one}` is set without `{other}`");
            section.add(one, Finding::error(&entry.node.place, message));
        }
    }
    Some(ServerIdentity {
        certificate: certificate?,
        key: key?,
    })
}

/// The destination must be there, and be a database.
pub(super) fn check(reader: &Reader<'_>, read: &Read, built: &[Option<DestinationConfig>]) {
    let (Some(name), Some(place)) = (&read.config.destination, &read.destination_place) else {
        return;
    };
    // One that could not be built has been complained of already.
    if built.iter().any(Option::is_none) {
        return;
    }
    let found = built.iter().flatten().find(|one| one.name == *name);
    let message = match found {
        None => format!("there is no destination \"{name}\""),
        Some(one) if !is_database(&one.target) => {
            format!(
                "destination \"{name}\" is no database: its kind is {}",
                one.target.kind()
            )
        }
        Some(_) => return,
    };
    reader.add(Finding {
        field: "receive.destination".to_owned(),
        ..Finding::error(place, message)
            .hint("name a [[destination]] of kind sqlite, postgres or sqlserver")
    });
}

/// Whether a receiver can write there: rows and receipt in one transaction.
pub fn is_database(target: &DestinationTarget) -> bool {
    matches!(
        target,
        DestinationTarget::Sqlite(_)
            | DestinationTarget::Postgres(_)
            | DestinationTarget::SqlServer(_)
    )
}
