//! The frames a peer sends, looked at as they are read and before the HTTP/2 library sees them.
//!
//! Two things the library cannot be told. It ends a connection for good after 100 empty DATA frames in its life, though
//! servers built on nghttp2 (Node's among them) send one before the trailers of every call: such frames mean nothing,
//! so they are made into frames of an unknown type, which receivers ignore (RFC 9113, section 4.1). And it answers
//! housekeeping without end: here it is counted. Only the nine bytes before each payload are read.

const HEADER: usize = 9;

/// What a client says first (RFC 9113, section 3.4).
const PREFACE: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Of the types no specification uses.
const IGNORED: u8 = 0xff;

/// Where the type stands in the nine bytes, counted from their end.
const TYPE_FROM_END: usize = 6;

/// One direction of one connection.
#[derive(Debug)]
pub struct Frames {
    header: [u8; HEADER],
    /// Bytes of the header that have come.
    have: usize,
    /// Bytes of the payload still to come.
    left: usize,
    /// Whether more of a header block is to come.
    amid_headers: bool,
    /// The highest stream so far.
    last_stream: u32,
    counts: FrameCounts,
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

// === impl Frames ===

impl Frames {
    /// Frames that a client sends, behind its preface.
    pub fn of_client() -> Frames {
        Frames { left: PREFACE, ..Frames::of_server() }
    }

    pub fn of_server() -> Frames {
        Frames {
            header: [0; HEADER],
            have: 0,
            left: 0,
            amid_headers: false,
            last_stream: 0,
            counts: FrameCounts::default(),
        }
    }

    /// Whether all that was read makes whole frames and whole header blocks.
    pub fn are_whole(&self) -> bool {
        self.have == 0 && self.left == 0 && !self.amid_headers
    }

    pub fn counts(&self) -> FrameCounts {
        self.counts
    }

    /// Looks at the next bytes that were read.
    pub fn pass(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let skipped = self.left.min(bytes.len() - at);
            self.left -= skipped;
            at += skipped;
            let taken = (HEADER - self.have).min(bytes.len() - at);
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[at..at + taken]);
            self.have += taken;
            at += taken;
            if self.have == HEADER {
                self.have = 0;
                // A header cut in two right behind its type is let through: the type has been handed over.
                let kind = at.checked_sub(TYPE_FROM_END).and_then(|kind| bytes.get_mut(kind));
                if let (true, Some(kind)) = (self.begin(), kind) {
                    *kind = IGNORED;
                }
            }
        }
    }

    /// Counts the frame whose header is complete; whether it means nothing at all.
    fn begin(&mut self) -> bool {
        let [high, middle, low, kind, flags, stream @ ..] = self.header;
        self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
        let stream = u32::from_be_bytes(stream);
        match kind {
            DATA if self.left == 0 && flags & END_STREAM == 0 => {
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
        frames.pass(&mut bytes);
        bytes
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
    fn the_preface_is_no_frame() {
        let mut frames = Frames::of_client();
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

    proptest! {
        #[test]
        fn frames_are_counted_wherever_the_bytes_are_cut(
            sent in prop::collection::vec((0u8..12, 0u8..2, prop::collection::vec(any::<u8>(), 0..30)), 0..40),
            cuts in prop::collection::vec(1usize..40, 0..200),
        ) {
            let stream = sent.iter().flat_map(|(kind, flags, payload)| frame(*kind, *flags, payload)).collect::<Vec<_>>();
            let mut whole = Frames::of_server();
            let hidden = passed(&mut whole, &stream);
            let (mut parts, mut rest, mut seen) = (Frames::of_server(), &stream[..], Vec::new());
            for cut in cuts {
                let (part, tail) = rest.split_at(cut.min(rest.len()));
                seen.extend(passed(&mut parts, part));
                rest = tail;
            }
            seen.extend(passed(&mut parts, rest));
            prop_assert_eq!(parts.counts(), whole.counts());
            // Only types differ, and only between hidden and not.
            prop_assert!(seen.iter().zip(&hidden).zip(&stream).all(|((a, b), c)| a == b || (a == c && *b == IGNORED)));
        }
    }
}
