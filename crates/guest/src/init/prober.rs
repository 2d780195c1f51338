//! Asks a process one question again and again, in a thread of its own.

use crate::ask::{Head, request, unchecked_tls};
use crate::vigil::{Rhythm, Vigil, Word};
use anyhow::{Result, bail, ensure};
use roadstead_hostspec::Probe;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::convert::Infallible;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Waiting is done in pieces of this length, so that a thread that did not get to run notices.
const PIECE: Duration = Duration::from_millis(250);
/// For a connection inside a machine: longer means that the process no longer accepts any.
const CONNECT: Duration = Duration::from_secs(1);
/// What is read of an answer's body so that the connection can be used again, bytes.
const LONGEST_BODY: usize = 64 << 10;

/// Asks until it is dropped, or until the process is lost.
pub struct Prober {
    words: PipeReader,
    /// Dropped, it ends the thread.
    _stop: Sender<Infallible>,
}

impl Prober {
    /// Begins to ask.
    pub fn start(probe: Probe, rhythm: Rhythm) -> Result<Prober> {
        let (words, tell) = pipe()?;
        let (_stop, stop) = channel();
        let tls = matches!(probe, Probe::Https { .. }).then(|| Arc::new(unchecked_tls()));
        let asker = Asker { probe, tls, vigil: Vigil::new(rhythm), line: None, waited: Duration::ZERO, tell, stop };
        thread::Builder::new().name("probe".into()).stack_size(512 << 10).spawn(move || asker.run())?;
        Ok(Prober { words, _stop })
    }

    /// The next word; waits for it. None: the thread has ended.
    pub fn hear(&mut self) -> Option<Word> {
        let mut byte = [0];
        match self.words.read(&mut byte) {
            Ok(1) => [Word::Yes, Word::No, Word::Lost].into_iter().find(|word| *word as u8 == byte[0]),
            _ => None,
        }
    }
}

/// Readable as soon as there is a word.
impl AsFd for Prober {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.words.as_fd()
    }
}

struct Asker {
    probe: Probe,
    tls: Option<Arc<ClientConfig>>,
    vigil: Vigil,
    /// A connection on which the last question was answered.
    line: Option<Line>,
    /// For the question that is open.
    waited: Duration,
    tell: PipeWriter,
    stop: Receiver<Infallible>,
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}
type Line = Box<dyn Stream>;

impl Asker {
    fn run(mut self) {
        while !self.vigil.is_lost() {
            self.vigil.asked();
            self.waited = Duration::ZERO;
            let word = match self.ask() {
                Ok(()) => self.vigil.answered(true),
                Err(_) => self.vigil.answered(false),
            };
            if self.say(word).is_err() || self.rest().is_err() {
                return;
            }
        }
    }

    /// Fails when nobody listens any more, or all is said.
    fn say(&mut self, word: Option<Word>) -> Result<()> {
        if let Some(word) = word {
            self.tell.write_all(&[word as u8])?;
        }
        ensure!(!self.vigil.is_lost(), "the process is lost");
        Ok(())
    }

    fn passed(&mut self, meant: Duration, took: Duration) -> Result<()> {
        self.waited += meant.min(took);
        let word = self.vigil.passed(meant, took);
        self.say(word)
    }

    /// Until the next question. Fails if there is to be none.
    fn rest(&mut self) -> Result<()> {
        let (began, pause) = (Instant::now(), self.vigil.pause());
        ensure!(self.stop.recv_timeout(pause) == Err(RecvTimeoutError::Timeout), "stopped");
        self.passed(pause, began.elapsed())
    }

    /// One question.
    fn ask(&mut self) -> Result<()> {
        let (address, port, path) = match &self.probe {
            Probe::Tcp { address, port } => return self.connect(*address, *port).map(drop),
            Probe::Http { address, port, path } | Probe::Https { address, port, path } => (*address, *port, path),
        };
        let question = request(address, path, "roadstead-init")?;
        if let Some(line) = self.line.take() {
            match self.converse(line, &question) {
                // The server closed it meanwhile, which says nothing of the server.
                Err(_) if self.waited < self.vigil.limit() => {}
                answer => return answer?.ok(),
            }
        }
        let line = self.dial(address, port)?;
        self.converse(line, &question)?.ok()
    }

