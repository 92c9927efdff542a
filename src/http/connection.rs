//! Takes connections and speaks HTTP/1.1 over each, as long as its client keeps the time.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::door::Door;
use super::limits::Limits;
use super::opening::Inside;
use super::passage::Passage;
use super::problem;
use super::seats::{Seat, Seats};
use super::tls::Tls;

/// How long requests under way may take once the daemon has stopped.
const GRACE: Duration = Duration::from_secs(1);
/// How long a client may take none of what was sent to it.
const STALLED: Duration = Duration::from_secs(30);
/// The pause after a connection could not be taken: the system is short of something.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves on `listener` until `stop` is cancelled; requests under way are answered, if they are here and short.
///
/// Before [`Inside::open`], only health and readiness have an answer.
pub async fn serve(
    listener: TcpListener,
    doors: watch::Receiver<Arc<Door>>,
    inside: Inside,
    limits: Limits,
    stop: CancellationToken,
) -> io::Result<()> {
    let seats = Seats::new(limits.connections);
    let passage = Arc::new(Passage::new(doors, inside, limits));
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            // Those that have ended; all others end with this set.
            while connections.try_join_next().is_some() {}
            let Ok((stream, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let seat = seats.take().await;
            let connection = Connection { seat, passage: passage.clone(), limits, stop: stop.clone() };
            connections.spawn(connection.run(stream));
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop.cancelled() => {}
    }
    drop(listener);
    let _patience = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

struct Connection {
    seat: Seat,
    passage: Arc<Passage>,
    limits: Limits,
    stop: CancellationToken,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        // A connection that breaks is its client's matter.
        let _broken = prepare(&stream);
        if self.hears(&stream).await {
            // On the heap, so that a silent connection costs little more than its socket.
            let _broken = Box::pin(self.speak(stream)).await;
        }
    }

    /// Waits for the client's first byte; false if there will be none.
    async fn hears(&self, stream: &TcpStream) -> bool {
        tokio::select! {
            heard = timeout(self.limits.silent, stream.readable()) => heard.is_ok_and(|heard| heard.is_ok()),
            () = self.seat.cleared().cancelled_owned() => false,
            () = self.stop.cancelled() => false,
        }
    }

    async fn speak(self, stream: TcpStream) -> io::Result<()> {
        match self.passage.tls() {
            None => self.converse(stream).await,
            Some(tls) => match self.greet(&tls, stream).await {
                Some(stream) => self.converse(stream).await,
                None => Ok(()),
            },
        }
    }

    /// `stream` under TLS, if the client can do it, and in time.
    async fn greet(
        &self,
        tls: &Tls,
        stream: TcpStream,
    ) -> Option<impl AsyncRead + AsyncWrite + Unpin + use<>> {
        tokio::select! {
            greeted = timeout(self.limits.head, tls.accept(stream)) => greeted.ok()?.ok(),
            () = self.seat.cleared().cancelled_owned() => None,
            () = self.stop.cancelled() => None,
        }
    }

    /// Answers requests until the client leaves, breaks a rule, or must give up its seat.
    async fn converse(self, stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let Self { seat, passage, limits, stop } = self;
        let (seat, turn) = (Arc::new(seat), Turn::default());
        let whose = turn.clone();
        let asked = {
            let (seat, turn) = (seat.clone(), turn.clone());
            service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let (seat, turn, passage) = (seat.clone(), turn.clone(), passage.clone());
                turn.set(Turn::ASKED);
                Box::pin(async move {
                    let answer = passage.answer(&seat, request.map(Body::new)).await;
                    // An answer that comes piece by piece is flushed before its end, and the connection ends with it.
                    if answer.body().size_hint().exact().is_some() {
                        turn.set(Turn::ANSWERED);
                    }
                    Ok::<_, std::convert::Infallible>(answer)
                })
            })
        };
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(limits.head_bytes)
            .serve_connection(TokioIo::new(Wire { stream, turn }), asked);
        let mut ending = false;
        let served = loop {
            tokio::select! {
                // First what has arrived, so that a request that is whole is answered in any case.
                biased;
                served = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break served,
                () = seat.cleared().cancelled_owned() => return Ok(()),
                () = stop.cancelled(), if !ending => {
                    if whose.is(Turn::CLIENT) {
                        return Ok(());
                    }
                    ending = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        };
        let parts = connection.into_parts();
        let mut stream = parts.io.into_inner().stream;
        if let Some((status, why)) = served.err().and_then(|error| refusal(&error, &parts.read_buf, &limits))
        {
            stream.write_all(&problem::on_the_wire(status, &why)).await?;
        }
        stream.shutdown().await
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    Ok(rustix::net::sockopt::set_tcp_user_timeout(stream, STALLED.as_millis() as u32)?)
}

/// What to answer to bytes that are no whole request, of which the last are `unread`.
fn refusal(error: &hyper::Error, unread: &[u8], limits: &Limits) -> Option<(StatusCode, String)> {
    if error.is_timeout() {
        let why = format!("the head of the request did not arrive within {} s", limits.head.as_secs());
        // An idle connection is closed without a word.
        return (!unread.is_empty()).then_some((StatusCode::REQUEST_TIMEOUT, why));
    }
    if error.is_parse_too_large() {
        let why = format!("the head of the request has more than {} bytes or 100 lines", limits.head_bytes);
        return Some((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, why));
    }
    error.is_parse().then(|| (StatusCode::BAD_REQUEST, format!("this is no request of HTTP/1.1: {error}")))
}

/// Whose turn it is on a connection.
#[derive(Debug, Clone, Default)]
struct Turn(Arc<AtomicU8>);

impl Turn {
    /// The client is to ask.
    const CLIENT: u8 = 0;
    /// The daemon is to answer.
    const ASKED: u8 = 1;
    /// The answer is on its way.
    const ANSWERED: u8 = 2;

    fn set(&self, turn: u8) {
        self.0.store(turn, Ordering::Relaxed);
    }

    fn is(&self, turn: u8) -> bool {
        self.0.load(Ordering::Relaxed) == turn
    }
}

/// A stream on which hyper says nothing of its own. Without a word of the handlers it would answer a broken request with
/// an empty body; [`Connection::converse`] answers in its place.
struct Wire<S> {
    stream: S,
    turn: Turn,
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.turn.is(Turn::CLIENT) {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.turn.is(Turn::CLIENT) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        // hyper flushes once all of an answer is written.
        if flushed.is_ready() && self.turn.is(Turn::ANSWERED) {
            self.turn.set(Turn::CLIENT);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
