//! What stands before the payload of a frame (RFC 9113, section 4.1).

pub const LENGTH: usize = 9;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const SETTINGS: u8 = 4;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Of the types no specification uses.
pub const IGNORED: u8 = 0xff;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const PRIORITY: u8 = 0x20;

/// Where the type stands.
pub const TYPE: usize = 3;

/// The bit before the number of a stream is to be ignored.
const RESERVED: u32 = 1 << 31;

#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Of the payload.
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

// === impl Header ===

impl Header {
    /// The one at the beginning of these bytes.
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let &[high, middle, low, kind, flags, ref stream @ ..] = bytes.first_chunk::<LENGTH>()?;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        let stream = u32::from_be_bytes(*stream) & !RESERVED;
        Some(Header { length, kind, flags, stream })
    }

    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}
