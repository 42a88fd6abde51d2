//! One piece of work for the observer, and how it is done.

use std::sync::Arc;

use pilotfish_core::call::{Nanos, VersionId};
use pilotfish_core::engine::Engine;
use pilotfish_core::fleet::Observation;
use pilotfish_core::ledger::Worked;
use pilotfish_core::policy::Ruling;
use pilotfish_core::tensor::{Direction, Tensor};
use pilotfish_wire::{Message, Unreadable};

use crate::whole::{Room, Whole};

/// The messages of one unary call, or one message of a stream.
#[derive(Debug)]
pub enum Messages<B> {
    Call {
        request: Option<B>,
        response: Option<B>,
    },
    One(Direction, B),
    /// The answer that was given, and the shadow's, which is also observed as the shadow version's output.
    Shadow {
        ruling: Box<Ruling>,
        primary: B,
        shadow: B,
    },
}

/// Work for the observer. `B` is a whole message: bytes that outlive the call without being copied.
#[derive(Debug)]
pub struct Job<B> {
    /// The `:path`; says how the messages are to be read.
    pub method: Arc<str>,
    pub version: VersionId,
    /// Whether the call succeeded (so far, for a stream).
    pub answered: bool,
    pub now: Nanos,
    /// Whether it is counted in the statistics; else it is left out for the sake of the budget.
    pub counted: bool,
    /// What the messages hold on to while the job is queued.
    pub bytes: usize,
    pub messages: Messages<B>,
}

// === impl Messages ===

impl<B: Whole> Messages<B> {
    /// Number of messages, as the account counts them.
    pub fn count(&self) -> u64 {
        match self {
            Messages::Call { request, response } => {
                u64::from(request.is_some()) + u64::from(response.is_some())
            }
            Messages::One(..) => 1,
            Messages::Shadow { .. } => 1,
        }
    }

    pub fn bytes(&self) -> usize {
        let length = |message: &Option<B>| message.as_ref().map_or(0, Whole::length);
        match self {
            Messages::Call { request, response } => length(request) + length(response),
            Messages::One(_, message) => message.length(),
            Messages::Shadow { primary, shadow, .. } => primary.length() + shadow.length(),
        }
    }
}

// === impl Job ===

impl<B: Whole> Job<B> {
    /// Sets its bytes off against the budget for watching; false when nobody has to read it.
    pub fn is_read(&self, engine: &Engine) -> bool {
        let (version, bytes) = match &self.messages {
            // Drawn with its call. The answer that it is compared with was counted there.
            Messages::Shadow { ruling, shadow, .. } => (ruling.version, shadow.length()),
            all => (self.version, all.bytes()),
        };
        engine.offered(version, bytes as u64, self.counted, self.now);
        self.counted || engine.counts_volume() || matches!(self.messages, Messages::Shadow { .. })
    }

    /// Reads the messages and feeds the engine. Each message is counted exactly once, and only after it has been
    /// observed: whoever sees an account without queued messages sees them in the statistics.
    pub fn work_off(&self, engine: &Engine, worked: &mut Worked, room: &mut Room) {
        let Room { first, second } = room;
        match &self.messages {
            Messages::Call { request, response } => {
                let asked = request.as_ref().and_then(|message| {
                    let read = self.read(Direction::Input, message, first);
                    self.observe(engine, worked, Direction::Input, message.length(), read, "")
                });
                if let Some(message) = response {
                    let (read, asked) =
                        (self.read(Direction::Output, message, second), asked.unwrap_or_default());
                    self.observe(engine, worked, Direction::Output, message.length(), read, asked);
                }
            }
            Messages::One(direction, message) => {
                let read = self.read(*direction, message, first);
                self.observe(engine, worked, *direction, message.length(), read, "");
            }
            Messages::Shadow { ruling, primary, shadow } => {
                let length = shadow.length();
                let primary = self.read(Direction::Output, primary, first);
                let shadow = self.read(Direction::Output, shadow, second);
                let answers = primary.as_ref().ok().zip(shadow.as_ref().ok());
                if let Some(copy) = ruling.copied_to() {
                    copy.compare(answers.map(|(one, other)| (&*one.tensors, &*other.tensors)));
                }
                self.observe(engine, worked, Direction::Output, length, shadow, "");
            }
        }
    }

    fn read<'m>(
        &self,
        direction: Direction,
        message: &'m B,
        room: &'m mut Vec<u8>,
    ) -> Result<Message<'m>, Unreadable> {
        let bytes = message.in_one_piece(room);
        match direction {
            Direction::Input => pilotfish_wire::request(&self.method, bytes),
            Direction::Output => pilotfish_wire::response(&self.method, bytes),
        }
    }

    /// Observes and counts one message; its model's name if it could be read. An answer names its model only if the
    /// server fills the field in: else it is the one that was `asked`.
    fn observe<'m>(
        &self,
        engine: &Engine,
        worked: &mut Worked,
        direction: Direction,
        length: usize,
        read: Result<Message<'m>, Unreadable>,
        asked: &str,
    ) -> Option<&'m str> {
        let message = match read {
            Ok(message) => message,
            Err(reason) => {
                worked.holds(if self.counted { length } else { 0 }, 0);
                worked.message(Some(reason.name()));
                return None;
            }
        };
        let observation = Observation {
            model: if asked.is_empty() { message.model } else { asked },
            version: self.version,
            direction,
            tensors: &message.tensors,
            defects: &message.defects,
            answered: self.answered,
            now: self.now,
        };
        if !self.counted {
            engine.pass_over(observation);
            worked.thinned();
            return Some(message.model);
        }
        engine.observe(observation);
        worked.holds(length, message.tensors.iter().map(Tensor::len).sum());
        worked.message(None);
        message.defects.iter().for_each(|(_, defect)| worked.defect(defect.name()));
        Some(message.model)
    }
}
