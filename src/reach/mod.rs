//! How far one gets to a host: its name, its port, its certificate, its clock. For people who want to know why something
//! does not work.
//!
//! Sends no credentials, changes nothing, and does not try again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_rustls::ConfigBuilderExt as _;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as TlsError};

use crate::transport::{Reason, Transport};

mod certificate;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How one speaks to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// With TLS.
    Https,
}

/// A host with its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// How one speaks to it.
    pub scheme: Scheme,
    /// A name or an address.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl Host {
    /// The host of a URL; `None` for what is none.
    pub fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (scheme, usual) = match scheme {
            "http" => (Scheme::Http, 80),
            "https" => (Scheme::Https, 443),
            _ => return None,
        };
        let authority = rest.split(['/', '?']).next().filter(|text| !text.is_empty())?;
        let (name, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']')?;
                (name, port.strip_prefix(':'))
            }
            None => authority.split_once(':').map_or((authority, None), |(name, port)| (name, Some(port))),
        };
        let port = port.map_or(Ok(usual), str::parse).ok()?;
        Some(Self { scheme, name: name.to_owned(), port })
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.name.contains(':') {
            return write!(f, "[{}]:{}", self.name, self.port);
        }
        write!(f, "{}:{}", self.name, self.port)
    }
}

/// The addresses of a name.
///
/// # Errors
/// It has none, or nobody could be asked.
pub async fn resolve(host: &Host) -> io::Result<Vec<SocketAddr>> {
    let found = in_time(tokio::net::lookup_host((host.name.as_str(), host.port))).await?;
    let found: Vec<SocketAddr> = found.collect();
    if found.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(found) }
}

/// A connection to the first address that takes one.
///
/// # Errors
/// Why the last one did not.
pub async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut failed = io::Error::other("there is no address");
    for address in addresses {
        match in_time(TcpStream::connect(address)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, step).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Why there is no TLS with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The certificates of this system can't be read.
    NoRoots,
    /// What answers does not speak TLS.
    NoTls,
    /// The certificate has expired.
    Expired,
    /// The certificate holds from a later time on.
    NotYet,
    /// The certificate is of another name.
    OtherName,
    /// Nobody whom this system trusts has signed the certificate.
    Untrusted,
    /// Anything else: versions that don't fit, a broken connection.
    Failed,
}

/// Does what a client of the host does first, and tells until when its certificate holds (`None`: it can't be read).
///
/// # Errors
/// Why that fails.
pub async fn shake_hands(host: &Host, stream: TcpStream) -> Result<Option<Timestamp>, Refusal> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(|_| Refusal::Failed)?;
    let config = config.with_native_roots().map_err(|_| Refusal::NoRoots)?.with_no_client_auth();
    let name = ServerName::try_from(host.name.clone()).map_err(|_| Refusal::OtherName)?;
    let stream = in_time(TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    let stream = stream.map_err(|error| refusal(&error))?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    Ok(leaf.and_then(|leaf| certificate::until(leaf)))
}

fn refusal(error: &io::Error) -> Refusal {
    let told = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match told {
        Some(TlsError::InvalidMessage(_)) => Refusal::NoTls,
        Some(TlsError::InvalidCertificate(why)) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Refusal::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Refusal::NotYet,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Refusal::OtherName,
            _ => Refusal::Untrusted,
        },
        _ => Refusal::Failed,
    }
}

/// What a host said to a request without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Its clock minus ours, in seconds; `None` if it does not tell the time.
    pub ahead: Option<i64>,
}

/// Asks for the headers of a URL.
///
/// # Errors
/// There is no answer.
pub async fn ask(url: &str) -> Result<Answer, Reason> {
    let request = hyper::Request::head(url).body(Full::new(Bytes::new())).map_err(|_| Reason::Broken)?;
    let transport = Transport::new(url).map_err(|_| Reason::Certificate)?;
    let answer = tokio::time::timeout(PATIENCE, transport.send(request)).await.map_err(|_| Reason::Timeout)?;
    let answer = answer.map_err(|error| Reason::of(&error))?;
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
    let ahead = date.and_then(time).map(|theirs| theirs.as_second() - Timestamp::now().as_second());
    Ok(Answer { status: answer.status().as_u16(), ahead })
}

fn time(date: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(date).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_from_urls() {
        let host = |url: &str| Host::of(url).map(|host| (host.scheme, host.to_string()));
        assert_eq!(host("https://s3.example.com"), Some((Scheme::Https, "s3.example.com:443".to_owned())));
        assert_eq!(host("http://127.0.0.1:9000/acct?x"), Some((Scheme::Http, "127.0.0.1:9000".to_owned())));
        assert_eq!(host("http://[::1]:9/b"), Some((Scheme::Http, "[::1]:9".to_owned())));
        for none in ["s3.example.com", "ftp://x", "https://", "http://h:port"] {
            assert_eq!(host(none), None, "{none}");
        }
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        assert_eq!(time("Thu, 01 Jan 1970 00:01:40 GMT"), Some(Timestamp::from_second(100).unwrap()));
        assert_eq!(time("yesterday"), None);
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_refuses_and_a_name_that_nobody_has_does_not_resolve() {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(connect(&[free]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(resolve(&Host::of("http://name.invalid").unwrap()).await.is_err());
    }
}
