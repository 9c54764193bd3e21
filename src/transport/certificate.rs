//! When certificates end: those in files, and those that a server shows.
//!
//! A server is only looked at: the verifier takes notes and refuses, so that the connection ends
//! before anything was sent over it. That also tells the date of a certificate that has ended
//! already, which a connection that is verified would not.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode as _;

use crate::domain::expiry::Term;
use crate::domain::timestamp::WallTime;

/// How long connecting, and each read and write, may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// The request for TLS of PostgreSQL's protocol: its length, and the number that stands for it.
const POSTGRES_TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A NATS server names its cluster in its greeting: some hundred bytes.
const GREETING_BYTES_MAX: usize = 64 * 1024;

/// A server whose certificate is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How TLS begins there.
    pub begins: TlsBegins,
}

/// How a server begins to speak TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsBegins {
    /// At once.
    AtOnce,
    /// When PostgreSQL's protocol asks for it.
    Postgres,
    /// After a line of greeting, in plain text.
    Nats,
}

/// When a certificate counts. The error says why it cannot be told.
pub fn term_of(certificate: &[u8]) -> Result<Term, String> {
    let certificate = CertificateInner::<Raw>::from_der(certificate)
        .map_err(|error| format!("a certificate cannot be read: {error}"))?;
    let validity = certificate.tbs_certificate.validity;
    let at = |time: x509_cert::time::Time| {
        let s = time.to_unix_duration().as_secs();
        Some(WallTime::from_s(
            i64::try_from(s).unwrap_or(i64::MAX / 1000),
        ))
    };
    Ok(Term {
        since: at(validity.not_before),
        until: at(validity.not_after),
    })
}

/// When a chain that is shown to others counts: until the first of its certificates ends.
pub fn term_of_chain(file: &Path) -> Result<Term, String> {
    let terms = terms_in(file)?;
    Ok(terms.into_iter().fold(Term::default(), Term::and))
}

/// When authorities that are trusted count: until the last of them ends, since a bundle may hold
/// old ones beside the one that is meant.
pub fn term_of_authorities(file: &Path) -> Result<Term, String> {
    let last = terms_in(file)?.into_iter().max_by_key(|term| term.until);
    Ok(last.unwrap_or_default())
}

fn terms_in(file: &Path) -> Result<Vec<Term>, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("cannot be read: {error}");
    let mut terms = Vec::new();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| unreadable(&e))? {
        terms.push(term_of(&certificate.map_err(|e| unreadable(&e))?)?);
    }
    if terms.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    Ok(terms)
}

/// When the certificate counts that a server shows, with those that it brings along.
pub fn term_of_server(server: &TlsServer) -> Result<Term, String> {
    let shown = look_at(server).map_err(|error| super::text::excerpt(&error.to_string()))?;
    let mut term = Term::default();
    for certificate in &shown {
        term = term.and(term_of(certificate)?);
    }
    Ok(term)
}

fn look_at(server: &TlsServer) -> io::Result<Vec<CertificateDer<'static>>> {
    let name = ServerName::try_from(server.host.clone()).map_err(io::Error::other)?;
    let notes = Arc::new(TakesNotes::default());
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&notes) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let mut tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut stream = connect(server)?;
    match server.begins {
        TlsBegins::AtOnce => {}
        TlsBegins::Postgres => ask_postgres_for_tls(&mut stream)?,
        TlsBegins::Nats => read_greeting(&mut stream)?,
    }
    // It always fails: by the notes' refusal, or earlier.
    let ended = tls.complete_io(&mut stream).err();
    let shown = notes.0.lock().unwrap_or_else(PoisonError::into_inner);
    if shown.is_empty() {
        return Err(ended.unwrap_or_else(|| io::Error::other("it showed no certificate")));
    }
    Ok(shown.clone())
}

fn connect(server: &TlsServer) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the host name is not known");
    let host = server.host.trim_matches(['[', ']']);
    for address in (host, server.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, LOOK_TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(LOOK_TIMEOUT))?;
                stream.set_write_timeout(Some(LOOK_TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ask_postgres_for_tls(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&POSTGRES_TLS_REQUEST)?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    if answer == *b"S" {
        return Ok(());
    }
    Err(io::Error::other("the server speaks no TLS"))
}

/// Byte by byte: what follows the line is TLS.
fn read_greeting(stream: &mut TcpStream) -> io::Result<()> {
    let mut byte = [0];
    for _ in 0..GREETING_BYTES_MAX {
        stream.read_exact(&mut byte)?;
        if byte == *b"\n" {
            return Ok(());
        }
    }
    Err(io::Error::other("the server's greeting has no end"))
}

fn provider() -> Arc<CryptoProvider> {
    super::install_crypto_provider();
    Arc::clone(CryptoProvider::get_default().expect("it was installed"))
}

/// Keeps what the server shows, and trusts nobody.
#[derive(Debug, Default)]
struct TakesNotes(Mutex<Vec<CertificateDer<'static>>>);

impl TakesNotes {
    const REFUSAL: &'static str = "only looked at";
}

impl ServerCertVerifier for TakesNotes {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(certificate.clone().into_owned());
        notes.extend(others.iter().map(|other| other.clone().into_owned()));
        Err(Error::General(Self::REFUSAL.to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General(Self::REFUSAL.to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General(Self::REFUSAL.to_owned()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
