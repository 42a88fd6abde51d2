//! Pieces of a body that wait for a receiver.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;

/// Pieces that the HTTP/2 library has more trouble with than they have bytes, and ends connections for when they pile up.
const SMALL: usize = 256;

/// In order; small ones that follow each other are put together.
#[derive(Debug, Default)]
pub struct Gathered {
    pieces: VecDeque<Bytes>,
    /// Behind all of them.
    small: BytesMut,
}

// === impl Gathered ===

impl Gathered {
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.small.is_empty()
    }

    /// Takes all that comes, so that a stream of tokens that has to wait is not taken for an attack. The sender is given no
    /// room for it yet. Ready when the sender has given up.
    pub fn poll_fill(&mut self, from: &mut RecvStream, cx: &mut Context<'_>) -> Poll<h2::Error> {
        loop {
            match ready!(from.poll_data(cx)) {
                Some(Ok(bytes)) => self.push(bytes),
                Some(Err(error)) => return Poll::Ready(error),
                None => return Poll::Pending,
            }
        }
    }

    fn push(&mut self, piece: Bytes) {
        if piece.len() < SMALL {
            self.small.extend_from_slice(&piece);
            return;
        }
        if !self.small.is_empty() {
            self.pieces.push_back(self.small.split().freeze());
        }
        self.pieces.push_back(piece);
    }

    pub fn pop(&mut self) -> Option<Bytes> {
        self.pieces.pop_front().or_else(|| (!self.small.is_empty()).then(|| self.small.split().freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_order_and_small_ones_in_one() {
        let mut gathered = Gathered::default();
        let sizes = [1, 2, 255, 256, 3, 1000, 300, 0, 5];
        let pieces: Vec<Bytes> = (0u8..).zip(sizes).map(|(fill, size)| vec![fill; size].into()).collect();
        for piece in &pieces {
            gathered.push(piece.clone());
        }
        let popped: Vec<Bytes> = std::iter::from_fn(|| gathered.pop()).collect();
        assert_eq!(popped.iter().map(Bytes::len).collect::<Vec<_>>(), [258, 256, 3, 1000, 300, 5]);
        assert_eq!(popped.concat(), pieces.concat());
        assert!(gathered.is_empty());
    }
}
