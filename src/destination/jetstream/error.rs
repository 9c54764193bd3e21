//! What NATS's errors mean for the delivery: told apart by kinds and by the server's codes.

use std::error::Error as StdError;

use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind, PublishError,
    PublishErrorKind, RequestError, RequestErrorKind,
};
use async_nats::jetstream::stream::{LastRawMessageError, LastRawMessageErrorKind};
use async_nats::jetstream::{Error as ServerError, ErrorCode};
use async_nats::{ConnectError, ConnectErrorKind};

use super::super::SendError;
use crate::transport::{Trouble, text};

const NO_JETSTREAM: &str = "switch JetStream on: `jetstream {}` in each server's configuration, and for the account where it \
     has accounts";
/// What a stream that cannot be written says of its disk or of its bounds (`discard: new`); the
/// library has no name for the code.
const STREAM_STORE_FAILED: ErrorCode = ErrorCode(10077);
const STREAM_SEALED: ErrorCode = ErrorCode(10109);

/// What a failure to connect means.
pub(super) fn connecting(error: &ConnectError) -> SendError {
    let kind = error.kind().to_string();
    // A cause that says the same again is left out.
    let message = match error.source().map(ToString::to_string) {
        Some(cause) if !cause.contains(&kind) => {
            format!("nats: {kind}: {}", text::excerpt(&cause))
        }
        _ => format!("nats: {kind}"),
    };
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            SendError::held(
                message,
                "see whether credentials_file, or username and password, or the token are those \
                 that the servers know",
            )
        }
        ConnectErrorKind::ServerParse => SendError::held(message, "see whether urls are right"),
        ConnectErrorKind::Tls => untrusted(&message),
        _ => match caused_by::<std::io::Error>(error).map(Trouble::of_io) {
            Some(Trouble::Tls(why)) => untrusted(&format!("nats: TLS: {why}")),
            _ => SendError::unreachable(message),
        },
    }
}

fn untrusted(message: &str) -> SendError {
    SendError::held(
        message,
        "see whether certificate, host name and clock fit, and ca_file or client_certificate are \
         right",
    )
}

/// What it means that the stream could not be looked at. `None`: it is not there.
pub(super) fn looking(error: &GetStreamError) -> Option<SendError> {
    match error.kind() {
        GetStreamErrorKind::JetStream(said) if said.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            None
        }
        GetStreamErrorKind::JetStream(said) => Some(answered(&said)),
        _ => Some(asking(error)),
    }
}

/// What it means that the stream could not be made.
pub(super) fn making(error: &CreateStreamError) -> SendError {
    match error.kind() {
        // Another box has made it meanwhile: it is looked at.
        CreateStreamErrorKind::JetStream(said)
            if said.error_code() == ErrorCode::STREAM_NAME_EXIST =>
        {
            SendError::later(sentence(&said))
        }
        CreateStreamErrorKind::JetStream(said) => answered(&said),
        CreateStreamErrorKind::JetStreamUnavailable => no_jetstream(),
        _ => asking(error),
    }
}

/// What it means that a subject's last message could not be read. `None`: there is none.
pub(super) fn reading(error: &LastRawMessageError) -> Option<SendError> {
    match error.kind() {
        LastRawMessageErrorKind::NoMessageFound => None,
        LastRawMessageErrorKind::JetStream(said) => Some(answered(&said)),
        _ => Some(asking(error)),
    }
}

/// What it means that a message was not acknowledged.
pub(super) fn publishing(error: &PublishError) -> SendError {
    if error.kind() == PublishErrorKind::MaxPayloadExceeded {
        let message = text::excerpt(&error.to_string());
        return SendError::TooLarge { message };
    }
    match caused_by::<ServerError>(error) {
        Some(said) => answered(said),
        // Whatever became of it: the stream's end is read again, and sending goes on behind it.
        None => SendError::unreachable(format!("nats: {error}")),
    }
}

/// A question without an answer.
fn asking(error: &(dyn StdError + 'static)) -> SendError {
    let request = caused_by::<RequestError>(error);
    match request.map(RequestError::kind) {
        Some(RequestErrorKind::NoResponders) => no_jetstream(),
        _ => SendError::unreachable(format!("nats: {}", text::excerpt(&error.to_string()))),
    }
}

fn no_jetstream() -> SendError {
    SendError::held("no server answers for JetStream", NO_JETSTREAM)
}

/// What a server's error means.
fn answered(said: &ServerError) -> SendError {
    let message = sentence(said);
    let remedy = match said.error_code() {
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => return SendError::TooLarge { message },
        // The stream's end is not where it was: it is read again.
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE
        | ErrorCode::STREAM_WRONG_LAST_MESSAGE_ID
        | ErrorCode::STREAM_NOT_MATCH
        | ErrorCode::STREAM_NOT_FOUND => return SendError::unreachable(message),
        ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
            NO_JETSTREAM
        }
        ErrorCode::STREAM_SUBJECT_OVERLAP => {
            "another stream takes these subjects: name it in stream, or choose another \
             subject_prefix"
        }
        ErrorCode::CLUSTER_NO_PEERS
        | ErrorCode::CLUSTER_REQUIRED
        | ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => {
            "set replicas to at most the number of the cluster's servers"
        }
        STREAM_STORE_FAILED => {
            "raise the stream's bounds (max_bytes, max_msgs), let it discard the oldest messages, \
             or make room on the servers' disks"
        }
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MAXIMUM_STREAMS_LIMIT => "give the account or the servers more room",
        STREAM_SEALED => "the stream is sealed for ever: name another one",
        // The server's own trouble, such as an election, passes.
        _ if said.code() >= 500 => return SendError::unreachable(message),
        _ => "see the stream's settings, and what the account may do",
    };
    SendError::held(message, remedy)
}

fn sentence(said: &ServerError) -> String {
    format!(
        "nats: {}",
        text::printable(&said.to_string(), text::SENTENCE_CHARS)
    )
}

/// The first cause of this type.
fn caused_by<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<T>() {
            return Some(found);
        }
        cause = inner.source();
    }
    None
}
