--- Servers under load: how they are started, set up, and fed by swarm.
local bench = require "bench.lib"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local M = {}

local KEY, SECRET = "devkey", "lan-dev-secret"

--- A backend's client of a server that was started here.
---@param server table
---@return stream_events.Client
function M.backend(server)
  return stream_events.new {
    api_key = KEY, base_url = "http://127.0.0.1:" .. server.port, secret = SECRET,
  }
end

--- Makes a starter of this server.
---@param flags string[]? of `serve`
---@param prepare (fun(client: stream_events.Client))? sets it up as a backend before the load
---@return fun(): table
function M.this_server(flags, prepare)
  return function()
    local server = bench.start(bench.MEASURED, bench.LUA, "lua/bin/stream-events", "serve", "--port", "0",
      "--api-key", KEY, "--api-secret", SECRET, "--data", ":memory:", table.unpack(flags or {}))
    server.port = server.line:match ":(%d+)$"
    local client = M.backend(server)
    -- Who comes and goes is told to a crowd now and then, and swarm would take that for its events.
    assert(client:update_channel_type("livestream", { connect_events = false }))
    if prepare then prepare(client) end
    client:close()
    return server
  end
end

--- Makes a starter of a program that prints nothing but its port.
---@param command string
---@param ... string
---@return fun(): table
function M.plain(command, ...)
  local arguments = { ... }
  return function()
    local server = bench.start(bench.MEASURED, command, table.unpack(arguments))
    server.port = server.line
    return server
  end
end

--- A file with so many users and their tokens: every watcher is a user of its own, and the first
--- also sends.
---@param count integer
---@return string path
function M.tokens(count)
  local path = bench.BENCH .. "tokens.txt"
  local file = assert(io.open(path, "w"))
  for i = 1, count do
    local user = M.user(i)
    file:write(user, " ", tokens.user(SECRET, user), "\n")
  end
  file:close()
  return path
end

--- The id of a user of that file.
---@param i integer
---@return string
function M.user(i) return "watcher-" .. i end

---@class bench.Load
---@field name string
---@field starter fun(): table
---@field watchers integer
---@field events integer in each burst
---@field in_flight integer
---@field tokens string "-": who connects is not asked
---@field channel string? type/id, default livestream/bench

local function open(load)
  local server = load.starter()
  local swarm = bench.start(bench.OTHER, bench.BENCH .. "swarm", server.port, tostring(server.pid),
    tostring(load.watchers), tostring(load.events), tostring(load.in_flight), load.tokens,
    load.channel or "livestream/bench")
  return { server = server, swarm = swarm }
end

local function close(under_load)
  bench.stop(under_load.swarm)
  bench.stop(under_load.server)
end

-- The numbers up to `count` in any order.
local function any_order(count)
  local order = {}
  for i = 1, count do
    local at = math.random(i)
    order[i] = order[at]
    order[at] = i
  end
  return order
end

-- All are there at the same time, and loaded in many short turns; each time in another order, since one
-- server's turn leaves its traces in the caches that the next one begins with.
local function opening(loads, turns)
  local opened, cpu = {}, {}
  for i, load in ipairs(loads) do opened[i] = open(load) end
  for _ = 1, turns do
    for _, i in ipairs(any_order(#opened)) do cpu[i] = tonumber(bench.ask(opened[i].swarm, "burst")) end
  end
  for _, under_load in ipairs(opened) do close(under_load) end
  return opened, cpu
end

local function round(loads, turns, openings)
  local opened, cpu = nil, {}
  for _ = 1, openings do
    local spent
    opened, spent = opening(loads, turns // openings)
    for i, seconds in ipairs(spent) do cpu[i] = (cpu[i] or 0) + seconds end
  end
  return opened, cpu
end

--- Loads servers in rounds, in which their turns are so short that a machine which gets slower and
--- faster does so for all of them alike.
---@param loads bench.Load[]
---@param turns integer bursts for each, in a round
---@param openings integer? how often each is started for them, default 1: a process may be lucky or not, by
---  some hundredths, with where its memory and its sockets lie, for as long as it lives
---@return table<string, number[]> cpu microseconds of CPU per event, by name
---@return table<string, number[]> memory KiB per connection, by name
function M.rounds_of(loads, turns, openings)
  local cpu, memory = {}, {}
  for _, load in ipairs(loads) do
    load.unit, cpu[load.name], memory[load.name] = "us CPU per event", {}, {}
  end
  for _ = 1, bench.rounds do
    local opened, seconds = round(loads, turns, openings or 1)
    for i, load in ipairs(loads) do
      table.insert(cpu[load.name], seconds[i] * 1e6 / (turns * load.events))
      table.insert(memory[load.name], tonumber(opened[i].swarm.line) / 1024)
    end
  end
  bench.print_figures(loads, cpu)
  return cpu, memory
end

return M
