//! Functions of the standard library as scripts get them.
//!
//! Each does its own part and then what the original does, in the frame that the script has called:
//! messages name the place and the function as if that had been the original.
//!
//! Why it is sound: these functions keep to the rules of Lua's C interface for what they take from
//! the stack and leave on it, none needs more than the slots that Lua grants, and where an error
//! leaves there is nothing to be dropped. See also the head of `stack.rs`.
#![allow(unsafe_code)]

use super::stack::protected;
use mlua::ffi::{self, lua_State, lua_upvalueindex};
use mlua::{Lua, Table};
use std::ffi::{CStr, c_char, c_int};
use std::ptr::null_mut;

/// What a function with an original keeps: first what the original keeps itself, or what the
/// function needs besides; then the contents of guards by guard, and the original.
const OWN: c_int = lua_upvalueindex(1);
const CONTENTS: c_int = lua_upvalueindex(2);
const ORIGINAL: c_int = lua_upvalueindex(3);

const READ_ONLY: &[u8] = b"Attempt to modify a readonly table";

/// How binary chunks begin, which scripts may not load: they could crash the machine.
const BINARY: u8 = 0x1B;

/// What `host.closure` makes functions of, for the prelude.
pub fn add(lua: &Lua, host: &Table) -> mlua::Result<()> {
    let all: [(&str, ffi::lua_CFunction); 12] = [
        ("closure", closure),
        ("reading", reading),
        ("writing", writing),
        ("pairs", pairs),
        ("get_metatable", get_metatable),
        ("set_metatable", set_metatable),
        ("pcall", pcall),
        ("xpcall", xpcall),
        ("resume", resume),
        ("unpack", unpack),
        ("load", load),
        ("compile", compile),
    ];
    for (name, function) in all {
        // SAFETY: they keep to what Lua asks of its functions; see the head of this file.
        host.raw_set(name, unsafe { lua.create_c_function(function)? })?;
    }
    Ok(())
}

/// Makes a function of the first argument that keeps the others.
unsafe extern "C-unwind" fn closure(state: *mut lua_State) -> c_int {
    // SAFETY: only the prelude calls, with functions of this file.
    unsafe {
        let Some(function) = ffi::lua_tocfunction(state, 1) else {
            return 0;
        };
        ffi::lua_remove(state, 1);
        ffi::lua_pushcclosure(state, function, ffi::lua_gettop(state));
        1
    }
}

/// Pushes the content of the guard that is the first argument; `false` when that is none.
unsafe fn push_content(state: *mut lua_State) -> bool {
    // SAFETY: the prelude has made the function with a table of the contents.
    unsafe {
        if ffi::lua_type(state, 1) != ffi::LUA_TTABLE {
            return false;
        }
        ffi::lua_pushvalue(state, 1);
        ffi::lua_rawget_(state, CONTENTS);
        let is_guard = ffi::lua_type(state, -1) != ffi::LUA_TNIL;
        if !is_guard {
            ffi::lua_settop(state, -2);
        }
        is_guard
    }
}

unsafe fn original(state: *mut lua_State) -> c_int {
    // SAFETY: the original is a function of Lua's own, which finds the stack as it was called.
    unsafe { ffi::lua_tocfunction(state, ORIGINAL).map_or(0, |function| function(state)) }
}

unsafe fn raise(state: *mut lua_State, text: &[u8]) -> c_int {
    // SAFETY: nothing of the callers needs to be dropped.
    unsafe {
        ffi::lua_pushlstring_(state, text.as_ptr().cast::<c_char>(), text.len());
        ffi::lua_error(state)
    }
}

/// A function that reads its first argument, past the metatable of a guard.
unsafe extern "C-unwind" fn reading(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua.
    unsafe {
        if push_content(state) {
            ffi::lua_replace(state, 1);
        }
        original(state)
    }
}

/// `pairs`, which gives what it is given: a guard as a guard, so that the content stays out of
/// reach; the `next` that it keeps reads past it.
unsafe extern "C-unwind" fn pairs(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        ffi::lua_pushvalue(state, OWN);
        ffi::lua_pushvalue(state, 1);
        ffi::lua_pushnil(state);
        3
    }
}

/// A function that writes to its first argument, which may not be a guard.
unsafe extern "C-unwind" fn writing(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua.
    unsafe {
        if push_content(state) {
            return raise(state, READ_ONLY);
        }
        original(state)
    }
}

/// `getmetatable`: guards have those that they are given in a table that it keeps.
unsafe extern "C-unwind" fn get_metatable(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua.
    unsafe {
        if push_content(state) {
            ffi::lua_pushvalue(state, 1);
            ffi::lua_rawget_(state, OWN);
            return 1;
        }
        original(state)
    }
}

unsafe extern "C-unwind" fn set_metatable(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua.
    unsafe {
        let given = ffi::lua_type(state, 2);
        if matches!(given, ffi::LUA_TNIL | ffi::LUA_TTABLE) && push_content(state) {
            return raise(state, READ_ONLY);
        }
        original(state)
    }
}

