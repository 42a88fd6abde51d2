//! One thread of the plane: its runtime, its listener, and the connections to the model servers that only it uses.

use std::cell::RefCell;
use std::collections::HashSet;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pilotfish_core::engine::Engine;
use pilotfish_core::policy::{Policy, PolicyReader, Ruling};
use pilotfish_core::version::Version;
use pilotfish_observe::Observer;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

use crate::buffers::Buffers;
use crate::clock::Clock;
use crate::config::PlaneConfig;
use crate::counters::Counters;
use crate::kept::KeptQueue;
use crate::listener::{Bound, Listener};
use crate::memory::Budget;
use crate::message::Message;
use crate::pool::{Pool, Reach, Reachability};
use crate::seed::Seeds;
use crate::session;
use crate::stream::Plain;
use crate::tls::Certificates;
use crate::upstreams::{self, Upstreams};

/// Sockets that are served before what they brought is passed on. All that are ready would be read one after the other, and
/// the first call be forwarded when the last one is in memory: with 256 calls in flight that took 1.7 MB more, and 6 %
/// more time, for it does not stay in the caches.
const SOCKETS_AT_ONCE: usize = 4;

/// After the operating system refused to hand over a connection.
const BREATH: Duration = Duration::from_millis(20);

/// After the last call, so that resets on their way to model servers get out.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// How long handshakes of TCP that have begun may take to end once no new ones are.
const LATE: Duration = Duration::from_millis(20);

/// What all threads share.
#[derive(Debug)]
pub struct Shared {
    pub engine: Arc<Engine>,
    pub observer: Observer<Message>,
    pub kept: KeptQueue,
    pub counters: Arc<Counters>,
    pub config: PlaneConfig,
    pub certificates: Arc<Certificates>,
    pub reach: ReachByVersion,
    /// Changes when another policy is in force.
    pub refresh: watch::Sender<()>,
    /// Paths of the methods that are known unary.
    pub unary: HashSet<Arc<str>>,
    pub clock: Clock,
    pub phase: watch::Sender<Phase>,
}

/// Where the plane is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Connections and calls are accepted.
    Serving,
    /// No new connections; clients are asked to go once their calls have ended.
    Draining,
    /// What is still under way is broken off.
    Stopping,
}

/// What is known about the connections to each version, from all threads.
#[derive(Debug, Default)]
pub struct ReachByVersion(Mutex<Vec<(Version, Arc<Reach>)>>);

#[derive(Debug)]
pub struct Worker {
    pub shared: Arc<Shared>,
    pub buffers: Rc<Buffers>,
    pub budget: Rc<Budget>,
    seeds: RefCell<Seeds>,
    policies: RefCell<PolicyReader>,
    upstreams: RefCell<Rc<Upstreams>>,
}

// === impl Shared ===

impl Shared {
    /// Longest message that is gathered; 0 when nobody would look at it.
    pub fn most_gathered(&self, unary: bool, ruling: &Ruling) -> usize {
        let copied = unary && (self.config.payloads || ruling.policy().shadows_calls());
        if copied || self.reads(unary, ruling) { self.config.limits.observed_message } else { 0 }
    }

    /// Whether the observer is to read the call's messages, as far as is known before they come.
    pub fn reads(&self, unary: bool, ruling: &Ruling) -> bool {
        self.engine.watching() && (!unary || ruling.is_counted() || self.engine.counts_volume())
    }

    pub fn too_large(&self) {
        self.counters.messages_too_large.add();
        if self.engine.watching() {
            self.engine.statistics().dropped(1, "too_large");
        }
    }
}

// === impl ReachByVersion ===

impl ReachByVersion {
    /// The one of a version, which all threads share. Those of versions no longer in force are forgotten.
    fn of(&self, version: &Version, policy: &Policy) -> Arc<Reach> {
        let mut known = lock(&self.0);
        if let Some((_, reach)) = known.iter().find(|(known, _)| known == version) {
            return Arc::clone(reach);
        }
        known.retain(|(known, _)| policy.versions().contains(known));
        let reach = Arc::new(Reach::default());
        known.push((version.clone(), Arc::clone(&reach)));
        reach
    }

    pub fn get(&self, version: &Version) -> Reachability {
        let known = lock(&self.0);
        let found = known.iter().find(|(known, _)| known == version);
        found.map_or(Reachability::Connecting, |(_, reach)| reach.get())
    }
}

// === impl Worker ===

