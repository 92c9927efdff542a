//! What Prometheus's clients tell of their process: processor time, memory, descriptors.

use std::collections::HashMap;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Error, IntGauge, Opts};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Reads `/proc/self` when it is asked. A figure that cannot be read keeps its last value.
pub(super) struct Process {
    cpu_seconds: Counter,
    open_fds: IntGauge,
    max_fds: IntGauge,
    resident_bytes: IntGauge,
    virtual_bytes: IntGauge,
    threads: IntGauge,
    start_seconds: IntGauge,
}

impl Process {
    /// `now_seconds`: the time since 1970, kept as the process's start.
    pub(super) fn new(now_seconds: i64) -> Result<Self, Error> {
        let gauge = |name: &str, help: &str| IntGauge::with_opts(Opts::new(name, help));
        let process = Self {
            cpu_seconds: Counter::new(
                "process_cpu_seconds_total",
                "Processor time of user and system in seconds.",
            )?,
            open_fds: gauge("process_open_fds", "Open file descriptors.")?,
            max_fds: gauge("process_max_fds", "Most file descriptors that may be open.")?,
            resident_bytes: gauge("process_resident_memory_bytes", "Resident memory in bytes.")?,
            virtual_bytes: gauge("process_virtual_memory_bytes", "Virtual memory in bytes.")?,
            threads: gauge("process_threads", "Threads of the process.")?,
            start_seconds: gauge(
                "process_start_time_seconds",
                "When the process started, in seconds since 1970.",
            )?,
        };
        process.start_seconds.set(now_seconds);
        Ok(process)
    }

    fn gauges(&self) -> [&IntGauge; 6] {
        let Self { open_fds, max_fds, resident_bytes, virtual_bytes, threads, start_seconds, .. } = self;
        [open_fds, max_fds, resident_bytes, virtual_bytes, threads, start_seconds]
    }

    fn read(&self) -> Option<()> {
        let count = |folder: &str| fs_err::read_dir(folder).map(Iterator::count).ok();
        self.open_fds.set(count("/proc/self/fd")? as i64);
        self.max_fds.set(getrlimit(Resource::Nofile).current.map_or(-1, |most| most as i64));
        self.threads.set(count("/proc/self/task")? as i64);
        let status = fs_err::read_to_string("/proc/self/status").ok()?;
        let fields: HashMap<&str, &str> = status.lines().filter_map(|line| line.split_once(':')).collect();
        let bytes =
            |field: &str| Some(fields.get(field)?.trim().trim_end_matches(" kB").parse::<i64>().ok()? << 10);
        self.resident_bytes.set(bytes("VmRSS")?);
        self.virtual_bytes.set(bytes("VmSize")?);
        let ran = clock_gettime(ClockId::ProcessCPUTime);
        let seconds = ran.tv_sec as f64 + ran.tv_nsec as f64 / 1e9;
        self.cpu_seconds.inc_by((seconds - self.cpu_seconds.get()).max(0.0));
        Some(())
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges().into_iter().flat_map(Collector::desc).chain(self.cpu_seconds.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        self.gauges().into_iter().flat_map(Collector::collect).chain(self.cpu_seconds.collect()).collect()
    }
}
