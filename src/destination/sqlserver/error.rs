//! What SQL Server's errors mean for the delivery.

use std::io::ErrorKind;

use tiberius::error::{Error, TokenError};

use super::super::SendError;

/// From this severity on the server has ended the connection.
const FATAL: u8 = 20;

/// An error while connecting, TLS and login included.
pub(super) fn connecting(place: &str) -> impl Fn(Error) -> SendError + '_ {
    move |error| match error {
        Error::Server(cause) => match by_number(place, &cause) {
            // Full, starting, stopping: nothing was reached that could be talked to.
            SendError::Retry { message, .. } => SendError::unreachable(message),
            other => other,
        },
        Error::Tls(why) => SendError::held(format!("{place}: TLS: {}", without_advice(&why)), TLS),
        Error::Protocol(why) => SendError::held(
            format!("{place}: {why}"),
            "see that SQL Server listens there and has TLS switched on; `encrypt = false` where \
             plain text is meant",
        ),
        Error::Routing { host, port } => SendError::held(
            format!("{place}: the server sends on to {host}:{port}"),
            "name that host and port in the url",
        ),
        other => of_client(place, &other),
    }
}

const TLS: &str = "the server's certificate must be valid, bear the host name of the url, and come \
                   from an authority that the system or ca_file knows; \
                   `trust_server_certificate = true` takes any";

/// The client's own advice speaks of its functions.
fn without_advice(why: &str) -> &str {
    let told = why.split(" To connect anyway").next().unwrap_or(why);
    told.trim_end_matches('.')
}

