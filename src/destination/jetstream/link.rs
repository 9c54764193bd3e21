//! A connection to the cluster, and the stream behind it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{self, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, Event, HeaderMap, ServerAddr};
use futures_util::future::{Either, select};
use secrecy::ExposeSecret as _;
use tokio::sync::watch;

use super::super::{Credentials, SendError, tls};
use super::error::{connecting, looking, making, publishing, reading};
use super::options::JetStreamOptions;
use crate::domain::ids::Feed;
use crate::transport::text;

/// A stream with as few messages a subject is a key-value bucket, not a log.
const MESSAGES_PER_SUBJECT_FEW: i64 = 64;

/// How long a line that nobody answers may take to leave.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);

/// How the subject of heartbeats ends.
const HEARTBEAT_END: &str = ".heartbeat";

/// What the servers say beside the answers.
#[derive(Debug, Clone, Default)]
struct Heard {
    is_lost: bool,
    /// What is not allowed: the call that tried it gets no answer.
    forbidden: Option<String>,
    /// Heartbeats are not; told once.
    is_mute: bool,
}

/// Ends the call that is under way, and every later one.
#[derive(Debug, Clone, Default)]
pub(super) struct Stopping(Arc<watch::Sender<bool>>);

/// A connection; it ends when it is dropped.
pub(super) struct Link {
    client: Client,
    context: Context,
    heard: Arc<watch::Sender<Heard>>,
    stopping: Stopping,
}

impl Stopping {
    pub(super) fn stop(&self) {
        self.0.send_replace(true);
    }

    async fn stopped(&self) -> SendError {
        // The sender is our own, so the wait ends only by the word.
        let _ = self.0.subscribe().wait_for(|is_stopped| *is_stopped).await;
        SendError::unreachable("stopped")
    }
}

/// The outcome of a call, or why it is not waited for.
async fn first<T>(
    call: impl Future<Output = T>,
    end: impl Future<Output = SendError>,
) -> Result<T, SendError> {
    match select(pin!(call), pin!(end)).await {
        Either::Left((outcome, _)) => Ok(outcome),
        Either::Right((why, _)) => Err(why),
    }
}

impl Link {
    /// Files and secrets are read anew, so that a replaced one counts with the next attempt.
    pub(super) async fn connect(
        options: &JetStreamOptions,
        credentials: &Credentials,
        stopping: Stopping,
    ) -> Result<Self, SendError> {
        let heard = Arc::new(watch::Sender::new(Heard::default()));
        let settings = settings(options, Arc::clone(&heard))?;
        let settings = with_login(settings, options, credentials).await?;
        let mut servers = Vec::new();
        for url in &options.urls {
            let server: Result<ServerAddr, _> = url.as_str().parse();
            servers.push(server.map_err(|error| {
                let what = text::excerpt(&error.to_string());
                SendError::held(format!("{url}: {what}"), "see whether urls are right")
            })?);
        }
        let connected = first(settings.connect(servers), stopping.stopped()).await?;
        let client = connected.map_err(|error| connecting(&error))?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(options.timeout);
        Ok(Self {
            client,
            context,
            heard,
            stopping,
        })
    }

    /// The most bytes of a message, headers included.
    pub(super) fn payload_max(&self) -> usize {
        self.client.max_payload()
    }

    /// Waits for a call; not longer than the connection stands, and not for what is forbidden.
    async fn ask<T>(&self, call: impl Future<Output = T>) -> Result<T, SendError> {
        self.heard.send_if_modified(|heard| {
            heard.forbidden = None;
            false
        });
        let ended = first(self.stopping.stopped(), self.ended());
        let end = async { ended.await.unwrap_or_else(|why| why) };
        first(call, end).await
    }

    async fn ended(&self) -> SendError {
        let mut heard = self.heard.subscribe();
        let told = heard.wait_for(|heard| heard.is_lost || heard.forbidden.is_some());
        let forbidden = match told.await {
            Ok(heard) => heard.forbidden.clone(),
            Err(_) => None,
        };
        match forbidden {
            Some(what) => SendError::held(
                what,
                "let the account do it: docs/fleet.md lists the permissions",
            ),
            None => SendError::unreachable("nats: the connection was lost"),
        }
    }

