use super::*;
use crate::record::state::Write;

/// A stream that never pauses.
struct Torrent;

impl ModelerPort for Torrent {
    type Error = std::convert::Infallible;

    async fn receive(&mut self) -> Result<Option<Lesson>, Self::Error> {
        let (evidence, checkpoint) = (crate::model::evidence::Evidence::default(), Checkpoint::new());
        Ok(Some(Lesson { evidence, erasures: Vec::new(), arrivals: None, checkpoint }))
    }

    fn deliver(&mut self, _: Records) -> Result<Checkpoint, Self::Error> {
        Ok(Checkpoint::new())
    }

    fn seal(&mut self, _: &[Write]) -> Result<(), Self::Error> {
        Ok(())
    }

    fn announce(&mut self, _: &Checkpoint) -> Result<(), Self::Error> {
        Ok(())
    }

    fn waiting(&self) -> usize {
        1
    }
}

#[tokio::test]
async fn a_torrent_of_documents_and_one_of_questions_take_turns() {
    let (commands, mut queue) = crate::transport::command::queue();
    for _ in 0..2 {
        commands.try_send(Command::Look { reply: tokio::sync::oneshot::channel().0 }).unwrap();
    }
    assert!(matches!(next(&mut Torrent, &mut queue, true, true).await, Next::Command(_)));
    assert!(matches!(next(&mut Torrent, &mut queue, true, false).await, Next::Lesson(_)));
    assert!(matches!(next(&mut Torrent, &mut queue, false, false).await, Next::Command(_)));
    assert!(matches!(next(&mut Torrent, &mut queue, true, true).await, Next::Lesson(_)));
}
