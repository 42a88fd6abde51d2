//! Kept calls on their way to the journal: a bounded queue that somebody else empties.
//!
//! The plane only ever puts in; when nobody takes out, kept calls are dropped and settled with the reason.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pilotfish_core::call::{Code, Nanos};
use pilotfish_core::policy::Ruling;
use pilotfish_core::sample::Reason;

use crate::headers::Pair;
use crate::message::Message;

/// Once there is a call, how long more of them are waited for: to wake whoever takes them costs more than to forward
/// a call, and would come with every one.
const COMPANY: Duration = Duration::from_millis(50);

/// Calls that are not kept waiting for more.
const ENOUGH: usize = 64;

/// One sampled call.
#[derive(Debug)]
pub struct KeptCall {
    pub ruling: Ruling,
    pub reason: Reason,
    pub code: Code,
    pub message: String,
    pub started_unix_ns: u64,
    pub duration: Nanos,
    pub upstream: Nanos,
    /// The messages of a unary call, if payloads are wanted.
    pub request: Option<Message>,
    pub response: Option<Message>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// Only the names that were asked for.
    pub metadata: Vec<Pair>,
    pub peer: Arc<str>,
}

#[derive(Debug)]
pub struct KeptQueue {
    most: usize,
    calls: Mutex<VecDeque<KeptCall>>,
    /// The first of them, or enough.
    arrived: Condvar,
}

type Calls<'q> = MutexGuard<'q, VecDeque<KeptCall>>;

// === impl KeptQueue ===

impl KeptQueue {
    pub fn new(most: usize) -> KeptQueue {
        KeptQueue { most, calls: Mutex::default(), arrived: Condvar::new() }
    }

    /// False when the queue is full.
    pub fn put(&self, call: KeptCall) -> bool {
        let mut calls = self.lock();
        if calls.len() >= self.most {
            return false;
        }
        calls.push_back(call);
        if [1, ENOUGH.min(self.most)].contains(&calls.len()) {
            self.arrived.notify_one();
        }
        true
    }

    /// Waits up to `timeout` for a call, and a little for its company; takes up to `most`, oldest first.
    pub fn take(&self, most: usize, timeout: Duration) -> Vec<KeptCall> {
        let enough = most.min(self.most).min(ENOUGH);
        let calls = self.wait(self.lock(), timeout, 1);
        let mut calls = if calls.is_empty() { calls } else { self.wait(calls, timeout.min(COMPANY), enough) };
        let count = most.min(calls.len());
        calls.drain(..count).collect()
    }

    fn wait<'q>(&self, calls: Calls<'q>, timeout: Duration, enough: usize) -> Calls<'q> {
        let waited = self.arrived.wait_timeout_while(calls, timeout, |calls| calls.len() < enough);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> Calls<'_> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
