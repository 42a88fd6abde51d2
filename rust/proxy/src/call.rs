//! One call, from its headers to its end.
//!
//! The version is decided on the headers alone and then fixed. Nothing is retried: whether a call may be repeated is
//! the client's to know.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request};
use pilotfish_core::call::VersionId;

use crate::deadline;
use crate::exchange::{End, Exchange};
use crate::failure::{self, Failure};
use crate::gathered::Gathered;
use crate::headers::{Headers, wanted};
use crate::link::{Link, Refused};
use crate::memory::Parcel;
use crate::pool::Pool;
use crate::pump::Unread;
use crate::record::Record;
use crate::session::Session;
use crate::shadow::{self, Copy};
use crate::status::{CANCELLED, DEADLINE_EXCEEDED, Status};
use crate::upstreams::Upstreams;
use crate::worker::Shared;

/// Deadlines further away than this are the client's to keep.
const LONGEST_TIMER: Duration = Duration::from_secs(30 * 24 * 3600);

/// Connections that are tried when one after the other turns out to be closing.
const ATTEMPTS: usize = 3;

/// One call under way. It is moved several times when its task is made, so it is kept small: nothing is in it twice.
struct Call {
    session: Rc<Session>,
    upstreams: Rc<Upstreams>,
    deadline: Option<Instant>,
    /// The content type of a call that speaks gRPC.
    grpc: Option<HeaderValue>,
    respond: SendResponse<Parcel>,
    record: Record,
    version: VersionId,
    copy: Option<Box<Copy>>,
    link: Option<Rc<Link>>,
    stage: Stage,
}

enum Stage {
    /// Not sent yet, and what came of its messages meanwhile.
    Asked(Request<()>, RecvStream, Gathered),
    Exchanged(Exchange),
    /// It could not be sent.
    Unsent,
}

/// Forwards one call.
pub fn forward(
    session: Rc<Session>,
    request: Request<RecvStream>,
    respond: SendResponse<Parcel>,
    started: Instant,
) -> impl Future<Output = ()> {
    let mut call = Call::decided(session, request, respond, started);
    async move {
        let end = call.run().await;
        let status = call.conclude(end).await;
        call.tell(status);
    }
}

// === impl Call ===

impl Call {
    fn decided(
        session: Rc<Session>,
        request: Request<RecvStream>,
        respond: SendResponse<Parcel>,
        started: Instant,
    ) -> Call {
        let worker = &session.worker;
        let (mut head, body) = request.into_parts();
        session.identify(&mut head.headers);
        if head.uri.authority().is_none() {
            // The HTTP/2 library takes a request without authority only as one that came by HTTP/1.
            head.version = http::Version::HTTP_11;
        }
        let path = head.uri.path_and_query().map_or("*", |path| path.as_str());
        let upstreams = worker.upstreams();
        let Shared { engine, config, unary, .. } = &*worker.shared;
        let known = unary.get(path).cloned();
        let is_unary = known.is_some();
        let method = known.unwrap_or_else(|| path.into());
        let ruling = engine.decide(upstreams.policy(), method, &Headers(&head.headers), worker.seed());
        let metadata = wanted(&head.headers, &config.metadata);
        let request = Request::from_parts(head, ());
        Call {
            deadline: deadline(request.headers(), started),
            grpc: failure::grpc_type(&request),
            respond,
            version: ruling.version,
            copy: ruling.shadow.map(|_| Box::new(Copy::of(&request))),
            record: Record::new(Rc::clone(worker), ruling, is_unary, started, session.peer(), metadata),
            link: None,
            stage: Stage::Asked(request, body, Gathered::default()),
            upstreams,
            session,
        }
    }

    async fn run(&mut self) -> End {
        match self.deadline {
            None => self.exchange().await,
            Some(deadline) => {
                let in_time = tokio::time::timeout_at(deadline.into(), self.exchange()).await;
                in_time.unwrap_or(End::Failed(Failure::Expired))
            }
        }
    }

