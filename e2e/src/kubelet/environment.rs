//! A container's environment and command line, as Kubernetes defines them.
//!
//! Pure: Secrets and ConfigMaps come in as maps. `$(NAME)` is replaced by the variable, `$$(NAME)`
//! is a literal `$(NAME)`, and what names no variable stays as it is.

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use std::collections::BTreeMap;

type Texts = BTreeMap<String, String>;

/// What variables may refer to.
#[derive(Debug, Default)]
pub struct Sources {
    pub secrets: BTreeMap<String, Texts>,
    pub config_maps: BTreeMap<String, Texts>,
    pub pod_ip: String,
    pub host_ip: String,
}

/// The variables in order of definition; later ones may use earlier ones.
///
/// # Errors
/// A sentence for the container's `CreateContainerConfigError`.
pub fn variables(
    pod: &Pod,
    container: &Container,
    sources: &Sources,
) -> Result<Vec<(String, String)>, String> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let texts = if let Some(secret) = &from.secret_ref {
            sources.secrets.get(&secret.name)
        } else {
            let map = from.config_map_ref.as_ref();
            map.and_then(|map| sources.config_maps.get(&map.name))
        };
        for (key, value) in texts.into_iter().flatten() {
            set(&mut variables, format!("{prefix}{key}"), value.clone());
        }
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = value_of(pod, container, variable, sources, &variables)? {
            set(&mut variables, variable.name.clone(), value);
        }
    }
    Ok(variables)
}

fn set(variables: &mut Vec<(String, String)>, name: String, value: String) {
    variables.retain(|(known, _)| *known != name);
    variables.push((name, value));
}

fn value_of(
    pod: &Pod,
    container: &Container,
    variable: &EnvVar,
    sources: &Sources,
    known: &[(String, String)],
) -> Result<Option<String>, String> {
    let Some(from) = &variable.value_from else {
        let text = variable.value.as_deref().unwrap_or_default();
        return Ok(Some(expand(text, known)));
    };
    if let Some(field) = &from.field_ref {
        return field_value(pod, field, sources).map(Some);
    }
    if let Some(resource) = &from.resource_field_ref {
        return Ok(Some(resource_value(container, &resource.resource)));
    }
    referenced(from, sources)
}

fn referenced(from: &EnvVarSource, sources: &Sources) -> Result<Option<String>, String> {
    let (kind, texts, key, optional, name) = if let Some(secret) = &from.secret_key_ref {
        let texts = sources.secrets.get(&secret.name);
        ("secret", texts, &secret.key, secret.optional, &secret.name)
    } else if let Some(map) = &from.config_map_key_ref {
        let texts = sources.config_maps.get(&map.name);
        ("configmap", texts, &map.key, map.optional, &map.name)
    } else {
        return Err("an environment variable with an unknown source".to_owned());
    };
    match texts.and_then(|texts| texts.get(key)) {
        Some(value) => Ok(Some(value.clone())),
        None if optional == Some(true) => Ok(None),
        None if texts.is_none() => Err(format!("{kind} \"{name}\" not found")),
        None => Err(format!("couldn't find key {key} in {kind} {name}")),
    }
}

/// A field of the pod, by the downward API's paths.
///
/// # Errors
/// The path is none the downward API knows.
pub fn field_value(
    pod: &Pod,
    field: &ObjectFieldSelector,
    sources: &Sources,
) -> Result<String, String> {
    let spec = pod.spec.as_ref();
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    let path = field.field_path.as_str();
    let value = match path {
        "metadata.name" => text(pod.metadata.name.as_ref()),
        "metadata.namespace" => text(pod.metadata.namespace.as_ref()),
        "metadata.uid" => text(pod.metadata.uid.as_ref()),
        "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_ref())),
        "spec.serviceAccountName" => text(spec.and_then(|spec| spec.service_account_name.as_ref())),
        "status.podIP" | "status.podIPs" => sources.pod_ip.clone(),
        "status.hostIP" | "status.hostIPs" => sources.host_ip.clone(),
        "metadata.labels" => lines(pod.metadata.labels.as_ref()),
        "metadata.annotations" => lines(pod.metadata.annotations.as_ref()),
        _ => {
            let entry = |prefix: &str, map: Option<&Texts>| {
                let key = path.strip_prefix(prefix)?.strip_suffix("']")?;
                Some(text(map.and_then(|map| map.get(key))))
            };
            entry("metadata.labels['", pod.metadata.labels.as_ref())
                .or_else(|| entry("metadata.annotations['", pod.metadata.annotations.as_ref()))
                .ok_or_else(|| format!("field path {path} is not supported"))?
        }
    };
    Ok(value)
}

