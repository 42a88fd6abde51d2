//! One client's connection: accepts its calls, and keeps the connections on which they go on.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use h2::server::{self, Connection, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request};
use tokio::sync::Mutex;

use crate::call;
use crate::config::Limits;
use crate::forwarded::{self, Forwarded};
use crate::frames::{FrameCounts, Frames};
use crate::link::Link;
use crate::memory::{Account, Parcel};
use crate::pool::Pool;
use crate::pump::{Pump, Source};
use crate::seed::Seeds;
use crate::socket::{Outlet, Socket};
use crate::stream::{Plain, Stream};
use crate::tls::FORWARDED_CERTIFICATE;
use crate::window::Window;
use crate::worker::{Phase, Shared, Worker};

/// Calls of one client that are begun before others get their turn.
const CALLS_IN_A_ROW: u64 = 64;

/// Streams that were reset but whose last frames may still come.
const REMEMBERED_RESETS: usize = 1024;

/// What small frames may lack to 256 bytes each, as long as their calls have not taken them. With the smallest windows the
/// library would have it at 128 frames, which is less than one read brings.
const SMALL_FRAMES: usize = 8 << 20;

#[derive(Debug)]
pub struct Session {
    pub worker: Rc<Worker>,
    peer: Arc<str>,
    /// What the model server is told of the client.
    certificate: Forwarded,
    address: Forwarded,
    account: Rc<Account>,
    window: Rc<Window>,
    calls: Cell<usize>,
    /// Calls that were looked at, or counted because they never will be.
    accounted: Cell<u64>,
    /// The client has been asked to go.
    leaving: Cell<bool>,
    begun: Instant,
    /// Portions that calls have been answered in.
    answered: Cell<u64>,
    /// The connection that this client's calls to a model server go on, once there was one.
    leases: RefCell<Vec<Rc<Lease>>>,
}

#[derive(Debug)]
struct Lease {
    pool: Rc<Pool>,
    link: RefCell<Option<Rc<Link>>>,
    /// Held while a connection is found, so that calls which come together share it.
    finding: Mutex<()>,
}

type Accepted = (Request<RecvStream>, SendResponse<Parcel>);

/// Why there are no more calls on a connection.
enum End {
    Broken(h2::Error),
    /// More housekeeping than anything gives reason for.
    Flood,
    Gone,
}

/// Housekeeping that a frame of a call gives reason for: both windows, a measurement of the way, a cancellation.
const REASONS: u64 = 4;

/// Bytes of an answer that count as a frame: into how many the client's window, and its use of it, divide what is passed on
/// as one is not known here.
const PORTION: usize = 1024;

/// Serves one client until it goes, or is asked to.
pub async fn serve(worker: Rc<Worker>, stream: Plain, peer: String) {
    let shared = Arc::clone(&worker.shared);
    let limits = &shared.config.limits;
    let handshake = tokio::time::timeout(limits.handshake(), shake_hands(&worker, stream)).await;
    let Ok(Some((connection, outlet, forwarded))) = handshake else {
        shared.counters.handshakes_failed.add();
        return;
    };
    outlet.gather();
    let session = Rc::new(Session::new(worker, peer, forwarded));
    session.run(connection, &outlet, limits.idle()).await;
}

/// TLS, where it is spoken, then HTTP/2; `None` when the client does not manage it.
async fn shake_hands(
    worker: &Worker,
    stream: Plain,
) -> Option<(Connection<Socket, Parcel>, Outlet, Forwarded)> {
    let (stream, forwarded) = match worker.shared.certificates.listener() {
        None => (Stream::Plain(stream), Forwarded::Untouched),
        Some(tls) => stream.accept(&tls, &worker.buffers).await.ok()?,
    };
    let socket = Socket::new(stream, Frames::of_client(Seeds::from_system()), &worker.buffers);
    let outlet = socket.outlet();
    let connection = builder(&worker.shared.config.limits).handshake(socket).await.ok()?;
    Some((connection, outlet, forwarded))
}

// === impl Session ===

impl Session {
    fn new(worker: Rc<Worker>, peer: String, certificate: Forwarded) -> Session {
        let told = worker.shared.config.forward_client_address;
        let address = if told { Forwarded::address(&peer) } else { Forwarded::Untouched };
        let limits = &worker.shared.config.limits;
        let account = Rc::new(Account::open(&worker.budget, limits));
        let window = Rc::new(Window::new(limits));
        Session {
            worker,
            account,
            window,
            peer: peer.into(),
            certificate,
            address,
            calls: Cell::new(0),
            accounted: Cell::new(0),
            leaving: Cell::new(false),
            begun: Instant::now(),
            answered: Cell::new(0),
            leases: RefCell::default(),
        }
    }

    pub fn peer(&self) -> Arc<str> {
        Arc::clone(&self.peer)
    }

    /// Puts in what the model server is told of the client, and takes out what the client says of itself in its place.
    pub fn identify(&self, headers: &mut HeaderMap) {
        self.certificate.apply(FORWARDED_CERTIFICATE, headers);
        self.address.apply(forwarded::ADDRESS, headers);
    }

