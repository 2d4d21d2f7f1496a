//! The stack of Lua, for what every run of a script does: its keys and arguments come in, commands
//! are called, their replies become values.
//!
//! Through the safe interface a value costs a reference of its own and a protected call, and a call
//! from Lua a list on the heap; that was a third of the time of a script of one command. This is
//! what the `unsafe` in this file pays for: functions that Lua calls directly, and values pushed
//! where Lua wants them.
//!
//! Why it is sound:
//! - An error of Lua leaves by `longjmp`, which no Rust value may be below. [`enter`] raises errors
//!   after everything else has been dropped. Nothing else can raise one: values are pushed only
//!   within [`Machine::unlimited`], where no limit of memory is in force and a bound of what is
//!   made has been checked; tables are changed without metamethods, by keys that are not NaN.
//! - A panic of a command does not cross Lua: [`enter`] keeps it, [`resume_panic`] goes on with it.
//! - Text is lent by the stack that holds it: arguments stay in their places until the function
//!   returns, and Lua does not move what it holds.
//! - [`Stack::has_room`] is asked before values are pushed beyond the slots that Lua grants.
#![allow(unsafe_code)]

use super::call;
use mlua::{Function, Lua, Table, ffi};
use std::any::Any;
use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Slots that a container and its elements need at once.
const SLOTS: c_int = 8;

/// An error to be raised.
pub enum Raise {
    /// The value on top of the stack.
    Top,
    /// A text, after the place that called.
    Message(&'static [u8]),
}

/// What a function of the host does: leaves as many results as it says, or raises an error.
type Act = fn(&Stack) -> Result<c_int, Raise>;

/// An argument of a call.
pub enum Argument<'a> {
    Text(&'a [u8]),
    Number(f64),
}

/// The stack as the function that runs sees it.
pub struct Stack {
    state: *mut ffi::lua_State,
}

impl Stack {
    /// The number of arguments.
    pub fn count(&self) -> usize {
        // SAFETY: the state is the one that Lua called with.
        unsafe { ffi::lua_gettop(self.state) as usize }
    }

    /// An argument by its number, from 1 on; `None` when it is neither text nor a number.
    pub fn argument(&self, number: usize) -> Option<Argument<'_>> {
        let index = number as c_int;
        // SAFETY: any positive index may be asked for; a string stays where it is.
        unsafe {
            match ffi::lua_type(self.state, index) {
                ffi::LUA_TSTRING => {
                    let mut length = 0;
                    let start = ffi::lua_tolstring(self.state, index, &raw mut length);
                    let text = std::slice::from_raw_parts(start.cast::<u8>(), length);
                    Some(Argument::Text(text))
                }
                ffi::LUA_TNUMBER => Some(Argument::Number(ffi::lua_tonumber(self.state, index))),
                _ => None,
            }
        }
    }

    /// Whether a container with its elements can be pushed.
    pub fn has_room(&self) -> bool {
        // SAFETY: the stack grows or is said not to; there is no limit of memory.
        unsafe { ffi::lua_checkstack(self.state, SLOTS) != 0 }
    }

    pub fn push_text(&self, text: &[u8]) {
        // SAFETY: Lua copies the bytes.
        unsafe { ffi::lua_pushlstring_(self.state, text.as_ptr().cast::<c_char>(), text.len()) }
    }

    pub fn push_number(&self, number: f64) {
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnumber(self.state, number) }
    }

    pub fn push_boolean(&self, boolean: bool) {
        // SAFETY: there is room.
        unsafe { ffi::lua_pushboolean(self.state, c_int::from(boolean)) }
    }

    pub fn push_nil(&self) {
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnil(self.state) }
    }

    /// A table with room for so many elements and fields.
    pub fn push_table(&self, elements: usize, fields: usize) {
        let (elements, fields) = (bounded(elements), bounded(fields));
        // SAFETY: there is room.
        unsafe { ffi::lua_createtable(self.state, elements, fields) }
    }

    pub fn top_is_nil(&self) -> bool {
        // SAFETY: any index may be asked for.
        unsafe { ffi::lua_type(self.state, -1) == ffi::LUA_TNIL }
    }

    /// Drops the arguments: what is pushed then has all the room that there may be.
    pub fn clear(&self) {
        // SAFETY: nothing borrowed from the stack is used any more, for it needs `&self` too.
        unsafe { ffi::lua_settop(self.state, 0) }
    }

    pub fn pop(&self, count: c_int) {
        // SAFETY: the caller has pushed as many.
        unsafe { ffi::lua_settop(self.state, -count - 1) }
    }

    /// Takes the value on top as the element of this number of the table below it.
    pub fn set_element(&self, number: usize) {
        // SAFETY: the caller has pushed a table and a value.
        unsafe { ffi::lua_rawseti_(self.state, -2, number as c_int) }
    }

    /// Takes the value on top, and the key below it, as a field of the table below them.
    pub fn set_field(&self) {
        // SAFETY: the caller has pushed a table, a key that is neither nil nor NaN, and a value.
        unsafe { ffi::lua_rawset(self.state, -3) }
    }
}

