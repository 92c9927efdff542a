//! Drains the outbox to the webhook: each event at least once, those of a topic in order, whatever the receiver does
//! meanwhile.

mod lanes;

use std::time::Instant;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::lanes::Lanes;
use crate::model::event::Event;
use crate::model::state::overview::News;
use crate::notify::webhook::{Refusal, Webhook};
use crate::pipeline::now_ms;
use crate::record::event::EventRecord;
use crate::record::line;
use crate::store::{self, outbox::Outbox};
use crate::telemetry::Telemetry;

/// Attempts at the same time. A receiver that never answers takes one of them for each topic whose turn it is.
const AT_ONCE: usize = 8;

/// Tells events to the webhook. A clone of it may run when this one has failed.
#[derive(Clone)]
pub struct Notifier {
    /// What waits to be told.
    pub outbox: Outbox,
    /// Who is told; nobody, as long as it is none.
    pub receivers: watch::Receiver<Option<Webhook>>,
    /// Changes when there may be more to tell.
    pub news: watch::Receiver<News>,
    /// Where is counted and logged.
    pub telemetry: Telemetry,
}

/// Why the notifier stopped. No event is lost: it may run again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The outbox cannot be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An attempt panicked.
    #[error("an attempt to deliver an event was ended from inside")]
    Attempt(#[from] JoinError),
}

/// An attempt that has ended, for the event of this number.
type Ended = (u64, Result<(), Refusal>);

impl Notifier {
    /// Runs until `stop`. An event that fails is tried again until its age is `notify.max_age`; then it is given up,
    /// which is logged and counted, and stays in the outbox for who wants to send it again.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let mut receivers = self.receivers.clone();
        loop {
            let receiver = receivers.borrow_and_update().clone();
            tokio::select! {
                () = stop.cancelled() => {
                    // Another process may have the outbox from now on.
                    self.telemetry.outbox_changed(0, None);
                    return Ok(());
                }
                // What is under way then is told again, to the new receiver.
                Ok(()) = receivers.changed() => {}
                failed = self.clone().tell(receiver) => return failed,
            }
        }
    }

    /// Tells `webhook` what waits, for ever.
    async fn tell(mut self, webhook: Option<Webhook>) -> Result<(), Error> {
        let Some(webhook) = webhook else { return std::future::pending().await };
        let (mut lanes, mut attempts) = (Lanes::default(), JoinSet::new());
        self.fill(&mut lanes)?;
        loop {
            while attempts.len() < AT_ONCE
                && let Some(number) = lanes.begin(Instant::now())
            {
                self.begin(number, &webhook, &mut lanes, &mut attempts)?;
            }
            self.telemetry.outbox_changed(lanes.len(), lanes.oldest_ms());
            let due = lanes.due().filter(|_| attempts.len() < AT_ONCE);
            tokio::select! {
                biased;
                Some(ended) = attempts.join_next() => self.end(ended?, &webhook, &mut lanes)?,
                Ok(()) = self.news.changed() => self.fill(&mut lanes)?,
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {}
            }
        }
    }

    /// Takes in what has come to the outbox.
    fn fill(&self, lanes: &mut Lanes) -> Result<(), Error> {
        let waiting = self.outbox.waiting(|number| lanes.holds(number))?;
        lanes.add(waiting, Instant::now());
        Ok(())
    }

    fn begin(
        &self,
        number: u64,
        webhook: &Webhook,
        lanes: &mut Lanes,
        attempts: &mut JoinSet<Ended>,
    ) -> Result<(), Error> {
        let Some(event) = self.outbox.event(number)? else {
            lanes.taken(number, Instant::now());
            return Ok(());
        };
        let record = EventRecord::new(&event);
        if !webhook.wants(|name| record.value(name)) {
            self.outbox.done(number)?;
            lanes.taken(number, Instant::now());
            return Ok(());
        }
        let (webhook, id, body) = (webhook.clone(), id(&event), line(&record));
        attempts.spawn(async move { (number, webhook.post(&id, body).await) });
        Ok(())
    }

    fn end(&self, (number, result): Ended, webhook: &Webhook, lanes: &mut Lanes) -> Result<(), Error> {
        let Err(refusal) = result else {
            self.outbox.done(number)?;
            self.telemetry.webhook_delivered();
            lanes.taken(number, Instant::now());
            return Ok(());
        };
        let (failures, since_ms) = lanes.failed(number);
        let reason = refusal.failure.in_full();
        self.telemetry.webhook_failed(number, &reason, failures == 1);
        let now_ms = now_ms();
        let age_ms = u128::try_from(now_ms.saturating_sub(since_ms)).unwrap_or_default();
        if age_ms >= webhook.max_age().as_millis() {
            self.telemetry.webhook_gave_up(number, &reason);
            self.outbox.give_up(number, now_ms, reason)?;
            lanes.give_up(number, Instant::now());
        } else {
            lanes.postpone(number, webhook.wait(failures, &refusal), Instant::now());
        }
        Ok(())
    }
}

/// What a receiver knows an event by: the same in each attempt, and another for each event, also where a state was
/// started afresh and counts events anew.
fn id(event: &Event) -> String {
    format!("evt_{}_{}", event.time_ms, event.number)
}
