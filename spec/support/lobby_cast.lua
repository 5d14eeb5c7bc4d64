--- Who is in the lobby beside the game: clients of the spec's own, who send what they are told to.
local attach = require("stream_events.loop.luv").attach
local stream_events = require "stream_events"

local M = {}

---@class support.Cast
---@field client stream_events.Client
---@field channel stream_events.Channel
---@field heard table<string, table[]> data by type, with `from`
local Cast = {}
Cast.__index = Cast

---@param base_url string
---@param id string
---@return support.Cast
function M.new(base_url, id)
  local client = stream_events.new {
    api_key = "devkey", base_url = base_url, secret = "lan-dev-secret", logger = function() end,
    limits = { in_flight = 64, waiting = 16384 },
  }
  attach(client)
  assert(client:connect_user { id = id, name = id:sub(1, 1):upper() .. id:sub(2) })
  local channel = client:channel("livestream", "lobby")
  assert(channel:watch())
  local self = setmetatable({ client = client, channel = channel, heard = {} }, Cast)
  channel:subscribe(function(event)
    local list = self.heard[event.type] or {}
    self.heard[event.type] = list
    local data = { from = event.user.id }
    for name, value in pairs(event.raw_data) do data[name] = value end
    list[#list + 1] = data
  end)
  return self
end

--- Sends one, and waits until the server has it.
function Cast:send(event_type, data)
  assert(self.channel:send_event(event_type, data or {}))
end

--- Sends many as fast as it goes, without waiting for the answers.
---@param count integer
---@param event_type string
---@param make fun(i: integer): table
function Cast:burst(count, event_type, make)
  local sent, state = 0, { answered = 0 }
  local function go_on()
    if sent == count then return end
    sent = sent + 1
    self.channel:send_event(event_type, make(sent), function(event, err)
      if not event then state.failed = err end
      state.answered = state.answered + 1
      go_on()
    end)
  end
  for _ = 1, 48 do go_on() end
  return state
end

--- The last that was heard of a type from somebody.
---@return table?
function Cast:last(event_type, from)
  local list = self.heard[event_type] or {}
  for i = #list, 1, -1 do
    if list[i].from == from then return list[i] end
  end
  return nil
end

function Cast:close()
  self.client:close()
end

return M
