//! How topicd's own topics are made, and what is wrong with one that was made otherwise.

use super::error::Error;
use crate::transport::brokers::LEAST_MESSAGE_BYTES;

/// A topic of ours.
pub(super) struct Kind {
    /// Its key below `kafka.topics`.
    pub key: &'static str,
    /// One partition; else as many as the documents have.
    pub single: bool,
    /// What it is made with.
    pub settings: &'static [Setting],
}

/// A setting of a topic that is made.
pub(super) struct Setting {
    pub name: &'static str,
    pub value: &'static str,
    rule: Rule,
}

/// What a topic must have that was made by somebody else.
enum Rule {
    /// This value; without it nothing works.
    Is,
    /// This number, or a smaller one.
    AtMost,
    /// This number, or a larger one.
    AtLeast,
    /// Whatever its owner wants.
    Free,
}

/// What is wrong with a setting.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub name: &'static str,
    pub found: String,
    pub must: String,
    /// With what it is mended.
    pub mend: &'static str,
    /// Records are lost or refused; else, erased texts stay for long and a start takes long.
    pub is_fault: bool,
}

/// Evidence is kept for a week, so that a modeler may be away for days. Events have one partition, so that they are told in
/// the order of their numbers.
///
/// Where the newest record of a key counts, Kafka deletes the older ones, but never in the segment that is written to. So
/// that they are gone after two hours, segments are short and no record waits for long. A record of the state is at most
/// some MB.
pub(super) const KINDS: [Kind; 7] = [
    Kind { key: "assignments", single: false, settings: &[] },
    Kind {
        key: "evidence",
        single: true,
        settings: &[
            Setting::is("cleanup.policy", "delete"),
            Setting::free("retention.ms", "604800000"),
            Setting::at_most("segment.ms", "86400000"),
            LARGE,
        ],
    },
    Kind { key: "model", single: true, settings: &[COMPACT, SHORT, YOUNG, SMALL, CLEAN, LARGE] },
    Kind { key: "state", single: true, settings: &[COMPACT, SHORT, YOUNG, SMALL, CLEAN, LARGE] },
    Kind { key: "topics", single: true, settings: &[COMPACT, SHORT, YOUNG, SMALL, CLEAN] },
    Kind { key: "events", single: true, settings: &[] },
    Kind { key: "dead_letters", single: false, settings: &[] },
];
const COMPACT: Setting = Setting::is("cleanup.policy", "compact");
const SHORT: Setting = Setting::at_most("segment.ms", "3600000");
const YOUNG: Setting = Setting::at_most("max.compaction.lag.ms", "3600000");
const SMALL: Setting = Setting::at_most("segment.bytes", "67108864");
const CLEAN: Setting = Setting::at_most("min.cleanable.dirty.ratio", "0.2");
const LARGE: Setting = Setting { name: "max.message.bytes", value: "16777216", rule: Rule::AtLeast };

impl Setting {
    const fn is(name: &'static str, value: &'static str) -> Self {
        Self { name, value, rule: Rule::Is }
    }

    const fn at_most(name: &'static str, value: &'static str) -> Self {
        Self { name, value, rule: Rule::AtMost }
    }

    const fn free(name: &'static str, value: &'static str) -> Self {
        Self { name, value, rule: Rule::Free }
    }

    /// What is wrong with `found`, if anything.
    fn judge(&self, found: String) -> Option<Difference> {
        let number = |text: &str| text.parse::<f64>().ok();
        let (is_good, must) = match (&self.rule, number(&found), number(self.value)) {
            (Rule::Is, ..) => (found == self.value, self.value.to_owned()),
            (Rule::AtMost, Some(found), Some(most)) => (found <= most, format!("at most {}", self.value)),
            (Rule::AtLeast, Some(found), Some(least)) => (found >= least, format!("at least {}", self.value)),
            (Rule::Free, ..) | (_, None, _) | (.., None) => return None,
        };
        let is_fault = matches!(self.rule, Rule::Is);
        let (name, mend) = (self.name, self.value);
        (!is_good).then_some(Difference { name, found, must, mend, is_fault })
    }
}