/// The downward API's file format: `key="value"`, one a line.
fn lines(map: Option<&Texts>) -> String {
    let line = |(key, value): (&String, &String)| format!("{key}={value:?}");
    map.into_iter()
        .flatten()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

fn resource_value(container: &Container, path: &str) -> String {
    let resources = container.resources.as_ref();
    let quantity = resources.and_then(|resources| {
        let (kind, name) = path.split_once('.')?;
        let map = match kind {
            "limits" => resources.limits.as_ref(),
            _ => resources.requests.as_ref(),
        };
        map?.get(name)
    });
    quantity.map_or_else(|| "0".to_owned(), |quantity| quantity.0.clone())
}

/// Replaces `$(NAME)`.
pub fn expand(text: &str, variables: &[(String, String)]) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            expanded.push('$');
            rest = after;
            continue;
        }
        let name = rest
            .strip_prefix("$(")
            .and_then(|inner| inner.split_once(')'));
        let found = name.and_then(|(name, after)| {
            let (_, value) = variables.iter().find(|(known, _)| known == name)?;
            Some((value, after))
        });
        if let Some((value, after)) = found {
            expanded.push_str(value);
            rest = after;
        } else {
            expanded.push('$');
            rest = &rest[1..];
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn references_are_replaced_and_escapes_kept() {
        let known = [("A".to_owned(), "1".to_owned())];
        for (text, expected) in [
            ("--x=$(A)", "--x=1"),
            ("$(A)$(A)", "11"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$(B)", "$(B)"),
            ("$A $( $", "$A $( $"),
        ] {
            assert_eq!(expand(text, &known), expected, "{text}");
        }
    }

    fn variables_of(container: Value) -> Result<Vec<(String, String)>, String> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "demo-0-0", "namespace": "n", "labels": {"tier": "x"}},
            "spec": {"containers": [], "nodeName": "node-1"},
        }))
        .unwrap();
        let secret: Texts = [("password".to_owned(), "s3".to_owned())].into();
        let sources = Sources {
            secrets: [("demo-system".to_owned(), secret)].into(),
            pod_ip: "127.9.0.1".to_owned(),
            ..Sources::default()
        };
        let container: Container = serde_json::from_value(container).unwrap();
        variables(&pod, &container, &sources)
    }

    #[track_caller]
    fn check(env: &Value, expected: &[(&str, &str)]) {
        let found = variables_of(json!({"name": "c", "env": env})).unwrap();
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn fields_secrets_and_earlier_variables_are_known() {
        let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
        check(
            &json!([
                {"name": "NAME", "valueFrom": field("metadata.name")},
                {"name": "IP", "valueFrom": field("status.podIP")},
                {"name": "TIER", "valueFrom": field("metadata.labels['tier']")},
                {"name": "KEY", "valueFrom": {"secretKeyRef":
                    {"name": "demo-system", "key": "password"}}},
                {"name": "URL", "value": "$(IP):1"},
            ]),
            &[
                ("NAME", "demo-0-0"),
                ("IP", "127.9.0.1"),
                ("TIER", "x"),
                ("KEY", "s3"),
                ("URL", "127.9.0.1:1"),
            ],
        );
    }

    #[test]
    fn a_missing_secret_is_an_error_unless_optional() {
        let env = |optional: bool| {
            json!({"name": "c", "env": [{"name": "K", "valueFrom": {"secretKeyRef":
                {"name": "other", "key": "k", "optional": optional}}}]})
        };
        let missing = variables_of(env(false)).unwrap_err();
        assert_eq!(missing, "secret \"other\" not found");
        assert_eq!(variables_of(env(true)), Ok(Vec::new()));
    }

    #[test]
    fn whole_secrets_come_with_a_prefix() {
        let container = json!({"name": "c", "envFrom":
            [{"prefix": "P_", "secretRef": {"name": "demo-system"}}]});
        let expected = ("P_password".to_owned(), "s3".to_owned());
        assert_eq!(variables_of(container), Ok(vec![expected]));
    }
}
