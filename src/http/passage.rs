//! What every request goes through: the door, the bounds of its body and its time, the handler.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::door::{Door, OPEN};
use super::limits::Limits;
use super::opening::Inside;
use super::problem::{self, Failure};
use super::seats::Seat;
use super::tls::Tls;

/// Bytes of a refused body that are read and dropped: most clients look for an answer only once all is sent.
const MOST_DROPPED: usize = 256 << 20;

/// The way of all requests.
pub(super) struct Passage {
    doors: watch::Receiver<Arc<Door>>,
    inside: Inside,
    limits: Limits,
    /// Bytes of bodies that there is still room for.
    room: Arc<Semaphore>,
    /// Requests that may still be worked on.
    turns: Semaphore,
}

/// A request that may come in, with its whole body.
struct Received {
    request: Request,
    /// The room that the body takes.
    room: Option<OwnedSemaphorePermit>,
}

impl Passage {
    pub(super) fn new(doors: watch::Receiver<Arc<Door>>, inside: Inside, limits: Limits) -> Self {
        let room = Arc::new(Semaphore::new(limits.all_bodies));
        Self { doors, inside, limits, room, turns: Semaphore::new(limits.requests) }
    }

    /// How connections are to be kept from others, if they are.
    pub(super) fn tls(&self) -> Option<Tls> {
        self.doors.borrow().tls.clone()
    }

    /// The answer to a request of the connection that has `seat`.
    pub(super) async fn answer(&self, seat: &Seat, request: Request) -> Response {
        let door = self.doors.borrow().clone();
        let answer = match self.receive(&door, request).await {
            Ok(received) => {
                seat.works();
                let answer = self.work(received).await;
                seat.waits();
                answer
            }
            Err(failure) => Err(failure),
        };
        let answer = answer.unwrap_or_else(Failure::into_response);
        door.sign(problem::uniform(answer).await)
    }

    async fn receive(&self, door: &Door, request: Request) -> Result<Received, Failure> {
        let (parts, mut body) = request.into_parts();
        let judged = door.judge(&parts.method, parts.uri.path(), &parts.headers);
        let judged = judged.and_then(|()| self.judge_length(body.size_hint().lower()));
        let judged = match judged {
            // Who asks first whether to send has not sent.
            Err(failure) if parts.headers.contains_key(header::EXPECT) => return Err(failure),
            judged => judged,
        };
        let collected = timeout(self.limits.body, async {
            let collected = match judged {
                Ok(()) => self.collect(&mut body).await,
                Err(failure) => Err(failure),
            };
            if collected.is_err() {
                drop_rest(&mut body).await;
            }
            collected
        });
        let late = |_| {
            let why = format!("the body did not arrive within {} s", self.limits.body.as_secs());
            Failure(StatusCode::REQUEST_TIMEOUT, why)
        };
        let (body, room) = collected.await.map_err(late)??;
        Ok(Received { request: Request::from_parts(parts, body.into()), room })
    }

    fn judge_length(&self, bytes: u64) -> Result<(), Failure> {
        if bytes <= self.limits.one_body as u64 {
            return Ok(());
        }
        let why = format!("the body has more than {} bytes; send less at once", self.limits.one_body);
        Err(Failure(StatusCode::PAYLOAD_TOO_LARGE, why))
    }

    /// A whole body, as long as there is room for it.
    async fn collect(&self, body: &mut Body) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Failure> {
        let (mut bytes, mut room): (_, Option<OwnedSemaphorePermit>) = (Vec::new(), None);
        while let Some(part) = next_part(body).await {
            let part = part.map_err(|_| Failure(StatusCode::BAD_REQUEST, "the body broke off".to_owned()))?;
            self.judge_length((bytes.len() + part.len()) as u64)?;
            let taken = self.room.clone().try_acquire_many_owned(part.len() as u32);
            let taken = taken.map_err(|_| busy("too many large requests are under way"))?;
            match &mut room {
                Some(room) => room.merge(taken),
                None => room = Some(taken),
            }
            bytes.extend_from_slice(&part);
        }
        Ok((bytes.into(), room))
    }

    async fn work(&self, received: Received) -> Result<Response, Failure> {
        let Received { request, room: _room } = received;
        // Who watches the daemon gets through at any time.
        let _turn = if OPEN.contains(&request.uri().path()) {
            None
        } else {
            Some(self.turns.try_acquire().map_err(|_| busy("too many requests are under way"))?)
        };
        timeout(self.limits.answer, self.inside.answer(request)).await.map_err(|_| {
            let why = format!(
                "no answer within {} s; an order may still be carried out",
                self.limits.answer.as_secs()
            );
            Failure(StatusCode::SERVICE_UNAVAILABLE, why)
        })
    }
}

/// What the daemon has no capacity for now.
pub(super) fn busy(why: &str) -> Failure {
    Failure(StatusCode::SERVICE_UNAVAILABLE, format!("the daemon is busy: {why}; ask again in a moment"))
}

async fn next_part(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        // Trailers mean nothing here.
        if let Some(part) = frame.map(|frame| frame.into_data().ok()).transpose() {
            return Some(part);
        }
    }
}

async fn drop_rest(body: &mut Body) {
    let mut dropped = 0;
    while dropped < MOST_DROPPED
        && let Some(Ok(part)) = next_part(body).await
    {
        dropped += part.len();
    }
}
