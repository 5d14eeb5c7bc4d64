--- Whoever else is there when a program is looked at: clients of the spec's own, in luv's loop.
local attach = require("stream_events.loop.luv").attach
local stream_events = require "stream_events"

local M = {}

M.SECRET = "lan-dev-secret"

local open = {}

--- A backend of the server's app.
---@param base_url string
---@return stream_events.Client
function M.backend(base_url)
  local client = assert(stream_events.new {
    api_key = "devkey", base_url = base_url, secret = M.SECRET, logger = function() end,
  })
  attach(client)
  open[#open + 1] = client
  return client
end

--- A user who watches a channel, and keeps what comes.
---@param base_url string
---@param id string
---@param channel_type string
---@param channel_id string
---@return { client: stream_events.Client, channel: stream_events.Channel, heard: table<string, table[]> }
function M.user(base_url, id, channel_type, channel_id)
  local client = M.backend(base_url)
  assert(client:connect_user { id = id })
  local person = { client = client, channel = client:channel(channel_type, channel_id), heard = {} }
  client:subscribe(function(event)
    local list = person.heard[event.type] or {}
    person.heard[event.type] = list
    list[#list + 1] = event
  end)
  assert(person.channel:watch())
  return person
end

--- Closes all of them.
function M.close_all()
  for _, client in ipairs(open) do client:close() end
  open = {}
end

return M
