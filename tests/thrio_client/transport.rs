//! Time-outs, sizes, redirects, TLS, shutting down.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use thrio_edge::domain::call::FailureKind;
use thrio_edge::stop::StopToken;
use thrio_edge::thrio::ThrioConnection;
use thrio_edge::thrio::error::Cause;

use super::script::*;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zipped(body: &[u8]) -> Answer {
    Answer::Http(200, vec!["Content-Encoding: gzip".into()], gzip(body))
}

#[test]
fn a_zipped_answer_is_read() {
    let server = Server::with_data(|_| zipped(ONE_AGENT.as_bytes()));
    assert_eq!(Bench::new(&server).poll().unwrap().0.len(), 1);
}

#[test]
fn the_size_limit_counts_what_comes_out_of_the_compression() {
    // 20 MB of blanks are a few KB on the wire.
    let mut body = vec![b' '; 20_000_000];
    body.extend_from_slice(b"[]");
    let wire = gzip(&body);
    assert!(wire.len() < 100_000);
    let server = Server::with_data(move |_| {
        Answer::Http(200, vec!["Content-Encoding: gzip".into()], wire.clone())
    });
    let bench = Bench::new(&server);
    assert!(matches!(
        bench.poll_cause(),
        Cause::TooLarge {
            limit_bytes: 8_388_608
        }
    ));
    // The other feeds take 32 MiB.
    bench.source().historical(&window_call(1)).unwrap();
}

#[test]
fn a_body_over_the_limit_is_refused_while_it_streams() {
    let row = r#"{"queueId":"q","interval":1785000600,"enteredCount":1},"#;
    let server = Server::with_data(move |_| json(&format!("[{}1]", row.repeat(1000))));
    let mut options = options(&server.url());
    options.body_bytes_max = 10_000;
    let error = Bench::with(options)
        .source()
        .historical(&window_call(1))
        .unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::TooLarge);
}

#[test]
fn a_body_that_is_cut_or_garbled_is_no_answer() {
    let cut = format!("HTTP/1.1 200 X\r\nContent-Length: 500\r\n\r\n{ONE_AGENT}");
    let mut garbled = gzip(ONE_AGENT.as_bytes());
    let middle = garbled.len() / 2;
    garbled.truncate(middle);
    for answer in [
        Answer::Raw(cut.into_bytes()),
        Answer::Http(200, vec!["Content-Encoding: gzip".into()], garbled),
        Answer::Http(
            200,
            vec!["Content-Encoding: gzip".into()],
            b"not zipped at all".to_vec(),
        ),
    ] {
        let shown = format!("{answer:?}");
        let server = Server::with_data(move |_| answer.clone());
        let bench = Bench::new(&server);
        let error = bench.poll().unwrap_err();
        assert!(
            matches!(error.cause, Cause::NotThrio { .. }),
            "{shown}: {error}"
        );
        let error = bench.source().historical(&window_call(1)).unwrap_err();
        assert!(
            matches!(error.cause, Cause::NotThrio { .. }),
            "{shown}: {error}"
        );
    }
}

#[test]
fn a_slow_answer_ends_with_the_call_time_out() {
    let server = Server::with_data(|_| Answer::Hang);
    let mut options = options(&server.url());
    options.call_timeout = Duration::from_millis(300);
    let bench = Bench::with(options);
    let error = bench.poll().unwrap_err();
    assert!(
        matches!(&error.cause, Cause::Network(text) if text.contains("timed out")),
        "{error}"
    );
    assert_eq!(error.failure().kind, FailureKind::Unavailable);
}

#[test]
fn a_host_that_is_not_there_is_a_network_failure() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let bench = Bench::with(options(&format!("http://127.0.0.1:{port}")));
    assert_eq!(
        bench.poll().unwrap_err().failure().kind,
        FailureKind::Unavailable
    );
}

#[test]
fn shutting_down_ends_a_hanging_call_at_once_and_every_later_one() {
    for hang_at_login in [true, false] {
        let server = Server::start(move |seen| match seen.path() {
            LOGIN if !hang_at_login => granted(""),
            _ => Answer::Hang,
        });
        let bench = Arc::new(Bench::new(&server));
        let caller = std::thread::spawn({
            let bench = bench.clone();
            move || bench.poll_cause()
        });
        let waiting = if hang_at_login { 1 } else { 2 };
        while server.seen().len() < waiting {
            StopToken::new().wait(Duration::from_millis(5));
        }
        bench.connection.shutdown();
        assert_eq!(caller.join().unwrap(), Cause::Stopped);
        assert_eq!(bench.poll_cause(), Cause::Stopped);
        assert_eq!(bench.connection.held(), None);
    }
}

