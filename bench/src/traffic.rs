//! What goes over networks that are measured: servers, a client, and how much gets through. Plain threads with blocking sockets.

use crate::running::inside;
use crate::wait::{INTERVAL, Wait};
use anyhow::Result;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A request and its answer, bytes.
const REQUEST: usize = 100;
/// What bulk is read and written in, bytes.
const CHUNK: usize = 256 << 10;
/// Threads that accept, each serving one connection at a time.
const ACCEPTORS: usize = 32;
/// A peer that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(5);

/// A measure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 100 bytes there and back on connections that are kept.
    Requests,
    /// Connect, receive a byte, close.
    Connections,
    /// Bytes one way.
    Bulk,
}

impl Kind {
    /// All, by number.
    pub const ALL: [Kind; 3] = [Kind::Requests, Kind::Connections, Kind::Bulk];

    /// With its unit.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Requests => "requests/s",
            Kind::Connections => "connections/s",
            Kind::Bulk => "Gbit/s",
        }
    }

    /// The port that is served for it.
    pub fn port(self) -> u16 {
        8001 + self as u16
    }

    /// How many connections there are at a time.
    pub fn clients(self) -> usize {
        match self {
            Kind::Requests => 16,
            Kind::Connections => 8,
            Kind::Bulk => 4,
        }
    }

    /// What one counted step is worth in the measure's unit.
    fn worth(self) -> f64 {
        match self {
            Kind::Bulk => 8e-9,
            _ => 1.0,
        }
    }
}

/// The servers of a machine or a pod. They serve until the harness ends, and have nothing to say once that is gone.
pub struct Servers;

impl Servers {
    /// Listens in the network namespace.
    ///
    /// # Errors
    /// There is none, or nobody can listen there.
    pub fn start(namespace: &Path) -> Result<Servers> {
        for kind in Kind::ALL {
            let listener = inside(namespace, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, kind.port())))?;
            for _ in 0..ACCEPTORS {
                let listener = listener.try_clone()?;
                thread::spawn(move || {
                    for stream in listener.incoming().flatten() {
                        // Clients end as they like.
                        let _ = serve(kind, stream);
                    }
                });
            }
        }
        Ok(Servers)
    }
}

fn serve(kind: Kind, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match kind {
        Kind::Requests => {
            let mut request = [0; REQUEST];
            loop {
                stream.read_exact(&mut request)?;
                stream.write_all(&request)?;
            }
        }
        Kind::Connections => {
            stream.write_all(&[0; 2])?;
            io::copy(&mut stream, &mut io::sink()).map(drop)
        }
        Kind::Bulk => {
            let mut chunk = vec![0; CHUNK];
            while stream.read(&mut chunk)? > 0 {}
            Ok(())
        }
    }
}

/// Whether all ports are served there.
pub fn answers(namespace: &Path, address: Ipv4Addr) -> bool {
    let connects = |kind: Kind| inside(namespace, || connect((address, kind.port()).into()).map(drop)).is_ok();
    Kind::ALL.into_iter().all(connects)
}

/// How much gets through per second, in the measure's unit.
///
/// # Errors
/// A connection fails, or the user wants to stop.
pub fn measure(namespace: &Path, to: (Ipv4Addr, Kind), time: Duration, wait: &Wait) -> Result<f64> {
    measure_with(to.1.clients(), namespace, to, time, wait)
}

/// The same with so many clients at a time. One that asks alone waits for nothing but the way there and back.
///
/// # Errors
/// A connection fails, or the user wants to stop.
pub fn measure_with(
    clients: usize,
    namespace: &Path,
    to: (Ipv4Addr, Kind),
    time: Duration,
    wait: &Wait,
) -> Result<f64> {
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let (address, kind) = to;
    let address = SocketAddr::from((address, kind.port()));
    thread::scope(|scope| {
        let client = || scope.spawn(|| inside(namespace, || load(kind, address, &stop, &count)));
        let clients: Vec<thread::ScopedJoinHandle<'_, Result<()>>> = (0..clients).map(|_| client()).collect();
        let rate = rate(&count, time, wait);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("a client returns its errors")?;
        }
        Ok(rate? * kind.worth())
    })
}

/// Counts once the first connections stand.
fn rate(count: &AtomicU64, time: Duration, wait: &Wait) -> Result<f64> {
    wait.rest(4 * INTERVAL)?;
    let (began, before) = (Instant::now(), count.load(Ordering::Relaxed));
    wait.rest(time)?;
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let counted = (count.load(Ordering::Relaxed) - before) as f64;
    Ok(counted / began.elapsed().as_secs_f64())
}

fn load(kind: Kind, to: SocketAddr, stop: &AtomicBool, count: &AtomicU64) -> io::Result<()> {
    let goes_on = || !stop.load(Ordering::Relaxed);
    if kind == Kind::Connections {
        while goes_on() {
            // The server sends two bytes. One that is left unread has the kernel close with a reset, so that neither
            // ports nor entries of connection tracking wait out their minutes: they would run short.
            connect(to)?.read_exact(&mut [0])?;
            count.fetch_add(1, Ordering::Relaxed);
        }
        return Ok(());
    }
    let mut stream = connect(to)?;
    let mut chunk = vec![0; CHUNK];
    while goes_on() {
        let step = match kind {
            Kind::Bulk => stream.write(&chunk)?,
            _ => {
                stream.write_all(&chunk[..REQUEST])?;
                stream.read_exact(&mut chunk[..REQUEST])?;
                1
            }
        };
        count.fetch_add(step as u64, Ordering::Relaxed);
    }
    Ok(())
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, SILENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    Ok(stream)
}
