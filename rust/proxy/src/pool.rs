//! The connections of one thread to one model server.
//!
//! As long as there are not too many, each client connection has one of its own, as it would without the sidecar: a
//! client that stalls its connection's flow control stalls nobody else. When the server cannot be reached, calls are
//! told so at once, while the connection is tried again in the background.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::address::Address;
use crate::buffers::Buffers;
use crate::config::Limits;
use crate::counters::Counters;
use crate::link::{Driver, Link};
use crate::seed::Seeds;
use crate::tls::VersionTls;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Connections that are kept though no client uses them.
const SPARES: usize = 1;

/// What is known about the connection to a model server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    Connecting,
    Ready,
    Unreachable,
}

/// The same, for whoever looks from another thread.
#[derive(Debug, Default)]
pub struct Reach(AtomicU8);

#[derive(Debug)]
pub struct Pool {
    /// Of the version and where it listens, for messages.
    name: String,
    address: Address,
    tls: VersionTls,
    limits: Limits,
    counters: Arc<Counters>,
    reach: Option<Arc<Reach>>,
    buffers: Rc<Buffers>,
    links: RefCell<Vec<Rc<Link>>>,
    state: RefCell<State>,
    /// Somebody waits for the first connection.
    changed: Notify,
    /// The last connection was lost.
    lost: Notify,
    /// What the lost connection had been good for.
    use_of_lost: Cell<Use>,
    /// The version is in force, at this address. Else calls that were decided before still find a connection.
    in_force: Cell<bool>,
}

/// What a connection was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Calls were answered on it.
    Answers,
    /// The server spoke HTTP/2, and no more than that.
    Greeting,
    /// It was closed without a word.
    Nothing,
}

#[derive(Debug)]
enum State {
    Connecting,
    /// Whoever has no connection makes one.
    Ready,
    Unreachable(Rc<str>),
}

// === impl Reach ===

impl Reach {
    pub fn get(&self) -> Reachability {
        match self.0.load(Ordering::Relaxed) {
            1 => Reachability::Ready,
            2 => Reachability::Unreachable,
            _ => Reachability::Connecting,
        }
    }

    fn set(&self, reachability: Reachability) {
        let value = match reachability {
            Reachability::Connecting => 0,
            Reachability::Ready => 1,
            Reachability::Unreachable => 2,
        };
        self.0.store(value, Ordering::Relaxed);
    }
}

// === impl Pool ===

