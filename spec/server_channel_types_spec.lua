--- Channel types and the app: settings, partial changes, refusals that change nothing.
local models = require "support.models"
local native = require "stream_events.native"

local json = models.json

describe("stream_events.server.channel_types", function()
  local m

  before_each(function() m = models.new() end)
  after_each(function() m.store:close() end)

  local function get(name)
    local status, answer = m:request("server", "GET", "/channeltypes/" .. name)
    answer.duration = nil
    return status, answer
  end

  local function everything()
    local _, answer = m:request("server", "GET", "/channeltypes")
    return answer.channel_types
  end

  describe("GET /channeltypes", function()
    it("lists the five built-in types", function()
      local status, answer = m:request("server", "GET", "/channeltypes")
      assert.equal(200, status)
      assert.matches("^%d+%.%d%dms$", answer.duration)
      local names = {}
      for name, config in pairs(answer.channel_types) do
        names[#names + 1] = name
        assert.equal(name, config.name)
      end
      table.sort(names)
      assert.same({ "commerce", "gaming", "livestream", "messaging", "team" }, names)
    end)

    it("gives one type with the protocol's defaults", function()
      local status, config = get "messaging"
      assert.equal(200, status)
      for _, name in ipairs {
        "custom_events", "typing_events", "read_events", "connect_events", "delivery_events",
        "reactions", "replies", "quotes", "search", "mutes", "uploads", "url_enrichment",
        "push_notifications",
      } do
        assert.is_true(config[name], name)
      end
      for _, name in ipairs {
        "polls", "shared_locations", "count_messages", "user_message_reminders",
        "mark_messages_pending", "skip_last_msg_update_for_system_msgs",
      } do
        assert.is_false(config[name], name)
      end
      assert.equal(5000, config.max_message_length)
      assert.equal("infinite", config.message_retention)
      assert.equal("disabled", config.automod)
      assert.equal("flag", config.automod_behavior)
      assert.equal("flag", config.blocklist_behavior)
      assert.equal("giphy", config.commands[1].name)
      assert.same({ "read-channel", "send-custom-event", "join-channel", "leave-channel" },
        config.grants.channel_member)
      assert.equal("2026-01-01T00:00:00Z", config.created_at)
      assert.equal(native.json.array_mt, getmetatable(config.permissions))
    end)

    it("has fewer events on for livestream, custom events among those that are", function()
      local _, config = get "livestream"
      assert.same({ false, false, false, true },
        { config.typing_events, config.read_events, config.url_enrichment, config.custom_events })
    end)

    it("knows no others", function()
      for _, name in ipairs { "nope", "__index", "%2e%2e" } do
        local status, answer = get(name)
        assert.equal(404, status)
        assert.equal(16, answer.code)
      end
    end)
  end)

  describe("PUT /channeltypes/{name}", function()
    local function put(name, body) return m:request("server", "PUT", "/channeltypes/" .. name, body) end

    it("switches custom events off at once, and changes nothing else", function()
      local _, before = get "messaging"
      m.clock = m.clock + 1.5
      local status, answer = put("messaging", '{"custom_events":false}')
      assert.equal(201, status)
      answer.duration = nil
      before.custom_events, before.updated_at = false, "2026-01-01T00:00:01.5Z"
      assert.same(before, answer)
      assert.is_false(m.channel_types:config("messaging").custom_events)
      assert.is_true(m.channel_types:config("team").custom_events)
      local _, after = get "messaging"
      assert.same(before, after)
    end)

    it("is remembered over a restart", function()
      put("messaging", '{"custom_events":false,"commands":["giphy"],"grants":{"user":[]},"blocklist":"x"}')
      local _, before = get "messaging"
      m = m:restart()
      local _, after = get "messaging"
      assert.same(before, after)
      assert.equal(native.json.array_mt, getmetatable(after.grants.user))
    end)

    it("takes every setting", function()
      local body = json [[{"typing_events":false,"read_events":false,"connect_events":false,
        "delivery_events":false,"reactions":false,"replies":false,"quotes":false,"search":false,
        "mutes":false,"uploads":false,"url_enrichment":false,"push_notifications":false,"polls":true,
        "shared_locations":true,"count_messages":true,"user_message_reminders":true,"reminders":true,
        "mark_messages_pending":true,"skip_last_msg_update_for_system_msgs":true,
        "max_message_length":20000,"message_retention":"24","automod":"simple",
        "automod_behavior":"block","blocklist":"b","blocklists":[{"blocklist":"b","behavior":"flag"}],
        "blocklist_behavior":"block","push_level":"all","partition_size":5,"partition_ttl":"24h",
        "chat_preferences":{"a":1},"allowed_flag_reasons":["spam"]}]]
      local status, answer = put("team", body)
      assert.equal(201, status, answer.message)
      for name, value in pairs(body) do assert.same(value, answer[name], name) end
    end)

    it("takes away with null what can be absent", function()
      put("team", '{"blocklist":"b","push_level":"all"}')
      local _, answer = put("team", '{"blocklist":null,"permissions":null}')
      assert.is_nil(answer.blocklist)
      assert.equal("all", answer.push_level)
    end)

    for name, case in pairs {
      ["a set of commands"] = { '["fun_set"]', { "giphy" } },
      ["no commands"] = { "[]", {} },
      ["all commands"] = { '["all"]', { "giphy", "flag", "ban", "unban", "mute", "unmute" } },
      ["commands out of order and twice"] = { '["ban","giphy","ban"]', { "giphy", "ban" } },
    } do
      it("takes " .. name, function()
        local _, answer = put("team", '{"commands":' .. case[1] .. "}")
        local names = {}
        for i, command in ipairs(answer.commands) do names[i] = command.name end
        assert.same(case[2], names)
        assert.equal(native.json.array_mt, getmetatable(answer.commands))
      end)
    end

    for name, body in pairs {
      ["an unknown field"] = '{"custom_event":false}',
      ["a field of Lua's tables"] = '{"__index":true,"__newindex":{"custom_events":false}}',
    } do
      it("ignores " .. name, function()
        local before = everything()
        assert.equal(201, (put("messaging", body)))
        local after = everything()
        before.messaging.updated_at, after.messaging.updated_at = nil, nil
        assert.same(before, after)
      end)
    end

    for name, case in pairs {
      ["name in the body"] = { '{"name":"x"}', "name" },
      ["updated_at in the body"] = { '{"updated_at":"2026-01-01T00:00:00Z"}', "updated_at" },
      ["created_at in the body"] = { '{"created_at":"2026-01-01T00:00:00Z"}', "created_at" },
      ["a text for a switch"] = { '{"custom_events":"false"}', "custom_events must be true or false" },
      ["a number for a switch"] = { '{"custom_events":0}', "true or false" },
      ["null for a switch"] = { '{"custom_events":null}', "true or false" },
      ["an unknown command"] = { '{"commands":["dance"]}', 'unknown command "dance"' },
      ["a command that is no text"] = { '{"commands":[1]}', "unknown command" },
      ["commands that are no list"] = { '{"commands":"all"}', "must be a list" },
      ["too long messages"] = { '{"max_message_length":20001}', "from 1 to 20000" },
      ["half a character"] = { '{"max_message_length":1.5}', "whole number" },
      ["no message at all"] = { '{"max_message_length":0}', "from 1" },
      ["an unknown automod"] = { '{"automod":"on"}', '"disabled" or' },
      ["an unknown blocklist behavior"] = { '{"blocklists":[{"blocklist":"a","behavior":"x"}]}', "behavior" },
      ["a wrong retention"] = { '{"message_retention":"soon"}', "infinite" },
      ["flag reasons that are no texts"] = { '{"allowed_flag_reasons":[1]}', "list of texts" },
      ["preferences that are nested too deep to be shown"] =
        { '{"chat_preferences":' .. ('{"a":'):rep(17) .. "1" .. ("}"):rep(18), "nested more than 16 deep" },
      ["preferences over 5 KB"] =
        { '{"chat_preferences":{"a":"' .. ("x"):rep(5200) .. '"}}', "5120 are allowed" },
      ["legacy policies"] = { '{"permissions":[{"name":"x"}]}', "use grants" },
      ["wrong grants"] = { '{"grants":{"user":["fly"]}}', 'unknown permission "fly"' },
      ["a good field beside a bad one"] = { '{"custom_events":false,"automod":1}', "automod" },
      ["a list"] = { "[]", "JSON object" },
      ["a half object"] = { '{"custom_events":', "not valid JSON" },
    } do
      it("refuses " .. name .. " and changes nothing", function()
        local before = everything()
        local status, answer = put("messaging", case[1])
        assert.equal(400, status)
        assert.equal(4, answer.code)
        assert.matches("UpdateChannelType failed with error", answer.message, 1, true)
        assert.matches(case[2], answer.message, 1, true)
        assert.same(before, everything())
        assert.same(before, (function() m = m:restart() return everything() end)())
      end)
    end

    it("refuses a type that does not exist", function()
      local status, answer = put("nope", "{}")
      assert.same({ 404, 16 }, { status, answer.code })
    end)
  end)

  describe("POST /channeltypes", function()
    local function post(body) return m:request("server", "POST", "/channeltypes", body) end

    it("makes a type with the defaults for what is not given", function()
      local status, answer = post '{"name":"lobby","commands":["all"],"polls":true}'
      assert.equal(201, status)
      assert.same({ "lobby", true, true, 6 },
        { answer.name, answer.custom_events, answer.polls, #answer.commands })
      assert.equal(200, (get "lobby"))
      m = m:restart()
      assert.equal(200, (get "lobby"))
    end)

    it("keeps custom events off where a client says so", function()
      local _, answer = post '{"name":"quiet","custom_events":false}'
      assert.is_false(answer.custom_events)
    end)

    for name, body in pairs {
      ["no name"] = "{}",
      ["a name with bad characters"] = '{"name":"a:b"}',
      ["a name that is too long"] = '{"name":"' .. ("a"):rep(65) .. '"}',
      ["a name that is no text"] = '{"name":7}',
      ["an existing name"] = '{"name":"messaging"}',
      ["a wrong setting"] = '{"name":"lobby","polls":"yes"}',
      ["a time of its own"] = '{"name":"lobby","created_at":"2026-01-01T00:00:00Z"}',
    } do
      it("refuses " .. name, function()
        local before = everything()
        local status, answer = post(body)
        assert.same({ 400, 4 }, { status, answer.code })
        assert.same(before, everything())
      end)
    end

    it("says that the name is missing", function()
      local _, answer = post "{}"
      assert.matches("name is a required field", answer.message, 1, true)
    end)

    it("stops at 50 types", function()
      for i = 6, 50 do assert.equal(201, (post { name = "type" .. i })) end
      local status, answer = post { name = "type51" }
      assert.equal(400, status)
      assert.matches("50 channel types", answer.message)
    end)
  end)

  describe("DELETE /channeltypes/{name}", function()
    local function delete(name) return m:request("server", "DELETE", "/channeltypes/" .. name) end

    it("removes a type", function()
      m:request("server", "POST", "/channeltypes", { name = "lobby" })
      assert.equal(200, (delete "lobby"))
      assert.equal(404, (get "lobby"))
      assert.equal(404, (delete "lobby"))
      m = m:restart()
      assert.equal(404, (get "lobby"))
    end)

    it("refuses while there are channels of it", function()
      m.used_types.messaging = true
      local status, answer = delete "messaging"
      assert.same({ 400, 4 }, { status, answer.code })
      assert.equal(200, (get "messaging"))
    end)
  end)

  describe("callers without a server token", function()
    for _, who in ipairs { "alice", false } do
      for _, call in ipairs {
        { "GET", "/channeltypes" }, { "GET", "/channeltypes/messaging" }, { "POST", "/channeltypes" },
        { "PUT", "/channeltypes/messaging" }, { "DELETE", "/channeltypes/messaging" },
        { "PATCH", "/app" },
      } do
        it(("get 403: %s, %s %s"):format(who or "anonymous", call[1], call[2]), function()
          assert(m.users:connect("alice"))
          local before = everything()
          local status, answer = m:request(who or nil, call[1], call[2], '{"custom_events":false}')
          assert.same({ 403, 17 }, { status, answer.code })
          assert.same(before, everything())
        end)
      end
    end
  end)

  describe("config", function()
    it("is the type's with what a channel overrides", function()
      local overrides = assert(m.channel_types:check_overrides(json
        '{"typing_events":false,"commands":["ban"],"blocklist":null,"grants":{"user":["!read-channel"]}}'))
      local config = m.channel_types:config("messaging", overrides)
      assert.is_false(config.typing_events)
      assert.equal("ban", config.commands[1].name)
      assert.same({ user = { "!read-channel" } }, config.grants)
      assert.is_true(m.channel_types:config("messaging").typing_events)
      assert.is_nil(m.channel_types:config("messaging").grants)
    end)

    it("is nothing for a type that does not exist", function()
      assert.is_nil(m.channel_types:config "nope")
    end)

    for name, overrides in pairs {
      ["custom_events"] = '{"custom_events":false}',
      ["a wrong value"] = '{"typing_events":1}',
      ["wrong grants"] = '{"grants":{"user":["!fly"]}}',
      ["a list"] = "[]",
    } do
      it("has no override for " .. name, function()
        local checked, failure = m.channel_types:check_overrides(json(overrides))
        assert.is_nil(checked)
        assert.equal(4, failure.code)
      end)
    end
  end)
end)

describe("stream_events.server.app", function()
  local app = require "stream_events.server.app"
  local store = require "stream_events.server.store"
  local m

  before_each(function() m = models.new() end)
  after_each(function() m.store:close() end)

  local function get(as)
    local status, answer = m:request(as, "GET", "/app")
    assert.equal(200, status)
    return answer.app
  end

  describe("GET /app", function()
    it("shows a backend the settings and the channel types", function()
      local found = get "server"
      assert.same({ false, false, false, "v2", false, false }, {
        found.disable_auth_checks, found.disable_permissions_checks,
        found.guest_user_creation_disabled, found.permission_version, found.multi_tenant_enabled,
        found.suspended,
      })
      assert.is_true(found.channel_configs.messaging.custom_events)
      assert.same({ "flag-user", "mute-user", "search-user", "update-user-owner" }, found.grants.user)
      assert.equal(native.json.null, found.revoke_tokens_issued_before)
    end)

    it("shows everybody else only what is public, and nobody key or secret", function()
      assert(m.users:connect "alice")
      for _, who in ipairs { "alice", false } do
        local names = {}
        for name in pairs(get(who or nil)) do names[#names + 1] = name end
        table.sort(names)
        assert.same({
          "async_url_enrich_enabled", "auto_translation_enabled", "file_upload_config", "id",
          "image_upload_config", "name", "placement",
        }, names)
      end
      assert.is_nil(native.json.encode(get "server"):find(models.SECRET, 1, true))
    end)
  end)

  describe("PATCH /app", function()
    local function patch(body) return m:request("server", "PATCH", "/app", body) end

    it("changes the given settings only, at once and for good", function()
      assert.equal(200, (patch '{"name":"Chess","disable_permissions_checks":true}'))
      assert.equal(200, (patch
        '{"grants":{"guest":[]},"revoke_tokens_issued_before":"2026-01-01T00:00:00Z"}'))
      m = m:restart()
      local found = get "server"
      assert.same({ "Chess", true, false, "2026-01-01T00:00:00Z", {} }, {
        found.name, found.disable_permissions_checks, found.disable_auth_checks,
        found.revoke_tokens_issued_before, found.grants.guest,
      })
      assert.equal("search-user", found.grants.user[3])
      assert.equal(200, (patch '{"revoke_tokens_issued_before":null,"grants":null}'))
      found = get "server"
      assert.equal(native.json.null, found.revoke_tokens_issued_before)
      assert.equal(4, #found.grants.guest)
    end)

    for name, body in pairs {
      ["an unknown field"] = '{"colour":"red"}',
      ["what this server has not got"] = '{"custom_action_handler_url":"http://x"}',
      ["the key"] = '{"api_key":"x","api_secret":"y"}',
    } do
      it("ignores " .. name, function()
        local before = get "server"
        assert.equal(200, (patch(body)))
        assert.same(before, get "server")
      end)
    end

    for name, case in pairs {
      ["a text for a switch"] = { '{"disable_auth_checks":"yes"}', "true or false" },
      ["null for a switch"] = { '{"disable_auth_checks":null}', "true or false" },
      ["a wrong date"] = { '{"revoke_tokens_issued_before":"yesterday"}', "RFC 3339" },
      ["a name that is too long"] = { { name = ("x"):rep(256) }, "255 bytes" },
      ["many tenants"] = { '{"multi_tenant_enabled":true}', "can only be false" },
      ["no service at all"] = { '{"suspended":true}', "can only be false" },
      ["old permissions"] = { '{"permission_version":"v1"}', 'can only be "v2"' },
      ["wrong grants"] = { '{"grants":{"user":["fly"]}}', "unknown permission" },
      ["a good field beside a bad one"] = { '{"name":"x","disable_auth_checks":1}', "true or false" },
    } do
      it("refuses " .. name .. " and changes nothing", function()
        local before = get "server"
        local status, answer = patch(case[1])
        assert.same({ 400, 4 }, { status, answer.code })
        assert.matches(case[2], answer.message, 1, true)
        assert.same(before, get "server")
      end)
    end
  end)

  describe("key and secret", function()
    it("are made up once and kept with the data", function()
      local database = assert(store.open ":memory:")
      local first = app.new(database, {})
      assert.matches("^%x+$", first.api_key)
      assert.equal(64, #first.api_secret)
      local second = app.new(database, {})
      assert.same({ first.api_key, first.api_secret }, { second.api_key, second.api_secret })
      local other = app.new(assert(store.open ":memory:"), {})
      assert.not_equal(first.api_secret, other.api_secret)
    end)

    it("are the given ones, which are not stored", function()
      local database = assert(store.open ":memory:")
      local given = app.new(database, { api_key = "k", api_secret = "s" })
      assert.same({ "k", "s" }, { given.api_key, given.api_secret })
      assert.not_equal("s", app.new(database, {}).api_secret)
    end)
  end)
end)
