//! The bounded queue between data plane and observer: bounded in jobs and in bytes, never blocking.

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;
use pilotfish_core::engine::{Engine, QueueConfig};

use crate::job::Job;
use crate::whole::Whole;

#[derive(Debug)]
pub struct Queue<B> {
    jobs: ArrayQueue<Job<B>>,
    bytes: AtomicUsize,
    most_bytes: usize,
}

// === impl Queue ===

impl<B: Whole> Queue<B> {
    /// A capacity of zero is taken as one job: the engine's configuration is checked where it is read.
    pub fn new(config: QueueConfig) -> Queue<B> {
        Queue {
            jobs: ArrayQueue::new(config.messages.max(1)),
            bytes: AtomicUsize::new(0),
            most_bytes: config.bytes,
        }
    }

    /// Accounts for the job's messages as queued, or as dropped with the reason. True when it was queued.
    pub fn offer(&self, job: Job<B>, engine: &Engine) -> bool {
        let (messages, bytes) = (job.messages.count(), job.bytes);
        if messages == 0 {
            return false;
        }
        if self.bytes.load(Ordering::Relaxed).saturating_add(bytes) > self.most_bytes {
            engine.statistics().dropped(messages, "queue_bytes");
            return false;
        }
        // Under the account's lock, so that the observer cannot work the job off before it is counted as queued.
        let mut account = engine.statistics();
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        match self.jobs.push(job) {
            Ok(()) => {
                account.queued(messages);
                true
            }
            Err(_) => {
                self.bytes.fetch_sub(bytes, Ordering::Relaxed);
                account.dropped(messages, "queue_full");
                false
            }
        }
    }

    pub fn take(&self) -> Option<Job<B>> {
        let job = self.jobs.pop()?;
        self.bytes.fetch_sub(job.bytes, Ordering::Relaxed);
        Some(job)
    }

    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}
