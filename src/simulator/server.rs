//! The simulated Thrio's HTTP side: loopback only, everything on the clock it is given.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use serde_json::json;
use tokio::sync::watch;

use super::connection::{CuttableListener, Scissors};
use super::faults::{Behaviour, FaultKind, Route, Switchboard};
use super::question::Question;
use super::replay::Replay;
use super::reply::{
    NOT_FOUND_PAGE, body_length, failure, html, json_body, problem, set, status_of, with_type,
};
use super::session::{Refused, Sessions};
use super::speech::{List, LocationStyle, Speech};
use super::{Centre, Fault, wire};
use crate::clock::Clock;

/// Starts a simulated Thrio on `listen` (port 0 = any free one) and returns once it answers.
///
/// Its time is `clock`'s: the `Date` header, the states and the figures, so that a box on the same
/// clock sees a consistent world at any speed.
pub fn serve(
    listen: SocketAddr,
    centre: Arc<Centre>,
    clock: Arc<dyn Clock>,
    behaviour: Behaviour,
) -> io::Result<Server> {
    start(listen, Answers::Simulated(centre), clock, behaviour)
}

/// The same with answers that `probe --save` kept, whatever is asked.
pub fn serve_replay(
    listen: SocketAddr,
    replay: Replay,
    clock: Arc<dyn Clock>,
    behaviour: Behaviour,
) -> io::Result<Server> {
    start(listen, Answers::Kept(replay), clock, behaviour)
}

/// A running simulated Thrio; it stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    desk: Arc<Desk>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client takes as `base_url`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Replaces the faults; their times count from now.
    pub fn switch_faults(&self, faults: Vec<Fault>) {
        self.desk.faults.switch(faults, self.desk.now_ms());
    }

    /// Makes every token invalid, as a restart of the real one would.
    pub fn forget_tokens(&self) {
        self.desk.sessions().forget();
    }

    /// How many calls of each kind came, faulty ones included.
    pub fn calls(&self) -> BTreeMap<Route, u64> {
        self.desk.calls().clone()
    }

    /// Stops answering; calls that hang are dropped.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Nobody listening any more means that it has ended already.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where answers come from.
#[derive(Debug)]
enum Answers {
    Simulated(Arc<Centre>),
    Kept(Replay),
}

/// What all calls share.
struct Desk {
    answers: Answers,
    clock: Arc<dyn Clock>,
    speech: Speech,
    address: SocketAddr,
    faults: Switchboard,
    sessions: Mutex<Sessions>,
    calls: Mutex<BTreeMap<Route, u64>>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn start(
    listen: SocketAddr,
    answers: Answers,
    clock: Arc<dyn Clock>,
    behaviour: Behaviour,
) -> io::Result<Server> {
    if !listen.ip().is_loopback() {
        let refusal = format!("{listen} is no loopback address; the simulator has no encryption");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, refusal));
    }
    let listener = std::net::TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let seed = match &answers {
        Answers::Simulated(centre) => {
            centre.warm_up(clock.now().wall.ms());
            centre.seed()
        }
        Answers::Kept(_) => 0,
    };
    let desk = Arc::new(Desk {
        answers,
        clock,
        speech: behaviour.speech,
        address,
        faults: Switchboard::new(seed),
        sessions: Mutex::default(),
        calls: Mutex::default(),
    });
    desk.faults.switch(behaviour.faults, desk.now_ms());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("simulator-io")
        .enable_all()
        .build()?;
    let (stop, stopped) = watch::channel(false);
    let thread = std::thread::Builder::new()
        .name("simulator".to_owned())
        .spawn({
            let desk = Arc::clone(&desk);
            move || {
                runtime.block_on(answer_until(listener, desk, stopped));
                // Calls that hang on purpose would otherwise hold the runtime for ever.
                runtime.shutdown_background();
            }
        })?;
    Ok(Server {
        address,
        desk,
        stop,
        thread: Some(thread),
    })
}

async fn answer_until(
    listener: std::net::TcpListener,
    desk: Arc<Desk>,
    mut stopped: watch::Receiver<bool>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let app = Router::new()
        .fallback(call)
        .with_state(desk)
        .into_make_service_with_connect_info::<Scissors>();
    tokio::select! {
        // It ends with an error never: accept errors are retried by axum.
        _ = axum::serve(CuttableListener(listener), app) => {}
        // A dropped sender is a stop as well.
        _ = stopped.wait_for(|stop| *stop) => {}
    }
}

