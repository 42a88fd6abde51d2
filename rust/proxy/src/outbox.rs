//! Bytes that wait to be written together.

use std::io::IoSlice;
use std::rc::Rc;

use crate::buffers::{Buffers, Held, SIZE};

#[derive(Debug)]
pub struct Outbox {
    buffers: Rc<Buffers>,
    held: Option<Held>,
}

// === impl Outbox ===

impl Outbox {
    pub fn new(buffers: Rc<Buffers>) -> Outbox {
        Outbox { buffers, held: None }
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_none()
    }

    /// What has not been written yet.
    pub fn waiting(&self) -> &[u8] {
        self.held.as_ref().map_or(&[], Held::bytes)
    }

    /// The end of what was put here last, written or not.
    pub fn tail(&self, most: usize) -> &[u8] {
        self.held.as_ref().map_or(&[], |held| held.tail(most))
    }

    /// Bytes that may be put behind what waits.
    pub fn room(&self) -> usize {
        self.held.as_ref().map_or(SIZE, Held::room)
    }

    /// Puts the pieces behind what waits, as far as there is room; gives what was put.
    pub fn add(&mut self, pieces: &[IoSlice<'_>]) -> &mut [u8] {
        if pieces.iter().all(|piece| piece.is_empty()) {
            return &mut [];
        }
        let buffers = &self.buffers;
        let held = self.held.get_or_insert_with(|| Held::new(buffers.take(), 0));
        held.add(pieces.iter().map(|piece| &**piece))
    }

    /// So many bytes of what waits have been written.
    pub fn advance(&mut self, written: usize) {
        let held = self.held.take();
        self.held = held.and_then(|held| self.buffers.advance(held, written));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(outbox: &mut Outbox, bytes: &[u8]) -> usize {
        outbox.add(&[IoSlice::new(bytes)]).len()
    }

    #[test]
    fn what_was_put_in_waits_in_order_until_it_is_written() {
        let mut outbox = Outbox::new(Rc::default());
        assert_eq!(outbox.add(&[IoSlice::new(b"abc"), IoSlice::new(b"de")]), b"abcde");
        assert_eq!(add(&mut outbox, b"f"), 1);
        outbox.advance(2);
        assert_eq!((outbox.waiting(), outbox.tail(4)), (&b"cdef"[..], &b"cdef"[..]));
        assert_eq!(add(&mut outbox, b"g"), 1);
        outbox.advance(5);
        assert!(outbox.is_empty() && outbox.waiting().is_empty());
    }

    #[test]
    fn what_does_not_fit_is_left() {
        let mut outbox = Outbox::new(Rc::default());
        let room = outbox.room();
        assert_eq!(add(&mut outbox, &vec![7; room - 1]), room - 1);
        assert_eq!((outbox.room(), &*outbox.add(&[IoSlice::new(b"ab"), IoSlice::new(b"c")])), (1, &b"a"[..]));
        assert_eq!((add(&mut outbox, b"b"), outbox.waiting().len()), (0, room));
        outbox.advance(room);
        assert_eq!((outbox.room(), add(&mut outbox, b"b")), (room, 1));
    }

    #[test]
    fn nothing_holds_no_buffer() {
        let mut outbox = Outbox::new(Rc::default());
        assert!(add(&mut outbox, b"") == 0 && outbox.is_empty());
    }
}
