//! A node in a VPC, as far as a CNI plugin sees them: two namespaces, and an EC2 that gives prefixes.

use crate::process::Process;
use crate::region::Parts;
use crate::running::inside;
use crate::space::ip;
use crate::wait::Wait;
use anyhow::Result;
use std::cell::Cell;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const ADDRESS: &str = "10.0.0.10";
const MAC: &str = "02:00:00:00:00:0a";
/// Longer than the daemon takes to start.
const LONG: Duration = Duration::from_secs(20);

/// The node; all of it ends when this is dropped.
pub struct Node {
    mark: String,
    /// Its own folder.
    pub folder: TempDir,
    pods: Cell<usize>,
    daemon: Option<Process>,
}

/// A pod's sandbox.
pub struct Pod {
    /// Its namespace's name, and its id.
    pub name: String,
}

impl Pod {
    /// Its namespace's file.
    pub fn namespace(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // It fails only if it is gone already.
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

impl Node {
    /// Makes it and starts our daemon on it.
    ///
    /// # Errors
    /// The namespaces can't be made, or the daemon does not start.
    pub fn new(parts: &Parts, wait: &Wait) -> Result<Node> {
        let folder = TempDir::with_prefix_in("roadstead-bench-", &parts.place)?;
        let mark = format!("bench{}", std::process::id());
        let mut node = Node { mark, folder, pods: Cell::new(0), daemon: None };
        let (inner, router) = (node.name(), node.router());
        for namespace in [&inner, &router] {
            ip(&["netns", "add", namespace])?;
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        }
        ip(&[
            "-n", &router, "link", "add", "r0", "type", "veth", "peer", "name", "eth0", "address", MAC, "netns", &inner,
        ])?;
        for own in ["10.0.0.1/20", "169.254.169.254/32", "169.254.171.1/32"] {
            ip(&["-n", &router, "address", "add", own, "dev", "r0"])?;
        }
        ip(&["-n", &router, "link", "set", "r0", "up"])?;
        ip(&["-n", &inner, "address", "add", &format!("{ADDRESS}/20"), "dev", "eth0"])?;
        ip(&["-n", &inner, "link", "set", "eth0", "up"])?;
        ip(&["-n", &inner, "route", "add", "default", "via", "10.0.0.1", "dev", "eth0"])?;
        let listener =
            inside(&Path::new("/run/netns").join(&router), || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)))?;
        serve(listener);
        std::os::unix::fs::symlink(&parts.roadstead, node.plugin())?;
        fs::create_dir(node.path("net.d"))?;
        node.daemon = Some(node.start(&parts.roadstead)?);
        let ready = node.path("net.d/10-aws.conflist");
        wait.until("the daemon is ready", LONG, || Ok((ready.exists() && node.socket().exists()).then_some(())))?;
        Ok(node)
    }

    /// Our plugin: the program under its other name.
    pub fn plugin(&self) -> PathBuf {
        self.path("aws-cni")
    }

    /// Where our daemon listens.
    pub fn socket(&self) -> PathBuf {
        self.path("ipamd.sock")
    }

    /// The namespace's file.
    pub fn namespace(&self) -> PathBuf {
        Path::new("/run/netns").join(self.name())
    }

    /// New sandboxes.
    ///
    /// # Errors
    /// They can't be made.
    pub fn pods(&self, count: usize) -> Result<Vec<Pod>> {
        let pod = |n| -> Result<Pod> {
            let pod = Pod { name: format!("{}-p{n}", self.mark) };
            ip(&["netns", "add", &pod.name])?;
            Ok(pod)
        };
        let from = self.pods.replace(self.pods.get() + count);
        (from..from + count).map(pod).collect()
    }

    fn name(&self) -> String {
        format!("{}-node", self.mark)
    }

