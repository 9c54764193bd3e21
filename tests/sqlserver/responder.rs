//! A server of a few answers, which remembers what it was sent.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

/// Kinds of messages, by their first byte.
pub(crate) const PRELOGIN: u8 = 0x12;
pub(crate) const LOGIN: u8 = 0x10;
const ANSWER: u8 = 0x04;

/// The first byte of what is encrypted, once TLS stands and the packets are inside it.
pub(crate) const ENCRYPTED: u8 = 0x17;

/// What a server says of TLS before the login.
pub(crate) const TLS_NOT_SUPPORTED: u8 = 2;
const TLS_REQUIRED: u8 = 3;

/// One connection's answers, in order; afterwards it listens until the client goes.
pub(crate) struct Responder {
    pub(crate) port: u16,
    listening: JoinHandle<Vec<u8>>,
}

impl Responder {
    pub(crate) fn start(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let listening = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut kinds = Vec::new();
            let mut answers = answers.into_iter();
            while let Some((kind, _)) = next_message(&mut stream) {
                kinds.push(kind);
                if let Some(answer) = answers.next() {
                    // The client may have gone already.
                    let _ = stream.write_all(&answer);
                }
            }
            kinds
        });
        Self { port, listening }
    }

    /// One that asks for TLS and shows this certificate. It hears the first byte of what comes once
    /// TLS stands.
    pub(crate) fn with_certificate(
        (certificate, key): &(impl AsRef<Path>, impl AsRef<Path>),
    ) -> Self {
        let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
        let key = PrivateKeyDer::from_pem_file(key).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config
            .with_single_cert(chain.expect("certificates"), key)
            .expect("they fit");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let listening = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut tls = ServerConnection::new(Arc::new(config)).expect("a configuration");
            shake_hands(&mut stream, &mut tls)
        });
        Self { port, listening }
    }

    /// The kinds of the messages that came, once the client is gone.
    pub(crate) fn received(self) -> Vec<u8> {
        self.listening.join().expect("listened to the end")
    }
}

/// The handshake travels in messages of the kind that came before the login.
fn shake_hands(stream: &mut TcpStream, tls: &mut ServerConnection) -> Vec<u8> {
    let mut kinds = Vec::new();
    while tls.is_handshaking() {
        let Some((kind, said)) = next_message(stream) else {
            return kinds;
        };
        kinds.push(kind);
        if kinds.len() == 1 {
            let _ = stream.write_all(&prelogin(TLS_REQUIRED));
            continue;
        }
        tls.read_tls(&mut said.as_slice()).expect("there is room");
        if tls.process_new_packets().is_err() {
            return kinds;
        }
        let mut flight = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut flight).expect("memory takes every byte");
        }
        if !flight.is_empty() {
            let _ = stream.write_all(&packet_of(PRELOGIN, &flight));
        }
    }
    let mut first = [0];
    if stream.read_exact(&mut first).is_ok() {
        kinds.push(first[0]);
    }
    kinds
}

/// Reads a message of one or more packets: its kind, and what it says.
fn next_message(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut said = Vec::new();
    loop {
        let mut header = [0; 8];
        stream.read_exact(&mut header).ok()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let mut rest = vec![0; length.checked_sub(header.len())?];
        stream.read_exact(&mut rest).ok()?;
        said.extend(rest);
        if header[1] & 1 == 1 {
            return Some((header[0], said));
        }
    }
}

fn packet(payload: &[u8]) -> Vec<u8> {
    packet_of(ANSWER, payload)
}

fn packet_of(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).expect("short");
    let mut packet = vec![kind, 1];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 1, 0]);
    packet.extend(payload);
    packet
}

/// The answer to the first message: a version, and what the server says of TLS.
pub(crate) fn prelogin(encryption: u8) -> Vec<u8> {
    let mut payload = vec![0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff];
    payload.extend([15, 0, 0, 0, 0, 0]);
    payload.push(encryption);
    packet(&payload)
}

/// The answer to a login: an error of this number.
pub(crate) fn error(number: u32, class: u8, message: &str) -> Vec<u8> {
    let wide: Vec<u8> = message.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut body = number.to_le_bytes().to_vec();
    body.extend([1, class]);
    let chars = u16::try_from(wide.len() / 2).expect("short");
    body.extend(chars.to_le_bytes());
    body.extend(wide);
    // No names of server and procedure, and the line.
    body.extend([0, 0, 1, 0, 0, 0]);
    let mut payload = vec![0xaa];
    payload.extend(u16::try_from(body.len()).expect("short").to_le_bytes());
    payload.extend(body);
    // Done, with an error.
    payload.extend([0xfd, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    packet(&payload)
}