    fn dial(&mut self, address: Ipv4Addr, port: u16) -> Result<Line> {
        let stream = self.connect(address, port)?;
        let Some(tls) = self.tls.clone() else { return Ok(Box::new(stream)) };
        let session = ClientConnection::new(tls, ServerName::IpAddress(address.into()))?;
        Ok(Box::new(StreamOwned::new(session, stream)))
    }

    fn connect(&mut self, address: Ipv4Addr, port: u16) -> Result<TcpStream> {
        let began = Instant::now();
        let connected = TcpStream::connect_timeout(&SocketAddr::from((address, port)), CONNECT);
        self.passed(CONNECT, began.elapsed())?;
        let stream = connected?;
        stream.set_read_timeout(Some(PIECE))?;
        stream.set_write_timeout(Some(PIECE))?;
        Ok(stream)
    }

    /// Sends the question and reads the answer, for as long as a question is waited for. Keeps the line for the next one.
    fn converse(&mut self, mut line: Line, question: &str) -> Result<Head> {
        let mut rest = question.as_bytes();
        while !rest.is_empty() {
            let sent = self.patiently(|| line.write(rest))?;
            rest = &rest[sent..];
        }
        let mut answer = Vec::new();
        let head = loop {
            if let Some(head) = Head::parse(&answer)? {
                break head;
            }
            self.read(&mut line, &mut answer)?;
        };
        if let Some(body) = head.body.filter(|body| *body <= LONGEST_BODY) {
            while answer.len() < head.length + body {
                self.read(&mut line, &mut answer)?;
            }
            self.line = Some(line);
        }
        Ok(head)
    }

    fn read(&mut self, line: &mut Line, into: &mut Vec<u8>) -> Result<()> {
        let mut bytes = [0; 4 << 10];
        let n = self.patiently(|| line.read(&mut bytes))?;
        ensure!(n > 0, "it closed the connection");
        into.extend_from_slice(&bytes[..n]);
        Ok(())
    }

    fn patiently(&mut self, mut step: impl FnMut() -> io::Result<usize>) -> Result<usize> {
        loop {
            let began = Instant::now();
            let result = step();
            self.passed(PIECE, began.elapsed())?;
            match result {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                result => return Ok(result?),
            }
            if self.waited >= self.vigil.limit() || self.stop.try_recv() == Err(TryRecvError::Disconnected) {
                bail!("it does not answer");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_types::Millis;
    use rustls::ServerConfig;
    use rustls::crypto::aws_lc_rs::default_provider;
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Mutex, PoisonError};

    const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

    /// A server whose answers are as told, and how often it was dialled and asked.
    struct Server {
        port: u16,
        answer: Arc<Mutex<Answer>>,
        dialled: Arc<AtomicU32>,
        asked: Arc<AtomicU32>,
    }

    #[derive(Clone, Copy)]
    enum Answer {
        Now(&'static str),
        Late(Duration),
        Never,
        HangUp,
    }

    impl Server {
        fn start(tls: bool) -> Server {
            let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let answer = Arc::new(Mutex::new(Answer::Now("200 OK")));
            let (dialled, asked) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
            let server = Server { port, answer: answer.clone(), dialled: dialled.clone(), asked: asked.clone() };
            let config = tls.then(server_tls);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    dialled.fetch_add(1, Ordering::SeqCst);
                    let stream = stream.unwrap();
                    let line: Line = match config.clone() {
                        Some(config) => {
                            Box::new(StreamOwned::new(rustls::ServerConnection::new(config).unwrap(), stream))
                        }
                        None => Box::new(stream),
                    };
                    let (answer, asked) = (answer.clone(), asked.clone());
                    thread::spawn(move || drop(serve(line, &answer, &asked)));
                }
            });
            server
        }

        fn probe(&self, tls: bool) -> Probe {
            let (address, port, path) = (LOOPBACK, self.port, "/livez".to_owned());
            if tls { Probe::Https { address, port, path } } else { Probe::Http { address, port, path } }
        }

        fn answers(&self, answer: Answer) {
            *self.answer.lock().unwrap() = answer;
        }
    }

