//! A node, its VPC and its pods, all of them network namespaces, that end with the test.

use crate::fake::{Fake, PRIMARY, PRIMARY_MAC};
use nix::sched::{CloneFlags, setns};
use roadstead_guest::cni::daemon::{Client, Question};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Somebody in the VPC.
pub const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 9);
/// Somebody outside.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The metadata service.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const API: Ipv4Addr = Ipv4Addr::new(169, 254, 171, 1);
const LONG: Duration = Duration::from_secs(20);

/// All of it.
pub struct World {
    mark: String,
    pub fake: Arc<Fake>,
    pub dir: TempDir,
    daemon: Option<Child>,
    env: Vec<(String, String)>,
    pods: AtomicU32,
}

impl World {
    /// An instance of a type with these limits in a subnet with so many free addresses, and the daemon on it.
    pub fn new(limits: (u32, u32), free: u32, env: &[(&str, &str)]) -> World {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("cni{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (node, router) = (format!("{mark}-node"), format!("{mark}-router"));
        for namespace in [&node, &router] {
            shell(&format!("ip netns add {namespace} && ip -n {namespace} link set lo up"));
        }
        shell(&format!("ip -n {router} link add r0 type veth peer name eth0 address {PRIMARY_MAC} netns {node}"));
        for own in [PEER, OUTSIDE, METADATA, API, Ipv4Addr::new(10, 0, 0, 1)] {
            shell(&format!("ip -n {router} address add {own}/32 dev lo"));
        }
        router_port(&router, 0);
        shell(&format!("ip -n {router} route add {PRIMARY} dev r0"));
        shell(&format!("ip -n {node} address add {PRIMARY}/20 dev eth0 && ip -n {node} link set eth0 up"));
        shell(&format!("ip -n {node} route add default via 10.0.0.1 dev eth0"));
        let fake = Fake::new(&node, &router, limits, free);
        let listener = inside(&router, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)).unwrap());
        fake.serve(listener);
        let dir = TempDir::new().unwrap();
        for folder in ["net.d", "bin"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        // So that a large program is not copied for each test; where it can't be linked, it is.
        let _ = std::fs::hard_link(program(), dir.path().join("bin/aws-cni"));
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut world = World { mark, fake, dir, daemon: None, env, pods: AtomicU32::new(0) };
        world.start();
        world
    }

    pub fn node(&self) -> String {
        format!("{}-node", self.mark)
    }

