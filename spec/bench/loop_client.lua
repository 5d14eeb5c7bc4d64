-- loop_client.lua -- this plugin receiving in a loop that is not its own: what a user would write.
-- usage: lua loop_client.lua PORT wanted|none luv|cqueues|copas
local stream_events = require "stream_events"

local PORT, WANTED, LOOP = arg[1], arg[2] == "wanted", arg[3]
local count, sum, over = 0, 0, false
local client = stream_events.new { api_key = "devkey", base_url = "http://127.0.0.1:" .. PORT }
if WANTED then
  client:subscribe_for("position", function(event)
    count = count + 1
    sum = sum + event.x
  end)
end
client:subscribe_for("bench.done", function()
  over = true
  client:close()
end)

local function connect()
  assert(client:connect_user({ id = "alice" }, stream_events.developer_token "alice"))
end

local loops = {}

function loops.luv(adapter)
  adapter.attach(client)
  coroutine.wrap(connect)()
  require("luv").run()
end

function loops.cqueues(adapter)
  local loop = require("cqueues").new()
  adapter.attach(client, { loop = loop })
  loop:wrap(connect)
  assert(loop:loop())
end

function loops.copas(adapter)
  local copas = require "copas"
  adapter.attach(client)
  copas.addthread(connect)
  while not over do copas.step() end
end

package.path = package.path .. ";/usr/share/lua/5.1/?.lua" -- where Debian has copas
loops[LOOP](require("stream_events.loop." .. LOOP))
io.stderr:write(count, " ", sum, "\n")