async fn call(
    Shared(desk): Shared<Arc<Desk>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if uri.path().starts_with("/simulator/") {
        return desk.operate(&method, uri.path(), &body);
    }
    let Some(route) = desk.route(uri.path()) else {
        return html(StatusCode::NOT_FOUND, NOT_FOUND_PAGE);
    };
    *desk.calls().entry(route).or_default() += 1;
    let fault = desk.faults.strike(route, desk.now_ms());
    match fault {
        Some(FaultKind::Hang) => std::future::pending().await,
        Some(FaultKind::Slow { ms }) => {
            tokio::time::sleep(desk.clock.real(Duration::from_millis(ms))).await;
        }
        Some(FaultKind::Reset) => scissors.cut_after(0),
        _ => {}
    }
    let asked = Asked {
        route,
        offset_ms: match fault {
            Some(FaultKind::ClockOffset { offset_s }) => offset_s * 1_000,
            _ => 0,
        },
        question: Question::read(uri.query(), &body),
        authorization: headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        host: headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        fault,
    };
    // Drawing a large centre's figures takes a while; the calls beside it must not wait.
    let answered = tokio::task::spawn_blocking({
        let desk = Arc::clone(&desk);
        move || {
            let response = desk.answer(&asked);
            if let (Some(FaultKind::Cut), Some(length)) = (&asked.fault, body_length(&response)) {
                scissors.cut_after(HEADER_BYTES_ABOUT + length / 2);
            }
            response
        }
    });
    let answered = answered.await;
    // The next service day, so that no poll has to wait for it; nothing once it is there.
    tokio::task::spawn_blocking(move || desk.prepare());
    answered.unwrap_or_else(|_| html(StatusCode::INTERNAL_SERVER_ERROR, "simulator failed"))
}

/// About what the status line and headers of an answer need; a cut lies behind them.
const HEADER_BYTES_ABOUT: u64 = 160;

/// One call, as far as the answer depends on it.
struct Asked {
    route: Route,
    fault: Option<FaultKind>,
    offset_ms: i64,
    question: Question,
    authorization: Option<String>,
    host: Option<String>,
}

impl Desk {
    fn now_ms(&self) -> i64 {
        self.clock.now().wall.ms()
    }

    fn route(&self, path: &str) -> Option<Route> {
        if let Answers::Kept(replay) = &self.answers
            && let Some(route) = replay.route(path)
        {
            return Some(route);
        }
        match path {
            "/provider/token-with-authorities" => Some(Route::Login),
            "/data/api/types/queue" => Some(Route::Queues),
            "/data/api/types/user" => Some(Route::Users),
            path if path == self.speech.realtime.path => Some(Route::Realtime),
            path if path == self.speech.historical.path => Some(Route::Historical),
            _ => None,
        }
    }

    fn prepare(&self) {
        if let Answers::Simulated(centre) = &self.answers {
            centre.warm_up(self.now_ms());
        }
    }

