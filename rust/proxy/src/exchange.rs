//! Both directions of one call, until it is over.
//!
//! Three ends are told apart and passed on as what they are: a side that has said everything (END_STREAM), a side that
//! gives up (RST_STREAM, with its code), a side that is lost.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;

use crate::failure::Failure;
use crate::gathered::Gathered;
use crate::memory::Parcel;
use crate::pump::{Onlooker, Pump, Source, Stopped, Unread};
use crate::record::Record;
use crate::session::Session;
use crate::window::Window;

#[derive(Debug)]
pub struct Exchange {
    session: Rc<Session>,
    upload: Upload,
    download: Download,
}

#[derive(Debug)]
struct Upload {
    pump: Pump,
    /// The model server wants no more of it. What it has to say comes by the other direction.
    unwanted: bool,
}

#[derive(Debug)]
enum Download {
    /// Nothing has been answered yet.
    Headers(ResponseFuture, Rc<Window>),
    Body(Pump),
    Done,
}

/// How a call was over.
#[derive(Debug)]
pub enum End {
    /// Everything that was said has been passed on.
    Complete,
    /// The client gave up; `None` when it was lost.
    Client(Option<Reason>),
    /// The model server gave up.
    Upstream(Reason),
    /// There is nobody to pass anything on from.
    Failed(Failure),
    /// The client does not read its answer.
    Unread(Unread),
}

struct Asked<'r>(&'r mut Record, &'r Session);
struct Answered<'r>(&'r mut Record, &'r Session);

impl Onlooker for Asked<'_> {
    fn data(&mut self, bytes: &Bytes) {
        self.0.asked(bytes);
    }

    fn trailers(&mut self, _: &HeaderMap) {}

    fn waiting(&mut self) {
        self.1.worker.shared.counters.upstreams_waited_for.add();
    }
}

impl Onlooker for Answered<'_> {
    fn data(&mut self, bytes: &Bytes) {
        self.1.note_answer(bytes.len());
        self.0.answered(bytes);
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        self.1.note_answer(0);
        self.0.ended_with(trailers);
    }

    fn waiting(&mut self) {
        self.1.worker.shared.counters.clients_waited_for.add();
    }
}

// === impl Exchange ===

impl Exchange {
    pub fn new(
        session: Rc<Session>,
        (from, gathered): (RecvStream, Gathered),
        upstream: SendStream<Parcel>,
        (response, window): (ResponseFuture, Rc<Window>),
    ) -> Exchange {
        let source = Source { from, gathered, window: session.window() };
        let pump = session.pump(source, upstream);
        let download = Download::Headers(response, window);
        Exchange { session, upload: Upload { pump, unwanted: false }, download }
    }

    /// The stream to the model server, to reset it.
    pub fn upstream(&mut self) -> &mut SendStream<Parcel> {
        self.upload.pump.sink()
    }

    /// The stream to the client, once it has been answered with headers and as long as it is open.
    pub fn client(&mut self) -> Option<&mut SendStream<Parcel>> {
        match &mut self.download {
            Download::Body(pump) => Some(pump.sink()),
            Download::Headers(..) | Download::Done => None,
        }
    }

