//! What the system refuses to do with a file or a folder, and the way out for this cause.

use std::io::{Error, ErrorKind};

/// The raw number of "too many open files", which has no kind of its own.
const TOO_MANY_OPEN: i32 = 24;

/// The way out, where `key` names the folder in the configuration.
pub fn way_out(source: &Error, key: &str) -> String {
    if source.raw_os_error() == Some(TOO_MANY_OPEN) {
        return "too many files are open; raise the limit (`ulimit -n`) and start again".to_owned();
    }
    match source.kind() {
        ErrorKind::PermissionDenied => format!(
            "this user has no right to it; start topicd as the user that owns it, or set `{key}` to another folder"
        ),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists | ErrorKind::IsADirectory => {
            format!(
                "a file stands where a folder is needed, or the other way round; set `{key}` to the path of a folder"
            )
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "the disk is full; free some space and start again, it goes on from the last commit".to_owned()
        }
        ErrorKind::ReadOnlyFilesystem => {
            format!("the file system is read-only; set `{key}` to a folder that can be written")
        }
        _ => {
            "the system refuses it; mend the disk and start again, it goes on from the last commit".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_way_out() {
        let of = |kind: ErrorKind| way_out(&kind.into(), "state.directory");
        let found = [
            of(ErrorKind::StorageFull),
            of(ErrorKind::PermissionDenied),
            of(ErrorKind::NotADirectory),
            of(ErrorKind::ReadOnlyFilesystem),
            of(ErrorKind::Other),
            way_out(&Error::from_raw_os_error(TOO_MANY_OPEN), "state.directory"),
        ];
        let different: std::collections::BTreeSet<_> = found.iter().collect();
        assert_eq!(different.len(), found.len());
        assert!(found.iter().all(|way| way.contains(';')), "{found:?}");
        assert!(found[0].contains("disk is full") && found[1].contains("`state.directory`"), "{found:?}");
    }
}
