//! The machine: a Lua state with what scripts see, its limits, and how a script is run in it.

use super::failure::raised;
use super::stack::{self, Calls};
use super::{
    Interrupt, Running, api, bit, cjson, cmsgpack, failure, interrupt, natives, number, pack,
};
use mlua::state::{GcIncParams, GcMode};
use mlua::{Function, Lua, LuaOptions, LuaString, MultiValue, RegistryKey, StdLib, Table, Value};
use protocol::resp::Protocol;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Most memory of one machine, in bytes; a script that wants more gets an error. Enough for any
/// reply that a client may get, and little beside the memory of a member.
pub const MEMORY_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Memory in use when a collection begins, in percent of what the last one left. Lua's own 200
/// would have a machine of simple scripts use more than 100 KiB, which operators of Redis do not
/// expect.
const COLLECTION_PAUSE_PERCENT: i32 = 150;

/// Longest chunk that a script compiles piece by piece, in bytes.
const CHUNK_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where `math.random` begins, as the C library's `lrand48` does without a seed: the same numbers
/// in every run.
const RANDOM_START: u64 = 0x1234_ABCD_330E;

/// Names of fields of tables, interned once.
pub struct Names {
    pub err: LuaString,
    pub ok: LuaString,
    pub double: LuaString,
    pub map: LuaString,
    pub set: LuaString,
    pub big_number: LuaString,
    pub verbatim_string: LuaString,
    pub format: LuaString,
    pub string: LuaString,
    pub source: LuaString,
    pub line: LuaString,
    pub ignore: LuaString,
}

impl Names {
    fn new(lua: &Lua) -> mlua::Result<Self> {
        Ok(Self {
            err: lua.create_string("err")?,
            ok: lua.create_string("ok")?,
            double: lua.create_string("double")?,
            map: lua.create_string("map")?,
            set: lua.create_string("set")?,
            big_number: lua.create_string("big_number")?,
            verbatim_string: lua.create_string("verbatim_string")?,
            format: lua.create_string("format")?,
            string: lua.create_string("string")?,
            source: lua.create_string("source")?,
            line: lua.create_string("line")?,
            ignore: lua.create_string("ignore_error_stats_update")?,
        })
    }
}

/// What the callbacks of a machine and those who run it share.
pub struct Shared {
    pub names: Names,
    /// In which replies of commands come; what `redis.setresp` sets.
    pub protocol: Cell<Protocol>,
    pub now_ms: Cell<u64>,
    pub read_only: Cell<bool>,
    /// The script has called a command that writes.
    pub written: Cell<bool>,
    /// What runs is a function of a library.
    pub is_function: Cell<bool>,
    /// Which script of the engine runs.
    pub number: Cell<u64>,
    /// How often it was asked whether a library that is being loaded is to go on.
    pub questions: Cell<u32>,
    /// How long commands took since it was last asked after one whether the script is to go on.
    pub commands_ns: Cell<u64>,
    /// Whether the script is to end.
    pub verdict: Cell<Interrupt>,
    /// Memory was full when the script began, and it is not allowed to ignore that.
    pub full: Cell<bool>,
    /// All keys must be of one slot in a cluster.
    pub one_slot: Cell<bool>,
    /// The slot of the keys used so far.
    pub slot: Cell<Option<u16>>,
    /// State of `math.random`.
    pub random: Cell<u64>,
    /// A buffer for the replies of commands, kept between them.
    pub reply: RefCell<Vec<u8>>,
}

/// What a machine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Scripts,
    Libraries,
}

pub struct Machine {
    lua: Lua,
    pub shared: Rc<Shared>,
    scripts: Table,
    /// `loadstring`.
    compile: Function,
    /// The metatable of what scripts see, which says whether that shows `globals` or `loading`.
    view: Table,
    globals: Table,
    /// All that the code of a library sees while it is loaded.
    loading: Table,
    run: Function,
    run_function: Function,
    run_loader: Function,
    /// What `redis` shows while a library is loaded, beside what it shows otherwise.
    registering: Table,
}

