//! Bytes that were read ahead of the one who asked for fewer.

use std::io;
use std::rc::Rc;
use std::task::Poll;

use tokio::io::ReadBuf;

use crate::buffers::{Buffers, Held};

/// Who has room for as much is read to directly.
const LARGE_READ: usize = 12 * 1024;

#[derive(Debug)]
pub struct Inbox {
    buffers: Rc<Buffers>,
    held: Option<Held>,
}

// === impl Inbox ===

impl Inbox {
    pub fn new(buffers: Rc<Buffers>) -> Inbox {
        Inbox { buffers, held: None }
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_none()
    }

    /// Hands over what was read before; false when there is nothing.
    pub fn hand_over(&mut self, into: &mut ReadBuf<'_>) -> bool {
        let Some(held) = self.held.take() else { return false };
        let length = held.bytes().len().min(into.remaining());
        into.put_slice(&held.bytes()[..length]);
        self.held = self.buffers.advance(held, length);
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
            self.held = Some(Held::new(bytes, end));
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
        assert_eq!(buffers.spares(), 1);
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
        assert_eq!(buffers.spares(), 1);
    }
}
