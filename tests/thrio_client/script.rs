//! A server that answers as scripted, and what a test needs to talk to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thrio_edge::clock::Clock;
use thrio_edge::domain::call::{HistoricalCall, RealtimeCall, Snapshot, Timing};
use thrio_edge::domain::interval::{IntervalStart, Window};
use thrio_edge::domain::record::Run;
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};
use thrio_edge::stop::StopToken;
use thrio_edge::thrio::error::Cause;
use thrio_edge::thrio::{
    Answered, ApiOptions, ConnectionOptions, PasswordProvider, Source, ThrioConnection, ThrioError,
};

pub(crate) const LOGIN: &str = "/provider/token-with-authorities";
pub(crate) const REALTIME: &str = "/wfm/community/realTime";
pub(crate) const PASSWORD: &str = "canary-password-1";
pub(crate) const TOKEN: &str = "canary-token-1";
pub(crate) const FROM: i64 = 1_785_000_600;

/// One request as the server got it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) authorization: String,
    pub(crate) body: String,
    /// How many requests for the same path (without query) came before.
    pub(crate) nth: usize,
}

impl Seen {
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Status, extra header lines, body.
    Http(u16, Vec<String>, Vec<u8>),
    /// These very bytes, then the connection closes.
    Raw(Vec<u8>),
    /// Nothing, until the client goes away.
    Hang,
}

pub(crate) fn json(body: &str) -> Answer {
    Answer::Http(
        200,
        vec!["Content-Type: application/json".into()],
        body.into(),
    )
}

pub(crate) fn status(status: u16, body: &str) -> Answer {
    Answer::Http(
        status,
        vec!["Content-Type: application/json".into()],
        body.into(),
    )
}

pub(crate) fn with_header(answer: Answer, header: &str) -> Answer {
    match answer {
        Answer::Http(status, mut headers, body) => {
            headers.push(header.to_owned());
            Answer::Http(status, headers, body)
        }
        other => other,
    }
}

pub(crate) fn granted(location: &str) -> Answer {
    json(&format!(
        r#"{{"token":"{TOKEN}","location":"{location}","clientLocation":null,"authorities":["x"]}}"#
    ))
}

type Script = dyn Fn(&Seen) -> Answer + Send + Sync;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers every request by the script, connections side by side.
    pub(crate) fn start(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let script: Arc<Script> = Arc::new(script);
        let log = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, log) = (script.clone(), log.clone());
                std::thread::spawn(move || {
                    let _ = serve(stream.unwrap(), &*script, &log);
                });
            }
        });
        Self { address, seen }
    }

    /// The usual server: logs in, answers realtime with the script.
    pub(crate) fn with_data(data: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(move |seen| {
            if seen.path() == LOGIN {
                granted("")
            } else {
                data(seen)
            }
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.seen()
            .iter()
            .filter(|seen| seen.path() == path)
            .count()
    }
}

fn serve(stream: TcpStream, script: &Script, log: &Mutex<Vec<Seen>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    while let Some(mut seen) = read_request(&mut reader)? {
        {
            let mut log = log.lock().unwrap();
            seen.nth = log.iter().filter(|s| s.path() == seen.path()).count();
            log.push(seen.clone());
        }
        match script(&seen) {
            Answer::Http(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
                for header in headers {
                    head.push_str(&header);
                    head.push_str("\r\n");
                }
                stream.write_all(format!("{head}\r\n").as_bytes())?;
                stream.write_all(&body)?;
            }
            Answer::Raw(bytes) => {
                stream.write_all(&bytes)?;
                return Ok(());
            }
            Answer::Hang => {
                // Ends when the client closes.
                let _ = reader.read(&mut [0; 1]);
                return Ok(());
            }
        }
    }
    Ok(())
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Seen>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let mut seen = Seen {
        method: words.next().unwrap_or_default().to_owned(),
        target: words.next().unwrap_or_default().to_owned(),
        authorization: String::new(),
        body: String::new(),
        nth: 0,
    };
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim_end();
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap();
        match name.to_ascii_lowercase().as_str() {
            "authorization" => value.trim().clone_into(&mut seen.authorization),
            "content-length" => length = value.trim().parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    seen.body = String::from_utf8(body).unwrap();
    Ok(Some(seen))
}

/// A clock that a test moves; each reading is a millisecond later than the one before, so that
/// what was read first is told.
pub(crate) struct TestClock(Mutex<Duration>);

pub(crate) const START: i64 = 1_785_010_000;

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Duration::ZERO)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let mut passed = self.0.lock().unwrap();
        *passed += Duration::from_millis(1);
        Now {
            wall: WallTime::from_s(START).plus(*passed),
            mono: MonoTime::new(*passed),
        }
    }
}

/// A connection under test, with its password in the test's hand.
pub(crate) struct Bench {
    pub(crate) connection: ThrioConnection,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) stop: StopToken,
    pub(crate) password: Arc<Mutex<Result<String, String>>>,
    pub(crate) api: ApiOptions,
}

pub(crate) fn options(url: &str) -> ConnectionOptions {
    ConnectionOptions {
        base_url: url.to_owned(),
        user: "wfm@example.com".to_owned(),
        ..ConnectionOptions::default()
    }
}

impl Bench {
    pub(crate) fn new(server: &Server) -> Self {
        Self::with(options(&server.url()))
    }

    pub(crate) fn with(options: ConnectionOptions) -> Self {
        let clock = TestClock::new();
        let password = Arc::new(Mutex::new(Ok(PASSWORD.to_owned())));
        let provider: PasswordProvider = {
            let password = password.clone();
            Arc::new(move || password.lock().unwrap().clone().map(Into::into))
        };
        Self {
            connection: ThrioConnection::new(options, provider, clock.clone()).unwrap(),
            clock,
            stop: StopToken::new(),
            password,
            api: ApiOptions::default(),
        }
    }

    pub(crate) fn source(&self) -> Box<dyn Source> {
        self.connection
            .source(&self.api, self.clock.clone(), self.stop.clone())
    }

    /// One poll; the rows as (agent, state).
    pub(crate) fn poll(&self) -> Result<(Vec<(String, String)>, Timing), ThrioError> {
        let mut snapshot = Snapshot::default();
        let answered = self
            .source()
            .realtime(&RealtimeCall::default(), &mut snapshot)?;
        let rows = snapshot
            .rows()
            .map(|row| (row.agent.to_owned(), row.state.to_owned()))
            .collect();
        Ok((rows, answered.timing))
    }

    /// Why a poll fails.
    pub(crate) fn poll_cause(&self) -> Cause {
        self.poll().expect_err("the poll must fail").cause
    }

    pub(crate) fn set_password(&self, password: &str) {
        *self.password.lock().unwrap() = Ok(password.to_owned());
    }
}

pub(crate) fn window_call(intervals: i64) -> HistoricalCall {
    let from = IntervalStart::aligned_s(FROM).unwrap();
    HistoricalCall {
        window: Window::new(from, from.plus(intervals)),
        queue: None,
        queues: Vec::new(),
        run: Run::Live,
    }
}

pub(crate) fn value<T>(answered: Result<Answered<T>, ThrioError>) -> T {
    answered.expect("an answer").value
}

pub(crate) const ONE_AGENT: &str = r#"[{"agent-id":"a1","agent-status":"Available"}]"#;
