mod secrets;

use std::path::Path;

use super::*;
use crate::model::state::Bounds;
use crate::transport::brokers;
use crate::transport::embedded::{self, Format, Input};
use crate::{embed, keywords, model, notify, telemetry};

/// What loading says of the file `text`, the variables and the flags.
fn load_all(text: &str, environment: &[(&str, &str)], overrides: &[&str]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    fs_err::write(&path, text).unwrap();
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    load_layers(&Layers { file: Some(&path), environment, overrides: &overrides })
        .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn mistakes(text: &str) -> String {
    load_all(text, &[], &[]).unwrap_err()
}

#[test]
fn the_defaults_are_those_of_the_rooms() {
    let config = load_layers(&Layers::default()).unwrap();
    assert_eq!(*config.source.params(), embedded::Params::default());
    assert_eq!(format!("{:?}", config.embed), format!("{:?}", embed::Params::default().check().unwrap()));
    assert_eq!(config.parameters.assign, model::assign::Params::default().check().unwrap());
    assert_eq!(config.parameters.refit, model::refit::Params::default().check().unwrap());
    assert_eq!(config.parameters.policy, model::refit::policy::Params::default().check().unwrap());
    assert_eq!(*config.keywords.params(), keywords::Params::default());
    assert_eq!(config.parameters.keywords, keywords::Params::default());
    assert_eq!(config.bounds, Bounds::default());
    assert!(config.webhook.is_none());
    assert_eq!(config.log, telemetry::logs::Params::default().check().unwrap());
    assert_eq!(config.embed_name(), "all-MiniLM-L6-v2");
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:9464");
    assert_eq!(config.state.directory, Path::new("topicd-data/state"));
    let directory = Path::new("topicd-data/output").to_owned();
    assert_eq!(config.output, embedded::OutputParams { directory, ..embedded::OutputParams::default() });
}

#[test]
fn the_defaults_of_labels_and_representations_are_those_of_their_rooms() {
    let table: toml::Table = toml::from_str(DEFAULTS).unwrap();
    let label: crate::label::Params = table["label"].clone().try_into().unwrap();
    assert_eq!(label, crate::label::Params::default());
    let representation: keywords::representation::Params =
        table["representation"].clone().try_into().unwrap();
    assert_eq!(representation, keywords::representation::Params::default());
    let aspects = "representation.aspects={ KeyBERT = [\"keybert\"], Diverse = [\"keybert\", \"mmr\"] }";
    let config = load_all("", &[("TOPICD_LABEL__URL", "http://127.0.0.1:1/v1")], &[aspects]).unwrap();
    assert_eq!(config.wanted.representation.aspects.len(), 2);
    assert_eq!(config.wanted.label_documents, Some(4));
}

/// `notify` gives no checked parameters where nothing is to be told, so its defaults are compared before the check.
#[test]
fn the_defaults_of_notify_are_those_of_its_room() {
    let table: toml::Table = toml::from_str(DEFAULTS).unwrap();
    let section: notify::Params = table["notify"].clone().try_into().unwrap();
    assert_eq!(section, notify::Params::default());
}

/// `kafka` is only given where documents come from there.
#[test]
fn the_defaults_of_kafka_are_those_of_its_room() {
    let table: toml::Table = toml::from_str(DEFAULTS).unwrap();
    let section: brokers::Params = table["kafka"].clone().try_into().unwrap();
    assert_eq!(section, brokers::Params::default());
    assert!(load_layers(&Layers::default()).unwrap().kafka.is_none());
    let text = "source.type = \"kafka\"\nkafka.settings.sasl.password = \"secret\"\n";
    let config = load_all(text, &[], &[]).unwrap();
    assert_eq!(config.guarantee, brokers::Guarantee::default());
    assert_eq!(config.bounds.seen, 0);
    assert!(config.kafka.is_some());
    let wrong = mistakes("[kafka.settings]\n\"group.id\" = \"secret\"\n");
    assert!(wrong.contains("kafka.group") && !wrong.contains("secret"), "{wrong}");
}

#[test]
fn the_file_of_defaults_is_itself_a_configuration() {
    assert!(load_all(DEFAULTS, &[], &[]).is_ok());
}

#[test]
fn a_later_layer_wins() {
    let text = "[source]\npath = \"a.jsonl\"\nformat = \"lines\"\nspeed = 3\nfields.text = \"body\"\n[refit]\nseed = 1\n";
    let environment = [("TOPICD_REFIT__SEED", "2"), ("TOPICD_SOURCE__FIELDS__ID", "doi"), ("PATH", "/bin")];
    let config = load_all(text, &environment, &["refit.seed = 3", "refit.min_cluster_size=30"]).unwrap();
    let source = config.source.params();
    assert_eq!(source.input, Input::File("a.jsonl".into()));
    assert_eq!((source.format, source.speed), (Format::Lines, 3.0));
    assert_eq!((source.fields.text.as_str(), source.fields.id.as_str()), ("body", "doi"));
    assert_eq!(config.parameters.refit.seed, 3);
    assert_eq!(config.parameters.refit.min_cluster_size, model::refit::ClusterSize::Documents(30));
}

#[test]
fn variables_and_flags_are_toml_or_plain_text() {
    let environment = [
        ("TOPICD_SOURCE__FIELDS__TEXT", "12345"),
        ("TOPICD_NOTIFY__URL", "https://h.example"),
        ("TOPICD_NOTIFY__HEADERS", "{ Authorization = \"Bearer x\" }"),
        ("TOPICD_SOURCE__PATH", "\"quoted.jsonl\""),
        ("TOPICD_KEYWORDS__STOP_WORDS", "[\"said\", \"mr\"]"),
        ("TOPICD_REFIT__MIN_CLUSTER_SIZE", "auto"),
        ("TOPICD_SOURCE__FOLLOW", "true"),
    ];
    let config = load_all("", &environment, &["embed.model=/models/e5 small"]).unwrap();
    assert_eq!(config.source.params().input, Input::File("quoted.jsonl".into()));
    assert!(config.source.params().follow);
    assert_eq!(config.source.params().fields.text, "12345");
    assert!(config.webhook.is_some());
    assert_eq!(config.keywords.params().stop_words, ["said", "mr"]);
}

#[test]
fn all_mistakes_come_at_once_each_with_its_place() {
    let text = "\
[source]
path = 5
speed = -1.0
[refit]
min_cluster_size = 1
min_clustersize = 30
n_neighbors = \"many\"
granularity = 1000.0
[sorce]
path = \"x\"
";
    let environment = [("TOPICD_REFIT__SEED", "-1"), ("TOPICD_HTTP_LISTEN", "x"), ("TOPICD_CACHE", "/c")];
    let found = load_all(text, &environment, &["log.level=loud", "assign"]).unwrap_err();
    let expected = "\
11 mistakes in the configuration:
  `source.path` is 5 (t.toml:2) but must be a string
  `refit.min_clustersize` is unknown (t.toml:6); did you mean `refit.min_cluster_size`?
  `refit.n_neighbors` is \"many\" (t.toml:7) but must be a whole number
  `sorce` is unknown (t.toml:9); did you mean `source`?
  `http.listen` is not set by this variable ($TOPICD_HTTP_LISTEN); did you mean `TOPICD_HTTP__LISTEN`?
  `assign` is without a value (--set); write --set section.key=value
  `source.speed` is -1.0 (t.toml:3) but must be 0 or a positive number of documents a second
  `refit.min_cluster_size` is 1 (t.toml:5) but must be at least 2, or \"auto\"
  `refit.granularity` is 1000.0 (t.toml:8) but must be 0.1 to 100
  `refit.seed` is -1 ($TOPICD_REFIT__SEED) but must be a whole number from 0
  `log.level` is \"loud\" (--set) but must be error, warn, info, debug or trace, or one for each module; \
for example \"info,topicd::pipeline=debug\"";
    assert_eq!(found, expected);
}

#[test]
fn a_variable_that_looks_like_a_key_is_not_left_out_in_silence() {
    for (name, meant) in [
        ("TOPICD_REFIT_MIN_CLUSTER_SIZE", "did you mean `TOPICD_REFIT__MIN_CLUSTER_SIZE`?"),
        ("TOPICD_MIN_CLUSTER_SIZE", "did you mean `TOPICD_REFIT__MIN_CLUSTER_SIZE`?"),
        ("topicd_source__path", "did you mean `TOPICD_SOURCE__PATH`?"),
        ("TOPICD_LOG", "name a key of it, such as `TOPICD_LOG__FORMAT`"),
        ("TOPICD_EMBED_REMOTE", "name a key of it, such as `TOPICD_EMBED__REMOTE__BATCH_TEXTS`"),
    ] {
        let found = load_all("", &[(name, "1")], &[]).unwrap_err();
        assert!(found.contains(&format!("is not set by this variable (${name}); {meant}")), "{found}");
    }
    // What an orchestrator sets for a service of this name.
    for name in ["TOPICD_CACHE", "TOPICD_PORT", "TOPICD_SERVICE_HOST", "TOPICD_PORT_9464_TCP", "topicd_x__y"]
    {
        assert!(load_all("", &[(name, "1")], &[]).is_ok(), "{name}");
    }
}

#[test]
fn what_has_a_place_of_its_own_is_not_mixed() {
    let expected =
        "`state.directory` is \"~/x\" (t.toml:2) but nobody replaces the `~` here; write the whole path";
    assert_eq!(mistakes("[state]\ndirectory = \"~/x\""), expected);
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).unwrap();
    let at = |path: &str| folder.path().join(path).display().to_string();
    let load = |state: &str, output: &str, source: &str| {
        let overrides = [
            format!("state.directory={}", at(state)),
            format!("output.directory={}", at(output)),
            format!("source.path={}", at(source)),
        ];
        load_all("", &[], &overrides.each_ref().map(String::as_str)).map(drop)
    };
    for output in ["data", "./data", "new/../data", "link/data"] {
        let found = load("data", output, "a.jsonl").unwrap_err();
        assert!(found.contains("(--set) but must be another folder than `state.directory`"), "{found}");
    }
    let found = load("state", "out", "link/out/events.jsonl").unwrap_err();
    assert!(found.starts_with("`source.path` is ") && found.contains("topicd writes that file"), "{found}");
    load("state", "state/output", "out/events.jsonl").unwrap();
}

