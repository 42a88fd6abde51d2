//! The recent past of a feature: a ring of panes, each of them the counts of so many rows.
//!
//! Everything is counted in one place, for ever. What is remembered is how far the counts had come when the pane closed
//! last ended, so that the open one is a difference, and whoever looks at the newest values finds them beside those they
//! were counted with; and the closed panes themselves, put away in a fraction of the memory of their counters.
//!
//! Where in their bins values lie is known of the pane closed last alone: distances are those of one pane, and of several
//! only the counts are shown.
//!
//! What is closed is shared with copies of the window, until the next pane is closed: copying one costs little more than
//! copying its counts.

pub mod calendar;
pub mod cascade;
mod ring;

use crate::prefetch::{Depth, prefetch};
use crate::sketch::bins::Bins;
use crate::sketch::{Sketch, Subtract};
use ring::Ring;
use std::sync::Arc;

/// The open pane and the last `size` closed ones.
#[derive(Clone, Debug)]
pub struct Window {
    /// All panes that ever were, and the open one.
    total: Bins,
    closed: Arc<Closed>,
}

#[derive(Clone, Debug)]
struct Closed {
    /// Everything counted until the latest pane ended.
    past: Bins,
    /// Of the latest pane with places, of those before it without.
    panes: Ring,
    size: usize,
}

/// Bytes of a count and of a place that room is made for.
const COUNT_BYTES: usize = 2;
const PLACE_BYTES: usize = 6;

// === impl Window ===

impl Window {
    /// A window of `size` panes (at least one); `empty` has counted nothing.
    pub fn new(empty: Bins, size: usize) -> Window {
        let closed = Closed { past: empty.clone(), panes: Ring::default(), size: size.max(1) };
        Window { total: empty, closed: Arc::new(closed) }
    }

    /// Everything so far, to which values are added.
    #[inline]
    pub fn total_mut(&mut self) -> &mut Bins {
        &mut self.total
    }

    /// Everything so far.
    #[inline]
    pub fn total(&self) -> &Bins {
        &self.total
    }

    /// Everything in closed panes, those that have left the ring included.
    pub fn past(&self) -> &Bins {
        &self.closed.past
    }

    /// The pane that is being filled.
    pub fn open(&self) -> Bins {
        let mut open = self.total.clone();
        open.subtract(self.past());
        open
    }

    /// The pane closed last.
    pub fn last(&self) -> Option<Bins> {
        self.closed.panes.iter().last().map(|pane| self.unpacked(pane))
    }

    /// The counts of the closed panes of the ring.
    pub fn sum(&self) -> Bins {
        let mut sum = Bins::of_counts(Arc::clone(self.total.binning()));
        self.closed.panes.iter().for_each(|pane| sum.merge_bytes(pane));
        sum
    }

    /// The closed panes, oldest first, as they are put away.
    pub fn closed(&self) -> impl Iterator<Item = &[u8]> {
        self.closed.panes.iter()
    }

    /// What was put away: without places, as if all values were at the lower ends of their bins.
    pub fn unpacked(&self, pane: &[u8]) -> Bins {
        let mut bins = self.empty();
        bins.merge_bytes(pane);
        bins
    }

    /// Asks for the cache lines that closing a pane needs.
    pub fn prefetch_closed(&self, depth: Depth) {
        if depth == Depth::Far {
            prefetch(&*self.closed);
        } else {
            self.closed.past.prefetch(Depth::Far);
            self.closed.panes.prefetch();
        }
    }

    fn empty(&self) -> Bins {
        Bins::new(Arc::clone(self.total.binning()))
    }

    /// Goes on with everything in closed panes, the latest of these, oldest first, of which as many are kept as there
    /// is room for, and an open one.
    pub fn resume(&mut self, past: &Bins, closed: &[Bins], open: &Bins) {
        let mine = Arc::make_mut(&mut self.closed);
        set(&mut mine.past, past);
        mine.keep(closed);
        set(&mut self.total, past);
        self.total.merge(open);
    }

    /// Adds the panes of another window, the latest beside the latest.
    pub fn merge(&mut self, other: &Window) {
        let unpacked = |window: &Window| window.closed().map(|pane| self.unpacked(pane)).collect();
        let (mut panes, theirs): (Vec<Bins>, Vec<Bins>) = (unpacked(self), unpacked(other));
        let missing = theirs.len().saturating_sub(panes.len());
        panes.splice(..0, std::iter::repeat_with(|| self.empty()).take(missing));
        panes.iter_mut().rev().zip(theirs.iter().rev()).for_each(|(mine, theirs)| mine.merge(theirs));
        let mine = Arc::make_mut(&mut self.closed);
        mine.past.merge(other.past());
        mine.keep(&panes);
        self.total.merge(&other.total);
    }

