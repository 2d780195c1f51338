//! Waiting that ends when the user says so: what was started is then stopped and removed on the way out.

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two looks at something that says nothing by itself. The same for the floor and for ours.
pub const INTERVAL: Duration = Duration::from_millis(50);

/// The user wants to stop.
#[derive(Debug)]
pub struct Interrupted;

impl std::error::Error for Interrupted {}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted; what was started is stopped and removed")
    }
}

/// Knows whether the user wants to stop.
pub struct Wait {
    interrupted: Arc<AtomicBool>,
}

impl Wait {
    /// From now on SIGINT, SIGTERM and SIGHUP end what waits here, not the process.
    ///
    /// # Errors
    /// The signals can't be handled.
    pub fn new() -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, interrupted.clone())?;
        }
        Ok(Self { interrupted })
    }

    /// Looks until there is something.
    ///
    /// # Errors
    /// The look's own, the limit is over, or the user wants to stop.
    pub fn until<T>(&self, what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let began = Instant::now();
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            if began.elapsed() > limit {
                bail!("{what}: not after {limit:?}");
            }
            self.pause(INTERVAL)?;
        }
    }

    /// Waits for work that goes on by itself.
    ///
    /// # Errors
    /// The work's own, the limit is over, or the user wants to stop.
    pub async fn on<T>(&self, what: &str, limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
        let interrupted = async {
            while !self.interrupted.load(Ordering::Relaxed) {
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::select! {
            done = tokio::time::timeout(limit, work) => match done {
                Ok(done) => done.with_context(|| what.to_owned()),
                Err(_) => bail!("{what}: not after {limit:?}"),
            },
            () = interrupted => bail!(Interrupted),
        }
    }

    /// Lets things come to rest.
    ///
    /// # Errors
    /// The user wants to stop.
    pub fn rest(&self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.pause(INTERVAL)?;
        }
        Ok(())
    }

    fn pause(&self, time: Duration) -> Result<()> {
        sleep(time);
        if self.interrupted.load(Ordering::Relaxed) {
            bail!(Interrupted);
        }
        Ok(())
    }
}
