//! The frames a peer sends, looked at as they are read and before the HTTP/2 library sees them.
//!
//! Three things the library cannot be told. It ends a connection for good after 100 empty DATA frames in its life,
//! though servers built on nghttp2 (Node's among them) send one before the trailers of every call: such frames mean
//! nothing, so they are made into frames of an unknown type, which receivers ignore (RFC 9113, section 4.1). It resets
//! calls whose authority may not stand in a URI: see [`crate::alias`]. And it answers housekeeping without end: here it
//! is counted.

use std::sync::Arc;

use http::Uri;

use crate::alias::{Alias, Aliases};
use crate::seed::Seeds;

const HEADER: usize = 9;

/// The bit before the number of a stream is to be ignored (RFC 9113, section 4.1).
const RESERVED: u32 = 1 << 31;

/// What a client says first (RFC 9113, section 3.4).
const PREFACE: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// Of the types no specification uses.
const IGNORED: u8 = 0xff;

/// Where the type stands in a frame's header.
const TYPE: usize = 3;

/// A header block that is waited for until it is whole; pseudo headers stand at its beginning.
const LONGEST_BLOCK: usize = 16 * 1024;

/// One direction of one connection.
#[derive(Debug)]
pub struct Frames {
    /// Bytes of the payload still to come.
    left: usize,
    /// Whether more of a header block is to come.
    amid_headers: bool,
    /// The highest stream so far.
    last_stream: u32,
    /// The peer has sent its settings, which come first.
    greeted: bool,
    counts: FrameCounts,
    /// Of a client; a server's answers have no authority.
    aliases: Option<Aliases>,
}

/// Frames since the connection began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// Those that begin, carry or end a call.
    pub of_calls: u64,
    /// All others but CONTINUATION, of which the library allows as many as the metadata needs.
    pub housekeeping: u64,
    /// Calls that have begun.
    pub begun: u64,
}

/// What stands before a payload (RFC 9113, section 4.1).
#[derive(Clone, Copy, Debug)]
struct Header {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

// === impl Frames ===

impl Frames {
    /// Frames that a client sends, behind its preface.
    pub fn of_client(seeds: Seeds) -> Frames {
        Frames { left: PREFACE, aliases: Some(Aliases::new(seeds)), ..Frames::of_server() }
    }

    pub fn of_server() -> Frames {
        Frames {
            left: 0,
            amid_headers: false,
            last_stream: 0,
            greeted: false,
            counts: FrameCounts::default(),
            aliases: None,
        }
    }

    /// Whether all that was passed makes whole frames and whole header blocks.
    pub fn are_whole(&self) -> bool {
        self.left == 0 && !self.amid_headers
    }

    /// Whether the peer speaks HTTP/2: its first frame was one of settings (RFC 9113, section 3.4).
    pub fn is_greeted(&self) -> bool {
        self.greeted
    }

    pub fn counts(&self) -> FrameCounts {
        self.counts
    }

    /// The alias that was put in the place of a call's authority.
    pub fn alias_of(&self, uri: &Uri) -> Option<Arc<Alias>> {
        self.aliases.as_ref()?.of(uri)
    }

    /// Looks at the next bytes that were read: how many of them can be handed over. The rest, up to
    /// [`LONGEST_BLOCK`] and a header, is the beginning of a frame that must be seen as a whole, and comes again with the bytes behind it.
    pub fn pass(&mut self, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        loop {
            let skipped = self.left.min(bytes.len() - at);
            self.left -= skipped;
            at += skipped;
            let Some((header, payload)) = Header::read(&mut bytes[at..]) else { return at };
            if header.kind == HEADERS
                && header.length <= LONGEST_BLOCK
                && let Some(aliases) = &mut self.aliases
            {
                let Some(payload) = payload.get_mut(..header.length) else { return at };
                if let Some(block) = header.block(payload) {
                    aliases.cover(block);
                }
            }
            if self.begin(header) {
                bytes[at + TYPE] = IGNORED;
            }
            self.left = header.length;
            at += HEADER;
        }
    }

    /// Counts a frame; whether it means nothing at all.
    fn begin(&mut self, header: Header) -> bool {
        let Header { length, kind, flags, stream } = header;
        self.greeted |= self.counts == FrameCounts::default() && kind == SETTINGS && stream == 0;
        match kind {
            DATA if length == 0 && flags & END_STREAM == 0 => {
                self.counts.housekeeping += 1;
                return stream != 0;
            }
            DATA => self.counts.of_calls += 1,
            HEADERS => {
                self.counts.of_calls += 1;
                self.counts.begun += u64::from(stream > self.last_stream);
                self.last_stream = self.last_stream.max(stream);
                self.amid_headers = flags & END_HEADERS == 0;
            }
            CONTINUATION => self.amid_headers = flags & END_HEADERS == 0,
            _ => self.counts.housekeeping += 1,
        }
        false
    }
}

// === impl Header ===

impl Header {
    /// The header at the beginning of these bytes, and what is there of the payload.
    fn read(bytes: &mut [u8]) -> Option<(Header, &mut [u8])> {
        let (&mut [high, middle, low, kind, flags, ref stream @ ..], payload) =
            bytes.split_first_chunk_mut::<HEADER>()?;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        let stream = u32::from_be_bytes(*stream) & !RESERVED;
        Some((Header { length, kind, flags, stream }, payload))
    }

