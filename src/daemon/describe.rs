//! Who describes topics, from the configuration.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::embed::Embedder;
use crate::label::chat::Chat;
use crate::model::version::TopicModel;
use crate::pipeline::describer::{Chains, Describer};
use crate::telemetry::Telemetry;
use crate::transport::command::Command;

/// Who describes topics beside a modeler, and the last version that is described.
pub(super) fn describer(
    config: &Config,
    embedder: Arc<Embedder>,
    versions: watch::Receiver<Arc<TopicModel>>,
    commands: mpsc::Sender<Command>,
    telemetry: Telemetry,
) -> (Describer, watch::Receiver<u64>) {
    let (describing, described) = watch::channel(0);
    let describer = Describer {
        wanted: Arc::new(config.wanted.clone()),
        chains: Arc::new(chains(config, embedder)),
        chat: config.label.clone().map(Chat::new),
        versions,
        commands,
        described: describing,
        telemetry,
    };
    (describer, described)
}

/// The local chains that describe topics.
pub fn chains(config: &Config, embedder: Arc<Embedder>) -> Chains {
    Chains {
        embedder,
        params: config.wanted.representation.clone(),
        top_n_words: config.parameters.keywords.top_n_words,
    }
}
