-- A bot for a supervisor such as systemd: it is told what to do by its environment and by signals, says what
-- it does in lines of JSON, and ends with a code that tells whether starting it again can help.
--
--     STREAM_BASE_URL STREAM_API_KEY   the service
--     BOT_USER                         as whom it connects
--     BOT_TOKEN_FILE                   a file with that user's token; default: systemd's credential "token"
--     BOT_CHANNELS                     what it watches, TYPE:ID and spaces or commas between
--     BOT_RULES                        its rule file; default: rules.lua beside this file
--     BOT_METRICS                      where to write its numbers, for Prometheus; default: nowhere
--     BOT_LOG_LEVEL                    debug, info (the default), warning or error
--
-- SIGTERM and SIGINT end it, SIGHUP has it read its rules again. The token is read whenever one is needed.
local folder = arg[0]:match "^(.*[/\\])" or "./"
package.path = folder .. "?.lua;" .. package.path

local attach = require("stream_events.loop.luv").attach
local handlers = require "handlers"
local log = require "log"
local metrics = require "metrics"
local settings = require "settings"
local stream_events = require "stream_events"
local uv = require "luv"

-- As in sysexits.h. The unit file has systemd start the bot again, but for the last two.
local EXIT = { stopped = 0, broken = 70, unavailable = 75, refused = 77, misconfigured = 78 }
local METRICS_EVERY = 15000 -- milliseconds

-- Whether another try may help is for the error to say.
local function code_of(err)
  if err.retryable then return EXIT.unavailable end
  if err.kind == "auth" or err.kind == "api" then return EXIT.refused end
  return EXIT.broken
end

local given, problem = settings.read(os.getenv, folder)
if not given then
  log.write("error", "the settings are not usable", { problem = problem })
  os.exit(EXIT.misconfigured)
end
log.least = given.log_level

local client, mistake = stream_events.new {
  api_key = given.api_key, base_url = given.base_url, rules = given.rules, logger = log.write,
}
if not client then
  log.write("error", "the rules are not usable", { error = mistake })
  os.exit(EXIT.misconfigured)
end

local handles, code = {}, nil

local function handle(new)
  handles[#handles + 1] = assert(new)
  return new
end

local function write_metrics()
  if not given.metrics then return end
  local ok, failure = metrics.write(given.metrics, client:stats())
  if not ok then log.write("warning", "the metrics cannot be written", { error = failure }) end
end

-- Says goodbye to the server, and lets the loop run dry. Only the first reason counts.
local function finish(reason, fields, exit_code)
  if code then return end
  code = exit_code
  log.write(code == EXIT.stopped and "info" or "error", reason, fields)
  client:disconnect(function()
    write_metrics()
    client:close()
    for _, each in ipairs(handles) do each:close() end
  end)
end

local function give_up(reason, err, fields)
  fields = fields or {}
  fields.error, fields.kind, fields.code, fields.hint = err.message, err.kind, err.code, err.hint
  finish(reason, fields, code_of(err))
end

-- The client logs by itself how the connection fares, and makes a new one for as long as that can help.
client:subscribe_for("connection.changed", function(change)
  if change.error and not change.online and not change.will_retry then
    give_up("the connection is lost for good", change.error)
  end
end)
client:subscribe_for("event.dropped", function(drop)
  log.write("info", "an event was dropped", {
    event = drop.envelope.type, user = drop.envelope.user.id, cid = drop.envelope.cid, reason = drop.reason,
  })
end)

local function begin()
  local me, err = client:connect_user({ id = given.user }, given.token)
  if not me then return give_up("no connection", err) end
  local channels = {}
  for i, name in ipairs(given.channels) do
    local channel = client:channel(name.type, name.id)
    handlers.bind(channel, log.write)
    local ok
    ok, err = channel:watch()
    if not ok then return give_up("a channel cannot be watched", err, { cid = name.cid }) end
    channels[i] = name.cid
  end
  write_metrics()
  log.write("info", "ready", { user = given.user, channels = table.concat(channels, " ") })
end

local signals = {}
function signals.sigterm()
  if code then os.exit(EXIT.broken) end -- asked twice: without a goodbye
  finish("stopped", nil, EXIT.stopped)
end
signals.sigint = signals.sigterm
function signals.sighup()
  client:reload_rules(function(ok, err)
    if ok then return log.write("info", "the rules were read again") end
    log.write("error", "the old rules stay in force", { error = err })
  end)
end
function signals.sigpipe() end -- nobody reads the log any more: that is no reason to end

for name, act in pairs(signals) do handle(uv.new_signal()):start(name, act) end
handle(uv.new_timer()):start(METRICS_EVERY, METRICS_EVERY, write_metrics)
attach(client, { max_events = 200 })
coroutine.wrap(function()
  local ok, failure = pcall(begin)
  if not ok then finish("the bot is broken", { error = failure }, EXIT.broken) end
end)()
uv.run() -- until nothing is left in it
os.exit(code or EXIT.broken)
