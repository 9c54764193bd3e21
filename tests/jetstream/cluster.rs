//! Three servers, of which the one that leads the stream is killed in the middle of a drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::Context;
use thrio_edge::destination::jetstream::{JetStreamDestination, JetStreamOptions};
use thrio_edge::destination::{Credentials, Destination, Interrupter, Receipt, SendError, Writer};
use thrio_edge::domain::batch::{Batch, CurrentState};
use thrio_edge::domain::delivery::DeliveryPhase;
use thrio_edge::domain::health::Heartbeat;
use thrio_edge::stop::StopToken;

use crate::forwarding_box::ForwardingBox;
use crate::nats_server::{
    Patience, Server, Servers, admin, assert_once, messages, pause, seqs, shared, wait_until,
};
use crate::records::history;
use crate::site::one_lane;

/// Killed so often, each time whichever leads then.
const KILLS: u64 = 2;
/// Rounds of the suite's history, which has every kind and feed.
const ROUNDS: u64 = 60;

fn context(servers: &Servers) -> Context {
    let addresses: Vec<String> = servers.list.iter().map(Server::address).collect();
    admin(ConnectOptions::new(), addresses)
}

/// Who leads the stream now, and whether all three keep it.
fn leader(context: &Context) -> Option<(String, bool)> {
    shared().block_on(async {
        let stream = context.get_stream("wfm").await.ok()?;
        let cluster = stream.cached_info().cluster.clone()?;
        let whole = cluster.replicas.len() == 2 && cluster.replicas.iter().all(|r| r.current);
        Some((cluster.leader.filter(|name| !name.is_empty())?, whole))
    })
}

/// Counts what is published, and fails what is under way when the leader was killed as it is.
struct Counted {
    inner: JetStreamDestination,
    /// How many batches are under way or done, for whoever kills in the middle of one.
    begun: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl Destination for Counted {
    fn open(&mut self, writer: &Writer) -> Result<Receipt, SendError> {
        self.inner.open(writer)
    }
    fn send(&mut self, batch: &Batch) -> Result<(), SendError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let sent = self.inner.send(batch);
        self.failed
            .fetch_add(u64::from(sent.is_err()), Ordering::SeqCst);
        sent
    }
    fn send_current(&mut self, states: &[CurrentState]) -> Result<(), SendError> {
        self.inner.send_current(states)
    }
    fn heartbeat(&mut self, beat: &Heartbeat) -> Result<(), SendError> {
        self.inner.heartbeat(beat)
    }
    fn probe(&mut self) -> Result<(), SendError> {
        self.inner.probe()
    }
    fn interrupter(&self) -> Option<Interrupter> {
        self.inner.interrupter()
    }
}

#[test]
fn a_leader_killed_in_the_middle_of_a_drain_costs_no_record_and_doubles_none() {
    let seed = std::env::var("THRIO_EDGE_SEED");
    let seed = seed.map_or_else(|_| fastrand::u64(..), |s| s.parse().expect("a seed"));
    println!("THRIO_EDGE_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut servers = Servers::three();
    let urls = servers
        .list
        .iter()
        .map(|s| format!("nats://{}", s.address()));
    let mut options = JetStreamOptions::new(urls.map(|u| u.parse().expect("a URL")).collect());
    options.replicas = 3;
    let (begun, failed) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let counted = || Counted {
        inner: JetStreamDestination::new(options.clone(), Credentials::default()),
        begun: Arc::clone(&begun),
        failed: Arc::clone(&failed),
    };
    let mut edge = ForwardingBox::with_options(one_lane(), Box::new(counted()));
    for _ in 0..ROUNDS {
        edge.journal(&history());
    }
    let records = ROUNDS * history().len() as u64;

    for kill in 0..KILLS {
        let context = context(&servers);
        // Some is there, and much is not.
        let least = records * (2 * kill + 1) / (2 * KILLS + 1);
        step_until(&mut edge, |edge| done(edge) >= least);
        wait_until("all three to keep the stream", || {
            leader(&context).is_some_and(|(_, whole)| whole)
        });
        let (name, _) = leader(&context).expect("a leader");
        let at = servers.list.iter().position(|s| s.name == name);
        let at = at.expect("one of ours");
        let before = begun.load(Ordering::SeqCst);
        let failed_before = failed.load(Ordering::SeqCst);
        let after_us = rng.u64(0..20_000);
        std::thread::scope(|scope| {
            let server = &servers.list[at];
            let begun = &begun;
            scope.spawn(move || {
                // While a batch is on its way, at any point of it.
                while begun.load(Ordering::SeqCst) == before {
                    std::thread::yield_now();
                }
                StopToken::new().wait(Duration::from_micros(after_us));
                server.kill();
            });
            step_until(&mut edge, |_| failed.load(Ordering::SeqCst) > failed_before);
        });
        let there = done(&edge);
        assert!(there < records, "the drain was over before the kill");
        println!("leader {name} killed, {there} of {records} acknowledged");
        if kill % 2 == 0 {
            // The box dies with it, and comes back.
            edge.restart(Box::new(counted()));
        }
        step_until(&mut edge, |edge| done(edge) > there);
        servers.list[at].restart();
    }
    step_until(&mut edge, |edge| done(edge) == records);
    let kept = messages(&context(&servers), "wfm");
    assert_once(&seqs(&kept), 1..=records);
    println!(
        "{records} records in {} messages: 0 missing, 0 doubled",
        kept.len()
    );
}

fn done(edge: &ForwardingBox) -> u64 {
    let balance = edge.status().balance;
    balance.last_seq.get() - balance.backlog
}

/// Steps the box, with a real pause wherever it waits.
fn step_until(edge: &mut ForwardingBox, is_so: impl Fn(&ForwardingBox) -> bool) {
    let patience = Patience::default();
    while !is_so(edge) {
        patience.hold(&format!("{:?}", edge.status()));
        edge.step();
        match edge.status().phase {
            DeliveryPhase::Waiting { .. } => pause(),
            DeliveryPhase::Held { reason, .. } => panic!("held: {reason}"),
            _ => {}
        }
    }
}
