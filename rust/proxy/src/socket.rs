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
use crate::stream::Stream;

/// Bytes read before others get their turn. The HTTP/2 library works through everything that can be read before it
/// hands over a single call: a client that sends faster than that would pile up calls without bound, and keep everyone
/// else on the thread waiting.
const TURN: usize = 64 * 1024;

/// A write of at least this many bytes is not worth copying.
const LARGE_WRITE: usize = 8 * 1024;

/// Bytes gathered before they are written whether or not more is coming.
const MOST_GATHERED: usize = 64 * 1024;

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
    gathered: Vec<u8>,
    /// How much of it has been written.
    written: usize,
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
            gathered: Vec::new(),
            written: 0,
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
        if self.gathered.len() >= MOST_GATHERED {
            ready!(self.poll_write_out(cx))?;
        }
        pieces.iter().for_each(|piece| self.gathered.extend_from_slice(piece));
        Poll::Ready(Ok(length))
    }

    /// Writes what was gathered and these pieces behind it, in one go.
    fn poll_write_through(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let before = self.gathered.len() - self.written;
            let mut all = [IoSlice::new(&[]); PIECES];
            all[0] = IoSlice::new(&self.gathered[self.written..]);
            let count = pieces.len().min(PIECES - 1);
            all[1..=count].copy_from_slice(&pieces[..count]);
            let first = usize::from(before == 0);
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &all[first..=count]))?;
            if written > before || (written == 0 && before == 0) {
                self.all_written();
                return Poll::Ready(Ok(written - before));
            }
            self.advance(written)?;
        }
    }

    fn keep_last_words(&mut self) {
        let end = self.gathered.len();
        if end > 0 {
            self.last_words = self.gathered[end.saturating_sub(LAST_WORDS)..].to_vec();
        }
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.gathered.len() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.gathered[self.written..]))?;
            self.advance(written)?;
        }
        // TLS may still hold what it has enciphered.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn advance(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.written += written;
        if self.written == self.gathered.len() {
            self.all_written();
        }
        Ok(())
    }

    fn all_written(&mut self) {
        self.gathered.clear();
        self.written = 0;
    }
}