/// An error of a statement.
pub(super) fn sql(place: &str) -> impl Fn(Error) -> SendError + '_ {
    move |error| match error {
        Error::Server(cause) => by_number(place, &cause),
        // What cannot be written for the server to read will not be at the next attempt either.
        Error::BulkInput(_) | Error::Conversion(_) | Error::Encoding(_) => {
            SendError::refused(format!("{place}: {error}"))
        }
        other => of_client(place, &other),
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

/// Held by the site's procedure.
pub(super) fn in_procedure(name: &str, what: &str) -> SendError {
    SendError::held(
        format!("after_apply {name}: {what}"),
        format!(
            "mend the procedure {name} (@source nvarchar(32), @first_applied_no bigint, \
             @last_applied_no bigint), or take after_apply out; nothing of the batch was written"
        ),
    )
}

/// Network and protocol: the connection cannot be used on.
fn of_client(place: &str, error: &Error) -> SendError {
    match error {
        Error::Io {
            kind: ErrorKind::TimedOut,
            ..
        } => SendError::unreachable(format!(
            "{place}: the server did not answer within statement_timeout_s"
        )),
        Error::Io { message, .. } => SendError::unreachable(format!("{place}: {message}")),
        other => SendError::unreachable(format!("{place}: {other}")),
    }
}

fn by_number(place: &str, cause: &TokenError) -> SendError {
    let message = told(place, cause.code(), cause.message());
    if cause.class() >= FATAL && remedy(cause.code()).is_none() {
        return SendError::unreachable(message);
    }
    meaning(cause.code(), message)
}

/// The value of a violated key and a cut text show the row, which may hold names and addresses.
const SHOWS_ROW: [&str; 2] = ["The duplicate key value is", "Truncated value:"];

fn told(place: &str, number: u32, message: &str) -> String {
    let end = SHOWS_ROW.iter().filter_map(|words| message.find(words));
    let end = end.min().unwrap_or(message.len());
    format!("{place}: {} ({number})", message[..end].trim_end())
}

/// A key that is there already: another connection wrote it in the same moment, or a record meets
/// a rule of the site's.
pub(super) fn is_duplicate(number: u32) -> bool {
    matches!(number, 2601 | 2627)
}

fn meaning(number: u32, message: String) -> SendError {
    if let Some(remedy) = remedy(number) {
        return SendError::held(message, remedy);
    }
    match number {
        1101 | 1105 | 9002 => SendError::later(format!(
            "{message}: the server's disk or log is full; make room there, delivery goes on by \
             itself"
        )),
        // Stopping, starting, recovering, failing over; or the session was ended.
        596
        | 921
        | 922
        | 927
        | 942
        | 976
        | 983
        | 6005
        | 6006
        | 17142
        | 17197
        | 18401
        | 40197
        | 40501
        | 40613
        | 49918..=49920 => SendError::unreachable(message),
        // A rule of the tables or of their types says no to a row.
        220 | 232 | 241 | 242 | 245 | 248 | 511 | 517 | 547 | 1946 | 2628 | 8114 | 8115 | 8152 => {
            SendError::refused(message)
        }
        // Deadlocks (1205), lock time-outs (1222), a key that was there (2601, 2627), memory; and
        // whatever is not known.
        _ => SendError::later(message),
    }
}

const ALTERED: &str = "its tables are not those of docs/tables.md: put back what was altered, \
                       or use another schema or table_prefix";

/// What a person does about it; none where no person is needed.
fn remedy(number: u32) -> Option<&'static str> {
    Some(match number {
        18456 | 18450 | 18451 | 18470 | 18486 | 18487 | 18488 => {
            "check login and password (a changed password file is read with the next attempt), \
             that the login is enabled, and that the server takes SQL Server logins"
        }
        18452 => "the server takes Windows logins only: let it take SQL Server logins too",
        911 | 916 | 4060 | 4064 => {
            "make the database, or correct its name in the url, and make the login one of its users"
        }
        229 | 230 | 262 | 297 | 300 | 15151 | 15247 => {
            "grant the user SELECT, INSERT, UPDATE and DELETE on the tables, EXECUTE on the \
             procedure of after_apply, and with manage_schema CREATE TABLE, CREATE VIEW and ALTER \
             on the schema"
        }
        2714 => {
            "the tables are there, but this user may not see them: grant it SELECT, INSERT, UPDATE \
             and DELETE on them"
        }
        2760 => "make the schema, or correct its name; the user needs ALTER on it to make tables",
        // No record of ours leaves a column empty that our tables want filled.
        207 | 208 | 213 | 468 | 515 | 4891 => ALTERED,
        2812 => "make the procedure, or take after_apply out",
        266 | 3609 | 3902 | 3903 | 3915 | 3930 => {
            "something ended the transaction that was not its own: a trigger or procedure must \
             neither commit nor roll back"
        }
        978 | 979 | 3906 | 3908 | 15562 => {
            "the database takes no writes (read-only, or a secondary): name the primary in the url"
        }
        605 | 823 | 824 => "the server says that its data are damaged: see its log",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(error: &SendError) -> &'static str {
        match error {
            SendError::Retry { unreachable, .. } if *unreachable => "unreachable",
            SendError::Retry { .. } => "later",
            SendError::Held { .. } => "held",
            SendError::Claimed { .. } => "claimed",
            SendError::Refused { .. } => "refused",
            SendError::TooLarge { .. } => "too large",
        }
    }

    #[test]
    fn each_number_says_what_follows_from_it() {
        let check = |number: u32, expected: &str| {
            assert_eq!(
                what(&meaning(number, "why".to_owned())),
                expected,
                "{number}"
            );
        };
        for number in [596, 921, 6005, 17142, 40613] {
            check(number, "unreachable");
        }
        for number in [1204, 1205, 1222, 2601, 2627, 701, 8645, 1105, 9002, 50_000] {
            check(number, "later");
        }
        for number in [
            18456, 18486, 4060, 229, 262, 208, 207, 515, 3906, 266, 824, 2760, 2714,
        ] {
            check(number, "held");
        }
        for number in [547, 2628, 8152, 8115, 242, 1946] {
            check(number, "refused");
        }
    }

    #[test]
    fn a_full_disk_says_so_and_what_to_do() {
        let text = meaning(1105, "Could not allocate space".to_owned()).to_string();
        assert!(
            text.contains("full") && text.contains("make room"),
            "{text}"
        );
    }

    #[test]
    fn a_row_that_was_refused_is_not_shown() {
        let message = "Violation of PRIMARY KEY constraint 'PK_1'. Cannot insert duplicate key in \
                       object 'dbo.wfm_agent'. The duplicate key value is (main, kim@example.com).";
        let text = told("db:1433/wfm", 2627, message);
        assert!(text.contains("PK_1") && text.ends_with("(2627)"), "{text}");
        assert!(!text.contains("kim@example.com"), "{text}");
        let cut = "String or binary data would be truncated in table 't', column 'email'. \
                   Truncated value: 'kim@'.";
        assert!(!told("db", 2628, cut).contains("kim@"));
    }

    #[test]
    fn errors_of_the_client_say_what_follows_from_them() {
        let check = |error: Error, expected: &str| {
            let meant = connecting("db:1433/wfm")(error);
            assert_eq!(what(&meant), expected, "{meant}");
            meant.to_string()
        };
        let io = |kind| Error::Io {
            kind,
            message: "why".to_owned(),
        };
        check(io(ErrorKind::ConnectionReset), "unreachable");
        check(io(ErrorKind::TimedOut), "unreachable");
        check(Error::Protocol("no TLS".into()), "held");
        let text = check(
            Error::Tls("UnknownIssuer. To connect anyway you can: `Config::trust_cert()`".into()),
            "held",
        );
        assert!(
            text.contains("ca_file") && !text.contains("Config::"),
            "{text}"
        );
        let moved = Error::Routing {
            host: "other".to_owned(),
            port: 1,
        };
        assert!(check(moved, "held").contains("other:1"));
        let too_long = sql("db")(Error::BulkInput("too long".into()));
        assert_eq!(what(&too_long), "refused");
    }
}
