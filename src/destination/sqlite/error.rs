//! What SQLite's errors mean for the delivery.

use std::path::Path;

use rusqlite::{Error, ErrorCode};

use super::super::SendError;

/// An error of this file, as the delivery loop understands it.
pub(super) fn at_path(path: &Path) -> impl Fn(Error) -> SendError + '_ {
    move |error| send_error(&path.display().to_string(), &error)
}

/// An error of a statement inside an open file; the loop already knows which.
#[expect(clippy::needless_pass_by_value, reason = "the shape of `map_err`")]
pub(super) fn sql(error: Error) -> SendError {
    send_error("sqlite", &error)
}

/// The loop opens again after this.
pub(super) fn not_open() -> SendError {
    SendError::unreachable("the database is not open")
}

fn send_error(place: &str, error: &Error) -> SendError {
    let message = format!("{place}: {error}");
    let Error::SqliteFailure(cause, _) = error else {
        return other(error, message);
    };
    match cause.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            SendError::later(format!("{message} (another program is writing it)"))
        }
        ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch => SendError::refused(message),
        ErrorCode::TooBig => SendError::TooLarge { message },
        ErrorCode::DiskFull => SendError::held(message, "make room on its disk"),
        ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied
        | ErrorCode::AuthorizationForStatementDenied => SendError::held(
            message,
            "let the program's user write the file and its folder",
        ),
        ErrorCode::CannotOpen => SendError::held(
            message,
            "make its folder, and let the program's user write there",
        ),
        ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => SendError::held(
            message,
            "it is damaged or no SQLite file: move it away, or restore it, and replay",
        ),
        ErrorCode::Unknown | ErrorCode::SchemaChanged => SendError::held(
            message,
            "its tables are not those of docs/tables.md: restore them, or use another file",
        ),
        _ => SendError::unreachable(message),
    }
}

fn other(error: &Error, message: String) -> SendError {
    match error {
        Error::ToSqlConversionFailure(_)
        | Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..) => SendError::refused(message),
        _ => SendError::unreachable(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn each_of_sqlites_errors_says_what_follows_from_it() {
        let check = |code: i32, expected: &str| {
            let error = Error::SqliteFailure(ffi::Error::new(code), None);
            let found = match send_error("wfm.db", &error) {
                SendError::Retry { unreachable, .. } => {
                    if unreachable {
                        "unreachable"
                    } else {
                        "retry"
                    }
                }
                SendError::Held { .. } => "held",
                SendError::Claimed { .. } => "claimed",
                SendError::Refused { .. } => "refused",
                SendError::TooLarge { .. } => "too large",
            };
            assert_eq!(found, expected, "{code}: {error}");
        };
        check(ffi::SQLITE_BUSY, "retry");
        check(ffi::SQLITE_LOCKED, "retry");
        check(ffi::SQLITE_IOERR, "unreachable");
        check(ffi::SQLITE_PROTOCOL, "unreachable");
        check(ffi::SQLITE_NOMEM, "unreachable");
        check(ffi::SQLITE_FULL, "held");
        check(ffi::SQLITE_READONLY, "held");
        check(ffi::SQLITE_PERM, "held");
        check(ffi::SQLITE_CANTOPEN, "held");
        check(ffi::SQLITE_NOTADB, "held");
        check(ffi::SQLITE_CORRUPT, "held");
        check(ffi::SQLITE_ERROR, "held");
        check(ffi::SQLITE_CONSTRAINT, "refused");
        check(ffi::SQLITE_MISMATCH, "refused");
        check(ffi::SQLITE_TOOBIG, "too large");
    }
}