    fn answer(&self, asked: &Asked) -> Response {
        let mut response = match asked.fault.as_ref().and_then(failure) {
            Some(failed) => failed,
            None => self.good_answer(asked),
        };
        if self.speech.date_header {
            let at_ms = u64::try_from(self.now_ms() + asked.offset_ms).unwrap_or(0);
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(at_ms));
            set(&mut response, header::DATE, &date);
        } else {
            // The HTTP library would add the machine's own.
            set(&mut response, header::DATE, "unreadable");
        }
        response
    }

    fn good_answer(&self, asked: &Asked) -> Response {
        let now_ms = self.now_ms() + asked.offset_ms;
        let authorization = asked.authorization.as_deref();
        if asked.route == Route::Login {
            return self.log_in(asked, now_ms);
        }
        let Some(token) = self
            .sessions()
            .token(self.speech.auth, authorization, now_ms)
            .map(str::to_owned)
        else {
            return problem(StatusCode::UNAUTHORIZED, "invalid or expired token");
        };
        match &self.answers {
            Answers::Simulated(centre) => self.simulated(centre, asked, &token, now_ms),
            Answers::Kept(replay) => match replay.next(asked.route) {
                Some(kept) => with_type(status_of(kept.status), &kept.content_type, kept.body),
                None => html(StatusCode::NOT_FOUND, NOT_FOUND_PAGE),
            },
        }
    }

    fn log_in(&self, asked: &Asked, now_ms: i64) -> Response {
        let authorization = asked.authorization.as_deref();
        match self.sessions().log_in(&self.speech, authorization, now_ms) {
            Ok(token) => {
                let location = self.location(asked.host.as_deref());
                json_body(
                    StatusCode::OK,
                    json!({"token": token, "location": location, "clientLocation": null})
                        .to_string(),
                )
            }
            Err(Refused::BadCredentials) => {
                problem(StatusCode::UNAUTHORIZED, "bad user name or password")
            }
            Err(Refused::Locked) => problem(StatusCode::UNAUTHORIZED, "account locked"),
        }
    }

    fn location(&self, host: Option<&str>) -> String {
        if let Some(location) = &self.speech.location {
            return location.clone();
        }
        let here = host.map_or_else(|| self.address.to_string(), str::to_owned);
        match self.speech.location_style {
            LocationStyle::Url => format!("http://{here}"),
            LocationStyle::UrlWithSlash => format!("http://{here}/"),
            LocationStyle::BareHost => here,
        }
    }

    fn simulated(&self, centre: &Centre, asked: &Asked, token: &str, now_ms: i64) -> Response {
        let bad_rows = asked.fault == Some(FaultKind::BadRows);
        let body = match asked.route {
            Route::Realtime => self.states(centre, asked, token, now_ms),
            Route::Historical => {
                let starts = asked.question.moment_ms(&["starttime", "start", "from"]);
                let ends = asked.question.moment_ms(&["endtime", "end", "to"]);
                let (Some(from_ms), Some(to_ms)) = (starts, ends) else {
                    return problem(
                        StatusCode::BAD_REQUEST,
                        "startTime and endTime are required",
                    );
                };
                let volume = wire::VolumeAsked {
                    from_s: from_ms.div_euclid(1_000),
                    to_s: to_ms.div_euclid(1_000),
                    queues: asked.question.queues().to_vec(),
                    now_ms,
                    bad_rows,
                };
                wire::volumes(centre, &self.speech.historical, &volume)
            }
            Route::Queues => {
                let page = page_asked(asked, bad_rows);
                wire::queues(
                    &centre.roster_at(now_ms).queues,
                    &self.speech.configuration,
                    &page,
                )
            }
            Route::Users => {
                let page = page_asked(asked, bad_rows);
                wire::users(
                    &centre.roster_at(now_ms).users,
                    &self.speech.configuration,
                    &page,
                )
            }
            Route::Login => unreachable!("a login was answered before"),
        };
        json_body(StatusCode::OK, body)
    }

    fn states(&self, centre: &Centre, asked: &Asked, token: &str, now_ms: i64) -> String {
        let polled_ms = self.sessions().polled(token, now_ms);
        let asked_since_ms = asked
            .question
            .moment_ms(&["lastrantime", "since", "lastrun"]);
        let states = wire::StatesAsked {
            at_ms: now_ms,
            after_ms: asked_since_ms.or(polled_ms),
            list: match asked.fault {
                Some(FaultKind::ListFull) => List::Full,
                Some(FaultKind::ListDelta) => List::Delta,
                _ => self.speech.realtime.list,
            },
            vanished_share: match asked.fault {
                Some(FaultKind::Vanish { share }) => share,
                _ => 0.0,
            },
            bad_rows: asked.fault == Some(FaultKind::BadRows),
        };
        wire::states(centre, &self.speech.realtime, &states)
    }

    /// The simulator's own switches: `GET`, `POST` (a list of faults) and `DELETE` of
    /// `/simulator/faults`, `GET /simulator/calls`, `DELETE /simulator/tokens`.
    fn operate(&self, method: &Method, path: &str, body: &[u8]) -> Response {
        match (method.as_str(), path) {
            ("POST", "/simulator/faults") => match serde_json::from_slice::<Vec<Fault>>(body) {
                Ok(faults) => self.faults.switch(faults, self.now_ms()),
                Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
            },
            ("DELETE", "/simulator/faults") => self.faults.switch(Vec::new(), self.now_ms()),
            ("GET", "/simulator/faults") => {}
            ("GET", "/simulator/calls") => {
                return json_body(StatusCode::OK, json!(*self.calls()).to_string());
            }
            ("DELETE", "/simulator/tokens") => self.sessions().forget(),
            _ => return problem(StatusCode::NOT_FOUND, "no such switch"),
        }
        json_body(StatusCode::OK, json!(self.faults.faults()).to_string())
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn calls(&self) -> MutexGuard<'_, BTreeMap<Route, u64>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The default of `rows`, where a call does not say.
const PAGE_ROWS_DEFAULT: usize = 25;

fn page_asked(asked: &Asked, bad_rows: bool) -> wire::PageAsked {
    let repeats = asked.fault == Some(FaultKind::RepeatPages);
    wire::PageAsked {
        start: match asked.question.number("start") {
            Some(start) if !repeats => start,
            _ => 0,
        },
        rows: asked.question.number("rows").unwrap_or(PAGE_ROWS_DEFAULT),
        bad_rows,
    }
}