impl Pool {
    /// Begins to connect. To be called on a thread's runtime.
    pub fn start(
        name: String,
        address: Address,
        tls: VersionTls,
        limits: Limits,
        counters: Arc<Counters>,
        reach: Option<Arc<Reach>>,
        buffers: Rc<Buffers>,
    ) -> Rc<Pool> {
        let pool = Rc::new(Pool {
            name,
            address,
            tls,
            limits,
            counters,
            reach,
            buffers,
            links: RefCell::default(),
            state: RefCell::new(State::Connecting),
            changed: Notify::new(),
            lost: Notify::new(),
            use_of_lost: Cell::new(Use::Answers),
            in_force: Cell::new(true),
        });
        tokio::task::spawn_local(Rc::clone(&pool).keep());
        pool
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_in_force(&self) -> bool {
        self.in_force.get()
    }

    /// Lets go of its connections: each ends with the last call that is under way on it.
    pub fn close(&self) {
        self.in_force.set(false);
        for link in self.links.take() {
            link.close();
        }
        // Whoever waits for the first connection makes one of its own.
        self.set(State::Ready);
        self.lost.notify_one();
    }

    /// A connection to send calls on; to be given back with [`Pool::give_back`].
    ///
    /// # Errors
    /// Why the model server cannot be reached.
    pub async fn lease(self: &Rc<Pool>) -> Result<Rc<Link>, Rc<str>> {
        let link = self.find().await?;
        link.lease();
        Ok(link)
    }

    pub fn give_back(&self, link: &Rc<Link>) {
        link.release();
        let mut links = self.links.borrow_mut();
        let spares = links.iter().filter(|link| link.leases() == 0).count();
        if spares > SPARES && link.leases() == 0 {
            links.retain(|kept| !Rc::ptr_eq(kept, link));
        }
    }

    /// No new calls on this connection, which the server has begun to close.
    pub fn retire(&self, link: &Rc<Link>) {
        link.close();
        let mut links = self.links.borrow_mut();
        let before = links.len();
        links.retain(|kept| !Rc::ptr_eq(kept, link));
        if links.is_empty() && before > 0 {
            self.use_of_lost.set(match (link.has_answered(), link.was_greeted()) {
                (true, _) => Use::Answers,
                (false, true) => Use::Greeting,
                (false, false) => Use::Nothing,
            });
            self.set(State::Connecting);
            self.lost.notify_one();
        }
    }

    async fn find(self: &Rc<Pool>) -> Result<Rc<Link>, Rc<str>> {
        loop {
            if let Some(link) = self.least_used().filter(|link| link.leases() == 0 || self.is_full()) {
                return Ok(link);
            }
            match &*self.state.borrow() {
                State::Unreachable(why) => return Err(Rc::clone(why)),
                State::Ready => break,
                State::Connecting => {}
            }
            self.changed.notified().await;
        }
        match self.connect().await {
            Ok(link) => Ok(link),
            // The server takes no further connection; a shared one is better than none.
            Err(why) => self.least_used().ok_or(why),
        }
    }

    fn least_used(&self) -> Option<Rc<Link>> {
        let links = self.links.borrow();
        links.iter().filter(|link| link.is_open()).min_by_key(|link| link.leases()).cloned()
    }

    fn is_full(&self) -> bool {
        self.links.borrow().len() >= self.limits.upstream_connections
    }

    async fn connect(self: &Rc<Pool>) -> Result<Rc<Link>, Rc<str>> {
        match Link::connect(&self.address, self.tls.current().as_deref(), &self.limits, &self.buffers).await {
            Ok((link, driver)) => {
                let link = Rc::new(link);
                self.counters.upstream_connected.add();
                tokio::task::spawn_local(Rc::clone(self).drive(Rc::downgrade(&link), driver));
                if self.is_in_force() {
                    self.links.borrow_mut().push(Rc::clone(&link));
                    self.set(State::Ready);
                }
                Ok(link)
            }
            Err(error) => {
                self.counters.upstream_failed.add();
                Err(error.to_string().into())
            }
        }
    }

    /// The link is not held on to: a connection that nobody can send on any more closes by itself.
    async fn drive(self: Rc<Pool>, link: Weak<Link>, driver: Driver) {
        // Calls are told by their own streams how it ended.
        let _ = driver.run().await;
        self.counters.upstream_lost.add();
        if let Some(link) = link.upgrade() {
            self.retire(&link);
        }
    }

    /// Keeps at least one connection, for as long as the version is in force. A server that ends connections before it
    /// answers is not tried again and again; but if it has spoken HTTP/2, a call that comes meanwhile connects by itself, as
    /// a client without a sidecar would.
    async fn keep(self: Rc<Pool>) {
        let mut seeds = Seeds::from_system();
        let mut pause = FIRST_PAUSE;
        while self.is_in_force() {
            if self.links.borrow().is_empty()
                && let Err(why) = self.connect().await
            {
                self.set(State::Unreachable(why));
            } else {
                self.lost.notified().await;
                if !self.links.borrow().is_empty() {
                    continue;
                }
                match self.use_of_lost.get() {
                    Use::Answers => {
                        pause = FIRST_PAUSE;
                        continue;
                    }
                    Use::Greeting => self.set(State::Ready),
                    Use::Nothing => {
                        self.set(State::Unreachable("it closes connections without a word".into()))
                    }
                }
            }
            tokio::time::sleep(jittered(pause, &mut seeds)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn set(&self, state: State) {
        if let Some(reach) = self.reach.as_ref().filter(|_| self.is_in_force()) {
            reach.set(match state {
                State::Connecting => Reachability::Connecting,
                State::Ready => Reachability::Ready,
                State::Unreachable(_) => Reachability::Unreachable,
            });
        }
        *self.state.borrow_mut() = state;
        self.changed.notify_waiters();
    }
}

/// Between half and all of the pause, so that many sidecars do not knock together.
fn jittered(pause: Duration, seeds: &mut Seeds) -> Duration {
    let half = pause / 2;
    half + half * u32::try_from(seeds.draw() >> 48).unwrap_or(0) / (1 << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_between_half_and_all_of_it() {
        let mut seeds = Seeds::from_system();
        for _ in 0..1000 {
            let pause = jittered(LONGEST_PAUSE, &mut seeds);
            assert!((LONGEST_PAUSE / 2..LONGEST_PAUSE).contains(&pause), "{pause:?}");
        }
    }
}
