-- start_data.lua -- makes a database as a server leaves it: users, channels, and five members each.
-- usage: lua start_data.lua FILE USERS CHANNELS
-- Written through the server's own models, so that it is what a start really finds.
local channels = require "stream_events.server.channels"
local store = require "stream_events.server.store"
local users = require "stream_events.server.users"

local MEMBERS, BATCH = 5, 1000

local path, user_count, channel_count = arg[1], tonumber(arg[2]), tonumber(arg[3])

-- A user as apps have them: a name, a picture, and two fields of their own.
local function user(number)
  return {
    id = "user-" .. number,
    fields = {
      name = "User Number " .. number, image = ("https://example.com/avatars/%d.png"):format(number),
      level = number % 100, guild = "guild-" .. number % 50,
    },
  }
end

local function members_of(number)
  local members = {}
  for i = 1, MEMBERS do
    members[i] = { user_id = "user-" .. 1 + (number * 7 + i * 7919) % user_count }
  end
  return members
end

local database = assert(store.open(path))
local model = users.new(database)
for first = 1, user_count, BATCH do
  local batch = {}
  for number = first, math.min(first + BATCH - 1, user_count) do batch[#batch + 1] = user(number) end
  assert(model:upsert_all(batch, { trusted = true }))
end
local all = channels.new(database)
for first = 1, channel_count, BATCH do
  database:transaction(function()
    for number = first, math.min(first + BATCH - 1, channel_count) do
      local members = members_of(number)
      all:create({
        type = "messaging", id = "channel-" .. number, created_by_id = members[1].user_id,
        custom = { name = "Channel Number " .. number },
      }, members)
    end
  end)
end
database:close()
