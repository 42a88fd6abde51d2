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

/// Messages are found the same wherever the frames are cut.
pub fn split(data: &[u8]) {
    let (cuts, stream) = cut(data);
    let whole = fuzz::split(&[stream], MOST);
    assert_eq!(fuzz::split(&cuts, MOST), whole);
    assert!(whole.bytes as usize <= stream.len());
    let found: usize = whole.messages.iter().map(|(_, message)| message.len()).sum();
    assert!(found <= whole.bytes as usize);
    // Who only counts counts the same.
    assert_eq!(fuzz::split(&cuts, 0).bytes, whole.bytes);
}

/// Frames are counted the same wherever the bytes are cut; nothing but the type of an empty frame is ever changed.
pub fn frames(data: &[u8]) {
    let (cuts, stream) = cut(data);
    let (given, counts) = fuzz::received(&[stream]);
    let (given_in_pieces, counts_of_pieces) = fuzz::received(&cuts);
    assert_eq!(counts, counts_of_pieces);
    assert_eq!(given.len(), stream.len());
    for ((sent, whole), piece) in stream.iter().zip(&given).zip(&given_in_pieces) {
        assert!(sent == whole || (*sent, *whole) == (0, 0xff));
        assert!(piece == whole || piece == sent);
    }
    assert!(counts.begun <= counts.of_calls);
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
