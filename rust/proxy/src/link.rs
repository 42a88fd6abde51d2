//! One connection to a model server.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use h2::SendStream;
use h2::client::{self, Connection, ResponseFuture, SendRequest};
use http::Request;

use crate::address::Address;
use crate::alias::Alias;
use crate::buffers::Buffers;
use crate::config::Limits;
use crate::frames::Frames;
use crate::memory::Parcel;
use crate::socket::{Outlet, Socket};
use crate::stream::{Plain, Stream};
use crate::tls::Connecting;
use crate::window::Window;

/// Streams that were reset but whose last frames may still come.
const REMEMBERED_RESETS: usize = 1024;

#[derive(Debug)]
pub struct Link {
    /// None once it is closed: the connection ends with the last call that is under way on it.
    sender: RefCell<Option<SendRequest<Parcel>>>,
    /// No new calls are taken once this is false; those under way go on.
    open: Cell<bool>,
    /// Client connections that send their calls here.
    leases: Cell<usize>,
    /// Whether the server has ever answered on it.
    answered: Cell<bool>,
    outlet: Outlet,
    window: Rc<Window>,
}

// === impl Link ===

impl Link {
    /// Connects; the second value must be polled for anything to happen.
    ///
    /// # Errors
    /// The server cannot be reached within the limit.
    pub async fn connect(
        address: &Address,
        tls: Option<&Connecting>,
        limits: &Limits,
        buffers: &Rc<Buffers>,
    ) -> io::Result<(Link, Driver)> {
        let connect = async {
            let plain = Plain::connect(address).await?;
            let stream = match tls {
                None => Stream::Plain(plain),
                Some(tls) => plain.secure(tls, buffers).await?,
            };
            let socket = Socket::new(stream, Frames::of_server(), buffers);
            let outlet = socket.outlet();
            let builder = builder(limits);
            let shaken = builder.handshake(socket).await.map_err(|error| match error.is_io() {
                true => error.into_io().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()),
                false => io::Error::other(error),
            });
            let window = Rc::new(Window::new(limits));
            shaken.map(|(sender, connection)| (sender, Driver { connection, outlet, window }))
        };
        let (sender, driver) = tokio::time::timeout(limits.connect(), connect)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "connecting took too long"))??;
        let link = Link {
            sender: RefCell::new(Some(sender)),
            open: Cell::new(true),
            leases: Cell::new(0),
            answered: Cell::new(false),
            outlet: driver.outlet.clone(),
            window: Rc::clone(&driver.window),
        };
        driver.outlet.gather();
        Ok((link, driver))
    }

    /// Begins a call; gives the request back when this connection takes no more calls.
    pub fn send(
        &self,
        request: Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Parcel>), Refused> {
        let mut sender = self.sender.borrow_mut();
        let Some(sender) = sender.as_mut() else { return Err(Refused::Closed(request.into())) };
        if !takes_calls(sender) {
            return Err(Refused::Closed(request.into()));
        }
        if let Some(alias) = request.extensions().get::<Arc<Alias>>() {
            self.outlet.lift(alias);
        }
        let streams = sender.send_request(request, end).map_err(Refused::Failed)?;
        // A handle waits with a call that has to wait for a free stream; a fresh one does not. To be asked before the
        // call has a waker on its stream: asking puts another in its place.
        if is_ready(sender).is_pending() {
            let fresh = sender.clone();
            *sender = fresh;
        }
        Ok(streams)
    }

    /// Of this connection.
    pub fn window(&self) -> Rc<Window> {
        Rc::clone(&self.window)
    }

    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    /// Takes no more calls.
    pub fn close(&self) {
        self.open.set(false);
        self.sender.take();
    }

    pub fn leases(&self) -> usize {
        self.leases.get()
    }

    pub fn lease(&self) {
        self.leases.set(self.leases.get() + 1);
    }

    pub fn release(&self) {
        self.leases.set(self.leases.get().saturating_sub(1));
    }

    pub fn has_answered(&self) -> bool {
        self.answered.get()
    }

    pub fn note_answer(&self) {
        self.answered.set(true);
    }

    /// Whether the server has spoken HTTP/2.
    pub fn was_greeted(&self) -> bool {
        self.outlet.was_greeted()
    }
}

/// A server that sent GOAWAY is found out here, before the request is given away.
fn takes_calls(sender: &mut SendRequest<Parcel>) -> bool {
    !matches!(is_ready(sender), Poll::Ready(Err(_)))
}

fn is_ready(sender: &mut SendRequest<Parcel>) -> Poll<Result<(), h2::Error>> {
    sender.poll_ready(&mut Context::from_waker(Waker::noop()))
}

/// What moves a connection's bytes; nothing happens unless it is run.
#[derive(Debug)]
pub struct Driver {
    connection: Connection<Socket, Parcel>,
    outlet: Outlet,
    window: Rc<Window>,
}

// === impl Driver ===

impl Driver {
    /// Until the connection has ended.
    ///
    /// # Errors
    /// How it ended, unless it was closed in order.
    pub async fn run(mut self) -> Result<(), h2::Error> {
        poll_fn(|cx| {
            if let Some(size) = self.window.poll(cx) {
                self.connection.set_target_window_size(size);
            }
            let ended = Pin::new(&mut self.connection).poll(cx);
            self.outlet.poll(cx);
            ended
        })
        .await
    }
}

/// Why a call could not be begun on a connection.
#[derive(Debug)]
pub enum Refused {
    /// Nothing was sent; another connection may take it.
    Closed(Box<Request<()>>),
    Failed(h2::Error),
}

fn builder(limits: &Limits) -> client::Builder {
    let mut builder = client::Builder::new();
    builder
        .initial_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_frame_size(limits.frame)
        .max_header_list_size(limits.metadata)
        .max_concurrent_reset_streams(REMEMBERED_RESETS)
        // The model server is trusted: its mistakes cost the call they happen in, not the connection.
        .max_local_error_reset_streams(None)
        // Nor are its tokens an attack: each call takes what comes for it, or gathers it.
        .data_frame_budget(usize::MAX)
        .enable_push(false);
    builder
}
