//! The part of Kubernetes' JSONPath that printer columns use: fields, quoted fields, indexes,
//! `[*]` and filters by equality.

use serde_json::Value;

#[derive(Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Every,
    /// Elements whose field at this path compares to this text.
    Where {
        path: String,
        equal: bool,
        wanted: String,
    },
}

/// Every value at the path; a path that makes no sense finds nothing.
pub fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![object];
    for step in steps(path) {
        found = found
            .into_iter()
            .flat_map(|value| take(value, &step))
            .collect();
    }
    found
}

fn take<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Every => match value {
            Value::Array(list) => list.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => Vec::new(),
        },
        Step::Index(at) => {
            let Some(list) = value.as_array() else {
                return Vec::new();
            };
            let at = if *at < 0 { list.len() as i64 + at } else { *at };
            usize::try_from(at)
                .ok()
                .and_then(|at| list.get(at))
                .into_iter()
                .collect()
        }
        Step::Where {
            path,
            equal,
            wanted,
        } => {
            let list = value.as_array().into_iter().flatten();
            list.filter(|item| is_at(item, path, wanted) == *equal)
                .collect()
        }
    }
}

fn is_at(item: &Value, path: &str, wanted: &str) -> bool {
    find(item, path).first().is_some_and(|value| match value {
        Value::String(text) => text == wanted,
        other => **other == serde_json::from_str::<Value>(wanted).unwrap_or_default(),
    })
}

fn steps(path: &str) -> Vec<Step> {
    let mut rest = path
        .trim()
        .trim_start_matches('{')
        .trim_end_matches('}')
        .trim_start_matches('$');
    let mut all = Vec::new();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let end = closing(inner);
            all.extend(bracket(&inner[..end]));
            rest = inner.get(end + 1..).unwrap_or("");
        } else {
            rest = rest.trim_start_matches('.');
            let end = field_end(rest);
            let name = rest[..end].replace("\\.", ".");
            if name == "*" {
                all.push(Step::Every);
            } else if !name.is_empty() {
                all.push(Step::Field(name));
            }
            rest = &rest[end..];
        }
    }
    all
}

/// Where the bracket closes that was open before this text.
fn closing(text: &str) -> usize {
    let (mut depth, mut quote) = (1, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// A field name ends at a dot or bracket; `\.` belongs to it.
fn field_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\\' => escaped = true,
            '.' | '[' if !escaped => return at,
            _ => escaped = false,
        }
    }
    text.len()
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches(['\'', '"']).to_owned()
}

fn bracket(text: &str) -> Option<Step> {
    let text = text.trim();
    if text == "*" {
        return Some(Step::Every);
    }
    if let Some(filter) = text.strip_prefix("?(").and_then(|t| t.strip_suffix(')')) {
        let (equal, separator) = if filter.contains("!=") {
            (false, "!=")
        } else {
            (true, "==")
        };
        let (path, wanted) = filter.split_once(separator)?;
        let path = path.trim().trim_start_matches('@').to_owned();
        return Some(Step::Where {
            path,
            equal,
            wanted: unquoted(wanted),
        });
    }
    match text.parse() {
        Ok(at) => Some(Step::Index(at)),
        Err(_) => Some(Step::Field(unquoted(text))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::find;

    #[test]
    fn paths_find_what_printer_columns_show() {
        let object = json!({
            "metadata": { "labels": { "app.io/name": "x" } },
            "status": {
                "conditions": [
                    { "type": "Ready", "status": "True" }, { "type": "Other", "status": "False" },
                ],
                "shards": [{ "n": 1 }, { "n": 2 }],
            },
        });
        let table = [
            (
                ".status.conditions[?(@.type==\"Ready\")].status",
                json!(["True"]),
            ),
            (
                ".status.conditions[?(@.type!='Ready')].status",
                json!(["False"]),
            ),
            (".status.shards[*].n", json!([1, 2])),
            (".status.shards[-1].n", json!([2])),
            (".metadata.labels['app.io/name']", json!(["x"])),
            (".metadata.labels.app\\.io/name", json!(["x"])),
            (".status.absent.field", json!([])),
        ];
        for (path, expected) in table {
            assert_eq!(json!(find(&object, path)), expected, "{path}");
        }
    }
}
