use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::checkpoint::{Partition, Position};
use crate::document::{LeftOut, Original, Reason};
use crate::telemetry::Heard;

fn rejection(reason: Reason) -> Rejection {
    let position = Position { partition: Partition::new("p"), offset: 1 };
    Rejection { position, reason, original: Original::default() }
}

fn document() -> Document {
    Document {
        id: "a".into(),
        text: "t".into(),
        timestamp_ms: None,
        label: None,
        embedding: None,
        fields: crate::document::Fields::default(),
        left_out: vec![LeftOut { field: "label".into(), found: "a boolean", expected: "a string" }],
        position: Position { partition: Partition::new("p"), offset: 1 },
        original: Original::default(),
    }
}

/// Everything that can happen, twice.
fn busy() -> Telemetry {
    let telemetry = Telemetry::new().unwrap();
    let took = Duration::from_millis(20);
    for _ in 0..2 {
        telemetry.encoder_loaded("m", &"cpu");
        telemetry.state_opened(&Totals::default());
        telemetry.source_opened(|| Some(7));
        let heard = Heard { end: 90, given: 20, empty_to: 20 };
        let reading = telemetry.partition_read("documents", 3);
        telemetry.partition_heard("documents", 3, heard);
        telemetry.partition_heard("documents", 4, heard);
        // It is read for ever.
        std::mem::forget(reading);
        telemetry.share_changed();
        telemetry.transaction_failed("fenced");
        telemetry.leading(3, took);
        let counts = Counts { truncated: 1, pieces: 3, cached: 1, tokens: 90, padding: 4 };
        telemetry.batch_embedded(3, counts, took);
        let url = "http://gpu".to_owned();
        telemetry.embedding_postponed(&embed::Error::Unreachable {
            url,
            attempts: 5,
            detail: "busy".to_owned(),
        });
        telemetry.batch_divided(&embed::Error::NoProvider);
        telemetry.tombstones_read(1, 2);
        telemetry.batch_assigned(took);
        telemetry.documents_assigned(3, 1);
        telemetry.fields_left_out(&[document()]);
        telemetry.documents_rejected(
            4,
            &[rejection(Reason::EmptyText), rejection(Reason::DuplicateId { id: "x".into() })],
        );
        telemetry.config_reloaded(&["log.level".to_owned()]);
        telemetry.config_refused(&"broken");
        telemetry.loop_failed("notifier", "the disk is full", took);
        telemetry.batch_committed(took, 4, std::time::Instant::now());
        telemetry.refit_started("documents");
        telemetry.refit_stage_finished("nearest neighbours", 0.2);
        telemetry.refit_finished(4, 12, 30, took);
        telemetry.refit_rejected("worse");
        telemetry.refit_failed("no memory");
        telemetry.topics_changed(11, 1, 4);
        telemetry.buffers_changed(5, 6);
        telemetry.queue_changed("modeler", 2);
        telemetry.outliers_settled(4);
        telemetry.event_emitted("topic.created", "new topic");
        telemetry.webhook_delivered();
        telemetry.webhook_failed(9, "refused", true);
        telemetry.webhook_gave_up(9, "refused");
        telemetry.outbox_changed(3, Some(1500));
    }
    telemetry
}

/// Family name → type, and name → help, of what is rendered.
fn families(text: &str) -> (BTreeMap<&str, &str>, BTreeMap<&str, &str>) {
    let part = |prefix: &str| {
        text.lines().filter_map(move |line| line.strip_prefix(prefix)?.split_once(' ')).collect()
    };
    let mut both = [part("# TYPE "), part("# HELP ")].into_iter();
    (both.next().unwrap(), both.next().unwrap())
}

