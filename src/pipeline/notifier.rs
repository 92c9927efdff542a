//! Drains the outbox to the webhook: in order, each event at least once, whatever the receiver does meanwhile.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::model::state::overview::News;
use crate::notify::webhook::{Outcome, Webhook};
use crate::record::event::EventRecord;
use crate::record::line;
use crate::store::{self, outbox::Outbox};
use crate::telemetry::Telemetry;

/// Tells events to the webhook.
pub struct Notifier {
    /// What waits to be told.
    pub outbox: Outbox,
    /// Who is told.
    pub webhook: Webhook,
    /// Changes when there may be more to tell.
    pub news: watch::Receiver<News>,
    /// Where is counted and logged.
    pub telemetry: Telemetry,
}

impl Notifier {
    /// Runs until `stop`. An event whose delivery is given up is logged, counted and left out.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), store::Error> {
        loop {
            while let Some(event) = self.outbox.first()? {
                let body = line(&EventRecord::new(&event));
                let outcome = tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    outcome = self.webhook.deliver(&body, event.number) => outcome,
                };
                match outcome {
                    Outcome::Delivered { .. } => self.telemetry.webhook_delivered(),
                    Outcome::GaveUp { .. } => {
                        self.telemetry.webhook_gave_up(event.number, &outcome.to_string());
                    }
                }
                self.outbox.done(event.number)?;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                changed = self.news.changed() => if changed.is_err() { return Ok(()) },
            }
        }
    }
}
