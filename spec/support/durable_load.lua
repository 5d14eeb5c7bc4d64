--- A load of writes on a server, several writers at a time, and how to read back what they wrote.
-- Each writer goes through its own kind of things: made, changed, removed; one write at a time, noted
-- in the ledger when it is sent and when it is acknowledged.
local ledgers = require "support.ledger"
local native = require "stream_events.native"

local M = {}

local ABSENT = ledgers.ABSENT
local array = native.json.array

--- Those who are members of channels, made before the load.
M.PEOPLE = { "ann", "ben", "cem" }
--- Where events are sent.
M.CHANNEL = "livestream:main"

-- Writers: number of the step to { name, value, method, path, body }.

local function users(step)
  local id, phase = "user-" .. step // 3, step % 3
  local name = "user:" .. id
  if phase == 0 then
    return { name, "1", "POST", "/users", { users = { [id] = { id = id, level = 1 } } } }
  elseif phase == 1 then
    return { name, "2", "PATCH", "/users", { users = array { { id = id, set = { level = 2 } } } } }
  end
  return { name, ABSENT, "DELETE", "/users/" .. id }
end

-- Two users at a time: both or none.
local function pairs_of_users(step)
  local a, b = ("pair-%d-a"):format(step), ("pair-%d-b"):format(step)
  return { "pair:" .. step, "both", "POST", "/users",
    { users = { [a] = { id = a, level = 1 }, [b] = { id = b, level = 1 } } } }
end

local function channels(step)
  local id, phase = "channel-" .. step // 3, step % 3
  local name, path = "channel:" .. id, "/channels/messaging/" .. id
  if phase == 0 then
    return { name, "made by ann: ann, ben", "POST", path .. "/query",
      { data = { created_by_id = "ann", members = array { "ann", "ben" }, note = "made" } } }
  elseif phase == 1 then
    return { name, "changed by ann: ann, cem", "POST", path,
      { data = { note = "changed" }, add_members = array { "cem" }, remove_members = array { "ben" } } }
  end
  return { name, ABSENT, "DELETE", path }
end

local function channel_types(step)
  local id, phase = "type-" .. step // 3, step % 3
  local name = "channel type:" .. id
  if phase == 0 then
    return { name, "on", "POST", "/channeltypes", { name = id, custom_events = true } }
  elseif phase == 1 then
    return { name, "off, read-channel", "PUT", "/channeltypes/" .. id,
      { custom_events = false, grants = { user = array { "read-channel" } } } }
  end
  return { name, ABSENT, "DELETE", "/channeltypes/" .. id }
end

local function settings(step)
  local name = "name " .. step
  if step % 2 == 0 then return { "app:name", name, "PATCH", "/app", { name = name } } end
  local id = step % 4 == 1 and "flag-user" or "mute-user"
  return { "app:grants", id, "PATCH", "/app", { grants = { user = array { id } } } }
end

local function roles(step)
  local id = "role-" .. step // 2
  if step % 2 == 0 then return { "role:" .. id, "there", "POST", "/roles", { name = id } } end
  return { "role:" .. id, ABSENT, "DELETE", "/roles/" .. id }
end

local function bans(step)
  if step % 2 == 0 then
    return { "ban:cem", "banned", "POST", "/moderation/ban",
      { target_user_id = "cem", banned_by_id = "ann" } }
  end
  return { "ban:cem", ABSENT, "DELETE", "/moderation/ban", nil, { target_user_id = "cem" } }
end

local function events(step)
  return { "event:" .. step, "sent", "POST", "/channels/" .. M.CHANNEL:gsub(":", "/") .. "/event",
    { event = { type = "tick", user_id = "ann", step = step } } }
end

M.WRITERS = { users, pairs_of_users, channels, channel_types, settings, roles, bans, events }
--- After how many steps each begins with a new thing.
M.PHASES = { 3, 1, 3, 3, 1, 2, 2, 1 }

-- Readers: what there is, by the same names.

-- Calls `read` for the names of a kind that the ledger knows, some at a time.
local function in_portions(ledger, kind, size, read)
  local ids = array {}
  local function add(name)
    local id = name:match("^" .. kind .. ":(.*)$")
    if id then ids[#ids + 1] = id end
  end
  for name in pairs(ledger.values) do add(name) end
  for name in pairs(ledger.pending) do
    if not ledger.values[name] then add(name) end
  end
  for first = 1, #ids, size do read(array { table.unpack(ids, first, first + size - 1) }) end
end

local function query_users(call, ids)
  local _, body = call("GET", "/users", nil,
    { payload = { filter_conditions = { id = { ["$in"] = ids } }, limit = 100 } })
  local levels = {}
  for _, user in ipairs(body.users) do levels[user.id] = user end
  return levels
end

local function read_users(call, ledger, found)
  in_portions(ledger, "user", 100, function(ids)
    for id, user in pairs(query_users(call, ids)) do found["user:" .. id] = tostring(user.level) end
  end)
  in_portions(ledger, "pair", 50, function(numbers)
    local ids = array {}
    for _, number in ipairs(numbers) do
      ids[#ids + 1], ids[#ids + 2] = ("pair-%s-a"):format(number), ("pair-%s-b"):format(number)
    end
    local there = query_users(call, ids)
    for _, number in ipairs(numbers) do
      local a, b = there[("pair-%s-a"):format(number)], there[("pair-%s-b"):format(number)]
      if a or b then found["pair:" .. number] = a and b and "both" or "half" end
    end
  end)
  if query_users(call, array { "cem" }).cem.banned then found["ban:cem"] = "banned" end
end

local function read_channels(call, ledger, found)
  in_portions(ledger, "channel", 30, function(ids)
    for i, id in ipairs(ids) do ids[i] = "messaging:" .. id end
    local _, body = call("POST", "/channels",
      { filter_conditions = { cid = { ["$in"] = ids } }, state = true, limit = 30 })
    for _, state in ipairs(body.channels) do
      local members = {}
      for i, member in ipairs(state.members) do members[i] = member.user_id end
      table.sort(members)
      found["channel:" .. state.channel.id] = ("%s by %s: %s"):format(state.channel.note,
        state.channel.created_by.id, table.concat(members, ", "))
    end
  end)
end

local function read_settings(call, found)
  local _, body = call("GET", "/channeltypes")
  for name, channel_type in pairs(body.channel_types) do
    if name:find "^type%-" then
      local grants = table.concat(channel_type.grants.user, " ")
      found["channel type:" .. name] = channel_type.custom_events and "on" or "off, " .. grants
    end
  end
  _, body = call("GET", "/roles")
  for _, role in ipairs(body.roles) do
    if role.custom then found["role:" .. role.name] = "there" end
  end
  _, body = call("GET", "/app")
  found["app:name"] = body.app.name
  found["app:grants"] = table.concat(body.app.grants.user, " ")
end

--- What a server holds, but for the events.
---@param call fun(method: string, path: string, body: table?, query: table?): integer, table
---@param ledger table knows what to ask for
---@return table<string, string>
function M.read(call, ledger)
  local found = {}
  read_users(call, ledger, found)
  read_channels(call, ledger, found)
  read_settings(call, found)
  return found
end

return M
