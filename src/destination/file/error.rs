//! What a file system's errors mean for the delivery.

use std::io::{Error, ErrorKind};
use std::path::Path;

use super::super::SendError;

/// An error at this path, as the delivery loop understands it.
pub(super) fn at(path: &Path) -> impl Fn(Error) -> SendError + '_ {
    move |error| send_error(path, &error)
}

fn send_error(path: &Path, error: &Error) -> SendError {
    let message = format!("{}: {error}", path.display());
    let remedy = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            "make the folder, or mount its disk; nothing is lost meanwhile"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "let the program's user write there; nothing is lost meanwhile"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "make room on its disk; nothing is lost meanwhile"
        }
        ErrorKind::AlreadyExists => {
            "move that file away: no file is ever overwritten; nothing is lost meanwhile"
        }
        ErrorKind::InvalidData => {
            "move that file away and replay what it held; the log says from which seq on"
        }
        _ => return SendError::unreachable(message),
    };
    SendError::held(message, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_must_mend_is_held_and_the_rest_is_tried_again() {
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::PermissionDenied,
            ErrorKind::StorageFull,
            ErrorKind::AlreadyExists,
        ] {
            let error = send_error(Path::new("x"), &Error::from(kind));
            assert!(matches!(error, SendError::Held { .. }), "{error:?}");
        }
        let error = send_error(
            Path::new("x"),
            &Error::from(ErrorKind::StaleNetworkFileHandle),
        );
        assert!(matches!(error, SendError::Retry { .. }), "{error:?}");
    }
}
