//! What PostgreSQL's errors mean for the delivery.

use std::error::Error as _;
use std::fmt::Write as _;

use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use super::super::SendError;

/// A detail may be a whole page.
const DETAIL_CHARS_MAX: usize = 300;

/// An error while connecting, TLS and login included.
pub(super) fn connecting(place: &str) -> impl Fn(Error) -> SendError + '_ {
    move |error| match error.as_db_error() {
        Some(cause) => match by_state(place, cause) {
            // Full, starting, stopping: nothing was reached that could be talked to.
            SendError::Retry { message, .. } => SendError::unreachable(message),
            other => other,
        },
        None => without_state(place, &error),
    }
}

/// An error of a statement.
pub(super) fn sql(place: &str) -> impl Fn(Error) -> SendError + '_ {
    move |error| match error.as_db_error() {
        Some(cause) => by_state(place, cause),
        None => without_state(place, &error),
    }
}

/// An error inside the site's own procedure. What the server can mend by itself stays a retry;
/// everything else is for the person who wrote the procedure.
pub(super) fn after_apply<'a>(place: &'a str, name: &'a str) -> impl Fn(Error) -> SendError + 'a {
    move |error| {
        let meant = sql(place)(error);
        match meant {
            SendError::Retry { .. } => meant,
            SendError::Held { reason, .. } | SendError::Claimed { reason, .. } => {
                in_procedure(name, &reason)
            }
            SendError::Refused { message, .. } | SendError::TooLarge { message } => {
                in_procedure(name, &message)
            }
        }
    }
}

fn in_procedure(name: &str, what: &str) -> SendError {
    SendError::held(
        format!("after_apply {name}: {what}"),
        format!(
            "mend the procedure {name}(source text, first_applied_no bigint, last_applied_no \
             bigint), or take after_apply out; nothing of the batch was written"
        ),
    )
}

fn by_state(place: &str, cause: &DbError) -> SendError {
    meaning(cause.code().code(), told(place, cause))
}

fn meaning(code: &str, message: String) -> SendError {
    match code {
        "53100" => {
            return SendError::later(format!(
                "{message}: the server's disk is full; make room there, delivery goes on by itself"
            ));
        }
        // Deadlocks, lock and statement timeouts.
        "40001" | "40P01" | "55P03" | "57014" => return SendError::later(message),
        // Stopping, starting, idle for too long; or statements that were prepared for tables that
        // have changed since: prepared anew, they work or say what is wrong.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "0A000" | "26000" => {
            return SendError::unreachable(message);
        }
        _ => {}
    }
    if let Some(remedy) = remedy(code) {
        return SendError::held(message, remedy);
    }
    match code.get(..2) {
        Some("08") => SendError::unreachable(message),
        Some("21" | "22" | "23" | "54") => SendError::refused(message),
        Some("42") => SendError::held(message, ALTERED),
        _ => SendError::later(message),
    }
}

const ALTERED: &str = "its tables are not those of docs/tables.md: put back what was altered, \
                       or use another schema or table_prefix";

/// What a person does about it; none where no person is needed.
fn remedy(code: &str) -> Option<&'static str> {
    Some(match code {
        "28P01" | "28000" => {
            "check user and password (a changed password file is read with the next attempt), \
             and that pg_hba.conf lets this user in from here"
        }
        "3D000" => "make the database, or correct its name in the url",
        "3F000" => "make the schema, or correct its name",
        "42501" => {
            "grant the user USAGE (and, with manage_schema, CREATE) on the schema, and SELECT, \
             INSERT, UPDATE and DELETE on its tables"
        }
        "25006" => {
            "the server takes no writes (a standby, or default_transaction_read_only): name the \
             primary in the url"
        }
        // No record of ours leaves a column empty that our tables want filled.
        "23502" => ALTERED,
        "22P05" | "22021" => "the database's encoding is not UTF8: use one that is",
        "XX001" | "XX002" => "the server says that its data are damaged: see its log",
        _ => return None,
    })
}

