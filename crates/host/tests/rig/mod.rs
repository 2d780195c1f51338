//! A region of its own for a test: a slot that nobody else has, machines that are bare network namespaces, servers and
//! clients inside them. All that the test made is removed when the rig is dropped, also after a panic.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};
use roadstead_host::net::{self, Nets, Setup, netns};
use roadstead_host::{Config, Saw};
use roadstead_hostspec::{ItemKey, MachinePort, Network, Port, Status};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd as _;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything in these tests should take, short enough to fail soon.
pub const LONG: Duration = Duration::from_secs(10);

pub struct Rig {
    pub config: Arc<Config>,
    pub statuses: Arc<Statuses>,
    pub dir: TempDir,
    _slot: nix::fcntl::Flock<std::fs::File>,
}

/// The latest status of every item.
#[derive(Default)]
pub struct Statuses(Mutex<BTreeMap<ItemKey, (u64, Status)>>);

impl Statuses {
    pub fn saw(self: &Arc<Statuses>) -> Saw {
        let statuses = self.clone();
        Arc::new(move |key, generation, status| {
            statuses.0.lock().unwrap().insert(key, (generation, status));
        })
    }

    pub fn all(&self) -> BTreeMap<ItemKey, (u64, Status)> {
        self.0.lock().unwrap().clone()
    }
}

impl Rig {
    /// Claims a slot. The lock falls with the process, so a killed test's leftovers are found and removed here.
    pub fn new() -> Rig {
        let (slot, lock) = (100..=250).rev().find_map(claim).expect("a free slot");
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        let config = Arc::new(Config {
            slot,
            state_dir: at("state"),
            run_dir: at("run"),
            components_dir: at("components"),
            outside: Some(netns::path(&format!("rs{slot}-outside"))),
            root_key: at("root.key"),
            region: "us-west-2".into(),
            region_address: at("address"),
            program: at("roadstead"),
        });
        std::fs::create_dir_all(&config.state_dir).unwrap();
        std::fs::create_dir_all(&config.run_dir).unwrap();
        clean(&config);
        Rig { config, statuses: Arc::default(), dir, _slot: lock }
    }

    pub fn nets(&self) -> Nets {
        Nets::new(self.config.clone(), self.statuses.saw())
    }

    /// A machine: an empty network namespace.
    pub fn machine(&self, id: &str) -> Machine {
        let name = format!("{}-{id}", self.config.mark());
        netns::create(&name).unwrap();
        Machine { id: id.to_owned(), namespace: name }
    }

    pub fn public(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 43, self.config.slot, last)
    }

    /// Everything on this machine that the region's mark could hide in.
    pub fn traces(&self) -> Vec<String> {
        let mark = self.config.mark();
        let mut traces = netns::list(&format!("{mark}-")).unwrap();
        traces.extend(lines("ip", &["-o", "link"], &format!(" {mark}-")));
        traces.extend(lines("nft", &["list", "tables"], &format!(" {mark}")));
        traces.extend(lines("ip", &["route", "show", "table", "all"], &format!("{mark}-")));
        traces.extend(lines("ip", &["neigh", "show", "nud", "all"], &format!("{mark}-")));
        traces
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        clean(&self.config);
    }
}

fn clean(config: &Config) {
    net::purge(config).unwrap();
    for name in netns::list(&format!("{}-", config.mark())).unwrap() {
        netns::delete(&name).unwrap();
    }
}

fn claim(slot: u8) -> Option<(u8, nix::fcntl::Flock<std::fs::File>)> {
    let path = std::env::temp_dir().join(format!("roadstead-slot-{slot}.lock"));
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
    let lock = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock).ok()?;
    Some((slot, lock))
}

pub fn lines(program: &str, args: &[&str], containing: &str) -> Vec<String> {
    let output = Command::new(program).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_whole = |line: &str| match line.find(containing) {
        Some(at) => {
            // What ends in a digit may be the beginning of another number.
            let digit = |c: char| c.is_ascii_digit();
            !(containing.ends_with(digit) && line[at + containing.len()..].starts_with(digit))
        }
        None => false,
    };
    text.lines().filter(|line| is_whole(line)).map(|line| format!("{program}: {line}")).collect()
}

pub struct Machine {
    pub id: String,
    pub namespace: String,
}

impl Machine {
    pub async fn attach(&self, nets: &Nets, ports: &[(&str, &str)]) {
        self.attach_as(nets, ports, Setup::All).await;
    }

    pub async fn attach_as(&self, nets: &Nets, ports: &[(&str, &str)], setup: Setup) {
        let ports: Vec<_> = ports.iter().map(|(p, n)| MachinePort { port: (*p).into(), name: (*n).into() }).collect();
        nets.attach(&self.id, &netns::path(&self.namespace), &ports, setup).await.unwrap();
    }

    /// Runs a program in the machine.
    pub fn run(&self, program: &str, args: &[&str]) {
        let status = netns::run_in(&self.namespace, || Command::new(program).args(args).status()).unwrap().unwrap();
        assert!(status.success(), "{program} {args:?}");
    }

    /// A server that greets with `ID CLIENT-ADDRESS\n` and then echoes. Ends, with its connections, when aborted.
    pub fn serve(&self, port: u16) -> Server {
        let id = self.id.clone();
        self.serve_with(port, move |stream| echo(stream, id.clone()))
    }

