//! The recent past of a feature: a ring of panes, each of them the counts of so many rows.
//!
//! An open pane collects; when it closes it joins the ring and the oldest one leaves. The sum over the ring is kept by
//! adding and subtracting, so a window over many panes costs no more than one pane.
//!
//! What is closed is shared with copies of the window, until the next pane is closed: copying one costs little more than
//! copying its open pane.

pub mod calendar;
pub mod cascade;

use crate::sketch::Subtract;
use std::collections::VecDeque;
use std::sync::Arc;

/// The open pane and the last `size` closed ones.
#[derive(Clone, Debug)]
pub struct Window<S> {
    open: S,
    ring: Arc<Ring<S>>,
}

/// The closed panes, and everything in them.
#[derive(Clone, Debug)]
struct Ring<S> {
    closed: VecDeque<S>,
    sum: S,
    size: usize,
}

impl<S: Subtract + Clone> Window<S> {
    /// A window of `size` panes (at least one); `empty` is a sketch that has seen nothing.
    pub fn new(empty: S, size: usize) -> Window<S> {
        let size = size.max(1);
        let ring = Ring { closed: VecDeque::with_capacity(size), sum: empty.clone(), size };
        Window { open: empty, ring: Arc::new(ring) }
    }

    /// The pane that is being filled.
    pub fn open(&self) -> &S {
        &self.open
    }

    #[inline]
    pub fn open_mut(&mut self) -> &mut S {
        &mut self.open
    }

    /// The pane closed last.
    pub fn last(&self) -> Option<&S> {
        self.ring.closed.back()
    }

    /// Everything in the closed panes of the ring.
    pub fn sum(&self) -> &S {
        &self.ring.sum
    }

    /// The closed panes, oldest first.
    pub fn closed(&self) -> impl Iterator<Item = &S> {
        self.ring.closed.iter()
    }

    /// Goes on with closed panes, oldest first, of which as many are kept as there is room for, and an open one.
    pub fn resume(&mut self, closed: impl IntoIterator<Item = S>, open: S) {
        let ring = Arc::make_mut(&mut self.ring);
        ring.sum.clear();
        ring.closed.clear();
        for pane in closed {
            self.open = pane;
            self.close();
        }
        self.open = open;
    }

    /// Closes the open pane and opens an empty one. Allocates only until the ring is full, and while a copy shares it.
    pub fn close(&mut self) {
        Arc::make_mut(&mut self.ring).take(&mut self.open);
    }
}

// === impl Ring ===

impl<S: Subtract + Clone> Ring<S> {
    /// Takes in a pane, which is empty afterwards.
    fn take(&mut self, pane: &mut S) {
        let mut next = if self.closed.len() < self.size { None } else { self.closed.pop_front() };
        if let Some(oldest) = &mut next {
            self.sum.subtract(oldest);
        }
        let mut next = next.unwrap_or_else(|| pane.clone());
        next.clear();
        let closed = std::mem::replace(pane, next);
        self.sum.merge(&closed);
        self.closed.push_back(closed);
    }
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
        window.open_mut().update(&[0.5]);
        assert_eq!((window.open().total(), window.sum().total()), (1, 0));
    }

    #[test]
    fn a_copy_stays_as_it_is() {
        let mut window = Window::new(empty(), 2);
        window.open_mut().update(&[0.5]);
        window.close();
        window.open_mut().update(&[1.5]);
        let copy = window.clone();
        let before = copy.sum().clone();
        (0..3).for_each(|_| window.close());
        assert_eq!((copy.sum(), copy.open().total(), copy.closed().count()), (&before, 1, 1));
        assert_eq!((window.sum().total(), window.closed().count()), (0, 2));
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_the_last_panes(
            panes in prop::collection::vec(prop::collection::vec(-1f64..4.0, 0..20), 1..12), size in 1usize..5,
        ) {
            let mut window = Window::new(empty(), size);
            for pane in &panes {
                window.open_mut().update(pane);
                window.close();
            }
            let mut expected = empty();
            panes.iter().rev().take(size).for_each(|pane| expected.update(pane));
            prop_assert_eq!(window.sum(), &expected);
            let mut last = empty();
            last.update(&panes[panes.len() - 1]);
            prop_assert_eq!(window.last(), Some(&last));
            prop_assert_eq!(window.open().total(), 0);
        }
    }
}