fn told(place: &str, cause: &DbError) -> String {
    let mut text = format!("{place}: {} ({})", cause.message(), cause.code().code());
    // The details of a violated constraint show the row, which may hold names and addresses.
    let shows_row = cause.code().code().starts_with("23");
    if let (Some(detail), false) = (cause.detail(), shows_row) {
        let detail: String = detail.chars().take(DETAIL_CHARS_MAX).collect();
        let _ = write!(text, "; {detail}");
    }
    if let Some(constraint) = cause.constraint() {
        let _ = write!(text, "; constraint {constraint}");
    }
    text
}

/// Errors of the client or the network.
fn without_state(place: &str, error: &Error) -> SendError {
    if let Some(tls) = tls_cause(error) {
        return of_tls(place, tls);
    }
    let text = whole(error);
    if text.contains("does not support TLS") {
        return SendError::held(
            format!("{place}: the server does not speak TLS"),
            "switch TLS on there (ssl = on), or say sslmode=disable in the url where the network \
             is trusted",
        );
    }
    if text.starts_with("authentication error") || text.starts_with("invalid configuration") {
        return SendError::held(
            format!("{place}: {text}"),
            "set password_file, or let the server ask for a kind of login that is supported",
        );
    }
    if text.starts_with("error serializing parameter") {
        return SendError::refused(format!("{place}: {text}"));
    }
    SendError::unreachable(format!("{place}: {text}"))
}

/// The error with its causes, each once.
fn whole(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            let _ = write!(text, ": {more}");
        }
        cause = inner.source();
    }
    text
}

fn tls_cause(error: &Error) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        let boxed = inner
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        if let Some(tls) = boxed.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Some(tls);
        }
        cause = inner.source();
    }
    None
}

fn of_tls(place: &str, error: &rustls::Error) -> SendError {
    use rustls::{CertificateError, Error};
    let reason = format!("{place}: TLS: {error}");
    let Error::InvalidCertificate(why) = error else {
        // A handshake that breaks off may be a server that stops; one that never works is seen by
        // its message, tried again and again.
        return match error {
            Error::InvalidMessage(_) | Error::AlertReceived(_) | Error::PeerIncompatible(_) => {
                SendError::held(reason, "see which TLS versions and certificates it wants")
            }
            _ => SendError::unreachable(reason),
        };
    };
    let remedy = match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired: renew it there"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: see both clocks"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is another host's: name the host in the url as the certificate does, \
             or let the server have one with this name"
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the certificate's authority is not trusted here: name its certificate in ca_file"
        }
        _ => {
            "the server's certificate cannot be trusted; a self-signed one that is its own \
             authority (CA:TRUE) must be replaced by one that an authority signed"
        }
    };
    SendError::held(reason, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_says_what_follows_from_it() {
        let check = |code: &str, expected: &str| {
            let found = match meaning(code, "why".to_owned()) {
                SendError::Retry { unreachable, .. } if unreachable => "unreachable",
                SendError::Retry { .. } => "later",
                SendError::Held { .. } => "held",
                SendError::Claimed { .. } => "claimed",
                SendError::Refused { .. } => "refused",
                SendError::TooLarge { .. } => "too large",
            };
            assert_eq!(found, expected, "{code}");
        };
        for code in ["08006", "57P01", "57P02", "57P03", "0A000", "26000"] {
            check(code, "unreachable");
        }
        for code in [
            "40001", "40P01", "53100", "53200", "53300", "57014", "XX000",
        ] {
            check(code, "later");
        }
        for code in [
            "28P01", "28000", "3D000", "3F000", "42501", "42P01", "42703", "42P10", "25006",
            "23502", "22P05", "XX001",
        ] {
            check(code, "held");
        }
        for code in ["22001", "22003", "22008", "23505", "23514", "54000"] {
            check(code, "refused");
        }
    }

    #[test]
    fn a_full_disk_says_so_and_what_to_do() {
        let text = meaning("53100", "could not extend file".to_owned()).to_string();
        assert!(
            text.contains("full") && text.contains("make room"),
            "{text}"
        );
    }
}
