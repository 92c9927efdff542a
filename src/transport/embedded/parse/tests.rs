use proptest::prelude::*;

use super::*;
use crate::checkpoint::Partition;

fn position() -> Position {
    Position { partition: Partition::new("/data/news.jsonl"), offset: 5120 }
}

fn parser() -> Parser {
    Parser {
        format: Format::Json,
        fields: Fields::default(),
        max_document_bytes: 10_000,
        dimension: Some(3),
        time_format: String::new(),
    }
}

fn parse(line: &str) -> Result<Document, Reason> {
    parser().parse(line.as_bytes(), position()).map_err(|rejection| {
        assert_eq!(rejection.original.bytes, line.as_bytes(), "the original bytes are kept");
        assert_eq!(rejection.position, position());
        rejection.reason
    })
}

#[test]
fn reads_every_field() {
    let line = r#"{"id": "a", "title": "Rain", "text": "It fell.", "timestamp": "2017-01-05",
        "embedding": [0, 3e0, -4], "label": ["weather", "news"], "other": {"deep": [1, {}]}}"#;
    let expected = Document {
        id: "a".into(),
        text: "Rain. It fell.".into(),
        timestamp_ms: Some(1_483_574_400_000),
        label: Some("weather".into()),
        embedding: Some(vec![0.0, 0.6, -0.8]),
        fields: document::Fields::default(),
        left_out: Vec::new(),
        position: position(),
        original: Original { bytes: line.into(), refusals: 0 },
    };
    assert_eq!(parse(line), Ok(expected));
}

#[test]
fn fields_have_the_names_that_are_configured() {
    let fields = Fields {
        id: "doi".into(),
        text: "abstract".into(),
        title: String::new(),
        labels: "section".into(),
        ..Fields::default()
    };
    let parser = Parser { fields, ..parser() };
    let line = r#"{"doi": 7, "abstract": "t", "title": "ignored", "": "ignored", "section": "s", "text": 1}"#;
    let document = parser.parse(line.as_bytes(), position()).unwrap();
    assert_eq!((&*document.id, &*document.text, document.label.as_deref()), ("7", "t", Some("s")));
}

