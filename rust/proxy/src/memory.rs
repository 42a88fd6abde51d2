//! What a thread holds for peers that do not take it, and who holds how much.
//!
//! Bytes are handed to the HTTP/2 library as parcels: one is gone when the library has written it, or has given it up
//! with its call, so the sum is exact. What a call that is waited for may have sent meanwhile is counted as if it had.
//! While all is within the budget nobody notices. Beyond it, clients that hold more than an even share get no new calls,
//! and those of their calls that are waited for end: others go on undisturbed.

use std::cell::Cell;
use std::rc::Rc;

use bytes::{Buf, Bytes};

use crate::config::Limits;
use crate::window::{Loan, Window};

/// Of one thread.
#[derive(Debug)]
pub struct Budget {
    most: usize,
    held: Cell<usize>,
    /// Windows of calls that stand still, at most half of it all.
    lent: Cell<usize>,
    accounts: Cell<usize>,
}

/// Of one client connection, for both directions of its calls.
#[derive(Debug)]
pub struct Account {
    budget: Rc<Budget>,
    held: Cell<usize>,
    /// Directions of calls whose receiver has no room.
    waits: Cell<usize>,
    lent: Cell<usize>,
    /// What one of them may send meanwhile, and what all of them together.
    window: usize,
    windows: usize,
}

/// Bytes on their way out.
#[derive(Debug)]
pub struct Parcel {
    bytes: Bytes,
    size: usize,
    account: Option<Rc<Account>>,
}

/// One direction of a call, while its receiver has no room.
#[derive(Debug)]
pub struct Wait(Rc<Account>);

/// A window of its own for one of them.
#[derive(Debug)]
pub struct Lent {
    account: Rc<Account>,
    _loan: Loan,
}

// === impl Budget ===

impl Budget {
    /// An even part of the plane's for each thread.
    pub fn new(limits: &Limits, threads: usize) -> Budget {
        Budget {
            most: limits.memory / threads.max(1),
            held: Cell::new(0),
            lent: Cell::new(0),
            accounts: Cell::new(0),
        }
    }
}

// === impl Account ===

impl Account {
    pub fn open(budget: &Rc<Budget>, limits: &Limits) -> Account {
        budget.accounts.set(budget.accounts.get() + 1);
        Account {
            budget: Rc::clone(budget),
            held: Cell::new(0),
            waits: Cell::new(0),
            lent: Cell::new(0),
            window: limits.stream_window as usize,
            windows: limits.connection_window as usize,
        }
    }

    /// Whether the budget is spent, and this client holds more of it than is its due.
    pub fn is_overdrawn(&self) -> bool {
        let Budget { most, held, accounts, .. } = &*self.budget;
        held.get() > *most && self.held.get() > most / accounts.get().max(1)
    }

    pub fn wait(self: &Rc<Account>) -> Wait {
        self.change(|account| account.waits.set(account.waits.get() + 1));
        Wait(Rc::clone(self))
    }

    /// Lets a call that waits use none of its connection's window, unless too many do.
    pub fn borrow(self: &Rc<Account>, from: &Rc<Window>) -> Option<Lent> {
        let lent = self.budget.lent.get() + self.window;
        if lent > self.budget.most / 2 {
            return None;
        }
        self.budget.lent.set(lent);
        self.change(|account| account.lent.set(account.lent.get() + account.window));
        Some(Lent { account: Rc::clone(self), _loan: from.lend() })
    }

    fn change(&self, change: impl FnOnce(&Account)) {
        self.give(self.owed());
        change(self);
        self.take(self.owed());
    }

    /// One connection's windows bound both directions, beside what was lent.
    fn owed(&self) -> usize {
        (self.waits.get() * self.window).min(2 * self.windows + self.lent.get())
    }

    fn take(&self, bytes: usize) {
        self.held.set(self.held.get() + bytes);
        self.budget.held.set(self.budget.held.get() + bytes);
    }

    fn give(&self, bytes: usize) {
        self.held.set(self.held.get() - bytes);
        self.budget.held.set(self.budget.held.get() - bytes);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.accounts.set(self.budget.accounts.get() - 1);
    }
}

// === impl Wait ===

