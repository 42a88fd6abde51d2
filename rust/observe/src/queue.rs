//! The bounded queue between data plane and observer: bounded in jobs and in bytes, never waiting for room.
//!
//! It is as large as what waits in it: mostly that is nothing, so room for all that may wait would be a megabyte that
//! nobody uses.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pilotfish_core::engine::{Engine, QueueConfig};

use crate::job::Job;
use crate::whole::Whole;

/// Jobs that there stays room for once the queue is empty again.
const KEPT: usize = 256;

/// What is worth waking the observer for: bytes, or jobs when these are small.
const WORTH_BYTES: usize = 128 * 1024;
const WORTH_JOBS: usize = 256;

#[derive(Debug)]
pub struct Queue<B> {
    waiting: Mutex<Waiting<B>>,
    config: QueueConfig,
}

#[derive(Debug)]
struct Waiting<B> {
    jobs: VecDeque<Job<B>>,
    bytes: usize,
}

/// What became of a job that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It was dropped, or held nothing.
    Dropped,
    Queued,
    /// It was queued, and with it there is enough to wake the observer for.
    Enough,
}

// === impl Queue ===

impl<B: Whole> Queue<B> {
    /// A capacity of zero is taken as one job: the engine's configuration is checked where it is read.
    pub fn new(config: QueueConfig) -> Queue<B> {
        let config = QueueConfig { messages: config.messages.max(1), ..config };
        Queue { waiting: Mutex::new(Waiting { jobs: VecDeque::new(), bytes: 0 }), config }
    }

    /// Accounts for the job's messages as queued, or as dropped with the reason.
    pub fn offer(&self, job: Job<B>, engine: &Engine) -> Offered {
        let messages = job.messages.count();
        if messages == 0 {
            return Offered::Dropped;
        }
        // Under the account's lock, so that the observer cannot work the job off before it is counted as queued.
        let mut account = engine.statistics();
        match self.push(job) {
            Ok(offered) => {
                account.queued(messages);
                offered
            }
            Err(reason) => {
                account.dropped(messages, reason);
                Offered::Dropped
            }
        }
    }

    pub fn take(&self) -> Option<Job<B>> {
        let mut waiting = self.lock();
        let Some(job) = waiting.jobs.pop_front() else {
            if waiting.jobs.capacity() > KEPT {
                waiting.jobs = VecDeque::new();
            }
            return None;
        };
        waiting.bytes -= job.bytes;
        Some(job)
    }

    pub fn is_empty(&self) -> bool {
        self.lock().jobs.is_empty()
    }

    fn push(&self, job: Job<B>) -> Result<Offered, &'static str> {
        let mut waiting = self.lock();
        let bytes = waiting.bytes.saturating_add(job.bytes);
        if bytes > self.config.bytes {
            return Err("queue_bytes");
        }
        if waiting.jobs.len() >= self.config.messages {
            return Err("queue_full");
        }
        let before = waiting.is_worth_it();
        waiting.bytes = bytes;
        waiting.jobs.push_back(job);
        Ok(if waiting.is_worth_it() && !before { Offered::Enough } else { Offered::Queued })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<B>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Waiting ===

impl<B> Waiting<B> {
    fn is_worth_it(&self) -> bool {
        self.bytes >= WORTH_BYTES || self.jobs.len() >= WORTH_JOBS
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pilotfish_core::engine::EngineConfig;

    use super::*;
    use crate::job::Messages;

    const MESSAGE: &[u8] = b"0123456789";

    fn engine() -> Engine {
        let config = r#"{"monitor": {}, "plane": "test", "versions": [{"name": "v1"}],
            "routes": [{"name": "r", "stable": "v1"}], "sampling": {"share_ppm": 0},
            "queue": {"messages": 1, "bytes": 1}}"#;
        Engine::new(EngineConfig::from_json(config).unwrap(), BTreeMap::new(), 0).unwrap()
    }

    fn job() -> Job<&'static [u8]> {
        Job {
            method: "/s/m".into(),
            version: 0,
            answered: true,
            now: 1,
            counted: true,
            bytes: MESSAGE.len(),
            messages: Messages::Call { request: Some(MESSAGE), response: None },
        }
    }

    #[test]
    fn what_is_beyond_either_bound_is_dropped_with_the_reason() {
        let engine = engine();
        let bounds = [
            (QueueConfig { messages: 2, bytes: 1000 }, "queue_full"),
            (QueueConfig { messages: 10, bytes: 29 }, "queue_bytes"),
        ];
        for (config, reason) in bounds {
            let queue = Queue::new(config);
            let offered: Vec<_> = (0..3).map(|_| queue.offer(job(), &engine)).collect();
            assert_eq!(offered, [Offered::Queued, Offered::Queued, Offered::Dropped]);
            assert_eq!(engine.statistics().dropped[reason], 1);
            queue.take().unwrap();
            assert_eq!(queue.offer(job(), &engine), Offered::Queued);
        }
    }

    #[test]
    fn room_that_a_burst_took_is_given_back_when_the_queue_is_empty() {
        let (engine, queue) = (engine(), Queue::new(QueueConfig { messages: 10_000, bytes: 1 << 20 }));
        assert_eq!(queue.lock().jobs.capacity(), 0);
        (0..10_000).for_each(|_| assert_ne!(queue.offer(job(), &engine), Offered::Dropped));
        while queue.take().is_some() {}
        assert!(queue.lock().jobs.capacity() <= KEPT);
        assert!(queue.is_empty());
    }
    #[test]
    fn many_jobs_or_many_bytes_are_enough_once_until_some_were_taken() {
        for (bytes, enough) in [(1, WORTH_JOBS), (WORTH_BYTES / 4, 4)] {
            let (engine, queue) = (engine(), Queue::new(QueueConfig { messages: 10_000, bytes: 1 << 30 }));
            let offer = || queue.offer(Job { bytes, ..job() }, &engine);
            let offered = || (0..2 * enough).filter(|_| offer() == Offered::Enough).count();
            assert_eq!(offered(), 1);
            while queue.take().is_some() {}
            assert_eq!(offered(), 1);
        }
    }
}
