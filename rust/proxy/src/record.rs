//! What is remembered of one call while it is forwarded, and told when it is over.
//!
//! Whatever happens to the call, it is counted exactly once: at its end, or when its task is dropped.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pilotfish_core::call::{OK, Outcome};
use pilotfish_core::policy::Ruling;
use pilotfish_core::sample::Reason;
use pilotfish_core::tensor::Direction;
use pilotfish_observe::{Job, Messages};

use crate::clock::{between, unix_now};
use crate::headers::Pair;
use crate::kept::KeptCall;
use crate::message::Message;
use crate::splitter::{Found, Splitter};
use crate::status::{CANCELLED, Status};
use crate::worker::Worker;

#[derive(Debug)]
pub struct Record {
    worker: Rc<Worker>,
    /// Taken when the call has been told.
    ruling: Option<Ruling>,
    peer: Arc<str>,
    metadata: Vec<Pair>,
    started: Instant,
    sent: Option<Instant>,
    completed: Option<Instant>,
    /// Messages of a unary call are told together at its end; of other calls each as it passes.
    unary: bool,
    asked: Splitter,
    answered: Splitter,
    request: Option<Message>,
    response: Option<Message>,
    http_status: StatusCode,
    status: Option<Status>,
}

/// What a shadow of the call needs.
#[derive(Debug)]
pub struct Told {
    pub ruling: Ruling,
    pub code: u32,
    pub request: Option<Message>,
    pub response: Option<Message>,
}

// === impl Told ===

impl Told {
    /// Of the messages that are kept.
    pub fn bytes(&self) -> usize {
        let length = |message: &Option<Message>| message.as_ref().map_or(0, Message::len);
        length(&self.request) + length(&self.response)
    }
}

// === impl Record ===

impl Record {
    pub fn new(
        worker: Rc<Worker>,
        ruling: Ruling,
        unary: bool,
        started: Instant,
        peer: Arc<str>,
        metadata: Vec<Pair>,
    ) -> Record {
        let most = worker.shared.most_gathered(unary, &ruling);
        worker.shared.counters.calls_open.add();
        Record {
            worker,
            ruling: Some(ruling),
            peer,
            metadata,
            started,
            sent: None,
            completed: None,
            unary,
            asked: Splitter::new(most),
            answered: Splitter::new(most),
            request: None,
            response: None,
            http_status: StatusCode::OK,
            status: None,
        }
    }

    /// The request is on its way.
    pub fn sent(&mut self, now: Instant) {
        self.sent = Some(now);
    }

    pub fn asked(&mut self, bytes: &Bytes) {
        let Record { worker, ruling, unary, asked, request, .. } = self;
        asked.push(bytes, |found| match (found, *unary) {
            (Found::TooLarge, _) => worker.shared.too_large(),
            (Found::Message(message), true) => _ = request.get_or_insert(message),
            (Found::Message(message), false) => tell_one(worker, ruling.as_ref(), Direction::Input, message),
        });
    }

    pub fn answered(&mut self, bytes: &Bytes) {
        let Record { worker, ruling, unary, answered, response, .. } = self;
        answered.push(bytes, |found| match (found, *unary) {
            (Found::TooLarge, _) => worker.shared.too_large(),
            (Found::Message(message), true) => _ = response.get_or_insert(message),
            (Found::Message(message), false) => tell_one(worker, ruling.as_ref(), Direction::Output, message),
        });
    }

    /// Response headers; with `end` they are the whole answer.
    pub fn answered_with(&mut self, status: StatusCode, headers: &HeaderMap, end: bool) {
        self.http_status = status;
        if end {
            self.ended_with(headers);
            self.answer_is_complete();
        }
    }

    pub fn ended_with(&mut self, trailers: &HeaderMap) {
        self.status = Status::read(trailers);
    }

    /// The model server has said everything.
    pub fn answer_is_complete(&mut self) {
        self.completed = Some(Instant::now());
        if self.status.is_none() {
            self.status = Some(Status::without_trailers(self.http_status));
        }
    }

    /// The call is over. `status` counts unless the model server's own answer was complete.
    pub fn tell(mut self, status: Option<Status>) -> Option<Told> {
        self.conclude(status)
    }

