//! Secrets come from files too, and no message shows one.

use super::*;

/// In every value here, and in no message.
const HUSH: &str = "hush-51";

/// A value for the secret at `path`: a text, or a table of one.
fn value(path: &str, text: &str) -> String {
    let table = schema::Schema::embedded().unwrap().default_of(path).unwrap().is_table();
    if table { format!("{{ X-Key = {text:?} }}") } else { format!("{text:?}") }
}

fn secrets() -> Vec<String> {
    schema::Schema::embedded().unwrap().secrets().map(ToOwned::to_owned).collect()
}

fn file(folder: &tempfile::TempDir, contents: &str) -> String {
    let path = folder.path().join("secret");
    fs_err::write(&path, contents).unwrap();
    path.display().to_string()
}

#[test]
fn a_secret_is_not_shown() {
    assert!(secrets().len() >= 11, "{:?}", secrets());
    let address = format!("http://user:{HUSH}@h.example/{HUSH}");
    let set = secrets().into_iter().map(|path| format!("{path}={}", value(&path, &address)));
    let set: Vec<String> = set.chain(["source.type=kafka".to_owned()]).collect();
    let config = load_all("", &[], &set.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert!(!format!("{config:?}").contains(HUSH));
}

#[test]
fn each_secret_may_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let of = |path: &str, file: &str| format!("{path}_file={}", value(path, file));
    for secret in secrets() {
        let two_lines = file(&folder, &format!("{HUSH}\nb\n"));
        let broken = load_all("", &[], &[&of(&secret, &two_lines)]).unwrap_err();
        assert!(broken.contains(&format!("{secret}_file")) && broken.contains("line's end"), "{broken}");
        assert!(broken.contains(&two_lines) && !broken.contains(HUSH), "{broken}");
        let missing = load_all("", &[], &[&of(&secret, "/nowhere/key")]).unwrap_err();
        assert!(missing.contains(&format!("{secret}_file")) && missing.contains("/nowhere/key"), "{missing}");
        let empty = load_all("", &[], &[&of(&secret, &file(&folder, "\n"))]).unwrap_err();
        assert!(empty.contains("is empty"), "{empty}");
        let path = file(&folder, HUSH);
        let both = [of(&secret, &path), format!("{secret}={}", value(&secret, HUSH))];
        let both = load_all("", &[], &[&both[0], &both[1]]).unwrap_err();
        assert!(both.contains(&format!("`{secret}")) && both.contains("leave one of the two out"), "{both}");
        assert!(!both.contains(HUSH), "{both}");
    }
}

#[test]
fn what_a_file_holds_takes_the_place_of_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "w0rd\r\n");
    let text = format!("http.write_token = \"\"\nhttp.write_token_file = {path:?}\n");
    let config = load_all(&text, &[], &[]).unwrap();
    assert_eq!(config.http.token().reveal(), "w0rd");
    assert!(config.files()[0].ends_with("t.toml") && config.files()[1] == Path::new(&path));
    let config = load_all("", &[("TOPICD_HTTP__WRITE_TOKEN_FILE", &path)], &["http.write_token="]).unwrap();
    assert_eq!(config.http.token().reveal(), "w0rd");
    let config = load_all(&text, &[], &["http.write_token_file="]).unwrap();
    assert!(config.http.token().is_empty());
    assert!(load_all(&text, &[("TOPICD_HTTP__WRITE_TOKEN", "other")], &[]).is_err());
}

/// What the rooms say shows that the names and values reached them.
#[test]
fn the_files_of_a_table_fill_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, HUSH);
    let headers = format!("notify.headers={{ A = \"x\" }}\nnotify.headers_file={{ \"X Y\" = {path:?} }}");
    assert!(mistakes(&headers).contains("`X Y`, which is no header"));
    for name in ["\"group.id\"", "group.id"] {
        let found = mistakes(&format!("kafka.settings_file={{ {name} = {path:?} }}"));
        assert!(found.contains("`kafka.settings.group.id`"), "{found}");
        let twice =
            format!("kafka.settings={{ group.id = \"x\" }}\nkafka.settings_file={{ {name} = {path:?} }}");
        assert!(mistakes(&twice).contains("`kafka.settings.group.id` is set too"));
    }
    let key = file(&folder, "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n");
    let pem = format!("source.type=\"kafka\"\nkafka.settings_file={{ ssl.key.pem = {key:?} }}");
    load_all(&pem, &[], &[]).unwrap();
}

#[test]
fn a_line_end_at_the_end_is_cut_and_one_inside_is_a_mistake() {
    for secret in secrets() {
        let set = |text: &str| {
            let set = format!("{secret}={}", value(&secret, text));
            load_all("", &[], &[set.as_str(), "source.type=kafka"])
        };
        set("https://h.example\n").unwrap();
        let broken = set(&format!("https://{HUSH}\nb")).unwrap_err();
        assert!(broken.contains(&format!("`{secret}")) && broken.contains("line's end"), "{broken}");
        assert!(!broken.contains(HUSH), "{broken}");
    }
}

#[test]
fn no_mistake_shows_a_secret() {
    let table = |name: &str| format!("{name} = {{ A = \"{HUSH}\", B = 5151 }}\n");
    let mut wrong: Vec<String> = secrets()
        .iter()
        .flat_map(|secret| {
            // Another type, a table in its place, a list, and what no room takes.
            let text = [format!("{secret} = 5151\n"), format!("{secret} = [\"{HUSH}\"]\n"), table(secret)];
            text.into_iter().chain([format!("{secret} = \"ftp://user:{HUSH}@h.example/x\"\n")])
        })
        .collect();
    wrong.push(format!("label = \"{HUSH}\"\n"));
    wrong.push(format!("label.apikey = \"{HUSH}\"\nnotify.token = \"{HUSH}\"\n"));
    wrong.push(format!("kafka.brokers = \"user:{HUSH}@h,\"\n"));
    wrong.push(format!("label.api_key = \"{HUSH}\"\nlabel.max_wait_ms = 1\n"));
    for text in wrong {
        let found = load_all(&text, &[], &[]).err().unwrap_or_default();
        assert!(!found.contains(HUSH) && !found.contains("5151"), "{text}{found}");
    }
    let settings = [("TOPICD_KAFKA__SETTINGS__SASL_PASSWORD", HUSH), ("TOPICD_LABEL__APIKEY", HUSH)];
    let flags = [
        HUSH.to_owned(),
        format!("label.api_key:{HUSH}"),
        format!("label.apikey={HUSH}"),
        format!("{HUSH}=="),
    ];
    for flag in flags {
        let found = load_all("", &settings, &[&flag]).unwrap_err();
        assert!(!found.contains(HUSH) && found.contains("kafka.settings={"), "{found}");
    }
}

/// A character taken out or put in anywhere makes all kinds of broken files.
#[test]
fn no_broken_file_shows_a_secret() {
    let text = format!(
        "[notify]\nsecret = \"{HUSH}\"\nheaders = {{ A = '{HUSH}' }}\n[label]\napi_key = \"{HUSH}\"\n"
    );
    for at in 0..text.len() {
        let without = format!("{}{}", &text[..at], &text[at + 1..]);
        let with = ["\"", "\n", "=", "'", "[", "\\", " ", "\u{7}"]
            .map(|c| format!("{}{c}{}", &text[..at], &text[at..]));
        for broken in with.iter().chain([&without]) {
            let Err(found) = load_all(broken, &[], &[]) else { continue };
            assert!(!found.contains(HUSH), "{broken}{found}");
        }
    }
}
