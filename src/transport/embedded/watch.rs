//! The files that stand, or stood, at one path.

use std::fs::Metadata;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use super::error::Error;
use super::file::Regular;
use super::lines::Lines;
use super::places::{self, Place};
use super::sink::{End, Sink};
use crate::checkpoint::Partition;

/// After this many polls that find nothing, nobody writes to a file any more that was put away.
const QUIET_POLLS: u8 = 2;

/// Reads whatever stands at a path, and what is unread of the files that stood there before.
pub(super) struct Watch {
    path: PathBuf,
    /// Lines may still be appended.
    follow: bool,
    /// The files that are read, in the order in which they came.
    open: Vec<Open>,
    /// Whether files beside the path may hold something unread: at the start, and after a file was truncated.
    look_beside: bool,
}

struct Open {
    file: Regular,
    partition: Partition,
    lines: Lines<Box<dyn BufRead + Send>>,
    /// How many polls found nothing new since it was put away.
    quiet: u8,
}

impl Watch {
    pub(super) fn new(path: PathBuf, follow: bool) -> Self {
        Self { path, follow, open: Vec::new(), look_beside: true }
    }

    /// Hands on every new line. True if there was something new.
    ///
    /// A file that was renamed or removed is read until another one stands at the path and two polls find nothing new.
    /// What was truncated or written anew is read from its start, after the copy of it that lies beside.
    pub(super) fn poll(&mut self, sink: &mut Sink) -> Result<bool, End> {
        self.forget_rewritten()?;
        let mut news = false;
        for open in &mut self.open {
            let more = open.read(sink)?;
            open.quiet = if more { 0 } else { open.quiet.saturating_add(1) };
            news |= more;
        }
        let Some(standing) = standing(&self.path)? else {
            return Ok(self.read_beside(sink, None)? || news);
        };
        if !self.open.iter().any(|open| open.file.is(&standing)) {
            news |= self.arrive(sink)?;
        }
        if self.open.iter().any(|open| open.file.is(&standing)) {
            self.put_away(sink, &standing)?;
        }
        Ok(news)
    }

    /// Closes what does not hold any more what was read of it.
    fn forget_rewritten(&mut self) -> Result<(), Error> {
        for index in (0..self.open.len()).rev() {
            let Open { file, lines, .. } = &self.open[index];
            if file.rewritten(lines.position(), lines.before())? {
                tracing::warn!(path = %file.path.display(), "the file was truncated: it is read from its start");
                self.open.remove(index);
                self.look_beside = true;
            }
        }
        Ok(())
    }

    /// Reads what stands at the path now, if it has a line. True if there was something in it.
    fn arrive(&mut self, sink: &mut Sink) -> Result<bool, End> {
        let file = match Regular::open(&self.path, !self.follow) {
            Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            opened => opened?,
        };
        let place = file.as_ref().map(|file| sink.places.find(file)).transpose()?.flatten();
        let news = self.read_beside(sink, place.as_ref().map(|place| &place.partition))?;
        let Some(file) = file else { return Ok(news) };
        let place = match place {
            Some(place) => place,
            None => sink.places.start(&file)?,
        };
        // A copy that took the place of a file goes on where that was left.
        self.open.retain(|open| open.partition != place.partition);
        Ok(self.read(sink, file, place)? || news)
    }

    /// Reads what is unread of the files that stood at the path and now lie beside it; not of `own`, which goes on in
    /// the file that stands there now.
    fn read_beside(&mut self, sink: &mut Sink, own: Option<&Partition>) -> Result<bool, End> {
        if !std::mem::take(&mut self.look_beside) {
            return Ok(false);
        }
        let mut unread = Vec::new();
        let mut all_read = false;
        for file in Regular::beside(&self.path).into_iter().rev() {
            // Older files were read before newer ones, and to unpack them all would take long.
            if all_read && !file.grows() {
                continue;
            }
            let found = sink.places.find(&file).ok().flatten();
            let Some(mut place) = found.filter(|place| own != Some(&place.partition)) else { continue };
            match place.at_end() {
                Ok(true) => all_read = true,
                Ok(false) => unread.push(file),
                Err(source) => {
                    tracing::warn!(path = %file.path.display(), %source, "what is unread of the file cannot be read");
                }
            }
        }
        let mut news = false;
        for file in unread.into_iter().rev() {
            // Copies of one file: the next goes on where the one before ends.
            let open = |partition: &Partition| self.open.iter().any(|open| open.partition == *partition);
            let Some(place) = sink.places.find(&file)?.filter(|place| !open(&place.partition)) else {
                continue;
            };
            tracing::info!(path = %file.path.display(), from = place.position, "the file was put away: its rest is read");
            news |= self.read(sink, file, place)?;
        }
        Ok(news)
    }

    /// Reads a file from its place on, and goes on with it in the next polls if it is followed.
    fn read(&mut self, sink: &mut Sink, file: Regular, place: Place) -> Result<bool, End> {
        let Place { partition, position, rest } = place;
        let lines = Lines::new(rest.bytes, rest.before, position, sink.parser.max_document_bytes);
        let mut open = Open { file, partition, lines, quiet: 0 };
        let news = open.read(sink)?;
        if self.follow {
            self.open.push(open);
        } else {
            open.end(sink, false)?;
        }
        Ok(news)
    }

    /// Ends the files that do not stand at the path any more, and that nobody writes to.
    fn put_away(&mut self, sink: &mut Sink, standing: &Metadata) -> Result<(), End> {
        for mut open in std::mem::take(&mut self.open) {
            if open.file.is(standing) {
                open.quiet = 0;
            }
            if open.quiet < QUIET_POLLS {
                self.open.push(open);
                continue;
            }
            open.end(sink, true)?;
            tracing::info!(path = %self.path.display(), "another file stands at the path, and the one before is read to its end");
        }
        Ok(())
    }
}

impl Open {
    /// Hands on every line that has its end. True if there was something new.
    fn read(&mut self, sink: &mut Sink) -> Result<bool, End> {
        let Self { file, partition, lines, .. } = self;
        let cannot_read = |source| Error::Read { path: file.path.clone(), source };
        let start = lines.position();
        let mut reached = None;
        while let Some(line) = lines.next_line().map_err(cannot_read)? {
            let before = places::hash(lines.before());
            sink.send(partition, line, lines.bytes(), Some(before))?;
            reached = Some((line.end, before));
        }
        if let Some((end, before)) = reached {
            places::record(&mut sink.places.0, partition, end, Some(before));
        }
        Ok(lines.position() > start)
    }

    /// Hands on what stands after the last line end. Unless nobody will end that line, it is left if it is no document.
    fn end(mut self, sink: &mut Sink, put_away: bool) -> Result<(), End> {
        let Self { file, partition, lines, .. } = &mut self;
        let Some(line) = lines.last_line() else { return Ok(()) };
        let may_grow = file.grows() && !put_away;
        if may_grow && matches!(sink.parse(partition, line, lines.bytes()), Some(Err(_))) {
            let position = line.start;
            tracing::warn!(
                path = %file.path.display(), position,
                "the last line has no end and is no document: it is left until it has one"
            );
            return Ok(());
        }
        let before = places::hash(lines.before());
        sink.send(partition, line, lines.bytes(), Some(before))?;
        places::record(&mut sink.places.0, partition, line.end, Some(before));
        Ok(())
    }
}

/// What stands at `path`, if anything does.
fn standing(path: &Path) -> Result<Option<Metadata>, Error> {
    match fs_err::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some).map_err(|source| Error::Read { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests;
