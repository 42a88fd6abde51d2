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
    arrived: Condvar,
}

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
        if calls.len() == 1 {
            self.arrived.notify_one();
        }
        true
    }

    /// Waits up to `timeout` for a call, and takes up to `most`, oldest first.
    pub fn take(&self, most: usize, timeout: Duration) -> Vec<KeptCall> {
        let calls = self.lock();
        let waited = self.arrived.wait_timeout_while(calls, timeout, |calls| calls.is_empty());
        let (mut calls, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let count = most.min(calls.len());
        calls.drain(..count).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<KeptCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
