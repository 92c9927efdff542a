//! A progress bar for each stage, on stderr.

use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cluster::watch::Watch;
use crate::visible::one_line;

/// Shows each stage as a bar of its own; a finished stage stays with its time.
pub(super) struct Bars {
    shown: bool,
    current: Mutex<Option<(&'static str, ProgressBar)>>,
}

impl Bars {
    /// Bars on a terminal, lines elsewhere, nothing unless `shown`.
    pub(super) fn new(shown: bool) -> Self {
        Self { shown, current: Mutex::default() }
    }

    /// One line about what is going on.
    pub(super) fn say(&self, text: &str) {
        if self.shown {
            let line = ProgressBar::new_spinner();
            line.set_style(style("{msg}"));
            line.abandon_with_message(one_line(text));
        }
    }

    /// Says what a person must know, where there is no terminal too.
    pub(super) fn warn(&self, text: &str) {
        if self.shown {
            writeln!(std::io::stderr(), "{}", one_line(text)).ok();
        }
    }

    /// Ends the last stage.
    pub(super) fn finish(&self) {
        let mut current = self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, bar)) = current.take() {
            end(&bar);
        }
    }

    fn bar(&self, stage: &'static str, total: usize) -> ProgressBar {
        let target = if self.shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total as u64), target);
        bar.set_style(style("{prefix:<20} {wide_bar} {pos:>7}/{len:<7} {elapsed:>4} {msg}"));
        bar.set_prefix(stage);
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

fn end(bar: &ProgressBar) {
    bar.set_position(bar.length().unwrap_or(0));
    bar.abandon();
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Watch for Bars {
    fn progress(&self, stage: &'static str, done: usize, total: usize) {
        let mut current = self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if current.as_ref().is_none_or(|(shown, _)| *shown != stage) {
            if let Some((_, bar)) = current.take() {
                end(&bar);
            }
            *current = Some((stage, self.bar(stage, total)));
        }
        if let Some((_, bar)) = current.as_ref() {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        }
    }
}
