//! A stream of a test's own on the server that the tests share, and what is in it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use async_nats::ConnectOptions;
use async_nats::jetstream::Context;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::Config;
use secrecy::SecretString;
use thrio_edge::destination::jetstream::{JetStreamDestination, JetStreamOptions};
use thrio_edge::destination::{Credentials, Destination, Secret, SendError, Writer};
use thrio_edge::domain::batch::Batch;
use thrio_edge::domain::delivery::DeliveryOptions;
use thrio_edge::domain::ids::{BoxId, StoreId};

use crate::forwarding_box::ForwardingBox;
use crate::nats_server::{Servers, admin, messages, seqs, shared};
use crate::records::{batch, history, source};

/// The password of every user. No message may show it.
pub(crate) const PASSWORD: &str = "right-and-never-shown";

/// `wfm` may do everything, `narrow` what docs/fleet.md lists, `reader` nothing but read.
static SHARED: LazyLock<Servers> = LazyLock::new(|| {
    let user = |name: &str, permissions: &str| {
        format!("{{ user: {name}, password: \"{PASSWORD}\"{permissions} }}")
    };
    let narrow = ", permissions: { publish: [\"narrow.>\", \"$JS.API.STREAM.INFO.*\", \
                  \"$JS.API.STREAM.CREATE.*\", \"$JS.API.STREAM.MSG.GET.*\"], \
                  subscribe: \"_INBOX.>\" }";
    let reader = ", permissions: { publish: [\"$JS.API.STREAM.INFO.*\", \
                  \"$JS.API.STREAM.MSG.GET.*\"], subscribe: \"_INBOX.>\" }";
    let users = [
        user("wfm", ""),
        user("narrow", narrow),
        user("reader", reader),
    ];
    Servers::one(&format!(
        "max_payload: 65536\nauthorization {{ users = [{}] }}",
        users.join(", ")
    ))
});

/// A stream on the shared server.
pub(crate) struct Site {
    pub(crate) options: JetStreamOptions,
    pub(crate) context: Context,
}

impl Site {
    /// With a stream that the destination makes.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let address = SHARED.single().address();
        let url = format!("nats://{address}").parse().expect("an address");
        let mut options = JetStreamOptions::new(vec![url]);
        let name = format!("wfm{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        options.stream.clone_from(&name);
        options.subject_prefix = name;
        options.username = Some("wfm".to_owned());
        let login = ConnectOptions::with_user_and_password("wfm".to_owned(), PASSWORD.to_owned());
        Self {
            options,
            context: admin(login, vec![address]),
        }
    }

    /// With a stream that a person made.
    pub(crate) fn with_stream(change: impl FnOnce(&mut Config)) -> Self {
        let site = Self::new();
        site.make_stream(change);
        site
    }

    pub(crate) fn make_stream(&self, change: impl FnOnce(&mut Config)) {
        let config = self.config(change);
        shared()
            .block_on(self.context.create_stream(config))
            .expect("made");
    }

    /// What the destination would make, changed.
    pub(crate) fn config(&self, change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config {
            name: self.options.stream.clone(),
            subjects: ["realtime", "historical", "configuration"]
                .map(|feed| format!("{}.*.{feed}", self.options.subject_prefix))
                .to_vec(),
            num_replicas: 1,
            ..Config::default()
        };
        change(&mut config);
        config
    }

    pub(crate) fn has_stream(&self) -> bool {
        let found = shared().block_on(self.context.get_stream(&self.options.stream));
        found.is_ok()
    }

    pub(crate) fn destination(&self) -> JetStreamDestination {
        destination(&self.options, PASSWORD)
    }

    /// A box with a real journal before this stream.
    pub(crate) fn forwarding_box(&self) -> ForwardingBox {
        ForwardingBox::with_options(one_lane(), Box::new(self.destination()))
    }

    pub(crate) fn messages(&self) -> Vec<StreamMessage> {
        messages(&self.context, &self.options.stream)
    }

    /// The seqs of all records in the stream, in its order.
    pub(crate) fn seqs(&self) -> Vec<u64> {
        seqs(&self.messages())
    }

    pub(crate) fn purge(&self) {
        shared().block_on(async {
            let stream = self.context.get_stream(&self.options.stream).await;
            stream.expect("a stream").purge().await.expect("purged");
        });
    }
}

pub(crate) fn destination(
    options: &JetStreamOptions,
    password: &'static str,
) -> JetStreamDestination {
    let credentials = Credentials {
        token: None,
        password: Some(secret(password)),
    };
    JetStreamDestination::new(options.clone(), credentials)
}

pub(crate) fn secret(text: &'static str) -> Secret {
    Secret::new(Arc::new(move || Ok(SecretString::from(text))))
}

/// As the configuration sets it for this kind.
pub(crate) fn one_lane() -> DeliveryOptions {
    DeliveryOptions {
        lanes: false,
        ..DeliveryOptions::default()
    }
}

pub(crate) fn writer(box_id: &str, store: u128) -> Writer {
    Writer {
        box_id: BoxId::new(box_id).expect("an id"),
        store_id: StoreId::from_bits(store),
        sources: vec![source()],
        take_over: Vec::new(),
    }
}

/// The journal's records `first..first + count`: every kind and feed, again and again.
pub(crate) fn part(first: u64, count: u64) -> Batch {
    let history = history();
    let skipped = usize::try_from(first).expect("small") % history.len();
    let count = usize::try_from(count).expect("small");
    let records: Vec<_> = history
        .iter()
        .cycle()
        .skip(skipped)
        .take(count)
        .cloned()
        .collect();
    batch(first, &records)
}

/// What a person reads who must do something.
pub(crate) fn held<T: std::fmt::Debug>(result: Result<T, SendError>) -> String {
    match result {
        Err(SendError::Held { reason, remedy }) => {
            let text = format!("{reason}; {remedy}");
            assert!(!text.contains(PASSWORD), "{text}");
            text
        }
        other => panic!("not held: {other:?}"),
    }
}

/// What a person reads at a box whose source another has.
pub(crate) fn claimed<T: std::fmt::Debug>(result: Result<T, SendError>) -> String {
    match result {
        Err(SendError::Claimed { reason, remedy }) => format!("{reason}; {remedy}"),
        other => panic!("not claimed: {other:?}"),
    }
}

pub(crate) fn opened(mut to: JetStreamDestination, writer: &Writer) -> JetStreamDestination {
    to.open(writer).expect("opened");
    to
}
