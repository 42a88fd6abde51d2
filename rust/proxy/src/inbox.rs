//! Bytes that were read ahead of the one who asked for fewer.
//!
//! The buffers belong to the thread: a connection holds one only as long as there is something in it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use tokio::io::ReadBuf;

/// Read ahead, or gathered to be written, at a time.
pub const SIZE: usize = 64 * 1024;

/// Who has room for as much is read to directly.
const LARGE_READ: usize = 12 * 1024;

/// Buffers that are kept while nobody needs them.
const SPARES: usize = 16;

/// The buffers of one thread.
#[derive(Debug, Default)]
pub struct Buffers(RefCell<Vec<Box<[u8]>>>);

#[derive(Debug)]
pub struct Inbox {
    buffers: Rc<Buffers>,
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

// === impl Buffers ===

impl Buffers {
    pub fn take(&self) -> Box<[u8]> {
        self.0.borrow_mut().pop().unwrap_or_else(|| vec![0; SIZE].into_boxed_slice())
    }

    pub fn give_back(&self, buffer: Box<[u8]>) {
        let mut spares = self.0.borrow_mut();
        if spares.len() < SPARES {
            spares.push(buffer);
        }
    }
}

// === impl Inbox ===

impl Inbox {
    pub fn new(buffers: Rc<Buffers>) -> Inbox {
        Inbox { buffers, held: None }
    }

    /// Hands over what was read before; false when there is nothing.
    pub fn hand_over(&mut self, into: &mut ReadBuf<'_>) -> bool {
        let Some(mut held) = self.held.take() else { return false };
        let end = held.end.min(held.start + into.remaining());
        into.put_slice(&held.bytes[held.start..end]);
        held.start = end;
        if held.start < held.end {
            self.held = Some(held);
        } else {
            self.buffers.give_back(held.bytes);
        }
        true
    }

    /// Reads as much as there is, once, and hands over what there is room for. Ready with the bytes that were read.
    /// So many bytes need room before those that are read.
    pub fn poll_read(
        &mut self,
        into: &mut ReadBuf<'_>,
        before: usize,
        mut read: impl FnMut(&mut ReadBuf<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<usize>> {
        if into.remaining() >= before + LARGE_READ {
            let filled = into.filled().len();
            return read(into).map_ok(|()| into.filled().len() - filled);
        }
        let mut bytes = self.buffers.take();
        let mut ahead = ReadBuf::new(&mut bytes);
        let done = read(&mut ahead);
        let end = ahead.filled().len();
        if matches!(done, Poll::Ready(Ok(()))) && end > 0 {
            self.held = Some(Held { bytes, start: 0, end });
            self.hand_over(into);
        } else {
            self.buffers.give_back(bytes);
        }
        done.map_ok(|()| end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_ahead_comes_in_pieces_and_in_order() {
        let buffers = Rc::new(Buffers::default());
        let mut inbox = Inbox::new(Rc::clone(&buffers));
        let mut room = [0; 3];
        let mut into = ReadBuf::new(&mut room);
        let read = inbox.poll_read(&mut into, 0, |ahead| {
            ahead.put_slice(b"abcdefg");
            Poll::Ready(Ok(()))
        });
        assert!(matches!(read, Poll::Ready(Ok(7))));
        assert_eq!(into.filled(), b"abc");
        for rest in [&b"def"[..], b"g"] {
            let mut room = [0; 3];
            let mut into = ReadBuf::new(&mut room);
            assert!(inbox.hand_over(&mut into));
            assert_eq!(into.filled(), rest);
        }
        assert!(!inbox.hand_over(&mut ReadBuf::new(&mut room)));
        assert_eq!(buffers.0.borrow().len(), 1);
    }

    #[test]
    fn the_end_and_an_error_hold_no_buffer() {
        let buffers = Rc::new(Buffers::default());
        let mut inbox = Inbox::new(Rc::clone(&buffers));
        let mut room = [0; 3];
        let end = inbox.poll_read(&mut ReadBuf::new(&mut room), 0, |_| Poll::Ready(Ok(())));
        assert!(matches!(end, Poll::Ready(Ok(0))));
        let lost = inbox
            .poll_read(&mut ReadBuf::new(&mut room), 0, |_| Poll::Ready(Err(io::ErrorKind::Other.into())));
        assert!(matches!(lost, Poll::Ready(Err(_))));
        assert_eq!(buffers.0.borrow().len(), 1);
    }
}
