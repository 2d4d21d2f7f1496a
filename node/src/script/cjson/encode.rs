//! Lua values to JSON.

use super::{Invalid, Settings};
use crate::script::MEMORY_BYTES_MAX;
use crate::script::budget::{Budget, NO_MEMORY};
use crate::script::number::{self, HEX};
use crate::script::sandbox::number_of;
use mlua::{Table, Value};

/// Deepest nesting whatever the setting says: our own stack is bounded.
const DEPTH_MAX: usize = 1000;

/// Nesting down to which pairs are walked within one call of Lua, which is faster; such calls can
/// be within each other only so often.
const SHALLOW: usize = 64;

/// Most missing elements of an array, whatever the settings say: nothing else runs while they are
/// written, and no script need be long to ask for billions.
const HOLES_MAX: i64 = 1_000_000;

/// Bytes of a string between two looks at how much has been made of it: one becomes six at most.
const CHECKED_BYTES: usize = 4096;

/// The text, or the message why there is none.
type Encoded<T> = mlua::Result<Result<T, String>>;

pub fn encode(settings: &Settings, value: &Value) -> Encoded<Vec<u8>> {
    let mut encoder = Encoder {
        settings,
        out: Vec::new(),
        budget: Budget::new(),
    };
    let result = encoder.value(value, 0)?;
    Ok(result.map(|()| encoder.out))
}

struct Encoder<'a> {
    settings: &'a Settings,
    out: Vec<u8>,
    budget: Budget,
}

/// Passes a message on.
macro_rules! attempt {
    ($result:expr) => {
        if let Err(message) = $result {
            return Ok(Err(message));
        }
    };
}

impl Encoder<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Encoded<()> {
        if !self.budget.take(self.out.len()) {
            return Ok(Err(NO_MEMORY.to_owned()));
        }
        match value {
            Value::String(text) => attempt!(self.string(&text.as_bytes())),
            Value::Integer(integer) => {
                attempt!(self.number(*integer as f64));
            }
            Value::Number(value) => attempt!(self.number(*value)),
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Table(table) => return self.table(table, depth + 1),
            Value::Nil => self.out.extend_from_slice(b"null"),
            value if *value == Value::NULL => self.out.extend_from_slice(b"null"),
            other => return Ok(Err(unsupported(other, "type not supported"))),
        }
        Ok(Ok(()))
    }

    fn number(&mut self, value: f64) -> Result<(), String> {
        if !value.is_finite() {
            match self.settings.encode_invalid {
                Invalid::Refused => {
                    return Err("Cannot serialise number: must not be NaN or Inf".to_owned());
                }
                Invalid::Null => {
                    self.out.extend_from_slice(b"null");
                    return Ok(());
                }
                Invalid::Allowed if value.is_nan() => {
                    // Without the sign, which differs between machines.
                    self.out.extend_from_slice(b"nan");
                    return Ok(());
                }
                Invalid::Allowed => {}
            }
        }
        let text = number::general(value, self.settings.precision);
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn string(&mut self, text: &[u8]) -> Result<(), String> {
        self.out.push(b'"');
        for part in text.chunks(CHECKED_BYTES) {
            if self.out.len() > MEMORY_BYTES_MAX {
                return Err(NO_MEMORY.to_owned());
            }
            self.escaped(part);
        }
        self.out.push(b'"');
        Ok(())
    }

    fn escaped(&mut self, text: &[u8]) {
        for &byte in text {
            let short = match byte {
                b'"' | b'\\' | b'/' => byte,
                0x08 => b'b',
                b'\t' => b't',
                b'\n' => b'n',
                0x0C => b'f',
                b'\r' => b'r',
                0..=0x1F | 0x7F => {
                    let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                    self.out
                        .extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[high], HEX[low]]);
                    continue;
                }
                _ => {
                    self.out.push(byte);
                    continue;
                }
            };
            self.out.extend_from_slice(&[b'\\', short]);
        }
    }

    fn table(&mut self, table: &Table, depth: usize) -> Encoded<()> {
        if depth > self.settings.encode_depth_max.min(DEPTH_MAX) {
            return Ok(Err(format!(
                "Cannot serialise, excessive nesting ({depth})"
            )));
        }
        match self.length(table)? {
            Err(message) => Ok(Err(message)),
            Ok(Some(length)) => self.array(table, length, depth),
            Ok(None) => self.object(table, depth),
        }
    }

    /// The greatest index of an array; `None` for an object.
    fn length(&self, table: &Table) -> Encoded<Option<i64>> {
        let (mut max, mut items, mut is_array) = (0i64, 0i64, true);
        table.for_each(|key: Value, _: Value| {
            match key {
                Value::Integer(index) if index >= 1 => {
                    // Indices beyond 32 bits are none, and what came before is forgotten.
                    if index > max {
                        max = i32::try_from(index).map_or(i64::from(i32::MIN), i64::from);
                    }
                    items += 1;
                }
                _ => is_array = false,
            }
            Ok(())
        })?;
        if !is_array || items == 0 {
            return Ok(Ok(None));
        }
        let ratio = self.settings.sparse_ratio;
        let sparse =
            ratio > 0 && max > items.saturating_mul(ratio) && max > self.settings.sparse_safe;
        if sparse && !self.settings.sparse_convert {
            return Ok(Err(too_sparse(table)));
        }
        if !sparse && max.saturating_sub(items) > HOLES_MAX {
            return Ok(Err(too_sparse(table)));
        }
        Ok(Ok((!sparse && max > 0).then_some(max)))
    }

    fn array(&mut self, table: &Table, length: i64, depth: usize) -> Encoded<()> {
        self.out.push(b'[');
        for index in 1..=length {
            if index > 1 {
                self.out.push(b',');
            }
            attempt!(self.value(&table.raw_get(index)?, depth)?);
        }
        self.out.push(b']');
        Ok(Ok(()))
    }

    /// The pairs are written as they are met: Lua can hold only so many values for us at once.
    fn object(&mut self, table: &Table, depth: usize) -> Encoded<()> {
        self.out.push(b'{');
        let start = self.out.len();
        let mut written = Ok(());
        let mut write = |key: Value, value: Value| {
            if written.is_ok() {
                if self.out.len() > start {
                    self.out.push(b',');
                }
                written = self.pair(&key, &value, depth)?;
            }
            Ok(())
        };
        if depth <= SHALLOW {
            table.for_each(write)?;
        } else {
            for pair in table.pairs() {
                let (key, value) = pair?;
                write(key, value)?;
            }
        }
        self.out.push(b'}');
        Ok(written)
    }

    fn pair(&mut self, key: &Value, value: &Value, depth: usize) -> Encoded<()> {
        match key {
            Value::String(text) => attempt!(self.string(&text.as_bytes())),
            Value::Integer(_) | Value::Number(_) => {
                self.out.push(b'"');
                let number = number_of(Some(key)).unwrap_or_default();
                attempt!(self.number(number));
                self.out.push(b'"');
            }
            other => {
                let message = "table key must be a number or string";
                return Ok(Err(unsupported(other, message)));
            }
        }
        self.out.push(b':');
        self.value(value, depth)
    }
}

fn too_sparse(table: &Table) -> String {
    unsupported(&Value::Table(table.clone()), "excessively sparse array")
}

fn unsupported(value: &Value, why: &str) -> String {
    let kind = crate::script::sandbox::type_name(Some(value));
    format!("Cannot serialise {kind}: {why}")
}
