//! Kubernetes' CEL functions about quantities: `quantity('1Gi').isGreaterThan(...)`.

use std::cmp::Ordering;
use std::sync::Arc;

use cel::extractors::This;
use cel::objects::Opaque;
use cel::{Context, ExecutionError, Value};

/// In thousandths, so that `100m` is whole. An `i128` holds every quantity Kubernetes accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

const MILLI: i128 = 1000;

const SUFFIXES: [(&str, i128); 14] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
    ("m", 0),
    ("", 1),
];

impl Opaque for Quantity {
    fn runtime_type_name(&self) -> &'static str {
        "kubernetes.Quantity"
    }
}

impl Quantity {
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some((mantissa, exponent)) = text.split_once(['e', 'E']).filter(|(_, e)| is_int(e)) {
            let exponent: u32 = exponent.trim_start_matches('+').parse().ok()?;
            let factor = 10_i128.checked_pow(exponent)?;
            return Self::scaled(mantissa, factor.checked_mul(MILLI)?);
        }
        let (suffix, factor) = SUFFIXES.iter().find(|(suffix, _)| text.ends_with(suffix))?;
        let factor = if *suffix == "m" { 1 } else { factor * MILLI };
        Self::scaled(&text[..text.len() - suffix.len()], factor)
    }

    fn scaled(digits: &str, factor: i128) -> Option<Self> {
        let (negative, digits) = match digits.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, digits.strip_prefix('+').unwrap_or(digits)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let divisor = 10_i128.checked_pow(fraction.len() as u32)?;
        let value = all.parse::<i128>().ok()?.checked_mul(factor)?;
        // Rounded away from zero, as Kubernetes does.
        let value = value / divisor + i128::from(value % divisor != 0);
        Some(Self(if negative { -value } else { value }))
    }

    fn approximate(self) -> f64 {
        self.0 as f64 / MILLI as f64
    }
}

fn is_int(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn of(value: &Value) -> Result<Quantity, ExecutionError> {
    if let Value::Opaque(opaque) = value
        && let Some(quantity) = opaque.downcast_ref::<Quantity>()
    {
        return Ok(*quantity);
    }
    Err(ExecutionError::function_error(
        "quantity",
        "the value is no quantity",
    ))
}

fn wrap(quantity: Quantity) -> Value {
    Value::Opaque(Arc::new(quantity))
}

/// The quantity of an operand that may also be a plain integer.
fn operand(value: &Value) -> Result<Quantity, ExecutionError> {
    match value {
        Value::Int(number) => Ok(Quantity(i128::from(*number) * MILLI)),
        other => of(other),
    }
}

/// Adds the functions to a context.
pub fn register(context: &mut Context<'_, '_>) {
    let results = [
        context.add_function("isQuantity", |text: Arc<String>| {
            Quantity::parse(&text).is_some()
        }),
        context.add_function("quantity", |text: Arc<String>| {
            Quantity::parse(&text)
                .map(wrap)
                .ok_or_else(|| ExecutionError::function_error("quantity", "no quantity"))
        }),
        context.add_function("isGreaterThan", |This(a): This<Value>, b: Value| {
            Ok::<_, ExecutionError>(of(&a)? > of(&b)?)
        }),
        context.add_function("isLessThan", |This(a): This<Value>, b: Value| {
            Ok::<_, ExecutionError>(of(&a)? < of(&b)?)
        }),
        context.add_function("compareTo", |This(a): This<Value>, b: Value| {
            Ok::<_, ExecutionError>(match of(&a)?.cmp(&of(&b)?) {
                Ordering::Less => -1_i64,
                Ordering::Equal => 0,
                Ordering::Greater => 1,
            })
        }),
        context.add_function("sign", |This(a): This<Value>| {
            Ok::<_, ExecutionError>(of(&a)?.0.signum() as i64)
        }),
        context.add_function("isInteger", |This(a): This<Value>| {
            Ok::<_, ExecutionError>(of(&a)?.0 % MILLI == 0)
        }),
        context.add_function("asInteger", |This(a): This<Value>| {
            Ok::<_, ExecutionError>((of(&a)?.0 / MILLI) as i64)
        }),
        context.add_function("asApproximateFloat", |This(a): This<Value>| {
            Ok::<_, ExecutionError>(of(&a)?.approximate())
        }),
        context.add_function("add", |This(a): This<Value>, b: Value| {
            Ok::<_, ExecutionError>(wrap(Quantity(of(&a)?.0 + operand(&b)?.0)))
        }),
        context.add_function("sub", |This(a): This<Value>, b: Value| {
            Ok::<_, ExecutionError>(wrap(Quantity(of(&a)?.0 - operand(&b)?.0)))
        }),
    ];
    for error in results.into_iter().filter_map(Result::err) {
        tracing::error!(%error, "a CEL function is missing");
    }
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[test]
    fn quantities_compare_across_their_notations() {
        let equal = [
            ("1Gi", "1024Mi"),
            ("1", "1000m"),
            ("1k", "1e3"),
            ("0.5", "500m"),
        ];
        for (a, b) in equal {
            assert_eq!(Quantity::parse(a), Quantity::parse(b), "{a} {b}");
        }
        assert!(Quantity::parse("1Gi") > Quantity::parse("1G"));
        for bad in ["", "Gi", "1.2.3", "abc", "1gi"] {
            assert_eq!(Quantity::parse(bad), None, "{bad}");
        }
    }
}