#[test]
fn what_happened_is_counted() {
    let text = busy().render();
    for line in [
        r#"topicd_documents_total{outcome="assigned"} 6"#,
        r#"topicd_documents_total{outcome="outlier"} 2"#,
        r#"topicd_documents_total{outcome="rejected"} 4"#,
        r#"topicd_dead_letters_total{reason="empty_text"} 2"#,
        r#"topicd_fields_left_out_total{field="label"} 2"#,
        r#"topicd_embed_seconds_bucket{le="0.025"} 2"#,
        "topicd_embed_truncated_documents_total 2",
        r#"topicd_embed_cache_texts_total{result="hit"} 2"#,
        r#"topicd_embed_cache_texts_total{result="miss"} 4"#,
        r#"topicd_embed_tokens_total{kind="padding"} 8"#,
        "topicd_embed_postponed_total 2",
        "topicd_assign_seconds_count 2",
        "topicd_commit_seconds_count 2",
        "topicd_outlier_share 0.25",
        "topicd_outlier_buffer_documents 5",
        "topicd_sample_documents 6",
        "topicd_final_outliers_total 8",
        r#"topicd_queue_batches{queue="modeler"} 2"#,
        r#"topicd_refits_total{result="promoted"} 2"#,
        r#"topicd_refits_total{result="rejected"} 2"#,
        r#"topicd_refits_total{result="failed"} 2"#,
        r#"topicd_refit_stage_seconds_count{stage="nearest_neighbours"} 2"#,
        "topicd_refit_running 0",
        r#"topicd_topics{state="live"} 11"#,
        r#"topicd_topics{state="dormant"} 1"#,
        "topicd_model_version 4",
        r#"topicd_events_total{type="topic.created"} 2"#,
        r#"topicd_webhook_deliveries_total{result="failed"} 2"#,
        r#"topicd_webhook_deliveries_total{result="gave_up"} 2"#,
        "topicd_outbox_events 3",
        "topicd_outbox_oldest_timestamp_seconds 1.5",
        "topicd_source_lag_bytes 7",
        concat!(r#"topicd_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
    ] {
        assert!(text.lines().any(|found| found == line), "`{line}` is missing in\n{text}");
    }
    assert!(text.contains("process_resident_memory_bytes "), "what the process itself uses");
}

/// Prometheus's naming rules, as `promtool check metrics` has them.
#[test]
fn names_and_helps_follow_the_rules() {
    let text = busy().render();
    let (types, helps) = families(&text);
    let ours: BTreeSet<&str> = types.keys().copied().filter(|name| name.starts_with("topicd_")).collect();
    let telemetry = Telemetry::new().unwrap();
    let all: BTreeSet<&str> = telemetry.families().iter().map(|family| family.name.as_str()).collect();
    let all: BTreeSet<&str> = all.into_iter().filter(|name| name.starts_with("topicd_")).collect();
    assert_eq!(ours, all, "every family is counted by something that `busy` tells");
    for name in ours {
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert_eq!(types[name] == "counter", name.ends_with("_total"), "{name} is a {}", types[name]);
        let measures = name.ends_with("_seconds") && !name.ends_with("_timestamp_seconds");
        assert_eq!(types[name] == "histogram", measures, "{name} is a {}", types[name]);
        assert!(helps[name].len() > 10 && !helps[name].ends_with('.'), "{name}: {}", helps[name]);
    }
}

#[test]
fn a_fresh_daemon_shows_its_counters_at_0() {
    let text = Telemetry::new().unwrap().render();
    for line in [
        r#"topicd_documents_total{outcome="rejected"} 0"#,
        r#"topicd_refits_total{result="failed"} 0"#,
        r#"topicd_webhook_deliveries_total{result="gave_up"} 0"#,
    ] {
        assert!(text.contains(line), "`{line}` is missing in\n{text}");
    }
}

#[test]
fn labels_do_not_grow_with_the_stream() {
    let telemetry = busy();
    let series =
        |telemetry: &Telemetry| telemetry.render().lines().filter(|l| l.starts_with("topicd_")).count();
    let before = series(&telemetry);
    for i in 0..500 {
        telemetry.documents_rejected(0, &[rejection(Reason::DuplicateId { id: i.to_string().into() })]);
        telemetry.fields_left_out(&[document()]);
        telemetry.event_emitted("topic.created", &format!("topic {i}"));
        telemetry.refit_failed(&format!("reason {i}"));
        telemetry.webhook_gave_up(i, "refused");
    }
    assert_eq!(series(&telemetry), before);
}

#[test]
fn the_outlier_share_is_that_of_the_last_documents() {
    let mut window = Window::default();
    assert_eq!(window.share_after(0, 0), None);
    assert_eq!(window.share_after(0, 500), Some(1.0));
    assert_eq!(window.share_after(500, 0), Some(0.5));
    assert_eq!(window.share_after(500, 0), Some(0.0), "the first 500 have left");
}

#[test]
fn that_most_lines_are_refused_is_said_once_until_it_is_better() {
    let mut refused = Refused::default();
    assert_eq!(refused.share_after(0, 999), None, "too few to judge");
    assert_eq!(refused.share_after(0, 1), Some(1.0));
    assert_eq!(refused.share_after(0, 5000), None, "said before");
    assert_eq!(refused.share_after(500, 500), None, "half of them is not most");
    assert_eq!(refused.share_after(400, 600), Some(0.6));
}

#[test]
fn an_obstacle_stands_until_its_own_cause_is_gone() {
    let telemetry = Telemetry::new().unwrap();
    telemetry.obstacle("kafka", Some("no broker answers".to_owned()));
    telemetry.obstacle("encoder", Some("no encoder answers".to_owned()));
    telemetry.obstacle("kafka", Some("no partition is held".to_owned()));
    assert_eq!(telemetry.obstacles(), ["no encoder answers", "no partition is held"]);
    telemetry.batch_embedded(0, Counts::default(), Duration::ZERO);
    assert_eq!(telemetry.obstacles(), ["no partition is held"]);
    telemetry.obstacle("kafka", None);
    assert!(telemetry.obstacles().is_empty());
}

#[test]
fn a_daemon_that_commits_nothing_while_documents_wait_is_not_ready() {
    assert_eq!(stale(STALE * 2, 0, 0), None, "nothing waits");
    assert_eq!(stale(STALE / 2, 9, 9), None, "it was a moment ago");
    assert!(stale(STALE * 2, 0, 7).unwrap().contains("and 7 records in Kafka"));
    assert!(stale(STALE * 2, 9, 0).unwrap().contains("nothing was committed for 600 s, and 9 bytes"));
}
