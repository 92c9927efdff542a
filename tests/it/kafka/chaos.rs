//! Two machines and their three brokers, killed at random moments while documents flow and an assigner joins and leaves.
//!
//! The plan is drawn from a seed and written down, an action a line, in the target folder's `tmp/chaos-SEED.txt`.
//! `TOPICD_CHAOS_SEED` draws the same plan again, `TOPICD_CHAOS_PLAN` carries out such a file, and
//! `TOPICD_CHAOS_KILLS` says how many kills a plan has: 20 unless set, 200 for a night.

use std::fmt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::broker::Broker;
use super::daemon::{Cluster, ids, write_documents};
use crate::topicd::{Home, wait_for};

/// Documents that are written before each kill.
const DOCUMENTS: usize = 300;

/// Whom a kill hits; it is started again at once. The third, an assigner without a name, joins at one of its turns and
/// leaves in order at the next. The brokers take turns too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    First,
    Second,
    Third,
    Broker,
}

/// One line of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Action {
    wait_ms: u64,
    victim: Victim,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let victim = match self.victim {
            Victim::First => "first",
            Victim::Second => "second",
            Victim::Third => "third",
            Victim::Broker => "broker",
        };
        write!(f, "after {} ms kill {victim}", self.wait_ms)
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split(' ').collect();
        let ["after", wait, "ms", "kill", victim] = words[..] else { return Err(line.to_owned()) };
        let victim = match victim {
            "first" => Victim::First,
            "second" => Victim::Second,
            "third" => Victim::Third,
            "broker" => Victim::Broker,
            _ => return Err(line.to_owned()),
        };
        Ok(Self { wait_ms: wait.parse().map_err(|_| line.to_owned())?, victim })
    }
}

fn draw(seed: u64, kills: usize) -> Vec<Action> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut action = || Action {
        wait_ms: random.random_range(0..3000),
        victim: match random.random_range(0..10) {
            0 => Victim::Broker,
            1 => Victim::Third,
            2..=5 => Victim::First,
            _ => Victim::Second,
        },
    };
    (0..kills).map(|_| action()).collect()
}

/// The plan to carry out, and the name of the file in which it is written down, without its end.
fn plan() -> (Vec<Action>, String) {
    let variable = |name: &str| std::env::var(name).ok();
    if let Some(file) = variable("TOPICD_CHAOS_PLAN") {
        let text = fs_err::read_to_string(&file).unwrap();
        let name = Path::new(&file).file_stem().unwrap().to_string_lossy().into_owned();
        return (text.lines().map(|line| line.parse().unwrap()).collect(), name);
    }
    let seed = variable("TOPICD_CHAOS_SEED").map_or_else(rand::random, |seed| seed.parse().unwrap());
    let kills = variable("TOPICD_CHAOS_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let plan = draw(seed, kills);
    let name = format!("chaos-{seed}");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name).with_extension("txt");
    let lines: Vec<String> = plan.iter().map(ToString::to_string).collect();
    fs_err::write(&file, lines.join("\n")).unwrap();
    eprintln!("the plan stands in {}:\n{}", file.display(), lines.join("\n"));
    (plan, name)
}

/// Starts a daemon and doesn't wait for it.
fn start(home: &Home) -> Child {
    start_as(home, &[])
}

fn start_as(home: &Home, arguments: &[&str]) -> Child {
    home.long_command(&[&["run"], arguments].concat()).stdout(Stdio::null()).spawn().unwrap()
}

/// The third joins, or leaves as after Ctrl-C.
fn join_or_leave(third: &mut Option<Child>, home: &Home) {
    let Some(mut child) = third.take() else {
        *third = Some(start_as(home, &["--role", "assigner"]));
        return;
    };
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    child.wait().unwrap();
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[ignore = "takes minutes; `deploy/test` runs it when its rooms changed, `deploy/test --all` always"]
fn nothing_is_lost_or_doubled() {
    let (plan, name) = plan();
    let mut brokers = Broker::start_three();
    brokers[0].create("chaos-documents", 4);
    let homes = ["a", "b"].map(|machine| {
        let home = Cluster { broker: &brokers[0], prefix: "chaos" }.machine(machine);
        let home = home.log_to(&format!("{name}-{machine}.log"));
        home.set("refit.first_documents=300").set("refit.every_documents=400")
    });
    let passing = Cluster { broker: &brokers[0], prefix: "chaos" }.machine("");
    let passing = passing.log_to(&format!("{name}-third.log"));
    let (mut daemons, mut third) = (homes.each_ref().map(start), None);
    let mut turns = (0..brokers.len()).cycle();
    for (number, action) in plan.iter().enumerate() {
        let from = number * DOCUMENTS;
        write_documents(&Cluster { broker: &brokers[0], prefix: "chaos" }, from, from + DOCUMENTS);
        let moment = Instant::now() + Duration::from_millis(action.wait_ms);
        wait_for("the moment", || (Instant::now() >= moment).then_some(()));
        match action.victim {
            Victim::First | Victim::Second => {
                let at = usize::from(action.victim == Victim::Second);
                kill(&mut daemons[at]);
                daemons[at] = start(&homes[at]);
            }
            Victim::Third => join_or_leave(&mut third, &passing),
            Victim::Broker => Broker::kill_one(&mut brokers, turns.next().unwrap()),
        }
    }
    let cluster = Cluster { broker: &brokers[0], prefix: "chaos" };
    let documents = plan.len() * DOCUMENTS;
    daemons.iter_mut().chain(&mut third).for_each(kill);
    let last = homes[0].start();
    let outcome = cluster.settle(&last, documents, 1, &[&homes[0], &homes[1], &passing]);
    outcome.check_exactly_once(&ids(documents));
}

#[test]
fn a_plan_can_be_read_back() {
    let plan = draw(7, 50);
    let again: Vec<Action> = plan.iter().map(|action| action.to_string().parse().unwrap()).collect();
    assert_eq!(plan, again);
    assert_eq!(draw(7, 50), plan, "and drawn again");
    assert_ne!(draw(8, 50), plan);
}
