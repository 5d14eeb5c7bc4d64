-- rules_client.lua -- this plugin receiving under rules. Prints the CPU seconds from when it was
-- connected to the last event: reading the rules is not part of the cost of an event.
-- usage: lua rules_client.lua PORT MODE
--   none      no rules, no handler
--   plain     no rules, a handler
--   refused   the type is refused by rules, although there is a handler
--   declared  three fields and a rate       checked   a small check function
--   few, many the same as declared, in a file of 10 or of 1000 rules
--   still, reload  as many; prints the longest time between two events instead: with reload, the file
--             is read again all the time
local stream_events = require "stream_events"

local port, mode = arg[1], arg[2]
local FILE = "build/bench/rules-" .. mode .. ".lua"

local DECLARED = [[
  fields = {
    x = integer { min = 0, max = 4096 },
    y = integer { min = 0, max = 4096 },
    text = string { max = 280 },
  },
  rate = { count = 1000000000, seconds = 1 },
]]

local function other(number)
  return ([[
event "offer_%d" {
%s  examples = {
    allow = { { x = 1, y = 2, text = "here" } },
    drop = { { x = 1, y = 2, text = 3, reason = "field-type" } },
  },
}
]]):format(number, DECLARED)
end

local function file_of(position, others)
  local parts = { 'event "bench.done" {}', position }
  for i = 1, others do parts[#parts + 1] = other(i) end
  local file = assert(io.open(FILE, "w"))
  file:write(table.concat(parts, "\n"), "\n")
  file:close()
  return FILE
end

local declared = 'event "position" {\n' .. DECLARED .. "}"
local RULES = {
  refused = function() return file_of('refuse "position"', 0) end,
  declared = function() return file_of(declared, 0) end,
  checked = function()
    return file_of([[
event "position" {
  extra = "keep",
  check = function(event)
    if event.x > 4096 or #event.text > 280 then return drop "off the map" end
    return allow
  end,
}]], 0)
  end,
  few = function() return file_of(declared, 8) end,
  many = function() return file_of(declared, 998) end,
  still = function() return file_of(declared, 998) end,
  reload = function() return file_of(declared, 998) end,
}

local count, sum, last, longest = 0, 0, nil, 0
local client = stream_events.new {
  api_key = "devkey", base_url = "http://127.0.0.1:" .. port, rules = RULES[mode] and RULES[mode]() or nil,
}

local function handle(event)
  count = count + 1
  sum = sum + event.x
end

-- Since events wait all the time, the time between two of them is what the second had to wait.
local function handle_timed(event)
  handle(event)
  local now = os.clock()
  if last and now - last > longest then longest = now - last end
  last = now
end

local timed = mode == "still" or mode == "reload"
if mode ~= "none" then client:subscribe_for("position", timed and handle_timed or handle) end
client:subscribe_for("bench.done", function() client:stop() end)
assert(client:connect_user({ id = "ann" }, stream_events.developer_token "ann"))

local reloads = 0
local function reload_again(ok, err)
  if ok == nil then error(err) end
  reloads = reloads + 1
  client:reload_rules(reload_again)
end
if mode == "reload" then client:reload_rules(reload_again) end

local began = os.clock()
client:run()
print(("%.6f"):format(timed and longest or os.clock() - began))
io.stderr:write(count, " ", sum, " ", reloads, "\n")
assert((count == 0) == (mode == "none" or mode == "refused"))
assert((reloads > 0) == (mode == "reload"))
