//! What is waited for: known as long as it lasts, and logged when it changes and now and then.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an obstacle that stands is not logged again.
const SILENCE: Duration = Duration::from_mins(5);

/// Obstacles by their causes.
#[derive(Debug, Default)]
pub(super) struct Obstacles(Mutex<BTreeMap<&'static str, Obstacle>>);

#[derive(Debug)]
struct Obstacle {
    why: String,
    since: Instant,
    logged: Instant,
}

impl Obstacles {
    /// `cause` stands in the way, and `why` says it in words; true if this is to be logged.
    pub(super) fn stands(&self, cause: &'static str, why: &str, now: Instant) -> bool {
        let mut obstacles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = obstacles.get(cause);
        if known
            .is_some_and(|known| known.why == why && now.saturating_duration_since(known.logged) < SILENCE)
        {
            return false;
        }
        let since = known.map_or(now, |known| known.since);
        obstacles.insert(cause, Obstacle { why: why.to_owned(), since, logged: now });
        true
    }

    /// `cause` is out of the way; how long it stood there, if it did.
    pub(super) fn gone(&self, cause: &'static str) -> Option<Duration> {
        let stood = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(cause)?;
        Some(stood.since.elapsed())
    }

    /// All of them in words.
    pub(super) fn all(&self) -> Vec<String> {
        let obstacles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        obstacles.values().map(|obstacle| obstacle.why.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_obstacle_is_logged_when_it_is_new_when_it_changes_and_now_and_then() {
        let (obstacles, start) = (Obstacles::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(obstacles.gone("far"), None);
        let logged: Vec<u64> =
            (0..900).filter(|second| obstacles.stands("far", "401", at(*second))).collect();
        assert_eq!(logged, [0, 300, 600]);
        assert!(obstacles.stands("near", "401", at(900)));
        assert!(obstacles.stands("far", "403", at(900)) && !obstacles.stands("far", "403", at(901)));
        assert_eq!(obstacles.all(), ["403", "401"]);
        assert!(obstacles.gone("far").is_some());
        assert_eq!(obstacles.all(), ["401"]);
        assert!(obstacles.stands("far", "403", at(902)));
    }
}
