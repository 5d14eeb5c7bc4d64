--- `stream-events listen`: prints events as they arrive, until it is told to stop.
local acting = require "stream_events.command.acting"
local format = require "stream_events.command.format"
local loop = require "stream_events.command.loop"
local names = require "stream_events.names"
local output = require "stream_events.command.output"

local M = {}

local function check(args)
  for _, cid in ipairs(args.cids) do
    local ok, message = names.split_cid(cid)
    if not ok then return nil, message end
  end
  for _, pattern in ipairs(args.types) do
    local ok, message = names.pattern(pattern)
    if not ok then return nil, message end
  end
  return true
end

-- Connects, and watches every channel.
local function begin(actor, args)
  local ok, err = actor:connect()
  if not ok then return nil, err end
  for _, cid in ipairs(args.cids) do
    ok, err = actor:in_channel(cid, function(channel) return channel:watch() end)
    if not ok then return nil, err end
  end
  return true
end

local function what_is_heard(args)
  local what = args.types[1] and table.concat(args.types, ", ") or "custom events"
  local where = args.cids[1] and table.concat(args.cids, ", ") .. " and " or ""
  return ("listening for %s in %sevents sent to %s; Ctrl-C ends"):format(what, where, args.user)
end

-- Tells on standard error how the connection fares; calls ended(err) when it is gone for good.
local function report_connection(client, ended)
  local lost = false
  client:subscribe_for("connection.changed", function(change)
    if change.online then
      if lost then output.note "connected again; what was sent meanwhile is lost" end
      lost = false
    elseif not change.will_retry then
      ended(change.error)
    elseif not lost then
      lost = true
      output.note(("connection lost (%s); trying again"):format(format.plain(change.reason)))
    end
  end)
  client:subscribe_for("connection.recovered", function(recovery)
    for cid, err in pairs(recovery.failed) do
      output.note(("not watching %s any more: %s"):format(cid, format.plain(tostring(err))))
    end
  end)
end

---@param args { cids: string[], types: string[], user: string, join: boolean?, json: boolean? }
---@return integer exit code
function M.run(args)
  local ok, message = check(args)
  if not ok then return output.misuse(message) end
  local actor
  actor, message = acting.new(args)
  if not actor then return output.misuse(message) end
  local client, status, driver = actor.client, output.OK, nil

  local stopping = false
  local function stop()
    if stopping then os.exit(output.FAILURE) end -- asked twice: without a goodbye
    stopping = true
    client:disconnect(function() driver.stop() end)
    driver.wake()
  end

  local colour = not args.json and output.colour()
  local function show(event)
    local line = args.json and format.json(event) or format.line(event, colour)
    -- Nobody reads any more, as after `| head`: an end like any other.
    if not output.line(line) and not stopping then stop() end
  end
  if args.types[1] then
    client:subscribe_for(args.types, show)
  else
    client:subscribe(show)
  end

  local err
  ok, err = begin(actor, args)
  if not ok then
    actor:disconnect()
    return output.fail(err, args.json)
  end

  report_connection(client, function(failure)
    if stopping then return end
    status = output.fail(failure, args.json)
    driver.stop()
  end)
  driver = loop.new(client, stop)
  output.note(what_is_heard(args))
  driver.run()
  client:close()
  return status
end

return M
