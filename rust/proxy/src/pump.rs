//! One direction of a call: what one peer sends is handed to the other as it came.
//!
//! Bytes count as received only when the other peer had room for them, so that a slow reader slows its own sender
//! and nothing is piled up here beyond [`SLACK`].

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::HeaderMap;
use tokio::time::Sleep;

use crate::gathered::Gathered;
use crate::memory::{Account, Lent, Parcel, Wait};
use crate::window::{Debt, Window};

/// Bytes that may be under way before the receiving side is asked whether it has room: asking for each small message
/// would cost more than it protects.
const SLACK: usize = 32 * 1024;

#[derive(Debug)]
pub struct Pump {
    from: RecvStream,
    to: SendStream<Parcel>,
    account: Rc<Account>,
    /// Bytes passed on whose room has not been given back to the sender.
    held: usize,
    /// The same, as far as it weighs on the other calls of the sender.
    debt: Debt,
    lent: Option<Lent>,
    /// How long a receiver without room is waited for.
    stall: Duration,
    waiting: Option<Waiting>,
    /// What came meanwhile; the sender's window bounds it.
    gathered: Gathered,
    state: State,
}

/// Where a direction of a call comes from.
pub struct Source {
    pub from: RecvStream,
    /// What came before there was anybody to pass it on to.
    pub gathered: Gathered,
    /// Of the connection.
    pub window: Rc<Window>,
}

/// The receiver has no room at the moment.
#[derive(Debug)]
struct Waiting {
    until: Pin<Box<Sleep>>,
    _counted: Wait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Data,
    Trailers,
    Done,
}

/// Whoever looks on.
pub trait Onlooker {
    fn data(&mut self, bytes: &Bytes);
    fn trailers(&mut self, trailers: &HeaderMap);
    /// The receiver has to make room first.
    fn waiting(&mut self);
}

/// Which side ended the transfer before its time.
#[derive(Debug)]
pub enum Stopped {
    /// The sender reset the stream, or was lost.
    Source(h2::Error),
    /// The receiver wants no more; why is known to its own stream.
    Sink,
    /// The receiver does not read.
    Unread(Unread),
}

/// Why a receiver that does not read is waited for no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Longer than the limit.
    TooLong,
    /// Too much is held, of which this client has more than its share.
    Overdrawn,
}

// === impl Pump ===

impl Pump {
    pub fn new(
        Source { from, gathered, window }: Source,
        to: SendStream<Parcel>,
        account: Rc<Account>,
        stall: Duration,
    ) -> Pump {
        let state = if from.is_end_stream() && gathered.is_empty() { State::Done } else { State::Data };
        Pump {
            from,
            to,
            account,
            held: 0,
            debt: Debt::new(window),
            lent: None,
            stall,
            waiting: None,
            gathered,
            state,
        }
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The stream towards the receiver.
    pub fn sink(&mut self) -> &mut SendStream<Parcel> {
        &mut self.to
    }

    /// Moves what can be moved. Ready when the sender has ended its side, and the end has been passed on.
    pub fn poll(&mut self, cx: &mut Context<'_>, onlooker: &mut impl Onlooker) -> Poll<Result<(), Stopped>> {
        loop {
            match self.state {
                State::Data => ready!(self.poll_data(cx, onlooker))?,
                State::Trailers => ready!(self.poll_trailers(cx, onlooker))?,
                State::Done => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>, onlooker: &mut impl Onlooker) -> Poll<Result<(), Stopped>> {
        if (self.held > SLACK || self.debt.is_due()) && self.poll_room(cx)?.is_pending() {
            self.poll_patience(cx, onlooker)?;
            return self.gathered.poll_fill(&mut self.from, cx).map(|error| Err(Stopped::Source(error)));
        }
        self.waiting = None;
        if let Some(bytes) = self.gathered.pop() {
            return Poll::Ready(self.pass(bytes, onlooker));
        }
        if self.lent.is_some() {
            // What is held may be due now.
            self.return_loan();
            return Poll::Ready(Ok(()));
        }
        match ready!(self.from.poll_data(cx)) {
            Some(Ok(bytes)) => self.pass(bytes, onlooker)?,
            Some(Err(error)) => return Poll::Ready(Err(Stopped::Source(error))),
            None => self.state = State::Trailers,
        }
        Poll::Ready(Ok(()))
    }

    fn pass(&mut self, bytes: Bytes, onlooker: &mut impl Onlooker) -> Result<(), Stopped> {
        let end = self.gathered.is_empty() && self.from.is_end_stream();
        self.hold(self.held + bytes.len());
        let parcel = Parcel::new(bytes.clone(), &self.account);
        self.to.send_data(parcel, end).map_err(|_| Stopped::Sink)?;
        onlooker.data(&bytes);
        if end {
            self.finish();
        }
        Ok(())
    }

    fn hold(&mut self, bytes: usize) {
        self.held = bytes;
        self.debt.set(if self.lent.is_some() { 0 } else { bytes });
    }

    fn return_loan(&mut self) {
        self.lent = None;
        self.hold(self.held);
    }

    /// The rest is given back when the call ends, which may be long after.
    fn finish(&mut self) {
        self.state = State::Done;
        self.return_loan();
        if self.debt.is_due() {
            self.give_back();
        }
    }

    /// Waits for a receiver without room, as long as there is reason to; meanwhile other calls of the sender go on.
    fn poll_patience(&mut self, cx: &mut Context<'_>, onlooker: &mut impl Onlooker) -> Result<(), Stopped> {
        if self.lent.is_none() {
            self.lent = self.account.borrow(self.debt.window());
            self.hold(self.held);
        }
        let (account, stall) = (&self.account, self.stall);
        let waiting = self.waiting.get_or_insert_with(|| {
            onlooker.waiting();
            Waiting { until: Box::pin(tokio::time::sleep(stall)), _counted: account.wait() }
        });
        if waiting.until.as_mut().poll(cx).is_ready() {
            return Err(Stopped::Unread(Unread::TooLong));
        }
        if account.is_overdrawn() {
            return Err(Stopped::Unread(Unread::Overdrawn));
        }
        Ok(())
    }

    fn poll_trailers(
        &mut self,
        cx: &mut Context<'_>,
        onlooker: &mut impl Onlooker,
    ) -> Poll<Result<(), Stopped>> {
        match ready!(self.from.poll_trailers(cx)) {
            Ok(Some(trailers)) => {
                onlooker.trailers(&trailers);
                self.to.send_trailers(trailers).map_err(|_| Stopped::Sink)?;
            }
            Ok(None) => {
                let nothing = Parcel::unaccounted(Bytes::new());
                self.to.send_data(nothing, true).map_err(|_| Stopped::Sink)?;
            }
            Err(error) => return Poll::Ready(Err(Stopped::Source(error))),
        }
        self.finish();
        Poll::Ready(Ok(()))
    }

    /// Ready once the receiver has room for all that was passed on; the sender may then send as much again.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        self.to.reserve_capacity(1);
        while self.to.capacity() == 0 {
            match ready!(self.to.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(Stopped::Sink)),
            }
        }
        self.give_back();
        Poll::Ready(Ok(()))
    }

    fn give_back(&mut self) {
        let _ = self.from.flow_control().release_capacity(self.held);
        self.hold(0);
    }
}
