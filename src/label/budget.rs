//! How many requests an hour.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_hours(1);

/// A bound on requests in any hour of this process.
#[derive(Debug)]
pub struct Budget {
    per_hour: usize,
    /// When the requests of the last hour were made, oldest first.
    made: VecDeque<Instant>,
}

impl Budget {
    /// `per_hour` requests in any hour, at least 1.
    pub fn new(per_hour: u32) -> Self {
        Self { per_hour: per_hour.max(1) as usize, made: VecDeque::new() }
    }

    /// Takes one request at `now`; if the hour's are used up, how long until the next one is free.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        while self.made.front().is_some_and(|oldest| now.duration_since(*oldest) >= HOUR) {
            self.made.pop_front();
        }
        match self.made.front() {
            Some(oldest) if self.made.len() >= self.per_hour => {
                Err(HOUR.saturating_sub(now.duration_since(*oldest)))
            }
            _ => {
                self.made.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hour_sees_more_than_its_requests() {
        let start = Instant::now();
        let at = |minutes: u64| start + Duration::from_mins(minutes);
        let mut budget = Budget::new(2);
        assert_eq!((budget.take(at(0)), budget.take(at(10))), (Ok(()), Ok(())));
        assert_eq!(budget.take(at(20)), Err(Duration::from_mins(40)));
        assert_eq!((budget.take(at(60)), budget.take(at(61))), (Ok(()), Err(Duration::from_mins(9))));
        assert_eq!(budget.take(at(70)), Ok(()));
    }
}
