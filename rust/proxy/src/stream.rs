//! What carries a connection's bytes: TCP or a Unix socket, with TLS over it or without.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::address::Address;
use crate::buffers::Buffers;
use crate::forwarded::Forwarded;
use crate::inbox::Inbox;
use crate::tls::{Accepting, Connecting};

/// Bytes as the operating system hands them over.
#[derive(Debug)]
pub enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

#[derive(Debug)]
pub enum Stream {
    Plain(Plain),
    /// In a box, so that a connection without TLS does not carry its size.
    Tls(Box<TlsStream<Carrier>>),
}

/// What TLS reads from: it asks for 4 KiB at a time, which would be as many system calls.
#[derive(Debug)]
pub struct Carrier {
    plain: Plain,
    inbox: Inbox,
}

// === impl Plain ===

impl Plain {
    /// # Errors
    /// Whatever the operating system says; a name is resolved anew each time.
    pub async fn connect(address: &Address) -> io::Result<Plain> {
        match address {
            Address::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Plain::Tcp(stream))
            }
            Address::Unix(path) => Ok(Plain::Unix(UnixStream::connect(path).await?)),
        }
    }

    /// Shakes hands with a client.
    ///
    /// # Errors
    /// The client does not speak TLS, shows no certificate that is wanted, or goes.
    pub async fn accept(self, tls: &Accepting, buffers: &Rc<Buffers>) -> io::Result<(Stream, Forwarded)> {
        let acceptor = TlsAcceptor::from(std::sync::Arc::clone(&tls.config));
        let stream = acceptor.accept(Carrier::new(self, buffers)).await?;
        let forwarded = tls.forwarded(stream.get_ref().1);
        Ok((Stream::Tls(Box::new(stream.into())), forwarded))
    }

    /// Shakes hands with a model server.
    ///
    /// # Errors
    /// The server is not the one it should be, or does not take us.
    pub async fn secure(self, tls: &Connecting, buffers: &Rc<Buffers>) -> io::Result<Stream> {
        let connector = TlsConnector::from(std::sync::Arc::clone(&tls.config));
        let name: ServerName<'static> = tls.server_name.clone();
        let stream = connector
            .connect(name, Carrier::new(self, buffers))
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("TLS: {error}")))?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}

/// The same expression for whichever variant it is.
macro_rules! each {
    ($self:ident, $kind:ident: $($variant:ident)|+, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            $($kind::$variant($stream) => {
                let $stream = Pin::new($stream);
                $call
            })+
        }
    };
}

impl AsyncRead for Plain {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, Plain: Tcp | Unix, stream => stream.poll_read(cx, into))
    }
}

impl AsyncWrite for Plain {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, Plain: Tcp | Unix, stream => stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, Plain: Tcp | Unix, stream => stream.poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is held back here.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, Plain: Tcp | Unix, stream => stream.poll_shutdown(cx))
    }
}

// === impl Stream ===

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, Stream: Plain | Tls, stream => stream.poll_read(cx, into))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, Stream: Plain | Tls, stream => stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, Stream: Plain | Tls, stream => stream.poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, Stream: Plain | Tls, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, Stream: Plain | Tls, stream => stream.poll_shutdown(cx))
    }
}

// === impl Carrier ===

impl Carrier {
    fn new(plain: Plain, buffers: &Rc<Buffers>) -> Carrier {
        Carrier { plain, inbox: Inbox::new(Rc::clone(buffers)) }
    }
}

impl AsyncRead for Carrier {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Carrier { plain, inbox } = self.get_mut();
        if inbox.hand_over(into) {
            return Poll::Ready(Ok(()));
        }
        inbox.poll_read(into, 0, |ahead| Pin::new(&mut *plain).poll_read(cx, ahead)).map_ok(|_| ())
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().plain).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().plain).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().plain).poll_shutdown(cx)
    }
}
