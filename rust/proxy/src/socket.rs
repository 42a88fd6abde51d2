//! A byte stream to a client or a model server, read and written with few system calls.
//!
//! The HTTP/2 library reads 8 KiB at a time and writes each larger DATA frame by itself; for several calls at once on a
//! connection that is most of what forwarding costs. So what can be read is read at once and handed over in pieces, and
//! small writes are gathered until the library has said everything it has to say for now: see [`Outlet`].

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::frames::{FrameCounts, Frames};
use crate::inbox::{Buffers, Inbox};
use crate::outbox::Outbox;
use crate::stream::Stream;

/// Bytes read before others get their turn. The HTTP/2 library works through everything that can be read before it
/// hands over a single call: a client that sends faster than that would pile up calls without bound, and keep everyone
/// else on the thread waiting.
const TURN: usize = 64 * 1024;

/// A write of at least this many bytes is not worth copying. Frames of 16 KiB, which most peers send, are: to copy one
/// takes a fraction of what the operating system takes to send it by itself.
const LARGE_WRITE: usize = 32 * 1024;

/// Bytes of a goodbye that are kept.
const LAST_WORDS: usize = 64;

/// Pieces of one large write; the library has two, rarely three.
const PIECES: usize = 8;

#[derive(Debug)]
pub struct Socket {
    shared: Rc<RefCell<Shared>>,
    inbox: Inbox,
}

/// The writing side of a socket, for whoever polls the connection that owns it: gathers small writes from the moment
/// it is made, and writes them out when it is polled, which must be after each time the connection was.
#[derive(Debug)]
pub struct Outlet(Rc<RefCell<Shared>>);

#[derive(Debug)]
struct Shared {
    stream: Stream,
    gathered: Outbox,
    gathering: bool,
    /// Bytes read in this turn.
    taken: usize,
    frames: Frames,
    /// The end of what was to be written when the connection was over: the library's reason is in its GOAWAY only.
    last_words: Vec<u8>,
}

// === impl Socket ===

impl Socket {
    pub fn new(stream: Stream, frames: Frames, buffers: &Rc<Buffers>) -> Socket {
        let shared = Shared {
            stream,
            gathered: Outbox::new(Rc::clone(buffers)),
            gathering: false,
            taken: 0,
            frames,
            last_words: Vec::new(),
        };
        Socket { shared: Rc::new(RefCell::new(shared)), inbox: Inbox::new(Rc::clone(buffers)) }
    }

    /// To be called before the connection takes the socket; [`Outlet::gather`] once it has shaken hands.
    pub fn outlet(&self) -> Outlet {
        Outlet(Rc::clone(&self.shared))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Socket { shared, inbox } = self.get_mut();
        if inbox.hand_over(buffer) {
            return Poll::Ready(Ok(()));
        }
        let shared = &mut *shared.borrow_mut();
        if shared.taken >= TURN {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = inbox.poll_read(buffer, |into| shared.poll_read(cx, into));
        read.map_ok(|bytes| shared.taken += bytes)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.borrow_mut().poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.borrow_mut().poll_write(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// While small writes are gathered, the outlet's owner decides when they go out.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.shared.borrow_mut();
        if shared.gathering { Poll::Ready(Ok(())) } else { shared.poll_write_out(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.shared.borrow_mut();
        shared.keep_last_words();
        ready!(shared.poll_write_out(cx))?;
        Pin::new(&mut shared.stream).poll_shutdown(cx)
    }
}

// === impl Outlet ===

impl Outlet {
    pub fn gather(&self) {
        self.0.borrow_mut().gathering = true;
    }

    /// The frames that the peer has sent.
    pub fn received(&self) -> FrameCounts {
        self.0.borrow().frames.counts()
    }

    /// Whether the goodbye to the peer gave this reason.
    pub fn has_said(&self, reason: &str) -> bool {
        self.0.borrow().last_words.ends_with(reason.as_bytes())
    }

    /// Whether the library has had every frame, and nothing kept it from working through them.
    pub fn is_settled(&self) -> bool {
        let shared = self.0.borrow();
        shared.gathered.is_empty() && shared.frames.are_whole()
    }

    /// Ends a turn: writes what can be written, and lets more be read in the next one. The task is woken when there is
    /// room for the rest; an error comes again when the connection writes or reads the next time.
    pub fn poll(&self, cx: &mut Context<'_>) {
        let mut shared = self.0.borrow_mut();
        shared.taken = 0;
        let _ = shared.poll_write_out(cx);
    }
}

// === impl Shared ===

impl Shared {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        self.frames.pass(&mut into.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if length >= LARGE_WRITE || !self.gathering {
            return self.poll_write_through(cx, pieces);
        }
        if !self.gathered.add(pieces) {
            ready!(self.poll_write_out(cx))?;
            self.gathered.add(pieces);
        }
        Poll::Ready(Ok(length))
    }

    /// Writes what was gathered and these pieces behind it, in one go.
    fn poll_write_through(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let waiting = self.gathered.waiting();
            let before = waiting.len();
            let mut all = [IoSlice::new(&[]); PIECES];
            all[0] = IoSlice::new(waiting);
            let count = pieces.len().min(PIECES - 1);
            all[1..=count].copy_from_slice(&pieces[..count]);
            let first = usize::from(before == 0);
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &all[first..=count]))?;
            if written > before || (written == 0 && before == 0) {
                self.gathered.advance(before);
                return Poll::Ready(Ok(written - before));
            }
            self.advance(written)?;
        }
    }

    fn keep_last_words(&mut self) {
        if !self.gathered.is_empty() {
            self.last_words = self.gathered.tail(LAST_WORDS).to_vec();
        }
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, self.gathered.waiting()))?;
            self.advance(written)?;
        }
        // TLS may still hold what it has enciphered.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn advance(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.gathered.advance(written);
        Ok(())
    }
}