    /// The stream as it is; none where it is not there.
    pub(super) async fn look(
        &self,
        options: &JetStreamOptions,
    ) -> Result<Option<Stream>, SendError> {
        match self.ask(self.context.get_stream(&options.stream)).await? {
            Ok(found) => {
                check(&found.cached_info().config, options)?;
                Ok(Some(found))
            }
            Err(error) => looking(&error).map_or(Ok(None), Err),
        }
    }

    /// The stream, made where it is not there.
    pub(super) async fn stream(&self, options: &JetStreamOptions) -> Result<Stream, SendError> {
        if let Some(found) = self.look(options).await? {
            return Ok(found);
        }
        let config = stream::Config {
            name: options.stream.clone(),
            subjects: subjects(options),
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            num_replicas: options.replicas,
            ..stream::Config::default()
        };
        let made = self.ask(self.context.create_stream(config)).await?;
        let made = made.map_err(|error| making(&error))?;
        check(&made.cached_info().config, options)?;
        Ok(made)
    }

    /// The last message of a subject.
    pub(super) async fn last(
        &self,
        stream: &Stream,
        subject: &str,
    ) -> Result<Option<StreamMessage>, SendError> {
        let asked = stream.get_last_raw_message_by_subject(subject);
        match self.ask(asked).await? {
            Ok(message) => Ok(Some(message)),
            Err(error) => reading(&error).map_or(Ok(None), Err),
        }
    }

