//! A bounded number of connections. When all seats are taken and another connection comes, the one that has waited for
//! its client the longest has to go: so whoever only holds connections open shuts nobody out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// One seat is cleared in this time: a crowd that comes back at once must not take the processor from the stream. Those
/// outside wait in the system's queue of some 1,000, so the last of them about a second.
const PACE: Duration = Duration::from_millis(1);

/// All seats.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    row: Mutex<Row>,
    /// A seat became free, or one that is taken may be cleared. Only the accept loop waits for it.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Row {
    taken: usize,
    /// Numbers never come twice: the lowest has waited the longest.
    last: u64,
    waiting: BTreeMap<u64, CancellationToken>,
}

/// A connection's seat. Dropped, it is free.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    /// Its number among those that wait; 0 while the daemon works for it.
    place: AtomicU64,
    cleared: CancellationToken,
}

impl Seats {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, row: Mutex::default(), changed: Notify::new() })
    }

    /// Takes a seat, as one that waits; clears another if it must, and waits until it is free.
    pub(super) async fn take(self: &Arc<Self>) -> Seat {
        loop {
            if let Some(seat) = self.try_take() {
                return seat;
            }
            tokio::join!(self.changed.notified(), sleep(PACE));
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Seat> {
        let mut row = self.row();
        if row.taken >= self.most {
            row.waiting.pop_first().into_iter().for_each(|(_, longest)| longest.cancel());
            return None;
        }
        row.taken += 1;
        drop(row);
        let seat = Seat { seats: self.clone(), place: AtomicU64::new(0), cleared: CancellationToken::new() };
        seat.waits();
        Some(seat)
    }

    fn row(&self) -> MutexGuard<'_, Row> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Cancelled when another needs the seat.
    pub(super) fn cleared(&self) -> CancellationToken {
        self.cleared.clone()
    }

    /// From now on its client has to do something.
    pub(super) fn waits(&self) {
        let mut row = self.seats.row();
        row.last += 1;
        let place = row.last;
        row.waiting.remove(&self.place.swap(place, Ordering::Relaxed));
        row.waiting.insert(place, self.cleared.clone());
        drop(row);
        self.seats.changed.notify_one();
    }

    /// From now on the daemon has to do something: the seat is safe.
    pub(super) fn works(&self) {
        let place = self.place.swap(0, Ordering::Relaxed);
        self.seats.row().waiting.remove(&place);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut row = self.seats.row();
        row.waiting.remove(self.place.get_mut());
        row.taken -= 1;
        drop(row);
        self.seats.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_crowd_that_comes_back_at_once_is_let_in_slowly() {
        let (seats, start) = (Seats::new(1), Instant::now());
        let mut seat = seats.take().await;
        for _ in 0..100 {
            let (seats, cleared) = (seats.clone(), seat.cleared());
            let next = tokio::spawn(async move { seats.take().await });
            cleared.cancelled().await;
            drop(seat);
            seat = next.await.unwrap();
        }
        assert!(start.elapsed() >= 100 * PACE, "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn the_one_that_waited_the_longest_goes() {
        let seats = Seats::new(3);
        let (first, second, third) = (seats.take().await, seats.take().await, seats.take().await);
        first.works();
        second.waits();
        // The first is worked for, and the second has waited less long than the third.
        assert!(seats.try_take().is_none());
        assert!(
            third.cleared().is_cancelled()
                && !second.cleared().is_cancelled()
                && !first.cleared().is_cancelled()
        );
        drop(third);
        let fourth = seats.take().await;
        second.works();
        fourth.works();
        // Nobody can be cleared until one waits again.
        assert!(seats.try_take().is_none());
        assert!(![&first, &second, &fourth].iter().any(|seat| seat.cleared().is_cancelled()));
        second.waits();
        let waits = seats.clone();
        let fifth = tokio::spawn(async move { waits.take().await });
        second.cleared().cancelled().await;
        drop(second);
        fifth.await.unwrap();
    }
}
