//! The plane from outside: start, look, drain, stop.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pilotfish_core::engine::Engine;
use pilotfish_core::version::Version;
use pilotfish_observe::Observer;
use tokio::sync::watch;

use crate::address::Address;
use crate::clock::Clock;
use crate::config::{ConfigurationError, PlaneConfig};
use crate::counters::{Counters, CountersSnapshot};
use crate::kept::{KeptCall, KeptQueue};
use crate::listener::Bound;
use crate::pool::Reachability;
use crate::tls::Certificates;
use crate::worker::{Phase, ReachByVersion, Shared, Worker};

/// How long breaking off what is left may take, once the time to drain is over.
const STOPPING: Duration = Duration::from_millis(500);

/// How often a drain looks whether all threads are done.
const LOOK: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub struct Plane {
    shared: Arc<Shared>,
    listen: Address,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Why a plane cannot start.
#[derive(Debug)]
pub enum StartError {
    Configuration(ConfigurationError),
    /// The address cannot be listened on.
    Listen {
        address: String,
        error: io::Error,
    },
    /// The operating system gives no thread.
    Thread(io::Error),
}

// === impl Plane ===

impl Plane {
    /// Binds the address and starts the threads; calls are accepted when this returns.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing is left running.
    pub fn start(
        engine: Arc<Engine>,
        config: PlaneConfig,
        certificates: Arc<Certificates>,
    ) -> Result<Plane, StartError> {
        let listen = address(&config.listen)?;
        for version in engine.policy().versions() {
            address(&version.upstream)?;
        }
        let (bound, listen) = Bound::bind(&listen, config.threads)
            .map_err(|error| StartError::Listen { address: config.listen.clone(), error })?;
        let observer = Observer::start(Arc::clone(&engine), config.queue).map_err(StartError::Thread)?;
        let shared = Arc::new(Shared {
            observer,
            kept: KeptQueue::new(config.kept),
            counters: Arc::new(Counters::default()),
            certificates,
            reach: ReachByVersion::default(),
            refresh: watch::channel(()).0,
            unary: config.unary_methods.iter().map(|method| method.as_str().into()).collect(),
            clock: Clock::starting_at(config.now_ns),
            phase: watch::channel(Phase::Serving).0,
            engine,
            config,
        });
        let plane = Plane { shared, listen, threads: Mutex::default() };
        plane.spawn(bound)?;
        Ok(plane)
    }

    /// Where clients connect, with the port that was given where 0 was asked for.
    pub fn listen(&self) -> String {
        self.listen.to_string()
    }

    /// Takes no new connections, lets calls under way end within `grace`, breaks off the rest, and stops.
    /// Returns whether all calls ended by themselves.
    pub fn drain(&self, grace: Duration) -> bool {
        if let (Address::Unix(path), true) = (&self.listen, self.is_serving()) {
            // Nobody finds it any more, and who comes next may take it. Gone already is as good.
            let _ = std::fs::remove_file(path);
        }
        self.enter(Phase::Draining);
        let graceful = self.join(grace);
        if !graceful {
            self.enter(Phase::Stopping);
            self.join(STOPPING);
        }
        self.shared.observer.flush(STOPPING);
        graceful
    }

    /// Whether new connections are accepted.
    pub fn is_serving(&self) -> bool {
        *self.shared.phase.borrow() == Phase::Serving
    }

    pub fn counters(&self) -> CountersSnapshot {
        self.shared.counters.snapshot()
    }

    /// Connects to the model servers of a policy that has been applied, without waiting for the next call, and lets
    /// go of those that it no longer names.
    pub fn refresh(&self) {
        self.shared.refresh.send_replace(());
    }

    /// State of the connection to each version in force, by name.
    pub fn upstreams(&self) -> BTreeMap<String, Reachability> {
        let policy = self.shared.engine.policy();
        let reach = |version: &Version| (version.name.as_ref().to_owned(), self.shared.reach.get(version));
        policy.versions().iter().map(reach).collect()
    }

    /// Kept calls, oldest first; waits up to `timeout` for one.
    pub fn kept(&self, most: usize, timeout: Duration) -> Vec<KeptCall> {
        self.shared.kept.take(most, timeout)
    }

    /// Waits until the messages offered so far are worked off; false when that took longer than `timeout`.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.shared.observer.flush(timeout)
    }

    fn spawn(&self, bound: Vec<Bound>) -> Result<(), StartError> {
        let (failed, failures) = mpsc::channel();
        for (index, bound) in bound.into_iter().enumerate() {
            let (shared, failed) = (Arc::clone(&self.shared), failed.clone());
            let run = move || {
                if let Err(error) = Worker::run(shared, bound) {
                    // Nobody listens any more once the plane has started.
                    let _ = failed.send(error);
                }
            };
            let thread = std::thread::Builder::new().name(format!("pilotfish-{index}")).spawn(run);
            let thread = thread.map_err(StartError::Thread)?;
            self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        match failures.try_recv() {
            Ok(error) => Err(StartError::Thread(error)),
            Err(_) => Ok(()),
        }
    }

    fn enter(&self, phase: Phase) {
        self.shared.phase.send_if_modified(|now| {
            let later = phase > *now;
            if later {
                *now = phase;
            }
            later
        });
    }

    fn join(&self, timeout: Duration) -> bool {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = Instant::now() + timeout;
        while !threads.iter().all(JoinHandle::is_finished) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        for thread in threads.drain(..) {
            // A panic has ended the thread's calls, and each of them has been counted.
            let _ = thread.join();
        }
        true
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.enter(Phase::Stopping);
    }
}

fn address(text: &str) -> Result<Address, StartError> {
    Address::parse(text).ok_or_else(|| {
        let message = format!("'{text}' is no address: write HOST:PORT, [IPV6]:PORT or unix:/path");
        StartError::Configuration(ConfigurationError(message))
    })
}

// === impl StartError ===

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Configuration(error) => error.fmt(f),
            StartError::Listen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            StartError::Thread(error) => write!(f, "no thread for the data plane: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
