//! The frames a peer sends, looked at as they are read and before the HTTP/2 library sees them.
//!
//! Three things the library cannot be told. It ends a connection for good after 100 empty DATA frames in its life,
//! though servers built on nghttp2 (Node's among them) send one before the trailers of every call: such frames mean
//! nothing, so they are made into frames of an unknown type, which receivers ignore (RFC 9113, section 4.1); what is
//! padding all through is empty as well, and its windows are given back here. It resets calls whose authority may not
//! stand in a URI: see [`crate::alias`]. And it answers housekeeping without end: here it is counted.

mod block;
mod header;
mod windows;

use std::sync::Arc;

use http::Uri;

use crate::alias::{Alias, Aliases};
use crate::seed::Seeds;
use block::Block;
use header::{CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Header, IGNORED, PADDED, SETTINGS, TYPE};
use windows::Windows;

/// What a client says first (RFC 9113, section 3.4).
const PREFACE: usize = 24;

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
    /// For frames that were hidden.
    windows: Windows,
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

// === impl FrameCounts ===

impl FrameCounts {
    pub fn all(self) -> u64 {
        self.of_calls + self.housekeeping
    }
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
            windows: Windows::default(),
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

    /// Whether frames were hidden that used up a window.
    pub fn owes(&self) -> bool {
        !self.windows.are_even()
    }

    /// What gives it back, to be sent between two frames of the library's; as much of it as has room.
    pub fn settle(&mut self, room: usize) -> Vec<u8> {
        self.windows.settle(room)
    }

    /// Looks at the next bytes that were read: how many of them can be handed over. The rest, less than
    /// [`block::LONGEST`], is the beginning of what must be seen as a whole, and comes again with the bytes behind it.
    pub fn pass(&mut self, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        loop {
            let skipped = self.left.min(bytes.len() - at);
            self.left -= skipped;
            at += skipped;
            let Some(header) = Header::read(&bytes[at..]) else { return at };
            if header.kind == HEADERS
                && let Some(aliases) = &mut self.aliases
            {
                let frames = &mut bytes[at..];
                let Some(block) = Block::read(header, frames) else { return at };
                block.change(frames, |bytes, whole| aliases.cover(bytes, whole));
            }
            let Some(empty) = self.is_empty(header, &bytes[at + header::LENGTH..]) else { return at };
            if self.begin(header, empty) {
                bytes[at + TYPE] = IGNORED;
            }
            self.left = header.length;
            at += header::LENGTH;
        }
    }

    /// Whether this is a frame of data that brings none and ends nothing; `None` while its first byte must come.
    fn is_empty(&self, header: Header, payload: &[u8]) -> Option<bool> {
        if header.kind != DATA || header.has(END_STREAM) {
            return Some(false);
        }
        if header.length == 0 || !header.has(PADDED) {
            return Some(header.length == 0 && !header.has(PADDED));
        }
        let has_begun = header.stream != 0 && header.stream <= self.last_stream;
        Some(usize::from(*payload.first()?) + 1 == header.length && has_begun)
    }

    /// Counts a frame; whether it means nothing at all.
    fn begin(&mut self, header: Header, empty: bool) -> bool {
        let Header { length, kind, stream, .. } = header;
        self.greeted |= self.counts == FrameCounts::default() && kind == SETTINGS && stream == 0;
        match kind {
            DATA if empty => {
                self.counts.housekeeping += 1;
                if length > 0 {
                    self.windows.owe(stream, length);
                }
                return stream != 0;
            }
            DATA => self.counts.of_calls += 1,
            HEADERS => {
                self.counts.of_calls += 1;
                self.counts.begun += u64::from(stream > self.last_stream);
                self.last_stream = self.last_stream.max(stream);
                self.amid_headers = !header.has(END_HEADERS);
            }
            CONTINUATION => self.amid_headers = !header.has(END_HEADERS),
            _ => self.counts.housekeeping += 1,
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::header::PRIORITY;
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
            assert!(held.len() < block::LONGEST);
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
        let broken = [0; header::LENGTH];
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
    fn an_authority_is_covered_wherever_its_block_is_cut() {
        let authority = b"10.0.0.1:80,10.0.0.2:80";
        let block = [b"\x82\x86\x84\x01\x17", &authority[..], b"\x40\x02te\x08trailers"].concat();
        let covered = |pieces: &[&[u8]]| {
            let last = pieces.len() - 1;
            let of =
                |at| (if at == 0 { HEADERS } else { CONTINUATION }, if at == last { END_HEADERS } else { 0 });
            let sent: Vec<_> =
                pieces.iter().enumerate().map(|(at, piece)| frame(of(at).0, of(at).1, piece)).collect();
            let mut frames = Frames { left: 0, ..client() };
            let given = passed_in(&mut frames, &sent.iter().map(Vec::as_slice).collect::<Vec<_>>());
            assert!(frames.are_whole());
            let mut at = 0;
            let blocks = pieces.iter().map(|piece| {
                at += header::LENGTH + piece.len();
                given[at - piece.len()..at].to_vec()
            });
            blocks.collect::<Vec<_>>().concat()
        };
        let whole = covered(&[&block]);
        assert_ne!(whole, block);
        for end in 0..block.len() {
            let (front, back) = block.split_at(end);
            assert_eq!(covered(&[front, back]), whole);
            assert_eq!(covered(&[front, b"", back]), whole);
        }
    }

    #[test]
    fn who_never_ends_a_block_is_waited_for_no_longer_than_pseudo_headers_need() {
        let mut frames = Frames { left: 0, ..client() };
        let empty = frame(CONTINUATION, 0, b"");
        let endless: Vec<_> = [frame(HEADERS, 0, b"")].into_iter().chain(vec![empty; 3000]).collect();
        let pieces: Vec<_> = endless.iter().map(Vec::as_slice).collect();
        assert_eq!(passed_in(&mut frames, &pieces), endless.concat());
    }

    #[test]
    fn padding_all_through_is_hidden_and_its_windows_are_owed() {
        let mut frames = Frames::of_server();
        passed(&mut frames, &frame(HEADERS, END_HEADERS, b""));
        for padding in [0, 1, 255] {
            let payload = [&[padding][..], &vec![0; usize::from(padding)]].concat();
            let sent = frame(DATA, PADDED, &payload);
            assert_eq!(passed(&mut frames, &sent), frame(IGNORED, PADDED, &payload));
            assert_eq!(frames.pass(&mut sent[..header::LENGTH].to_vec()), 0);
        }
        let owed: Vec<u8> = [1u32, 0]
            .iter()
            .flat_map(|stream| {
                [&[0, 0, 4, header::WINDOW_UPDATE, 0][..], &stream.to_be_bytes(), &259u32.to_be_bytes()]
                    .concat()
            })
            .collect();
        assert_eq!(frames.settle(1000), owed);
        assert!(!frames.owes());
        for (flags, payload) in
            [(PADDED, &b"\x01x\0"[..]), (PADDED | END_STREAM, b"\0"), (PADDED, b"\x09"), (PADDED, b"")]
        {
            let sent = frame(DATA, flags, payload);
            assert_eq!(passed(&mut frames, &sent), sent);
        }
        assert!(!frames.owes());
    }

    #[test]
    fn padding_for_a_stream_that_has_not_begun_stays_the_error_it_is() {
        let sent = frame(DATA, PADDED, b"\0");
        assert_eq!(passed(&mut Frames::of_server(), &sent), sent);
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
            prop_assert_eq!(passed_in(&mut parts, &pieces), passed_in(&mut whole, &[&stream]));
            prop_assert_eq!(parts.counts(), whole.counts());
        }
    }
}