    /// The connection that this client's calls to a model server go on, if there is one already.
    pub fn leased(&self, pool: &Rc<Pool>) -> Option<Rc<Link>> {
        self.leases.borrow().iter().find(|lease| Rc::ptr_eq(&lease.pool, pool))?.get()
    }

    /// The connection for calls to a model server, made if there is none.
    ///
    /// # Errors
    /// Why the model server cannot be reached.
    pub async fn lease(&self, pool: &Rc<Pool>) -> Result<Rc<Link>, Rc<str>> {
        let lease = self.lease_of(pool);
        let _finding = lease.finding.lock().await;
        if let Some(link) = lease.get() {
            return Ok(link);
        }
        let link = pool.lease().await?;
        if !pool.is_in_force() {
            // For this call alone, so that the connection goes with it.
            return Ok(link);
        }
        if let Some(closed) = lease.link.replace(Some(Rc::clone(&link))) {
            pool.give_back(&closed);
        }
        Ok(link)
    }

    fn lease_of(&self, pool: &Rc<Pool>) -> Rc<Lease> {
        let mut leases = self.leases.borrow_mut();
        if let Some(lease) = leases.iter().find(|lease| Rc::ptr_eq(&lease.pool, pool)) {
            return Rc::clone(lease);
        }
        leases.retain(|lease| lease.pool.is_in_force());
        let lease =
            Rc::new(Lease { pool: Rc::clone(pool), link: RefCell::default(), finding: Mutex::default() });
        leases.push(Rc::clone(&lease));
        lease
    }

    /// What moves one direction of a call.
    pub fn pump(&self, source: Source, to: SendStream<Parcel>) -> Pump {
        Pump::new(source, to, Rc::clone(&self.account), self.worker.shared.config.limits.stall())
    }

    /// Of the client's connection.
    pub fn window(&self) -> Rc<Window> {
        Rc::clone(&self.window)
    }

    /// So many bytes of an answer are on their way to the client, or a frame without any.
    pub fn note_answer(&self, bytes: usize) {
        self.answered.set(self.answered.get() + 1 + (bytes / PORTION) as u64);
    }

    async fn run(
        self: Rc<Session>,
        mut connection: Connection<Socket, Parcel>,
        outlet: &Outlet,
        idle: Duration,
    ) {
        let mut phase = self.worker.shared.phase.subscribe();
        // The plane may have begun to drain while hands were shaken.
        phase.mark_changed();
        let mut last_call = Instant::now();
        let mut in_a_row = 0u64;
        let stall = self.worker.shared.config.limits.stall();
        let mut timer = std::pin::pin!(tokio::time::sleep(idle));
        loop {
            tokio::select! {
                biased;
                accepted = self.accept(&mut connection, outlet) => match accepted {
                    Ok((mut request, respond)) => {
                        if let Some(alias) = outlet.alias_of(request.uri()) {
                            request.extensions_mut().insert(alias);
                        }
                        last_call = Instant::now();
                        self.begin(request, respond, last_call);
                        in_a_row += 1;
                        if in_a_row.is_multiple_of(CALLS_IN_A_ROW) {
                            tokio::task::yield_now().await;
                        }
                    }
                    Err(End::Broken(error)) => return self.broken(&error, outlet),
                    Err(End::Flood) => {
                        self.worker.shared.counters.connections_abusive.add();
                        self.worker.shared.counters.abusive_housekeeping.add();
                        return close(connection, outlet, h2::Reason::ENHANCE_YOUR_CALM).await;
                    }
                    Err(End::Gone) => return,
                },
                changed = phase.changed() => {
                    let now = if changed.is_ok() { *phase.borrow_and_update() } else { Phase::Stopping };
                    match now {
                        Phase::Serving => {}
                        Phase::Draining => self.leave(&mut connection),
                        Phase::Stopping => return close(connection, outlet, h2::Reason::NO_ERROR).await,
                    }
                }
                () = timer.as_mut() => {
                    let quiet = last_call.elapsed();
                    let quiet_for = |most: Duration| self.calls.get() == 0 && quiet >= most;
                    let counters = &self.worker.shared.counters;
                    if self.leaving.get() && quiet_for(idle + stall) {
                        // Asked to go, it does not read what it is owed.
                        counters.connections_stalled.add();
                        return close(connection, outlet, h2::Reason::NO_ERROR).await;
                    }
                    let next = if self.leaving.get() {
                        stall
                    } else if quiet_for(idle) {
                        counters.connections_idle.add();
                        self.leave(&mut connection);
                        stall
                    } else {
                        idle.saturating_sub(quiet)
                    };
                    let next = next.max(Duration::from_millis(1));
                    timer.as_mut().reset(tokio::time::Instant::now() + next);
                }
            }
        }
    }

