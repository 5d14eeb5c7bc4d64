--- The calls with which a backend administers its app: permissions, moderation, hooks, limits, channels.
local backend_case = require "support.backend_case"
local fakes = require "support.fake_transport"
local native = require "stream_events.native"
local stream_events = require "stream_events"

local backend = backend_case.backend
local NOW = "2026-01-01T00:00:00Z" -- where the fake clock stands

for name, case in pairs {
  -- roles and permissions
  list_roles = {
    call = { "list_roles" }, sends = { "GET", "/roles" },
    answer = '{"roles":[{"name":"user","custom":false,"scopes":[]}]}',
    gives = { { name = "user", custom = false, scopes = {} } },
  },
  create_role = {
    call = { "create_role", "referee" }, sends = { "POST", "/roles", { name = "referee" } },
    answer = '{"role":{"name":"referee","custom":true}}', gives = { name = "referee", custom = true },
  },
  search_roles = {
    call = { "search_roles", "mod" }, sends = { "GET", "/roles/search" }, query = { query = "mod" },
    answer = '{"roles":[{"name":"moderator"}]}', gives = { { name = "moderator" } },
  },
  delete_role = {
    call = { "delete_role", "a/b" }, sends = { "DELETE", "/roles/a%2Fb" }, answer = "{}", gives = true,
  },
  list_permissions = {
    call = { "list_permissions" }, sends = { "GET", "/permissions" },
    answer = '{"permissions":[{"id":"read-channel"}]}', gives = { { id = "read-channel" } },
  },
  get_permission = {
    call = { "get_permission", "read-channel" }, sends = { "GET", "/permissions/read-channel" },
    answer = '{"permission":{"id":"read-channel"}}', gives = { id = "read-channel" },
  },
  create_permission = {
    call = { "create_permission", { id = "kick", name = "Kick", action = "ReadChannel" } },
    sends = { "POST", "/permissions", { id = "kick", name = "Kick", action = "ReadChannel" } },
    answer = "{}", gives = true,
  },
  update_permission = {
    call = { "update_permission", "kick", { name = "Kick out" } },
    sends = { "PUT", "/permissions/kick", { name = "Kick out" } }, answer = "{}", gives = true,
  },
  delete_permission = {
    call = { "delete_permission", "kick" }, sends = { "DELETE", "/permissions/kick" }, answer = "{}",
    gives = true,
  },
  -- grants
  get_grants = {
    call = { "get_grants", "team" }, sends = { "GET", "/channeltypes/team" },
    answer = '{"name":"team","grants":{"user":["read-channel"],"guest":[]}}',
    gives = { user = { "read-channel" }, guest = {} },
  },
  ["get_grants of a role"] = {
    call = { "get_grants", "team", "user" }, sends = { "GET", "/channeltypes/team" },
    answer = '{"name":"team","grants":{"user":["read-channel"]}}', gives = { "read-channel" },
  },
  ["get_grants of a role without any"] = {
    call = { "get_grants", "team", "constructor" }, sends = { "GET", "/channeltypes/team" },
    answer = '{"name":"team","grants":{"user":["read-channel"]}}', gives = {},
  },
  ["get_grants of the app"] = {
    call = { "get_grants", ".app" }, sends = { "GET", "/app" },
    answer = '{"app":{"grants":{"user":["search-user"]}}}', gives = { user = { "search-user" } },
  },
  set_grants = {
    call = { "set_grants", "team", "guest", {} },
    sends = { "PUT", "/channeltypes/team", { grants = { guest = {} } } }, text = '"guest":[]',
    answer = "{}", gives = {},
  },
  ["set_grants of one permission"] = {
    call = { "set_grants", "team", "guest", "send-custom-event:trade_offer" },
    sends = { "PUT", "/channeltypes/team", { grants = { guest = { "send-custom-event:trade_offer" } } } },
    answer = "{}", gives = { "send-custom-event:trade_offer" },
  },
  ["set_grants of the app"] = {
    call = { "set_grants", ".app", "guest", { "search-user" } },
    sends = { "PATCH", "/app", { grants = { guest = { "search-user" } } } }, answer = "{}",
    gives = { "search-user" },
  },
  reset_grants = {
    call = { "reset_grants", "team" },
    sends = { "PUT", "/channeltypes/team", { grants = native.json.null } }, answer = "{}", gives = true,
  },
  -- moderation
  ban_user = {
    call = { "ban_user", "eve" }, sends = { "POST", "/moderation/ban", { target_user_id = "eve" } },
    answer = "{}", gives = true,
  },
  ["ban_user with everything"] = {
    call = { "ban_user", "eve", {
      channel = "messaging:a", timeout = 30, reason = "spam", shadow = true, ip_ban = false,
      banned_by = "john",
    } },
    sends = { "POST", "/moderation/ban", {
      target_user_id = "eve", channel_cid = "messaging:a", timeout = 30, reason = "spam", shadow = true,
      ip_ban = false, banned_by_id = "john",
    } },
    answer = "{}", gives = true,
  },
  unban_user = {
    call = { "unban_user", "eve@b" }, sends = { "DELETE", "/moderation/ban" },
    query = { target_user_id = "eve@b" }, answer = "{}", gives = true,
  },
  ["unban_user of a channel"] = {
    call = { "unban_user", "eve", { channel = "messaging:a" } }, sends = { "DELETE", "/moderation/ban" },
    query = { target_user_id = "eve", channel_cid = "messaging:a" }, answer = "{}", gives = true,
  },
  query_banned_users = {
    call = { "query_banned_users", { channel_cid = "messaging:a" }, { limit = 5 } },
    sends = { "GET", "/query_banned_users" },
    payload = { filter_conditions = { channel_cid = "messaging:a" }, sort = {}, limit = 5 },
    answer = '{"bans":[{"user":{"id":"eve"}}]}', gives = { { user = { id = "eve" } } },
  },
  deactivate_user = {
    call = { "deactivate_user", "eve" }, sends = { "POST", "/users/eve/deactivate", {} },
    answer = '{"user":{"id":"eve"}}', gives = { id = "eve" },
  },
  ["deactivate_user with options"] = {
    call = { "deactivate_user", "eve", { mark_messages_deleted = true } },
    sends = { "POST", "/users/eve/deactivate", { mark_messages_deleted = true } },
    answer = '{"user":{"id":"eve"}}', gives = { id = "eve" },
  },
  reactivate_user = {
    call = { "reactivate_user", "eve", { name = "Eve" } },
    sends = { "POST", "/users/eve/reactivate", { name = "Eve" } },
    answer = '{"user":{"id":"eve"}}', gives = { id = "eve" },
  },
  delete_user = {
    call = { "delete_user", "eve" }, sends = { "DELETE", "/users/eve" }, query = {},
    answer = '{"user":{"id":"eve"}}', gives = { id = "eve" },
  },
  ["delete_user for good"] = {
    call = { "delete_user", "eve", { hard_delete = true } }, sends = { "DELETE", "/users/eve" },
    query = { hard_delete = "true" }, answer = '{"user":{"id":"eve"}}', gives = { id = "eve" },
  },
  delete_users = {
    call = { "delete_users", "eve" },
    sends = { "POST", "/users/delete", { user_ids = { "eve" }, user = "soft" } },
    answer = '{"task_id":"t","duration":""}', gives = { task_id = "t" },
  },
  ["delete_users for good"] = {
    call = { "delete_users", { "eve", "mal" }, { user = "hard", messages = "soft" } },
    sends = { "POST", "/users/delete", { user_ids = { "eve", "mal" }, user = "hard", messages = "soft" } },
    answer = '{"task_id":"t"}', gives = { task_id = "t" },
  },
  restore_users = {
    call = { "restore_users", { "eve" } }, sends = { "POST", "/users/restore", { user_ids = { "eve" } } },
    answer = "{}", gives = true,
  },
  revoke_tokens = {
    call = { "revoke_tokens" }, sends = { "PATCH", "/app", { revoke_tokens_issued_before = NOW } },
    answer = "{}", gives = true,
  },
  ["revoke_tokens lifted"] = {
    call = { "revoke_tokens", stream_events.null },
    sends = { "PATCH", "/app", { revoke_tokens_issued_before = native.json.null } }, answer = "{}",
    gives = true,
  },
  revoke_user_tokens = {
    call = { "revoke_user_tokens", { "a", "b" }, "2025-12-31T00:00:00Z" },
    sends = { "PATCH", "/users", { users = {
      { id = "a", set = { revoke_tokens_issued_before = "2025-12-31T00:00:00Z" } },
      { id = "b", set = { revoke_tokens_issued_before = "2025-12-31T00:00:00Z" } },
    } } },
    answer = '{"users":{}}', gives = true,
  },
  ["revoke_user_tokens of now"] = {
    call = { "revoke_user_tokens", "a" },
    sends = { "PATCH", "/users", { users = { { id = "a", set = { revoke_tokens_issued_before = NOW } } } } },
    answer = '{"users":{}}', gives = true,
  },
  -- the app
  rate_limits = {
    call = { "rate_limits" }, sends = { "GET", "/rate_limits" }, query = {},
    answer = '{"web":{"Connect":{"limit":9,"remaining":8,"reset":7}},"duration":"1ms"}',
    gives = { web = { Connect = { limit = 9, remaining = 8, reset = 7 } } },
  },
  ["rate_limits of some"] = {
    call = { "rate_limits", { endpoints = { "SendEvent", "Connect" }, server_side = true, web = false } },
    sends = { "GET", "/rate_limits" }, query = { endpoints = "SendEvent,Connect", server_side = "true" },
    answer = '{"server_side":{}}', gives = { server_side = {} },
  },
  ["update_app with empty lists"] = {
    call = { "update_app", { event_hooks = {}, webhook_events = {}, grants = { guest = {} } } },
    sends = { "PATCH", "/app", { event_hooks = {}, webhook_events = {}, grants = { guest = {} } } },
    text = '"guest":[]', answer = "{}", gives = true,
  },
  ["update_app without hooks"] = {
    call = { "update_app", { event_hooks = {} } }, sends = { "PATCH", "/app", { event_hooks = {} } },
    text = '"event_hooks":[]', answer = "{}", gives = true,
  },
  -- What is no list is not sent as an empty one, which would mean something.
  ["update_app with an object for a list"] = {
    call = { "update_app", { event_hooks = { a = 1 }, grants = { guest = { ["read-channel"] = true } } } },
    sends = { "PATCH", "/app",
      { event_hooks = { a = 1 }, grants = { guest = { ["read-channel"] = true } } } },
    answer = "{}", gives = true,
  },
  ["update_channel_type with an object for a list"] = {
    call = { "update_channel_type", "team", { commands = { ban = true } } },
    sends = { "PUT", "/channeltypes/team", { commands = { ban = true } } }, answer = '{"name":"team"}',
    gives = { name = "team" },
  },
  -- hooks
  list_event_hooks = {
    call = { "list_event_hooks" }, sends = { "GET", "/app" },
    answer = '{"app":{"event_hooks":[{"id":"a","event_types":[]}]}}',
    gives = { { id = "a", event_types = {} } },
  },
  ["list_event_hooks of an app without"] = {
    call = { "list_event_hooks" }, sends = { "GET", "/app" }, answer = '{"app":{}}', gives = {},
  },
  list_hook_events = {
    call = { "list_hook_events" }, sends = { "GET", "/hook/events" },
    answer = '{"events":[{"name":"x"}]}', gives = { { name = "x" } },
  },
} do
  describe(name, function()
    for sentence, check in pairs(backend_case.checks(case)) do it(sentence, check) end
  end)
