//! What must hold for any bytes that a stranger may send: the properties that fuzzing seeks to break.
//!
//! `fuzz/` drives them with libFuzzer, which needs a nightly toolchain; its corpus is replayed here on every `cargo
//! test`. A target is a name and a function that panics when its property does not hold.
#![forbid(unsafe_code)]

mod wire_format;

pub use wire_format::{request, response};

use pilotfish_core::profile::{Profile, ProfileError};
use pilotfish_proxy::fuzz;

/// One property, and the name of its corpus.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 6] = [
    ("request", request),
    ("response", response),
    ("split", split),
    ("frames", frames),
    ("headers", headers),
    ("profile", profile),
];

/// Longest message that the splitter gathers here: short, so that it comes across longer ones.
const MOST: usize = 64;

/// Messages are the ones that the specification says are there, wherever the frames are cut.
pub fn split(data: &[u8]) {
    let (cuts, stream) = cut(data);
    let found = fuzz::split(&cuts, MOST);
    assert_eq!(found, messages(stream));
    // Who only counts counts the same.
    assert_eq!(fuzz::split(&cuts, 0).bytes, found.bytes);
}

/// Length-prefixed messages, read from the whole stream
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
fn messages(stream: &[u8]) -> fuzz::Split {
    let (mut split, mut rest) = (fuzz::Split::default(), stream);
    while let Some((&[flag, a, b, c, d], behind)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some((message, behind)) = behind.split_at_checked(length) else { break };
        if length > MOST {
            split.too_large += 1;
        } else {
            split.messages.push((flag != 0, message.to_vec()));
        }
        split.bytes += length as u64;
        rest = behind;
    }
    split
}

/// Frames are the same, and counted the same, wherever the bytes are cut; their borders stay where they are. Changed are
/// only the type of an empty frame of data and, for what an authority needs, the block of headers.
pub fn frames(data: &[u8]) {
    let (cuts, stream) = cut(data);
    let (given, counts) = fuzz::received(&[stream]);
    assert_eq!((&given, counts), (&fuzz::received(&cuts).0, fuzz::received(&cuts).1));
    assert_eq!(given.len(), stream.len());
    let (mut at, mut last, mut seen) = (stream.len().min(24), 0, fuzz::FrameCounts::default());
    assert_eq!(given[..at], stream[..at]);
    while let Some(frame) = Frame::read(&stream[at..])
        && !frame.is_held(&stream[at..])
    {
        let end = stream.len().min(at + 9 + frame.length);
        let empty = frame.is_empty(&stream[at..], last);
        assert_eq!(given[at..at + 3], stream[at..at + 3]);
        assert_eq!(given[at + 3], if empty && frame.id != 0 { 0xff } else { frame.kind });
        assert_eq!(given[at + 4..at + 9], stream[at + 4..at + 9]);
        assert!(matches!(frame.kind, 1 | 9) || given[at + 9..end] == stream[at + 9..end]);
        seen.of_calls += u64::from(frame.kind == 1 || (frame.kind == 0 && !empty));
        seen.housekeeping += u64::from(empty || !matches!(frame.kind, 0 | 1 | 9));
        last = if frame.kind == 1 { frame.id.max(last) } else { last };
        at = end;
    }
    assert_eq!(given[at..], stream[at..]);
    assert_eq!((counts.of_calls, counts.housekeeping), (seen.of_calls, seen.housekeeping));
    assert!(counts.begun <= counts.of_calls);
}

struct Frame {
    length: usize,
    kind: u8,
    flags: u8,
    id: u32,
}

// === impl Frame ===

impl Frame {
    fn read(bytes: &[u8]) -> Option<Frame> {
        let &[a, b, c, kind, flags, ref id @ ..] = bytes.first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        Some(Frame { length, kind, flags, id: u32::from_be_bytes(*id) & 0x7fff_ffff })
    }

    /// Data that holds nothing, or nothing but padding for a stream that has begun, and ends nothing.
    fn is_empty(&self, bytes: &[u8], last: u32) -> bool {
        let padding = || usize::from(bytes[9]) + 1 == self.length && (1..=last).contains(&self.id);
        match (self.kind, self.flags & 9) {
            (0, 0) => self.length == 0,
            (0, 8) => self.length > 0 && padding(),
            _ => false,
        }
    }

    /// A beginning that is held back until more has come, and not counted yet.
    fn is_held(&self, bytes: &[u8]) -> bool {
        match self.kind {
            0 => self.flags & 9 == 8 && self.length > 0 && bytes.len() == 9,
            1 => bytes.len() < 16 * 1024 && !self.ends(bytes),
            _ => false,
        }
    }

    /// Whether the header block that begins here has come, or what comes is no part of it.
    fn ends(&self, bytes: &[u8]) -> bool {
        let Some(rest) = bytes.get(9 + self.length..) else { return false };
        let next = Frame::read(rest);
        self.flags & 4 != 0
            || next.is_some_and(|next| next.kind != 9 || next.id != self.id || next.ends(rest))
    }
}

/// Header values: a deadline never grows, text and bytes are never longer than what they were read from allows.
pub fn headers(data: &[u8]) {
    if let Some((time, written)) = fuzz::timeout(data) {
        let (again, _) = fuzz::timeout(written.as_bytes()).expect("what is written can be read");
        assert!(again <= time && data.len() <= 9);
    }
    if let Some(text) = fuzz::status_text(data) {
        // The worst is a byte that is no UTF-8, which becomes three.
        assert!(text.len() <= 3 * data.len());
    }
    if let Some(bytes) = fuzz::binary(data) {
        assert!(bytes.len() <= data.len() * 3 / 4);
    }
}

/// A profile that is accepted is written as something that is accepted, and means the same.
pub fn profile(data: &[u8]) {
    let sealed = match Profile::from_bytes(data) {
        // The checksum is no secret: whoever writes a profile can make it right, and the rest must hold by itself.
        Err(ProfileError::Altered { expected, found }) => {
            let text = String::from_utf8_lossy(data).replace(&expected, &found);
            Profile::from_bytes(text.as_bytes())
        }
        read => read,
    };
    if let Ok(profile) = sealed {
        let again = Profile::from_bytes(&profile.to_bytes()).expect("what is written can be read");
        assert_eq!(again.to_bytes(), profile.to_bytes());
    }
}

/// The bytes behind the first eight, and the same in pieces as long as those say.
fn cut(data: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let (lengths, stream) = data.split_at(data.len().min(8));
    let (mut pieces, mut rest) = (Vec::new(), stream);
    for length in lengths.iter().cycle().take(256) {
        let (piece, tail) = rest.split_at(usize::from(*length).min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    (pieces, stream)
}
