-- The router: what is delivered, what is not, and what is counted about it. Asked the way programs
-- ask it, through events on a connection, in connection_spec; here by the classes of types alone
-- and by the bookkeeping of wants.
local core = require "stream_events.core"

local BUILTIN = {}
for group, names in pairs {
  ["ai_indicator"] = "clear stop update",
  ["app"] = "updated",
  ["channel"] = "created deleted frozen hidden kicked max_streak_changed muted truncated unfrozen "
    .. "unmuted updated visible",
  ["draft"] = "deleted updated",
  ["health"] = "check",
  ["member"] = "added removed updated",
  ["message"] = "deleted delivered new pending read undeleted updated",
  ["notification"] = "added_to_channel channel_deleted channel_mutes_updated channel_truncated "
    .. "invite_accepted invite_rejected invited mark_read mark_unread message_new mutes_updated "
    .. "reminder_due removed_from_channel thread_message_new",
  ["poll"] = "closed deleted updated vote_casted vote_changed vote_removed",
  ["reaction"] = "deleted new updated",
  ["reminder"] = "created deleted updated",
  ["thread"] = "updated",
  ["typing"] = "start stop",
  ["user"] = "banned deactivated deleted messages.deleted muted presence.changed reactivated "
    .. "unbanned unmuted unread_message_reminder updated watching.start watching.stop",
  ["user_group"] = "created deleted member_added member_removed updated",
} do
  for name in names:gmatch "%S+" do
    BUILTIN[#BUILTIN + 1] = group .. "." .. name
  end
end

local LOCAL = { "connection.changed", "connection.recovered", "connection.error",
  "transport.changed", "capabilities.changed", "channels.queried", "offline_reactions.queried",
  "live_location_sharing.started", "live_location_sharing.stopped" }

describe("type_class", function()
  it("knows every type that the service makes", function()
    assert.equal(76, #BUILTIN)
    for _, type in ipairs(BUILTIN) do
      assert.equal("builtin", core.type_class(type), type)
    end
  end)

  it("knows the names that only clients use among themselves", function()
    for _, type in ipairs(LOCAL) do
      assert.equal("local", core.type_class(type), type)
    end
  end)

  it("takes everything else for custom", function()
    for _, type in ipairs { "", "friendship_request", "message", "message.", "message.ne",
      "message.new2", "Message.new", "message.new\0", "\0", ".", "constructor", "__index",
      "zzz.zzz", "a.a", ("x"):rep(255), ("x."):rep(120) } do
      assert.equal("custom", core.type_class(type), type)
    end
  end)
end)

describe("router", function()
  it("counts nothing before an event came", function()
    local router = core.router()
    assert.same({ received = 0, delivered = 0, unwanted = 0, refused = 0 }, router:totals())
    assert.same({}, router:counts())
  end)

  it("takes an empty table, and the same names again", function()
    local router = core.router()
    assert.is_true(router:set {})
    local wants = { types = { "a", "a" }, prefixes = { "b", "b", "bc", "" }, custom = true,
      refused = { a = "no" } }
    assert.is_true(router:set(wants))
    assert.is_true(router:set(wants))
  end)

  for what, case in pairs {
    ["types"] = function(name) return { types = name } end,
    ["prefixes"] = function(name) return { prefixes = name } end,
    ["refused types"] = function(name)
      local refused = {}
      for _, type in ipairs(name) do refused[type] = "rule" end
      return { refused = refused }
    end,
  } do
    it("holds 4096 " .. what .. " and not one more", function()
      local names = {}
      for i = 1, 4096 do names[i] = ("type_%04d"):format(i) end
      local router = core.router()
      assert.is_true(router:set(case(names)))
      names[4097] = "one_too_many"
      local ok, kind, message = router:set(case(names))
      assert.is_nil(ok)
      assert.equal("full", kind)
      assert.truthy(message:find("4096", 1, true))
      assert.is_true(router:set {})
    end)
  end

  it("raises for what is no description of wants, and keeps what it had", function()
    local router = core.router()
    for _, wrong in ipairs { "x", { types = "x" }, { types = { 1 } }, { types = { {} } },
      { prefixes = { false } }, { refused = { "reason" } }, { refused = { a = {} } } } do
      assert.has_error(function() router:set(wrong) end)
    end
    assert.has_error(function() router:set() end)
    assert.has_error(function() router.set({}, {}) end)
  end)
end)
