//! The syntax of a command as its row writes it, and as `COMMAND DOCS` answers it.
//!
//! `word` is an argument, `word:type` one of a type that its name does not tell, `word:type:shown`
//! one that usages show otherwise, `WORD` a keyword, `WORD word` an argument after a keyword, `[…]`
//! optional, `(a b)` a group, `(name=a|b)` one of several, `name"~"` a sign as a keyword; `...` at
//! the end of any of them: repeated.

use super::past::argument_since;
use protocol::resp::ReplyWriter;

#[derive(Debug, PartialEq, Eq)]
enum Shape<'a> {
    /// With its type.
    Word(&'a str),
    Keyword,
    OneOf(Vec<Argument<'a>>),
    Block(Vec<Argument<'a>>),
}

#[derive(Debug, PartialEq, Eq)]
struct Argument<'a> {
    name: String,
    /// How usages show it, if not by its name.
    shown: Option<&'a str>,
    shape: Shape<'a>,
    token: Option<&'a str>,
    optional: bool,
    multiple: bool,
    /// Its keyword is repeated with it.
    multiple_token: bool,
}

/// Types by the argument's name, where it does not say `name:type`; others are strings.
const TYPES: &[(&str, &[&str])] = &[
    ("key", &["key", "key1", "key2", "newkey"]),
    ("pattern", &["pattern"]),
    (
        "unix-time",
        &["unix-time-seconds", "unix-time-milliseconds"],
    ),
    (
        "integer",
        &[
            "count",
            "cursor",
            "decrement",
            "end",
            "increment",
            "index",
            "milliseconds",
            "min-match-len",
            "numreplicas",
            "offset",
            "protover",
            "seconds",
            "slot",
            "start",
            "timeout",
        ],
    ),
];

/// A word of the syntax: its name and its type.
fn word(text: &str) -> Argument<'_> {
    if let Some((name, sign)) = text.strip_suffix('"').and_then(|text| text.split_once('"')) {
        return Argument {
            token: Some(sign),
            ..plain(name.to_owned(), Shape::Keyword)
        };
    }
    let (name, kind) = text.split_once(':').unwrap_or_else(|| {
        let found = TYPES.iter().find(|(_, names)| names.contains(&text));
        (text, found.map_or("string", |(kind, _)| kind))
    });
    let (kind, shown) = match kind.split_once(':') {
        Some((kind, shown)) => (kind, Some(shown)),
        None => (kind, None),
    };
    Argument {
        shown,
        ..plain(name.to_owned(), Shape::Word(kind))
    }
}

/// Splits at `separator` where no bracket is open.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, character) in text.char_indices() {
        match character {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            _ if depth == 0 && character == separator => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn is_keyword(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
}

/// A sequence of arguments.
fn parse(syntax: &str) -> Vec<Argument<'_>> {
    let mut parts = split(syntax, ' ').into_iter().peekable();
    let mut arguments = Vec::new();
    while let Some(text) = parts.next() {
        if !is_keyword(text) {
            arguments.push(parse_one(text));
            continue;
        }
        let argument = match parts.next_if(|next| !is_keyword(next) && !next.starts_with('[')) {
            Some(next) => parse_one(next),
            None => plain(text.to_ascii_lowercase(), Shape::Keyword),
        };
        let token = Some(text);
        arguments.push(Argument { token, ..argument });
    }
    arguments
}

/// A word, a group or something optional, perhaps repeated.
fn parse_one(text: &str) -> Argument<'_> {
    let (text, multiple) = text
        .strip_suffix("...")
        .map_or((text, false), |text| (text, true));
    let inside = |open: char, close: char| text.strip_prefix(open)?.strip_suffix(close);
    let mut argument = match (inside('[', ']'), inside('(', ')')) {
        (Some(inner), _) => Argument {
            optional: true,
            ..parse_group(inner)
        },
        (_, Some(inner)) => parse_group(inner),
        (None, None) => word(text),
    };
    argument.multiple |= multiple;
    argument.multiple_token |= multiple && argument.token.is_some();
    argument
}

/// What stands in brackets: `name=a|b`, `name=a b`, `a b` or a single argument.
fn parse_group(text: &str) -> Argument<'_> {
    let (name, body) = match split(text, '=')[..] {
        [name, _, ..] if !name.contains('"') => (name, &text[name.len() + 1..]),
        _ => ("", text),
    };
    let choices = split(body, '|');
    if choices.len() > 1 {
        return plain(
            name.to_owned(),
            Shape::OneOf(choices.into_iter().flat_map(parse).collect()),
        );
    }
    let mut parts = parse(body);
    if parts.len() == 1 && name.is_empty() {
        return parts.remove(0);
    }
    if parts.len() == 1 && parts[0].shape == Shape::Keyword {
        let name = name.to_owned();
        return Argument {
            name,
            ..parts.remove(0)
        };
    }
    let joined = parts
        .iter()
        .map(|part| part.name.as_str())
        .collect::<Vec<_>>()
        .join("_");
    plain(
        if name.is_empty() {
            joined
        } else {
            name.to_owned()
        },
        Shape::Block(parts),
    )
}