impl Drop for Wait {
    fn drop(&mut self) {
        self.0.change(|account| account.waits.set(account.waits.get() - 1));
    }
}

// === impl Lent ===

impl Drop for Lent {
    fn drop(&mut self) {
        let Account { budget, window, .. } = &*self.account;
        budget.lent.set(budget.lent.get() - window);
        self.account.change(|account| account.lent.set(account.lent.get() - window));
    }
}

// === impl Parcel ===

impl Parcel {
    pub fn new(bytes: Bytes, account: &Rc<Account>) -> Parcel {
        account.take(bytes.len());
        Parcel { size: bytes.len(), bytes, account: Some(Rc::clone(account)) }
    }

    /// Nobody's: what is held anyway, or is nothing.
    pub fn unaccounted(bytes: Bytes) -> Parcel {
        Parcel { size: 0, bytes, account: None }
    }
}

impl Buf for Parcel {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.give(self.size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: fn() -> Limits =
        || Limits { memory: 1000, stream_window: 100, connection_window: 300, ..Limits::default() };

    fn accounts(number: usize) -> (Rc<Budget>, Vec<Rc<Account>>) {
        let budget = Rc::new(Budget::new(&LIMITS(), 1));
        let accounts = (0..number).map(|_| Rc::new(Account::open(&budget, &LIMITS()))).collect();
        (budget, accounts)
    }

    #[test]
    fn a_parcel_counts_until_it_is_gone_however_much_of_it_is_written() {
        let (budget, accounts) = accounts(1);
        let mut parcel = Parcel::new(Bytes::from_static(&[0; 600]), &accounts[0]);
        parcel.advance(500);
        assert_eq!((budget.held.get(), parcel.remaining()), (600, 100));
        drop(parcel);
        drop(Parcel::unaccounted(Bytes::from_static(b"x")));
        assert_eq!((budget.held.get(), accounts[0].held.get()), (0, 0));
    }

    #[test]
    fn what_may_come_while_a_call_waits_is_bounded_by_the_windows_of_a_connection() {
        let (budget, accounts) = accounts(1);
        let mut waits: Vec<_> = (0..3).map(|_| accounts[0].wait()).collect();
        assert_eq!(budget.held.get(), 300);
        waits.extend((0..20).map(|_| accounts[0].wait()));
        assert_eq!(budget.held.get(), 600);
        waits.truncate(1);
        assert_eq!(budget.held.get(), 100);
        drop(waits);
        assert_eq!(budget.held.get(), 0);
    }

    #[test]
    fn half_of_the_budget_is_lent_and_counts_where_it_is_waited_for() {
        let (budget, accounts) = accounts(2);
        let window = Rc::new(Window::new(&LIMITS()));
        let mut lent: Vec<_> = (0..6).map(|number| accounts[number % 2].borrow(&window)).collect();
        assert_eq!(
            lent.iter().map(Option::is_some).collect::<Vec<_>>(),
            [true, true, true, true, true, false]
        );
        assert_eq!(budget.held.get(), 0);
        let waits: Vec<_> = (0..20).map(|_| accounts[0].wait()).collect();
        assert_eq!(budget.held.get(), 600 + 300);
        lent.clear();
        assert_eq!((budget.held.get(), budget.lent.get()), (600, 0));
        drop(waits);
        assert_eq!(budget.held.get(), 0);
        assert!(accounts[1].borrow(&window).is_some());
    }

    #[test]
    fn beyond_the_budget_only_who_holds_more_than_its_share_is_overdrawn() {
        let (_, mut accounts) = accounts(4);
        let small = Parcel::new(Bytes::from(vec![0; 200]), &accounts[1]);
        let large = Parcel::new(Bytes::from(vec![0; 700]), &accounts[0]);
        assert!(!accounts[0].is_overdrawn());
        let more = Parcel::new(Bytes::from(vec![0; 200]), &accounts[2]);
        let overdrawn: Vec<_> = accounts.iter().map(|account| account.is_overdrawn()).collect();
        assert_eq!(overdrawn, [true, false, false, false]);
        drop((large, more, small));
        accounts.truncate(1);
        assert!(!accounts[0].is_overdrawn());
    }
}
