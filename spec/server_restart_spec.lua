--- Whatever backends and users did, in whatever order: a server that is started again shows what the one
--- before showed, and the data are sound.
local check = require "stream_events.server.check"
local fixtures = require "support.server"
local folders = require "support.folder"
local json = require("stream_events.native").json

local USERS = { "alice", "bob", "carol" }
local CHANNELS = { "messaging/lobby", "team/staff", "livestream/stage" }
local ROLES = { "user", "elf", "channel_member", "moderator" }
local GRANTS = { "read-channel", "send-custom-event", "send-custom-event:wave", "read-channel-owner", "sing" }
local STEPS = 150

local fixture
local random = math.random

local function pick(list) return list[random(#list)] end
local function flip() return random(2) == 1 end

local function some(list, mark)
  local found = json.array {}
  for _, item in ipairs(list) do
    if flip() then found[#found + 1] = (mark and flip() and "!" or "") .. item end
  end
  return found
end

-- Each gives method, path, body and query.
local CALLS = {
  function() return "POST", "/channels/" .. pick(CHANNELS) .. "/query",
    { data = { created_by_id = pick(USERS), members = some(USERS), frozen = flip(), color = "red" } } end,
  function() return "PATCH", "/channels/" .. pick(CHANNELS),
    { set = { frozen = flip(), disabled = flip(), team = "a", color = random(9) } } end,
  function() return "PATCH", "/channels/" .. pick(CHANNELS),
    { set = { config_overrides =
      { grants = { [pick(ROLES)] = some(GRANTS, true) }, typing_events = flip() } } } end,
  function() return "PATCH", "/channels/" .. pick(CHANNELS),
    { unset = { "config_overrides", "team", "color" } } end,
  function() return "POST", "/channels/" .. pick(CHANNELS),
    { add_members = some(USERS), data = flip() and { size = 3, frozen = flip() } or nil } end,
  function() return "POST", "/channels/" .. pick(CHANNELS), { remove_members = some(USERS) } end,
  function() return "POST", "/channels/" .. pick(CHANNELS),
    { assign_roles = { { user_id = pick(USERS), channel_role = pick { "channel_member", "elf" } } } } end,
  function() return random(4) == 1 and "DELETE" or "GET", "/channels/" .. pick(CHANNELS) end,
  function() return "POST", "/users",
    { users = { carol =
      { id = "carol", role = pick { "user", "elf" }, invisible = flip(), age = random(9) } } } end,
  function() return "PATCH", "/users",
    { users = { { id = pick(USERS), set = { ["at.home"] = flip(), name = "N" },
      unset = { "age", "invisible" } } } } end,
  function() return "POST", ("/users/%s/%s"):format(pick(USERS), pick { "deactivate", "reactivate" }), {} end,
  function() return "POST", random(4) == 1 and "/users/delete" or "/users/restore",
    { user_ids = { pick(USERS) } } end,
  function() return "POST", "/moderation/ban", { target_user_id = pick(USERS), shadow = flip(),
    channel_cid = flip() and pick(CHANNELS):gsub("/", ":") or nil, timeout = flip() and 60 or nil } end,
  function() return "DELETE", "/moderation/ban", nil, { target_user_id = pick(USERS) } end,
  function() return "PUT", "/channeltypes/" .. pick { "messaging", "team", "livestream" },
    { custom_events = flip(), custom_event_ids = flip(), polls = flip(),
      grants = { [pick(ROLES)] = some(GRANTS) } } end,
  function() return "PUT", "/channeltypes/team",
    { grants = json.null, custom_event_retention = { seconds = 60, count = random(5) } } end,
  function() return "POST", "/channeltypes", { name = "lan", automod = "simple" } end,
  function() return "DELETE", "/channeltypes/lan" end,
  function() return "POST", "/roles", { name = "elf" } end,
  function() return "DELETE", "/roles/elf" end,
  function() return "POST", "/permissions",
    { id = "sing", name = "Sing", action = "SendCustomEvent" } end,
  function() return "PUT", "/permissions/sing",
    { action = pick { "SendCustomEvent", "ReadChannel" }, owner = flip() } end,
  function() return "DELETE", "/permissions/sing" end,
  function() return "PATCH", "/app", { name = "App " .. random(9), custom_event_ids = flip(),
    guest_user_creation_disabled = flip(),
    grants = { user = some { "search-user", "update-user-owner" } } } end,
}

-- What belongs to the run of a server, not to its data.
local OF_THE_RUN = { duration = true, online = true, last_active = true }

local function plain(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for name, item in pairs(value) do
    if not OF_THE_RUN[name] then copy[name] = plain(item) end
  end
  return copy
end

local function ask(method, path, body, query)
  local status, answer = fixture:call("server", method, path, body, query)
  assert(status < 300, answer.message)
  return answer
end

-- All that a server shows, to backends and to users.
local function everything()
  local shown = {
    types = ask("GET", "/channeltypes"), app = ask("GET", "/app"), permissions = ask("GET", "/permissions"),
    roles = {}, rights = {},
    users = ask("GET", "/users", nil,
      { payload = { filter_conditions = {}, include_deactivated_users = true } }),
    channels = ask("POST", "/channels", { state = true, limit = 30 }),
    thawed = ask("POST", "/channels", { filter_conditions = { frozen = false } }),
    open = ask("POST", "/channels", { filter_conditions = { disabled = false } }),
  }
  for _, role in ipairs(ask("GET", "/roles").roles) do
    -- The others are there since the server is.
    if role.custom then shown.roles[#shown.roles + 1] = role end
  end
  for _, path in ipairs(CHANNELS) do
    for _, user in ipairs(USERS) do
      local status, answer = fixture:call(user, "GET", "/channels/" .. path)
      shown.rights[path .. " " .. user] =
        { status, answer.code or false, answer.channel and answer.channel.own_capabilities or false }
    end
  end
  return plain(shown)
end

describe("a server that is started again", function()
  local folder

  before_each(function() folder = folders.new() end)
  after_each(function()
    fixture:stop()
    folder:remove()
  end)

  for seed = 1, 4 do
    it("shows what the one before showed, after all kinds of calls in any order: " .. seed, function()
      math.randomseed(seed)
      local path = folder:at "state.db"
      fixture = fixtures.start { data = path, max_auth_failures = 0 }
      fixture:users(table.unpack(USERS))
      local done = 0
      for _ = 1, STEPS do
        local method, where, body, query = pick(CALLS)()
        local who = random(4) == 1 and pick(USERS) or "server"
        local status, answer = fixture:call(who, method, where, body, query)
        assert.is_true(status < 500, ("%s %s: %s"):format(method, where, answer.message))
        if status < 300 then done = done + 1 end
      end
      assert.is_true(done > STEPS // 4, done)
      local before = everything()
      fixture:stop()
      assert.same({}, assert(check.run(path)).problems)
      fixture = fixtures.start { data = path, max_auth_failures = 0 }
      assert.same(before, everything())
    end)
  end
end)
