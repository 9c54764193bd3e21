//! A server of a few answers, which remembers what it was sent.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// Kinds of messages, by their first byte.
pub(crate) const PRELOGIN: u8 = 0x12;
pub(crate) const LOGIN: u8 = 0x10;
const ANSWER: u8 = 0x04;

/// What a server says of TLS before the login.
pub(crate) const TLS_NOT_SUPPORTED: u8 = 2;

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
            while let Some(kind) = next_message(&mut stream) {
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

    /// The kinds of the messages that came, once the client is gone.
    pub(crate) fn received(self) -> Vec<u8> {
        self.listening.join().expect("listened to the end")
    }
}

/// Reads a message of one or more packets; answers its kind.
fn next_message(stream: &mut TcpStream) -> Option<u8> {
    loop {
        let mut header = [0; 8];
        stream.read_exact(&mut header).ok()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let mut rest = vec![0; length.checked_sub(header.len())?];
        stream.read_exact(&mut rest).ok()?;
        if header[1] & 1 == 1 {
            return Some(header[0]);
        }
    }
}

fn packet(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).expect("short");
    let mut packet = vec![ANSWER, 1];
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
