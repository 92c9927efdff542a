//! How much the door takes at once, and how long it waits.

use std::time::Duration;

/// Bounds of all connections together, and of each request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections.
    pub connections: usize,
    /// How long a client may say nothing at all. Closing such connections early helps nobody: they cost little, and a
    /// client that comes back at once costs more.
    pub silent: Duration,
    /// How long a connection may be idle after an answer, or its client send the head of a request.
    pub head: Duration,
    /// Bytes of a request's head. At least 8,192.
    pub head_bytes: usize,
    /// How long a client may send a body.
    pub body: Duration,
    /// Bytes of a body.
    pub one_body: usize,
    /// Bytes of all bodies that are here.
    pub all_bodies: usize,
    /// How long an answer may take.
    pub answer: Duration,
    /// Requests that are worked on at once.
    pub requests: usize,
}

impl Limits {
    /// With so many connections.
    pub fn new(connections: usize) -> Self {
        Self {
            connections,
            silent: Duration::from_mins(5),
            head: Duration::from_secs(15),
            head_bytes: 16 << 10,
            body: Duration::from_secs(30),
            one_body: 8 << 20,
            all_bodies: 64 << 20,
            answer: Duration::from_mins(2),
            requests: 256,
        }
    }
}
