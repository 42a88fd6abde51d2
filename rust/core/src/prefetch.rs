//! Cache lines that are needed soon, asked for while there is something else to do.
//!
//! The counters of thousands of features do not stay in the caches from one block of rows to the next. A line that is
//! waited for takes as long as twenty values; one that was asked for in time, nothing.

use prefetch_index::prefetch_index;

/// Bytes in a cache line, of most processors.
const LINE: usize = 64;

/// How many pointers lie between a feature and what is asked for: a pointer must have come before one can follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The feature itself, of which nothing can be read yet.
    Own,
    /// What it points to.
    Near,
    /// Where that points to.
    Far,
    Farthest,
}

impl Depth {
    /// In the order in which the features that come next have come near: the first has only its farthest lines to ask for.
    pub const ALL: [Depth; 4] = [Depth::Farthest, Depth::Far, Depth::Near, Depth::Own];
}

/// Asks for the cache lines of a value, and not of what it points to. Nothing is read.
#[inline]
pub fn prefetch<T: ?Sized>(value: &T) {
    let nowhere: &[u8] = &[];
    let start = std::ptr::from_ref(value).addr();
    for line in (start - start % LINE..start + size_of_val(value)).step_by(LINE) {
        prefetch_index(nowhere, line.wrapping_sub(nowhere.as_ptr().addr()));
    }
}
