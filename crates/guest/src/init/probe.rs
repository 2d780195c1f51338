//! Asks a process whether it is ready, in a thread of its own until it says yes.

use anyhow::{Context as _, Result, bail};
use roadstead_hostspec::Probe;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use std::io::{PipeReader, Read, Write, pipe};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Between two tries.
const INTERVAL: Duration = Duration::from_millis(50);
/// A try that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(1);

/// Probes a process until it is ready; ends when dropped.
pub struct Prober {
    answer: PipeReader,
    stop: Arc<AtomicBool>,
}

impl Prober {
    /// Begins to probe.
    pub fn start(probe: Probe) -> Result<Prober> {
        let (answer, mut ready) = pipe()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let work = move || {
            while !stopped.load(Ordering::Relaxed) {
                if ask(&probe).is_ok() {
                    // Nobody listens any more if this fails.
                    let _ = ready.write_all(b"1");
                    return;
                }
                thread::sleep(INTERVAL);
            }
        };
        thread::Builder::new().name("probe".into()).stack_size(512 << 10).spawn(work)?;
        Ok(Prober { answer, stop })
    }
}

impl Prober {
    /// Whether the answer was yes; waits for it.
    pub fn ready(mut self) -> bool {
        self.answer.read(&mut [0]).is_ok_and(|n| n == 1)
    }
}

/// Readable as soon as there is an answer.
impl AsFd for Prober {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.answer.as_fd()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// One try.
fn ask(probe: &Probe) -> Result<()> {
    match probe {
        Probe::Tcp { address, port } => connect(*address, *port).map(drop),
        Probe::Http { address, port, path } => get(connect(*address, *port)?, *address, path),
        Probe::Https { address, port, path } => get(encrypt(connect(*address, *port)?, *address)?, *address, path),
    }
}

fn connect(address: Ipv4Addr, port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((address, port)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn get(mut stream: impl Read + Write, address: Ipv4Addr, path: &str) -> Result<()> {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: roadstead-init\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // The status code is in the first 12 bytes: `HTTP/1.1 200`.
    let mut status = [0; 12];
    stream.read_exact(&mut status).context("no whole status line")?;
    match status.ends_with(b" 200") {
        true => Ok(()),
        false => bail!("it answers {}", String::from_utf8_lossy(&status)),
    }
}

fn encrypt(stream: TcpStream, address: Ipv4Addr) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::IpAddress(address.into());
    Ok(StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, stream))
}

/// Accepts any certificate: a machine asks its own process, over loopback.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::ServerConfig;
    use std::net::TcpListener;

    const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

    /// Answers one request with `status`, over TLS if told so, and returns the port.
    fn serve(status: &'static str, tls: bool) -> u16 {
        let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            let mut request = [0; 1024];
            if !tls {
                let mut stream = stream;
                let _ = stream.read(&mut request).unwrap();
                return stream.write_all(answer.as_bytes()).unwrap();
            }
            let cert = rcgen::generate_simple_self_signed(["nobody.example".to_owned()]).unwrap();
            let key = rustls::pki_types::PrivateKeyDer::try_from(cert.signing_key.serialize_der()).unwrap();
            let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![cert.cert.into()], key)
                .unwrap();
            let mut stream = StreamOwned::new(rustls::ServerConnection::new(Arc::new(config)).unwrap(), stream);
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        port
    }

    #[test]
    fn only_a_200_is_a_yes() {
        let path = "/readyz".to_owned();
        let http = |status| Probe::Http { address: LOOPBACK, port: serve(status, false), path: path.clone() };
        let https = |status| Probe::Https { address: LOOPBACK, port: serve(status, true), path: path.clone() };
        ask(&http("200 OK")).unwrap();
        ask(&https("200 OK")).unwrap();
        assert!(ask(&http("503 Service Unavailable")).unwrap_err().to_string().contains("503"));
        assert!(ask(&https("401 Unauthorized")).unwrap_err().to_string().contains("401"));
        let free = TcpListener::bind((LOOPBACK, 0)).unwrap().local_addr().unwrap().port();
        ask(&Probe::Tcp { address: LOOPBACK, port: free }).unwrap_err();
    }

    #[test]
    fn a_prober_asks_until_somebody_is_there() {
        let free = TcpListener::bind((LOOPBACK, 0)).unwrap().local_addr().unwrap().port();
        let prober = Prober::start(Probe::Tcp { address: LOOPBACK, port: free }).unwrap();
        let _listener = TcpListener::bind((LOOPBACK, free)).unwrap();
        assert!(prober.ready());
    }
}
