--- `stream-events send` and `send-user`: one custom event to a channel or to a user.
local acting = require "stream_events.command.acting"
local fields = require "stream_events.command.fields"
local format = require "stream_events.command.format"
local names = require "stream_events.names"
local native = require "stream_events.native"
local output = require "stream_events.command.output"
local settings = require "stream_events.command.settings"

local M = {}

-- The data on the command line, once the type is known to be one.
local function read_event(args)
  local ok, message = names.event_type(args.type)
  if not ok then return nil, message end
  return fields.event_data(args.data)
end

---@param args { cid: string, type: string, data: string[], user: string, join: boolean?, json: boolean?,
---  debug: boolean? }
---@return integer exit code
function M.to_channel(args)
  local channel_type, message = names.split_cid(args.cid)
  if not channel_type then return output.misuse(message) end
  local data
  data, message = read_event(args)
  if not data then return output.misuse(message) end
  local actor
  actor, message = acting.new(args)
  if not actor then return output.misuse(message) end

  local event
  local ok, err = actor:connect()
  if ok then
    event, err = actor:in_channel(args.cid, function(channel)
      return channel:send_event(args.type, data)
    end)
  end
  actor:disconnect()
  if not event then return output.fail(err, args.json) end
  output.line(args.json and format.json(event) or format.line(event, output.colour()))
  return output.OK
end

---@param args { user: string, type: string, data: string[], json: boolean?, debug: boolean? }
---@return integer exit code
function M.to_user(args)
  local ok, message = names.user_id(args.user)
  if not ok then return output.misuse(message) end
  local event
  event, message = read_event(args)
  if not event then return output.misuse(message) end
  local values
  values, message = settings.read()
  if not values then return output.misuse(message) end
  if not values.secret then
    return output.misuse "STREAM_API_SECRET is not set: only a backend may send an event to a user"
  end

  local client = acting.client(values, args.debug, values.secret)
  event.type = args.type
  local result, err = client:send_user_custom_event(args.user, event)
  client:close()
  if not result then return output.fail(acting.explain(err, values), args.json) end
  if args.json then
    event.type = nil
    output.line(native.json.encode { user_id = args.user, type = args.type, data = event })
  else
    output.line(("sent %s to %s"):format(format.plain(args.type), args.user))
  end
  return output.OK
end

return M