    fn conclude(&mut self, status: Option<Status>) -> Option<Told> {
        let ruling = self.ruling.take()?;
        let shared = Arc::clone(&self.worker.shared);
        shared.counters.calls_open.sub();
        let now = self.completed.unwrap_or_else(Instant::now);
        let status = match self.completed {
            Some(_) => self.status.take(),
            None => status.or_else(|| self.status.take()),
        };
        let status = status.unwrap_or_else(|| Status::of(CANCELLED));
        let outcome = Outcome {
            code: status.code,
            duration: between(self.started, now),
            upstream: self.sent.map_or(0, |sent| between(sent, now)),
            request_bytes: self.asked.bytes(),
            response_bytes: self.answered.bytes(),
        };
        let (request, mut response) = (self.request.take(), self.response.take());
        if status.code != OK {
            response = None;
        }
        if self.unary && shared.reads(true, &ruling) {
            let messages = Messages::Call {
                request: readable(&shared, &request),
                response: readable(&shared, &response),
            };
            offer(&self.worker, &ruling, status.code == OK, now, ruling.is_counted(), messages);
        } else if self.unary && shared.engine.watching() {
            let (asked, answered) = (&self.asked, Some(&self.answered).filter(|_| status.code == OK));
            let messages = asked.messages().min(1) + answered.map_or(0, |it| it.messages().min(1));
            let bytes = asked.bytes() + answered.map_or(0, Splitter::bytes);
            shared.observer.pass_over(ruling.version, messages, bytes, shared.clock.nanos(now));
        }
        // Queued before the call counts as ended: a call is never in between.
        if let Some(reason) = shared.engine.ended(&ruling, &outcome) {
            self.keep(&ruling, reason, &status, &outcome, &request, &response);
        }
        Some(Told { ruling, code: status.code, request, response })
    }

    fn keep(
        &mut self,
        ruling: &Ruling,
        reason: Reason,
        status: &Status,
        outcome: &Outcome,
        request: &Option<Message>,
        response: &Option<Message>,
    ) {
        let shared = &self.worker.shared;
        if shared.config.kept == 0 {
            shared.engine.settle(None);
            return;
        }
        let payload = |message: &Option<Message>| message.clone().filter(|_| shared.config.payloads);
        let kept = shared.kept.put(KeptCall {
            ruling: ruling.clone(),
            reason,
            code: status.code,
            message: status.text(),
            started_unix_ns: unix_now().saturating_sub(outcome.duration),
            duration: outcome.duration,
            upstream: outcome.upstream,
            request: payload(request),
            response: payload(response),
            request_bytes: outcome.request_bytes,
            response_bytes: outcome.response_bytes,
            metadata: std::mem::take(&mut self.metadata),
            peer: Arc::clone(&self.peer),
        });
        if !kept {
            shared.engine.settle(Some("queue_full"));
        }
    }
}

impl Drop for Record {
    /// A call whose task is dropped has been cancelled by whoever stops the plane.
    fn drop(&mut self) {
        self.conclude(None);
    }
}

fn tell_one(worker: &Worker, ruling: Option<&Ruling>, direction: Direction, message: Message) {
    let Some(ruling) = ruling.filter(|_| worker.shared.engine.watching()) else { return };
    if let Some(message) = readable(&worker.shared, &Some(message)) {
        // A message from the model server is its answer; one from the client may still be refused.
        let answered = direction == Direction::Output;
        let counted = ruling.counts_next();
        offer(worker, ruling, answered, Instant::now(), counted, Messages::One(direction, message));
    }
}

/// The message, unless it is compressed, which is counted.
fn readable(shared: &crate::worker::Shared, message: &Option<Message>) -> Option<Message> {
    let message = message.as_ref()?;
    if !message.is_compressed() {
        return Some(message.clone());
    }
    let mut account = shared.engine.statistics();
    account.queued(1);
    account.worked_off(Some("compressed"));
    None
}

fn offer(
    worker: &Worker,
    ruling: &Ruling,
    answered: bool,
    now: Instant,
    counted: bool,
    messages: Messages<Message>,
) {
    let shared = &worker.shared;
    let length = |message: &Option<Message>| message.as_ref().map_or(0, Message::len);
    let bytes = match &messages {
        Messages::Call { request: None, response: None } => return,
        Messages::Call { request, response } => length(request) + length(response),
        Messages::One(_, message) => message.len(),
        Messages::Shadow { primary, shadow, .. } => primary.len() + shadow.len(),
    };
    shared.observer.offer(Job {
        method: Arc::clone(&ruling.method),
        version: ruling.version,
        answered,
        now: shared.clock.nanos(now),
        counted,
        bytes,
        messages,
    });
}