impl Worker {
    /// Runs one thread until the plane has stopped.
    ///
    /// # Errors
    /// The operating system gives no runtime, or the socket cannot be watched.
    pub fn run(shared: Arc<Shared>, bound: Bound) -> io::Result<()> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_io_events_per_tick(SOCKETS_AT_ONCE)
            .build_local(LocalOptions::default())?;
        runtime.block_on(async {
            let listener = bound.listen()?;
            let worker = Rc::new(Worker::new(shared));
            worker.serve(listener).await;
            tokio::time::sleep(LAST_WORDS).await;
            Ok(())
        })
    }

    fn new(shared: Arc<Shared>) -> Worker {
        let buffers = Rc::new(Buffers::default());
        let mut policies = shared.engine.reader();
        let policy = Arc::clone(policies.current());
        let upstreams = upstreams(&shared, &buffers, policy, None);
        Worker {
            seeds: RefCell::new(Seeds::from_system()),
            policies: RefCell::new(policies),
            upstreams: RefCell::new(Rc::new(upstreams)),
            buffers,
            budget: Rc::new(Budget::new(&shared.config.limits, shared.config.threads)),
            shared,
        }
    }

    /// The policy in force, with the connections that belong to it.
    pub fn upstreams(&self) -> Rc<Upstreams> {
        let mut policies = self.policies.borrow_mut();
        let policy = policies.current();
        let mut held = self.upstreams.borrow_mut();
        if !Arc::ptr_eq(policy, held.policy()) {
            *held = Rc::new(upstreams(&self.shared, &self.buffers, Arc::clone(policy), Some(&held)));
        }
        Rc::clone(&held)
    }

    pub fn seed(&self) -> u64 {
        self.seeds.borrow_mut().draw()
    }

    async fn serve(self: &Rc<Worker>, listener: Listener) {
        let open = Rc::new(Open::default());
        let mut phase = self.shared.phase.subscribe();
        let mut refresh = self.shared.refresh.subscribe();
        loop {
            tokio::select! {
                Ok(()) = refresh.changed() => drop(self.upstreams()),
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(&open, stream, peer),
                    Err(_) => {
                        self.shared.counters.connections_failed.add();
                        tokio::time::sleep(BREATH).await;
                    }
                },
                changed = phase.wait_for(|phase| *phase > Phase::Serving) => {
                    drop(changed);
                    break;
                }
            }
        }
        self.accept_last(&listener, &open).await;
        drop(listener);
        open.none().await;
    }

    /// Those who have connected, or are about to, before the listener is closed: they are asked to go as everyone is.
    async fn accept_last(self: &Rc<Worker>, listener: &Listener, open: &Rc<Open>) {
        listener.turn_away();
        let mut late = std::pin::pin!(tokio::time::sleep(LATE));
        loop {
            tokio::select! {
                biased;
                Ok((stream, peer)) = listener.accept() => self.admit(open, stream, peer),
                () = &mut late => return,
            }
        }
    }

    fn admit(self: &Rc<Worker>, open: &Rc<Open>, stream: Plain, peer: String) {
        let counters = &self.shared.counters;
        counters.connections_accepted.add();
        if open.count() >= self.shared.config.limits.connections {
            counters.connections_refused.add();
            return;
        }
        let guard = Open::enter(open, counters);
        let worker = Rc::clone(self);
        tokio::task::spawn_local(async move {
            session::serve(worker, stream, peer).await;
            drop(guard);
        });
    }
}

fn upstreams(
    shared: &Arc<Shared>,
    buffers: &Rc<Buffers>,
    policy: Arc<Policy>,
    before: Option<&Upstreams>,
) -> Upstreams {
    let known = Arc::clone(&policy);
    Upstreams::of(policy, before, |version, answers| {
        Pool::start(
            format!("{} at {}", version.name, version.upstream),
            upstreams::address(version),
            shared.certificates.upstream(&version.name),
            shared.config.limits,
            Arc::clone(&shared.counters),
            answers.then(|| shared.reach.of(version, &known)),
            Rc::clone(buffers),
        )
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The client connections of one thread.
#[derive(Debug, Default)]
struct Open {
    count: std::cell::Cell<usize>,
    waiting: RefCell<Option<std::task::Waker>>,
}

struct Entered {
    open: Rc<Open>,
    counters: Arc<Counters>,
}

// === impl Open ===

impl Open {
    fn enter(open: &Rc<Open>, counters: &Arc<Counters>) -> Entered {
        open.count.set(open.count.get() + 1);
        counters.connections_open.add();
        Entered { open: Rc::clone(open), counters: Arc::clone(counters) }
    }

    fn count(&self) -> usize {
        self.count.get()
    }

    /// Ready when the last one has gone.
    async fn none(&self) {
        poll_fn(|cx| {
            *self.waiting.borrow_mut() = Some(cx.waker().clone());
            if self.count.get() == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.open.count.set(self.open.count.get() - 1);
        self.counters.connections_open.sub();
        if let Some(waiting) = self.open.waiting.borrow_mut().take() {
            waiting.wake();
        }
    }
}
