//! A real Kafka of this test run: Apache's broker by itself, in a folder and on ports of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers, Message, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, ClientContext};

use crate::topicd::{cache, wait_for};

/// One node.
pub(crate) struct Broker {
    folder: tempfile::TempDir,
    child: Option<Child>,
    lines: Arc<Mutex<Vec<String>>>,
    /// Lines that were there when it was started last.
    before: usize,
    ports: Vec<u16>,
    /// Where clients begin, if not here.
    bootstrap: Option<String>,
}

/// A record that was read.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timestamp: Option<i64>,
}

/// A record to be written; without a value a tombstone.
#[derive(Debug, Default)]
pub(crate) struct Sent<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Option<OwnedHeaders>,
    pub(crate) timestamp: Option<i64>,
}

impl Record {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.value.as_deref().unwrap()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Settings of a quick broker.
const QUICK: &str = "\
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
log.cleaner.backoff.ms=500
log.initial.task.delay.ms=500
auto.create.topics.enable=false
";

/// Settings of one of three quick brokers, over those of one.
const THREE: &str = "\
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
";

/// Who decides who leads: a broker's own number, and the ports of all controllers, none of one that is alone.
struct Quorum<'a> {
    id: usize,
    controllers: &'a [u16],
}

impl Quorum<'_> {
    fn alone() -> Self {
        Self { id: 1, controllers: &[] }
    }

    /// The broker's own controller.
    fn controller(&self) -> u16 {
        self.controllers.get(self.id - 1).copied().unwrap_or_else(free_port)
    }

    /// How the broker finds them.
    fn setting(&self, own: u16) -> String {
        if self.controllers.is_empty() {
            return format!("controller.quorum.bootstrap.servers=127.0.0.1:{own}");
        }
        let voters = self.controllers.iter().zip(1..).map(|(port, id)| format!("{id}@127.0.0.1:{port}"));
        format!("controller.quorum.voters={}", voters.collect::<Vec<_>>().join(","))
    }
}

/// What a broker needs to take encrypted connections of users with a password.
const GUARDED: &str = "\
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.guarded.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.guarded.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_reader=\"reader-secret\";
listener.name.guarded.ssl.keystore.type=PKCS12
listener.name.guarded.ssl.keystore.location=broker.p12
listener.name.guarded.ssl.keystore.password=changeit
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:topicd
";

impl Broker {
    /// A broker that listens without a password.
    pub(crate) fn start() -> Self {
        let port = free_port();
        let mut broker = Self::format(&Quorum::alone(), &[("PLAINTEXT", "PLAINTEXT", port)], "", &[]);
        broker.run();
        broker
    }

    /// Three that are one cluster; each record stands on all of them, and two must have it.
    pub(crate) fn start_three() -> [Self; 3] {
        let (controllers, ports) = ([0; 3].map(|_| free_port()), [0; 3].map(|_| free_port()));
        let bootstrap = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
        let mut brokers = [0, 1, 2].map(|at| {
            let listeners = [("PLAINTEXT", "PLAINTEXT", ports[at])];
            let mut broker =
                Self::format(&Quorum { id: at + 1, controllers: &controllers }, &listeners, THREE, &[]);
            broker.bootstrap = Some(bootstrap.clone());
            broker
        });
        brokers.iter_mut().for_each(Self::launch);
        brokers.iter().for_each(Self::wait);
        brokers
    }

    /// A broker that also listens with TLS for the users `topicd` (SCRAM, `topicd-secret`), who may do everything, and
    /// `reader` (PLAIN, `reader-secret`), who may do nothing.
    pub(crate) fn start_guarded() -> Self {
        let listeners = [("PLAINTEXT", "PLAINTEXT", free_port()), ("GUARDED", "SASL_SSL", free_port())];
        let user = ["--add-scram", "SCRAM-SHA-512=[name=topicd,password=topicd-secret]"];
        let mut broker = Self::format(&Quorum::alone(), &listeners, GUARDED, &user);
        broker.make_certificate();
        broker.run();
        broker
    }

    /// Formats a folder for a broker with listeners (name, protocol, port).
    fn format(
        quorum: &Quorum<'_>,
        listeners: &[(&str, &str, u16)],
        settings: &str,
        arguments: &[&str],
    ) -> Self {
        let (id, controller) = (quorum.id, quorum.controller());
        let voters = quorum.setting(controller);
        let urls: Vec<String> =
            listeners.iter().map(|(name, _, port)| format!("{name}://127.0.0.1:{port}")).collect();
        let protocols: Vec<String> =
            listeners.iter().map(|(name, protocol, _)| format!("{name}:{protocol}")).collect();
        let (urls, protocols) = (urls.join(","), protocols.join(","));
        let folder = tempfile::tempdir().unwrap();
        let settings = format!(
            "process.roles=broker,controller\nnode.id={id}\nlog.dirs={}\n{voters}\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n\
             listeners={urls},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners={urls},CONTROLLER://127.0.0.1:{controller}\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,{protocols}\n{QUICK}{settings}",
            folder.path().join("data").display()
        );
        fs_err::write(folder.path().join("server.properties"), settings).unwrap();
        let formatted = java(folder.path(), "kafka.tools.StorageTool")
            .args(["format", "-t", "dG9waWNkLXRlc3RzLTAwMQ", "-c", "server.properties"])
            .args(if quorum.controllers.is_empty() { &["--standalone"][..] } else { &[] })
            .args(arguments)
            .output()
            .expect("`java` is there after `deploy/test` has set the machine up");
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        let ports = listeners.iter().map(|(_, _, port)| *port).collect();
        Self { folder, child: None, lines: Arc::default(), before: 0, ports, bootstrap: None }
    }

