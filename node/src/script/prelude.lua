-- What scripts see, made from the standard libraries and the functions of the host.
--
-- Lua 5.1 has no read-only tables: the script gets an empty table for each one (a guard), whose
-- metatable reads the content and refuses writes. What would reach past a metatable (rawset, next)
-- knows the guards.
local host = ...

local error, type, next, select = error, type, next, select
local tostring, tonumber = tostring, tonumber
local rawset, rawget, setmetatable, getmetatable = rawset, rawget, setmetatable, getmetatable
local pcall, xpcall, format = pcall, xpcall, string.format

local READ_ONLY = "Attempt to modify a readonly table"

local content_of = setmetatable({}, { __mode = "k" })

local function refuse_write()
  error(READ_ONLY, 2)
end

local function guard(content)
  local made = setmetatable({}, { __index = content, __newindex = refuse_write, __metatable = false })
  content_of[made] = content
  return made
end

-- The variant of a function that writes to its first argument: not to a guard.
local function guarded(name, write)
  return function(...)
    local target = ...
    if content_of[target] then
      error(READ_ONLY, 0)
    end
    if type(target) ~= "table" then
      local got = select("#", ...) == 0 and "no value" or type(target)
      error(format("bad argument #1 to '%s' (table expected, got %s)", name, got), 2)
    end
    return write(...)
  end
end

local function copied(from, names)
  local made = {}
  for name in names:gmatch("%S+") do
    made[name] = from[name]
  end
  return made
end

local globals = copied(_G, [[
  assert collectgarbage error gcinfo ipairs rawequal select tonumber tostring type
  _VERSION
]])

-- Errors that the host raises are objects of the host; scripts see a string or a table.
local seen = host.seen

-- Errors of commands are tables; `pcall` gives their texts, as it did when they were texts.
local function caught(ok, ...)
  if ok then
    return ok, ...
  end
  local failure = seen(...)
  if type(failure) == "table" then
    local text = rawget(failure, "err")
    if type(text) == "string" or type(text) == "number" then
      return false, text
    end
  end
  return false, failure
end

function globals.pcall(...)
  return caught(pcall(...))
end

function globals.xpcall(run, handle)
  return xpcall(run, function(failure)
    return handle(seen(failure))
  end)
end

-- Slots of Lua's stack that one function may use.
local SLOTS_MAX = 8000
local unpack = unpack