end

describe("a call of administration without the secret", function()
  for name, call in pairs {
    list_roles = function(client) return client:list_roles() end,
    get_grants = function(client) return client:get_grants "team" end,
    add_grants = function(client) return client:add_grants("team", "user", "x") end,
    deactivate_user = function(client) return client:deactivate_user "eve" end,
    delete_users = function(client) return client:delete_users "eve" end,
    revoke_tokens = function(client) return client:revoke_tokens() end,
    add_event_hook = function(client) return client:add_event_hook { webhook_url = "http://x/" } end,
    rate_limits = function(client) return client:rate_limits() end,
    set_grant_overrides = function(client)
      return client:channel("team", "a"):set_grant_overrides {}
    end,
  } do
    it(name .. " is refused without asking", function()
      local fake = fakes.new()
      local client = fake.connected()
      local result, err = call(client)
      assert.same({ nil, "auth" }, { result, err.kind })
      assert.same({}, fake.requests)
    end)
  end

  for name, call in pairs {
    ban_user = function(client) return client:ban_user("eve", { channel = "team:a" }) end,
    unban_user = function(client) return client:unban_user "eve" end,
    query_banned_users = function(client) return client:query_banned_users { channel_cid = "team:a" } end,
    get = function(client) return client:channel("team", "a"):get() end,
    delete = function(client) return client:channel("team", "a"):delete() end,
  } do
    it(name .. " is made as the user", function()
      local fake = fakes.new()
      fake.answer = function() return 200, '{"bans":[]}' end
      local client = fake.connected()
      assert.is_truthy(call(client))
      assert.truthy(fake.requests[1].query:find("user_id=john", 1, true))
    end)
  end
end)

