//! Where clients come in: bound once per thread, so that a connection never changes threads.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::net as unix;
use std::path::Path;

use socket2::{Domain, Protocol, Socket as RawSocket, Type};
#[cfg(target_os = "linux")]
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, UnixListener};

use crate::address::Address;
use crate::stream::Plain;

const BACKLOG: i32 = 1024;

/// Bound sockets, made before the threads are, so that a taken address is said at the start.
#[derive(Debug)]
pub enum Bound {
    Tcp(std::net::TcpListener),
    Unix(unix::UnixListener),
}

#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// In the classic packet filter's code, on a segment from its TCP header on: drops what has SYN and not ACK.
#[cfg(target_os = "linux")]
const NO_BEGINNINGS: [SockFilter; 5] = [
    SockFilter::new(0x30, 0, 0, 13),          // load the byte of flags
    SockFilter::new(0x54, 0, 0, 0x12),        // of them SYN and ACK
    SockFilter::new(0x15, 0, 1, 0x02),        // SYN alone?
    SockFilter::new(0x06, 0, 0, 0),           // keep nothing of it
    SockFilter::new(0x06, 0, 0, 0xffff_ffff), // keep all
];

// === impl Bound ===

impl Bound {
    /// One socket for each thread, and the address they listen on.
    ///
    /// # Errors
    /// The address is taken, may not be used, or cannot be resolved.
    pub fn bind(address: &Address, threads: usize) -> io::Result<(Vec<Bound>, Address)> {
        match address {
            Address::Tcp(host, port) => bind_tcp(host, *port, threads),
            Address::Unix(path) => bind_unix(path, threads).map(|bound| (bound, address.clone())),
        }
    }

    /// # Errors
    /// The runtime cannot watch the socket.
    pub fn listen(self) -> io::Result<Listener> {
        Ok(match self {
            Bound::Tcp(listener) => Listener::Tcp(TcpListener::from_std(listener)?),
            Bound::Unix(listener) => Listener::Unix(UnixListener::from_std(listener)?),
        })
    }
}

fn bind_tcp(host: &str, port: u16, threads: usize) -> io::Result<(Vec<Bound>, Address)> {
    let mut resolved = (host, port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address"))?;
    let mut bound = Vec::with_capacity(threads);
    for _ in 0..threads {
        let listener = listen_tcp(resolved, threads > 1)?;
        // All threads share the port that the first was given.
        resolved = listener.local_addr()?;
        bound.push(Bound::Tcp(listener));
    }
    Ok((bound, Address::Tcp(host.into(), resolved.port())))
}

/// With one thread the port is not shared: a second sidecar on it must fail, not take half of the connections.
fn listen_tcp(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Threads take turns at one socket: unlike a port, a path can be bound only once.
fn bind_unix(path: &Path, threads: usize) -> io::Result<Vec<Bound>> {
    // A path left behind by a process that was killed; one that is answered belongs to somebody.
    if path.exists() && unix::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = unix::UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    (0..threads).map(|_| listener.try_clone().map(Bound::Unix)).collect()
}

// === impl Listener ===

impl Listener {
    /// Lets no new client begin to connect; those that have begun still come out of [`Listener::accept`]. A listener that
    /// is closed resets every client that it has not accepted, though the client takes itself for connected.
    ///
    /// A beginning (SYN) that is not answered is sent again after a second, and then refused. Where the operating system
    /// takes no such filter, or the clients come by a path, which is removed instead, nothing happens here.
    pub fn turn_away(&self) {
        #[cfg(target_os = "linux")]
        if let Listener::Tcp(listener) = self {
            // It narrows a gap; the listener is closed all the same.
            let _ = SockRef::from(listener).attach_filter(&NO_BEGINNINGS);
        }
    }

    /// The next client and its address, as gRPC writes it.
    ///
    /// # Errors
    /// The client has gone already, or the process has no file descriptor left: worth another try after a pause.
    pub async fn accept(&self) -> io::Result<(Plain, String)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let family = if peer.is_ipv4() { "ipv4" } else { "ipv6" };
                Ok((Plain::Tcp(stream), format!("{family}:{peer}")))
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Plain::Unix(stream), "unix:".into()))
            }
        }
    }
}