impl Machine {
    pub fn new(purpose: Purpose) -> mlua::Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
        let options = LuaOptions::new().catch_rust_panics(false);
        let lua = Lua::new_with(libraries, options)?;
        let shared = Rc::new(Shared {
            names: Names::new(&lua)?,
            protocol: Cell::default(),
            now_ms: Cell::new(0),
            read_only: Cell::new(false),
            written: Cell::new(false),
            is_function: Cell::new(false),
            number: Cell::new(0),
            questions: Cell::new(0),
            commands_ns: Cell::new(0),
            verdict: Cell::default(),
            full: Cell::new(false),
            one_slot: Cell::new(false),
            slot: Cell::new(None),
            random: Cell::new(RANDOM_START),
            reply: RefCell::default(),
        });
        let host = host(&lua, &shared, purpose)?;
        let prelude = lua.load(include_str!("prelude.lua"));
        let made: Table = prelude.set_name(failure::PRELUDE).call(&host)?;
        let machine = Self {
            shared,
            scripts: made.get("scripts")?,
            compile: made.get("compile")?,
            view: made.get("view")?,
            globals: made.get("globals")?,
            loading: made.get("loading")?,
            run: made.get("run")?,
            run_function: made.get("run_function")?,
            run_loader: made.get("run_loader")?,
            registering: made.get("registering")?,
            lua,
        };
        interrupt::install(&machine.lua, &machine.shared)?;
        machine.lua.set_memory_limit(MEMORY_BYTES_MAX)?;
        // What only the start needed goes at once.
        let collection = GcIncParams::default().pause(COLLECTION_PAUSE_PERCENT);
        machine.lua.gc_set_mode(GcMode::Incremental(collection));
        machine.lua.gc_collect()?;
        Ok(machine)
    }

    pub fn used_bytes(&self) -> u64 {
        self.lua.used_memory() as u64
    }

    /// Compiles text that sees what scripts see, or tells why it cannot be.
    pub fn compile(&self, name: &str, body: &[u8]) -> mlua::Result<Result<Function, Vec<u8>>> {
        let body = self.lua.create_string(body)?;
        let made: (Option<Function>, Option<LuaString>) = self.compile.call((body, name))?;
        let text = made.1.map(|text| text.as_bytes().to_vec());
        Ok(made.0.ok_or_else(|| text.unwrap_or_default()))
    }

    /// Adds a function to `redis` as libraries see it while they are loaded.
    pub fn add_for_loading(
        &self,
        name: &str,
        function: impl Fn(&Lua, MultiValue) -> mlua::Result<()> + 'static,
    ) -> mlua::Result<()> {
        self.registering
            .raw_set(name, self.lua.create_function(function)?)
    }

    /// Runs the code of a library.
    pub fn run_loader(&self, code: &Function) -> mlua::Result<(bool, Value)> {
        self.shared.questions.set(0);
        self.view.raw_set("__index", &self.loading)?;
        let result = self.run_loader.call(code);
        self.view.raw_set("__index", &self.globals)?;
        self.end();
        result
    }

    /// Runs a function of a library.
    pub fn run_function(&self, callback: &RegistryKey) -> mlua::Result<(bool, Value)> {
        let callback: Function = self.lua.registry_value(callback)?;
        self.run_function.call(callback)
    }

    /// Compiles a script.
    pub fn define(&self, id: u64, body: &[u8]) -> Result<(), Vec<u8>> {
        let failed = |error: mlua::Error| failure::of_machine(&error, "");
        match self.compile("@user_script", body).map_err(failed)? {
            Ok(function) => self.scripts.raw_set(id, function).map_err(failed),
            Err(text) => Err([COMPILING, &text].concat()),
        }
    }

    pub fn forget(&self, id: u64) -> Result<(), Vec<u8>> {
        let forgotten = self.scripts.raw_set(id, Value::Nil);
        forgotten.map_err(|error| failure::of_machine(&error, ""))
    }

    /// Runs a script: `true` with what it returned, or `false` with its error.
    pub fn run(&self, id: u64) -> mlua::Result<(bool, Value)> {
        self.run.call(id)
    }

    /// Pushes values that take at most so many bytes, which must be there: no limit of memory is
    /// in force meanwhile, so that nothing fails half way. `None` when they are not.
    pub fn unlimited<R>(&self, bytes: usize, push: impl FnOnce() -> R) -> Option<R> {
        let used = self.lua.used_memory();
        if used.saturating_add(bytes) > MEMORY_BYTES_MAX {
            return None;
        }
        self.lua.set_memory_limit(0).ok()?;
        let result = push();
        self.lua.set_memory_limit(MEMORY_BYTES_MAX).ok()?;
        Some(result)
    }

    /// Asks, after commands that took long, whether the script is to go on.
    #[cold]
    pub fn question(&self, running: &mut Running) -> mlua::Result<()> {
        interrupt::question(&self.lua, &self.shared, running)
    }

    /// What is done after every run.
    pub fn end(&self) {
        if self.shared.verdict.take() != Interrupt::Continue
            && let Err(error) = interrupt::install(&self.lua, &self.shared)
        {
            tracing::error!(%error, "scripts cannot be interrupted any more");
        }
        // What this script has left must not be in the way of the next one.
        if self.lua.used_memory() > MEMORY_BYTES_MAX / 2
            && let Err(error) = self.lua.gc_collect()
        {
            tracing::error!(%error, "memory of scripts cannot be collected");
        }
        // One huge reply must not keep its memory for good.
        self.shared.reply.borrow_mut().shrink_to(KEPT_BYTES);
    }
}

