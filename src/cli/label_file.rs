//! Files with the names of classes: a list of names, or the files that training tools write.

use std::path::Path;

use oaktap::frame::LabelMap;
use serde_json::Value;

use super::present;
use super::text_file::read_text;

/// Help of every error about a label file.
const EXPECTED: &str = "--labels takes a text file with one name per line, starting with class 0; a data.yaml with \
                        `names:`; or a JSON file with a list of names, `mappings.labels`, `classes`, `names`, \
                        `id2label` or COCO `categories`";

/// Places of the names in the JSON and YAML files of training tools, tried in this order.
const PLACES: [&[&str]; 8] = [
    // Beside a blob of Luxonis' model zoo.
    &["mappings", "labels"],
    &["nn_config", "mappings", "labels"],
    // config.json of a Luxonis NN archive.
    &["model", "heads", "0", "metadata", "classes"],
    // data.yaml of Ultralytics.
    &["names"],
    &["labels"],
    &["classes"],
    // config.json of Hugging Face.
    &["id2label"],
    // COCO annotations.
    &["categories"],
];

/// Reads the names of classes from a file: YAML for `.yaml` and `.yml`, JSON for `.json` and text that begins like JSON,
/// one name per line otherwise.
///
/// # Errors
/// The file cannot be read, or has no names of classes in one of the expected places.
pub(crate) fn read_labels(path: &Path) -> anyhow::Result<LabelMap> {
    let labels = read_text(path).and_then(|text| {
        parse(&text, path).map_err(|found| anyhow::anyhow!("cannot read label names from {}: {found}", path.display()))
    });
    labels.map_err(|error| present::advised(error, EXPECTED))
}

fn parse(text: &str, path: &Path) -> Result<LabelMap, String> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    let names = match &*extension {
        "json" => from_json(text)?,
        "yaml" | "yml" => from_yaml(text)?,
        _ if looks_like_json(text) => from_json(text)?,
        _ if text.lines().any(|line| line.trim_end() == "names:" || line.starts_with("names: ")) => from_yaml(text)?,
        _ => match numbered(text) {
            Some(names) => names,
            None => from_lines(text)?,
        },
    };
    if names.is_empty() { Err("no name found".to_owned()) } else { Ok(names) }
}

/// Returns whether the text begins with an object or a list. `[section]` begins a TOML file.
fn looks_like_json(text: &str) -> bool {
    let text = text.trim_start();
    let in_list = text.strip_prefix('[').map(str::trim_start);
    text.starts_with('{') || in_list.is_some_and(|items| items.starts_with(['"', '{', '[']))
}

fn from_json(text: &str) -> Result<LabelMap, String> {
    let document = serde_json::from_str(text).map_err(|error| format!("invalid JSON: {error}"))?;
    from_document(&document)
}

fn from_yaml(text: &str) -> Result<LabelMap, String> {
    // The first line of the error; the others quote the file.
    let first_line = |error: String| error.lines().next().unwrap_or_default().to_owned();
    let document =
        serde_saphyr::from_str(text).map_err(|error| format!("invalid YAML: {}", first_line(error.to_string())))?;
    from_document(&document)
}

/// Reads `0: person`, `0,person`, `0;person` or `0 person` on every line; the first may be the title of a table. Returns
/// `None` if another line has no number.
fn numbered(text: &str) -> Option<LabelMap> {
    let entry = |line: &str| {
        let (number, name) = line.trim().split_once([':', ',', ';', ' ', '\t'])?;
        Some((number.parse::<u32>().ok()?, name.trim().to_owned()))
    };
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
    if lines.peek().is_some_and(|title| entry(title).is_none()) {
        lines.next();
    }
    let entries: Vec<_> = lines.map(entry).collect::<Option<_>>()?;
    let mut names = LabelMap::default();
    entries.iter().for_each(|(label, name)| names.insert(*label, name));
    (!names.is_empty()).then_some(names)
}

/// Reads one name per line. Rejects lines of other kinds of files, which would become names.
fn from_lines(text: &str) -> Result<LabelMap, String> {
    let is_foreign = |line: &str| {
        line.starts_with(['<', '{', '}', '[', '#', '%'])
            || line.ends_with(['{', '[', ':'])
            || line.contains(" = ")
            || line.contains(char::is_control)
    };
    match text.lines().zip(1..).find(|(line, _)| is_foreign(line.trim())) {
        Some((line, number)) => {
            let line: String = line.trim().chars().take(60).collect();
            Err(format!("line {number} is not a name: {line:?}"))
        }
        None => Ok(LabelMap::from_lines(text)),
    }
}

/// Finds the names in the document of a training tool; otherwise the document itself must be a list of names.
fn from_document(document: &Value) -> Result<LabelMap, String> {
    let found = PLACES.iter().find_map(|place| {
        let value = place.iter().try_fold(document, |value, key| match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            value => value.get(key),
        });
        value.map(|value| (place, value))
    });
    match found {
        Some((place, value)) => names(value).map_err(|error| format!("`{}`: {error}", place.join("."))),
        None => names(document),
    }
}

