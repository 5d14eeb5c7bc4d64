--- The default grants over real sockets: every built-in channel type, every role of users, member or
-- not, owner or not, against a table of its own, written down from the protocol (§8.4).
local names = require "stream_events.names"
local native = require "stream_events.native"
local server = require "support.server"

-- For each action the roles that may, by channel type; "role*": only in channels it made. What members
-- may is the same for channel_member and channel_moderator, and is said as "member".
local READ = {
  messaging = "admin moderator member user*", team = "admin moderator member user*",
  gaming = "admin moderator member user*", commerce = "admin moderator member user* guest*",
  livestream = "admin moderator user guest anonymous",
}
local SEND = {
  messaging = "admin moderator member user*", team = "admin moderator member user*",
  gaming = "admin moderator member user*", commerce = "admin moderator member user*",
  livestream = "admin moderator user",
}
local CREATE = {
  messaging = "admin moderator user", team = "admin moderator user", gaming = "admin",
  commerce = "admin moderator guest", livestream = "admin moderator user",
}
local CHANGE_MEMBERS = {
  messaging = "admin moderator user*", team = "admin moderator user*", gaming = "admin",
  commerce = "admin moderator user*", livestream = "admin",
}

local TYPES = { "messaging", "team", "gaming", "commerce", "livestream" }
local ROLES = { "user", "guest", "anonymous", "admin", "moderator" }
local MEMBERSHIPS = { "none", "channel_member", "channel_moderator" }

local function says(text, role, owner)
  for word in text:gmatch "%S+" do
    if word == role or (owner and word == role .. "*") then return true end
  end
  return false
end

local function expected(action, channel_type, case)
  return says(action[channel_type], case.role, case.owner)
    or (case.membership ~= "none" and says(action[channel_type], "member", case.owner))
end

-- All standings that a role can have; who has no token belongs to no channel and made none.
local function cases_of(role)
  if role == "anonymous" then return { { role = role, membership = "none", owner = false } } end
  local cases = {}
  for _, membership in ipairs(MEMBERSHIPS) do
    for _, owner in ipairs { false, true } do
      cases[#cases + 1] = { role = role, membership = membership, owner = owner }
    end
  end
  return cases
end

describe("default grants over real sockets", function()
  local fixture

  setup(function()
    fixture = server.start()
    for _, role in ipairs(ROLES) do
      if role ~= "anonymous" then fixture:users { id = "a-" .. role, role = role } end
    end
    fixture:users("maker", "guest-of-all")
  end)
  teardown(function() fixture:stop() end)

  local function who(role) return role == "anonymous" and role or "a-" .. role end

  -- Makes the channel of a case.
  local function prepare(channel_type, case)
    local id = ("%s-%s-%s"):format(case.role, case.membership, case.owner and "own" or "other")
    local user = who(case.role)
    local members = case.membership ~= "none" and { user } or {}
    local data = { created_by_id = case.owner and user or "maker", members = native.json.array(members) }
    local path = ("/channels/%s/%s"):format(channel_type, id)
    local status, answer = fixture:call("server", "POST", path .. "/query", { data = data })
    assert(status == 201, answer.message)
    if case.membership == "channel_moderator" then
      status, answer = fixture:call("server", "POST", path, { add_moderators = { user } })
      assert(status == 201, answer.message)
    end
    return path, names.cid(channel_type, id)
  end

  local function judge(action, channel_type, case, what, status, answer)
    local allowed = expected(action, channel_type, case)
    local title = ("%s in %s: %s, %s, %s"):format(what, channel_type, case.role, case.membership,
      case.owner and "owner" or "not the owner")
    assert.equal(allowed and 201 or 403, status, title)
    if not allowed then assert.equal(17, answer.code, title) end
    return allowed
  end

  for _, channel_type in ipairs(TYPES) do
    for _, role in ipairs(ROLES) do
      it(("of %s to %s"):format(channel_type, role), function()
        for _, case in ipairs(cases_of(role)) do
          local path = prepare(channel_type, case)
          local status, answer = fixture:call(who(role), "POST", path .. "/query", { state = true })
          local can_read = judge(READ, channel_type, case, "reading", status, answer)
          local sends = expected(SEND, channel_type, case)
          if can_read then
            local has = false
            for _, name in ipairs(answer.channel.own_capabilities) do
              has = has or name == "send-custom-events"
            end
            assert.equal(sends, has)
          end
          status, answer = fixture:call(who(role), "POST", path .. "/event", { event = { type = "wave" } })
          judge(SEND, channel_type, case, "sending", status, answer)
          status, answer = fixture:call(who(role), "POST", path, { add_members = { "guest-of-all" } })
          judge(CHANGE_MEMBERS, channel_type, case, "changing members", status, answer)
        end
        local status = fixture:call(who(role), "POST",
          ("/channels/%s/new-by-%s/query"):format(channel_type, role), { data = {} })
        local cid = names.cid(channel_type, "new-by-" .. role)
        local found = fixture:call("server", "GET", "/channels/" .. cid:gsub(":", "/"))
        local case = { role = role, membership = "none", owner = true }
        local may = expected(CREATE, channel_type, case)
        assert.equal(may and 200 or 404, found)
        assert.equal(may and expected(READ, channel_type, case) and 201 or 403, status)
      end)
    end
  end
end)
