--- Many channels at once: found by filters, and what happened in them (protocol §3.10, §4.4).
local calls = require "stream_events.backend.call"
local channels = require "stream_events.channel"
local channel_state = require "stream_events.channel_state"
local errors = require "stream_events.error"
local names = require "stream_events.names"

local M = { methods = {} }

---@class stream_events.Client
local methods = M.methods

-- The channel objects of an answer, up to date; watched ones are so from now on.
local function take_channels(context, answer, connection_id)
  local list = {}
  for _, item in ipairs(answer.channels) do
    local fields = type(item) == "table" and item.channel
    if type(fields) == "table" and names.channel_type(fields.type) and names.channel_id(fields.id) then
      local cid = names.cid(fields.type, fields.id)
      local channel = context.channels[cid] or channels.new(context, fields.type, fields.id)
      context.channels[cid] = channel
      channel:take_answer(item)
      if connection_id then context.recovery:watched(channel, connection_id) end
      list[#list + 1] = channel
    end
  end
  return list
end

--- Finds channels, at most 30 at a time, and watches them where `watch` says so (protocol §4.4).
---@param filter table? { cid = { ["$in"] = { "messaging:general" } } }
---@param options { sort: table[]?, limit: integer?, offset: integer?, watch: boolean? }|function|nil
---@param callback (fun(channels: stream_events.Channel[]?, err: stream_events.Error?))?
---@return stream_events.Channel[]? channels
---@return stream_events.Error? err code 4 a filter that is none; 70 or 17 not allowed; kind "network" a
---  watch while offline, "closed" without a session
function methods:query_channels(filter, options, callback)
  options, callback = calls.optional(options, callback)
  local context = self.context
  local call = context.tasks:begin(callback)
  local body = calls.query_body(filter, options, 2)
  local connection_id = body.watch and context.identity.connection_id or nil
  if body.watch and not connection_id then
    return context.tasks:fail(call, errors.new {
      kind = context.session:at_rest() and "closed" or "network",
      message = "watching needs a connection",
    })
  end
  body.state = true
  if connection_id then context.recovery:expect() end
  return calls.ask(self, call, {
    method = "POST", path = "/channels", as = "acting", body = body, connection = body.watch,
    pace = context.paces:of "QueryChannels",
  }, function(answer)
    if type(answer.channels) ~= "table" then return nil end
    return take_channels(context, answer, connection_id)
  end)
end

--- What happened in channels since a point in time: channel, message and reaction events, as tables
--- (protocol §3.10). The hosted service keeps no custom events, so none are among them; the bundled server
--- keeps those of channel types with custom_event_retention. The client itself asks for what it missed
--- after a reconnect.
---@param cids string[] at most 255
---@param last_sync_at string RFC 3339
---@param callback (fun(events: table[]?, err: stream_events.Error?))?
---@return table[]? events
---@return stream_events.Error? err code 4 too many channels, or too long ago
function methods:sync(cids, last_sync_at, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_table(cids, "cids", 2)
  for _, cid in ipairs(cids) do calls.expect_cid(cid, 2) end
  if type(last_sync_at) ~= "string" then
    error("last_sync_at must be a time like 2026-01-01T00:00:00Z", 2)
  end
  return calls.ask(self, call, {
    method = "POST", path = "/sync", as = "acting", connection = true,
    pace = self.context.paces:of "Sync",
    body = { channel_cids = channel_state.list(cids), last_sync_at = last_sync_at },
  }, calls.member "events")
end

return M