impl Kind {
    /// What is wrong with a topic of this kind that has the values `found`.
    pub(super) fn differences(&self, found: impl Fn(&str) -> Option<String>) -> Vec<Difference> {
        let mut differences: Vec<Difference> =
            self.settings.iter().filter_map(|setting| setting.judge(found(setting.name)?)).collect();
        let least = LEAST_MESSAGE_BYTES;
        if let Some(found) =
            found("max.message.bytes").filter(|found| found.parse().is_ok_and(|n: u64| n < least))
        {
            differences.retain(|difference| difference.name != "max.message.bytes");
            let must = format!("at least {least}");
            let mend = self.settings.iter().find(|setting| setting.name == "max.message.bytes");
            let mend = mend.map_or("1048588", |large| large.value);
            differences.push(Difference { name: "max.message.bytes", found, must, mend, is_fault: true });
        }
        differences
    }
}

/// What is said of `topic` with these `differences`: what loses or refuses records, and what is only not well.
pub(super) fn complaints(
    brokers: &str,
    topic: &str,
    differences: Vec<Difference>,
) -> (Vec<Error>, Option<Error>) {
    let (faults, blemishes): (Vec<_>, Vec<_>) =
        differences.into_iter().partition(|difference| difference.is_fault);
    let topic = topic.to_owned();
    let fault = |difference: Difference| {
        let mend = command(brokers, &topic, std::slice::from_ref(&difference));
        let Difference { name: setting, found, must, .. } = difference;
        Error::TopicSetting { topic: topic.clone(), setting, found, must, mend }
    };
    let faults = faults.into_iter().map(fault).collect();
    let found: Vec<String> = blemishes
        .iter()
        .map(|Difference { name, found, must, .. }| format!("`{name}` = {found} (should be {must})"))
        .collect();
    let mend = command(brokers, &topic, &blemishes);
    let blemish = (!found.is_empty()).then(|| Error::TopicSettings {
        topic: topic.clone(),
        found: found.join(", "),
        mend,
    });
    (faults, blemish)
}

/// The command with which `topic` is mended.
fn command(brokers: &str, topic: &str, differences: &[Difference]) -> String {
    let settings: Vec<String> =
        differences.iter().map(|difference| format!("{}={}", difference.name, difference.mend)).collect();
    let settings = settings.join(",");
    format!(
        "kafka-configs --bootstrap-server {brokers} --alter --entity-type topics --entity-name {topic} --add-config {settings}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(key: &str) -> &'static Kind {
        static ALL: [Kind; 7] = KINDS;
        ALL.iter().find(|kind| kind.key == key).unwrap()
    }

    #[test]
    fn a_topic_as_we_make_it_is_as_it_must_be() {
        for kind in &KINDS {
            let made = |name: &str| {
                let setting = kind.settings.iter().find(|setting| setting.name == name);
                setting.map(|setting| setting.value.to_owned())
            };
            assert_eq!(kind.differences(made), [], "{}", kind.key);
            assert_eq!(kind.differences(|_| None), [], "who may not look says nothing");
        }
    }

    #[test]
    fn a_topic_as_brokers_make_it_keeps_what_was_erased() {
        let default = |name: &str| {
            let value = match name {
                "cleanup.policy" => "compact",
                "segment.ms" => "604800000",
                "max.compaction.lag.ms" => "9223372036854775807",
                "segment.bytes" => "1073741824",
                "min.cleanable.dirty.ratio" => "0.5",
                _ => "1048588",
            };
            Some(value.to_owned())
        };
        let differences = kind("state").differences(default);
        assert_eq!(differences.len(), 5);
        assert!(differences.iter().all(|difference| !difference.is_fault));
        let command = command("b:9092", "topicd.state", &differences);
        assert!(command.contains("--entity-name topicd.state --add-config segment.ms=3600000,"), "{command}");
        assert!(command.ends_with("min.cleanable.dirty.ratio=0.2,max.message.bytes=16777216"), "{command}");
        assert_eq!(kind("events").differences(default), []);
    }

    #[test]
    fn what_loses_or_refuses_records_is_a_fault() {
        let found = |name: &str| Some(if name == "cleanup.policy" { "delete" } else { "100" }.to_owned());
        let faults = kind("topics").differences(found);
        let faults: Vec<_> = faults.iter().filter(|fault| fault.is_fault).map(|fault| fault.name).collect();
        assert_eq!(faults, ["cleanup.policy", "max.message.bytes"]);
    }
}
