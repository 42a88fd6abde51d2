//! The two accounts that must always balance, each changed only under its own lock.
//!
//! Journal, by call: `observed = kept + sampled_out + dropped{reason} + queued`. Statistics, by message:
//! `offered = decoded + thinned + unreadable{reason} + dropped{reason} + queued`. Whoever reads a snapshot can check both; what
//! was lost is always a number with a reason.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::sample::Reason;

/// Reasons beyond this many are counted as `other`: the set is ours, but a label set is never unbounded.
const MOST_REASONS: usize = 32;

/// What became of the calls that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JournalAccount {
    pub observed: u64,
    pub kept: u64,
    pub sampled_out: u64,
    pub queued: u64,
    pub dropped: BTreeMap<String, u64>,
    /// Why calls were chosen, whether or not they could be written.
    pub reasons: BTreeMap<&'static str, u64>,
}

/// What became of the messages that were offered to the statistics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StatisticsAccount {
    pub offered: u64,
    pub decoded: u64,
    /// Left out at random, so that watching keeps to its budget.
    pub thinned: u64,
    pub unreadable: BTreeMap<&'static str, u64>,
    pub dropped: BTreeMap<&'static str, u64>,
    pub queued: u64,
    /// Tensors inside decoded messages that could not be observed.
    pub defects: BTreeMap<&'static str, u64>,
}

/// Messages that were worked off, until they are entered in the account: of many at once, under one lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worked {
    decoded: u64,
    thinned: u64,
    unreadable: BTreeMap<&'static str, u64>,
    defects: BTreeMap<&'static str, u64>,
    /// Of the messages that were to be counted.
    bytes: u64,
    values: u64,
}

/// What became of the state of the statistics: written now and then, read once at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StateAccount {
    pub written: u64,
    /// Could not be written, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Models that went on where they had stopped.
    pub restored: u64,
    /// Models, or the whole file, that began anew, by reason.
    pub lost: BTreeMap<&'static str, u64>,
}

// === impl StateAccount ===

impl StateAccount {
    /// The state was written (`None`), or could not be for a reason.
    pub fn written(&mut self, failed: Option<&str>) {
        match failed {
            None => self.written += 1,
            Some(reason) => {
                let room = self.failed.len() < MOST_REASONS || self.failed.contains_key(reason);
                *self.failed.entry(if room { reason } else { "other" }.into()).or_default() += 1;
            }
        }
    }

    pub fn lost(&mut self, reason: &'static str) {
        *self.lost.entry(reason).or_default() += 1;
    }
}

// === impl JournalAccount ===

impl JournalAccount {
    /// A call ended; it is kept for `reason` or sampled out.
    pub fn ended(&mut self, reason: Option<Reason>) {
        self.observed += 1;
        match reason {
            None => self.sampled_out += 1,
            Some(reason) => {
                *self.reasons.entry(reason.name()).or_default() += 1;
                self.queued += 1;
            }
        }
    }

    /// A kept call reached the journal (`None`) or was dropped. False when no kept call is waiting, which is a
    /// mistake of the caller and changes nothing.
    pub fn settle(&mut self, dropped: Option<&str>) -> bool {
        if self.queued == 0 {
            return false;
        }
        self.queued -= 1;
        match dropped {
            None => self.kept += 1,
            Some(reason) => {
                let room = self.dropped.len() < MOST_REASONS || self.dropped.contains_key(reason);
                *self.dropped.entry(if room { reason } else { "other" }.into()).or_default() += 1;
            }
        }
        true
    }

    pub fn balances(&self) -> bool {
        self.observed == self.kept + self.sampled_out + self.queued + self.dropped.values().sum::<u64>()
    }
}

// === impl StatisticsAccount ===

impl StatisticsAccount {
    pub fn queued(&mut self, messages: u64) {
        self.offered += messages;
        self.queued += messages;
    }

