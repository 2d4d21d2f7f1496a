//! The library `bit`: operations on the low 32 bits of numbers.
//!
//! Source: the documentation of Lua BitOp.

use super::failure::raised;
use super::number::HEX;
use super::sandbox::{bad_argument, number_of};
use mlua::{Lua, MultiValue, Table};

type Fold = fn(i32, i32) -> i32;
type Shift = fn(i32, u32) -> i32;
type Single = fn(i32) -> i32;

pub fn functions(lua: &Lua) -> mlua::Result<Table> {
    let bit = lua.create_table()?;
    let folds: [(&str, Fold); 3] = [
        ("band", |a, b| a & b),
        ("bor", |a, b| a | b),
        ("bxor", |a, b| a ^ b),
    ];
    for (name, fold) in folds {
        let call =
            move |lua: &Lua, arguments: MultiValue| raised(lua, folded(name, &arguments, fold));
        bit.raw_set(name, lua.create_function(call)?)?;
    }
    let shifts: [(&str, Shift); 5] = [
        ("lshift", |a, n| a << n),
        ("rshift", |a, n| (a as u32 >> n) as i32),
        ("arshift", |a, n| a >> n),
        ("rol", i32::rotate_left),
        ("ror", i32::rotate_right),
    ];
    for (name, shift) in shifts {
        let call =
            move |lua: &Lua, arguments: MultiValue| raised(lua, shifted(name, &arguments, shift));
        bit.raw_set(name, lua.create_function(call)?)?;
    }
    let singles: [(&str, Single); 3] = [
        ("tobit", |a| a),
        ("bnot", |a| !a),
        ("bswap", i32::swap_bytes),
    ];
    for (name, single) in singles {
        let call = move |lua: &Lua, arguments: MultiValue| {
            raised(lua, integer(name, &arguments, 0).map(single))
        };
        bit.raw_set(name, lua.create_function(call)?)?;
    }
    let hex = |lua: &Lua, arguments: MultiValue| raised(lua, to_hex(&arguments));
    bit.raw_set("tohex", lua.create_function(hex)?)?;
    Ok(bit)
}

/// The low 32 bits of an argument, which is rounded to an integer first.
fn integer(name: &str, arguments: &MultiValue, at: usize) -> Result<i32, String> {
    let value = arguments.get(at);
    let number = number_of(value).ok_or_else(|| bad_argument(at + 1, name, "number", value))?;
    Ok(low_bits(number))
}

/// As the addition of 2^52 + 2^51 leaves it in the low half of a double: rounded to even, modulo
/// 2^32.
fn low_bits(number: f64) -> i32 {
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    (number + MAGIC).to_bits() as u32 as i32
}

fn folded(name: &str, arguments: &MultiValue, fold: Fold) -> Result<i32, String> {
    let mut result = integer(name, arguments, 0)?;
    for at in 1..arguments.len() {
        result = fold(result, integer(name, arguments, at)?);
    }
    Ok(result)
}

/// Only the low five bits of a distance count.
fn shifted(name: &str, arguments: &MultiValue, shift: Shift) -> Result<i32, String> {
    let value = integer(name, arguments, 0)?;
    let distance = integer(name, arguments, 1)? & 31;
    Ok(shift(value, distance as u32))
}

/// As many digits as the second argument says, eight without one; upper case when it is negative.
fn to_hex(arguments: &MultiValue) -> Result<String, String> {
    let value = integer("tohex", arguments, 0)? as u32;
    let digits = match arguments.get(1) {
        None => 8,
        Some(_) => integer("tohex", arguments, 1)?,
    };
    let count = digits.unsigned_abs().min(8);
    let digit = |at: u32| char::from(HEX[(value >> (4 * at)) as usize & 15]);
    let text: String = (0..count).rev().map(digit).collect();
    Ok(if digits < 0 {
        text.to_ascii_uppercase()
    } else {
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_and_wrapped() {
        for (number, expect) in [
            (0.0, 0),
            (-1.0, -1),
            (4_294_967_295.0, -1),
            (2_147_483_648.0, i32::MIN),
            (1.5, 2),
            (2.5, 2),
            (4_294_967_297.0, 1),
        ] {
            assert_eq!(low_bits(number), expect, "{number}");
        }
    }
}
