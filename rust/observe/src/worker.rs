//! The observer's thread: wakes, empties the queue, rests.
//!
//! Waking a thread costs more than reading a message, and what it counts with is no longer in the caches when the plane
//! had the processor meanwhile. So it takes many messages at a time: while there is traffic it looks by itself, thirty
//! times a second, and the data plane wakes it only when much has come, or when it sleeps deeply.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use pilotfish_core::call::{Nanos, VersionId};
use pilotfish_core::engine::{Engine, QueueConfig};
use pilotfish_core::ledger::Worked;

use crate::job::Job;
use crate::queue::{Offered, Queue};
use crate::whole::{Room, Whole};

/// Rest between two looks at the queue while there is traffic, unless enough comes before.
const REST: Duration = Duration::from_millis(32);

/// Messages that are entered in the account at once.
const BATCH: u64 = 64;

/// Looks at an empty queue before sleeping until woken.
const IDLE_LOOKS: u32 = 3;

/// The queue and the thread that works it off.
#[derive(Debug)]
pub struct Observer<B> {
    shared: Arc<Shared<B>>,
    thread: Thread,
    handle: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared<B> {
    engine: Arc<Engine>,
    queue: Queue<B>,
    /// The thread sleeps until it is woken.
    asleep: AtomicBool,
    /// A job has been taken off the queue and is being worked on.
    busy: AtomicBool,
    closing: AtomicBool,
}

// === impl Observer ===

impl<B: Whole + Send + 'static> Observer<B> {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(engine: Arc<Engine>, config: QueueConfig) -> std::io::Result<Observer<B>> {
        let shared = Arc::new(Shared {
            engine,
            queue: Queue::new(config),
            asleep: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        });
        let worker = Arc::clone(&shared);
        let handle =
            std::thread::Builder::new().name("pilotfish-observe".into()).spawn(move || worker.run())?;
        Ok(Observer { shared, thread: handle.thread().clone(), handle: Mutex::new(Some(handle)) })
    }

    /// Queues a job, or leaves it out or drops it, and counts that. Never blocks.
    pub fn offer(&self, job: Job<B>) -> bool {
        if self.shared.closing.load(Ordering::Relaxed) {
            self.shared.engine.statistics().dropped(job.messages.count(), "closed");
            return false;
        }
        let messages = job.messages.count();
        if messages > 0 && !job.is_read(&self.shared.engine) {
            self.shared.engine.thinned(messages);
            return false;
        }
        let offered = self.shared.queue.offer(job, &self.shared.engine);
        let is_queued = offered != Offered::Dropped;
        if is_queued && (self.shared.asleep.swap(false, Ordering::SeqCst) || offered == Offered::Enough) {
            self.thread.unpark();
        }
        is_queued
    }

    /// Messages of a unary call that is left out, and that nobody has to read.
    pub fn pass_over(&self, version: VersionId, messages: u64, bytes: u64, now: Nanos) {
        self.shared.engine.offered(version, bytes, false, now);
        self.shared.engine.thinned(messages);
    }

    /// Waits until all that was offered before is worked off; false when that took longer than `timeout`.
    pub fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        self.thread.unpark();
        while !self.shared.idle() {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return false;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        true
    }

    /// Works off what is queued and ends the thread. What is offered later is dropped and counted.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.thread.unpark();
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            // A panic of the thread itself has been counted by message already.
            let _ = handle.join();
        }
    }
}

impl<B> Drop for Observer<B> {
    /// Ends the thread without waiting for it.
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

// === impl Shared ===

impl<B: Whole> Shared<B> {
    fn run(&self) {
        let (mut idle, mut room) = (0, Room::default());
        loop {
            // Read before the queue is emptied, so that nothing offered before closing is left behind.
            let closing = self.closing.load(Ordering::SeqCst);
            let worked = self.empty(&mut room);
            if closing {
                return;
            }
            idle = if worked { 0 } else { idle + 1 };
            if idle < IDLE_LOOKS {
                std::thread::park_timeout(REST);
            } else {
                self.sleep();
            }
        }
    }

    fn empty(&self, room: &mut Room) -> bool {
        let mut any = false;
        let mut worked = Worked::default();
        self.busy.store(true, Ordering::SeqCst);
        while let Some(job) = self.queue.take() {
            any = true;
            self.work_off(&job, &mut worked, room);
            if worked.messages() >= BATCH {
                self.engine.worked_off(std::mem::take(&mut worked));
            }
        }
        if any {
            self.engine.worked_off(worked);
        }
        self.busy.store(false, Ordering::SeqCst);
        any
    }

    /// A message that makes the reader panic is a mistake of ours: it is counted, and the next one is read.
    fn work_off(&self, job: &Job<B>, worked: &mut Worked, room: &mut Room) {
        let before = worked.messages();
        if catch_unwind(AssertUnwindSafe(|| job.work_off(&self.engine, worked, room))).is_err() {
            let counted = worked.messages() - before;
            (counted..job.messages.count()).for_each(|_| worked.message(Some("panic")));
        }
        room.shrink();
    }

    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        if self.queue.is_empty() && !self.closing.load(Ordering::SeqCst) {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    fn idle(&self) -> bool {
        self.queue.is_empty() && !self.busy.load(Ordering::SeqCst)
    }
}
