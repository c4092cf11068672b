//! TLS in front of a server: a port of `localhost` with a certificate of an authority that only [`Tls::authority`] names.
//! Both were made with openssl for these tests; the key is no secret.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// See the module's text; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Tls {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls")).join(name)
}

impl Tls {
    /// In front of `http://HOST:PORT`.
    pub(crate) fn before(endpoint: &str) -> Self {
        let behind: SocketAddr = endpoint.trim_start_matches("http://").parse().expect("HOST:PORT");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, behind) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// `localhost:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// For `SSL_CERT_FILE`.
    pub(crate) fn authority() -> PathBuf {
        file("ca.pem")
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn serve(listener: TcpListener, behind: SocketAddr) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener can be registered");
    let chain = vec![CertificateDer::from_pem_file(file("host.pem")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(file("host.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).expect("they fit")));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // Whoever does not speak TLS, or does not trust it, goes away.
            let Ok(mut front) = acceptor.accept(stream).await else { return };
            let Ok(mut back) = TcpStream::connect(behind).await else { return };
            drop(tokio::io::copy_bidirectional(&mut front, &mut back).await);
        });
    }
}