#[test]
fn each_kind_of_mistake_reads_well() {
    for (text, expected) in [
        (
            "[source]\ntype = \"tcp\"",
            "`source.type` (t.toml:2): unknown variant `tcp`, expected one of `file`, `stdin`, `kafka`",
        ),
        (
            "[source]\ntype = \"stdin\"\nfollow = true",
            "`source.follow` is true (t.toml:3) but must be false for stdin, which ends when its writer closes it",
        ),
        ("source = 3", "`source` is 3 (t.toml:1) but must be a table"),
        ("[refit]\nseed = { a = 1 }", "`refit.seed` is a table (t.toml:2) but must be a whole number"),
        (
            "[refit]\nmin_cluster_size = true",
            "`refit.min_cluster_size` is true (t.toml:2) but must be a whole number or a string such as \"auto\"",
        ),
        (
            "[refit]\nmin_cluster_size = \"big\"",
            "`refit.min_cluster_size` (t.toml:2): `big` is neither a number nor \"auto\"",
        ),
        ("seed = 5", "`seed` is unknown (t.toml:1); did you mean `refit.seed`?"),
        ("zzz = 5", "`zzz` is unknown (t.toml:1); config/topicd.toml lists every key"),
        (
            "[http]\nlisten = \"9464\"",
            "`http.listen` is \"9464\" (t.toml:2) but must be an address and a port, such as 127.0.0.1:9464 or localhost:9464",
        ),
        (
            "[source]\nbatch_documents = -1",
            "`source.batch_documents` is -1 (t.toml:2) but must be a whole number from 0",
        ),
        (
            "[notify]\nurl = \"https://h.example\"\ntimeout_ms = 0",
            "`notify.timeout_ms` is 0 (t.toml:3) but must be from 1 to 3600000; leave it out for the default",
        ),
        (
            "[notify]\nmax_attempts = 3",
            "`notify.max_attempts` is unknown (t.toml:2); `notify.max_age` took its place",
        ),
        (
            "[notify]\nmax_age = \"soon\"",
            "`notify.max_age` is \"soon\" (t.toml:2) but must be a time of at most a year, such as \"90m\", \"24h\" or \"7d\"",
        ),
        (
            "keywords.n_gram_range = 2",
            "`keywords.n_gram_range` is 2 (t.toml:1) but must be a list such as [1, 1]",
        ),
    ] {
        assert_eq!(mistakes(text), expected);
    }
}

