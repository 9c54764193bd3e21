//! The shipped mappings and the probe against the simulated Thrio, which speaks both contracts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thrio_edge::domain::call::{
    AgentState, ConfigurationAnswer, ConfigurationCall, HistoricalCall, RealtimeCall, Snapshot,
};
use thrio_edge::domain::interval::{IntervalStart, Window};
use thrio_edge::domain::record::Run;
use thrio_edge::domain::timestamp::WallTime;
use thrio_edge::simulator::{
    Behaviour, Centre, Preset, Replay, Server, Speech, serve, serve_replay,
};
use thrio_edge::stop::StopToken;
use thrio_edge::thrio::probe::{Asked, Prober, Pseudonyms, SavedCall, report};
use thrio_edge::thrio::wire::RealtimeParser;
use thrio_edge::thrio::{ApiOptions, HOLD_MIN};

use super::script::{Bench, START, TestClock, options, value};

fn mapping(text: &str) -> ApiOptions {
    toml::from_str(text).expect("a shipped mapping")
}

fn local() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn simulated(speech: Speech) -> Server {
    let centre = Arc::new(Centre::new(Preset::S, 7));
    let behaviour = Behaviour {
        speech,
        ..Behaviour::default()
    };
    serve(local(), centre, TestClock::new(), behaviour).unwrap()
}

fn rows_of(api: &ApiOptions, body: &[u8]) -> Vec<(String, String)> {
    let mut snapshot = Snapshot::default();
    RealtimeParser::new(&api.realtime)
        .parse(body, &mut snapshot)
        .unwrap();
    let row = |row: AgentState<'_>| (row.agent.to_owned(), row.state.to_owned());
    snapshot.rows().map(row).collect()
}

fn closed_window() -> HistoricalCall {
    let to = IntervalStart::containing(WallTime::from_s(START - 3600));
    HistoricalCall {
        window: Window::new(to.plus(-9), to),
        queue: None,
        queues: Vec::new(),
        run: Run::Live,
    }
}

#[test]
fn both_shipped_mappings_read_what_they_were_written_for() {
    for (speech, text) in [
        (
            Speech::default(),
            include_str!("../../conf/api/community.toml"),
        ),
        (
            Speech::sibling(),
            include_str!("../../conf/api/sibling.toml"),
        ),
    ] {
        let server = simulated(speech);
        let mut bench = Bench::with(options(&server.base_url()));
        bench.api = mapping(text);
        let mut source = bench.source();

        let mut snapshot = Snapshot::default();
        source
            .realtime(&RealtimeCall::default(), &mut snapshot)
            .unwrap();
        assert!(
            !snapshot.is_empty() && snapshot.rejected.count == 0,
            "{snapshot:?}"
        );
        assert!(snapshot.rows().all(|row| !row.by_username));

        let agents = match value(source.configuration(ConfigurationCall::Agents)) {
            ConfigurationAnswer::Agents(list) => list,
            ConfigurationAnswer::Queues(_) => panic!("agents were asked for"),
        };
        assert!(agents.complete && agents.entries.len() >= snapshot.len());
        let queues = match value(source.configuration(ConfigurationCall::Queues)) {
            ConfigurationAnswer::Queues(list) => list,
            ConfigurationAnswer::Agents(_) => panic!("queues were asked for"),
        };
        assert!(queues.complete && !queues.entries.is_empty());

        let mut call = closed_window();
        call.queues = queues
            .entries
            .iter()
            .map(|queue| queue.id.clone())
            .collect();
        let volume = value(source.historical(&call));
        assert!(
            !volume.rows.is_empty() && volume.rejected.count == 0,
            "{volume:?}"
        );
        assert!(
            volume
                .rows
                .iter()
                .all(|row| call.queues.contains(&row.queue))
        );
        server.stop();
    }
}

#[test]
fn a_token_that_the_server_forgot_is_bought_again() {
    let server = simulated(Speech::default());
    let bench = Bench::with(options(&server.base_url()));
    bench.poll().unwrap();
    server.forget_tokens();
    bench.poll().unwrap();
    bench.clock.advance(HOLD_MIN);
    assert_eq!(bench.connection.held(), None);
    server.stop();
}

#[test]
fn a_probe_proposes_what_the_sibling_contract_needs_and_its_answers_can_be_replayed() {
    let server = simulated(Speech::sibling());
    let api = mapping(include_str!("../../conf/api/sibling.toml"));
    let bench = Bench::with(options(&server.base_url()));
    let prober = Prober::new(
        bench.connection.clone(),
        api.clone(),
        bench.clock.clone(),
        StopToken::new(),
    );
    let folder = tempfile::tempdir().unwrap();
    let mut pseudonyms = Pseudonyms::new();
    let mut agents = Vec::new();
    for asked in [
        Asked::Realtime(None),
        Asked::Historical(closed_window()),
        Asked::Queues,
        Asked::Agents,
    ] {
        let feed = asked.feed();
        let sample = prober.ask(&asked).unwrap();
        if let Asked::Realtime(_) = asked {
            agents = rows_of(&api, &sample.body);
        }
        // Read with the defaults, which are not made for this contract.
        let defaults = ApiOptions::default();
        let found = report(feed, std::slice::from_ref(&sample), &defaults);
        assert!(found.shape.is_some() && found.rejected == 0, "{found:#?}");
        assert!(!found.rows.is_empty());
        let call = SavedCall::new(feed, 1, &sample, &api);
        let body = pseudonyms.body(feed, &sample.body, &api);
        std::fs::write(folder.path().join(&call.body_file), &body).unwrap();
        let text = serde_json::to_string(&call).unwrap();
        assert!(!text.contains("127.0.0.1"), "the host is not kept: {text}");
        std::fs::write(folder.path().join(call.file()), text).unwrap();
    }
    server.stop();

    let replay = Replay::read(folder.path()).unwrap();
    let clock = TestClock::new();
    clock.advance(Duration::from_secs(1));
    let server = serve_replay(local(), replay, clock, Behaviour::default()).unwrap();
    let mut again = Bench::with(options(&server.base_url()));
    again.api = api;
    let (replayed, _) = again.poll().unwrap();
    assert_eq!(replayed.len(), agents.len());
    let states =
        |rows: &[(String, String)]| rows.iter().map(|row| row.1.clone()).collect::<Vec<_>>();
    assert_eq!(states(&replayed), states(&agents), "states are kept");
    assert!(
        replayed
            .iter()
            .zip(&agents)
            .all(|(new, old)| new.0 != old.0),
        "ids are not"
    );
    let volume = value(again.source().historical(&closed_window()));
    assert!(!volume.rows.is_empty() && volume.rejected.count == 0);
    server.stop();
}
