//! The files that stand, or stood, at the source's paths.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use super::error::Error;
use super::file::Regular;
use super::lines::Lines;
use super::paths::Paths;
use super::places::{self, Place};
use super::retry;
use super::sink::{End, Sink};
use crate::checkpoint::Partition;

/// After this many polls that find nothing, some 4 s, nobody writes to a file any more that was put away.
const QUIET_POLLS: u8 = 20;

/// Reads whatever stands at the paths, and what is unread of the files that stood there before.
pub(super) struct Watch {
    paths: Paths,
    /// Lines may still be appended.
    follow: bool,
    /// The files that are read, in the order in which they came.
    open: Vec<Open>,
    /// Paths beside which nothing is unread: they were looked at, and no file was truncated there since.
    looked_beside: BTreeSet<PathBuf>,
}

struct Open {
    file: Regular,
    /// Where it stood, or beside which path it lies.
    home: PathBuf,
    partition: Partition,
    lines: Lines<Box<dyn BufRead + Send>>,
    /// How many polls found nothing new since it was put away.
    quiet: u8,
}

/// A path, and the file that stands there.
type Standing = (PathBuf, Option<Metadata>);

impl Watch {
    pub(super) fn new(paths: Paths, follow: bool) -> Self {
        Self { paths, follow, open: Vec::new(), looked_beside: BTreeSet::new() }
    }

    /// Hands on every new line. True if there was something new.
    ///
    /// A file that was renamed or removed is read until another one stands at its path and polls find nothing new.
    /// What was truncated or written anew is read from its start, after the copy of it that lies beside.
    pub(super) fn poll(&mut self, sink: &mut Sink) -> Result<bool, End> {
        self.forget_rewritten()?;
        let mut news = false;
        for open in &mut self.open {
            let more = open.read(sink)?;
            open.quiet = if more { 0 } else { open.quiet.saturating_add(1) };
            news |= more;
        }
        let standing = self.standing()?;
        for (path, metadata) in &standing {
            news |= match metadata {
                None => self.read_beside(sink, path, None, &standing)?,
                Some(metadata) if self.open.iter().any(|open| open.file.is(metadata)) => false,
                Some(_) => self.arrive(sink, path, &standing)?,
            };
        }
        self.put_away(sink, &standing)?;
        Ok(news)
    }

    /// What stands at each path now.
    fn standing(&self) -> Result<Vec<Standing>, Error> {
        let paths = self.paths.list().into_iter();
        paths.map(|path| standing(&path).map(|metadata| (path, metadata))).collect()
    }

    /// Closes what does not hold any more what was read of it.
    fn forget_rewritten(&mut self) -> Result<(), Error> {
        for index in (0..self.open.len()).rev() {
            let Open { file, lines, .. } = &self.open[index];
            if file.rewritten(lines.position(), lines.before())? {
                tracing::warn!(path = %file.path.display(), "the file was truncated: it is read from its start");
                self.looked_beside.remove(&self.open.remove(index).home);
            }
        }
        Ok(())
    }

    /// Reads what came to stand at `path`, if it has a line. True if there was something in it.
    fn arrive(&mut self, sink: &mut Sink, path: &Path, standing: &[Standing]) -> Result<bool, End> {
        let file = match Regular::open(path, !self.follow) {
            Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            opened => opened?,
        };
        let taken = |partition: &Partition| {
            self.open.iter().any(|open| open.partition == *partition && open.stands(standing))
        };
        let place = file.as_ref().map(|file| sink.places.find(file, taken)).transpose()?.flatten();
        let news = self.read_beside(sink, path, place.as_ref().map(|place| &place.partition), standing)?;
        let Some(file) = file else { return Ok(news) };
        let place = match place {
            Some(place) => place,
            None => sink.places.start(&file)?,
        };
        // A copy that took the place of a file goes on where that was left.
        self.open.retain(|open| open.partition != place.partition);
        Ok(self.read(sink, path, file, place)? || news)
    }

    /// Reads what is unread of the files that stood at `path` and now lie beside it; not of `own`, which goes on in
    /// the file that stands there now.
    fn read_beside(
        &mut self,
        sink: &mut Sink,
        path: &Path,
        own: Option<&Partition>,
        standing: &[Standing],
    ) -> Result<bool, End> {
        if !self.looked_beside.insert(path.to_owned()) || !sink.places.know(path) {
            return Ok(false);
        }
        let mut unread = Vec::new();
        let mut all_read = false;
        for file in Regular::beside(path).into_iter().rev() {
            let is_read_itself = standing.iter().flat_map(|(_, found)| found).any(|found| file.is(found));
            // Older files were read before newer ones, and to unpack them all would take long.
            if is_read_itself || all_read && !file.grows() {
                continue;
            }
            let found = sink.places.find(&file, |partition| own == Some(partition)).ok().flatten();
            match found.map(|mut place| place.at_end()) {
                None => {}
                Some(Ok(true)) => all_read = true,
                Some(Ok(false)) => unread.push(file),
                Some(Err(source)) => {
                    tracing::warn!(path = %file.path.display(), %source, "what is unread of the file cannot be read");
                }
            }
        }
        let mut news = false;
        for file in unread.into_iter().rev() {
            // Copies of one file: the next goes on where the one before ends.
            let open = |partition: &Partition| self.open.iter().any(|open| open.partition == *partition);
            let Some(place) = sink.places.find(&file, open)? else { continue };
            tracing::info!(path = %file.path.display(), from = place.position, "the file was put away: its rest is read");
            news |= self.read(sink, path, file, place)?;
        }
        Ok(news)
    }

    /// Reads a file from its place on, and goes on with it in the next polls if it is followed.
    fn read(&mut self, sink: &mut Sink, home: &Path, file: Regular, place: Place) -> Result<bool, End> {
        let Place { partition, position, rest } = place;
        let lines =
            Lines::new(rest.bytes, rest.before, position, retry::most_bytes(sink.parser.max_document_bytes));
        let mut open = Open { file, home: home.to_owned(), partition, lines, quiet: 0 };
        let news = open.read(sink)?;
        if self.follow {
            self.open.push(open);
        } else {
            open.end(sink, false)?;
        }
        Ok(news)
    }

    /// Ends the files that stand nowhere any more, and that nobody writes to.
    fn put_away(&mut self, sink: &mut Sink, standing: &[Standing]) -> Result<(), End> {
        for mut open in std::mem::take(&mut self.open) {
            if open.stands(standing) {
                open.quiet = 0;
            }
            // Its writer may not have made another one yet.
            let awaited = standing.iter().any(|(path, found)| *path == open.home && found.is_none());
            if awaited || open.quiet < QUIET_POLLS {
                self.open.push(open);
                continue;
            }
            tracing::info!(path = %open.home.display(), "the file was put away, and is read to its end");
            open.end(sink, true)?;
        }
        Ok(())
    }
}

impl Open {
    /// True if it stands at one of the paths.
    fn stands(&self, standing: &[Standing]) -> bool {
        standing.iter().flat_map(|(_, found)| found).any(|found| self.file.is(found))
    }

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