    async fn exchange(&mut self) -> End {
        if let Err(end) = self.begin().await {
            return end;
        }
        let Call { stage: Stage::Exchanged(exchange), respond, record, .. } = self else {
            return End::Failed(Failure::Lost("it was not sent".into()));
        };
        poll_fn(|cx| exchange.poll(cx, respond, record)).await
    }

    /// Sends the headers to the model server, unless the client has gone already.
    async fn begin(&mut self) -> Result<(), End> {
        for _ in 0..ATTEMPTS {
            let link = self.link().await?;
            let now = Instant::now();
            let asked = std::mem::replace(&mut self.stage, Stage::Unsent);
            let Stage::Asked(mut request, body, gathered) = asked else {
                break;
            };
            self.shorten(request.headers_mut(), now)?;
            match link.send(request, gathered.is_empty() && body.is_end_stream()) {
                Ok((response, upstream)) => {
                    self.record.sent(now);
                    let (session, answer) = (Rc::clone(&self.session), (response, link.window()));
                    self.stage = Stage::Exchanged(Exchange::new(session, (body, gathered), upstream, answer));
                    self.link = Some(link);
                    return Ok(());
                }
                Err(Refused::Failed(error)) => return Err(End::Failed(Failure::Lost(error.to_string()))),
                Err(Refused::Closed(unsent)) => self.stage = Stage::Asked(*unsent, body, gathered),
            }
            self.pool().retire(&link);
        }
        Err(End::Failed(Failure::Unreachable("it closes every connection".into())))
    }

    /// The connection that the call goes on.
    async fn link(&mut self) -> Result<Rc<Link>, End> {
        let Call { session, respond, stage, upstreams, version, .. } = self;
        let pool = upstreams.answers(*version);
        // In a box, for it is rarely needed and larger than all the rest of a call.
        let mut lease = None;
        poll_fn(|cx| {
            if let Poll::Ready(reset) = respond.poll_reset(cx) {
                return Poll::Ready(Err(End::Client(reset.ok())));
            }
            if let Some(link) = session.leased(pool) {
                return Poll::Ready(Ok(link));
            }
            if let Stage::Asked(_, body, gathered) = stage {
                // Who has given up is known from the other direction.
                let _ = gathered.poll_fill(body, cx);
            }
            let lease = lease.get_or_insert_with(|| Box::pin(session.lease(pool)));
            lease.as_mut().poll(cx).map_err(|why| End::Failed(Failure::Unreachable(why.to_string())))
        })
        .await
    }

    fn pool(&self) -> &Rc<Pool> {
        self.upstreams.answers(self.version)
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
        if let (Some(link), Stage::Exchanged(exchange)) = (&self.link, &self.stage)
            && exchange.is_answered()
        {
            link.note_answer();
        }
        match end {
            End::Complete => None,
            End::Client(reason) => {
                counters.calls_reset_by_client.add();
                match &mut self.stage {
                    Stage::Exchanged(exchange) => {
                        exchange.upstream().send_reset(reason.unwrap_or(Reason::CANCEL));
                    }
                    Stage::Asked(..) | Stage::Unsent => counters.calls_reset_unseen.add(),
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
                if let Stage::Exchanged(exchange) = &mut self.stage {
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
        let status = failure.status(self.pool().name());
        // An answer that is complete stays as it is; a client that has gone meanwhile needs none.
        let _ = match &mut self.stage {
            Stage::Exchanged(exchange) if exchange.is_answered() => {
                let trailers = failure::trailers(&status);
                exchange.client().map_or(Ok(()), |client| client.send_trailers(trailers))
            }
            _ => self.respond.send_response(failure::response(&status, self.grpc.as_ref()), true).map(drop),
        };
        if let Stage::Exchanged(exchange) = &mut self.stage {
            exchange.upstream().send_reset(Reason::CANCEL);
        }
        status
    }

    /// The call is over: it is counted, and copied where the policy says so.
    fn tell(self, status: Option<Status>) {
        let told = self.record.tell(status);
        if let (Some(copy), Some(told)) = (self.copy, told)
            && told.code != CANCELLED
        {
            shadow::start(&self.session.worker, &self.upstreams, *copy, told);
        }
        self.session.ended();
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