    fn router(&self) -> String {
        format!("{}-router", self.mark)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, program: &Path) -> Result<Process> {
        let set = |name: &str, value: String| format!("{name}={value}");
        let path = |name: &str| self.path(name).display().to_string();
        let environment = [
            set("AWS_REGION", "us-east-1".into()),
            set("AWS_ENDPOINT_URL", "http://169.254.171.1".into()),
            set("ENABLE_PREFIX_DELEGATION", "true".into()),
            set("WARM_PREFIX_TARGET", "10".into()),
            set("IPAMD_SOCKET", path("ipamd.sock")),
            set("AWS_VPC_K8S_CNI_BACKING_STORE", path("ipam.json")),
            set("HOST_CNI_CONFDIR_PATH", path("net.d")),
        ];
        let mut argv = vec!["nsenter".to_owned(), format!("--net={}", self.namespace().display()), "env".to_owned()];
        argv.extend(environment);
        argv.extend([program.display().to_string(), "guest".into(), "aws-node".into()]);
        Process::start(self.folder.path(), "aws-node", argv)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.daemon = None;
        for namespace in [self.name(), self.router()] {
            let _ = ip(&["netns", "delete", &namespace]);
        }
    }
}

/// EC2 and the metadata service of an instance with one interface and as many prefixes as it wants.
fn serve(listener: TcpListener) {
    static PREFIXES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A daemon that goes away asks again.
            let _ = answer(stream, &PREFIXES);
        }
    });
}

fn answer(mut stream: TcpStream, prefixes: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut target, mut length) = (String::new(), 0);
    reader.read_line(&mut target)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap_or(0),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (target, body) = (target.split(' ').nth(1).unwrap_or_default(), String::from_utf8_lossy(&body).into_owned());
    let text = if target == "/" { ec2(&body, prefixes) } else { metadata(target).to_owned() };
    let length = text.len();
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}").as_bytes())
}

fn metadata(path: &str) -> &'static str {
    match path.rsplit('/').next().unwrap_or_default() {
        "instance-id" => "i-1",
        "instance-type" => "m5.large",
        "mac" => MAC,
        "local-ipv4" => ADDRESS,
        "vpc-ipv4-cidr-blocks" => "10.0.0.0/16",
        "subnet-id" => "subnet-1",
        "security-group-ids" => "sg-1",
        "node" => {
            r#"{"AccessKeyId": "ASIA", "SecretAccessKey": "x", "Token": "y", "Expiration": "2100-01-01T00:00:00Z"}"#
        }
        // The role's name; as good as any for a session.
        _ => "node",
    }
}

fn ec2(form: &str, prefixes: &Mutex<Vec<String>>) -> String {
    let field = |name: &str| form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let mut prefixes = prefixes.lock().expect("nobody panics here");
    let items = |prefixes: &[String]| -> String {
        prefixes.iter().map(|prefix| format!("<item><ipv4Prefix>{prefix}</ipv4Prefix></item>")).collect()
    };
    let inner = match field("Action").unwrap_or_default() {
        "DescribeInstanceTypes" => "<instanceTypeSet><item><networkInfo>\
            <maximumNetworkInterfaces>1</maximumNetworkInterfaces>\
            <ipv4AddressesPerInterface>200</ipv4AddressesPerInterface></networkInfo></item></instanceTypeSet>"
            .to_owned(),
        "DescribeSubnets" => "<subnetSet><item><cidrBlock>10.0.0.0/20</cidrBlock></item></subnetSet>".to_owned(),
        "AssignPrivateIpAddresses" => {
            let (from, count) = (prefixes.len(), field("Ipv4PrefixCount").and_then(|n| n.parse().ok()).unwrap_or(0));
            let prefix = |n: usize| format!("10.0.{}.{}/28", 16 + n / 16, n % 16 * 16);
            prefixes.extend((from..from + count).map(prefix));
            format!("<assignedIpv4PrefixSet>{}</assignedIpv4PrefixSet>", items(&prefixes[from..]))
        }
        "DescribeNetworkInterfaces" if form.contains("attachment.instance-id") => format!(
            "<networkInterfaceSet><item><networkInterfaceId>eni-0</networkInterfaceId><subnetId>subnet-1</subnetId>\
             <macAddress>{MAC}</macAddress><privateIpAddress>{ADDRESS}</privateIpAddress>\
             <attachment><deviceIndex>0</deviceIndex></attachment>\
             <ipv4PrefixSet>{}</ipv4PrefixSet></item></networkInterfaceSet>",
            items(&prefixes)
        ),
        "UnassignPrivateIpAddresses" => {
            let kept = |prefix: &String| !form.contains(&prefix.replace('/', "%2F"));
            prefixes.retain(kept);
            String::new()
        }
        _ => String::new(),
    };
    format!("<Response>{inner}</Response>")
}
