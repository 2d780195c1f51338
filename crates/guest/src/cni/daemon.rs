//! What plugin and daemon say to each other: a line of JSON each way, on a connection of its own for each question.
//!
//! Both come from one program, so their versions must be equal; while a node is upgraded they may not be for a moment,
//! and then the plugin says so and the runtime tries again.

use super::input::PortMapping;
use super::output::{Code, Failure};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Where the daemon listens.
pub const SOCKET: &str = "/var/run/aws-node/ipamd.sock";
/// The version that both must have.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The longest question or answer, bytes: a thousand attachments come to a tenth.
const LONGEST: u64 = 4 << 20;
/// How long an answer may take. The daemon answers within its own patience for new addresses, which is shorter.
const PATIENCE: Duration = Duration::from_secs(15);

/// A question with the version of who asks.
#[derive(Serialize, Deserialize)]
pub struct Envelope {
    /// [`VERSION`].
    pub version: String,
    /// A [`Question`], or an [`Answer`]: read only once the versions are known to be equal.
    pub body: Value,
}

/// What a plugin asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// A lease for a pod; the one it has, if it asked before.
    Assign(Pod),
    /// To end a lease, if there is one.
    Release(Key),
    /// A lease that should be there.
    Find(Key),
    /// To end all leases but these.
    Keep(Vec<Key>),
    /// Whether pods can be added.
    Status,
    /// To end, as another daemon takes its place: it is answered by the end of the connection.
    Leave,
}

/// What the daemon answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A new lease, or the one that the pod has.
    Assigned {
        /// It.
        lease: Box<Lease>,
        /// By what the pod's wire takes part in flows that go straight through the node, if it has such.
        flows: Option<[u32; 2]>,
    },
    /// A lease.
    Lease(Box<Lease>),
    /// There is none.
    Nothing,
    /// The leases that ended.
    Released(Vec<Lease>),
    /// Pods can be added.
    Ready,
    /// It can't be done.
    Refused {
        /// The number of a [`Code`].
        code: u32,
        /// Why.
        message: String,
    },
}

/// An attachment: a container's interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The container's (that is, the sandbox's) id.
    pub container: String,
    /// The interface's name in it.
    pub interface: String,
}

/// Who wants an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// The attachment.
    pub key: Key,
    /// The pod's namespace; empty if it is none of Kubernetes's.
    pub namespace: String,
    /// The pod's name; empty likewise.
    pub name: String,
    /// The host end's name: while it exists, so does the pod's interface.
    pub link: String,
    /// Ports of the node that lead to it.
    #[serde(default)]
    pub ports: Vec<PortMapping>,
}

/// An address and who has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who.
    pub pod: Pod,
    /// What.
    pub address: Ipv4Addr,
    /// The device number of the ENI that has it; 0 is the primary.
    pub device: u32,
    /// Since when.
    pub since: Millis,
}

impl Lease {
    /// The routing table of its ENI; none: main.
    pub fn table(&self) -> Option<u32> {
        table(self.device)
    }
}

/// The routing table of the ENI with this device number: main for the primary, N + 1 for the others.
pub fn table(device: u32) -> Option<u32> {
    (device > 0).then_some(device + 1)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.container, self.interface)
    }
}

/// The plugin's side.
pub struct Client<'a> {
    socket: &'a Path,
}

impl<'a> Client<'a> {
    /// Of the daemon that listens there.
    pub fn new(socket: &'a Path) -> Client<'a> {
        Client { socket }
    }

    /// Asks.
    ///
    /// # Errors
    /// The daemon is away, has another version, or refuses.
    pub fn ask(&self, question: Question) -> Result<Answer, Failure> {
        match self.exchange(&question) {
            Ok(Answer::Refused { code, message }) => Err(Failure::new(Code::from_number(code), message, "")),
            Ok(answer) => Ok(answer),
            Err(why) => {
                let text = format!("the VPC CNI's daemon (pod aws-node) does not answer at {}", self.socket.display());
                Err(Failure::new(Code::Daemon, text, why))
            }
        }
    }

    /// One that is asked for a lease may end before it answers, as another takes its place: that one is asked then, and
    /// gives the same.
    fn exchange(&self, question: &Question) -> io::Result<Answer> {
        match self.exchange_once(question) {
            Err(why) if is_over(&why) && matches!(question, Question::Assign(_)) => self.exchange_once(question),
            other => other,
        }
    }

    fn exchange_once(&self, question: &Question) -> io::Result<Answer> {
        let stream = UnixStream::connect(self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write(&stream, question)?;
        read(&stream)?.body()
    }
}

impl Envelope {
    /// What is in it.
    ///
    /// # Errors
    /// It is something else.
    pub fn body<T: for<'de> Deserialize<'de>>(self) -> io::Result<T> {
        Ok(serde_json::from_value(self.body)?)
    }
}

/// Writes a question or an answer.
///
/// # Errors
/// The connection's.
pub fn write(mut stream: impl Write, body: &impl Serialize) -> io::Result<()> {
    let envelope = Envelope { version: VERSION.into(), body: serde_json::to_value(body)? };
    let mut line = serde_json::to_vec(&envelope)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Reads a question or an answer.
///
/// # Errors
/// The connection's, or what comes is none.
pub fn read(stream: &UnixStream) -> io::Result<Envelope> {
    let mut line = Vec::new();
    BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended in the middle of a line"));
    }
    Ok(serde_json::from_slice(&line)?)
}

/// The connection ended.
fn is_over(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// An answer that does not belong to its question.
pub fn unexpected(answer: &Answer) -> Failure {
    Failure::new(Code::Daemon, format!("the VPC CNI's daemon gave an answer to another question: {answer:?}"), "")
}
