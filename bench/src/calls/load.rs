//! A client that costs little: prepared bytes are written, an answer is read to its end, and that again. One thread, and as
//! many connections as there are clients, each of which asks when it has its answer.

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use futures::future::try_join_all;
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime;

/// More header fields than any answer has.
const FIELDS: usize = 32;
/// What is read at once, bytes.
const CHUNK: usize = 64 << 10;
/// Requests answered before this are not counted.
const WARMING: Duration = Duration::from_millis(300);
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// What each request took, in the order of the connections.
    pub spans: Vec<Duration>,
    /// From the first counted moment to the last.
    pub time: Duration,
}

/// An answer.
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Status line and header fields, as they were sent.
    pub head: Bytes,
    /// The whole body, as it was sent.
    pub body: Bytes,
}

/// How long to go on.
#[derive(Clone, Copy)]
pub enum Until {
    /// So long, asking for the same again and again.
    Over(Duration),
    /// Until each was asked for once.
    Done,
}

/// Asks once.
///
/// # Errors
/// There is no whole answer.
pub fn ask(address: SocketAddr, request: &[u8]) -> Result<Answer> {
    on_this_thread(async { Connection::open(address).await?.ask(request).await })
}

/// Asks with so many connections at a time, each time for the next of `requests`.
///
/// # Errors
/// An answer is not 200, or there is none.
pub fn measure(address: SocketAddr, requests: &[String], clients: usize, until: Until) -> Result<Measured> {
    let load = Load { address, requests, next: Cell::new(0), until, began: Instant::now() };
    let spans = on_this_thread(try_join_all((0..clients).map(|_| load.client())))?;
    let time = load.began.elapsed().saturating_sub(load.warming());
    Ok(Measured { spans: spans.concat(), time })
}

fn on_this_thread<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

struct Load<'a> {
    address: SocketAddr,
    requests: &'a [String],
    next: Cell<usize>,
    until: Until,
    began: Instant,
}

impl Load<'_> {
    async fn client(&self) -> Result<Vec<Duration>> {
        let mut connection = Connection::open(self.address).await?;
        let mut spans = vec![];
        while let Some(request) = self.take() {
            let began = Instant::now();
            let answer = connection.ask(request.as_bytes()).await?;
            let span = began.elapsed();
            ensure!(answer.status == 200, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
            if began.duration_since(self.began) >= self.warming() {
                spans.push(span);
            }
        }
        Ok(spans)
    }

    fn take(&self) -> Option<&str> {
        let next = self.next.replace(self.next.get() + 1);
        match self.until {
            Until::Over(time) if self.began.elapsed() >= time + WARMING => None,
            Until::Over(_) => Some(&self.requests[next % self.requests.len()]),
            Until::Done => self.requests.get(next).map(String::as_str),
        }
    }

    fn warming(&self) -> Duration {
        match self.until {
            Until::Over(_) => WARMING,
            Until::Done => Duration::ZERO,
        }
    }
}

/// A connection that is kept, if the server keeps it.
struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    read: BytesMut,
    /// The server has closed it, or is about to.
    ended: bool,
}

/// What an answer's head says.
struct Head {
    status: u16,
    /// Of the body.
    length: Length,
    /// The server closes the connection afterwards.
    last: bool,
}