-- The original counts in C integers, which overflow.
function globals.unpack(list, first, last)
  if type(list) ~= "table" then
    error(format("bad argument #1 to 'unpack' (table expected, got %s)", type(list)), 2)
  end
  local from, to = tonumber(first or 1), tonumber(last or #list)
  if not from or not to then
    local number, got = from and 3 or 2, type(from and last or first)
    error(format("bad argument #%d to 'unpack' (number expected, got %s)", number, got), 2)
  end
  if from > to then
    return
  end
  local given = first == nil and last == nil and 1 or 3
  if not (to - from + 1 + given <= SLOTS_MAX and from >= -2^31 and to < 2^31) then
    error("too many results to unpack", 2)
  end
  if given == 1 then
    return unpack(list)
  end
  return unpack(list, from, to)
end

globals.rawset = guarded("rawset", rawset)
globals.setmetatable = guarded("setmetatable", setmetatable)

function globals.rawget(target, ...)
  return rawget(content_of[target] or target, ...)
end

function globals.next(target, ...)
  return next(content_of[target] or target, ...)
end

function globals.pairs(...)
  local target = ...
  if type(target) ~= "table" then
    local got = select("#", ...) == 0 and "no value" or type(target)
    error(format("bad argument #1 to 'pairs' (table expected, got %s)", got), 2)
  end
  return next, content_of[target] or target, nil
end

local shown_metatables = setmetatable({}, { __mode = "k" })

function globals.getmetatable(...)
  local target = ...
  if content_of[target] then
    return shown_metatables[target]
  end
  return getmetatable(...)
end

local libraries = {
  string = copied(string, [[
    byte char dump find format gfind gmatch gsub len lower match rep reverse sub upper
  ]]),
  table = copied(table, "concat foreach foreachi getn maxn"),
  math = copied(math, [[
    abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min mod
    modf pi pow rad sin sinh sqrt tan tanh
  ]]),
  coroutine = copied(coroutine, "create running status wrap yield"),
  os = copied(os, "clock"),
  cjson = host.cjson,
  cmsgpack = host.cmsgpack,
  struct = host.struct,
  bit = host.bit,
}
for _, name in next, { "insert", "remove", "sort", "setn" } do
  libraries.table[name] = guarded(name, table[name])
end
libraries.math.random = host.random
libraries.math.randomseed = host.randomseed

local function resumed(ok, ...)
  if ok then
    return ok, ...
  end
  return false, seen(...)
end

local resume = coroutine.resume
function libraries.coroutine.resume(...)
  return resumed(resume(...))
end

libraries.redis = host.redis
for name, library in next, libraries do
  globals[name] = guard(library)
end
globals.server = globals.redis

-- Chunks that a script compiles see what the script sees; binary ones could crash the machine.
local function compile_text(text, name)
  local made, message = host.compile(text, name)
  if made then
    return made
  end
  return nil, message
end

function globals.loadstring(text, name)
  if type(text) == "number" then
    text = tostring(text)
  end
  if type(text) ~= "string" then
    error(format("bad argument #1 to 'loadstring' (string expected, got %s)", type(text)), 2)
  end
  return compile_text(text, name or text)
end

function globals.load(read, name)
  if type(read) ~= "function" then
    error(format("bad argument #1 to 'load' (function expected, got %s)", type(read)), 2)
  end
  local parts, bytes = {}, 0
  while true do
    local part = read()
    if part == nil or part == "" then
      break
    end
    if type(part) ~= "string" then
      return nil, "reader function must return a string"
    end
    bytes = bytes + #part
    if bytes > host.chunk_bytes_max then
      return nil, "chunk is too long"
    end
    parts[#parts + 1] = part
  end
  return compile_text(table.concat(parts), name or "=(load)")
end

local function unknown_global(_, name)
  error(format("Script attempted to access nonexistent global variable '%s'", tostring(name)), 2)
end

-- The metatable of what scripts see; the host changes what it shows.
local view = { __index = globals, __newindex = refuse_write, __metatable = false }
local visible = setmetatable({}, view)
content_of[visible] = globals
globals._G = visible
setmetatable(globals, { __index = unknown_global })
shown_metatables[visible] = guard({ __index = unknown_global })
getmetatable("").__index = libraries.string
getmetatable("").__metatable = guard({ __index = globals.string })

-- All that the code of a library sees while it is loaded; what it makes sees the rest later.
local registering = copied(host.redis, [[
  log LOG_DEBUG LOG_VERBOSE LOG_NOTICE LOG_WARNING REDIS_VERSION REDIS_VERSION_NUM
]])
setmetatable(registering, { __index = unknown_global })
local loading = { redis = guard(registering) }
loading.server = loading.redis
setmetatable(loading, { __index = unknown_global })

local scripts = {}
local on_error, given, protected = host.on_error, host.given, host.protected

local made = {
  environment = visible,
  scripts = scripts,
  view = view,
  globals = globals,
  loading = loading,
  registering = registering,
}

-- Runs a script.
function made.run(id)
  globals.KEYS, globals.ARGV = given()
  return protected(scripts[id], on_error)
end

-- Runs a function of a library.
function made.run_function(callback)
  local keys, arguments = given()
  local function run()
    return callback(keys, arguments)
  end
  -- On one line: a script that is to end fails on every further one.
  return protected(run, on_error)
end

-- Runs the code of a library.
function made.run_loader(code)
  return protected(code, on_error)
end

return made