    /// A key for the broker, and `ca.pem`, by which clients know it.
    fn make_certificate(&self) {
        let keytool = |arguments: &[&str]| {
            let store = ["-keystore", "broker.p12", "-storepass", "changeit", "-alias", "broker"];
            let made = Command::new("keytool")
                .args(arguments)
                .args(store)
                .current_dir(self.folder.path())
                .output()
                .unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        };
        let key = ["-genkeypair", "-keyalg", "EC", "-dname", "CN=broker", "-ext", "SAN=IP:127.0.0.1"];
        keytool(&[&key[..], &["-validity", "2", "-storetype", "PKCS12"]].concat());
        keytool(&["-exportcert", "-rfc", "-file", "ca.pem"]);
    }

    /// A file of this broker's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it, again if it was killed, and waits until it serves.
    pub(crate) fn run(&mut self) {
        self.launch();
        self.wait();
    }

    /// Starts it.
    pub(crate) fn launch(&mut self) {
        let log = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kafka/log4j2.xml");
        // A shell between, that ends the broker when this process is gone, however it went: its input closes then.
        let broker = java(self.folder.path(), "kafka.Kafka");
        let mut child = Command::new("sh")
            .args(["-c", "\"$@\" </dev/null & read -r _; kill -9 $!; wait", "sh"])
            .arg(broker.get_program())
            .args(broker.get_args())
            .arg("server.properties")
            .current_dir(self.folder.path())
            .env("JAVA_TOOL_OPTIONS", format!("-Dlog4j2.configurationFile={log}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.before = self.lines.lock().unwrap().len();
        let (output, lines) = (BufReader::new(child.stdout.take().unwrap()), self.lines.clone());
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).for_each(|line| lines.lock().unwrap().push(line));
        });
        self.child = Some(child);
    }

    /// Waits until it serves.
    pub(crate) fn wait(&self) {
        let said =
            |word: &str| self.lines.lock().unwrap()[self.before..].iter().any(|line| line.contains(word));
        wait_for("the broker", || said("Kafka Server started").then_some(()));
    }

    /// `kill -9` for one of three, and back; afterwards all three have every record again.
    ///
    /// That one alone is killed while transactions are under way is not survived by Kafka itself: while it comes back its
    /// partitions have no leader for a moment, and 4.3.1 then takes them for deleted and never writes the mark that ends
    /// the transaction (KAFKA-20734). Nobody who reads committed records gets past that place any more.
    pub(crate) fn kill_one(brokers: &mut [Self; 3], at: usize) {
        brokers[at].kill();
        brokers[at].run();
        let client: BaseConsumer = brokers[at].client().create().unwrap();
        wait_for("all replicas", || {
            let metadata = client.fetch_metadata(None, Duration::from_secs(10)).ok()?;
            let mut partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
            partitions.all(|partition| partition.isr().len() == brokers.len()).then_some(())
        });
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }

    /// It runs no more, and its connections stay.
    pub(crate) fn freeze(&mut self) {
        self.signal("-STOP");
    }

    /// It runs again, if it was frozen.
    pub(crate) fn thaw(&mut self) {
        self.signal("-CONT");
    }

    /// Sends a signal to the broker itself, a child of the shell.
    fn signal(&self, name: &str) {
        let Some(shell) = self.child.as_ref().map(Child::id) else { return };
        let children = fs_err::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        let sent = Command::new("kill").arg(name).args(children.split_whitespace()).status().unwrap();
        assert!(sent.success());
    }

    /// Where clients begin.
    pub(crate) fn address(&self) -> String {
        self.bootstrap.clone().unwrap_or_else(|| format!("127.0.0.1:{}", self.ports[0]))
    }

    /// Where it listens with TLS.
    pub(crate) fn guarded_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[1])
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address());
        config
    }

    /// Makes a topic.
    pub(crate) fn create(&self, topic: &str, partitions: i32) {
        self.create_with(topic, partitions, &[]);
    }

    /// Makes a topic with settings.
    pub(crate) fn create_with(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let made = self.administer(async |admin| admin.create_topics([&new], &AdminOptions::new()).await);
        assert!(made.unwrap().iter().all(Result::is_ok), "topic {topic}");
    }

    /// Deletes the records of partition 0 before `offset`.
    pub(crate) fn delete_before(&self, topic: &str, offset: i64) {
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
        let deleted =
            self.administer(async |admin| admin.delete_records(&before, &AdminOptions::new()).await);
        assert_eq!(deleted.unwrap().elements()[0].error(), Ok(()));
    }

    /// The offset after the last record of a partition.
    pub(crate) fn end(&self, topic: &str, partition: i32) -> i64 {
        let client: BaseConsumer = self.client().create().unwrap();
        client.fetch_watermarks(topic, partition, Duration::from_secs(30)).unwrap().1
    }

    /// Lets the user `reader` do `operations` to what `resource` names, as arguments of Kafka's own tool.
    pub(crate) fn allow(&self, operations: &[&str], resource: &[&str]) {
        let mut tool = java(self.folder.path(), "org.apache.kafka.tools.AclCommand");
        tool.args(["--bootstrap-server", &self.address(), "--add", "--allow-principal", "User:reader"]);
        for operation in operations {
            tool.args(["--operation", operation]);
        }
        let output = tool.args(resource).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("Adding ACLs"), "{said}");
    }

    /// The settings of a topic.
    pub(crate) fn settings(&self, topic: &str) -> BTreeMap<String, String> {
        let described = self.administer(async |admin| {
            admin.describe_configs([&ResourceSpecifier::Topic(topic)], &AdminOptions::new()).await
        });
        let entries = described.unwrap().remove(0).unwrap().entries;
        entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
    }

    fn administer<T>(&self, work: impl AsyncFnOnce(AdminClient<DefaultClientContext>) -> T) -> T {
        let admin = self.client().create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work(admin))
    }

    /// Writes (key, value) pairs with `headers`, spread over the topic's partitions by key; all have arrived when it returns.
    pub(crate) fn write<'a>(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        headers: Option<&OwnedHeaders>,
    ) {
        self.send(
            topic,
            records.into_iter().map(|(key, value)| Sent {
                key: Some(key.as_bytes()),
                value: Some(value),
                headers: headers.cloned(),
                timestamp: None,
            }),
        );
    }

    /// Writes `records`, spread over the topic's partitions by key; all have arrived when it returns.
    pub(crate) fn send<'a>(&self, topic: &str, records: impl IntoIterator<Item = Sent<'a>>) {
        let lost = Lost::default();
        let mut config = self.client();
        config.set("linger.ms", "5").set("message.max.bytes", "16777216");
        let producer: ThreadedProducer<Lost> = config.create_with_context(lost.clone()).unwrap();
        for Sent { key, value, headers, timestamp } in records {
            let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
            (record.key, record.payload) = (key, value);
            (record.headers, record.timestamp) = (headers, timestamp);
            while let Err((_full, back)) = producer.send(record) {
                record = back;
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
        producer.flush(Duration::from_mins(1)).unwrap();
        let lost = lost.0.lock().unwrap();
        assert!(
            lost.is_empty(),
            "{topic}: {} records did not arrive, the first because {}",
            lost.len(),
            lost[0]
        );
    }

    /// Everything committed in `topic`, partition by partition.
    pub(crate) fn read(&self, topic: &str) -> Vec<Record> {
        let mut config = self.client();
        config
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(30)).unwrap();
        let partitions = metadata.topics()[0].partitions().len();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition as i32, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut records, mut ended) = (Vec::new(), 0);
        while ended < partitions {
            match consumer.poll(Duration::from_mins(1)).expect("the partition has an end") {
                Ok(message) => records.push(record(&message)),
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                // One of several brokers is away; another has the records.
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown,
                )) => {}
                Err(error) => panic!("{topic}: {error}"),
            }
        }
        records
    }
}

/// Why records did not arrive.
#[derive(Debug, Clone, Default)]
struct Lost(Arc<Mutex<Vec<KafkaError>>>);

impl ClientContext for Lost {}

impl ProducerContext for Lost {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = delivered {
            self.0.lock().unwrap().push(error.clone());
        }
    }
}

fn record(message: &rdkafka::message::BorrowedMessage<'_>) -> Record {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), text(header.value.unwrap_or_default()))).collect()
    });
    Record {
        key: message.key().map(text),
        value: message.payload().map(ToOwned::to_owned),
        headers,
        timestamp: message.timestamp().to_millis(),
    }
}

impl Drop for Broker {
    /// A test that fails keeps what the broker said.
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let file = format!("broker-{}.log", self.ports[0]);
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
            let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
            match fs_err::write(&file, lines) {
                Ok(()) => eprintln!("what the broker said stands in {}", file.display()),
                Err(error) => eprintln!("{error}"),
            }
        }
    }
}

fn java(folder: &Path, class: &str) -> Command {
    let jars: PathBuf = cache().join("kafka/*");
    let mut command = Command::new("java");
    command
        .args(["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(jars)
        .arg(class)
        .current_dir(folder);
    command
}
