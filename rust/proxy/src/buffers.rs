//! The buffers of one thread: a connection holds one only as long as there is something in it, so connections that take
//! turns share a few, which are then still in the processor's cache.

use std::cell::RefCell;

/// Of a buffer, in bytes: so many are read ahead, or gathered to be written, at a time.
pub const SIZE: usize = 64 * 1024;

/// Buffers that are kept while nobody needs them.
const SPARES: usize = 16;

#[derive(Debug, Default)]
pub struct Buffers(RefCell<Vec<Box<[u8]>>>);

/// A buffer with something in it.
#[derive(Debug)]
pub struct Held {
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

    /// Lets go of the first bytes that are held; with the last of them the buffer is free for others.
    pub fn advance(&self, mut held: Held, by: usize) -> Option<Held> {
        held.start += by;
        if held.start < held.end {
            return Some(held);
        }
        self.give_back(held.bytes);
        None
    }

    #[cfg(test)]
    pub fn spares(&self) -> usize {
        self.0.borrow().len()
    }
}

// === impl Held ===

impl Held {
    /// What stands in the first `end` bytes.
    pub fn new(bytes: Box<[u8]>, end: usize) -> Held {
        Held { bytes, start: 0, end }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The end of what was put here last, whether or not it has been let go of.
    pub fn tail(&self, most: usize) -> &[u8] {
        &self.bytes[self.end.saturating_sub(most)..self.end]
    }

    /// Bytes that may be put behind.
    pub fn room(&self) -> usize {
        self.bytes.len() - self.end
    }

    /// Puts the pieces behind, as far as there is room; gives what was put.
    pub fn add<'p>(&mut self, pieces: impl Iterator<Item = &'p [u8]>) -> &mut [u8] {
        let before = self.end;
        for piece in pieces {
            let length = piece.len().min(self.room());
            self.bytes[self.end..self.end + length].copy_from_slice(&piece[..length]);
            self.end += length;
        }
        &mut self.bytes[before..self.end]
    }
}
