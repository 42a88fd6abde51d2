//! One call, from its headers to its end.
//!
//! The version is decided on the headers alone and then fixed. Nothing is retried: whether a call may be repeated is
//! the client's to know.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Version};

use crate::deadline;
use crate::exchange::{End, Exchange};
use crate::failure::{self, Failure};
use crate::headers::{Headers, wanted};
use crate::link::{Link, Refused};
use crate::memory::Parcel;
use crate::pool::Pool;
use crate::pump::Unread;
use crate::record::Record;
use crate::session::Session;
use crate::shadow::{self, Copy};
use crate::status::{CANCELLED, DEADLINE_EXCEEDED, Status};

/// Deadlines further away than this are the client's to keep.
const LONGEST_TIMER: Duration = Duration::from_secs(30 * 24 * 3600);

/// Connections that are tried when one after the other turns out to be closing.
const ATTEMPTS: usize = 3;

/// Forwards one call.
pub async fn forward(session: Rc<Session>, request: Request<RecvStream>, respond: SendResponse<Parcel>) {
    let started = Instant::now();
    let worker = &session.worker;
    let (mut head, body) = request.into_parts();
    session.identify(&mut head.headers);
    if head.uri.authority().is_none() {
        // The HTTP/2 library takes a request without authority only as one that came by HTTP/1.
        head.version = Version::HTTP_11;
    }
    let path = head.uri.path_and_query().map_or("*", |path| path.as_str());
    let upstreams = worker.upstreams();
    let ruling =
        worker.shared.engine.decide(upstreams.policy(), path, &Headers(&head.headers), worker.seed());
    let metadata = wanted(&head.headers, &worker.shared.config.metadata);
    let request = Request::from_parts(head, ());
    let copy = ruling.shadow.map(|_| Copy::of(&request));
    let deadline = deadline(request.headers(), started);
    let pool = upstreams.answers(ruling.version);
    let record = Record::new(Rc::clone(worker), ruling, started, session.peer(), metadata);
    let grpc = failure::grpc_type(&request);

    let mut call =
        Call { session: &session, pool, deadline, grpc, respond, record, link: None, exchange: None };
    let end = call.run(request, body).await;
    let status = call.conclude(end).await;
    let told = call.record.tell(status);
    if let (Some(copy), Some(told)) = (copy, told)
        && told.code != CANCELLED
    {
        shadow::start(&session.worker, &upstreams, copy, told);
    }
}

struct Call<'s> {
    session: &'s Rc<Session>,
    pool: &'s Rc<Pool>,
    deadline: Option<Instant>,
    /// The content type of a call that speaks gRPC.
    grpc: Option<HeaderValue>,
    respond: SendResponse<Parcel>,
    record: Record,
    link: Option<Rc<Link>>,
    exchange: Option<Exchange>,
}

// === impl Call ===