enum Length {
    Known(usize),
    Chunks,
    UntilClosed,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Connection { address, stream, read: BytesMut::with_capacity(CHUNK), ended: false })
    }

    async fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        match tokio::time::timeout(PATIENCE, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => bail!("{} did not answer within {PATIENCE:?}", self.address),
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        if self.ended {
            *self = Connection::open(self.address).await?;
        }
        self.stream.write_all(request).await?;
        let (says, head) = loop {
            if let Some((says, length)) = Head::of(&self.read)? {
                break (says, self.read.split_to(length).freeze());
            }
            ensure!(self.more().await?, "{} closed the connection before it answered", self.address);
        };
        let body = self.body(&says.length).await?;
        self.ended = says.last;
        Ok(Answer { status: says.status, head, body })
    }

    async fn body(&mut self, length: &Length) -> Result<Bytes> {
        let whole = |read: &[u8]| match length {
            Length::Known(length) => (read.len() >= *length).then_some(*length),
            Length::Chunks => read.ends_with(b"0\r\n\r\n").then_some(read.len()),
            Length::UntilClosed => None,
        };
        loop {
            if let Some(length) = whole(&self.read) {
                return Ok(self.read.split_to(length).freeze());
            }
            if !self.more().await? {
                ensure!(matches!(length, Length::UntilClosed), "{} cut its answer off", self.address);
                return Ok(self.read.split().freeze());
            }
        }
    }

    /// False: the server has closed.
    async fn more(&mut self) -> Result<bool> {
        self.read.reserve(CHUNK);
        Ok(self.stream.read_buf(&mut self.read).await? > 0)
    }
}

impl Answer {
    /// Its header fields.
    ///
    /// # Errors
    /// They are no text.
    pub fn fields(&self) -> Result<Vec<(String, String)>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        response.parse(&self.head)?;
        let field =
            |field: &httparse::Header<'_>| Ok((field.name.to_owned(), String::from_utf8(field.value.to_vec())?));
        response.headers.iter().map(field).collect()
    }
}

impl Head {
    /// A whole head, and its length in bytes.
    fn of(read: &[u8]) -> Result<Option<(Head, usize)>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(head) = response.parse(read).context("what came is no HTTP")? else {
            return Ok(None);
        };
        let field = |name: &str| response.headers.iter().find(|own| own.name.eq_ignore_ascii_case(name));
        let length = match (field("content-length"), field("transfer-encoding")) {
            (Some(length), _) => Length::Known(std::str::from_utf8(length.value)?.parse()?),
            (None, Some(coding)) if coding.value.eq_ignore_ascii_case(b"chunked") => Length::Chunks,
            _ => Length::UntilClosed,
        };
        let last = response.version == Some(0)
            || matches!(length, Length::UntilClosed)
            || field("connection").is_some_and(|own| own.value.eq_ignore_ascii_case(b"close"));
        let status = response.code.context("a whole head has a status")?;
        Ok(Some((Head { status, length, last }, head)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    /// Answers each request of 3 bytes with the next of `answers`, over as many connections as it takes.
    fn server(answers: Vec<&'static str>, closes: bool) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let mut answers = answers.into_iter().peekable();
            while answers.peek().is_some() {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 3];
                while stream.read_exact(&mut request).is_ok() {
                    let Some(answer) = answers.next() else { return };
                    stream.write_all(answer.as_bytes()).unwrap();
                    if closes {
                        break;
                    }
                }
            }
        });
        address
    }

    #[test]
    fn each_request_has_its_answer_however_long_it_says_that_it_is() {
        let known = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        let requests = vec!["ask".to_owned(); 3];
        let measured = measure(server(vec![known, chunks, known], false), &requests, 1, Until::Done).unwrap();
        assert_eq!(measured.spans.len(), 3);
    }

    #[test]
    fn a_server_that_closes_is_connected_to_again() {
        let closes = "HTTP/1.0 200 OK\r\n\r\nall of it";
        let requests = vec!["ask".to_owned(); 3];
        assert_eq!(measure(server(vec![closes; 3], true), &requests, 1, Until::Done).unwrap().spans.len(), 3);
        assert_eq!(ask(server(vec![closes], true), b"ask").unwrap().body, "all of it");
    }

    #[test]
    fn a_refusal_is_no_measurement() {
        let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
        let refused = measure(server(vec![refusal], false), &["ask".to_owned()], 1, Until::Done);
        assert_eq!(refused.unwrap_err().to_string(), "403: no");
    }
}
