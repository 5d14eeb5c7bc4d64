--- A backend's calls of administration against the real server: each does what it says, and others feel it.
local admin = require "support.admin"
local native = require "stream_events.native"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local open = {}

local function connected(id, options)
  local client = stream_events.new { api_key = "devkey", base_url = admin.base_url }
  open[#open + 1] = client
  local me, err = client:connect_user({ id = id }, tokens.user(admin.SECRET, id, options))
  return me and client, err
end

-- The code of the error, or "done".
local function outcome(result, err)
  return result and "done" or err.code
end

local function by_id(list, key)
  local found = {}
  for _, each in ipairs(list) do found[each[key or "id"]] = each end
  return found
end

describe("a backend and the real server", function()
  local backend

  setup(function()
    admin.start()
    backend = admin.backend
    for _, id in ipairs { "owner", "ann", "eve" } do admin.user(id) end
  end)

  after_each(function()
    for _, client in ipairs(open) do client:close() end
    open = {}
  end)

  teardown(admin.stop)

  it("lists, finds, makes and deletes roles", function()
    assert.is_false(by_id(assert(backend:list_roles()), "name").user.custom)
    assert.same({ "referee", true }, (function()
      local role = assert(backend:create_role "referee")
      return { role.name, role.custom }
    end)())
    assert.equal("referee", assert(backend:search_roles "refe")[1].name)
    assert.equal(4, outcome(backend:create_role "referee"))
    assert.is_true(backend:delete_role "referee")
    assert.equal(16, outcome(backend:delete_role "referee"))
    assert.equal(4, outcome(backend:delete_role "user"))
  end)

  it("lists, makes, changes and deletes permissions", function()
    assert.equal("ReadChannel", assert(backend:get_permission "read-channel").action)
    assert.is_true(backend:create_permission { id = "peek", name = "Peek", action = "ReadChannel" })
    assert.is_true(by_id(assert(backend:list_permissions())).peek.custom)
    assert.is_true(backend:update_permission("peek", { description = "Look in" }))
    local peek = assert(backend:get_permission "peek")
    assert.same({ "Peek", "Look in" }, { peek.name, peek.description })
    assert.is_true(backend:delete_permission "peek")
    assert.equal(16, outcome(backend:get_permission "peek"))
    assert.equal(4, outcome(backend:delete_permission "read-channel"))
  end)

  it("changes what one role may do, with effect on the next send", function()
    assert(backend:create_channel_type "arena")
    admin.channel("arena:one", "owner", { members = { "ann" } })
    local channel = assert(connected "ann"):channel("arena", "one")
    assert.equal("done", outcome(channel:send_event "flare"))
    assert(backend:remove_grants("arena", "channel_member", "send-custom-event"))
    assert.equal(17, outcome(channel:send_event "flare"))
    assert.truthy(#assert(backend:get_grants("arena", "channel_member")) > 0)
    assert(backend:add_grants("arena", "channel_member", "send-custom-event"))
    assert.equal("done", outcome(channel:send_event "flare"))
    assert.same({}, assert(backend:set_grants("arena", "channel_member", {})))
    assert.equal(17, outcome(channel:send_event "flare"))
    assert.is_true(backend:reset_grants "arena")
    assert.equal("done", outcome(channel:send_event "flare"))
    assert.equal(4, outcome(backend:add_grants("arena", "nobody", "read-channel")))
    assert.equal(16, outcome(backend:add_grants("nowhere", "user", "read-channel")))
  end)

  it("silences one channel beside its type", function()
    admin.channel("team:silent", "owner", { members = { "ann" } })
    local channel = backend:channel("team", "silent")
    local anns = assert(connected "ann"):channel("team", "silent")
    assert(channel:set_grant_overrides { channel_member = { "!send-custom-event" } })
    assert.equal(17, outcome(anns:send_event "flare"))
    assert.same({ channel_member = { "!send-custom-event" } }, channel:get_grant_overrides())
    assert(channel:set_grant_overrides {})
    assert.equal("done", outcome(anns:send_event "flare"))
    assert.same({}, channel:get_grant_overrides())
  end)

  it("bans in one channel and everywhere, and ends each", function()
    admin.channel("team:first", "owner", { members = { "eve" } })
    admin.channel("team:second", "owner", { members = { "eve" } })
    local eve = assert(connected "eve")
    local function sends()
      return { outcome(eve:channel("team", "first"):send_event "flare"),
        outcome(eve:channel("team", "second"):send_event "flare") }
    end
    assert.is_true(backend:ban_user("eve", {
      channel = "team:first", timeout = 30, reason = "spam", banned_by = "owner",
    }))
    assert.same({ 17, "done" }, sends())
    assert.is_true(backend:ban_user "eve")
    assert.same({ 17, 17 }, sends())
    local listed = assert(backend:query_banned_users { user_id = "eve" })
    assert.same({ 2, "team:first", "owner" }, { #listed, listed[2].channel.cid, listed[2].banned_by.id })
    assert.is_true(assert(backend:query_users { id = "eve" })[1].banned)
    assert.is_true(backend:unban_user "eve")
    assert.same({ 17, "done" }, sends())
    assert.is_true(backend:unban_user("eve", { channel = "team:first" }))
    assert.same({ "done", "done" }, sends())
    assert.equal(16, outcome(backend:ban_user "nobody"))
    assert.equal(16, outcome(backend:ban_user("eve", { channel = "team:nowhere" })))
  end)

  it("locks out, lets in, deletes and restores", function()
    admin.user "mal"
    assert.equal("mal", assert(backend:deactivate_user "mal").id)
    assert.is_nil((connected "mal"))
    assert.equal(0, #assert(backend:query_users { id = "mal" }))
    assert.equal(1, #assert(backend:query_users({ id = "mal" }, { include_deactivated_users = true })))
    assert.equal("mal", assert(backend:reactivate_user "mal").id)
    assert.is_table(connected "mal")
    assert.is_string(assert(backend:delete_users { "mal" }).task_id)
    assert.is_nil((connected "mal"))
    assert.is_true(backend:restore_users { "mal" })
    assert.is_table(connected "mal")
    assert.equal("mal", assert(backend:delete_user("mal", { hard_delete = true })).id)
    assert.is_nil((connected "mal"))
    assert.equal(16, outcome(backend:deactivate_user "nobody"))
    assert.equal(16, outcome(backend:delete_users { "nobody" }))
  end)

  it("revokes tokens of one user and of all, and accepts them again", function()
    local old = { iat = 1700000000 }
    assert.is_true(backend:revoke_user_tokens "ann")
    assert.is_nil((connected("ann", old)))
    assert.is_nil((connected "ann")) -- a token that says no time
    assert.is_table(connected("owner", old))
    assert.is_true(backend:revoke_user_tokens("ann", stream_events.null))
    assert.is_table(connected("ann", old))
    assert.is_true(backend:revoke_tokens())
    assert.is_nil((connected("owner", old)))
    assert.is_true(backend:revoke_tokens(stream_events.null))
    assert.is_table(connected("owner", old))
  end)

  it("changes one hook and leaves the others as they are", function()
    local first = assert(backend:add_event_hook { webhook_url = "https://one.example/" })
    local before = by_id(assert(backend:list_event_hooks()))[first.id]
    assert(backend:add_event_hook { id = "two", webhook_url = "https://two.example/", event_types = { "x" } })
    assert(backend:update_event_hook("two", { enabled = false, event_types = {} }))
    local hooks = by_id(assert(backend:list_event_hooks()))
    assert.same(before, hooks[first.id])
    assert.same({ false, {} }, { hooks.two.enabled, hooks.two.event_types })
    assert.is_true(backend:remove_event_hook(first.id))
    assert.equal(1, #assert(backend:list_event_hooks()))
    assert.is_true(backend:remove_event_hook "two")
    assert.equal(4, outcome(backend:add_event_hook { webhook_url = "ftp://x/" }))
    assert.truthy(#assert(backend:list_hook_events()) > 0)
  end)

  it("adds hooks at the same time without losing one", function()
    local ended = 0
    for i = 1, 5 do
      backend:add_event_hook({ id = "at_once_" .. i, webhook_url = "https://x.example/" }, function(_, err)
        assert.is_nil(err)
        ended = ended + 1
      end)
    end
    while ended < 5 do backend:poll(1) end
    assert.equal(5, #assert(backend:list_event_hooks()))
    assert(backend:update_app { event_hooks = {} })
  end)

  it("reads a channel without making it, changes it, and deletes it", function()
    local channel = backend:channel("team", "changed")
    assert.equal(16, outcome(channel:get()))
    admin.channel("team:changed", "owner", { members = { "ann" }, topic = "x" })
    assert.equal(channel, channel:get())
    assert.same({ "x", true }, { channel.data.topic, channel.members.ann ~= nil })
    assert(channel:update_partial({ name = "New", frozen = true }, "topic"))
    assert.same({ "New", true }, { channel.data.name, channel.data.frozen })
    assert.is_nil(channel.data.topic)
    assert(channel:update { name = "Newer" })
    assert.equal("Newer", channel.data.name)
    assert(channel:assign_role("ann", "channel_moderator"))
    assert.equal("channel_moderator", channel.members.ann.channel_role)
    assert.equal(4, outcome(channel:assign_role("eve", "channel_moderator")))
    assert(channel:delete())
    assert.equal(16, outcome(channel:get()))
  end)

  it("keeps empty lists and large numbers of what it reads", function()
    admin.user("exact", { tags = native.json.array {}, big = 9007199254740993 })
    local user = assert(backend:query_users { id = "exact" })[1]
    assert.truthy(native.json.encode(user):find('"tags":[]', 1, true))
    assert.equal(9007199254740993, user.big)
  end)
end)
