//! Libraries of functions: what `FUNCTION LOAD` registers, in a machine of their own.

use super::api::text_of;
use super::flags::{flag, named};
use super::{Machine, Purpose, failure};
use crate::rdb::{dump_functions, restore_functions};
use mlua::{Function, Lua, MultiValue, RegistryKey, Table, Value};
use protocol::resp::split_words;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// A function of a library.
#[derive(Debug, Clone)]
pub struct Registered {
    pub name: String,
    pub description: Option<Vec<u8>>,
    pub flags: u32,
    /// Kept by Lua: it lets us hold only some thousands of functions ourselves.
    callback: Rc<RegistryKey>,
}

#[derive(Debug, Clone)]
pub struct Library {
    pub code: Rc<[u8]>,
    pub functions: Vec<Rc<Registered>>,
}

/// What `FUNCTION RESTORE` does with the libraries that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Flush,
    Append,
    Replace,
}

/// What a library that is being loaded has registered.
type Loading = Rc<RefCell<Vec<Registered>>>;

/// All libraries, by name.
#[derive(Default)]
pub struct Libraries {
    pub by_name: BTreeMap<String, Library>,
    by_function: HashMap<Vec<u8>, Rc<Registered>>,
    machine: Option<Rc<Machine>>,
    loading: Loading,
}

impl Libraries {
    /// The function of a name, which may be spelt in capitals or not.
    pub fn function(&self, name: &[u8]) -> Option<&Rc<Registered>> {
        if let Some(function) = self.by_function.get(name) {
            return Some(function);
        }
        self.by_function.get(&*name.to_ascii_lowercase())
    }

    /// Takes a library out; `false` when it is not there.
    fn remove(&mut self, name: &str) -> bool {
        let Some(library) = self.by_name.remove(name) else {
            return false;
        };
        for function in &library.functions {
            self.by_function.remove(&function.key());
        }
        true
    }

    /// The machine; there is one as soon as something was loaded.
    pub fn machine(&self) -> Option<Rc<Machine>> {
        self.machine.clone()
    }

    pub fn used_bytes(&self) -> u64 {
        self.machine
            .as_ref()
            .map_or(0, |machine| machine.used_bytes())
    }

    /// Loads a library; gives its name. Nothing changes when it fails.
    pub fn load(&mut self, code: &[u8], replace: bool) -> Result<String, Vec<u8>> {
        let (name, body) = header(code)?;
        if self.by_name.contains_key(&name) && !replace {
            return Err(format!("ERR Library '{name}' already exists").into_bytes());
        }
        let functions = self.register(body)?;
        if functions.is_empty() {
            return Err(b"ERR No functions registered".to_vec());
        }
        let own = |other: &Rc<Registered>| {
            let replaced = self.by_name.get(&name);
            replaced.is_some_and(|old| old.functions.iter().any(|one| Rc::ptr_eq(one, other)))
        };
        for function in &functions {
            if let Some(other) = self.by_function.get(&function.key())
                && !own(other)
            {
                return Err(format!("ERR Function {} already exists", other.name).into_bytes());
            }
        }
        let library = Library {
            code: code.into(),
            functions: functions.into_iter().map(Rc::new).collect(),
        };
        self.remove(&name);
        for function in &library.functions {
            self.by_function.insert(function.key(), Rc::clone(function));
        }
        self.by_name.insert(name.clone(), library);
        Ok(name)
    }

    /// Runs the code of a library, which registers functions.
    fn register(&mut self, body: &[u8]) -> Result<Vec<Registered>, Vec<u8>> {
        if self.machine.is_none() {
            self.machine = machine(&self.loading).ok().map(Rc::new);
        }
        let Some(machine) = &self.machine else {
            return Err(super::NO_MACHINE.as_bytes().to_vec());
        };
        self.loading.borrow_mut().clear();
        let chunk = machine.compile("@user_function", body);
        let chunk = chunk.map_err(|error| failure::of_machine(&error, "load"))?;
        let chunk =
            chunk.map_err(|text| [b"ERR Error compiling function: ", &text[..]].concat())?;
        let result = machine.run_loader(&chunk);
        let registered = self.loading.take();
        match result {
            Ok((true, _)) => Ok(registered),
            Ok((false, error)) => {
                let text = failure::bare_text(&machine.shared, &error);
                Err([b"ERR Error registering functions: ", &text[..]].concat())
            }
            Err(error) => Err(failure::of_machine(&error, "load")),
        }
    }