describe("misuse of a call of administration", function()
  it("names the option that there is not", function()
    local _, client = backend()
    local ok, message = pcall(client.ban_user, client, "eve", { minutes = 5 })
    assert.is_false(ok)
    assert.truthy(message:find("unknown option 'minutes'", 1, true), message)
  end)

  for name, call in pairs {
    ["a role without a name"] = function(client) local _ = client:create_role "" end,
    ["roles that hold no text"] = function(client) local _ = client:search_roles "" end,
    ["a user to delete without an id"] = function(client) local _ = client:delete_user() end,
    ["a role with a line in its name"] = function(client) local _ = client:delete_role "a\nb" end,
    ["a permission that is a number"] = function(client) local _ = client:get_permission(7) end,
    ["a permission without an id"] = function(client) local _ = client:create_permission { name = "x" } end,
    ["a permission that is no JSON"] = function(client)
      local _ = client:create_permission { id = "x", f = print }
    end,
    ["changes that are a text"] = function(client) local _ = client:update_permission("x", "y") end,
    ["grants of what is no channel type"] = function(client) local _ = client:get_grants "a/b" end,
    ["grants without a role"] = function(client) local _ = client:set_grants("team", nil, {}) end,
    ["grants without a list"] = function(client) local _ = client:set_grants("team", "user") end,
    ["grants that are numbers"] = function(client) local _ = client:set_grants("team", "user", { 7 }) end,
    ["grants to add to nothing"] = function(client) local _ = client:add_grants("a b", "user", "x") end,
    ["grants to add that are none"] = function(client)
      local _ = client:add_grants("team", "user", { {} })
    end,
    ["grants to remove without a role"] = function(client)
      local _ = client:remove_grants("team", "", "x")
    end,
    ["grants that are a set"] = function(client)
      local _ = client:set_grants("team", "user", { ["read-channel"] = true })
    end,
    ["users to delete that are a set"] = function(client) local _ = client:delete_users { eve = true } end,
    ["a reset of nothing"] = function(client) local _ = client:reset_grants() end,
    ["a ban of nobody"] = function(client) local _ = client:ban_user() end,
    ["a ban with a misspelt option"] = function(client) local _ = client:ban_user("eve", { minutes = 5 }) end,
    ["a ban in what is no channel"] = function(client)
      local _ = client:ban_user("eve", { channel = "a" })
    end,
    ["a ban by nobody"] = function(client) local _ = client:ban_user("eve", { banned_by = "a/b" }) end,
    ["a ban of no time"] = function(client) local _ = client:ban_user("eve", { timeout = 0 }) end,
    ["a ban of one and a half minutes"] = function(client)
      local _ = client:ban_user("eve", { timeout = 1.5 })
    end,
    ["a ban for a text"] = function(client) local _ = client:ban_user("eve", { timeout = "5" }) end,
    ["a ban with options that are none"] = function(client) local _ = client:ban_user("eve", true) end,
    ["an unban in what is no channel"] = function(client)
      local _ = client:unban_user("e", { channel = ":" })
    end,
    ["a user to deactivate with a slash"] = function(client) local _ = client:deactivate_user "a/b" end,
    ["deactivation with a misspelt option"] = function(client)
      local _ = client:deactivate_user("eve", { delete = true })
    end,
    ["deletion of nobody"] = function(client) local _ = client:delete_users {} end,
    ["deletion in a way there is none"] = function(client)
      local _ = client:delete_users("e", { user = "x" })
    end,
    ["restoring a number"] = function(client) local _ = client:restore_users { 7 } end,
    ["tokens revoked before no time"] = function(client) local _ = client:revoke_tokens "yesterday" end,
    ["tokens of nobody"] = function(client) local _ = client:revoke_user_tokens({}) end,
    ["tokens of users before a number"] = function(client) local _ = client:revoke_user_tokens("a", 5) end,
    ["limits of no endpoint"] = function(client) local _ = client:rate_limits { endpoints = { 7 } } end,
    ["limits of an unknown platform"] = function(client) local _ = client:rate_limits { amiga = true } end,
    ["a hook without a URL"] = function(client) local _ = client:add_event_hook {} end,
    ["a hook that is a URL"] = function(client) local _ = client:add_event_hook "http://x/" end,
    ["a hook with types that are none"] = function(client)
      local _ = client:add_event_hook { webhook_url = "http://x/", event_types = "x" }
    end,
    ["a hook whose id changes"] = function(client) local _ = client:update_event_hook("a", { id = "b" }) end,
    ["a hook without an id"] = function(client) local _ = client:remove_event_hook() end,
    ["a channel's data that is none"] = function(client) local _ = client:channel("a", "b"):update "x" end,
    ["a channel's fields that are none"] = function(client)
      local _ = client:channel("a", "b"):update_partial(7)
    end,
    ["a channel's fields to take away that are none"] = function(client)
      local _ = client:channel("a", "b"):update_partial({}, { 7 })
    end,
    ["a role for nobody"] = function(client) local _ = client:channel("a", "b"):assign_role({}, "x") end,
    ["no role for a member"] = function(client) local _ = client:channel("a", "b"):assign_role("x") end,
    ["overrides that are none"] = function(client)
      local _ = client:channel("a", "b"):set_grant_overrides "x"
    end,
    ["overrides of one role that are none"] = function(client)
      local _ = client:channel("a", "b"):set_grant_overrides { user = "x" }
    end,
    ["a callback that is none"] = function(client) local _ = client:create_role("x", 7) end,
    ["a callback behind options that is none"] = function(client) local _ = client:ban_user("x", {}, 7) end,
  } do
    it("raises on " .. name, function()
      local fake, client = backend()
      local ok, message = pcall(call, client)
      assert.is_false(ok)
      assert.truthy(message:find("client_admin_spec", 1, true), "blames the caller: " .. message)
      assert.same({}, fake.requests)
    end)
  end
end)