#[test]
fn each_kind_of_mistake_in_words_and_lists_reads_well() {
    for (text, expected) in [
        ("[notify]\nsecret = [\"hush\"]", "`notify.secret` is a list (t.toml:2) but must be a string"),
        (
            "[output]\ndirectory = \"\"",
            "`output.directory` is \"\" (t.toml:2) but must be the path of a folder; leave it out for the default",
        ),
        (
            "[output]\nsegment_bytes = 5",
            "`output.segment_bytes` is 5 (t.toml:2) but must be 0 or at least 1024",
        ),
        (
            "[output]\nsegment_age = \"soon\"",
            "`output.segment_age` is \"soon\" (t.toml:2) but must be a time of at most a year, such as \"1h\", \"24h\" or \"7d\"",
        ),
        (
            "[output]\nkeep = 5",
            "`output.keep` is 5 (t.toml:2) but no file is ever closed; set `output.segment_bytes` or `output.segment_age` too",
        ),
        (
            "[keywords]\nlanguages = [\"Englsh\"]",
            "`keywords.languages` (t.toml:2): `keywords.languages` holds `Englsh`, for which no stop words are known; \
          did you mean `english`?",
        ),
        (
            "[source.fields]\ntexts = \"x\"",
            "`source.fields.texts` is unknown (t.toml:2); did you mean `source.fields.text`?",
        ),
        ("[embed]\nmax_tokens = 4", "`embed.max_tokens` is 4 (t.toml:2) but must be at least 8"),
    ] {
        assert_eq!(mistakes(text), expected);
    }
}