    fn leave(&self, connection: &mut Connection<Socket, Parcel>) {
        if !self.leaving.replace(true) {
            connection.graceful_shutdown();
        }
    }

    fn begin(
        self: &Rc<Session>,
        request: Request<RecvStream>,
        mut respond: SendResponse<Parcel>,
        now: Instant,
    ) {
        self.calls.set(self.calls.get() + 1);
        self.accounted.set(self.accounted.get() + 1);
        if self.account.is_overdrawn() {
            self.ended();
            self.worker.shared.counters.calls_refused_memory.add();
            return respond.send_reset(h2::Reason::REFUSED_STREAM);
        }
        tokio::task::spawn_local(call::forward(Rc::clone(self), request, respond, now));
    }

    /// A call is over.
    pub fn ended(&self) {
        self.calls.set(self.calls.get() - 1);
    }

    fn broken(&self, error: &h2::Error, outlet: &Outlet) {
        let counters = &self.worker.shared.counters;
        if error.reason() != Some(h2::Reason::ENHANCE_YOUR_CALM) || !error.is_library() {
            if !error.is_io() {
                counters.connections_broken.add();
            }
            return;
        }
        counters.connections_abusive.add();
        let reasons = [
            ("too_many_resets", &counters.abusive_resets),
            ("too_many_internal_resets", &counters.abusive_faults),
            ("header_list_way_too_large", &counters.abusive_headers),
            ("too_many_continuations", &counters.abusive_headers),
            ("too_many_data_frames", &counters.abusive_data),
        ];
        if let Some((_, counter)) = reasons.iter().find(|(reason, _)| outlet.has_said(reason)) {
            counter.add();
        }
    }

    /// The next call; what the connection has to write is written whenever it has been polled.
    async fn accept(
        &self,
        connection: &mut Connection<Socket, Parcel>,
        outlet: &Outlet,
    ) -> Result<Accepted, End> {
        poll_fn(|cx| {
            if let Some(size) = self.window.poll(cx) {
                connection.set_target_window_size(size);
            }
            let accepted = std::pin::pin!(connection.accept()).poll(cx);
            // As long as there are calls to hand over, there is more to come.
            if !matches!(accepted, Poll::Ready(Some(Ok(_)))) {
                outlet.poll(cx);
            }
            if accepted.is_pending() {
                self.account(outlet);
            }
            match accepted {
                Poll::Ready(Some(accepted)) => Poll::Ready(accepted.map_err(End::Broken)),
                Poll::Ready(None) => Poll::Ready(Err(End::Gone)),
                Poll::Pending if self.floods(outlet.received()) => Poll::Ready(Err(End::Flood)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Counts the calls that the library has turned away. Those that come when the client has been asked to go are not
    /// meant: it will send them again elsewhere.
    fn account(&self, outlet: &Outlet) {
        let begun = outlet.received().begun;
        let turned_away = begun.saturating_sub(self.accounted.get());
        if turned_away == 0 || self.leaving.get() || !outlet.is_settled() {
            return;
        }
        self.accounted.set(begun);
        let Shared { counters, config, .. } = &*self.worker.shared;
        let full = self.calls.get() >= config.limits.concurrent_streams as usize;
        let counter = if full { &counters.calls_refused } else { &counters.calls_malformed };
        counter.add_many(turned_away);
    }

    fn floods(&self, received: FrameCounts) -> bool {
        let limit = self.worker.shared.config.limits.housekeeping;
        if received.housekeeping <= limit {
            return false;
        }
        let of_calls = received.of_calls.saturating_add(self.answered.get());
        let of_time = limit.saturating_mul(self.begun.elapsed().as_secs()) / 100;
        received.housekeeping > of_calls.saturating_mul(REASONS).saturating_add(of_time).saturating_add(limit)
    }
}

/// Ends a connection and its calls, with as little time for it as a peer that does not read deserves.
async fn close(mut connection: Connection<Socket, Parcel>, outlet: &Outlet, reason: h2::Reason) {
    connection.abrupt_shutdown(reason);
    let closed = poll_fn(|cx| {
        let closed = connection.poll_closed(cx);
        outlet.poll(cx);
        closed
    });
    // Whether it was told or not, it is over.
    let _ = tokio::time::timeout(LAST_WORDS, closed).await;
}

/// How long a connection that is ended may take to write what it has to say.
const LAST_WORDS: Duration = Duration::from_millis(100);

// === impl Lease ===

impl Lease {
    fn get(&self) -> Option<Rc<Link>> {
        self.link.borrow().as_ref().filter(|link| link.is_open()).cloned()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            self.pool.give_back(&link);
        }
    }
}

fn builder(limits: &Limits) -> server::Builder {
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_frame_size(limits.frame)
        .max_header_list_size(limits.metadata)
        .max_concurrent_streams(limits.concurrent_streams)
        .max_concurrent_reset_streams(REMEMBERED_RESETS)
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(Some(limits.faults))
        .data_frame_budget(SMALL_FRAMES.max(limits.connection_window as usize / 2));
    builder
}
