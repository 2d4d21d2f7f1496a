-- What scripts see, made from the standard libraries and the functions of the host.
--
-- Lua 5.1 has no read-only tables: the script gets an empty table for each one (a guard), whose
-- metatable reads the content and refuses writes. What would reach past a metatable (rawset, next)
-- knows the guards.
local host = ...

local error, type, next, tostring, format = error, type, next, tostring, string.format
local pcall, setmetatable, getmetatable = pcall, setmetatable, getmetatable

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

-- A function of the host that does its part before the original, or after it.
local closure = host.closure
local function reading(original, kept)
  return closure(host.reading, kept or false, content_of, original)
end

local function writing(original)
  return closure(host.writing, false, content_of, original)
end

local shown_metatables = setmetatable({}, { __mode = "k" })

globals.next = reading(next)
globals.pairs = closure(host.pairs, globals.next)
globals.rawget = reading(rawget)
globals.rawset = writing(rawset)
globals.getmetatable = closure(host.get_metatable, shown_metatables, content_of, getmetatable)
globals.setmetatable = closure(host.set_metatable, false, content_of, setmetatable)
globals.unpack = host.unpack

-- Errors that the host raises are objects of the host; scripts see a string or a table.
local seen = host.seen
globals.pcall = closure(host.pcall, seen)
globals.xpcall = closure(host.xpcall, seen)

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
  libraries.table[name] = writing(table[name])
end
libraries.math.random = host.random
libraries.math.randomseed = host.randomseed

libraries.coroutine.resume = closure(host.resume, seen, false, coroutine.resume)

libraries.redis = host.redis
for name, library in next, libraries do
  globals[name] = guard(library)
end
globals.server = globals.redis

local function unknown_global(_, name)
  if type(name) ~= "string" and type(name) ~= "number" then
    error("Second argument to luaProtectedTableError must be a string or number", 2)
  end
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

-- Chunks that a script compiles see what the script sees.
local compile = closure(host.compile, visible)
globals.loadstring = compile

-- The chunk that a function reads piece by piece.
local function compile_pieces(read, name)
  local parts, bytes = {}, 0
  while true do
    local ok, part = pcall(read)
    if not ok then
      return nil, seen(part)
    end
    if part == nil or part == "" then
      break
    end
    if type(part) ~= "string" and type(part) ~= "number" then
      return nil, "reader function must return a string"
    end
    part = tostring(part)
    bytes = bytes + #part
    if bytes > host.chunk_bytes_max then
      return nil, "chunk is too long"
    end
    parts[#parts + 1] = part
  end
  return compile(table.concat(parts), name)
end
globals.load = closure(host.load, compile_pieces)

-- All that the code of a library sees while it is loaded; what it makes sees the rest later.
local registering = copied(host.redis, [[
  log LOG_DEBUG LOG_VERBOSE LOG_NOTICE LOG_WARNING REDIS_VERSION REDIS_VERSION_NUM
]])
setmetatable(registering, { __index = unknown_global })
local loading = { redis = guard(registering) }
loading.server = loading.redis
setmetatable(loading, { __index = unknown_global })

local scripts = {}
local on_error = host.on_error

return {
  compile = compile,
  scripts = scripts,
  view = view,
  globals = globals,
  loading = loading,
  registering = registering,
  run = closure(host.run, globals, scripts, on_error),
  run_function = closure(host.run_function, on_error),
  run_loader = closure(host.run_loader, on_error),
}
