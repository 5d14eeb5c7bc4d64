--- `stream-events listen`: prints events as they arrive, until it is told to stop.
local acting = require "stream_events.command.acting"
local changes = require "stream_events.command.changes"
local filter = require "stream_events.command.filter"
local format = require "stream_events.command.format"
local loop = require "stream_events.command.loop"
local names = require "stream_events.names"
local native = require "stream_events.native"
local output = require "stream_events.command.output"
local recorder = require "stream_events.command.recorder"

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
  local how = args.rules and (", judged by %s"):format(args.rules) or ""
  if args.record then how = ("%s, recorded in %s"):format(how, args.record) end
  return format.plain(("listening for %s in %sevents sent to %s%s; Ctrl-C ends"):format(
    what, where, args.user, how))
end

-- Whether a type is one of those that are shown; without --type all are.
local function is_wanted(types, event_type)
  for _, pattern in ipairs(types) do
    local prefix = pattern:match("^(.*)%*$")
    if pattern == event_type or prefix and event_type:sub(1, #prefix) == prefix then return true end
  end
  return types[1] == nil
end

-- What `show` is to be called for. Recordings and rules are about everything that arrives: a rate or
-- a mark may hang on types that nobody wants to see.
local function subscribe(client, args, show)
  if args.types[1] then client:subscribe_for(args.types, show) end
  if not args.types[1] or args.rules or args.record then client:subscribe(show) end
end

-- Tells on standard error how the connection fares; calls ended(err) when it is gone for good.
local function report_connection(client, ended)
  local told = changes.new(native.now)
  client:subscribe_for("connection.changed", function(change)
    local line = told:changed(change)
    if line then output.note(line) end
    if not change.online and not change.will_retry then ended(change.error) end
  end)
  client:subscribe_for("connection.recovered", function(recovery)
    for _, line in ipairs(told:recovered(recovery)) do output.note(line) end
  end)
end

-- The rules and the recording that were asked for; nil: they cannot be had, and the code to end with.
local function helpers(args)
  local rules, record, code, message
  if args.rules then
    rules, code = filter.open(args.rules, args.user, output.log, args)
    if not rules then return nil, code end
  end
  if args.record then
    record, message = recorder.open(args.record)
    if not record then return nil, output.misuse(message) end
  end
  return { rules = rules, record = record }
end

-- Writes a line about an event and what was decided about it; false when nobody reads any more.
local function write(args, colour, event, decision)
  if decision and (decision.verdict == "drop" or decision.verdict == "quarantine") then
    return output.line(args.json and filter.json(event, decision) or filter.line(event, decision))
  end
  local remark = decision and filter.remark(decision)
  return output.line(args.json and format.json(event, remark) or format.line(event, colour, remark))
end

---@param args { cids: string[], types: string[], user: string, join: boolean?, rules: string?,
---  record: string?, json: boolean?, debug: boolean? }
---@return integer exit code
function M.run(args)
  local ok, message = check(args)
  if not ok then return output.misuse(message) end
  local actor
  actor, message = acting.new(args)
  if not actor then return output.misuse(message) end
  local with, code = helpers(args)
  if not with then return code end
  local client, status, driver = actor.client, output.OK, nil

  local stopping = false
  local function stop(signal)
    if stopping then os.exit(output.code_of(signal)) end -- asked twice: without a goodbye
    stopping = true
    if not driver then return end -- not begun yet
    client:disconnect(function() driver.stop() end)
    driver.wake()
  end
  local function fail(what)
    if stopping then return end
    status = output.fail(what, args.json)
    stop()
  end

  local colour = not args.json and output.colour()
  local last
  local function show(event)
    if event == last then return end -- subscribed to twice
    last = event
    local decision
    if with.record then
      ok, message = with.record:add(event)
      if not ok then fail(message) end
    end
    if with.rules then event, decision = with.rules:judge(event) end
    if not is_wanted(args.types, event.type) then return end
    -- Nobody reads any more, as after `| head`: an end like any other.
    if not write(args, colour, event, decision) and not stopping then stop() end
  end
  subscribe(client, args, show)
  if with.rules and not args.types[1] then
    client:subscribe_for("event.dropped", function(dropped)
      if not write(args, colour, filter.malformed(dropped)) and not stopping then stop() end
    end)
  end

  local err
  ok, err = begin(actor, args)
  if not ok or stopping then
    actor:disconnect()
    return ok and status or output.fail(err, args.json)
  end

  report_connection(client, function(failure)
    if stopping then return end
    status = output.fail(failure, args.json)
    driver.stop()
  end)
  driver = loop.new(client, stop)
  if with.rules then with.rules:start() end
  output.note(what_is_heard(args))
  driver.run()
  client:close()
  if with.rules then with.rules:close() end
  if with.record then with.record:close() end
  return status
end

return M