    /// Closes the open pane and opens an empty one. Allocates only until the ring is full, and while a copy shares it.
    pub fn close(&mut self) {
        let closed = Arc::make_mut(&mut self.closed);
        closed.push(|bytes, past| self.total.write_since(past, bytes));
        set(&mut closed.past, &self.total);
    }
}

// === impl Closed ===

impl Closed {
    /// Puts one pane behind the others; the oldest is forgotten where there are too many.
    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>, &Bins)) {
        while self.panes.len() >= self.size {
            self.panes.forget_oldest();
        }
        let past = &self.past;
        self.panes.cut_newest(|pane| past.counts_in(pane));
        let room = COUNT_BYTES * self.past.cells().len() + PLACE_BYTES * self.past.offsets().count();
        self.panes.push(room, |bytes| write(bytes, past));
    }

    /// These panes, oldest first, instead of all others.
    fn keep(&mut self, panes: &[Bins]) {
        self.panes.clear();
        for pane in &panes[panes.len().saturating_sub(self.size)..] {
            self.push(|bytes, _| pane.write(true, bytes));
        }
    }
}

/// Makes counts like others, in their own memory.
fn set(bins: &mut Bins, like: &Bins) {
    bins.clear();
    bins.merge(like);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::binning::Binning;
    use proptest::prelude::*;

    fn empty() -> Bins {
        Bins::new(Arc::new(Binning::numeric(&[0.0, 1.0, 2.0, 3.0]).unwrap()))
    }

    #[test]
    fn nothing_is_closed_at_first() {
        let mut window = Window::new(empty(), 2);
        assert!(window.last().is_none());
        window.total_mut().update(&[0.5]);
        assert_eq!((window.open().total(), window.sum().total()), (1, 0));
    }

    #[test]
    fn a_copy_stays_as_it_is() {
        let mut window = Window::new(empty(), 2);
        window.total_mut().update(&[0.5]);
        window.close();
        window.total_mut().update(&[1.5]);
        let copy = window.clone();
        let before = copy.sum();
        (0..3).for_each(|_| window.close());
        assert_eq!((copy.sum(), copy.open().total(), copy.closed().count()), (before, 1, 1));
        assert_eq!((window.sum().total(), window.closed().count()), (0, 2));
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_the_last_panes(
            panes in prop::collection::vec(prop::collection::vec(-1f64..4.0, 0..20), 1..12), size in 1usize..5,
        ) {
            let mut window = Window::new(empty(), size);
            for pane in &panes {
                window.total_mut().update(pane);
                window.close();
            }
            let mut expected = empty();
            panes.iter().rev().take(size).for_each(|pane| expected.update(pane));
            let sum = window.sum();
            prop_assert_eq!(sum.cells(), expected.cells());
            let mut last = empty();
            last.update(&panes[panes.len() - 1]);
            prop_assert_eq!(window.last(), Some(last));
            prop_assert_eq!(window.open().total(), 0);
        }

        #[test]
        fn what_was_stored_goes_on_and_two_windows_are_one_pane_by_pane(
            mine in prop::collection::vec(prop::collection::vec(-1f64..4.0, 0..9), 1..9),
            theirs in prop::collection::vec(prop::collection::vec(-1f64..4.0, 0..9), 1..9), size in 1usize..5,
        ) {
            let fill = |panes: &[Vec<f64>]| {
                let mut window = Window::new(empty(), size);
                for (number, pane) in panes.iter().enumerate() {
                    window.total_mut().update(pane);
                    if number + 1 < panes.len() {
                        window.close();
                    }
                }
                window
            };
            let (one, other) = (fill(&mine), fill(&theirs));
            let mut resumed = Window::new(empty(), size);
            let closed: Vec<Bins> = one.closed().map(|pane| one.unpacked(pane)).collect();
            resumed.resume(one.past(), &closed, &one.open());
            prop_assert_eq!((resumed.total(), resumed.past(), resumed.sum()), (one.total(), one.past(), one.sum()));
            prop_assert!(resumed.closed().eq(one.closed()));
            prop_assert_eq!(resumed.last(), one.last());
            resumed.merge(&other);
            prop_assert_eq!(resumed.open().total(), one.open().total() + other.open().total());
            let longest = one.closed().count().max(other.closed().count());
            let pane = |window: &Window, age: usize| {
                let panes: Vec<u64> = window.closed().map(|pane| window.unpacked(pane).total()).collect();
                panes.into_iter().rev().nth(age).unwrap_or(0)
            };
            for age in 0..longest {
                prop_assert_eq!(pane(&resumed, age), pane(&one, age) + pane(&other, age));
            }
            prop_assert_eq!(resumed.sum().total(), one.sum().total() + other.sum().total());
        }
    }
}
