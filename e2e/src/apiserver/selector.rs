//! Label and field selectors, as they stand in query strings and in `metav1.LabelSelector`s.

use serde_json::Value;

use super::failure::Failure;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

/// All requirements must hold. Empty selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Vec<Requirement>);

/// `path=value` and `path!=value`; the paths are those of the object's JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, bool, String)>);

impl Labels {
    pub fn parse(text: &str) -> Result<Self, Failure> {
        split_outside_parentheses(text)
            .into_iter()
            .map(requirement)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// From a `LabelSelector` object. A selector that is not there selects nothing, an empty one
    /// everything; the caller knows which of the two an absent field means.
    pub fn from_object(selector: &Value) -> Self {
        let mut all = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            all.push(Requirement::In(key.clone(), vec![text_of(value)]));
        }
        for row in selector["matchExpressions"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let key = text_of(&row["key"]);
            let values: Vec<String> = row["values"]
                .as_array()
                .into_iter()
                .flatten()
                .map(text_of)
                .collect();
            all.push(match row["operator"].as_str().unwrap_or_default() {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "DoesNotExist" => Requirement::Absent(key),
                _ => Requirement::Exists(key),
            });
        }
        Self(all)
    }

    pub fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.0.iter().all(|requirement| match requirement {
            Requirement::Exists(key) => labels.get(key).is_some(),
            Requirement::Absent(key) => labels.get(key).is_none(),
            Requirement::In(key, values) => value_is_in(labels, key, values),
            Requirement::NotIn(key, values) => !value_is_in(labels, key, values),
        })
    }
}

fn value_is_in(labels: &Value, key: &str, values: &[String]) -> bool {
    labels
        .get(key)
        .and_then(Value::as_str)
        .is_some_and(|got| values.iter().any(|v| v == got))
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

fn requirement(text: &str) -> Result<Requirement, Failure> {
    let bad = || Failure::bad_request(format!("unable to parse requirement: {text}"));
    if let Some((key, list)) = text
        .split_once(" notin ")
        .or_else(|| text.split_once(" notin("))
    {
        return Ok(Requirement::NotIn(key.trim().into(), values_of(list)));
    }
    if let Some((key, list)) = text.split_once(" in ").or_else(|| text.split_once(" in(")) {
        return Ok(Requirement::In(key.trim().into(), values_of(list)));
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Ok(Requirement::NotIn(
            key.trim().into(),
            vec![value.trim().into()],
        ));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Requirement::In(
            key.trim().into(),
            vec![value.trim().into()],
        ));
    }
    if text.contains([' ', '(', ')']) {
        return Err(bad());
    }
    Ok(match text.strip_prefix('!') {
        Some(key) => Requirement::Absent(key.trim().into()),
        None => Requirement::Exists(text.into()),
    })
}

fn values_of(list: &str) -> Vec<String> {
    list.trim_matches(['(', ')', ' '])
        .split(',')
        .map(|v| v.trim().to_owned())
        .collect()
}

impl Fields {
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        parts
            .map(field_requirement)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn by_name(name: &str) -> Self {
        Self(vec![("metadata.name".into(), true, name.into())])
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.0
            .iter()
            .all(|(path, equal, wanted)| (field_at(object, path) == *wanted) == *equal)
    }

    /// The name it demands, if it does: RBAC lets a list of one named object count as that name.
    pub fn name(&self) -> Option<&str> {
        let found = self
            .0
            .iter()
            .find(|(path, equal, _)| path == "metadata.name" && *equal);
        found.map(|(_, _, name)| name.as_str())
    }
}

fn field_requirement(text: &str) -> Result<(String, bool, String), Failure> {
    let split = |separator, equal| {
        let (path, value) = text.split_once(separator)?;
        Some((path.trim().to_owned(), equal, value.trim().to_owned()))
    };
    split("!=", false)
        .or_else(|| split("==", true))
        .or_else(|| split("=", true))
        .ok_or_else(|| Failure::bad_request(format!("invalid field selector: {text}")))
}

/// The field's text; an absent field equals the empty text.
fn field_at(object: &Value, path: &str) -> String {
    text_of(path.split('.').fold(object, |at, part| &at[part]))
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors_select_what_they_say() {
        let object = json!({ "metadata": { "labels": { "app": "kv", "tier": "db" } } });
        let table = [
            ("", true),
            ("app", true),
            ("!app", false),
            ("!zone", true),
            ("app=kv,tier==db", true),
            ("app!=kv", false),
            ("zone!=a", true),
            ("app in (kv, web),tier notin (x)", true),
            ("app notin (kv)", false),
            ("app in (web)", false),
        ];
        for (selector, expected) in table {
            assert_eq!(
                Labels::parse(selector).unwrap().matches(&object),
                expected,
                "{selector}"
            );
        }
        assert!(Labels::parse("a b").is_err());
    }

    #[test]
    fn field_selectors_treat_an_absent_field_as_empty() {
        let object = json!({ "metadata": { "name": "x" }, "spec": { "nodeName": "n" } });
        let table = [
            ("metadata.name=x", true),
            ("metadata.name!=x", false),
            ("spec.nodeName=n,status.phase!=Failed", true),
            ("status.phase=", true),
            ("status.phase=Running", false),
        ];
        for (selector, expected) in table {
            assert_eq!(
                Fields::parse(selector).unwrap().matches(&object),
                expected,
                "{selector}"
            );
        }
    }
}