fn plain(name: String, shape: Shape) -> Argument {
    Argument {
        name,
        shown: None,
        shape,
        token: None,
        optional: false,
        multiple: false,
        multiple_token: false,
    }
}

/// The command whose arguments are described.
pub struct Described<'a> {
    pub command: &'a str,
    /// How many key specifications it has.
    pub key_specs: usize,
    /// Keys that have been described.
    pub keys: usize,
}

/// The `arguments` of `COMMAND DOCS`.
pub fn describe(reply: &mut ReplyWriter, syntax: &str, mut of: Described) {
    let arguments = parse(syntax);
    reply.array(arguments.len());
    for argument in &arguments {
        write(reply, argument, "", &mut of);
    }
}

fn write(reply: &mut ReplyWriter, argument: &Argument, within: &str, of: &mut Described) {
    let path = format!("{within}{}", argument.name);
    let since = argument_since(of.command, &path);
    let (kind, parts) = match &argument.shape {
        Shape::Word(kind) => (*kind, None),
        Shape::Keyword => ("pure-token", None),
        Shape::OneOf(parts) => ("oneof", Some(parts)),
        Shape::Block(parts) => ("block", Some(parts)),
    };
    let flags = [
        (argument.optional, "optional"),
        (argument.multiple, "multiple"),
        (argument.multiple_token, "multiple_token"),
    ];
    let flags = flags.iter().filter(|(holds, _)| *holds);
    let has_flags = usize::from(argument.optional || argument.multiple);
    // What consists of parts is shown by them.
    let named = if parts.is_some() { 2 } else { 3 };
    let fields = named + usize::from(kind == "key") + usize::from(argument.token.is_some());
    let more = has_flags + usize::from(parts.is_some()) + usize::from(since.is_some());
    reply.map(fields + more);
    let shown = argument.shown.unwrap_or(&argument.name);
    let texts = [
        ("name", argument.name.as_str()),
        ("type", kind),
        ("display_text", shown),
    ];
    for (field, value) in &texts[..named] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    if kind == "key" {
        reply.bulk(b"key_spec_index");
        reply.integer(of.keys.min(of.key_specs.saturating_sub(1)) as i64);
        of.keys += 1;
    }
    if let Some(token) = argument.token {
        reply.bulk(b"token");
        reply.bulk(token.as_bytes());
    }
    if let Some(version) = since {
        reply.bulk(b"since");
        reply.bulk(version.as_bytes());
    }
    if has_flags > 0 {
        reply.bulk(b"flags");
        reply.set(flags.clone().count());
        flags.for_each(|(_, name)| reply.simple(name));
    }
    if let Some(parts) = parts {
        reply.bulk(b"arguments");
        reply.array(parts.len());
        for part in parts {
            write(reply, part, &format!("{path}/"), of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_is_parsed_into_arguments() {
        let arguments = parse("key value [condition=NX|XX] [GET] [MATCH pattern] (a b)... c...");
        let shown: Vec<(&str, bool, bool, Option<&str>)> = arguments
            .iter()
            .map(|a| (a.name.as_str(), a.optional, a.multiple, a.token))
            .collect();
        assert_eq!(
            shown,
            [
                ("key", false, false, None),
                ("value", false, false, None),
                ("condition", true, false, None),
                ("get", true, false, Some("GET")),
                ("pattern", true, false, Some("MATCH")),
                ("a_b", false, true, None),
                ("c", false, true, None),
            ]
        );
        assert_eq!(arguments[0].shape, Shape::Word("key"));
        assert!(matches!(&arguments[2].shape, Shape::OneOf(choices) if choices.len() == 2));
    }

    #[test]
    fn an_argument_may_be_shown_otherwise_than_it_is_named() {
        let arguments = parse("key [ADDR addr:string:ip:port]");
        let shown: Vec<_> = arguments.iter().map(|a| a.shown).collect();
        assert_eq!(shown, [None, Some("ip:port")]);
        assert_eq!(arguments[1].shape, Shape::Word("string"));
    }

    #[test]
    fn a_sign_may_be_a_keyword() {
        let arguments = parse("[operator=equal\"=\"|approximately\"~\"]");
        let Shape::OneOf(choices) = &arguments[0].shape else {
            panic!("{arguments:?}");
        };
        let shown: Vec<_> = choices.iter().map(|a| (a.name.as_str(), a.token)).collect();
        let expect = [("equal", Some("=")), ("approximately", Some("~"))];
        assert_eq!(
            (arguments[0].name.as_str(), shown),
            ("operator", expect.to_vec())
        );
    }
}