    /// Whether headers have been sent to the client.
    pub fn is_answered(&self) -> bool {
        !matches!(self.download, Download::Headers(..))
    }

    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        respond: &mut SendResponse<Parcel>,
        record: &mut Record,
    ) -> Poll<End> {
        if let Some(end) = self.upload(cx, record).or_else(|| self.abandoned(cx, respond)) {
            return Poll::Ready(end);
        }
        if let Some(end) = self.download(cx, respond, record) {
            return Poll::Ready(end);
        }
        let answered = matches!(self.download, Download::Done);
        let asked =
            self.upload.pump.is_done() || self.upload.unwanted || self.upstream_has_reset(cx, answered);
        if answered && asked { Poll::Ready(End::Complete) } else { Poll::Pending }
    }

    fn upload(&mut self, cx: &mut Context<'_>, record: &mut Record) -> Option<End> {
        if self.upload.unwanted || self.upload.pump.is_done() {
            return None;
        }
        match self.upload.pump.poll(cx, &mut Asked(record, &self.session)) {
            Poll::Ready(Err(Stopped::Source(error))) => Some(End::Client(given_up(&error))),
            Poll::Ready(Err(Stopped::Sink)) => {
                self.upload.unwanted = true;
                None
            }
            Poll::Ready(Err(Stopped::Unread(why))) => Some(End::Failed(Failure::Unread(why))),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        }
    }

    /// Whether the client has given up a call for whose messages nobody is waiting at the moment.
    fn abandoned(&mut self, cx: &mut Context<'_>, respond: &mut SendResponse<Parcel>) -> Option<End> {
        let reset = match &mut self.download {
            Download::Headers(..) => respond.poll_reset(cx),
            Download::Body(pump) => pump.sink().poll_reset(cx),
            Download::Done => return None,
        };
        match reset {
            Poll::Ready(Ok(reason)) => Some(End::Client(Some(reason))),
            Poll::Ready(Err(_)) => Some(End::Client(None)),
            Poll::Pending => None,
        }
    }

    fn download(
        &mut self,
        cx: &mut Context<'_>,
        respond: &mut SendResponse<Parcel>,
        record: &mut Record,
    ) -> Option<End> {
        if let Download::Headers(response, window) = &mut self.download {
            match std::pin::Pin::new(response).poll(cx) {
                Poll::Pending => return None,
                Poll::Ready(Err(error)) => return Some(upstream_end(error)),
                Poll::Ready(Ok(response)) => {
                    let (head, body) = response.into_parts();
                    let end = body.is_end_stream();
                    record.answered_with(head.status, &head.headers, end);
                    self.session.note_answer(0);
                    let response = http::Response::from_parts(head, ());
                    match respond.send_response(response, end) {
                        Err(_) => return Some(End::Client(None)),
                        Ok(_) if end => self.download = Download::Done,
                        Ok(client) => {
                            let window = Rc::clone(window);
                            let source = Source { from: body, gathered: Gathered::default(), window };
                            self.download = Download::Body(self.session.pump(source, client));
                        }
                    }
                }
            }
        }
        let Download::Body(pump) = &mut self.download else { return None };
        match pump.poll(cx, &mut Answered(record, &self.session)) {
            Poll::Pending => None,
            Poll::Ready(Ok(())) => {
                record.answer_is_complete();
                self.download = Download::Done;
                None
            }
            Poll::Ready(Err(Stopped::Source(error))) => Some(upstream_end(error)),
            Poll::Ready(Err(Stopped::Sink)) => Some(End::Client(None)),
            Poll::Ready(Err(Stopped::Unread(why))) => Some(End::Unread(why)),
        }
    }

    /// A server that has answered early says that it wants no more of the request by a reset.
    fn upstream_has_reset(&mut self, cx: &mut Context<'_>, answered: bool) -> bool {
        answered && self.upload.pump.sink().poll_reset(cx).is_ready()
    }
}

/// `None` for a peer that was lost rather than gave up.
fn given_up(error: &h2::Error) -> Option<Reason> {
    if error.is_reset() { error.reason() } else { None }
}

fn upstream_end(error: h2::Error) -> End {
    match error.reason() {
        Some(reason) if error.is_reset() && error.is_remote() => End::Upstream(reason),
        // The server has not touched calls above the last it names in GOAWAY: a client may repeat them.
        Some(_) if error.is_go_away() && error.is_remote() => End::Upstream(Reason::REFUSED_STREAM),
        Some(_) if error.is_library() => End::Failed(Failure::Broken(error.to_string())),
        _ => End::Failed(Failure::Lost(error.to_string())),
    }
}
