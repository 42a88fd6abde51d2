//! The recent past of a feature: a ring of panes, each of them the counts of so many rows.
//!
//! Everything is counted in one place, for ever. What is remembered of a pane is how far the counts had come when it
//! ended: a pane is the difference of two ends, and so are the open one, the one closed last and the sum of the ring. So
//! closing a pane is one copy, and whoever looks at the newest values finds them beside those they were counted with.
//!
//! Ends are shared with copies of the window, until the next pane is closed: copying one costs little more than
//! copying its counts.

pub mod calendar;
pub mod cascade;

use crate::sketch::Subtract;
use std::collections::VecDeque;
use std::sync::Arc;

/// The open pane and the last `size` closed ones.
#[derive(Clone, Debug)]
pub struct Window<S> {
    /// All panes that ever were, and the open one.
    total: S,
    ends: Arc<Ends<S>>,
}

/// Everything counted until each pane ended.
#[derive(Clone, Debug)]
struct Ends<S> {
    /// Until the oldest pane of the ring began, and until each of them ended: never empty.
    totals: VecDeque<S>,
    size: usize,
}

impl<S: Subtract + Clone> Window<S> {
    /// A window of `size` panes (at least one); `empty` is a sketch that has seen nothing.
    pub fn new(empty: S, size: usize) -> Window<S> {
        let ends = Ends { totals: VecDeque::from([empty.clone()]), size: size.max(1) };
        Window { total: empty, ends: Arc::new(ends) }
    }

    /// Everything so far, to which values are added.
    #[inline]
    pub fn total_mut(&mut self) -> &mut S {
        &mut self.total
    }

    /// Everything so far.
    #[inline]
    pub fn total(&self) -> &S {
        &self.total
    }

    /// Everything in closed panes, those that have left the ring included.
    pub fn past(&self) -> &S {
        self.ends.totals.back().unwrap_or(&self.total)
    }

    /// The pane that is being filled.
    pub fn open(&self) -> S {
        less(&self.total, self.past())
    }

    /// The pane closed last.
    pub fn last(&self) -> Option<S> {
        self.closed().next_back()
    }

    /// Everything in the closed panes of the ring.
    pub fn sum(&self) -> S {
        less(self.past(), self.ends.totals.front().unwrap_or(&self.total))
    }

    /// The closed panes, oldest first.
    pub fn closed(&self) -> impl DoubleEndedIterator<Item = S> + ExactSizeIterator {
        let totals = &self.ends.totals;
        (1..totals.len()).map(|end| less(&totals[end], &totals[end - 1]))
    }

    /// Goes on with everything in closed panes, the latest of these, oldest first, of which as many are kept as there
    /// is room for, and an open one.
    pub fn resume(&mut self, past: &S, closed: &[S], open: &S) {
        let ends = Arc::make_mut(&mut self.ends);
        ends.totals.clear();
        ends.totals.push_front(past.clone());
        for pane in closed.iter().rev().take(ends.size) {
            let began = ends.totals.front().map(|end| less(end, pane));
            began.into_iter().for_each(|began| ends.totals.push_front(began));
        }
        set(&mut self.total, past);
        self.total.merge(open);
    }

    /// Adds the panes of another window, the latest beside the latest.
    pub fn merge(&mut self, other: &Window<S>) {
        let ends = Arc::make_mut(&mut self.ends);
        while ends.totals.len() < other.ends.totals.len().min(ends.size + 1) {
            let Some(first) = ends.totals.front().cloned() else { break };
            ends.totals.push_front(first);
        }
        let theirs = &other.ends.totals;
        let theirs = theirs.iter().rev().chain(std::iter::repeat(theirs.front()).flatten());
        ends.totals.iter_mut().rev().zip(theirs).for_each(|(mine, theirs)| mine.merge(theirs));
        self.total.merge(&other.total);
    }

    /// Closes the open pane and opens an empty one. Allocates only until the ring is full, and while a copy shares it.
    pub fn close(&mut self) {
        let Ends { totals, size } = Arc::make_mut(&mut self.ends);
        let oldest = if totals.len() > *size { totals.pop_front() } else { None };
        totals.push_back(match oldest {
            Some(mut end) => {
                set(&mut end, &self.total);
                end
            }
            None => self.total.clone(),
        });
    }
}

/// What was added to `before` to get `after`.
fn less<S: Subtract + Clone>(after: &S, before: &S) -> S {
    let mut rest = after.clone();
    rest.subtract(before);
    rest
}

/// Makes one sketch like another, in its own memory.
fn set<S: Subtract>(sketch: &mut S, like: &S) {
    sketch.clear();
    sketch.merge(like);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::Sketch;
    use crate::sketch::binning::Binning;
    use crate::sketch::bins::Bins;
    use proptest::prelude::*;
    use std::sync::Arc;

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
            let longest = one.closed().len().max(other.closed().len());
            let pane = |window: &Window<Bins>, age: usize| window.closed().rev().nth(age).map_or(0, |pane| pane.total());
            for age in 0..longest {
                prop_assert_eq!(pane(&resumed, age), pane(&one, age) + pane(&other, age));
            }
            prop_assert_eq!(resumed.sum().total(), one.sum().total() + other.sum().total());
        }
    }
}