#[test]
fn an_id_is_a_string_a_number_or_the_position() {
    for (id, expected) in [
        (r#""id": "x y","#, "x y"),
        (r#""id": 12,"#, "12"),
        (r#""id": 18446744073709551616,"#, "18446744073709551616"),
        (r#""id": null,"#, "news.jsonl@5120"),
        (r#""id": "","#, "news.jsonl@5120"),
        ("", "news.jsonl@5120"),
    ] {
        assert_eq!(&*parse(&format!(r#"{{{id} "text": "t"}}"#)).unwrap().id, expected);
    }
}

#[test]
fn a_title_is_put_before_a_text_that_lacks_it() {
    for (title, text, expected) in [
        ("Rain", "It fell.", "Rain. It fell."),
        ("Rain?", "It fell.", "Rain? It fell."),
        ("Rain", "Rain fell.", "Rain fell."),
        ("", " It fell. ", "It fell."),
        ("雨。", "降った", "雨。 降った"),
    ] {
        assert_eq!(titled(title, text), expected);
    }
}

#[test]
fn a_label_is_a_string_or_the_first_of_some() {
    for (label, expected) in [
        (r#""a""#, Some("a")),
        (r#"["b", "c"]"#, Some("b")),
        ("[7]", Some("7")),
        ("[]", None),
        ("null", None),
        ("3", Some("3")),
    ] {
        assert_eq!(
            parse(&format!(r#"{{"text": "t", "label": {label}}}"#)).unwrap().label.as_deref(),
            expected
        );
    }
}

#[test]
fn a_tour_of_bad_input() {
    let wrong = |field: &str, found, expected| Reason::WrongType { field: field.into(), found, expected };
    let embedding = |detail: &str| Reason::EmbeddingValue { detail: detail.into() };
    let tour = [
        (r#"{"id": "a"}"#, Reason::NoText { field: "text".into() }),
        (r#"{"text": ""}"#, Reason::EmptyText),
        (r#"{"text": " \n\u00a0\t"}"#, Reason::EmptyText),
        (r#"{"text": null}"#, wrong("text", "null", "a string")),
        (r#"{"text": 5}"#, wrong("text", "a number", "a string")),
        (r#"{"text": ["t"]}"#, wrong("text", "an array", "a string")),
        (r#"{"text": "\ud800"}"#, wrong("text", "a string with a lone surrogate", "a string")),
        (r#"{"title": "without a text"}"#, Reason::NoText { field: "text".into() }),
        (r#"{"title": 5, "text": ""}"#, Reason::EmptyText),
        (r#"{"title": " ", "text": ""}"#, Reason::EmptyText),
        (r#"{"title": " ", "text": null}"#, wrong("text", "null", "a string")),
        (r#"{"text": "t", "embedding": "0"}"#, wrong("embedding", "a string", "an array of numbers")),
        (r#"{"text": "t", "embedding": [1, "2", 3]}"#, wrong("embedding[1]", "a string", "a number")),
        (r#"{"text": "t", "embedding": []}"#, Reason::EmbeddingLength { found: 0, expected: 3 }),
        (r#"{"text": "t", "embedding": [1, 2]}"#, Reason::EmbeddingLength { found: 2, expected: 3 }),
        (r#"{"text": "t", "embedding": [1, null, 3]}"#, embedding("number 1 is null or NaN")),
        (r#"{"text": "t", "embedding": [1, 2, NaN]}"#, embedding("number 2 is null or NaN")),
        (r#"{"text": "t", "embedding": [-Infinity, 2, 3]}"#, embedding("number 0 is null or NaN")),
        (r#"{"text": "t", "embedding": [1, 1e39, 3]}"#, embedding("number 1 is 1e39, too large for 32 bits")),
        (
            r#"{"text": "t", "embedding": [1, 1e999, 3]}"#,
            embedding("number 1 is 1e999, too large for 32 bits"),
        ),
        (r#"{"text": "t", "embedding": [0, -0.0, 0]}"#, embedding("all its numbers are 0")),
    ];
    for (line, reason) in tour {
        assert_eq!(parse(line), Err(reason), "{line}");
    }
}

#[test]
fn an_optional_field_at_fault_never_costs_the_document() {
    for (field, found) in [
        (r#""id": {}"#, "field `id` is an object, not a string or a number"),
        (r#""title": 5"#, "field `title` is a number, not a string"),
        (r#""title": ["x"]"#, "field `title` is an array, not a string"),
        (r#""label": true"#, "field `label` is a boolean, not a string or an array of strings"),
        (r#""label": [{}]"#, "field `label` is an object, not a string or an array of strings"),
        (r#""timestamp": "soon""#, "field `timestamp` is a string that is no time"),
        (r#""timestamp": 1e300"#, "field `timestamp` is a number that is no time"),
        (r#""timestamp": 0"#, "field `timestamp` is a number that is no time"),
        (r#""timestamp": {"$date": []}"#, "field `timestamp` is an object that is no time"),
        (r#""timestamp": [1483610400]"#, "field `timestamp` is an array, not a time"),
    ] {
        let document = parse(&format!(r#"{{"text": "t", {field}}}"#)).unwrap();
        let [left_out] = &document.left_out[..] else { panic!("{field}: {:?}", document.left_out) };
        assert!(left_out.to_string().starts_with(found), "{left_out}");
        let Document { id, text, timestamp_ms, label, .. } = document;
        assert_eq!((&*id, &*text, timestamp_ms, label), ("news.jsonl@5120", "t", None, None), "{field}");
    }
    let both = parse(r#"{"text": "t", "title": 1, "label": {}, "timestamp": ""}"#).unwrap().left_out;
    assert_eq!(both.iter().map(|fault| &*fault.field).collect::<Vec<_>>(), ["title", "label"]);
}

#[test]
fn fields_that_are_kept_have_types() {
    let keep =
        ["product", "user.country", "rating", "new", "sold", "bought", "tags", "code", "missing", "empty"];
    let fields = Fields { keep: keep.map(Into::into).to_vec(), ..Fields::default() };
    let parser = Parser { fields, ..parser() };
    let line = r#"{"text": "t", "product": "phone", "user": {"country": "DE"}, "rating": 4.5, "new": true,
        "sold": "2017-01-05T10:00:00Z", "bought": {"$date": 1483610400000}, "tags": ["a", 2, null, "2017-01-05"],
        "code": "2017", "empty": null, "other": 1}"#;
    let document = parser.parse(line.as_bytes(), position()).unwrap();
    let expected = serde_json::json!({
        "product": "phone", "user.country": "DE", "rating": 4.5, "new": true, "sold": "2017-01-05T10:00:00Z",
        "bought": "2017-01-05T10:00:00Z", "tags": ["a", 2, "2017-01-05T00:00:00Z"], "code": "2017",
    });
    assert_eq!(serde_json::to_value(&document.fields).unwrap(), expected);
    assert_eq!(document.left_out, []);
    let long = "x".repeat(300);
    let line = format!(
        r#"{{"text": "t", "product": "{long}", "rating": 1e999, "user": {{"country": {{}}}}, "new": 1}}"#
    );
    let document = parser.parse(line.as_bytes(), position()).unwrap();
    let faults: Vec<_> = document.left_out.iter().map(|fault| (&*fault.field, fault.found)).collect();
    assert_eq!(
        faults,
        [("product", "a longer string"), ("user.country", "an object"), ("rating", "a number")]
    );
    assert_eq!(document.fields.get("new"), Some(&document::Value::Number(1.0)));
}

#[test]
fn a_title_alone_is_a_document() {
    for text in [r#""""#, r#"" ""#, "null"] {
        let document = parse(&format!(r#"{{"title": " Rain ", "text": {text}}}"#)).unwrap();
        assert_eq!((&*document.text, document.left_out), ("Rain", vec![]));
    }
}

#[test]
fn a_time_may_be_a_string_a_number_or_an_object_of_mongodb() {
    for time in [
        r#""2017-01-05T10:00:00Z""#,
        "1483610400",
        "1483610400000",
        "1483610400000000",
        r#"{"$date": "2017-01-05T10:00:00Z"}"#,
        r#"{"$date": 1483610400000}"#,
        r#"{"$date": {"$numberLong": "1483610400000"}}"#,
    ] {
        let document = parse(&format!(r#"{{"text": "t", "timestamp": {time}}}"#)).unwrap();
        assert_eq!(document.timestamp_ms, Some(1_483_610_400_000), "{time}");
    }
    let parser = Parser { time_format: "%d.%m.%Y".into(), ..parser() };
    let document = parser.parse(br#"{"text": "t", "timestamp": "05.01.2017"}"#, position()).unwrap();
    assert_eq!(document.timestamp_ms, Some(1_483_574_400_000));
}

#[test]
fn what_is_no_json_object_is_refused() {
    for line in [
        "plain",
        "[1]",
        "\"text\"",
        "{\"text\": \"t\"",
        "{} {}",
        "{'text': 't'}",
        "{\"text\": nan}",
        "NaN",
        "null",
    ] {
        assert_eq!(parse(line).unwrap_err().code(), "not_json", "{line}");
    }
    let deep = format!(r#"{{"text": "t", "x": {}}}"#, "[".repeat(5000) + &"]".repeat(5000));
    assert_eq!(
        Parser { max_document_bytes: 1 << 20, ..parser() }.parse(deep.as_bytes(), position()).map(|d| d.text),
        Ok("t".into())
    );
}

#[test]
fn what_is_no_utf8_is_refused_with_the_place() {
    let line = b"{\"text\": \"caf\xe9\"}";
    let rejection = parser().parse(line, position()).unwrap_err();
    assert_eq!(rejection.reason, Reason::NotUtf8 { at: 13 });
    assert_eq!(rejection.original.bytes, line);
}

#[test]
fn of_a_line_that_is_too_long_the_start_is_kept() {
    let line = format!(r#"{{"text": "{}"}}"#, "x".repeat(20_000));
    let rejection = parser().parse(line.as_bytes(), position()).unwrap_err();
    assert_eq!(rejection.reason, Reason::TooLong { bytes: 20_012, max: 10_000 });
    assert_eq!(rejection.original.bytes, &line.as_bytes()[..KEPT_BYTES]);
}

#[test]
fn nan_counts_outside_strings_only() {
    let line = r#"{"score": NaN, "text": "NaN is \"-Infinity\" \\", "x": [-Infinity, Infinity]}"#;
    assert_eq!(parse(line).unwrap().text, r#"NaN is "-Infinity" \"#);
    assert_eq!(nan_as_null(r#"{"text": "NaN"}"#), None);
}

#[test]
fn a_line_of_text_is_a_document() {
    let parser = Parser { format: Format::Lines, ..parser() };
    let document = parser.parse(b" {\"text\": no json \t", position()).unwrap();
    assert_eq!((&*document.id, &*document.text), ("news.jsonl@5120", "{\"text\": no json"));
    assert_eq!(parser.parse("\u{a0}".as_bytes(), position()).unwrap_err().reason, Reason::EmptyText);
}

#[test]
fn the_largest_embedding_has_length_1_all_the_same() {
    let line = r#"{"text": "t", "embedding": [3e38, 0, 3e38]}"#;
    let embedding = parse(line).unwrap().embedding.unwrap();
    assert_eq!(embedding, [std::f32::consts::FRAC_1_SQRT_2, 0.0, std::f32::consts::FRAC_1_SQRT_2]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let _outcome = parser().parse(&line, position());
    }

    #[test]
    fn nearly_json_does_not_make_it_panic(line in r#"\{("(text|id|label|embedding|timestamp)": ?(NaN|-?[0-9]{1,4}(e[0-9]{1,3})?|"[a-z\\"]{0,4}"|\[(null|NaN|1|"a"|,){0,5}\]|\{\}|true),? ?){0,4}\}"#) {
        let _outcome = parser().parse(line.as_bytes(), position());
    }

    #[test]
    fn any_text_comes_through(text in "\\PC{1,40}") {
        prop_assume!(!text.trim().is_empty());
        let line = serde_json::json!({ "text": text }).to_string();
        prop_assert_eq!(parse(&line).unwrap().text, text.trim());
    }
}
