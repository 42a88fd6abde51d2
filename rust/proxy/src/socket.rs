//! A byte stream to a client or a model server, read and written with few system calls.
//!
//! The HTTP/2 library reads 8 KiB at a time and writes each larger DATA frame by itself; for several calls at once on a
//! connection that is most of what forwarding costs. So what can be read is read at once and handed over in pieces, and
//! small writes are gathered until the library has said everything it has to say for now: see [`Outlet`].

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Uri;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::alias::{Alias, Lifted};
use crate::buffers::Buffers;
use crate::frames::{FrameCounts, Frames};
use crate::inbox::Inbox;
use crate::outbox::Outbox;
use crate::stream::Stream;

/// Bytes read before others get their turn. The HTTP/2 library works through everything that can be read before it
/// hands over a single call: a client that sends faster than that would pile up calls without bound, and keep everyone
/// else on the thread waiting.
const TURN: usize = 64 * 1024;

/// Bytes that a frame counts for in a turn, beside its own: the library takes longer for a frame than for what is in it. A
/// turn of frames of one byte was 6,500 of them, and eight such clients made everyone else wait for 270 ms.
const FRAME: usize = 256;

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
#[derive(Clone, Debug)]
pub struct Outlet(Rc<RefCell<Shared>>);

#[derive(Debug)]
struct Shared {
    stream: Stream,
    gathered: Outbox,
    gathering: bool,
    /// Bytes handed over in this turn, and what their frames count for.
    taken: usize,
    /// What a byte of those that were read last counts for.
    weight: usize,
    /// Whether bytes that were read are still to be handed over.
    ahead: bool,
    frames: Frames,
    /// The beginning of a frame, of which the rest must come before the library sees it.
    held: Vec<u8>,
    /// Authorities that have another name in what the library writes.
    lifted: Lifted,
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
            weight: 1,
            ahead: false,
            frames,
            held: Vec::new(),
            lifted: Lifted::default(),
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
        let shared = &mut *shared.borrow_mut();
        if shared.taken >= TURN {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        if !inbox.hand_over(buffer) {
            ready!(inbox.poll_read(buffer, shared.held.len(), |into| shared.poll_read(cx, into)))?;
        }
        shared.taken += (buffer.filled().len() - before) * shared.weight;
        shared.ahead = !inbox.is_empty();
        Poll::Ready(Ok(()))
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
        if !shared.gathering {
            return shared.poll_write_out(cx);
        }
        shared.settle();
        Poll::Ready(Ok(()))
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

    /// Whether the peer has spoken HTTP/2.
    pub fn was_greeted(&self) -> bool {
        self.0.borrow().frames.is_greeted()
    }

    /// The alias that the library knows a call's authority by.
    pub fn alias_of(&self, uri: &Uri) -> Option<Arc<Alias>> {
        self.0.borrow().frames.alias_of(uri)
    }

    /// A call with this alias is about to be sent.
    pub fn lift(&self, alias: &Arc<Alias>) {
        self.0.borrow_mut().lifted.add(alias);
    }

    /// Whether the goodbye to the peer gave this reason.
    pub fn has_said(&self, reason: &str) -> bool {
        self.0.borrow().last_words.ends_with(reason.as_bytes())
    }

    /// Whether the library has had every frame, and nothing kept it from working through them.
    pub fn is_settled(&self) -> bool {
        let shared = self.0.borrow();
        !shared.ahead && shared.gathered.is_empty() && shared.held.is_empty() && shared.frames.are_whole()
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
        let start = into.filled().len();
        loop {
            into.put_slice(&self.held);
            let before = into.filled().len();
            let read = Pin::new(&mut self.stream).poll_read(cx, into);
            if !matches!(read, Poll::Ready(Ok(()))) {
                into.set_filled(start);
                return read;
            }
            if into.filled().len() == before {
                // The end; what a peer has not finished is the library's to judge.
                self.held.clear();
                return read;
            }
            let frames = self.frames.counts().all();
            let whole = start + self.frames.pass(&mut into.filled_mut()[start..]);
            self.weigh(whole - start, self.frames.counts().all() - frames);
            self.held.clear();
            self.held.extend_from_slice(&into.filled()[whole..]);
            into.set_filled(whole);
            if whole > start {
                return read;
            }
        }
    }

    fn weigh(&mut self, bytes: usize, frames: u64) {
        let frames = usize::try_from(frames).unwrap_or(usize::MAX);
        self.weight = 1 + frames.saturating_mul(FRAME) / bytes.max(1);
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.lifted.is_empty() && (length >= LARGE_WRITE || !self.gathering) {
            return self.poll_write_through(cx, pieces);
        }
        if self.gathered.room() < length {
            ready!(self.poll_write_out(cx))?;
        }
        let put = self.gathered.add(pieces);
        self.lifted.lift(put);
        Poll::Ready(Ok(put.len()))
    }

    /// The library flushes when it has written whole frames, so that others may stand behind them.
    fn settle(&mut self) {
        if self.frames.owes() {
            let frames = self.frames.settle(self.gathered.room());
            self.gathered.add(&[IoSlice::new(&frames)]);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seeds;
    use crate::stream::Plain;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn pair() -> (Socket, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let frames = Frames::of_client(Seeds::fixed(1));
        (Socket::new(Stream::Plain(Plain::Unix(ours)), frames, &Rc::default()), theirs)
    }

    /// HEADERS with this authority, not coded, behind it a frame of data.
    fn call(authority: &str) -> Vec<u8> {
        let length = u8::try_from(authority.len()).unwrap();
        let headers = [0, 0, length + 2, 1, 4, 0, 0, 0, 1, 0x41, length];
        [&headers[..], authority.as_bytes(), &[0, 0, 3, 0, 1, 0, 0, 0, 1], b"end"].concat()
    }

    #[tokio::test]
    async fn a_frame_that_comes_byte_by_byte_is_read_as_one_that_comes_whole() {
        let sent = [PREFACE, &call("10.0.0.1:80,10.0.0.2:80")].concat();
        let mut seen = Vec::new();
        for size in [1, 7, sent.len()] {
            let (mut socket, mut peer) = pair();
            let outlet = socket.outlet();
            let mut read = Vec::new();
            for piece in sent.chunks(size) {
                peer.write_all(piece).await.unwrap();
                // The runtime learns of what has come when a task yields.
                tokio::task::yield_now().await;
                poll_once(&mut socket, &mut read).await;
                outlet.poll(&mut Context::from_waker(std::task::Waker::noop()));
            }
            assert!(outlet.is_settled());
            seen.push(read);
        }
        assert_eq!(seen[0].len(), sent.len());
        assert_ne!(seen[0], sent);
        assert!(seen.iter().all(|read| *read == seen[0]));
    }

    /// Reads what there is, 16 bytes at a time.
    async fn poll_once(socket: &mut Socket, read: &mut Vec<u8>) {
        std::future::poll_fn(|cx| {
            loop {
                let mut room = [0; 16];
                let mut into = ReadBuf::new(&mut room);
                match Pin::new(&mut *socket).poll_read(cx, &mut into) {
                    Poll::Ready(result) => result.unwrap(),
                    Poll::Pending => return Poll::Ready(()),
                }
                read.extend_from_slice(into.filled());
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_turn_of_small_frames_is_shorter_and_none_is_lost() {
        let large = [&[0, 0x40, 0, 0, 0, 0, 0, 0, 1][..], &[7; 0x4000]].concat().repeat(3);
        let small = [0, 0, 1, 0, 0, 0, 0, 0, 1, 7].repeat(4000);
        for (frames, turns) in [(large, 1..=2), (small, 12..=20)] {
            let (mut socket, mut peer) = pair();
            let outlet = socket.outlet();
            let sent = [PREFACE, &frames].concat();
            peer.write_all(&sent).await.unwrap();
            tokio::task::yield_now().await;
            let (mut read, mut taken) = (Vec::new(), 0);
            while read.len() < sent.len() {
                poll_once(&mut socket, &mut read).await;
                assert_eq!(outlet.is_settled(), read.len() == sent.len());
                outlet.poll(&mut Context::from_waker(std::task::Waker::noop()));
                taken += 1;
            }
            assert_eq!(read, sent);
            assert!(turns.contains(&taken), "{taken} turns");
        }
    }

    #[tokio::test]
    async fn a_frame_that_is_never_finished_is_handed_over_at_the_end() {
        let (mut socket, mut peer) = pair();
        let sent = [PREFACE, &call("10.0.0.1:80,10.0.0.2:80")[..20]].concat();
        peer.write_all(&sent).await.unwrap();
        drop(peer);
        let mut read = Vec::new();
        socket.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, sent);
    }

    #[tokio::test]
    async fn what_is_written_is_whole_with_and_without_an_alias() {
        let (mut socket, mut peer) = pair();
        let mut aliases = crate::alias::Aliases::new(Seeds::fixed(1));
        let mut call = call("10.0.0.1:80,10.0.0.2:80");
        aliases.cover(&mut call[9..34], true);
        let uri = format!("http://{}/", std::str::from_utf8(&call[11..34]).unwrap()).parse().unwrap();
        let alias = aliases.of(&uri).unwrap();
        let outlet = socket.outlet();
        outlet.gather();
        outlet.lift(&alias);
        let large = vec![b'A'; 200_000];
        let reader = async {
            let mut read = vec![0; large.len()];
            peer.read_exact(&mut read).await.unwrap();
            read
        };
        let writer = async {
            socket.write_all(&large).await.unwrap();
            std::future::poll_fn(|cx| {
                outlet.poll(cx);
                Poll::<()>::Pending
            })
            .await;
        };
        let read = tokio::select! {
            read = reader => read,
            () = writer => unreachable!(),
        };
        assert!(read == large);
    }
}