    /// What of a payload of HEADERS is the header block (RFC 9113, section 6.2).
    fn block<'p>(&self, payload: &'p mut [u8]) -> Option<&'p mut [u8]> {
        let padded = usize::from(self.flags & PADDED != 0);
        let start = padded + if self.flags & PRIORITY != 0 { 5 } else { 0 };
        let padding = if padded == 1 { usize::from(*payload.first()?) } else { 0 };
        let end = payload.len().checked_sub(padding)?;
        payload.get_mut(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PING: u8 = 6;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn passed(frames: &mut Frames, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        assert_eq!(frames.pass(&mut bytes), bytes.len());
        bytes
    }

    /// The same in pieces, as a socket passes them.
    fn passed_in(frames: &mut Frames, pieces: &[&[u8]]) -> Vec<u8> {
        let (mut given, mut held) = (Vec::new(), Vec::new());
        for piece in pieces {
            held.extend_from_slice(piece);
            let whole = frames.pass(&mut held);
            given.extend(held.drain(..whole));
            assert!(held.len() < HEADER + LONGEST_BLOCK);
        }
        given.extend(held);
        given
    }

    #[test]
    fn an_empty_frame_is_hidden_and_the_end_of_a_stream_is_not() {
        let mut frames = Frames::of_server();
        let end = frame(DATA, END_STREAM, b"");
        assert_eq!(passed(&mut frames, &frame(DATA, 0, b"")), frame(IGNORED, 0, b""));
        assert_eq!(passed(&mut frames, &end), end);
        assert_eq!(frames.counts(), FrameCounts { of_calls: 1, housekeeping: 1, begun: 0 });
    }

    #[test]
    fn empty_data_that_belongs_to_no_stream_stays_the_error_it_is() {
        let broken = [0; HEADER];
        assert_eq!(passed(&mut Frames::of_server(), &broken), broken);
    }

    #[test]
    fn the_reserved_bit_is_no_part_of_a_streams_number() {
        let mut frames = Frames::of_server();
        for stream in [[0x80, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 3]] {
            passed(&mut frames, &[&[0, 0, 0, HEADERS, END_HEADERS][..], &stream].concat());
        }
        assert_eq!(frames.counts().begun, 2);
        let broken = [0, 0, 0, DATA, 0, 0x80, 0, 0, 0];
        assert_eq!(passed(&mut frames, &broken), broken);
    }

    #[test]
    fn who_begins_with_settings_speaks_http2() {
        let (settings, ping) = ([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0], frame(PING, 0, &[0; 8]));
        let all = [
            (settings.to_vec(), true),
            ([&settings[..], &ping].concat(), true),
            ([&ping[..], &settings].concat(), false),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), false),
        ];
        for (said, greeted) in all {
            let mut frames = Frames::of_server();
            passed(&mut frames, &said);
            assert_eq!(frames.is_greeted(), greeted, "{said:?}");
        }
    }

    #[test]
    fn the_preface_is_no_frame() {
        let mut frames = client();
        let said = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(PING, 0, &[0; 8])].concat();
        assert_eq!(passed(&mut frames, &said), said);
        assert_eq!(frames.counts(), FrameCounts { of_calls: 0, housekeeping: 1, begun: 0 });
    }

    #[test]
    fn a_call_has_begun_when_its_header_block_is_whole() {
        let mut frames = Frames::of_server();
        passed(&mut frames, &frame(HEADERS, 0, b"x"));
        assert!(!frames.are_whole());
        passed(&mut frames, &frame(CONTINUATION, END_HEADERS, b"y"));
        passed(&mut frames, &frame(HEADERS, END_HEADERS | END_STREAM, b"trailers"));
        assert!(frames.are_whole());
        assert_eq!(frames.counts(), FrameCounts { of_calls: 2, housekeeping: 0, begun: 1 });
    }

    fn client() -> Frames {
        Frames::of_client(Seeds::fixed(1))
    }

    #[test]
    fn an_authority_that_may_not_stand_in_a_uri_is_covered_in_whatever_frame() {
        let authority = b"10.0.0.1:80,10.0.0.2:80";
        let block = [b"\x82\x86\x84\x01\x17", &authority[..]].concat();
        let payloads = [
            (0, block.clone()),
            (PADDED, [&[3][..], &block[..], &[0; 3]].concat()),
            (PRIORITY, [&[0; 5][..], &block[..]].concat()),
            (PADDED | PRIORITY, [&[2][..], &[0; 5], &block[..], &[0; 2]].concat()),
        ];
        for (flags, payload) in payloads {
            let mut frames = Frames { left: 0, ..client() };
            let sent = frame(HEADERS, flags | END_HEADERS, &payload);
            let given = passed(&mut frames, &sent);
            let place = sent.windows(authority.len()).position(|window| window == authority).unwrap();
            assert_ne!(&given[place..place + authority.len()], authority);
            assert_eq!(given[..place], sent[..place]);
            assert_eq!(given[place + authority.len()..], sent[place + authority.len()..]);
        }
    }

    #[test]
    fn a_padding_longer_than_its_frame_stays_the_error_it_is() {
        let sent = frame(HEADERS, PADDED | END_HEADERS, b"\xff\x41");
        assert_eq!(passed(&mut Frames { left: 0, ..client() }, &sent), sent);
    }

    proptest! {
        #[test]
        fn frames_are_the_same_wherever_the_bytes_are_cut(
            sent in prop::collection::vec((0u8..12, 0u8..64, prop::collection::vec(any::<u8>(), 0..30)), 0..40),
            cuts in prop::collection::vec(1usize..40, 0..200),
        ) {
            let mut stream = vec![0; PREFACE];
            stream.extend(sent.iter().flat_map(|(kind, flags, payload)| frame(*kind, *flags, payload)));
            let (mut pieces, mut rest) = (Vec::new(), &stream[..]);
            for cut in cuts {
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = tail;
            }
            pieces.push(rest);
            let (mut whole, mut parts) = (client(), client());
            prop_assert_eq!(passed_in(&mut parts, &pieces), passed(&mut whole, &stream));
            prop_assert_eq!(parts.counts(), whole.counts());
        }
    }
}
