//! Bytes that wait to be written together.
//!
//! Like what is read ahead, they lie in a buffer of the thread's, and only as long as there are any: connections that
//! take turns write from the same few buffers, which are then still in the processor's cache.

use std::io::IoSlice;
use std::rc::Rc;

use crate::inbox::Buffers;

#[derive(Debug)]
pub struct Outbox {
    buffers: Rc<Buffers>,
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
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
        self.held.as_ref().map_or(&[], |held| &held.bytes[held.start..held.end])
    }

    /// The end of what was put here last, written or not.
    pub fn tail(&self, most: usize) -> &[u8] {
        self.held.as_ref().map_or(&[], |held| &held.bytes[held.end.saturating_sub(most)..held.end])
    }

    /// Puts the pieces behind what waits; false when there is not enough room for all of them.
    pub fn add(&mut self, pieces: &[IoSlice<'_>]) -> bool {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if length == 0 {
            return true;
        }
        let buffers = &self.buffers;
        let held = self.held.get_or_insert_with(|| Held { bytes: buffers.take(), start: 0, end: 0 });
        if held.bytes.len() - held.end < length {
            return false;
        }
        for piece in pieces {
            held.bytes[held.end..held.end + piece.len()].copy_from_slice(piece);
            held.end += piece.len();
        }
        true
    }

    /// So many bytes of what waits have been written.
    pub fn advance(&mut self, written: usize) {
        let Some(mut held) = self.held.take() else { return };
        held.start += written;
        if held.start < held.end {
            self.held = Some(held);
        } else {
            self.buffers.give_back(held.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(outbox: &mut Outbox, bytes: &[u8]) -> bool {
        outbox.add(&[IoSlice::new(bytes)])
    }

    #[test]
    fn what_was_put_in_waits_in_order_until_it_is_written() {
        let mut outbox = Outbox::new(Rc::default());
        assert!(outbox.add(&[IoSlice::new(b"abc"), IoSlice::new(b"de")]) && add(&mut outbox, b"f"));
        outbox.advance(2);
        assert_eq!((outbox.waiting(), outbox.tail(4)), (&b"cdef"[..], &b"cdef"[..]));
        assert!(add(&mut outbox, b"g"));
        outbox.advance(5);
        assert!(outbox.is_empty() && outbox.waiting().is_empty());
    }

    #[test]
    fn what_does_not_fit_is_left_out_as_a_whole() {
        let mut outbox = Outbox::new(Rc::default());
        let mut put = 0;
        while add(&mut outbox, &[7; 5000]) {
            put += 5000;
        }
        assert!(put > 0 && outbox.waiting().len() == put);
        outbox.advance(put);
        assert!(add(&mut outbox, &[7; 5000]));
    }

    #[test]
    fn nothing_holds_no_buffer() {
        let mut outbox = Outbox::new(Rc::default());
        assert!(add(&mut outbox, b"") && outbox.is_empty());
    }
}
