//! CEL rules of CRD schemas (`x-kubernetes-validations`): compiled with the schema, evaluated with
//! `self` and, for transition rules, `oldSelf`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::objects::{Key, Map};
use cel::{Context, Env, Program, Value as Cel, extensions};
use serde_json::Value;

use super::compile::join;
use super::validate::type_name;
use super::{ListType, Schema, Type, quantity};
use crate::apiserver::failure::Cause;

/// Words that CEL reserves; a field of such a name is escaped as `__name__`.
const RESERVED: [&str; 24] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "int",
    "uint",
    "double",
];

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib().with_optional_support(true);
    // Only a repeated registration fails, and each is registered once.
    for extension in [extensions::strings, extensions::lists, extensions::math] {
        if let Err(error) = env.add_extension(extension) {
            tracing::error!(%error, "a CEL extension is missing");
        }
    }
    Arc::new(env)
});

pub struct Rule {
    program: Program,
    source: String,
    message: String,
    message_expression: Option<Program>,
    /// `.spec.shards`, relative to the schema that carries the rule.
    field_path: String,
    reason: &'static str,
    is_transition: bool,
    optional_old: bool,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rule").field(&self.source).finish()
    }
}

impl Rule {
    pub fn compile(json: &Value) -> Result<Self, String> {
        let text = |field: &str| json[field].as_str().unwrap_or_default().to_owned();
        let source = text("rule");
        let compiled = |source: &str| {
            ENVIRONMENT
                .compile(source)
                .map_err(|error| format!("rule {source:?}: {error}"))
        };
        let program = compiled(&source)?;
        let is_transition = program.references().has_variable("oldSelf");
        let message_expression = match text("messageExpression").as_str() {
            "" => None,
            expression => Some(compiled(expression)?),
        };
        Ok(Self {
            program,
            message: text("message"),
            message_expression,
            field_path: text("fieldPath"),
            reason: match text("reason").as_str() {
                "FieldValueRequired" => "FieldValueRequired",
                "FieldValueForbidden" => "FieldValueForbidden",
                "FieldValueDuplicate" => "FieldValueDuplicate",
                _ => "FieldValueInvalid",
            },
            is_transition,
            optional_old: json["optionalOldSelf"].as_bool().unwrap_or(false),
            source,
        })
    }

    fn broken(&self, own: &Value, context: &Context<'_, '_>, path: &str) -> Option<Cause> {
        let message = match self.program.execute(context) {
            Ok(Cel::Bool(true)) => return None,
            Ok(Cel::Bool(false)) => self.message_in(context),
            Ok(_) => format!("rule is no boolean: {}", self.source),
            Err(error) => format!("rule cannot be evaluated: {}: {error}", self.source),
        };
        let field = join(path, self.field_path.trim_start_matches('.'));
        let field = field.trim_end_matches('.');
        let text = match self.reason {
            "FieldValueRequired" => format!("Required value: {message}"),
            "FieldValueForbidden" => format!("Forbidden: {message}"),
            "FieldValueDuplicate" => format!("Duplicate value: {message}"),
            _ => format!("Invalid value: {}: {message}", shown(own)),
        };
        Some(Cause::new(self.reason, field, text))
    }

    fn message_in(&self, context: &Context<'_, '_>) -> String {
        let computed = self
            .message_expression
            .as_ref()
            .map(|program| program.execute(context));
        if let Some(Ok(Cel::String(text))) = computed {
            return text.to_string();
        }
        if self.message.is_empty() {
            return format!("failed rule: {}", self.source);
        }
        self.message.clone()
    }
}

/// Scalars as they are, the others by their type: a whole object in a message helps nobody.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) => format!("{:?}", type_name(value)),
        scalar => scalar.to_string(),
    }
}

/// Every broken rule of the schema and of what lies below.
pub fn check(schema: &Schema, old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    check_at(schema, old, new, "", &mut causes);
    causes
}

fn check_at(
    schema: &Schema,
    old: Option<&Value>,
    new: &Value,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    if !schema.rules.is_empty() && !new.is_null() {
        check_rules(schema, old, new, path, causes);
    }
    match new {
        Value::Object(map) => {
            for (name, field) in map {
                let Some(inner) = schema.field(name) else {
                    continue;
                };
                let before = old.and_then(|old| old.get(name));
                check_at(inner, before, field, &join(path, name), causes);
            }
        }
        Value::Array(list) => {
            let Some(inner) = &schema.items else { return };
            for (at, item) in list.iter().enumerate() {
                let before = old.and_then(|old| counterpart(schema, old, item));
                check_at(inner, before, item, &format!("{path}[{at}]"), causes);
            }
        }
        _ => {}
    }
}