/// Returns the names of a list of names, of a map from numbers to names, or of COCO's list of categories.
fn names(value: &Value) -> Result<LabelMap, String> {
    let mut names = LabelMap::default();
    let mut insert = |label: Option<u32>, name: Option<&str>| match (label, name.map(str::trim)) {
        (Some(label), Some(name)) => {
            if !name.is_empty() {
                names.insert(label, name);
            }
            Ok(())
        }
        _ => Err("expected a list of names, or numbers with names".to_owned()),
    };
    match value {
        Value::Array(items) => {
            for (item, at) in items.iter().zip(0..) {
                match item {
                    Value::Object(category) => {
                        let id = category.get("id").and_then(Value::as_u64).and_then(|id| id.try_into().ok());
                        insert(id, category.get("name").and_then(Value::as_str))?;
                    }
                    item => insert(Some(at), item.as_str())?,
                }
            }
        }
        Value::Object(members) => {
            for (key, name) in members {
                insert(key.trim().parse().ok(), name.as_str())?;
            }
        }
        _ => insert(None, None)?,
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, text: &str) -> Result<Vec<String>, String> {
        parse(text, Path::new(file)).map(|names| names.iter().map(|(label, name)| format!("{label} {name}")).collect())
    }

    #[test]
    fn files_of_training_tools_are_read() {
        let files = [
            ("names.txt", "\u{FEFF}helmet\r\nhard hat\r\n"),
            ("obj.names", "helmet\nhard hat"),
            ("labels", "0: helmet\n1: hard hat\n"),
            ("labels.csv", "id,name\n0,helmet\n1,hard hat\n"),
            ("map.txt", "0 helmet\n1 hard hat\n"),
            ("data.yaml", "train: images/train\nnc: 2\nnames:\n  0: helmet\n  1: hard hat\n"),
            ("data.YML", "names: ['helmet', \"hard hat\"]\nnc: 2\n"),
            ("data.txt", "nc: 2\nnames:\n- helmet\n- hard hat\n"),
            ("model.json", r#"{"nn_config": {}, "mappings": {"labels": ["helmet", "hard hat"]}}"#),
            ("config.json", r#"{"model": {"heads": [{"metadata": {"classes": ["helmet", "hard hat"]}}]}}"#),
            ("config.json", r#"{"id2label": {"0": "helmet", "1": "hard hat"}, "label2id": {}}"#),
            ("list.txt", r#"["helmet", "hard hat"]"#),
            ("map.json", r#"{"0": "helmet", "1": "hard hat"}"#),
            (
                "coco.json",
                r#"{"images": [], "categories": [{"id": 0, "name": "helmet"}, {"id": 1, "name": "hard hat"}]}"#,
            ),
        ];
        for (file, text) in files {
            assert_eq!(
                read(file, text).as_deref(),
                Ok(&["0 helmet".to_owned(), "1 hard hat".to_owned()][..]),
                "{file} {text}"
            );
        }
    }

    #[test]
    fn names_that_look_odd_are_names() {
        assert_eq!(
            read("names.txt", "=1+1\n-7\n\ntench, Tinca tinca\n").unwrap(),
            ["0 =1+1", "1 -7", "3 tench, Tinca tinca"]
        );
        assert_eq!(read("names.txt", "3 wheeler\ncar\n").unwrap(), ["0 3 wheeler", "1 car"]);
    }

    #[test]
    fn other_files_are_refused_with_what_was_found() {
        let files = [
            (
                "oaktap.toml",
                "[application.model]\nlabels = [\"person\"]\n",
                "line 1 is not a name: \"[application.model]\"",
            ),
            ("map.pbtxt", "item {\n  id: 1\n}\n", "line 1 is not a name: \"item {\""),
            ("labels.xml", "<names>\n", "line 1 is not a name: \"<names>\""),
            ("model.blob", "a\u{0}b", "line 1 is not a name"),
            ("data.yaml", "train: images\nnc: 2\n", "expected a list of names, or numbers with names"),
            ("data.yaml", "names: helmet\n", "`names`: expected a list of names"),
            ("data.yaml", "names: [unclosed\n", "invalid YAML"),
            ("model.json", r#"{"mappings": {"labels": [1, 2]}}"#, "`mappings.labels`: expected a list of names"),
            ("model.json", "{", "invalid JSON"),
            ("empty.txt", "\n\n", "no name found"),
        ];
        for (file, text, wanted) in files {
            let error = read(file, text).expect_err(file);
            assert!(error.contains(wanted), "{file}: {error}");
        }
    }

    #[test]
    fn hostile_yaml_ends_with_an_error() {
        let deep = "[".repeat(100_000);
        let bomb = (1..30).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
            text + &format!("a{n}: &a{n} [*a{m}, *a{m}, *a{m}, *a{m}]\n", m = n - 1)
        });
        for text in [deep, bomb] {
            assert!(read("data.yaml", &text).is_err());
        }
    }
}
