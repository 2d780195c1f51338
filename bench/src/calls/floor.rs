//! The floor: a server on the library that the region serves with, set up as the region does it, which reads each request
//! to its end and answers bytes that it was given. It verifies nothing, looks nothing up, writes nothing.

use super::load::Answer;
use crate::process::Process;
use crate::wait::Wait;
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// As the region's.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);
/// Within this it listens.
const PATIENCE: Duration = Duration::from_secs(10);
/// What it calls itself.
const NAME: &str = "floor";

/// Options of the server's own process.
#[derive(clap::Args)]
pub struct Args {
    /// A file with the answers; a port for each, which are printed.
    #[arg(long)]
    answers: PathBuf,
}

/// What it says to everybody.
#[derive(Serialize, Deserialize)]
struct Said {
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A running floor.
pub struct Floor {
    _process: Process,
    /// Where it answers as was asked, in the order of the answers.
    pub addresses: Vec<SocketAddr>,
}

impl Floor {
    /// Starts one that answers these, each on a port of its own.
    ///
    /// # Errors
    /// It does not listen.
    pub fn start(folder: &Path, answers: &[Answer], wait: &Wait) -> Result<Floor> {
        let file = folder.join("answers.json");
        let said: Vec<Said> = answers.iter().map(Said::of).collect::<Result<_>>()?;
        fs::write(&file, serde_json::to_vec(&said)?)?;
        let program = std::env::current_exe()?.display().to_string();
        let argv = vec![program, NAME.into(), "--answers".into(), file.display().to_string()];
        let process = Process::start(folder, NAME, argv)?;
        let log = folder.join(format!("{NAME}.log"));
        let addresses = wait.until("the bare server", PATIENCE, || {
            let log = fs::read_to_string(&log)?;
            Ok(log.lines().next().filter(|_| log.ends_with('\n')).map(str::to_owned))
        })?;
        Ok(Floor { _process: process, addresses: serde_json::from_str(&addresses).context(addresses)? })
    }
}

impl Said {
    /// But for what the library writes itself.
    fn of(answer: &Answer) -> Result<Said> {
        let own = |name: &str| ["date", "content-length"].iter().any(|own| name.eq_ignore_ascii_case(own));
        let fields = answer.fields()?.into_iter().filter(|(name, _)| !own(name)).collect();
        Ok(Said { fields, body: answer.body.to_vec() })
    }
}

/// Serves until it is killed.
///
/// # Errors
/// It cannot listen.
pub fn run(args: &Args) -> Result<()> {
    let said: Vec<Said> = serde_json::from_slice(&fs::read(&args.answers)?)?;
    tokio::runtime::Runtime::new()?.block_on(serve(said))
}

async fn serve(said: Vec<Said>) -> Result<()> {
    let mut addresses = vec![];
    for said in said {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        addresses.push(listener.local_addr()?);
        let mut fields = HeaderMap::new();
        for (name, value) in said.fields {
            fields.insert(hyper::header::HeaderName::try_from(name)?, value.try_into()?);
        }
        tokio::spawn(listen(listener, fields, said.body.into()));
    }
    println!("{}", serde_json::to_string(&addresses)?);
    std::future::pending::<()>().await;
    bail!("the end of time")
}

async fn listen(listener: TcpListener, fields: HeaderMap, body: Bytes) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, fields.clone(), body.clone()));
    }
}

async fn connection(stream: TcpStream, fields: HeaderMap, body: Bytes) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let (fields, body) = (fields.clone(), body.clone());
        async move {
            // Whoever goes away before the end of its request waits for no answer.
            drop(request.into_body().collect().await);
            let mut response = Response::new(Full::new(body));
            *response.headers_mut() = fields;
            Ok::<_, Infallible>(response)
        }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    // Its errors are clients that go away.
    drop(server.serve_connection(TokioIo::new(stream), service).await);
}
