//! A receiver of events that does what receivers do: every event arrives, those of a topic in order.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use topicd::notify::sign::Key;

use crate::kafka::daemon::document;
use crate::topicd::{Daemon, Home, wait_for};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A request that a receiver answered.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    headers: BTreeMap<String, String>,
    body: String,
    status: u16,
}

impl Request {
    fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The event's number, if the receiver took it.
    fn taken(&self) -> Option<u64> {
        (self.status == 200).then(|| self.event()["id"].as_str().unwrap().parse().unwrap())
    }
}

/// What a receiver answers to an event, which is the n-th request; 0 for nothing, ever.
type Answer = Box<dyn Fn(usize, &Value) -> u16 + Send + Sync>;

/// A receiver, while it lives.
pub(crate) struct Receiver {
    pub(crate) address: String,
    shared: Arc<(Mutex<Vec<Request>>, Mutex<Answer>)>,
}

impl Receiver {
    pub(crate) fn start(
        address: &str,
        answer: impl Fn(usize, &Value) -> u16 + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new((Mutex::default(), Mutex::new(Box::new(answer) as Answer)));
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn answer(&self, answer: impl Fn(usize, &Value) -> u16 + Send + Sync + 'static) {
        *self.shared.1.lock().unwrap() = Box::new(answer);
    }

    /// The numbers of the events that were taken, in order.
    pub(crate) fn taken(&self) -> Vec<u64> {
        self.requests().iter().filter_map(Request::taken).collect()
    }
}

fn serve(mut stream: TcpStream, shared: &(Mutex<Vec<Request>>, Mutex<Answer>)) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None if line.trim_end().is_empty() => break,
            None => None,
        };
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let status = {
        let mut requests = shared.0.lock().unwrap();
        let event = serde_json::from_str(&body).unwrap();
        let status = shared.1.lock().unwrap()(requests.len(), &event);
        requests.push(Request { headers, body, status });
        status
    };
    if status == 0 {
        // Nobody answers; the client goes away.
        let _gone = stream.read(&mut [0]);
        return;
    }
    let elsewhere = if status == 308 { "location: /elsewhere\r\n" } else { "" };
    let answer = format!("HTTP/1.1 {status} X\r\n{elsewhere}content-length: 0\r\nconnection: close\r\n\r\n");
    let _gone = stream.write_all(answer.as_bytes());
}

/// A stream of some hundred documents with a few refits, whose events go to `address`.
fn home(address: &str) -> Home {
    let lines: Vec<String> = (0..600).map(|n| document(n).to_string()).collect();
    Home::new(&(lines.join("\n") + "\n"))
        .set("refit.first_documents=200")
        .set("refit.every_documents=150")
        .set("refit.rest=0.0")
        .set("refit.n_epochs=50")
        .set("refit.min_cluster_size=20")
        .set(&format!("notify.url=http://{address}/hook?token=s3cr3t"))
        .set(&format!("notify.secret={SECRET}"))
        .set("notify.timeout_ms=400")
        .set("notify.first_wait_ms=10")
        .set("notify.max_wait_ms=200")
}

/// The events that the daemon has told, once there are no more to come, by number with their subject.
fn told(home: &Home, daemon: &Daemon) -> BTreeMap<u64, Option<String>> {
    wait_for("the last refit", || {
        let topics = daemon.json("/api/topics")?;
        let done =
            topics["documents"] == 600 && topics["version"].as_u64()? >= 2 && topics["refitting"] == false;
        done.then_some(())
    });
    let told = subjects(&home.records("events.jsonl"));
    assert!(told.len() > 5, "{told:?}");
    told
}

/// The subjects of events, by their numbers.
pub(crate) fn subjects(events: &[Value]) -> BTreeMap<u64, Option<String>> {
    let number = |event: &Value| event["id"].as_str().unwrap().parse().unwrap();
    let subject = |event: &Value| event["subject"].as_str().map(ToOwned::to_owned);
    events.iter().map(|event| (number(event), subject(event))).collect()
}

fn metric(daemon: &Daemon, name: &str) -> f64 {
    let metrics = daemon.get("/metrics").unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}"));
    line.trim().parse().unwrap()
}

/// Every event was taken once, in the order of its topic.
pub(crate) fn check_taken(told: &BTreeMap<u64, Option<String>>, taken: &[u64]) {
    let set: BTreeSet<u64> = taken.iter().copied().collect();
    assert_eq!((set.len(), set), (taken.len(), told.keys().copied().collect()));
    let mut last = BTreeMap::new();
    for number in taken {
        let before = last.insert(&told[number], number);
        assert!(before.is_none_or(|before| before < number), "{before:?} before {number}");
    }
}

#[test]
fn whatever_a_receiver_answers_the_event_is_tried_again() {
    let refusals = [404, 404, 401, 0, 308, 500, 410, 403, 400, 302];
    let receiver = Receiver::start("127.0.0.1:0", move |n, _| refusals.get(n).copied().unwrap_or(200));
    let home = home(&receiver.address);
    let daemon = home.start();
    let told = told(&home, &daemon);
    wait_for("all events", || (receiver.taken().len() >= told.len()).then_some(()));
    check_taken(&told, &receiver.taken());

    let key = Key::parse(&SECRET.into()).unwrap().unwrap();
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Request { headers, body, .. } in &*receiver.requests() {
        let (id, timestamp) = (&headers["webhook-id"], headers["webhook-timestamp"].parse().unwrap());
        assert_eq!(headers["webhook-signature"], key.sign(id, timestamp, body.as_bytes()).unwrap());
        ids.entry(id.clone()).or_default().insert(body.clone());
    }
    assert!(ids.len() == told.len() && ids.values().all(|bodies| bodies.len() == 1), "an id for each event");
    wait_for("an empty outbox", || (metric(&daemon, "topicd_outbox_events") == 0.0).then_some(()));
    let delivered = r#"topicd_webhook_deliveries_total{result="delivered"}"#;
    let failed = r#"topicd_webhook_deliveries_total{result="failed"}"#;
    assert_eq!(metric(&daemon, delivered), told.len() as f64);
    assert_eq!(metric(&daemon, failed), refusals.len() as f64);
}