    /// A server that does this with each connection. Ends, with its connections, when dropped.
    pub fn serve_with<F>(&self, port: u16, each: impl Fn(TcpStream) -> F + Send + 'static) -> Server
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listen = || std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
        let listener = netns::run_in(&self.namespace, listen).unwrap().unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        Server(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(each(stream));
                while connections.try_join_next().is_some() {}
            }
        }))
    }

    /// Writes a setting below /proc/sys.
    pub fn sysctl(&self, key: &str, value: &str) {
        let path = format!("/proc/sys/{key}");
        netns::run_in(&self.namespace, || std::fs::write(path, value)).unwrap().unwrap();
    }

    /// Sends a datagram from an address that the machine may or may not have a right to.
    pub fn send(&self, from: Ipv4Addr, to: (Ipv4Addr, u16)) {
        let send = || std::net::UdpSocket::bind((from, 0))?.send_to(b"datagram", to);
        // Refused with an ICMP message or on its way: the receiver knows.
        let _ = netns::run_in(&self.namespace, send).unwrap();
    }

    /// Receives datagrams.
    pub fn receiver(&self, port: u16) -> Receiver {
        netns::run_in(&self.namespace, || Receiver::bind(port)).unwrap()
    }

    /// Whether an ICMP echo request is answered within 100 ms. One with an id that was let through is of a known
    /// connection.
    pub fn pings(&self, to: Ipv4Addr, id: u8) -> bool {
        let socket = || socket::socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), SockProtocol::Icmp);
        let socket = netns::run_in(&self.namespace, socket).unwrap().unwrap();
        socket::setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(100)).unwrap();
        // Type 8, code 0, the checksum of all that, the id, a number.
        let request = [8, 0, 0xf7, 0xff - id, 0, id, 0, 0];
        socket::sendto(socket.as_raw_fd(), &request, &SockaddrIn::from(SocketAddrV4::new(to, 0)), MsgFlags::empty())
            .unwrap();
        let mut answer = [0; 64];
        let length = socket::recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap_or(0);
        // An IP header without options, and type 0.
        length >= 28 && answer[20] == 0
    }

    pub async fn dial(&self, to: (Ipv4Addr, u16)) -> io::Result<Client> {
        dial(self.socket(), to).await
    }

    pub fn socket(&self) -> TcpSocket {
        netns::run_in(&self.namespace, TcpSocket::new_v4).unwrap().unwrap()
    }
}

/// Receives datagrams on the host, at every address.
pub fn receiver() -> Receiver {
    Receiver::bind(0)
}

pub struct Receiver {
    socket: std::net::UdpSocket,
    pub port: u16,
}

impl Receiver {
    fn bind(port: u16) -> Receiver {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let port = socket.local_addr().unwrap().port();
        Receiver { socket, port }
    }

    /// Whether a datagram is there, or comes within 100 ms.
    pub async fn receives(&self) -> bool {
        tokio::task::block_in_place(|| self.socket.recv(&mut [0; 64]).is_ok())
    }
}

/// Runs a program in a namespace, or on the host if that is empty.
pub fn run(namespace: &str, command: &[&str]) {
    let mut program = Command::new(command[0]);
    program.args(&command[1..]);
    let status = match namespace {
        "" => program.status(),
        name => netns::run_in(name, || program.status()).unwrap(),
    };
    assert!(status.unwrap().success(), "{command:?}");
}

/// Ends when dropped.
pub struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn echo(mut stream: TcpStream, id: String) -> io::Result<()> {
    let greeting = format!("{id} {}\n", stream.peer_addr()?.ip());
    stream.write_all(greeting.as_bytes()).await?;
    let mut buffer = [0; 256];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

/// A connection to a server of [`serve`].
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Which machine answered, and whom it saw.
    pub server: String,
    pub seen_as: Ipv4Addr,
}

impl Client {
    pub async fn greet(mut stream: TcpStream) -> io::Result<Client> {
        let mut greeting = String::new();
        while !greeting.ends_with('\n') {
            let mut byte = [0];
            if stream.read(&mut byte).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            greeting.push(char::from(byte[0]));
        }
        let (server, seen_as) = greeting.trim().split_once(' ').unwrap();
        Ok(Client { server: server.to_owned(), seen_as: seen_as.parse().unwrap(), stream })
    }

    /// Sends a word and waits for it to come back.
    pub async fn echo(&mut self) -> io::Result<()> {
        self.stream.write_all(b"word").await?;
        let mut back = [0; 4];
        self.stream.read_exact(&mut back).await?;
        Ok(())
    }
}

/// Connects and reads the greeting, within 2 s.
pub async fn dial(socket: TcpSocket, to: (Ipv4Addr, u16)) -> io::Result<Client> {
    let connect = async { Client::greet(socket.connect(SocketAddr::from(to)).await?).await };
    timeout(Duration::from_secs(2), connect).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

/// From the host, from no address in particular.
pub async fn dial_from_host(to: (Ipv4Addr, u16)) -> io::Result<Client> {
    dial(TcpSocket::new_v4().unwrap(), to).await
}

/// Tries until it succeeds.
pub async fn eventually<T, E: std::fmt::Debug>(mut f: impl AsyncFnMut() -> Result<T, E>) -> T {
    let start = std::time::Instant::now();
    loop {
        match f().await {
            Ok(value) => return value,
            Err(error) if start.elapsed() > LONG => panic!("still failing after {LONG:?}: {error:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

pub fn network(id: &str, cidr: &str) -> Network {
    Network { id: id.into(), cidrs: vec![cidr.parse().unwrap()], ..Network::default() }
}

/// A port whose MAC address follows from its address.
pub fn port(id: &str, network: &str, subnet: &str, address: &str) -> Port {
    let address: Ipv4Addr = address.parse().unwrap();
    let [a, b, c, d] = address.octets();
    let (mac, subnet) = (format!("02:11:{a:02x}:{b:02x}:{c:02x}:{d:02x}"), subnet.parse().unwrap());
    Port {
        id: id.into(),
        network: network.into(),
        mac,
        subnet,
        address,
        secondary: Vec::new(),
        groups: Vec::new(),
        forwards: false,
    }
}

pub fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}