    /// All libraries as `FUNCTION DUMP` gives them.
    pub fn dump(&self) -> Vec<u8> {
        dump_functions(self.by_name.values().map(|library| &*library.code))
    }

    /// Loads what [`dump`](Self::dump) gave, whole or not at all.
    pub fn restore(&mut self, payload: &[u8], policy: Policy) -> Result<Vec<Rc<[u8]>>, Vec<u8>> {
        let codes = restore_functions(payload);
        let codes = codes.map_err(|error| format!("ERR {error}").into_bytes())?;
        let mut next = Self {
            machine: self.machine.take(),
            loading: Rc::clone(&self.loading),
            by_name: BTreeMap::new(),
            by_function: HashMap::new(),
        };
        if policy != Policy::Flush {
            next.by_name.clone_from(&self.by_name);
            next.by_function.clone_from(&self.by_function);
        }
        for code in &codes {
            let (name, _) = header(code)?;
            if policy == Policy::Append && next.by_name.contains_key(&name) {
                self.machine = next.machine;
                return Err(format!("ERR Library {name} already exists").into_bytes());
            }
            if let Err(text) = next.load(code, policy == Policy::Replace) {
                self.machine = next.machine;
                return Err(text);
            }
        }
        *self = next;
        Ok(codes.into_iter().map(Into::into).collect())
    }

    pub fn delete(&mut self, name: &[u8]) -> bool {
        let name = String::from_utf8_lossy(name);
        self.remove(&name)
    }

    /// Forgets all libraries and the machine.
    pub fn function_count(&self) -> usize {
        self.by_function.len()
    }

    pub fn flush(&mut self) {
        *self = Self::default();
    }
}

/// A machine whose scripts can register functions while they are loaded.
fn machine(loading: &Loading) -> mlua::Result<Machine> {
    let machine = Machine::new(Purpose::Libraries)?;
    let loading = Rc::clone(loading);
    let register = move |lua: &Lua, arguments: MultiValue| {
        if super::RUNNING.is_set() {
            let text = b"ERR redis.register_function can only be called on FUNCTION LOAD command";
            return Err(failure::coded(text));
        }
        match registered(lua, &arguments) {
            Ok(function) => {
                let mut list = loading.borrow_mut();
                if list.iter().any(|other| other.has_name_of(&function)) {
                    let text = b"ERR Function already exists in the library";
                    return Err(failure::coded(text));
                }
                list.push(function);
                Ok(())
            }
            Err(text) => Err(failure::coded(format!("ERR {text}").as_bytes())),
        }
    };
    machine.add_for_loading("register_function", register)?;
    Ok(machine)
}

