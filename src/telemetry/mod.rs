//! stub
pub mod logs;
use crate::document::Rejection;
use std::time::Duration;
/// x
#[derive(Debug, Clone, Default)]
pub struct Telemetry;
#[allow(missing_docs, clippy::unused_self)]
impl Telemetry {
    pub fn batch_embedded(&self, _n: usize, _d: Duration) {}
    pub fn batch_assigned(&self, _d: Duration) {}
    pub fn source_advanced(&self, _lag: u64) {}
    pub fn refit_stage_finished(&self, _s: &str, _x: f64) {}
    pub fn stream_ended(&self) {}
    pub fn refit_started(&self, _t: &str) {}
    pub fn documents_assigned(&self, _a: usize, _o: usize) {}
    pub fn documents_rejected(&self, _r: &[Rejection]) {}
    pub fn batch_committed(&self, _d: Duration) {}
    pub fn refit_finished(&self, _v: u64, _t: usize, _m: usize, _d: Duration) {}
    pub fn refit_failed(&self, _w: &str) {}
    pub fn event_emitted(&self, _k: &str, _s: &str) {}
    pub fn topics_changed(&self, _l: usize, _d: usize, _v: u64) {}
    pub fn buffers_changed(&self, _b: usize, _s: usize) {}
    pub fn queue_changed(&self, _q: &str, _n: usize) {}
    pub fn webhook_delivered(&self) {}
    pub fn webhook_gave_up(&self, _n: u64, _w: &str) {}
    pub fn render(&self) -> String {
        String::new()
    }
}