    /// Publishes, and waits until the stream has it. Answers the message's sequence; none where the
    /// stream believes to have it already.
    pub(super) async fn publish(
        &self,
        subject: String,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Option<u64>, SendError> {
        let call = async {
            let sent = self
                .context
                .publish_with_headers(subject, headers, body.into());
            sent.await?.await
        };
        let acknowledged = self.ask(call).await?.map_err(|error| publishing(&error))?;
        Ok((!acknowledged.duplicate).then_some(acknowledged.sequence))
    }

    /// Tells whoever listens; it is with the server when this returns.
    pub(super) async fn tell(&self, subject: String, body: Vec<u8>) -> Result<(), SendError> {
        let call = async {
            let told = self.client.publish(subject, body.into()).await;
            told.map_err(|error| error.to_string())?;
            let flushed = self.client.flush().await;
            flushed.map_err(|error| error.to_string())
        };
        let limited = tokio::time::timeout(TELL_TIMEOUT, call);
        let told = self.ask(limited).await?;
        let told = told.unwrap_or_else(|_| Err("the server takes nothing".to_owned()));
        told.map_err(|why| SendError::unreachable(format!("nats: {}", text::excerpt(&why))))
    }
}

fn settings(
    options: &JetStreamOptions,
    heard: Arc<watch::Sender<Heard>>,
) -> Result<ConnectOptions, SendError> {
    let settings = ConnectOptions::new()
        .name("thrio-edge")
        .connection_timeout(options.timeout)
        .request_timeout(Some(options.timeout))
        // The library would go on for ever by itself; when to connect again is the delivery's to say.
        .max_reconnects(options.urls.len())
        // What a server says of the others is how they see each other, which need not be how we do.
        .ignore_discovered_servers()
        .require_tls(options.is_tls())
        .event_callback(move |event| {
            note(&heard, &event);
            std::future::ready(())
        });
    if !options.is_tls() {
        return Ok(settings);
    }
    Ok(settings.tls_client_config(tls::client_config(
        options.ca_file.as_deref(),
        options.client.as_ref(),
    )?))
}

fn note(heard: &watch::Sender<Heard>, event: &Event) {
    match event {
        Event::Disconnected | Event::Closed => {
            heard.send_modify(|heard| heard.is_lost = true);
        }
        Event::ServerError(error) => {
            let said = error.to_string();
            // The protocol has no codes, only these words.
            if said.to_ascii_lowercase().contains("permissions violation") {
                note_forbidden(heard, &text::printable(&said, text::SENTENCE_CHARS));
            }
        }
        _ => {}
    }
}

/// Heartbeats have no answer to wait for, and records do not wait for them.
fn note_forbidden(heard: &watch::Sender<Heard>, what: &str) {
    heard.send_modify(|heard| {
        if !what.contains(HEARTBEAT_END) {
            heard.forbidden = Some(what.to_owned());
        } else if !std::mem::replace(&mut heard.is_mute, true) {
            tracing::warn!(
                what,
                "heartbeats do not arrive: let the account publish them"
            );
        }
    });
}

async fn with_login(
    mut settings: ConnectOptions,
    options: &JetStreamOptions,
    credentials: &Credentials,
) -> Result<ConnectOptions, SendError> {
    let unreadable =
        |why: String| SendError::held(why, "put the secret there; it is read with each attempt");
    if let Some(file) = &options.credentials_file {
        let read = settings.credentials_file(file).await;
        settings = read
            .map_err(|error| unreadable(format!("credentials_file {}: {error}", file.display())))?;
    }
    if let Some(token) = &credentials.token {
        let token = token.read().map_err(unreadable)?;
        settings = settings.token(token.expose_secret().to_owned());
    }
    if let Some(user) = &options.username {
        let password = match &credentials.password {
            Some(password) => password
                .read()
                .map_err(unreadable)?
                .expose_secret()
                .to_owned(),
            None => String::new(),
        };
        settings = settings.user_and_password(user.clone(), password);
    }
    Ok(settings)
}

/// The subject of a box's heartbeats, which no stream of ours takes.
pub(super) fn heartbeat_subject(options: &JetStreamOptions, box_id: &str) -> String {
    format!(
        "{}.{}{HEARTBEAT_END}",
        options.subject_prefix,
        box_id.replace('.', "%2E")
    )
}

/// What the stream takes: each feed of every source, and no heartbeats.
fn subjects(options: &JetStreamOptions) -> Vec<String> {
    let subject = |feed: Feed| format!("{}.*.{feed}", options.subject_prefix);
    Feed::ALL.into_iter().map(subject).collect()
}

/// Whether the one pattern takes everything that the other does.
fn covers(pattern: &str, other: &str) -> bool {
    let mut others = other.split('.');
    for token in pattern.split('.') {
        match (token, others.next()) {
            (">", Some(_)) => return true,
            ("*", Some(other)) if other != ">" => {}
            (token, Some(other)) if token == other => {}
            _ => return false,
        }
    }
    others.next().is_none()
}

/// Whether what is published there is kept for every reader, and can be read back as it is.
fn check(found: &stream::Config, options: &JetStreamOptions) -> Result<(), SendError> {
    let name = &options.stream;
    let is_taken = |subject: &String| found.subjects.iter().any(|taken| covers(taken, subject));
    let missing = subjects(options)
        .into_iter()
        .find(|subject| !is_taken(subject));
    let few = 1..=MESSAGES_PER_SUBJECT_FEW;
    let wrong = if let Some(subject) = missing {
        format!("does not take {subject}")
    } else if found.retention != RetentionPolicy::Limits {
        let retention = format!("{:?}", found.retention).to_lowercase();
        format!("forgets messages by its readers ({retention} retention)")
    } else if found.no_ack {
        "acknowledges nothing".to_owned()
    } else if found.storage != StorageType::File {
        "is kept in the servers' memory only".to_owned()
    } else if few.contains(&found.max_messages_per_subject) {
        format!(
            "keeps {} messages of a subject",
            found.max_messages_per_subject
        )
    } else if found.subject_transform.is_some() {
        "writes subjects anew".to_owned()
    } else if found.num_replicas < options.replicas {
        format!(
            "has {} of {} replicas",
            found.num_replicas, options.replicas
        )
    } else {
        return Ok(());
    };
    let remedy = format!(
        "let it take {} with limits retention, file storage, acknowledgements and {} replicas, or \
         name another stream",
        subjects(options).join(", "),
        options.replicas
    );
    Err(SendError::held(format!("stream {name} {wrong}"), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_what_lies_below_it_and_nothing_beside() {
        let subject = "eu.wfm.*.realtime";
        for wide in [
            subject,
            "eu.wfm.>",
            "eu.>",
            ">",
            "*.wfm.*.*",
            "eu.*.*.realtime",
        ] {
            assert!(covers(wide, subject), "{wide}");
        }
        for narrow in [
            "eu.wfm.main.realtime",
            "eu.wfm.*.historical",
            "eu.wfm.*",
            "us.>",
            "eu.wfm.*.realtime.>",
        ] {
            assert!(!covers(narrow, subject), "{narrow}");
        }
    }
}
