//! A header block in the frames that carry it: HEADERS, and CONTINUATION for what does not fit.

use std::ops::Range;

use super::header::{CONTINUATION, END_HEADERS, Header, LENGTH, PADDED, PRIORITY};

/// As much of a block, with the headers of its frames, is waited for; pseudo headers stand at its beginning.
pub const LONGEST: usize = 16 * 1024;

/// Where the pieces of a block stand.
#[derive(Debug)]
pub struct Block {
    first: Range<usize>,
    more: Vec<Range<usize>>,
    /// Nothing of the block is beyond them.
    whole: bool,
}

// === impl Block ===

impl Block {
    /// The block that begins with this frame of HEADERS, as far as it stands in the first [`LONGEST`] bytes. `None`
    /// while more of it must come.
    pub fn read(header: Header, bytes: &[u8]) -> Option<Block> {
        let window = &bytes[..bytes.len().min(LONGEST)];
        let mut block = Block { first: first(header, window), more: Vec::new(), whole: false };
        let (mut end, mut ended) = (LENGTH + header.length, header.has(END_HEADERS));
        while end < LONGEST && !ended {
            let Some(next) = window.get(end..).and_then(Header::read) else {
                return (window.len() == LONGEST).then_some(block);
            };
            if next.kind != CONTINUATION || next.stream != header.stream {
                // The peer's mistake, which is the library's to judge.
                return Some(block);
            }
            let start = end + LENGTH;
            (end, ended) = (start + next.length, next.has(END_HEADERS));
            block.more.push(start.min(window.len())..end.min(window.len()));
        }
        block.whole = ended && end <= window.len();
        (block.whole || window.len() == LONGEST).then_some(block)
    }

    /// Shows what is there of the block, and whether that is all of it, and takes over what became of it.
    pub fn change(&self, bytes: &mut [u8], change: impl FnOnce(&mut [u8], bool)) {
        if self.more.is_empty() {
            change(bytes.get_mut(self.first.clone()).unwrap_or_default(), self.whole);
            return;
        }
        let pieces = || std::iter::once(&self.first).chain(&self.more);
        let mut whole = Vec::new();
        pieces().for_each(|piece| whole.extend_from_slice(bytes.get(piece.clone()).unwrap_or_default()));
        change(&mut whole, self.whole);
        let mut rest = &whole[..];
        for piece in pieces() {
            let Some(place) = bytes.get_mut(piece.clone()) else { return };
            let (changed, behind) = rest.split_at(place.len().min(rest.len()));
            place.copy_from_slice(changed);
            rest = behind;
        }
    }
}

/// What of HEADERS is the block (RFC 9113, section 6.2); nothing where the padding is longer than the frame.
fn first(header: Header, window: &[u8]) -> Range<usize> {
    let padded = usize::from(header.has(PADDED));
    let padding = if padded == 1 { window.get(LENGTH).map_or(0, |length| usize::from(*length)) } else { 0 };
    let start = LENGTH + padded + if header.has(PRIORITY) { 5 } else { 0 };
    let end = (LENGTH + header.length).saturating_sub(padding).min(window.len());
    start.min(end)..end
}