    fn router(&self) -> String {
        format!("{}-router", self.mark)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the daemon and waits until it gives addresses.
    pub fn start(&mut self) {
        let path = |name: &str| self.path(name).display().to_string();
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut daemon = self.in_node(&[program().to_str().unwrap(), "guest", "aws-node"]);
        daemon.env("AWS_REGION", "us-east-1").env("AWS_ENDPOINT_URL", format!("http://{API}"));
        daemon.env("IPAMD_SOCKET", path("sock")).env("AWS_VPC_K8S_CNI_BACKING_STORE", path("ipam.json"));
        daemon.env("HOST_CNI_CONFDIR_PATH", path("net.d")).env("HOST_CNI_BIN_PATH", path("bin"));
        daemon.envs(self.env.iter().cloned());
        self.daemon = Some(daemon.stderr(log).spawn().unwrap());
        self.until("the daemon is ready", |world| {
            world.path("bin/aws-cni").exists()
                && world.path("net.d/10-aws.conflist").exists()
                && Client::new(&world.path("sock")).ask(Question::Find(key("nobody"))).is_ok()
        });
    }

    /// Kills the daemon without a warning.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    pub fn until(&self, what: &str, is: impl Fn(&World) -> bool) {
        let start = Instant::now();
        while !is(self) {
            let log = || std::fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(start.elapsed() < LONG, "still not so: {what}\n{}", log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// A program in the node's network.
    pub fn in_node(&self, argv: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.node())).args(argv);
        command
    }

    /// A pod's sandbox: an empty network namespace.
    pub fn sandbox(&self, name: &str) -> Sandbox {
        let namespace = format!("{}-p{}", self.mark, self.pods.fetch_add(1, Ordering::Relaxed));
        shell(&format!("ip netns add {namespace}"));
        Sandbox { container: format!("c-{namespace}"), pod: name.to_owned(), namespace }
    }

    /// Runs the plugin as a runtime does.
    pub fn plugin(&self, verb: &str, sandbox: &Sandbox, config: &Value) -> Result<Value, Value> {
        let mut plugin = self.in_node(&[program().to_str().unwrap(), "guest", "cni"]);
        plugin.env("CNI_COMMAND", verb).env("CNI_CONTAINERID", &sandbox.container).env("CNI_IFNAME", "eth0");
        plugin.env("CNI_NETNS", format!("/run/netns/{}", sandbox.namespace)).env("CNI_PATH", "/opt/cni/bin");
        plugin.env("CNI_ARGS", format!("K8S_POD_NAMESPACE=default;K8S_POD_NAME={}", sandbox.pod));
        let mut plugin = plugin.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        plugin.stdin.take().unwrap().write_all(config.to_string().as_bytes()).unwrap();
        let output = plugin.wait_with_output().unwrap();
        let value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        if output.status.success() { Ok(value) } else { Err(value) }
    }

    /// The network's configuration, with more in it.
    pub fn config(&self, more: Value) -> Value {
        let mut config = json!({
            "cniVersion": "1.1.0", "name": "aws-cni", "type": "aws-cni", "ipamdSocket": self.path("sock"),
        });
        config.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        config
    }

    pub fn add(&self, sandbox: &Sandbox) -> Ipv4Addr {
        let result = self.plugin("ADD", sandbox, &self.config(json!({}))).unwrap();
        let text = result["ips"][0]["address"].as_str().unwrap();
        ip(text.strip_suffix("/32").unwrap())
    }

    pub fn del(&self, sandbox: &Sandbox) {
        self.plugin("DEL", sandbox, &self.config(json!({}))).unwrap();
    }

    /// What the daemon says there: JSON.
    pub fn look(&self, path: &str) -> Value {
        let text = inside(&self.node(), || get((Ipv4Addr::LOCALHOST, 61679), path).unwrap());
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
    }

    /// As whom `from` is seen by who listens at `to`.
    pub fn seen(&self, from: &str, to: Ipv4Addr) -> Ipv4Addr {
        ip(&inside(from, || get((to, 80), "/peer")).unwrap_or_else(|why| panic!("{from} to {to}: {why}")))
    }

    /// Text that a program prints in the node's network.
    pub fn shown(&self, argv: &[&str]) -> String {
        String::from_utf8(self.in_node(argv).output().unwrap().stdout).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
        let pods = (0..self.pods.load(Ordering::Relaxed)).map(|n| format!("{}-p{n}", self.mark));
        for namespace in pods.chain([self.node(), self.router()]) {
            let _ = Command::new("ip").args(["netns", "delete", &namespace]).stderr(Stdio::null()).status();
        }
    }
}

/// A pod.
pub struct Sandbox {
    pub container: String,
    pub pod: String,
    pub namespace: String,
}

impl Sandbox {
    /// Serves `PEER\n` at port 80, once for each connection.
    pub fn serve(&self, port: u16) {
        let listener = inside(&self.namespace, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 512]);
                let peer = stream.peer_addr().unwrap().ip().to_string();
                let _ = write!(stream, "HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n{peer}", peer.len());
            }
        });
    }
}

pub fn key(container: &str) -> roadstead_guest::cni::daemon::Key {
    roadstead_guest::cni::daemon::Key { container: container.to_owned(), interface: "eth0".to_owned() }
}

/// A port of the router to an instance: it answers for all the VPC's addresses and takes only what belongs there.
pub fn router_port(router: &str, device: u32) {
    shell(&format!("ip -n {router} link set r{device} up"));
    for (key, value) in [("proxy_arp", "1"), ("rp_filter", "1"), ("forwarding", "1")] {
        shell(&format!(
            "nsenter --net=/run/netns/{router} sh -c 'echo {value} > /proc/sys/net/ipv4/conf/r{device}/{key}'"
        ));
    }
}

pub fn shell(line: &str) {
    let output = Command::new("sh").args(["-ec", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

pub fn inside<T: Send>(namespace: &str, f: impl FnOnce() -> T + Send) -> T {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    let enter = || {
        setns(file, CloneFlags::CLONE_NEWNET).unwrap();
        f()
    };
    thread::scope(|scope| scope.spawn(enter).join().unwrap())
}

pub fn get(to: (Ipv4Addr, u16), path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(to), Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

pub fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap_or_else(|_| panic!("'{text}' is no address"))
}

/// The product's program, as far as nodes need it.
pub fn program() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples/node")
}