const COMPILING: &[u8] = b"ERR Error compiling script (new function): ";

/// Capacity of the reply buffer that is kept between scripts.
const KEPT_BYTES: usize = 64 * 1024;

/// The functions that the prelude gets.
fn host(lua: &Lua, shared: &Rc<Shared>, purpose: Purpose) -> mlua::Result<Table> {
    let host = lua.create_table()?;
    let state = Rc::clone(shared);
    let seen = move |lua: &Lua, error: Value| failure::seen(lua, &state, error);
    host.raw_set("seen", lua.create_function(seen)?)?;
    let state = Rc::clone(shared);
    let on_error = move |lua: &Lua, error: Value| failure::located(lua, &state, error);
    host.raw_set("on_error", lua.create_function(on_error)?)?;
    let calls = Calls::new(lua)?;
    host.raw_set("redis", api::functions(lua, shared, &calls, purpose)?)?;
    stack::add(lua, &host)?;
    natives::add(lua, &host)?;
    host.raw_set("cjson", cjson::functions(lua)?)?;
    host.raw_set("cmsgpack", cmsgpack::functions(lua)?)?;
    host.raw_set("struct", pack::functions(lua)?)?;
    host.raw_set("bit", bit::functions(lua)?)?;
    host.raw_set("chunk_bytes_max", CHUNK_BYTES_MAX)?;
    let state = Rc::clone(shared);
    let random = move |lua: &Lua, arguments: MultiValue| raised(lua, random(&state, &arguments));
    host.raw_set("random", lua.create_function(random)?)?;
    let state = Rc::clone(shared);
    let seed = move |lua: &Lua, arguments: MultiValue| raised(lua, randomseed(&state, &arguments));
    host.raw_set("randomseed", lua.create_function(seed)?)?;
    Ok(host)
}

/// A number as Lua takes one from a value.
pub fn number_of(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::Integer(integer) => Some(*integer as f64),
        Value::Number(number) => Some(*number),
        Value::String(text) => number::of_text(&text.as_bytes()),
        _ => None,
    }
}

/// The name of a value's type, as messages about arguments name it.
pub fn type_name(value: Option<&Value>) -> &'static str {
    value.map_or("no value", |value| match value {
        Value::LightUserData(_) => "userdata",
        Value::Integer(_) => "number",
        value => value.type_name(),
    })
}

/// The message for an argument that is of another type.
pub fn bad_argument(position: usize, of: &str, wanted: &str, got: Option<&Value>) -> String {
    let got = type_name(got);
    format!("bad argument #{position} to '{of}' ({wanted} expected, got {got})")
}

/// `math.random`: the numbers of `lrand48`, so that they are the same everywhere.
fn random(shared: &Shared, arguments: &MultiValue) -> Result<f64, String> {
    let next = (shared.random.get().wrapping_mul(0x5_DEEC_E66D)).wrapping_add(0xB) & MASK_48;
    shared.random.set(next);
    let (drawn, max) = ((next >> 17) as f64, f64::from(i32::MAX));
    let drawn = drawn % max / max;
    let bound = |at: usize| {
        let value = arguments.get(at);
        let found = number_of(value).map(|number| number::integer(number) as i32);
        found.ok_or_else(|| bad_argument(at + 1, "random", "number", value))
    };
    let empty = |at| format!("bad argument #{at} to 'random' (interval is empty)");
    match arguments.len() {
        0 => Ok(drawn),
        1 => bound(0).and_then(|upper| {
            let fits = upper >= 1;
            fits.then(|| (drawn * f64::from(upper)).floor() + 1.0)
                .ok_or_else(|| empty(1))
        }),
        2 => bound(0).and_then(|lower| {
            let upper = bound(1)?;
            let width = upper.wrapping_sub(lower).wrapping_add(1);
            let fits = lower <= upper;
            fits.then(|| (drawn * f64::from(width)).floor() + f64::from(lower))
                .ok_or_else(|| empty(2))
        }),
        _ => Err("wrong number of arguments".to_owned()),
    }
}

const MASK_48: u64 = (1 << 48) - 1;

fn randomseed(shared: &Shared, arguments: &MultiValue) -> Result<(), String> {
    let value = arguments.front();
    let seed = number_of(value).ok_or_else(|| bad_argument(1, "randomseed", "number", value))?;
    let seed = number::integer(seed) as u32;
    shared.random.set((u64::from(seed) << 16) | 0x330E);
    Ok(())
}