#[test]
fn what_is_no_toml_is_named_with_its_line() {
    let found = mistakes("[source]\npath = \n[refit]\nseed = 1\nseed = 2\n");
    assert!(found.contains("t.toml:2: not toml:") && found.contains("t.toml:5: not toml:"), "{found}");
}

#[test]
fn a_host_may_be_listened_on_by_its_name() {
    let config = load_all("", &[], &["http.listen=localhost:9464"]).unwrap();
    assert!(config.http.listen.ip().is_loopback(), "{}", config.http.listen);
    assert_eq!(config.http.listen.port(), 9464);
}

#[test]
fn a_missing_file_is_named() {
    let layers = Layers { file: Some(Path::new("/nowhere/t.toml")), ..Layers::default() };
    let error = load_layers(&layers).unwrap_err();
    assert!(error.to_string().contains("`/nowhere/t.toml`"), "{error}");
}

#[test]
fn of_two_values_only_the_one_in_force_is_judged() {
    assert!(load_all("[refit]\ngranularity = 0.0", &[("TOPICD_REFIT__GRANULARITY", "0.5")], &[]).is_ok());
}

/// A key's comment says its unit and meaning, so none stands without one.
#[test]
fn every_key_has_a_comment() {
    let (mut commented, mut quoted) = (false, false);
    for line in DEFAULTS.lines() {
        match line.chars().next() {
            _ if quoted => {}
            Some('#') => commented = true,
            None | Some('[') => commented = false,
            Some(_) => assert!(commented, "{line}"),
        }
        // A value of several lines goes on to the next mark.
        quoted ^= line.matches("\"\"\"").count() == 1;
    }
}

#[test]
fn a_stop_word_file_is_read_and_a_missing_one_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("words.txt");
    fs_err::write(&path, "# ours\nreuters\n").unwrap();
    let set = |path: &Path| format!("keywords.stop_words_file={}", path.display());
    let config = load_all("", &[], &[&set(&path)]).unwrap();
    assert_eq!(config.keywords.params().stop_words, ["reuters"]);
    let missing = load_all("", &[], &[&set(&folder.path().join("none"))]).unwrap_err();
    assert!(missing.contains("stop_words_file") && missing.contains("cannot be read"), "{missing}");
}
