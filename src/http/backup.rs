//! The backup of a running daemon: the state at one moment, sent while the stream goes on.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::http::Sources;
use crate::http::api::ask;
use crate::http::problem::Failure;
use crate::transport::command::{Command, Pieces};

/// Pieces that wait for a client. While one reads slowly, the daemon remembers what it overwrites.
const WAITING: usize = 4;
/// How long a client may read nothing.
const PATIENCE: Duration = Duration::from_mins(1);

type Piece = std::io::Result<Bytes>;

pub(super) async fn backup(State(sources): State<Sources>, _order: Json<Value>) -> Result<Response, Failure> {
    let made = ask(&sources, |reply| Command::Backup { reply }).await?;
    let Pieces(pieces) = made.map_err(|why| Failure(StatusCode::CONFLICT, why))?;
    let (send, pieces_sent) = mpsc::channel::<Piece>(WAITING);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        for piece in pieces {
            let sent = runtime.block_on(send.send_timeout(piece.map(Bytes::from), PATIENCE));
            if sent.is_err() {
                return;
            }
        }
    });
    let head = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CONNECTION, "close")];
    Ok((head, Body::new(Sent(pieces_sent))).into_response())
}

/// A body that arrives piece by piece.
struct Sent(mpsc::Receiver<Piece>);

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
