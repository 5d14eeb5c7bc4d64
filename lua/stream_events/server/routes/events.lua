--- Custom events sent to a channel, and those that a backend sends to a user.
-- The way of every event: nothing here touches the database, and nothing is decoded that need not be.
-- What webhooks want a copy of is written once a turn, for all requests of that turn together.
local access = require "stream_events.server.access"
local channel_input = require "stream_events.server.channel_input"
local custom_event = require "stream_events.server.custom_event"
local failures = require "stream_events.server.failure"
local http = require "stream_events.server.http"
local names = require "stream_events.names"

local function check_size(server, event)
  local limit = server.options.max_event
  if event.size <= limit then return true end
  return failures.fail(22, ("the event has %d bytes, %d are allowed"):format(event.size, limit))
end

-- A built-in type depends on its own switch, a custom one on custom_events and on the grant.
local function check_type(context, channel, event)
  local server, caller = context.server, context.caller
  if access.remembers_send(server, caller, event.type, channel) then return "custom" end
  local kind, switch = custom_event.kind(event.type)
  local config = server.views:config(channel)
  if kind == "forged" or (switch and not config[switch]) then
    return failures.fail(18, ("Channel %s does not support events of type %s"):format(
      channel.cid, event.type))
  elseif kind == "custom" and not config.custom_events then
    return failures.fail(18, ("Channel type %s does not support custom events"):format(channel.type))
  end
  local ok, failure = access.check_noticeable(server, caller)
  if not ok then return nil, failure end
  if kind == "custom" then
    ok, failure = access.check_send(server, caller, event.type, channel)
  else
    ok, failure = access.check(server, caller, "ReadChannel", channel.type, channel)
  end
  if not ok then return nil, failure end
  if kind == "custom" then
    if event.type:find(".", 1, true) then server:note_dotted_type(event.type) end
    access.remember_send(server, caller, event.type, channel)
  end
  return kind
end

-- The user an event is from: the token's, or whom a server names.
local function sender(context, event)
  if context.caller.kind ~= "server" then return context.caller.user end
  local id, failure = custom_event.sender(event)
  if not id then return nil, failure end
  local user = context.server.users:get(id)
  if not user then return failures.fail(16, ("Can't find user with id %s"):format(id)) end
  if user.deactivated_at or user.deleted_at then
    return failures.fail(17, ("User '%s' was %s"):format(id, user.deleted_at and "deleted" or "deactivated"))
  end
  return user
end

-- Sends to those who are to get it. Of a user under a shadow ban that is nobody but the user itself,
-- which is not to notice; second result: whether it went to everybody.
local function distribute(server, caller, kind, channel, text)
  if caller.kind ~= "server" and server.bans:shadows(caller.id, channel.cid) then
    return server.events:to_user_watching(caller.id, channel, text), false
  end
  -- In a crowd nobody is told who is typing (protocol §4.3).
  if kind ~= "custom" and server.watching:crowded(channel) then return 0, true end
  return server.events:to_watchers(channel, text), true
end

-- The text as the rules let it go. Those of built-in types have a way of their own: only rules that
-- name such a type have a say in it.
local function judged(rules, kind, event_type, text)
  if (kind ~= "custom" and not rules:names(event_type)) then return text end
  return rules:judge(text)
end

-- A copy for webhooks. Gives whether the answer has to wait until it is kept.
local function copy(context, text)
  return context.server.webhooks:copy(context, context.event_type, true, text)
end

-- The send that this one repeats, and the id. Only where ids count, and the event has one.
local function sent_before(context, event, sender_id, place)
  local id, failure = custom_event.repeat_id(event)
  if not id then return nil, nil, failure end
  return context.server.repeats:find(sender_id, place, id, context.started), id
end

-- Answers a repeated send. Its sender may have been told that the first one failed, because the copy
-- for webhooks could not be kept: that is made up for.
local function repeated(context, entry)
  local server = context.server
  server.outcomes:repeated()
  if entry.is_owed and copy(context, entry.text) then server.repeats:owe_again(entry) end
  context.waits = entry.is_unsettled
