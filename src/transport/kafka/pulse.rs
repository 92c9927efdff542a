//! Whether brokers answer: felt by the client that follows the model, which every process has, and which always asks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::statistics::Broker;

use crate::telemetry::Telemetry;

/// How long brokers may say nothing to a question before they are taken to be away: a fetch is answered after half a
/// second, even if there is nothing new.
const SILENCE: Duration = Duration::from_secs(5);

/// What was felt last.
pub(super) struct Pulse(Mutex<Felt>);

struct Felt {
    answers: u64,
    last: Instant,
    last_ms: i64,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Felt { answers: 0, last: Instant::now(), last_ms: now_ms() }))
    }

    /// Takes in what the client knows of its brokers.
    pub(super) fn feel(&self, brokers: &HashMap<String, Broker>, telemetry: &Telemetry) {
        let is_up = brokers.values().any(|broker| broker.state == "UP");
        let answers = brokers.values().map(|broker| broker.rx).sum();
        let is_asked = brokers.values().any(|broker| broker.waitresp_cnt > 0);
        telemetry.brokers_answer(self.silent_since(is_up, answers, is_asked, Instant::now()));
    }

    /// Since when brokers are silent, if they are, in ms since 1970. A connection to a frozen broker stays up, but what is
    /// asked there is not answered.
    fn silent_since(&self, is_up: bool, answers: u64, is_asked: bool, now: Instant) -> Option<i64> {
        let mut felt = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_up && (answers != felt.answers || !is_asked) {
            *felt = Felt { answers, last: now, last_ms: now_ms() };
        }
        (now.saturating_duration_since(felt.last) > SILENCE).then_some(felt.last_ms)
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_gone_and_one_that_is_frozen_are_silent() {
        let (pulse, start) = (Pulse::new(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(pulse.silent_since(true, 10, true, at(2)), None);
        assert_eq!(pulse.silent_since(true, 10, true, at(4)), None, "it may take a while");
        assert!(pulse.silent_since(true, 10, true, at(8)).is_some(), "frozen");
        assert_eq!(pulse.silent_since(true, 11, true, at(10)), None);
        assert_eq!(pulse.silent_since(true, 11, false, at(20)), None, "nothing is asked");
        assert_eq!(pulse.silent_since(false, 11, false, at(22)), None);
        assert!(pulse.silent_since(false, 0, false, at(26)).is_some(), "gone");
        assert_eq!(pulse.silent_since(true, 3, true, at(28)), None, "another one is there");
    }
}
