//! What of this crate reads bytes from strangers, for whoever wants to see it fail: the fuzzing targets.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

pub use crate::frames::FrameCounts;
use crate::frames::Frames;
use crate::seed::Seeds;
use crate::splitter::{Found, Splitter};
use crate::status::{Status, UNKNOWN};

/// What a splitter finds in the frames of one direction of a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Split {
    pub messages: Vec<(bool, Vec<u8>)>,
    pub too_large: usize,
    /// Bytes of all whole messages.
    pub bytes: u64,
}

pub fn split(frames: &[&[u8]], most: usize) -> Split {
    let (mut splitter, mut split) = (Splitter::new(most), Split::default());
    for frame in frames {
        splitter.push(&Bytes::copy_from_slice(frame), |found| match found {
            Found::Message(message) => {
                split.messages.push((message.is_compressed(), message.joined().to_vec()));
            }
            Found::TooLarge => split.too_large += 1,
        });
    }
    split.bytes = splitter.bytes();
    split
}

/// What the HTTP/2 library is given of what a peer sent in these pieces, and what was counted.
pub fn received(pieces: &[&[u8]]) -> (Vec<u8>, FrameCounts) {
    let mut frames = Frames::of_client(Seeds::fixed(1));
    let (mut given, mut held) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        let whole = frames.pass(&mut held);
        given.extend(held.drain(..whole));
    }
    given.extend(held);
    (given, frames.counts())
}

/// The time in a `grpc-timeout`, and how it is written again.
pub fn timeout(value: &[u8]) -> Option<(Duration, HeaderValue)> {
    let time = crate::deadline::parse(value)?;
    Some((time, crate::deadline::format(time)))
}

/// The text of a `grpc-message`; `None` when it is no header value.
pub fn status_text(value: &[u8]) -> Option<String> {
    let message = Some(HeaderValue::from_bytes(value).ok()?);
    Some(Status { code: UNKNOWN, message }.text())
}

/// The bytes of a `-bin` value.
pub fn binary(value: &[u8]) -> Option<Vec<u8>> {
    crate::headers::base64(value)
}