    fn serve(mut line: Line, answer: &Mutex<Answer>, asked: &AtomicU32) -> io::Result<()> {
        let mut request = [0; 1024];
        loop {
            let n = line.read(&mut request)?;
            if n == 0 {
                return Ok(());
            }
            assert!(request[..n].starts_with(b"GET /livez HTTP/1.1\r\n") && request[..n].ends_with(b"\r\n\r\n"));
            asked.fetch_add(1, Ordering::SeqCst);
            let how = *answer.lock().unwrap_or_else(PoisonError::into_inner);
            let status = match how {
                Answer::Now(status) => status,
                Answer::Late(pause) => {
                    thread::sleep(pause);
                    "200 OK"
                }
                Answer::Never => {
                    thread::sleep(Duration::from_secs(60));
                    return Ok(());
                }
                Answer::HangUp => return Ok(()),
            };
            line.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nok\n").as_bytes())?;
            line.flush()?;
        }
    }

    fn server_tls() -> Arc<ServerConfig> {
        let cert = rcgen::generate_simple_self_signed(["nobody.example".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(cert.signing_key.serialize_der()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Arc::new(builder.with_single_cert(vec![cert.cert.into()], key).unwrap())
    }

    fn live(every: u64, patience: u64) -> Rhythm {
        Rhythm::Live { every: Millis(every), patience: Millis(patience) }
    }

    #[test]
    fn one_connection_serves_for_many_questions() {
        for tls in [false, true] {
            let server = Server::start(tls);
            let mut prober = Prober::start(server.probe(tls), live(1, 5000)).unwrap();
            assert_eq!(prober.hear(), Some(Word::Yes));
            while server.asked.load(Ordering::SeqCst) < 20 {
                thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(server.dialled.load(Ordering::SeqCst), 1);
            server.answers(Answer::Now("503 Service Unavailable"));
            assert_eq!(prober.hear(), Some(Word::No));
            server.answers(Answer::Now("200 OK"));
            assert_eq!(prober.hear(), Some(Word::Yes));
        }
    }

    #[test]
    fn a_late_answer_is_one_and_silence_is_not() {
        let server = Server::start(true);
        let mut prober = Prober::start(server.probe(true), live(1, 3000)).unwrap();
        assert_eq!(prober.hear(), Some(Word::Yes));
        server.answers(Answer::Late(Duration::from_millis(1500)));
        assert_eq!(prober.hear(), Some(Word::No));
        server.answers(Answer::Never);
        assert_eq!(prober.hear(), Some(Word::Yes), "the late one");
        let began = Instant::now();
        assert_eq!(prober.hear(), Some(Word::No));
        assert_eq!(prober.hear(), Some(Word::Lost));
        assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(prober.hear(), None, "there is nothing more to ask");
    }

    #[test]
    fn a_connection_that_was_closed_is_no_answer() {
        let server = Server::start(false);
        let mut prober = Prober::start(server.probe(false), live(1, 2000)).unwrap();
        assert_eq!(prober.hear(), Some(Word::Yes));
        server.answers(Answer::HangUp);
        assert_eq!(prober.hear(), Some(Word::No), "not on a new one either");
        server.answers(Answer::Now("200 OK"));
        assert_eq!(prober.hear(), Some(Word::Yes));
        assert!(server.dialled.load(Ordering::SeqCst) >= 3);
    }

    #[test]
    fn a_prober_asks_until_somebody_is_there() {
        let free = TcpListener::bind((LOOPBACK, 0)).unwrap().local_addr().unwrap().port();
        let probe = Probe::Tcp { address: LOOPBACK, port: free };
        let mut prober = Prober::start(probe.clone(), Rhythm::Ready).unwrap();
        let listener = TcpListener::bind((LOOPBACK, free)).unwrap();
        assert_eq!(prober.hear(), Some(Word::Yes));
        drop(listener);
        let mut prober = Prober::start(probe, live(10, 100)).unwrap();
        assert_eq!([prober.hear(), prober.hear()], [Some(Word::No), Some(Word::Lost)]);
    }
}