    pub fn dropped(&mut self, messages: u64, reason: &'static str) {
        self.offered += messages;
        *self.dropped.entry(reason).or_default() += messages;
    }

    /// Left out before they were queued.
    pub fn thinned(&mut self, messages: u64) {
        self.offered += messages;
        self.thinned += messages;
    }

    /// A queued message was read, or could not be for the reason given.
    pub fn worked_off(&mut self, unreadable: Option<&'static str>) {
        self.queued = self.queued.saturating_sub(1);
        match unreadable {
            None => self.decoded += 1,
            Some(reason) => *self.unreadable.entry(reason).or_default() += 1,
        }
    }

    /// Enters all that was worked off, which must have been queued.
    pub fn enter(&mut self, worked: Worked) {
        self.queued = self.queued.saturating_sub(worked.messages());
        self.decoded += worked.decoded;
        self.thinned += worked.thinned;
        let pairs = [(&mut self.unreadable, worked.unreadable), (&mut self.defects, worked.defects)];
        for (account, worked) in pairs {
            worked.into_iter().for_each(|(reason, times)| *account.entry(reason).or_default() += times);
        }
    }

    pub fn balances(&self) -> bool {
        let unreadable: u64 = self.unreadable.values().sum();
        let gone = self.thinned + unreadable + self.dropped.values().sum::<u64>();
        self.offered == self.decoded + self.queued + gone
    }
}

// === impl Worked ===

impl Worked {
    /// A message was read, or could not be for the reason given.
    pub fn message(&mut self, unreadable: Option<&'static str>) {
        match unreadable {
            None => self.decoded += 1,
            Some(reason) => *self.unreadable.entry(reason).or_default() += 1,
        }
    }

    /// A message was left out, though it was read.
    pub fn thinned(&mut self) {
        self.thinned += 1;
    }

    /// So many bytes that are counted hold so many values.
    pub fn holds(&mut self, bytes: usize, values: usize) {
        self.bytes += bytes as u64;
        self.values += values as u64;
    }

    /// Bytes and values that were counted.
    pub fn read(&self) -> (u64, u64) {
        (self.bytes, self.values)
    }

    pub fn defect(&mut self, reason: &'static str) {
        *self.defects.entry(reason).or_default() += 1;
    }

    pub fn messages(&self) -> u64 {
        self.decoded + self.thinned + self.unreadable.values().sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_journal_balances_after_every_step(steps in prop::collection::vec(0u8..5, 0..200)) {
            let mut account = JournalAccount::default();
            for step in steps {
                match step {
                    0 => account.ended(None),
                    1 => account.ended(Some(Reason::Sampled)),
                    2 => { account.settle(None); }
                    3 => { account.settle(Some("queue_full")); }
                    _ => account.ended(Some(Reason::Error)),
                }
                prop_assert!(account.balances(), "{account:?}");
            }
        }

        #[test]
        fn the_statistics_balance_after_every_step(steps in prop::collection::vec(0u8..8, 0..200)) {
            let (mut account, mut worked) = (StatisticsAccount::default(), Worked::default());
            for step in steps {
                match step {
                    0 => account.queued(2),
                    1 => account.dropped(1, "queue_full"),
                    2 if account.queued > worked.messages() => account.worked_off(Some("compressed")),
                    3 if account.queued > worked.messages() => worked.message(None),
                    4 if account.queued > worked.messages() => worked.message(Some("malformed")),
                    6 if account.queued > worked.messages() => worked.thinned(),
                    7 => account.thinned(2),
                    5 => account.enter(std::mem::take(&mut worked)),
                    _ => {}
                }
                prop_assert!(account.balances(), "{account:?}");
            }
        }
    }

    #[test]
    fn settling_what_was_never_kept_changes_nothing() {
        let mut account = JournalAccount::default();
        account.ended(None);
        assert!(!account.settle(None));
        assert_eq!((account.observed, account.kept), (1, 0));
    }
}
