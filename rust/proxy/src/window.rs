//! The flow-control window of a connection: what its peer may send, on all calls together, before it has been taken.
//!
//! No call may keep others from it by standing still, or nobody can send and nothing will ever change that: of 600
//! conversations that fell silent, or 17 answers that nobody read, no call of their connection went on. So what has been
//! passed on is given back at once when much of the window is not; and a call whose receiver has no room is lent a window,
//! as far as [`crate::memory`] has bytes for it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::config::Limits;

/// The most that RFC 9113, section 6.9.1, allows.
const LARGEST: u32 = (1 << 31) - 1;

#[derive(Debug)]
pub struct Window {
    size: u32,
    /// What a call is lent.
    of_call: u32,
    /// Bytes that were passed on and not given back, by calls that were lent nothing.
    owed: Cell<usize>,
    loans: Cell<u32>,
    /// What the connection was told last.
    told: Cell<u32>,
    connection: RefCell<Option<Waker>>,
}

/// What one direction of a call has passed on and not given back.
#[derive(Debug)]
pub struct Debt {
    window: Rc<Window>,
    bytes: usize,
}

/// A window for a call that stands still.
#[derive(Debug)]
pub struct Loan(Rc<Window>);

// === impl Window ===

impl Window {
    pub fn new(limits: &Limits) -> Window {
        Window {
            size: limits.connection_window,
            of_call: limits.stream_window,
            owed: Cell::new(0),
            loans: Cell::new(0),
            told: Cell::new(limits.connection_window),
            connection: RefCell::default(),
        }
    }

    pub fn lend(self: &Rc<Window>) -> Loan {
        self.change_loans(self.loans.get().saturating_add(1));
        if let Some(connection) = self.connection.take() {
            connection.wake();
        }
        Loan(Rc::clone(self))
    }

    /// The window that the connection is to have, if that has changed. Its task is woken when it grows again.
    pub fn poll(&self, cx: &Context<'_>) -> Option<u32> {
        let connection = &mut *self.connection.borrow_mut();
        if !connection.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *connection = Some(cx.waker().clone());
        }
        let size = self.size();
        (self.told.replace(size) != size).then_some(size)
    }

    fn size(&self) -> u32 {
        self.size.saturating_add(self.loans.get().saturating_mul(self.of_call)).min(LARGEST)
    }

    fn change_loans(&self, loans: u32) {
        self.loans.set(loans);
    }

    fn change_owed(&self, from: usize, to: usize) {
        self.owed.set(self.owed.get() - from + to);
    }
}

// === impl Debt ===

impl Debt {
    pub fn new(window: Rc<Window>) -> Debt {
        Debt { window, bytes: 0 }
    }

    pub fn window(&self) -> &Rc<Window> {
        &self.window
    }

    pub fn set(&mut self, bytes: usize) {
        self.window.change_owed(self.bytes, bytes);
        self.bytes = bytes;
    }

    /// Whether it is to be given back at once.
    pub fn is_due(&self) -> bool {
        self.bytes > 0 && self.window.owed.get() > self.window.size as usize / 4
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        self.set(0);
    }
}

// === impl Loan ===

impl Drop for Loan {
    fn drop(&mut self) {
        self.0.change_loans(self.0.loans.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn window() -> Rc<Window> {
        Rc::new(Window::new(&Limits { connection_window: 1000, stream_window: 300, ..Limits::default() }))
    }

    #[test]
    fn a_connection_learns_of_a_loan_and_of_its_return() {
        let (window, woken) = (window(), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        assert_eq!(window.poll(&cx), None);
        let loans = [window.lend(), window.lend()];
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!((window.poll(&cx), window.poll(&cx)), (Some(1600), None));
        drop(loans);
        assert_eq!(window.poll(&cx), Some(1000));
    }

    #[test]
    fn no_loan_exceeds_what_a_window_may_be() {
        let limits = Limits { stream_window: LARGEST, ..Limits::default() };
        let window = Rc::new(Window::new(&limits));
        let _loans = [window.lend(), window.lend(), window.lend()];
        assert_eq!(window.poll(&Context::from_waker(Waker::noop())), Some(LARGEST));
    }

    #[test]
    fn debts_are_due_once_they_are_a_quarter_of_the_window() {
        let window = window();
        let mut debts = [0; 3].map(|_| Debt::new(Rc::clone(&window)));
        debts[0].set(250);
        assert!(!debts[0].is_due());
        debts[1].set(1);
        assert_eq!(debts.each_ref().map(Debt::is_due), [true, true, false]);
        debts[1].set(0);
        assert!(!debts[0].is_due());
        drop(debts);
        assert_eq!(window.owed.get(), 0);
    }
}
