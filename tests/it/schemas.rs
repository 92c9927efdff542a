//! What is brought out is what `config/schemas` says.
//!
//! The part of JSON Schema that stands there is checked here: the crates that know all of it change the features of
//! half the dependencies, which are then built twice. A word that is not known fails, so that nothing goes unchecked.

use serde_json::{Value, json};

/// Every one of `records` fits the schema `name`; there is at least one.
pub(crate) fn check(name: &str, records: &[Value]) {
    let path = format!("{}/config/schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap();
    assert!(!records.is_empty(), "there are records to check by {name}");
    for record in records {
        if let Err(fault) = fits(&schema, &schema, record) {
            panic!("{name} {record}: {fault}");
        }
    }
}

/// Whether `value` fits `schema`, a part of `root`.
fn fits(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    for (word, rule) in schema.as_object().unwrap() {
        let fit = match word.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" | "contentEncoding" | "then"
            | "else" => true,
            "$ref" => {
                fits(root, root.pointer(&rule.as_str().unwrap()[1..]).unwrap(), value)?;
                true
            }
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                other => panic!("unknown type {other}"),
            },
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64() >= rule.as_f64(),
            "maximum" => value.as_f64() <= rule.as_f64(),
            "minLength" => value.as_str().is_some_and(|text| text.len() as u64 >= rule.as_u64().unwrap()),
            "pattern" => regex::Regex::new(rule.as_str().unwrap()).unwrap().is_match(value.as_str().unwrap()),
            "required" => {
                rule.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some())
            }
            "not" => fits(root, rule, value).is_err(),
            "oneOf" => {
                rule.as_array().unwrap().iter().filter(|one| fits(root, one, value).is_ok()).count() == 1
            }
            "if" => {
                let branch = if fits(root, rule, value).is_ok() { "then" } else { "else" };
                fits(root, &schema[branch], value)?;
                true
            }
            "items" => {
                value.as_array().unwrap().iter().try_for_each(|item| fits(root, rule, item))?;
                true
            }
            "properties" => {
                for (key, rule) in rule.as_object().unwrap() {
                    value.get(key).map_or(Ok(()), |value| fits(root, rule, value))?;
                }
                true
            }
            "additionalProperties" => {
                let known = |key: &String| schema["properties"].get(key).is_some();
                let mut more = value.as_object().unwrap().iter().filter(|(key, _)| !known(key));
                match rule {
                    Value::Bool(false) => more.next().is_none(),
                    rule => more.all(|(_, value)| fits(root, rule, value).is_ok()),
                }
            }
            other => panic!("`{other}` is not checked here"),
        };
        if !fit {
            return Err(format!("{value} does not fit {word}: {rule}"));
        }
    }
    Ok(())
}

#[test]
fn a_schema_refuses_what_does_not_fit() {
    let good = json!({
        "id": "d", "topic": -1, "label": "", "similarity": 0.5, "weight": 0.5, "version": 1, "revision": 1,
        "partition": "documents/0", "offset": 7
    });
    check("assignment", std::slice::from_ref(&good));
    for (key, value) in [("previous", json!(3)), ("topic", json!(-2)), ("id", json!(1)), ("other", json!(0))]
    {
        let mut bad = good.clone();
        bad[key] = value;
        assert!(std::panic::catch_unwind(|| check("assignment", &[bad])).is_err(), "{key}");
    }
}
