//! What systemd is told, where it started this process: when the start is over, that it lives, and that it stops.
//!
//! Source: `sd_notify(3)`.

use std::convert::Infallible;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::transport::command::{self, Command};

/// While it starts it asks every so often for twice that time: an encoder that is away may keep it waiting for long.
const STARTING: Duration = Duration::from_secs(10);

/// The socket on which systemd listens, if it does.
#[derive(Debug)]
pub(super) struct Systemd {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that the process lives.
    watchdog: Option<Duration>,
}

impl Systemd {
    /// As this process's environment says.
    pub(super) fn of_environment() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let address = variable("NOTIFY_SOCKET").and_then(|name| match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(name).ok(),
        });
        let for_us = variable("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = variable("WATCHDOG_USEC").and_then(|time| time.parse().ok()).filter(|_| for_us);
        Self {
            socket: address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address))),
            watchdog: watchdog.map(Duration::from_micros),
        }
    }

    fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            // Nobody can be told that systemd has gone.
            drop(socket.send_to_addr(state.as_bytes(), address));
        }
    }

    /// Asks for time, again and again; to be dropped when the start is over.
    pub(super) async fn starting(&self) -> Infallible {
        loop {
            self.tell(&format!("EXTEND_TIMEOUT_USEC={}", (2 * STARTING).as_micros()));
            tokio::time::sleep(STARTING).await;
        }
    }

    /// Says that the start is over, then that the process lives, as long as the modeler answers, and at last that it
    /// stops.
    pub(super) async fn run(
        self,
        commands: mpsc::Sender<Command>,
        stop: CancellationToken,
    ) -> Result<(), Infallible> {
        self.tell("READY=1");
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.watch(&commands) => {}
        }
        self.tell("STOPPING=1");
        Ok(())
    }

    async fn watch(&self, commands: &mpsc::Sender<Command>) {
        let Some(time) = self.watchdog else { return std::future::pending().await };
        loop {
            // A modeler that is in another process says so at once.
            let look = command::ask(commands, |reply| Command::Look { reply });
            if tokio::time::timeout(time / 2, look).await.is_ok() {
                self.tell("WATCHDOG=1");
            }
            tokio::time::sleep(time / 3).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::command::queue;

    /// What systemd hears until `last` has come.
    fn heard(socket: &UnixDatagram, last: &str) -> Vec<String> {
        let mut heard = Vec::new();
        let mut buffer = [0; 200];
        while heard.last().is_none_or(|state| state != last) {
            let length = socket.recv(&mut buffer).unwrap();
            heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        heard
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn systemd_hears_of_start_life_and_stop() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let systemd = Systemd::new(|name| match name {
            "NOTIFY_SOCKET" => path.to_str().map(str::to_owned),
            "WATCHDOG_USEC" => Some("30000".to_owned()),
            _ => None,
        });
        let (commands, mut orders) = queue();
        let stop = CancellationToken::new();
        let running = tokio::spawn(systemd.run(commands, stop.clone()));
        assert_eq!(heard(&socket, "READY=1"), ["READY=1"]);
        // It lives as long as the modeler answers, be it that it is elsewhere.
        drop(orders.recv().await);
        assert_eq!(heard(&socket, "WATCHDOG=1"), ["WATCHDOG=1"]);
        let unanswered = orders.recv().await;
        stop.cancel();
        assert_eq!(heard(&socket, "STOPPING=1"), ["STOPPING=1"]);
        running.await.unwrap().unwrap();
        drop(unanswered);
    }

    #[test]
    fn without_systemd_nothing_is_told() {
        let systemd = Systemd::new(|_| None);
        systemd.tell("READY=1");
        assert!(systemd.socket.is_none() && systemd.watchdog.is_none());
        let other = Systemd::new(|name| match name {
            "WATCHDOG_USEC" => Some("30000000".to_owned()),
            "WATCHDOG_PID" => Some("1".to_owned()),
            _ => None,
        });
        assert!(other.watchdog.is_none(), "the watchdog of another process");
    }
}
