-- What the host calls: it holds the client, and the handlers of the script, which may change.
local stream_events = require "stream_events"

local RETRY = 2 -- seconds
local folder = (...):match "^(.*[/\\])" or ""

local client = assert(stream_events.new {
  api_key = os.getenv "STREAM_API_KEY" or "devkey",
  base_url = os.getenv "STREAM_BASE_URL" or "http://127.0.0.1:3030",
  -- Of a server on your own machine. A game that you give to others asks your backend for a token instead.
  secret = os.getenv "STREAM_API_SECRET" or "lan-dev-secret",
  rules = folder .. "rules.lua",
  logger = stream_events.stderr_logger "warning",
})
local arena = client:channel("livestream", "arena")

local clock, due = 0, 0 -- due: when to connect; nil: not
local kept = {} -- what one version of the script leaves to the next
local bound = {}

local function later(err)
  io.stderr:write(tostring(err), "\n")
  due = clock + RETRY
end

-- Connecting and watching are tried once; what is lost after that comes back by itself.
local function connect()
  due = nil
  client:connect_user({ id = "engine" }, nil, function(me, err)
    if not me then return later(err) end
    arena:watch(function(channel, problem)
      if not channel then return client:disconnect(function() later(problem) end) end
      io.stderr:write "online\n"
    end)
  end)
end

local function dispose(disposables)
  for _, disposable in ipairs(disposables) do disposable:dispose() end
end

local engine = {}

-- Reads a script: it gets the client and `kept`, and returns its handlers by type. Only when all of them are
-- bound do the old ones go. Events come in frames alone, so none falls between, and none is handled twice.
-- When anything is wrong the old ones stay.
function engine.load(path)
  local handlers = assert(loadfile(path))(client, kept)
  if type(handlers) ~= "table" then error(path .. " must return a table of handlers", 0) end
  local new = {}
  local ok, problem = pcall(function()
    for name, handler in pairs(handlers) do new[#new + 1] = client:subscribe_for(name, handler) end
  end)
  if not ok then
    dispose(new)
    error(path .. ": " .. problem, 0)
  end
  dispose(bound)
  bound = new
end

-- One turn of the plugin. It never waits, and begins nothing more after so many milliseconds.
function engine.frame(now, milliseconds)
  clock = now
  if due and now >= due then connect() end
  client:poll { max_milliseconds = milliseconds }
end

-- A goodbye to the server, for which the plugin waits a second at most.
function engine.leave()
  client:disconnect()
  client:close()
end

return engine
