//! The calls of webhook and heartbeat.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use ureq::http::Response;

use super::options::{AlarmWays, SecretUrl};
use crate::domain::alarm::Failed;
use crate::domain::timestamp::WallTime;
use crate::transport::mask::Secrets;
use crate::transport::{AgentOptions, Trouble, agent, http_date, retry_after, roots};

/// How much of an answer is read: enough to say why it refuses.
const ANSWER_BYTES_MAX: u64 = 4_096;
/// One connection for the webhook, one for the heartbeat.
const IDLE_CONNECTIONS_MAX: usize = 2;
/// The longest wait that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// What makes the calls. Clones end together.
#[derive(Clone)]
pub(super) struct Caller {
    agent: ureq::Agent,
}

impl Caller {
    /// The error names the setting that cannot work.
    pub(super) fn new(ways: &AlarmWays) -> Result<Self, String> {
        let file = ways.ca_file.as_deref();
        let named = |why| format!("ca_file {}: {why}", file.unwrap_or(Path::new("")).display());
        let roots = roots(file).map_err(named)?;
        let proxy = ways.proxy.as_ref().map(|proxy| {
            let proxy = ureq::Proxy::new(proxy.expose().as_str());
            proxy.map_err(|_| "proxy: not a proxy's URL".to_owned())
        });
        Ok(Self {
            agent: agent(AgentOptions {
                roots,
                client_certificate: None,
                proxy: proxy.transpose()?,
                connect_timeout: ways.call_timeout,
                call_timeout: ways.call_timeout,
                idle_connections_max: IDLE_CONNECTIONS_MAX,
            }),
        })
    }

    /// Ends every call at once, now and from now on.
    pub(super) fn shutdown(&self) {
        self.agent.clone().shutdown();
    }

    /// A 2xx, or why not.
    pub(super) fn post(
        &self,
        url: &SecretUrl,
        token: Option<&SecretString>,
        body: &str,
        now: WallTime,
    ) -> Result<(), Failed> {
        let mut request = ureq::http::Request::builder()
            .method("POST")
            .uri(url.expose().as_str())
            .header("Content-Type", "application/json");
        let mut secrets = Secrets::default();
        if let Some(token) = token {
            secrets.hide(token.expose_secret());
            let value = format!("Bearer {}", token.expose_secret());
            request = request.header("Authorization", value);
        }
        let sent = request
            .body(body)
            .map_err(ureq::Error::from)
            .and_then(|request| self.agent.run(request));
        judge(url, sent, secrets, now)
    }

    /// A 2xx, or why not.
    pub(super) fn get(&self, url: &SecretUrl, now: WallTime) -> Result<(), String> {
        let sent = self.agent.get(url.expose().as_str()).call();
        judge(url, sent, Secrets::default(), now).map_err(|failed| failed.reason)
    }
}

fn judge(
    url: &SecretUrl,
    sent: Result<Response<ureq::Body>, ureq::Error>,
    mut secrets: Secrets,
    now: WallTime,
) -> Result<(), Failed> {
    let host = url.host();
    let failed = |reason: String, retry_after| Failed {
        reason: format!("{host}: {reason}"),
        retry_after,
    };
    let response = match sent {
        Ok(response) => response,
        Err(error) => {
            let (Trouble::Tls(why) | Trouble::Network(why)) = Trouble::of(&error);
            return Err(failed(why, None));
        }
    };
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    if status.is_redirection() {
        let reason = format!("status {status}: a redirect is not followed");
        return Err(failed(reason, None));
    }
    let header = |name: &str| {
        response
            .headers()
            .get(name)?
            .to_str()
            .ok()
            .map(str::to_owned)
    };
    let server_now = header("date").as_deref().and_then(http_date).unwrap_or(now);
    let wait = header("retry-after").and_then(|t| retry_after(&t, server_now, RETRY_AFTER_MAX));
    // What the other end says may repeat what it was called with.
    let address = url.expose();
    for part in [address.path(), address.query().unwrap_or("")] {
        if part.len() > 1 {
            secrets.hide(part);
        }
    }
    let mut text = Vec::new();
    let mut body = response.into_body().into_reader().take(ANSWER_BYTES_MAX);
    // What came before a broken end is still worth showing.
    let _ = body.read_to_end(&mut text);
    let said = secrets.excerpt(&String::from_utf8_lossy(&text));
    Err(failed(format!("status {status}: {said}"), wait))
}
