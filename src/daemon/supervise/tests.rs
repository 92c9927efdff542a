use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A loop that fails, then panics, then ends by itself.
fn ill(run: u32) -> Result<(), std::io::Error> {
    match run {
        0 => Err(std::io::Error::other("the disk is on fire")),
        1 => panic!("a mistake"),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn a_loop_that_fails_or_panics_is_started_again() {
    let (runs, telemetry) = (Arc::new(AtomicU32::new(0)), Telemetry::new().unwrap());
    let counted = runs.clone();
    let start = move || {
        let run = counted.fetch_add(1, Ordering::Relaxed);
        async move { ill(run) }
    };
    keep("notifier", start, CancellationToken::new(), telemetry.clone()).await.unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    let metrics = telemetry.render();
    assert!(metrics.contains("topicd_loop_failures_total{loop=\"notifier\"} 2"), "{metrics}");
}

#[tokio::test]
async fn a_loop_that_always_fails_stops_when_it_is_told() {
    let stop = CancellationToken::new();
    stop.cancel();
    let always = || std::future::ready(Err::<(), _>(std::io::Error::other("still on fire")));
    keep("notifier", always, stop, Telemetry::new().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_panic_of_the_vital_loop_ends_the_others_and_is_named() {
    let stop = CancellationToken::new();
    let mut loops = Loops::new(stop.clone(), Duration::from_mins(1), Telemetry::new().unwrap());
    loops.spawn_vital("modeler", async { panic!("a mistake") as Result<(), Infallible> });
    let until = loops.late_stop();
    loops.spawn("http", async move {
        until.cancelled().await;
        Ok::<_, Infallible>(())
    });
    let ended = format!("{:#}", loops.ended().await.unwrap_err());
    assert!(ended.starts_with("the modeler failed: ") && ended.contains("panicked"), "{ended}");
}
