--- Writes the inputs that rules_fuzz begins with, and its words. usage: lua rules_corpus.lua FOLDER
-- Each worked file of the manual with the events of its examples, and random rule files with random
-- events.
local generator = require "support.rule_generator"

local FOLDER = arg[1]

local function write(name, text)
  local file = assert(io.open(FOLDER .. "/" .. name, "wb"))
  file:write(text)
  file:close()
end

local chapter = assert(io.open "lua/stream_events/doc/rules.md")
local EVENTS = {
  '{"type":"%s","cid":"messaging:a","channel_type":"messaging","user":{"id":"ann","role":"user"},'
    .. '"text":"Hello","to":"ben","x":10.5,"y":20,"name":"roll","arguments":["2d6"],"state":"away"}',
  '{"type":"%s","user":{"id":"ann"},"code":"k4-77-p","minutes":10}',
  '{"type":"%s","cid":"messaging:a","user":{"id":"mallory"}}',
}
for name, text in chapter:read "*a":gmatch "```lua\n%-%- ([%w_]+)%.lua: (.-)```" do
  local parts = { "-- " .. text }
  for event_type in text:gmatch '\nevent "([^"]+)"' do
    for _, event in ipairs(EVENTS) do parts[#parts + 1] = event:format((event_type:gsub("%*", "x"))) end
  end
  write(name, table.concat(parts, "\n%%\n"):gsub("blocklist", "list"))
end
chapter:close()

for seed = 1, 40 do
  local random = generator.random(seed)
  local model = generator.rule_set(random)
  local parts = { generator.text(model) }
  for i = 2, 6 do parts[i] = generator.event(random, model) end
  write("random-" .. seed, table.concat(parts, "\n%%\n"))
end

local WORDS = [[default mode event refuse honeypot include fields extra trust from size rate check rewrite
  quarantine flag examples string integer number boolean array object one_of optional any none_of min max
  starts_with ends_with contains glob items keys each user role channel_type cid count seconds per sender
  channel all allow drop context.marked context.mark context.count event.user.id pairs ipairs next select
  tonumber tostring type assert error math.huge table.concat table.insert table.remove table.sort
  table.unpack string.rep string.format string.byte string.char string.sub utf8.char utf8.len function return
  local end if then else while do for in nil true false goto]]
local lines = {}
for word in WORDS:gmatch "%S+" do lines[#lines + 1] = ('"%s"'):format(word) end
for _, word in ipairs { "\\x0a%%\\x0a", "{}", "= {", "...", "\\x22type\\x22:", "\\x22cid\\x22:" } do
  lines[#lines + 1] = '"' .. word .. '"'
end
local words = assert(io.open(FOLDER .. ".dict", "w"))
words:write(table.concat(lines, "\n"), "\n")
words:close()
