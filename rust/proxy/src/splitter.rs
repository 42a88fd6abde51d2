//! Finds the messages in a stream of DATA: one byte compressed flag, four bytes length, the message
//! (gRPC over HTTP/2, "Length-Prefixed-Message").
//!
//! It looks on from the side: what it does not understand is forwarded all the same. It keeps slices of the frames,
//! never copies, and gives up on a message that is longer than it may keep.

use bytes::Bytes;

use crate::message::Message;

const PREFIX: usize = 5;

/// One direction of one call.
#[derive(Debug)]
pub struct Splitter {
    /// Longest message that is gathered; 0 gathers none and only counts.
    most: usize,
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that have come.
    have: usize,
    /// Bytes of the message still to come, once the prefix is complete.
    left: usize,
    parts: Vec<Bytes>,
    /// Of the whole messages so far, without prefixes.
    bytes: u64,
    /// That were not too long.
    messages: u64,
}

/// What was found.
#[derive(Debug)]
pub enum Found {
    Message(Message),
    /// A message longer than may be kept.
    TooLarge,
}

// === impl Splitter ===

impl Splitter {
    pub fn new(most: usize) -> Splitter {
        Splitter { most, prefix: [0; PREFIX], have: 0, left: 0, parts: Vec::new(), bytes: 0, messages: 0 }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whole messages so far, but for those that were found too large.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Takes the next frame's bytes and gives each message that is complete with them.
    pub fn push(&mut self, frame: &Bytes, mut found: impl FnMut(Found)) {
        let mut at = 0;
        while at < frame.len() {
            if self.have < PREFIX {
                let take = (PREFIX - self.have).min(frame.len() - at);
                self.prefix[self.have..self.have + take].copy_from_slice(&frame[at..at + take]);
                self.have += take;
                at += take;
                if self.have < PREFIX {
                    return;
                }
                self.left = self.length();
            }
            let take = self.left.min(frame.len() - at);
            let part = (self.keeps() && take > 0).then(|| frame.slice(at..at + take));
            self.left -= take;
            at += take;
            if self.left == 0 {
                self.complete(part, &mut found);
            } else {
                self.parts.extend(part);
            }
        }
    }

    /// A message is complete with its last part; mostly that is all of it, and no list of parts is needed.
    fn complete(&mut self, last: Option<Bytes>, found: &mut impl FnMut(Found)) {
        self.bytes += self.length() as u64;
        self.have = 0;
        let compressed = self.prefix[0] != 0;
        if !self.keeps() && self.most > 0 {
            return found(Found::TooLarge);
        }
        self.messages += 1;
        if self.most == 0 {
            return;
        }
        if self.parts.is_empty() {
            found(Found::Message(Message::whole(last.unwrap_or_default(), compressed)));
        } else {
            let mut parts = std::mem::take(&mut self.parts);
            parts.extend(last);
            found(Found::Message(Message::of(parts, compressed)));
        }
    }

    fn keeps(&self) -> bool {
        self.most > 0 && self.length() <= self.most
    }

    fn length(&self) -> usize {
        let [_, length @ ..] = self.prefix;
        u32::from_be_bytes(length) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
        let frame = |message: &Vec<u8>| {
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            [&[0][..], &length, message].concat()
        };
        messages.iter().flat_map(frame).collect()
    }

    fn split(splitter: &mut Splitter, frames: &[&[u8]]) -> (Vec<Vec<u8>>, usize) {
        let (mut messages, mut too_large) = (Vec::new(), 0);
        for frame in frames {
            splitter.push(&Bytes::copy_from_slice(frame), |found| match found {
                Found::Message(message) => messages.push(message.joined().to_vec()),
                Found::TooLarge => too_large += 1,
            });
        }
        (messages, too_large)
    }

    proptest! {
        #[test]
        fn messages_are_the_same_wherever_the_frames_are_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            cuts in prop::collection::vec(1usize..20, 0..60),
        ) {
            let stream = framed(&messages);
            let (mut rest, mut frames) = (&stream[..], Vec::new());
            for cut in cuts {
                let (frame, tail) = rest.split_at(cut.min(rest.len()));
                frames.push(frame);
                rest = tail;
            }
            frames.push(rest);
            let mut splitter = Splitter::new(1000);
            prop_assert_eq!(split(&mut splitter, &frames).0, messages.clone());
            prop_assert_eq!(splitter.bytes(), messages.iter().map(|message| message.len() as u64).sum::<u64>());
        }

        #[test]
        fn any_bytes_at_all_are_looked_at_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            split(&mut Splitter::new(50), &[&bytes]);
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_counted_and_not_kept() {
        let stream = framed(&[vec![1; 100], vec![2; 3]]);
        let mut splitter = Splitter::new(10);
        assert_eq!(split(&mut splitter, &[&stream]), (vec![vec![2; 3]], 1));
        assert_eq!((splitter.bytes(), splitter.messages()), (103, 1));
        let mut counting = Splitter::new(0);
        assert_eq!(split(&mut counting, &[&stream]), (Vec::new(), 0));
        assert_eq!((counting.bytes(), counting.messages()), (103, 2));
    }

    #[test]
    fn the_compressed_flag_stays_with_the_message() {
        let mut compressed = false;
        Splitter::new(10).push(&Bytes::from_static(b"\x01\0\0\0\x01x"), |found| {
            compressed = matches!(found, Found::Message(message) if message.is_compressed());
        });
        assert!(compressed);
    }
}
