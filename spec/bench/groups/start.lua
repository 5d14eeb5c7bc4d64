--- Start with a full database: how soon the server is ready, and what what it stores costs in memory.
-- Memory is what a server has that nobody has asked for anything yet; the difference between two, by
-- what only one of them stores.
local bench = require "bench.lib"
local uv = require "luv"

local USERS, CHANNELS = 100000, 10000

local function database(name, users, channels)
  local path = bench.BENCH .. name
  for _, suffix in ipairs { "", "-wal", "-shm", "-lock" } do os.remove(path .. suffix) end
  assert(os.execute(("%s spec/bench/start_data.lua %s %d %d"):format(bench.LUA, path, users, channels)))
  return path
end

local function started(path)
  local began = uv.hrtime()
  local server = bench.start(bench.MEASURED, bench.LUA, "lua/bin/stream-events", "serve", "--port", "0",
    "--data", path, "--api-key", "devkey", "--api-secret", "lan-dev-secret")
  return server, (uv.hrtime() - began) / 1e6
end

local function start()
  print(("start: %d users, %d channels with five members each"):format(USERS, CHANNELS))
  local empty, users, all = database("start-empty.db", 0, 0), database("start-users.db", USERS, 0),
    database("start-all.db", USERS, CHANNELS)
  local bytes = {}
  local function against(name, path)
    bytes[name] = {}
    return {
      name = name, unit = "ms until it is ready",
      run = function()
        local server, milliseconds = started(path)
        local pages = bench.read_file("/proc/" .. server.pid .. "/smaps_rollup")
        table.insert(bytes[name], tonumber(pages:match "Anonymous:%s+(%d+)") * 1024)
        bench.stop(server)
        return milliseconds
      end,
    }
  end
  local figures = bench.rounds_of {
    against("nothing stored", empty), against("users", users), against("users and channels", all),
  }
  local seconds = {}
  for i, milliseconds in ipairs(figures["users and channels"]) do seconds[i] = milliseconds / 1000 end
  bench.verdict("users and channels, seconds", seconds, "at most", 1)
  local function each(above, below, count)
    local values = {}
    for i = 1, bench.rounds do values[i] = (bytes[above][i] - bytes[below][i]) / count end
    return values
  end
  bench.verdict("memory per stored channel, bytes", each("users and channels", "users", CHANNELS))
  bench.verdict("memory per stored user, bytes", each("users", "nothing stored", USERS))
end

return start