/// Makes the error on top of the stack what scripts see of it.
unsafe fn see(state: *mut lua_State) {
    // SAFETY: the function that is kept takes and gives one value.
    unsafe {
        ffi::lua_pushvalue(state, OWN);
        ffi::lua_insert(state, -2);
        ffi::lua_call(state, 1, 1);
    }
}

/// `pcall`: gives the text of the error of a command, which is a table. As in Redis another table
/// is followed by what its field `err` is.
unsafe extern "C-unwind" fn pcall(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua.
    unsafe {
        ffi::luaL_checkany(state, 1);
        let given = ffi::lua_gettop(state) - 1;
        // What is called may fill all room that there is, so this goes first.
        ffi::lua_pushboolean(state, 1);
        ffi::lua_insert(state, 1);
        if ffi::lua_pcall(state, given, ffi::LUA_MULTRET, 0) != 0 {
            see(state);
            if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
                ffi::lua_pushlstring_(state, c"err".as_ptr(), 3);
                ffi::lua_rawget_(state, -2);
                if ffi::lua_isstring(state, -1) != 0 {
                    ffi::lua_remove(state, -2);
                }
            }
            ffi::lua_pushboolean(state, 0);
            ffi::lua_replace(state, 1);
        }
        ffi::lua_gettop(state)
    }
}

unsafe extern "C-unwind" fn xpcall(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua.
    unsafe {
        ffi::luaL_checkany(state, 2);
        ffi::lua_settop(state, 2);
        if ffi::lua_type(state, 2) == ffi::LUA_TFUNCTION {
            ffi::lua_pushvalue(state, OWN);
            ffi::lua_insert(state, 2);
            ffi::lua_pushcclosure(state, handle, 2);
        }
        protected(state, 0)
    }
}

/// The handler of an `xpcall`, which it keeps after what makes errors seen.
unsafe extern "C-unwind" fn handle(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua with an error.
    unsafe {
        see(state);
        ffi::lua_pushvalue(state, lua_upvalueindex(2));
        ffi::lua_insert(state, -2);
        ffi::lua_call(state, 1, 1);
        1
    }
}

unsafe extern "C-unwind" fn resume(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua; the original leaves `false` and an error, or `true` and what it gives.
    unsafe {
        let given = original(state);
        let failed = given == 2
            && ffi::lua_type(state, -2) == ffi::LUA_TBOOLEAN
            && ffi::lua_toboolean(state, -2) == 0;
        if failed {
            see(state);
        }
        given
    }
}

/// `unpack`; the original counts in C's integers, which overflow.
unsafe extern "C-unwind" fn unpack(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua; there is room for as many values as have been asked for.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        let first = ffi::luaL_optinteger(state, 2, 1) as c_int;
        let last = match ffi::lua_type(state, 3) {
            ffi::LUA_TNONE | ffi::LUA_TNIL => ffi::lua_objlen(state, 1) as c_int,
            _ => ffi::luaL_checkinteger(state, 3) as c_int,
        };
        if first > last {
            return 0;
        }
        let count = c_int::try_from(i64::from(last) - i64::from(first) + 1).unwrap_or(c_int::MAX);
        if count > SLOTS_MAX || ffi::lua_checkstack(state, count) == 0 {
            return ffi::luaL_error(state, c"too many results to unpack".as_ptr());
        }
        for index in first..=last {
            ffi::lua_rawgeti_(state, 1, index);
        }
        count
    }
}

/// Slots of Lua's stack that one function may use.
const SLOTS_MAX: c_int = 8000;

/// `load`: the function that it keeps gets what reads and the name of the chunk.
unsafe extern "C-unwind" fn load(state: *mut lua_State) -> c_int {
    const NAME: &CStr = c"=(load)";
    // SAFETY: called by Lua.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
        ffi::luaL_optlstring(state, 2, NAME.as_ptr(), null_mut());
        ffi::lua_settop(state, 2);
        if ffi::lua_type(state, 2) == ffi::LUA_TNIL {
            ffi::lua_pushstring_(state, NAME.as_ptr());
            ffi::lua_replace(state, 2);
        }
        ffi::lua_pushvalue(state, OWN);
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, 2, ffi::LUA_MULTRET);
        ffi::lua_gettop(state)
    }
}

/// `loadstring`: the chunk sees what scripts see, which the function keeps.
unsafe extern "C-unwind" fn compile(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua; the texts stay where they are on the stack.
    unsafe {
        let mut length = 0;
        let mut text = ffi::luaL_checklstring(state, 1, &raw mut length);
        let name = ffi::luaL_optlstring(state, 2, text, null_mut());
        if length > 0 && *text.cast::<u8>() == BINARY {
            // Behind a space it is text, of a character that no text has.
            ffi::lua_pushlstring_(state, c" ".as_ptr(), 1);
            ffi::lua_pushvalue(state, 1);
            ffi::lua_concat(state, 2);
            text = ffi::lua_tolstring(state, -1, &raw mut length);
        }
        if ffi::luaL_loadbuffer(state, text, length, name) == 0 {
            ffi::lua_pushvalue(state, OWN);
            ffi::lua_setfenv(state, -2);
            1
        } else {
            ffi::lua_pushnil(state);
            ffi::lua_insert(state, -2);
            2
        }
    }
}
