//! `client_certificate` and `client_key`: how the box proves who it is.

use std::path::PathBuf;

use super::super::section::{Finding, Section};
use super::super::source::readable_under;
use crate::destination::tls::ClientIdentity;

/// The certificate that the box shows, where both of its files are named.
pub(super) fn read(section: &Section<'_>) -> Option<ClientIdentity> {
    let file = |key: &'static str| -> Option<PathBuf> {
        let file = section.path(key).optional()?;
        readable_under(section, key, file)
    };
    let (certificate, key) = (file("client_certificate"), file("client_key"));
    for (one, other) in [
        ("client_certificate", "client_key"),
        ("client_key", "client_certificate"),
    ] {
        if let (Some(entry), None) = (section.entry(one), section.entry(other)) {
            let message = format!("`{one}` is set without `{other}`");
            section.add(one, Finding::error(&entry.node.place, message));
        }
    }
    Some(ClientIdentity {
        certificate: certificate?,
        key: key?,
    })
}
