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
---@field watchers integer
---@field events integer
---@field in_flight integer
---@field tokens string "-": who connects is not asked
---@field channel string? type/id, default livestream/bench

--- Loads a server once.
---@param starter fun(): table
---@param load bench.Load
---@return { cpu: number, deliveries: integer, bytes: number } figures CPU seconds, and bytes per connection
function M.swarm(starter, load)
  local server = starter()
  local swarm = io.popen(("taskset -c %d %sswarm %s %d %d %d %d %s %s"):format(
    bench.OTHER, bench.BENCH, server.port, server.pid, load.watchers, load.events, load.in_flight,
    load.tokens, load.channel or "livestream/bench"))
  local cpu, deliveries, bytes = (swarm:read "l" or ""):match "(%S+) (%S+) (%S+)"
  swarm:close()
  bench.stop(server)
  assert(cpu, "the load did not finish")
  return { cpu = tonumber(cpu), deliveries = tonumber(deliveries), bytes = tonumber(bytes) }
end

return M