#[test]
fn a_receiver_gets_only_the_events_that_it_wants() {
    let receiver = Receiver::start("127.0.0.1:0", |_, _| 200);
    let home = home(&receiver.address).set(r#"notify.where="type = 'topic.created' and topic.size >= 30""#);
    let daemon = home.start();
    told(&home, &daemon);
    let wanted: BTreeSet<u64> = (home.records("events.jsonl").iter())
        .filter(|event| {
            event["type"] == "topic.created" && event["data"]["topic"]["size"].as_u64().unwrap() >= 30
        })
        .map(|event| event["id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(!wanted.is_empty());
    wait_for("an empty outbox", || (metric(&daemon, "topicd_outbox_events") == 0.0).then_some(()));
    assert_eq!(receiver.taken().into_iter().collect::<BTreeSet<u64>>(), wanted);
}

#[test]
fn events_wait_for_a_receiver_that_is_down_across_a_restart() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let home = home(&address).log_to("webhook-down.log");
    let mut daemon = home.start();
    let told = told(&home, &daemon);
    assert_eq!(metric(&daemon, "topicd_outbox_events"), told.len() as f64);
    assert!(metric(&daemon, "topicd_outbox_oldest_timestamp_seconds") > 0.0);
    let list = daemon.json("/api/v1/notifications").unwrap();
    assert!(list["waiting"] == told.len() && list["given_up"] == json!([]), "{list}");
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    let daemon = home.start();
    wait_for("an attempt", || {
        (metric(&daemon, r#"topicd_webhook_deliveries_total{result="failed"}"#) > 0.0).then_some(())
    });
    let receiver = Receiver::start(&address, |_, _| 200);
    wait_for("all events", || (receiver.taken().len() >= told.len()).then_some(()));
    check_taken(&told, &receiver.taken());
    assert!(!home.end_of_log().contains("s3cr3t"));
}

#[test]
fn a_poison_event_holds_up_its_topic_alone_and_is_sent_again_when_somebody_wants_it() {
    let is_poison = |event: &Value| event["subject"] == "0" && event["type"] == "topic.created";
    let receiver = Receiver::start("127.0.0.1:0", move |_, event| if is_poison(event) { 500 } else { 200 });
    let home = home(&receiver.address);
    let daemon = home.start();
    let told = told(&home, &daemon);
    let others = || told.values().filter(|subject| subject.as_deref() != Some("0")).count();
    wait_for("the events of the others", || (receiver.taken().len() == others()).then_some(()));
    let poison = *told.iter().find(|(_, subject)| subject.as_deref() == Some("0")).unwrap().0;
    wait_for("many attempts", || (receiver.requests().len() > told.len() + 5).then_some(()));
    let held_up = told.len() - others();
    assert_eq!(metric(&daemon, "topicd_outbox_events"), held_up as f64);
    drop(daemon);

    // It is given up at its age, and the others of its topic are tried.
    let aged = home.set("notify.max_age=1s");
    let mut daemon = aged.start();
    wait_for("the rest", || (receiver.taken().len() == told.len() - 1).then_some(()));
    let list = wait_for("the list", || {
        Some(daemon.json("/api/v1/notifications")?).filter(|list| list["given_up"][0]["id"] == poison)
    });
    assert_eq!(list["given_up"][0]["reason"], "the receiver answered 500 Internal Server Error");
    let rows = aged.table(&["notifications"]);
    assert!(rows.len() == 1 && rows[0]["type"] == "topic.created" && rows[0]["topic"] == "0", "{rows:?}");
    let missing = aged.run(&["notifications", "retry", "99999"]);
    let why = String::from_utf8(missing.stderr).unwrap();
    assert!(missing.status.code() == Some(1) && why.contains("event `99999` was not given up"), "{why}");

    // The daemon sends it again, and gives it up again.
    let before = receiver.requests().len();
    assert_eq!(aged.good(&["notifications", "retry", &poison.to_string()]), "sent again: 1\n");
    wait_for("the next attempt", || (receiver.requests().len() > before).then_some(()));
    wait_for("the end of its age", || {
        let gave_up = metric(&daemon, r#"topicd_webhook_deliveries_total{result="gave_up"}"#);
        (gave_up == 2.0).then_some(())
    });
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();

    // On the state alone it waits for the next start.
    receiver.answer(|_, _| 200);
    let list: Value = serde_json::from_str(&aged.good(&["notifications", "--json"])).unwrap();
    assert!(list["waiting"] == 0 && list["given_up"].as_array().unwrap().len() == 1, "{list}");
    aged.good(&["notifications", "retry", "--all"]);
    let list: Value = serde_json::from_str(&aged.good(&["notifications", "--json"])).unwrap();
    assert!(list["waiting"] == 1 && list["given_up"] == json!([]), "{list}");
    let _daemon = aged.start();
    wait_for("the poison event", || receiver.taken().contains(&poison).then_some(()));
}