/// The element of the old list that is the same one: only keyed lists can tell.
fn counterpart<'a>(schema: &Schema, old: &'a Value, item: &Value) -> Option<&'a Value> {
    let ListType::Map(keys) = &schema.list else {
        return None;
    };
    let same = |other: &&Value| keys.iter().all(|key| other[key] == item[key]);
    old.as_array()?.iter().find(same)
}

fn check_rules(
    schema: &Schema,
    old: Option<&Value>,
    new: &Value,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    quantity::register(&mut context);
    context.add_variable_from_value("self", to_cel(schema, new));
    if let Some(old) = old {
        context.add_variable_from_value("oldSelf", to_cel(schema, old));
    }
    for rule in &schema.rules {
        // Without an old value a transition rule has nothing to say.
        if rule.is_transition && old.is_none() && !rule.optional_old {
            continue;
        }
        causes.extend(rule.broken(new, &context, path));
    }
}

/// JSON in CEL's types. Whole numbers are ints unless the schema says number.
fn to_cel(schema: &Schema, value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(truth) => Cel::Bool(*truth),
        Value::String(text) => Cel::from(text.as_str()),
        Value::Number(number) if schema.kind == Some(Type::Number) => {
            Cel::Float(number.as_f64().unwrap_or_default())
        }
        Value::Number(number) => match number.as_i64() {
            Some(int) => Cel::Int(int),
            None => Cel::Float(number.as_f64().unwrap_or_default()),
        },
        Value::Array(list) => {
            let any = Schema::default();
            let inner = schema.items.as_deref().unwrap_or(&any);
            Cel::List(Arc::new(
                list.iter().map(|item| to_cel(inner, item)).collect(),
            ))
        }
        Value::Object(map) => {
            let any = Schema::default();
            let mut fields: HashMap<Key, Cel> = HashMap::new();
            for (name, field) in map {
                let inner = schema.field(name).map_or(&any, |inner| &**inner);
                let declared = schema.properties.contains_key(name);
                let name = if declared {
                    escaped(name)
                } else {
                    name.clone()
                };
                fields.insert(Key::String(Arc::new(name)), to_cel(inner, field));
            }
            Cel::Map(Map {
                map: Arc::new(fields),
            })
        }
    }
}

fn escaped(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::compile;
    use super::*;

    fn broken(schema: &Value, old: Option<&Value>, new: &Value) -> Vec<String> {
        let schema = compile(schema).unwrap();
        check(&schema, old, new).iter().map(Cause::text).collect()
    }

    #[test]
    fn rules_speak_of_self_and_of_the_old_value() {
        let schema = json!({ "type": "object", "properties": { "spec": {
            "type": "object",
            "properties": { "a": { "type": "integer" }, "size": { "type": "string" } },
            "x-kubernetes-validations": [
                { "rule": "self.a > 1", "message": "a must be more than one" },
                { "rule": "self.a >= oldSelf.a", "message": "a never shrinks" },
                { "rule": "!has(self.size) || quantity(self.size).isGreaterThan(quantity('1Gi'))",
                  "messageExpression": "'too small: ' + self.size", "fieldPath": ".size" },
            ],
        } } });
        let object = |spec: Value| json!({ "spec": spec });
        let old = object(json!({ "a": 5 }));
        let table = [
            (None, json!({ "a": 2 }), vec![]),
            (
                None,
                json!({ "a": 1 }),
                vec!["spec: Invalid value: \"object\": a must be more than one"],
            ),
            (
                Some(&old),
                json!({ "a": 4 }),
                vec!["spec: Invalid value: \"object\": a never shrinks"],
            ),
            (
                Some(&old),
                json!({ "a": 5, "size": "1Mi" }),
                vec!["spec.size: Invalid value: \"object\": too small: 1Mi"],
            ),
            (None, json!({ "a": 2, "size": "1500Mi" }), vec![]),
        ];
        for (old, spec, expected) in table {
            assert_eq!(
                broken(&schema, old, &object(spec.clone())),
                expected,
                "{spec}"
            );
        }
    }

    #[test]
    fn an_immutable_scalar_names_its_field() {
        let schema = json!({ "type": "object", "properties": { "mode": {
            "type": "string",
            "x-kubernetes-validations": [{ "rule": "self == oldSelf", "message": "immutable" }],
        } } });
        let (old, new) = (json!({ "mode": "a" }), json!({ "mode": "b" }));
        assert_eq!(
            broken(&schema, Some(&old), &new),
            ["mode: Invalid value: \"b\": immutable"]
        );
        assert!(broken(&schema, None, &new).is_empty());
    }

    #[test]
    fn a_rule_that_does_not_compile_is_told_with_its_place() {
        let schema = json!({ "type": "object",
            "x-kubernetes-validations": [{ "rule": "self.a >" }] });
        let problems = compile(&schema).unwrap_err();
        assert!(problems[0].contains("self.a >"), "{problems:?}");
    }
}