impl Call<'_> {
    async fn run(&mut self, request: Request<()>, body: RecvStream) -> End {
        match self.deadline {
            None => self.exchange(request, body).await,
            Some(deadline) => {
                let in_time = tokio::time::timeout_at(deadline.into(), self.exchange(request, body)).await;
                in_time.unwrap_or(End::Failed(Failure::Expired))
            }
        }
    }

    async fn exchange(&mut self, request: Request<()>, body: RecvStream) -> End {
        let (response, upstream) = match self.begin(request, body.is_end_stream()).await {
            Ok(streams) => streams,
            Err(end) => return end,
        };
        let exchange = self.exchange.insert(Exchange::new(Rc::clone(self.session), body, upstream, response));
        let (respond, record) = (&mut self.respond, &mut self.record);
        poll_fn(|cx| exchange.poll(cx, respond, record)).await
    }

    /// Sends the headers to the model server, unless the client has gone already.
    async fn begin(
        &mut self,
        mut request: Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Parcel>), End> {
        for _ in 0..ATTEMPTS {
            let (session, pool, respond) = (self.session, self.pool, &mut self.respond);
            let mut lease = std::pin::pin!(session.lease(pool));
            let link = poll_fn(|cx| {
                if let Poll::Ready(reset) = respond.poll_reset(cx) {
                    return Poll::Ready(Err(End::Client(reset.ok())));
                }
                lease.as_mut().poll(cx).map_err(|why| End::Failed(Failure::Unreachable(why.to_string())))
            })
            .await?;
            let now = Instant::now();
            self.shorten(request.headers_mut(), now)?;
            match link.send(request, end) {
                Ok(streams) => {
                    self.record.sent(now);
                    self.link = Some(link);
                    return Ok(streams);
                }
                Err(Refused::Failed(error)) => return Err(End::Failed(Failure::Lost(error.to_string()))),
                Err(Refused::Closed(unsent)) => request = *unsent,
            }
            pool.retire(&link);
        }
        Err(End::Failed(Failure::Unreachable("it closes every connection".into())))
    }

    /// The model server is given what remains of the client's time.
    fn shorten(&self, headers: &mut HeaderMap, now: Instant) -> Result<(), End> {
        let Some(deadline) = self.deadline else { return Ok(()) };
        let left = deadline.saturating_duration_since(now);
        if left.is_zero() {
            return Err(End::Failed(Failure::Expired));
        }
        headers.insert("grpc-timeout", deadline::format(left));
        Ok(())
    }

    /// Passes the end on to whom it concerns; the status it has for the record, where the answer had none.
    async fn conclude(&mut self, end: End) -> Option<Status> {
        let counters = &self.session.worker.shared.counters;
        if let (Some(link), Some(_)) = (&self.link, self.exchange.as_ref().filter(|it| it.is_answered())) {
            link.note_answer();
        }
        match end {
            End::Complete => None,
            End::Client(reason) => {
                counters.calls_reset_by_client.add();
                if self.exchange.is_none() {
                    counters.calls_reset_unseen.add();
                }
                if let Some(exchange) = &mut self.exchange {
                    exchange.upstream().send_reset(reason.unwrap_or(Reason::CANCEL));
                }
                let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
                Some(Status::of(if late { DEADLINE_EXCEEDED } else { CANCELLED }))
            }
            End::Upstream(reason) => {
                counters.calls_reset_by_upstream.add();
                // What came before the reset must not be lost by it: a reset discards what is not yet written.
                tokio::task::yield_now().await;
                self.respond.send_reset(reason);
                Some(Status::of_reset(reason))
            }
            End::Unread(why) => {
                self.count_unread(why);
                self.respond.send_reset(Reason::ENHANCE_YOUR_CALM);
                if let Some(exchange) = &mut self.exchange {
                    exchange.upstream().send_reset(Reason::CANCEL);
                }
                Some(Status::of_reset(Reason::ENHANCE_YOUR_CALM))
            }
            End::Failed(failure) => Some(self.fail(&failure)),
        }
    }

    fn count_unread(&self, why: Unread) {
        let counters = &self.session.worker.shared.counters;
        match why {
            Unread::TooLong => counters.calls_stalled.add(),
            Unread::Overdrawn => counters.calls_shed.add(),
        }
    }

    fn fail(&mut self, failure: &Failure) -> Status {
        let shared = &self.session.worker.shared;
        match failure {
            Failure::Unreachable(_) => shared.counters.calls_unreachable.add(),
            Failure::Lost(_) | Failure::Broken(_) => shared.counters.calls_lost.add(),
            Failure::Expired => shared.counters.calls_expired.add(),
            Failure::Unread(why) => self.count_unread(*why),
        }
        let status = failure.status(self.pool.name());
        // An answer that is complete stays as it is; a client that has gone meanwhile needs none.
        let _ = match &mut self.exchange {
            Some(exchange) if exchange.is_answered() => {
                let trailers = failure::trailers(&status);
                exchange.client().map_or(Ok(()), |client| client.send_trailers(trailers))
            }
            _ => self.respond.send_response(failure::response(&status, self.grpc.as_ref()), true).map(drop),
        };
        if let Some(exchange) = &mut self.exchange {
            exchange.upstream().send_reset(Reason::CANCEL);
        }
        status
    }
}

/// When the client's time is up; `None` for a call without limit, or with one that is malformed or far away.
fn deadline(headers: &HeaderMap, now: Instant) -> Option<Instant> {
    let timeout = deadline::parse(headers.get("grpc-timeout")?.as_bytes())?;
    if timeout > LONGEST_TIMER {
        return None;
    }
    now.checked_add(timeout)
}
