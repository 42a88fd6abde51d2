//! What the windows of a connection are owed for frames that the library does not see.
//!
//! A frame of padding uses up both windows of its sender (RFC 9113, section 6.9.1); who hides it from the library has
//! to give that back.

use super::header::{LENGTH, WINDOW_UPDATE};

/// A frame of WINDOW_UPDATE.
const UPDATE: usize = LENGTH + 4;

/// In the order of the frames, neighbours of the same stream together.
#[derive(Debug, Default)]
pub struct Windows(Vec<(u32, u32)>);

// === impl Windows ===

impl Windows {
    pub fn owe(&mut self, stream: u32, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        match self.0.last_mut() {
            Some((last, owed)) if *last == stream => *owed = owed.saturating_add(bytes),
            _ => self.0.push((stream, bytes)),
        }
    }

    pub fn are_even(&self) -> bool {
        self.0.is_empty()
    }

    /// The frames that give back what is owed, as many as have room.
    pub fn settle(&mut self, room: usize) -> Vec<u8> {
        let count = (room / (2 * UPDATE)).min(self.0.len());
        let mut frames = Vec::with_capacity(count * 2 * UPDATE);
        for (stream, owed) in self.0.drain(..count) {
            // An update beyond what a window may be would be an error, but nobody can have used up as much.
            for number in [stream, 0] {
                frames.extend_from_slice(&[0, 0, 4, WINDOW_UPDATE, 0]);
                frames.extend_from_slice(&number.to_be_bytes());
                frames.extend_from_slice(&owed.to_be_bytes());
            }
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_and_the_connection_get_back_what_padding_took() {
        let mut windows = Windows::default();
        [(1, 2), (1, 3), (7, 256)].iter().for_each(|(stream, bytes)| windows.owe(*stream, *bytes));
        let update = |stream, bytes| {
            [&[0, 0, 4, 8, 0][..], &u32::to_be_bytes(stream), &u32::to_be_bytes(bytes)].concat()
        };
        assert!(windows.settle(25).is_empty());
        assert_eq!(windows.settle(40), [update(1, 5), update(0, 5)].concat());
        assert!(!windows.are_even());
        assert_eq!(windows.settle(1000), [update(7, 256), update(0, 256)].concat());
        assert!(windows.are_even());
    }
}
