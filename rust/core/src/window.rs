//! The recent past of a feature: a ring of panes, each of them the counts of so many rows.
//!
//! Everything is counted in one place, for ever. What is remembered is how far the counts had come when the pane closed
//! last ended, so that the open one is a difference, and whoever looks at the newest values finds them beside those they
//! were counted with; and the closed panes themselves, put away in a fraction of the memory of their counters.
//!
//! What is closed is shared with copies of the window, until the next pane is closed: copying one costs little more than
//! copying its counts.

pub mod calendar;
pub mod cascade;

use crate::feature::stage::Depth;
use crate::sketch::bins::Bins;
use crate::sketch::{Sketch, Subtract, per_line};
use std::collections::VecDeque;
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
    /// The panes, oldest first, one after the other, and how many bytes each takes.
    bytes: Vec<u8>,
    lengths: VecDeque<u32>,
    size: usize,
}

/// Bytes of a count and of a place that room is made for.
const COUNT_BYTES: usize = 2;
const PLACE_BYTES: usize = 6;

// === impl Window ===

impl Window {
    /// A window of `size` panes (at least one); `empty` has counted nothing.
    pub fn new(empty: Bins, size: usize) -> Window {
        let (past, bytes, lengths) = (empty.clone(), Vec::new(), VecDeque::new());
        Window { total: empty, closed: Arc::new(Closed { past, bytes, lengths, size: size.max(1) }) }
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
        self.closed().next_back()
    }

    /// Everything in the closed panes of the ring.
    pub fn sum(&self) -> Bins {
        let mut sum = self.empty();
        self.closed.panes().for_each(|pane| sum.merge_bytes(pane));
        sum
    }

    /// The closed panes, oldest first.
    pub fn closed(&self) -> impl DoubleEndedIterator<Item = Bins> {
        self.closed.panes().map(|pane| {
            let mut bins = self.empty();
            bins.merge_bytes(pane);
            bins
        })
    }

    /// Something of the cache lines that closing a pane needs.
    pub fn touch_closed(&self, depth: Depth) -> u64 {
        let Closed { past, bytes, lengths, .. } = &*self.closed;
        match depth {
            Depth::Near => 0,
            Depth::Far => past.tails()[1] as u64 ^ (bytes.len() ^ lengths.len()) as u64,
            Depth::Whole => {
                let counts = past.touch(depth) ^ u64::from(lengths.back().copied().unwrap_or(0));
                per_line(bytes).fold(counts, |sum, byte| sum ^ u64::from(byte))
            }
            Depth::Beside => 0,
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
        let (mut panes, theirs): (Vec<Bins>, Vec<Bins>) = (self.closed().collect(), other.closed().collect());
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
    /// The panes, oldest first.
    fn panes(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let mut end = 0;
        let ends = self.lengths.iter().map(move |&length| {
            let start = end;
            end += length as usize;
            start..end
        });
        ends.collect::<Vec<_>>().into_iter().map(|place| self.bytes.get(place).unwrap_or_default())
    }

    /// Puts one pane behind the others; the oldest is forgotten where there are too many.
    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>, &Bins)) {
        while self.lengths.len() >= self.size {
            let oldest = self.lengths.pop_front().unwrap_or(0);
            self.bytes.drain(..(oldest as usize).min(self.bytes.len()));
        }
        let before = self.bytes.len();
        // A little at a time, for it is never given back.
        let room = COUNT_BYTES * self.past.cells().len() + PLACE_BYTES * self.past.offsets().count();
        if self.bytes.capacity() - before < room {
            self.bytes.reserve_exact(room);
        }
        write(&mut self.bytes, &self.past);
        self.lengths.push_back((self.bytes.len() - before) as u32);
    }

    /// These panes, oldest first, instead of all others.
    fn keep(&mut self, panes: &[Bins]) {
        self.bytes.clear();
        self.lengths.clear();
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
            prop_assert_eq!(window.sum(), expected);
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
            let closed: Vec<Bins> = one.closed().collect();
            resumed.resume(one.past(), &closed, &one.open());
            prop_assert_eq!((resumed.total(), resumed.past(), resumed.sum()), (one.total(), one.past(), one.sum()));
            prop_assert_eq!(resumed.closed().collect::<Vec<_>>(), closed);
            resumed.merge(&other);
            prop_assert_eq!(resumed.open().total(), one.open().total() + other.open().total());
            let longest = one.closed().count().max(other.closed().count());
            let pane = |window: &Window, age: usize| window.closed().rev().nth(age).map_or(0, |pane| pane.total());
            for age in 0..longest {
                prop_assert_eq!(pane(&resumed, age), pane(&one, age) + pane(&other, age));
            }
            prop_assert_eq!(resumed.sum().total(), one.sum().total() + other.sum().total());
        }
    }
}
