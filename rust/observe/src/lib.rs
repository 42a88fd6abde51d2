//! The observer: takes whole messages off the data plane's hands, reads them and feeds the engine.
//!
//! It exists so that watching never delays or fails a call: offering a message is a push into a bounded queue, after
//! the reply has been forwarded; a thread of its own decodes. When it is behind, messages are dropped and counted; when
//! reading one panics, that message is counted and the thread goes on. Both data planes use it.
#![forbid(unsafe_code)]

mod job;
mod queue;
mod whole;
mod worker;

pub use job::{Job, Messages};
pub use whole::Whole;
pub use worker::Observer;
