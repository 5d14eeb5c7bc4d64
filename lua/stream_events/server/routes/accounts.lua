--- Users locked out, let in again and deleted (protocol §9.1); for backends. What they did is done
-- when the answer comes: whoever is locked out has no connection left by then.
local connect = require "stream_events.server.routes.connect"
local failures = require "stream_events.server.failure"
local input = require "stream_events.server.input"
local names = require "stream_events.names"
local native = require "stream_events.native"

local json = native.json

local MAX_PER_CALL = 100

-- The user itself, those who watch a channel it belongs to, those who follow its presence, and webhooks
-- are told.
local function tell(context, event_type, user, channels, fields)
  local server = context.server
  local text = server.events:text(event_type, nil, user, fields)
  server.events:to_company(user.id, channels, server.presence:followers(user), text)
  server.webhooks:copy(context, event_type, false, text)
end

-- Ends what a user who was locked out still has open.
local function expel_all(server, user)
  local _, failure = server.users:check_alive(user)
  local open = {}
  for connection in pairs(server.connections:of(user.id)) do open[#open + 1] = connection end
  for _, connection in ipairs(open) do connect.expel(server, connection, failure) end
end

local function lock_out(context, event_type, user, fields)
  local server = context.server
  tell(context, event_type, user, server.channels:of_member(user.id), fields)
  expel_all(server, user)
end

local function check_known(server, id)
  local ok, message = names.user_id(id)
  if not ok then return failures.fail(4, message) end
  if server.users:get(id) then return true end
  return failures.fail(16, ("Can't find user with id %s"):format(id))
end

local function deactivate(context)
  local server, id = context.server, context.params.id
  local ok, failure = check_known(server, id)
  if not ok then return nil, failure end
  if server.users:get(id).deactivated_at then
    return failures.fail(4, ("user %s is deactivated already"):format(id))
  end
  local user
  user, failure = server.users:deactivate(id)
  if not user then return nil, failure end
  lock_out(context, "user.deactivated", user)
  return 201, { user = server.views:account(user, context.caller) }
end

local function reactivate(context)
  local server, id = context.server, context.params.id
  local ok, failure = check_known(server, id)
  if not ok then return nil, failure end
  if not server.users:get(id).deactivated_at then
    return failures.fail(4, ("user %s is not deactivated"):format(id))
  end
  local fields, user
  fields, failure = input.read(context.body, { name = "string" })
  if not fields then return nil, failure end
  user, failure = server.users:reactivate(id, fields.name)
  if not user then return nil, failure end
  tell(context, "user.reactivated", user, server.channels:of_member(id))
  return 201, { user = server.views:account(user, context.caller) }
end

-- What is to be told of a user who is about to be deleted, as long as it is known.
local function farewell(context, id, left)
  local server = context.server
  local notes = {}
  for i, each in ipairs(left) do
    notes[i] = { channel = each.channel, text = server.events:text("member.removed", each.channel,
      server.users:get(id), { member = server.views:member(each.channel, each.member) }) }
  end
  return notes
end

-- Deletes users, all of them or none: they are known, and not deleted in this way yet. Softly,
-- memberships and bans stay for a restore; for good, nothing stays but the id.
local function delete(context, ids, hard)
  local server, gone = context.server, {}
  server.store:transaction(function()
    for i, id in ipairs(ids) do
      local channels = server.channels:of_member(id)
      local user = assert(server.users[hard and "erase" or "delete"](server.users, id))
      gone[i] = { user = user, channels = channels, notes = {} }
      if hard then
        gone[i].notes = farewell(context, id, server.channels:remove_user(id))
        server.bans:clear(id)
      end
    end
  end)
  for _, each in ipairs(gone) do
    for _, note in ipairs(each.notes) do
      server.events:to_watchers(note.channel, note.text)
      server.webhooks:copy_built_in(context, "member.removed", note.channel, note.text)
    end
    tell(context, "user.deleted", each.user, each.channels, { hard_delete = hard })
    expel_all(server, each.user)
  end
  if not hard then return end
  -- All at once: it looks at everything that is kept.
  local erased = {}
  for _, id in ipairs(ids) do erased[id] = true end
  server.retention:forget_senders(erased)
end

-- Whether there is something to delete. Deleting is done once.
local function can_delete(server, id, hard)
  local user = server.users:get(id)
  return not user.is_erased and (hard or not user.deleted_at)
end

local function is_true(text)
  return text == "true" or text == "1"
end

local function delete_user(context)
  local server, id = context.server, context.params.id
  local ok, failure = check_known(server, id)
  if not ok then return nil, failure end
  local hard = is_true(context.query.hard_delete)
  if not can_delete(server, id, hard) then
    return failures.fail(16, ("user %q does not exist"):format(id))
  end
  delete(context, { id }, hard)
  return 200, { user = server.views:account(server.users:get(id), context.caller), task_id = "" }
end

-- Ids of users that all exist, each once.
local function read_ids(context, list)
  if not list or #list == 0 then return failures.fail(4, "user_ids must be a list of user ids") end
  local ok, failure = input.check_count(#list, MAX_PER_CALL, "user_ids", "users")
  if not ok then return nil, failure end
  local ids, seen = {}, {}
  for _, id in ipairs(list) do
    ok, failure = check_known(context.server, id)
    if not ok then return nil, failure end
    if not seen[id] then ids[#ids + 1], seen[id] = id, true end
  end
  return ids
end

local DELETE = {
  user_ids = "strings", user = "string", messages = "string", conversations = "string",
  new_channel_owner_id = "string",
}
-- pruning leaves nothing that hard would take: there are no messages here.
local IS_HARD = { soft = false, pruning = true, hard = true }

local function check_ways(fields)
  if fields.user ~= nil and IS_HARD[fields.user] == nil then
    return failures.fail(4, 'user must be "soft", "pruning" or "hard"')
  elseif fields.new_channel_owner_id then
    return failures.fail(4, "new_channel_owner_id is not offered by this server: channels keep the id of "
      .. "who made them")
  end
  return true
end

-- All of it is done before the answer; the task is over when its id is given.
local function delete_users(context)
  local server = context.server
  local fields, failure = input.read(context.body, DELETE)
  if not fields then return nil, failure end
  local ok, ids
  ok, failure = check_ways(fields)
  if not ok then return nil, failure end
  ids, failure = read_ids(context, fields.user_ids)
  if not ids then return nil, failure end
  local hard, open = IS_HARD[fields.user] or false, {}
  for _, id in ipairs(ids) do
    -- The same call made again, or with more to delete, is no mistake.
    if can_delete(server, id, hard) then open[#open + 1] = id end
  end
  delete(context, open, hard)
  return 201, { task_id = native.crypto.uuid() }
end

local function restore(context)
  local server = context.server
  local fields, failure = input.read(context.body, { user_ids = "strings" })
  if not fields then return nil, failure end
  local ids, users
  ids, failure = read_ids(context, fields.user_ids)
  if not ids then return nil, failure end
  users, failure = server.users:restore(ids)
  if not users then return nil, failure end
  local list = json.array {}
  for i, user in ipairs(users) do
    tell(context, "user.reactivated", user, server.channels:of_member(user.id))
    list[i] = server.views:account(user, context.caller)
  end
  return 201, { users = list }
end

local function route(method, path, endpoint, handler)
  return { method, path, endpoint = endpoint, access = "server", handler = handler }
end

return {
  route("POST", "/users/{id}/deactivate", "DeactivateUser", deactivate),
  route("POST", "/users/{id}/reactivate", "ReactivateUser", reactivate),
  route("DELETE", "/users/{id}", "DeleteUser", delete_user),
  route("POST", "/users/delete", "DeleteUsers", delete_users),
  route("POST", "/users/restore", "RestoreUsers", restore),
}