#[test]
fn nothing_is_sent_once_the_stop_is_set() {
    let server = Server::with_data(|_| json("[]"));
    let bench = Bench::new(&server);
    bench.stop.stop();
    let error = bench.poll().unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::Stopped);
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn a_redirect_within_the_host_is_followed_with_the_token() {
    let server = Server::with_data(|seen| match seen.path() {
        REALTIME => with_header(status(302, ""), "Location: /v2/realTime?x=1"),
        _ => json(ONE_AGENT),
    });
    Bench::new(&server).poll().unwrap();
    let last = server.seen().pop().unwrap();
    assert_eq!(
        (last.target.as_str(), last.authorization.as_str()),
        ("/v2/realTime?x=1", TOKEN)
    );
}

#[test]
fn at_most_three_redirects_are_followed() {
    let server = Server::with_data(|_| with_header(status(302, ""), "Location: /again"));
    let bench = Bench::new(&server);
    assert!(matches!(
        bench.poll_cause(),
        Cause::Rejected { status: 302, .. }
    ));
    assert_eq!(server.seen().len(), 1 + 4);
}

#[test]
fn a_redirect_to_another_host_scheme_or_port_never_sees_the_token() {
    let other = Server::start(|_| json(ONE_AGENT));
    for target in [
        format!("http://localhost:{}/", other.address.port()),
        format!("http://{}/", other.address),
        "https://tenant.thrio.io/".to_owned(),
    ] {
        let header = format!("Location: {target}");
        let server = Server::with_data(move |_| with_header(status(307, ""), &header));
        let bench = Bench::new(&server);
        let cause = bench.poll_cause();
        assert!(
            matches!(cause, Cause::HostNotAllowed { .. }),
            "{target}: {cause}"
        );
    }
    assert_eq!(other.seen().len(), 0);
}

#[test]
fn a_redirected_login_does_not_take_the_password_along() {
    let other = Server::start(|_| granted(""));
    let header = format!("Location: http://{}/", other.address);
    let server = Server::start(move |_| with_header(status(301, ""), &header));
    let bench = Bench::new(&server);
    assert!(matches!(bench.poll_cause(), Cause::HostNotAllowed { .. }));
    assert_eq!(other.seen().len(), 0);
    assert!(bench.connection.held().is_some());
}

#[test]
fn a_post_is_never_redirected() {
    let server = Server::with_data(|_| with_header(status(307, ""), "Location: /v2"));
    let mut bench = Bench::new(&server);
    bench.api.realtime.method = thrio_edge::thrio::api::Method::Post;
    assert!(matches!(
        bench.poll_cause(),
        Cause::Rejected { status: 307, .. }
    ));
    assert_eq!(server.seen().len(), 2);
}

/// A TLS server that answers every request with a login, and its certificate authority's file.
fn tls_server(folder: &std::path::Path, names: Vec<String>) -> (u16, std::path::PathBuf) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    thrio_edge::thrio::install_crypto_provider();
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, &ca_key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let file = folder.join("ca.pem");
    std::fs::write(&file, ca_pem).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut request = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut request);
            let body = format!(r#"{{"token":"{TOKEN}","location":""}}"#);
            let head = format!(
                "HTTP/1.1 200 X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (port, file)
}

#[test]
fn a_certificate_is_always_verified_and_a_sites_own_authority_is_a_setting() {
    let folder = tempfile::tempdir().unwrap();
    let (port, ca_file) = tls_server(folder.path(), vec!["localhost".to_owned()]);
    let url = format!("https://localhost:{port}");

    let mut trusting = options(&url);
    trusting.ca_file = Some(ca_file.clone());
    Bench::with(trusting).connection.log_in().unwrap();

    let error = Bench::with(options(&url)).connection.log_in().unwrap_err();
    assert!(matches!(error.cause, Cause::Tls(_)), "{error}");
    assert!(error.to_string().contains("ca_file"), "{error}");

    let mut misnamed = options(&format!("https://127.0.0.1:{port}"));
    misnamed.ca_file = Some(ca_file);
    let error = Bench::with(misnamed).connection.log_in().unwrap_err();
    assert!(matches!(error.cause, Cause::Tls(_)), "{error}");
}

#[test]
fn an_authority_file_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for file in [empty, folder.path().join("missing.pem")] {
        let mut options = options("https://login.thrio.com");
        options.ca_file = Some(file);
        let password: thrio_edge::thrio::PasswordProvider = Arc::new(|| Err(String::new()));
        let problem = ThrioConnection::new(options, password, TestClock::new()).unwrap_err();
        assert_eq!(problem.field, "ca_file");
    }
}

#[test]
fn a_proxy_is_used_where_one_is_configured() {
    // An HTTP proxy that refuses: it shows that the call went there and nowhere else.
    let proxy = Server::start(|_| status(403, ""));
    let mut options = options("https://login.thrio.com");
    options.proxy = Some(thrio_edge::thrio::ProxyUrl::new(proxy.url()));
    let error = Bench::with(options).connection.log_in().unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::Unavailable);
    assert_eq!(proxy.seen()[0].method, "CONNECT");
    assert_eq!(proxy.seen()[0].target, "login.thrio.com:443");
}
