//! How many files and sockets this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for state, outputs, Kafka and outgoing requests, or a half where there are few.
const OTHERS: u64 = 1024;
/// Connections of HTTP that are worth their memory: some 6 KB each while they are silent, 20 KB in a request.
const CONNECTIONS: u64 = 12_288;

/// Raises the limit of open files as far as it goes; how many of them connections of HTTP may take.
pub(super) fn for_connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // A system that refuses leaves the limit as it was.
    let _refused = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let open = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (open - OTHERS.min(open / 2)).min(CONNECTIONS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_is_left_for_others() {
        let connections = for_connections() as u64;
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        let open = limit.current.unwrap_or(u64::MAX);
        assert!(
            connections > 0 && (open - connections >= OTHERS || connections <= open / 2 + 1),
            "{connections}"
        );
    }
}