/// A size that Lua takes; it is room only.
fn bounded(size: usize) -> c_int {
    c_int::try_from(size).unwrap_or(0)
}

thread_local! {
    static PANIC: Cell<Option<Box<dyn Any + Send>>> = const { Cell::new(None) };
}

/// Goes on with a panic that Lua was in the way of.
pub fn resume_panic() {
    if let Some(panic) = PANIC.take() {
        resume_unwind(panic);
    }
}

/// Does what a function is for, and raises its error.
///
/// # Safety
/// Lua has called with this state.
unsafe fn enter(state: *mut ffi::lua_State, act: Act) -> c_int {
    // Nothing that would have to be dropped may live beyond this.
    let raise = match catch_unwind(AssertUnwindSafe(|| act(&Stack { state }))) {
        Ok(Ok(results)) => return results,
        Ok(Err(raise)) => raise,
        Err(panic) => {
            PANIC.set(Some(panic));
            Raise::Message(b"the command failed")
        }
    };
    // SAFETY: `Raise` needs no drop, so an error may leave from here.
    unsafe {
        if let Raise::Message(text) = raise {
            ffi::luaL_where(state, 1);
            ffi::lua_pushlstring_(state, text.as_ptr().cast::<c_char>(), text.len());
            ffi::lua_concat(state, 2);
        }
        ffi::lua_error(state)
    }
}

unsafe extern "C-unwind" fn call_raising(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: called by Lua.
    unsafe { enter(state, call::call) }
}

unsafe extern "C-unwind" fn call_returning(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: called by Lua.
    unsafe { enter(state, call::pcall) }
}

/// Runs a script: globals, scripts by number and the handler of errors are kept by the function.
///
/// What the safe interface has for this makes a function of its own for each call. And no Lua code
/// may be between: `error` could name it as a place.
unsafe extern "C-unwind" fn run(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the host calls with the number of a script; errors find nothing to drop here.
    unsafe {
        enter(state, call::given);
        ffi::lua_setfield(state, ffi::lua_upvalueindex(1), c"ARGV".as_ptr());
        ffi::lua_setfield(state, ffi::lua_upvalueindex(1), c"KEYS".as_ptr());
        ffi::lua_rawget_(state, ffi::lua_upvalueindex(2));
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(3));
        protected(state, 0)
    }
}

/// Runs a function of a library; the handler of errors is kept.
unsafe extern "C-unwind" fn run_function(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the host calls with the function; errors find nothing to drop here.
    unsafe {
        enter(state, call::given);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        protected(state, 2)
    }
}

/// Runs the code of a library; the handler of errors is kept.
unsafe extern "C-unwind" fn run_loader(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the host calls with the code; errors find nothing to drop here.
    unsafe {
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        protected(state, 0)
    }
}

/// With a function, so many arguments and the handler of errors on the stack: whether it went well,
/// and what it gives or what the handler makes of its error.
pub unsafe fn protected(state: *mut ffi::lua_State, arguments: c_int) -> c_int {
    // SAFETY: the callers have put the handler last. Whether it went well lies below the function
    // all the while: what it gives may take all the room that there is.
    unsafe {
        ffi::lua_insert(state, 1);
        ffi::lua_pushboolean(state, 1);
        ffi::lua_insert(state, 2);
        if ffi::lua_pcall(state, arguments, ffi::LUA_MULTRET, 1) != 0 {
            ffi::lua_pushboolean(state, 0);
            ffi::lua_replace(state, 2);
        }
        ffi::lua_remove(state, 1);
        ffi::lua_gettop(state)
    }
}

/// The functions of this file, for the prelude; `closure` makes those of them that keep values.
pub fn add(lua: &Lua, host: &Table) -> mlua::Result<()> {
    let all: [(&str, ffi::lua_CFunction); 3] = [
        ("run", run),
        ("run_function", run_function),
        ("run_loader", run_loader),
    ];
    for (name, function) in all {
        // SAFETY: they keep to what Lua asks of its functions; see the head of this file.
        host.raw_set(name, unsafe { lua.create_c_function(function)? })?;
    }
    Ok(())
}

/// `redis.call` and `redis.pcall`.
pub struct Calls {
    pub call: Function,
    pub pcall: Function,
}

impl Calls {
    pub fn new(lua: &Lua) -> mlua::Result<Self> {
        // SAFETY: they keep to what Lua asks of its functions; see the head of this file.
        unsafe {
            Ok(Self {
                call: lua.create_c_function(call_raising)?,
                pcall: lua.create_c_function(call_returning)?,
            })
        }
    }
}