end

local function sent(context, text)
  return 201, '{"event":' .. text .. ',"duration":"' .. http.duration(context.started) .. '"}'
end

-- Reads the event and where it goes to, and looks whether the sender may do that.
local function read_send(context)
  local event, failure = custom_event.read(context.request.body)
  if not event then return nil, failure end
  context.event_type = event.type
  context.sender, failure = sender(context, event)
  if not context.sender then return nil, failure end
  local channel, kind, ok
  channel, failure = channel_input.channel(context)
  if not channel then return nil, failure end
  kind, failure = check_type(context, channel, event)
  if not kind then return nil, failure end
  ok, failure = check_size(context.server, event)
  if not ok then return nil, failure end
  return event, channel, kind
end

local function ids_count(server, channel, kind)
  return kind == "custom" and server.channel_types:get(channel.type).settings.custom_event_ids
end

local function send_event(context)
  local server = context.server
  local event, channel, kind = read_send(context)
  if not event then return nil, channel end
  local user = context.sender
  local before, id, failure
  if event.id and ids_count(server, channel, kind) then
    before, id, failure = sent_before(context, event, user.id, channel.cid)
    if failure then return nil, failure end
  end
  if before then
    repeated(context, before)
    return sent(context, before.text)
  end
  local text, stamp = custom_event.text(event, server.users:json(user), channel)
  if server.rules then
    text, failure = judged(server.rules, kind, event.type, text)
    if not text then return nil, failure end
  end
  local receivers, is_public = distribute(server, context.caller, kind, channel, text)
  local waits = false
  if kind == "custom" and is_public then
    server.retention:keep(channel, text, stamp)
    waits = copy(context, text)
  end
  if id then server.repeats:note(user.id, channel.cid, id, text, context.started, waits) end
  server.outcomes:accepted(context, text, receivers)
  return sent(context, text)
end

local function read_user_send(context)
  local server, user_id = context.server, context.params.id
  local event, failure = custom_event.read(context.request.body)
  if not event then return nil, failure end
  context.event_type = event.type
  if event.type:find(".", 1, true) then
    return failures.fail(4, "the type of a user event must not hold a '.'")
  end
  local ok, message = names.user_id(user_id)
  if not ok then return failures.fail(4, message) end
  local user = server.users:get(user_id)
  if not user or user.deleted_at then
    return failures.fail(16, ("Can't find user with id %s"):format(user_id))
  end
  ok, failure = check_size(server, event)
  if not ok then return nil, failure end
  return event, user
end

local function send_user_event(context)
  local server, user_id = context.server, context.params.id
  local event, user = read_user_send(context)
  if not event then return nil, user end
  -- All backends are one sender; a user's id is no cid, so the two kinds of places never meet.
  local before, id, failure
  if event.id and server.app:get "custom_event_ids" then
    before, id, failure = sent_before(context, event, "", user_id)
    if failure then return nil, failure end
  end
  if before then
    repeated(context, before)
    return 201, {}
  end
  local text = custom_event.text(event, server.users:json(user))
  if server.rules then text, failure = server.rules:judge(text, true) end
  if not text then return nil, failure end
  local receivers = server.events:to_user(user_id, text)
  local waits = copy(context, text)
  if id then server.repeats:note("", user_id, id, text, context.started, waits) end
  server.outcomes:accepted(context, text, receivers)
  return 201, {}
end

-- Whatever ends a send is noted.
local function noted(send)
  return function(context)
    local status, answer = send(context)
    if not status then context.server.outcomes:refused(context, answer) end
    return status, answer
  end
end

-- One too many: its event is not even looked at, so its type is not known.
local function refused(context, failure)
  context.server.outcomes:refused(context, failure)
end

return {
  { "POST", "/channels/{type}/{id}/event", endpoint = "SendEvent", raw = true,
    handler = noted(send_event), refused = refused },
  { "POST", "/users/{id}/event", endpoint = "SendUserCustomEvent", raw = true, access = "server",
    handler = noted(send_user_event), refused = refused },
}