/// The arguments of `redis.register_function`, in either of its forms.
fn registered(lua: &Lua, arguments: &MultiValue) -> Result<Registered, String> {
    match (arguments.front(), arguments.len()) {
        (Some(Value::Table(named)), 1) => by_names(lua, named),
        (_, 1) => Err(
            "calling redis.register_function with a single argument is only \
                       applicable to Lua table (representing named arguments)."
                .to_owned(),
        ),
        (name, 2) => {
            let Some(name) = text(name) else {
                let message = "first argument to redis.register_function must be a string";
                return Err(message.to_owned());
            };
            let Some(Value::Function(callback)) = arguments.get(1) else {
                let message = "second argument to redis.register_function must be a function";
                return Err(message.to_owned());
            };
            made(lua, name, None, 0, callback)
        }
        _ => Err("wrong number of arguments to redis.register_function".to_owned()),
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    bytes(value).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn bytes(value: Option<&Value>) -> Option<Vec<u8>> {
    match value {
        Some(Value::String(_) | Value::Integer(_) | Value::Number(_)) => Some(text_of(value)),
        _ => None,
    }
}

fn made(
    lua: &Lua,
    name: String,
    description: Option<Vec<u8>>,
    flags: u32,
    callback: &Function,
) -> Result<Registered, String> {
    if !is_name(&name) {
        return Err(format!("Library names {NAMING}"));
    }
    let kept = lua.create_registry_value(callback);
    Ok(Registered {
        name,
        description,
        flags,
        callback: Rc::new(kept.map_err(|error| error.to_string())?),
    })
}

/// What names consist of.
const NAMING: &str =
    "can only contain letters, numbers, or underscores(_) and must be at least one character long";

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(allowed)
}

fn by_names(lua: &Lua, named: &Table) -> Result<Registered, String> {
    let (mut name, mut description, mut flags, mut callback) = (None, None, 0, None);
    let mut pairs = Vec::new();
    let walked = named.for_each(|key: Value, value: Value| {
        pairs.push((key, value));
        Ok(())
    });
    walked.map_err(|error| error.to_string())?;
    for (key, value) in &pairs {
        let key = text(Some(key))
            .ok_or("named argument key given to redis.register_function is not a string")?;
        let wrong = |kind: &str| {
            format!("{key} argument given to redis.register_function must be a {kind}")
        };
        match key.as_str() {
            "function_name" => name = Some(text(Some(value)).ok_or_else(|| wrong("string"))?),
            "description" => {
                description = Some(bytes(Some(value)).ok_or_else(|| wrong("string"))?);
            }
            "callback" => match value {
                Value::Function(function) => callback = Some(function.clone()),
                _ => return Err(wrong("function")),
            },
            "flags" => {
                let Value::Table(list) = value else {
                    let message = "flags argument to redis.register_function must be a table \
                                   representing function flags";
                    return Err(message.to_owned());
                };
                flags = flags_of(list)?;
            }
            _ => return Err("unknown argument given to redis.register_function".to_owned()),
        }
    }
    let name = name.ok_or("redis.register_function must get a function name argument")?;
    let callback = callback.ok_or("redis.register_function must get a callback argument")?;
    made(lua, name, description, flags, &callback)
}

fn flags_of(list: &Table) -> Result<u32, String> {
    let mut flags = 0;
    for value in list.sequence_values::<Value>() {
        let found = match value {
            Ok(Value::String(name)) => named(&name.as_bytes()),
            _ => None,
        };
        flags |= found.ok_or("unknown flag given")?;
    }
    Ok(flags & !flag::COMPATIBLE)
}

/// The name that the first line of a library tells, and what is to be compiled.
fn header(code: &[u8]) -> Result<(String, &[u8]), Vec<u8>> {
    if !code.starts_with(b"#!") {
        return Err(b"ERR Missing library metadata".to_vec());
    }
    let end = code.iter().position(|&byte| byte == b'\n');
    let end = end.ok_or(b"ERR Invalid library metadata")?;
    let words = split_words(&code[..end]).ok_or(b"ERR Invalid library metadata")?;
    let mut words = words.iter().map(Vec::as_slice);
    let engine = words.next().unwrap_or_default();
    let engine = engine.strip_prefix(b"#!").unwrap_or_default();
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err([b"ERR Engine '", engine, b"' not found"].concat());
    }
    let mut name = None;
    for word in words {
        let value = word
            .split_at_checked(5)
            .filter(|(key, _)| key.eq_ignore_ascii_case(b"name="));
        let Some((_, value)) = value else {
            return Err([b"ERR Invalid metadata value given: ", word].concat());
        };
        let value = String::from_utf8_lossy(value).into_owned();
        if name.replace(value).is_some() {
            let text = "ERR Invalid metadata value, name argument was given multiple times";
            return Err(text.as_bytes().to_vec());
        }
    }
    let name = name.ok_or(b"ERR Library name was not given")?;
    if !is_name(&name) {
        return Err(format!("ERR Library names {NAMING}").into_bytes());
    }
    Ok((name, &code[end..]))
}

impl Registered {
    fn has_name_of(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
    }

    /// What it is found by: names may be spelt in capitals or not.
    fn key(&self) -> Vec<u8> {
        self.name.to_ascii_lowercase().into_bytes()
    }

    /// Runs the function: `true` with what it returned, or `false` with its error.
    pub fn run(&self, machine: &Machine) -> mlua::Result<(bool, Value)> {
        machine.run_function(&self.callback)
    }
}
