//! Summaries of a stream of numbers in bounded memory, built so that parts add up to the whole.
//!
//! Traffic reaches pilotfish in pieces: by thread, by pane of time, by process. A sketch of the pieces, merged, is the
//! sketch of the whole; that is what lets windows slide and workers share the load without a second definition of any
//! number. The laws each sketch is tested for:
//!
//! * `update(a); update(b)` equals `update(a ++ b)`, and `merge` of the two sketches equals both;
//! * `merge` is commutative and associative, and merging an empty sketch changes nothing;
//! * where `subtract` exists, it undoes `merge` exactly.
//!
//! All that the monitor keeps of a stream obeys them exactly, sums of floats too ([`exact`]); [`moments::Moments`], a
//! summary of a single row, up to rounding.

pub mod binning;
pub mod bins;
pub mod distinct;
pub mod exact;
pub mod exponential;
pub mod extent;
pub mod frames;
pub mod frequent;
pub mod groups;
mod lanes;
pub mod moments;
mod permute;
pub mod real;
pub mod screen;

/// Values handed over at a time: enough to keep one feature's counters in the fastest cache while they are used.
pub const BLOCK: usize = 256;

use real::Real;

/// A summary of finite numbers that can be merged.
pub trait Sketch {
    /// Adds values, all of them finite; [`screen::screen`] separates those that are not.
    fn update<R: Real>(&mut self, finite: &[R]);

    /// Adds everything that `other` has seen.
    fn merge(&mut self, other: &Self);
}

/// A sketch from which a part can be taken away again, which is what lets a window slide in constant time.
pub trait Subtract: Sketch {
    /// Undoes a `merge` of `other`.
    fn subtract(&mut self, other: &Self);

    /// Forgets everything but how it is set up; keeps its memory.
    fn clear(&mut self);
}
