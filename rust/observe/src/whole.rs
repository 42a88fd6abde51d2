//! Whole messages, as they lie in memory: in one piece or in several.

/// A whole message.
pub trait Whole {
    /// In bytes.
    fn length(&self) -> usize;

    /// Its bytes side by side; `room` is for a message whose bytes are not.
    fn in_one_piece<'m>(&'m self, room: &'m mut Vec<u8>) -> &'m [u8];
}

/// Room for the messages of one job, used again for the next: of memory that is asked for anew, each page has to be
/// found and cleared by the operating system first, which takes longer than to copy what is then put there.
#[derive(Debug, Default)]
pub struct Room {
    pub first: Vec<u8>,
    pub second: Vec<u8>,
}

/// Room that is kept for the next job, in bytes.
const KEPT: usize = 4 << 20;

impl<T: AsRef<[u8]>> Whole for T {
    fn length(&self) -> usize {
        self.as_ref().len()
    }

    fn in_one_piece<'m>(&'m self, _: &'m mut Vec<u8>) -> &'m [u8] {
        self.as_ref()
    }
}

// === impl Room ===

impl Room {
    /// Gives back what a rare large message has taken.
    pub fn shrink(&mut self) {
        for room in [&mut self.first, &mut self.second] {
            if room.capacity() > KEPT {
                *room = Vec::new();
            }
        }
    }
}
