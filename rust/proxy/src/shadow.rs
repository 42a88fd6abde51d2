//! Copies of calls to a version that never answers.
//!
//! A copy starts when the call it copies is over, on connections of its own and with a deadline of its own; the engine
//! bounds how many there are. Only calls of methods known unary are copied: a stream would have to be kept without
//! bound.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Version};
use pilotfish_core::call::{Code, OK};
use pilotfish_observe::{Job, Messages};

use crate::deadline;
use crate::memory::Parcel;
use crate::message::Message;
use crate::pool::Pool;
use crate::record::Told;
use crate::splitter::{Found, Splitter};
use crate::status::{CANCELLED, DEADLINE_EXCEEDED, INTERNAL, Status, UNAVAILABLE};
use crate::upstreams::Upstreams;
use crate::worker::Worker;

/// The head of a request that is to be sent a second time.
#[derive(Debug)]
pub struct Copy(Request<()>);

struct Shadow {
    worker: Rc<Worker>,
    told: Told,
    /// Until it is over; a copy that is dropped counts as cancelled.
    answer: Option<Answer>,
}

#[derive(Debug)]
struct Answer {
    code: Code,
    message: Option<Message>,
}

// === impl Copy ===

impl Copy {
    pub fn of(request: &Request<()>) -> Copy {
        let mut copy = Request::new(());
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = Version::HTTP_2;
        if request.uri().authority().is_none() {
            *copy.version_mut() = Version::HTTP_11;
        }
        *copy.extensions_mut() = request.extensions().clone();
        *copy.headers_mut() = request.headers().clone();
        copy.headers_mut().insert("x-pilotfish-shadow", HeaderValue::from_static("1"));
        Copy(copy)
    }
}

/// Sends the copy in the background, if the engine admits it.
pub fn start(worker: &Rc<Worker>, upstreams: &Upstreams, copy: Copy, told: Told) {
    let Some(shadow) = told.ruling.copied_to() else { return };
    let (Some(pool), Some(request)) = (upstreams.copies(shadow.version).cloned(), told.request.clone())
    else {
        // The request was longer than what is kept of one, or was answered before it was complete.
        return shadow.pass_over();
    };
    if !shadow.admit(told.bytes()) {
        return;
    }
    let timeout = Duration::from_nanos(shadow.config.timeout_ns);
    let mut shadow = Shadow { worker: Rc::clone(worker), told, answer: None };
    tokio::task::spawn_local(async move {
        let most = shadow.worker.shared.config.limits.observed_message;
        let sent = send(&pool, copy, &request, timeout, most);
        let answer = tokio::time::timeout(timeout, sent).await;
        shadow.end(answer.unwrap_or(Answer { code: DEADLINE_EXCEEDED, message: None }));
    });
}

async fn send(pool: &Rc<Pool>, copy: Copy, message: &Message, timeout: Duration, most: usize) -> Answer {
    let Copy(mut request) = copy;
    request.headers_mut().insert("grpc-timeout", deadline::format(timeout));
    let Ok(link) = pool.lease().await else { return Answer { code: UNAVAILABLE, message: None } };
    let begun = link.send(request, false);
    pool.give_back(&link);
    let Ok((response, mut body)) = begun else {
        pool.retire(&link);
        return Answer { code: UNAVAILABLE, message: None };
    };
    if upload(&mut body, message).is_err() {
        return Answer { code: INTERNAL, message: None };
    }
    match response.await {
        Ok(response) => {
            link.note_answer();
            let (head, body) = response.into_parts();
            receive(head, body, most).await.unwrap_or_else(|error| failed(&error))
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &h2::Error) -> Answer {
    let status = error.reason().map_or(Status::of(UNAVAILABLE), Status::of_reset);
    Answer { code: status.code, message: None }
}

/// All at once: the message is held in memory anyway, and the library sends it as the server's window allows.
fn upload(body: &mut SendStream<Parcel>, message: &Message) -> Result<(), h2::Error> {
    let mut prefix = BytesMut::with_capacity(5);
    prefix.put_u8(u8::from(message.is_compressed()));
    prefix.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    body.send_data(Parcel::unaccounted(prefix.freeze()), message.is_empty())?;
    let slices = message.slices();
    for (index, slice) in slices.iter().enumerate().filter(|_| !message.is_empty()) {
        body.send_data(Parcel::unaccounted(slice.clone()), index + 1 == slices.len())?;
    }
    Ok(())
}

async fn receive(
    head: http::response::Parts,
    mut body: RecvStream,
    most: usize,
) -> Result<Answer, h2::Error> {
    let mut splitter = Splitter::new(most);
    let mut first = None;
    while let Some(bytes) = body.data().await {
        let bytes = bytes?;
        splitter.push(&bytes, |found| {
            if let (Found::Message(message), None) = (found, &first) {
                first = Some(message);
            }
        });
        let _ = body.flow_control().release_capacity(bytes.len());
    }
    let trailers = poll_fn(|cx| body.poll_trailers(cx)).await?;
    let status = status(&head, trailers.as_ref());
    Ok(Answer { code: status.code, message: first.filter(|_| status.code == OK) })
}

fn status(head: &http::response::Parts, trailers: Option<&HeaderMap>) -> Status {
    let read = trailers.and_then(Status::read).or_else(|| Status::read(&head.headers));
    read.unwrap_or_else(|| Status::without_trailers(head.status))
}

// === impl Shadow ===

impl Shadow {
    fn end(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }
}

impl Drop for Shadow {
    /// Every admitted copy is counted once, however it ended.
    fn drop(&mut self) {
        let answer = self.answer.take().unwrap_or(Answer { code: CANCELLED, message: None });
        let shared = &self.worker.shared;
        let ruling = &self.told.ruling;
        let Some(copy) = ruling.copied_to() else { return };
        if !copy.ended(answer.code, self.told.code, self.told.bytes()) {
            return;
        }
        let readable = |message: &Option<Message>| message.clone().filter(|message| !message.is_compressed());
        let queued = match (readable(&self.told.response), readable(&answer.message)) {
            (Some(primary), Some(shadow)) if shared.engine.watching() => shared.observer.offer(Job {
                method: Arc::clone(&ruling.method),
                version: copy.version,
                answered: true,
                now: shared.clock.nanos(Instant::now()),
                counted: ruling.is_counted(),
                bytes: primary.len() + shadow.len(),
                messages: Messages::Shadow { ruling: Box::new(ruling.clone()), primary, shadow },
            }),
            _ => false,
        };
        if !queued {
            copy.compare(None);
        }
    }
}
