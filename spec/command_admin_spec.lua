--- `stream-events admin`, run as people run it: what each command does on a real server.
local admin = require "support.admin"
local native = require "stream_events.native"
local stream_events = require "stream_events"
local token = require "stream_events.token"

local ask, refused, run = admin.ask, admin.refused, admin.run
local channel, user = admin.channel, admin.user

describe("stream-events admin", function()
  setup(admin.start)
  teardown(admin.stop)

  describe("channel-types", function()
    it("creates, changes, shows and deletes one", function()
      local made = ask "channel-types create lan typing_events:=false"
      assert.same({ "lan", true, false }, { made.name, made.custom_events, made.typing_events })
      local changed = ask "channel-types set lan max_message_length:=500 typing_events:=true"
      assert.same({ 500, true }, { changed.max_message_length, changed.typing_events })
      assert.same({ "commerce", "gaming", "lan", "livestream", "messaging", "team" }, (function()
        local names = {}
        for i, each in ipairs(ask "channel-types list") do names[i] = each.name end
        return names
      end)())
      assert.is_false(ask("channel-types custom-events off lan").custom_events)
      assert.is_false(ask("channel-types show lan").custom_events)
      assert.is_true(ask("channel-types custom-events on lan").custom_events)
      assert.same({ name = "lan", deleted = true }, ask "channel-types delete lan --yes")
      assert.truthy(refused("channel-types show lan", 1):find("channel-types list", 1, true))
      assert.truthy(refused("channel-types create team", 1):find("channel-types set team", 1, true))
    end)

    it("shows people what programs get", function()
      local text = run("channel-types list").stdout
      assert.truthy(text:find "^NAME +CUSTOM EVENTS +TYPING", text)
      assert.truthy(text:find "\nlivestream +on +off +on ", text)
      text = run("channel-types show livestream").stdout
      assert.truthy(text:find "^name +livestream\ncustom_events +yes\n", text)
      assert.truthy(text:find "\nguest +read%-channel\n", text)
      assert.equal("gaming: custom events are on\n", run("channel-types custom-events on gaming").stdout)
    end)

    it("says how other values are written where a text was none", function()
      local slip = refused("channel-types set team custom_event:=false", 1)
      assert.truthy(slip:find("mean custom_events?", 1, true))
      local text = refused("channel-types set team custom_events=false", 1)
      assert.truthy(text:find("key:=value", 1, true), text)
      assert.is_true(ask("channel-types show team").custom_events)
    end)

    it("says whose channels are in the way", function()
      ask "channel-types create crowded"
      user "ann"
      channel("crowded:one", "ann")
      assert.truthy(refused("channel-types delete crowded --yes", 1):find("type=crowded", 1, true))
    end)
  end)

  describe("grants", function()
    it("are set, added, removed, shown and reset", function()
      ask "channel-types create granted"
      local line = "grants set granted guest read-channel"
      assert.same({ scope = "granted", role = "guest", permissions = { "read-channel" } }, ask(line))
      assert.same({ "read-channel", "send-custom-event" },
        ask("grants add granted guest send-custom-event").permissions)
      assert.same({ "send-custom-event" }, ask("grants remove granted guest read-channel").permissions)
      assert.same({ "send-custom-event" }, ask "grants show granted --role guest")
      refused("grants set granted guest --none", 2) -- asks
      assert.same({ "send-custom-event" }, ask "grants show granted --role guest")
      local _, text = ask "grants set granted guest --none --yes"
      assert.truthy(text:find('"permissions":[]', 1, true), text)
      assert.same({ "read-channel" }, ask("grants set granted anonymous read-channel").permissions)
      assert.same({ scope = "granted", reset = true }, ask "grants reset granted --yes")
      assert.is_nil(ask("grants show granted").anonymous)
    end)

    it("of the app are changed, too", function()
      assert.same({ "search-user" }, ask("grants set .app guest search-user").permissions)
      assert.same({ "search-user" }, ask "grants show .app --role guest")
      ask "grants reset .app --yes"
    end)

    it("show people a role a line", function()
      assert.truthy(run("grants show livestream").stdout:find "\nguest +read%-channel\n")
      assert.equal("guest  read-channel\n", run("grants show livestream --role guest").stdout)
    end)

    it("say where to look for what is not there", function()
      assert.truthy(refused("grants add messaging user fly", 1):find("permissions list", 1, true))
      assert.truthy(refused("grants add nowhere user read-channel", 1):find("channel-types list", 1, true))
    end)
  end)

  describe("users", function()
    it("are created, changed and shown", function()
      local made = ask {
        "users", "create", "john", "--name", "John Doe", "--role", "moderator", "level:=3", "x=y",
      }
      assert.same({ "john", "John Doe", "moderator", 3, "y" },
        { made.id, made.name, made.role, made.level, made.x })
      local changed, text = ask { "users", "set", "john", "name=Johnny", "--unset", "x", "--role", "user" }
      assert.same({ "Johnny", "user", 3 }, { changed.name, changed.role, changed.level })
      assert.is_nil(changed.x)
      assert.truthy(text:find('"teams":[]', 1, true), text)
      assert.equal("Johnny", ask("users show john").name)
      assert.truthy(run("users show john").stdout:find "^id +john\nname +Johnny\nrole +user\n")
    end)

    it("are not replaced by creating them again", function()
      user("jane", { name = "Jane" })
      assert.truthy(refused("users create jane", 1):find("users set jane", 1, true))
      assert.equal("Jane", ask("users show jane").name)
    end)

    it("are found by their fields, in an order, in pages", function()
      for i, name in ipairs { "c", "a", "b" } do user("found_" .. name, { club = "x", n = i }) end
      local function ids(line)
        local found = {}
        for i, each in ipairs(ask(line)) do found[i] = each.id end
        return found
      end
      assert.same({ "found_a", "found_b", "found_c" }, ids "users list club=x --sort id")
      assert.same({ "found_b", "found_a" }, ids "users list club=x --sort n:desc --limit 2")
      assert.same({ "found_c" }, ids "users list club=x --sort id:asc --offset 2")
      assert.same({ "found_c", "found_a" }, ids 'users list club=x n:={"$lt":3} --sort n')
      assert.same({}, ids "users list club=x --role admin")
      local child = run "users list club=nowhere"
      assert.same({ 0, "", "there are no such users\n" }, { child.code, child.stdout, child.stderr })
    end)

    it("that are not there can be made", function()
      for _, line in ipairs { "users show nobody", "users set nobody name=x" } do
        local text = refused(line, 1)
        assert.truthy(text:find("code 16, HTTP 404", 1, true), text)
        assert.truthy(text:find("users create nobody", 1, true), text)
      end
    end)

    it("get tokens, without a server", function()
      local child = run("users token john", { STREAM_BASE_URL = "http://127.0.0.1:1" })
      assert.equal(token.user(admin.SECRET, "john") .. "\n", child.stdout)
      assert.is_table(token.verify(ask("users token john --exp 60").token, admin.SECRET))
    end)

    it("have their tokens revoked, and accepted again", function()
      user "eve"
      local answer = ask "users revoke-tokens eve --yes --before 2026-01-01T00:00:00Z"
      assert.same({ user_ids = { "eve" }, revoke_tokens_issued_before = "2026-01-01T00:00:00Z" }, answer)
      local client = stream_events.new { api_key = "devkey", base_url = admin.base_url }
      local old = token.user(admin.SECRET, "eve", { iat = 1700000000 })
      local me, err = client:connect_user({ id = "eve" }, old)
      assert.same({ nil, "auth" }, { me, err.kind })
      assert.equal(native.json.null, ask("users revoke-tokens eve --undo").revoke_tokens_issued_before)
      assert.is_table(client:connect_user({ id = "eve" }, old))
      client:close()
    end)
  end)

  describe("channels", function()
    setup(function()
      for _, id in ipairs { "owner", "ann", "bob" } do user(id) end
    end)

    it("are created with members, changed and shown", function()
      local made = ask "channels create messaging:made --by owner --member ann --member bob name=Made n:=1"
      assert.same({ "messaging:made", "Made", 1, 2, "owner" },
        { made.cid, made.name, made.n, made.member_count, made.created_by.id })
      assert.same({ "ann", "bob" }, { made.members[1].user_id, made.members[2].user_id })
      local changed = ask "channels set messaging:made name=New --unset n"
      assert.equal("New", changed.name)
      assert.is_nil(changed.n)
      local shown = ask "channels show messaging:made"
      assert.same({ "New", true, 2 }, { shown.name, shown.config.custom_events, #shown.members })
      local text = run("channels show messaging:made").stdout
      assert.truthy(text:find "^cid +messaging:made\nname +New\n", text)
      assert.truthy(text:find "\nann +channel_member +user", text)
    end)

    it("are neither made by a look at them nor made twice", function()
      assert.truthy(refused("channels show messaging:missing", 1):find("channels create", 1, true))
      assert.truthy(refused("channels show messaging:missing", 1):find("code 16", 1, true))
      channel("messaging:there", "owner")
      local text = refused("channels create messaging:there --by ann", 1)
      assert.truthy(text:find("channels set messaging:there", 1, true), text)
    end)

    it("say how to make the users they need", function()
      local text = refused("channels create messaging:new --by stranger", 1)
      assert.truthy(text:find("users create ID", 1, true), text)
      text = refused("channels create nowhere:new --by ann", 1)
      assert.truthy(text:find("channel-types list", 1, true), text)
    end)

    it("are found by their fields and members", function()
      channel("team:a", "owner", { members = { "ann" }, topic = "x" })
      channel("team:b", "owner", { members = { "bob" }, topic = "x" })
      local function cids(line)
        local found = {}
        for i, each in ipairs(ask(line)) do found[i] = each.cid end
        return found
      end
      assert.same({ "team:a", "team:b" }, cids "channels list type=team --sort cid")
      assert.same({ "team:b" }, cids "channels list topic=x --member bob")
      assert.same({ "team:a" }, cids "channels list topic=x --sort cid --limit 1")
      local text = run("channels list topic=x --sort cid").stdout
      assert.truthy(text:find "^CID +NAME +MEMBERS.-\nteam:a +1 ", text)
    end)

    it("gain and lose members, and these get roles", function()
      channel("messaging:club", "owner", { members = { "ann" } })
      local function roles(line)
        local found = {}
        for _, member in ipairs(ask(line).members) do found[member.user_id] = member.channel_role end
        return found
      end
      assert.same({ ann = "channel_member", bob = "channel_moderator" },
        roles "channels members add messaging:club bob --role channel_moderator")
      assert.same({ ann = "channel_moderator", bob = "channel_moderator" },
        roles "channels members role messaging:club channel_moderator ann bob")
      assert.same({ bob = "channel_moderator" }, roles "channels members remove messaging:club ann")
      assert.same({ bob = "channel_moderator" }, roles "channels members list messaging:club")
      local text = refused("channels members add messaging:club stranger", 1)
      assert.truthy(text:find("users create ID", 1, true), text)
      text = refused("channels members add messaging:nowhere ann", 1)
      assert.truthy(text:find("channels list", 1, true), text)
    end)

    it("are disabled, enabled, frozen and unfrozen", function()
      channel("messaging:switched", "owner")
      for _, case in ipairs {
        { "disable", "disabled", true }, { "enable", "disabled", false }, { "freeze", "frozen", true },
        { "unfreeze", "frozen", false },
      } do
        assert.equal(case[3], ask(("channels %s messaging:switched"):format(case[1]))[case[2]])
      end
      assert.equal("frozen  messaging:switched\n", run("channels freeze messaging:switched").stdout)
    end)

    it("have grants of their own, and keep what else they override", function()
      channel("messaging:own", "owner")
      ask { "channels", "set", "messaging:own", 'config_overrides:={"typing_events":false}' }
      local line = "channels grants set messaging:own channel_member !send-custom-event"
      assert.same({ channel_member = { "!send-custom-event" } }, ask(line))
      assert.same({ channel_member = { "!send-custom-event" }, guest = { "read-channel" } },
        ask "channels grants set messaging:own guest read-channel")
      assert.same({ guest = { "read-channel" } }, ask "channels grants clear messaging:own channel_member")
      assert.equal("guest  read-channel\n", run("channels grants show messaging:own").stdout)
      assert.is_false(ask("channels show messaging:own").config.typing_events)
      assert.same({}, ask "channels grants reset messaging:own --yes")
      local config = ask("channels show messaging:own").config
      assert.same({ false, nil }, { config.typing_events, config.grants })
      local text = refused("channels grants set messaging:own guest fly", 1)
      assert.truthy(text:find("permissions list", 1, true), text)
    end)

    it("are deleted", function()
      channel("messaging:gone", "owner")
      assert.same({ cid = "messaging:gone", deleted = true }, ask "channels delete messaging:gone --yes")
      refused("channels delete messaging:gone --yes", 1)
    end)
  end)

  describe("hooks", function()
    it("are added, changed and removed one by one", function()
      local other = ask "hooks add https://other.example/ --types member.added --id other"
      local line = "hooks add https://example.com/hooks --custom-events --types a,b --types c --timeout 900"
      local made = ask(line)
      assert.same({ "https://example.com/hooks", true, true, 900, { "a", "b", "c" } },
        { made.webhook_url, made.enabled, made.should_send_custom_events, made.timeout_ms, made.event_types })
      local changed = ask(("hooks set %s --enabled off --all-types --custom-events off"):format(made.id))
      assert.same({ false, false, {}, 900 },
        { changed.enabled, changed.should_send_custom_events, changed.event_types, changed.timeout_ms })
      assert.same(other, ask "hooks show other")
      assert.same({}, ask(("hooks set %s --timeout 800"):format(made.id)).event_types)
      local all = ask "hooks add https://all.example/ --id all --disabled"
      assert.same({ {}, false, false }, { all.event_types, all.enabled, all.should_send_custom_events })
      ask "hooks remove all --yes"
      assert.equal(2, #ask "hooks list")
      local text = run("hooks list").stdout
      assert.truthy(text:find "^ID +URL +ENABLED +CUSTOM EVENTS +TYPES\n", text)
      assert.truthy(text:find "\nother +https://other.example/ +on +off +member.added\n", text)
      assert.same({ id = made.id, removed = true }, ask(("hooks remove %s --yes"):format(made.id)))
      assert.same({ other }, ask "hooks list")
      assert.truthy(refused("hooks show nobody", 1):find("hooks list", 1, true))
      assert.truthy(refused("hooks set nobody --enabled on", 1):find("hooks list", 1, true))
      assert.truthy(refused("hooks add https://x.example/ --id other", 1):find("already", 1, true))
      ask "hooks remove other --yes"
    end)

    it("can be about these types", function()
      assert.truthy(run("hooks events").stdout:find("member.added\n", 1, true))
    end)
  end)

  describe("app", function()
    it("is shown and changed", function()
      local set = ask "app set name=Arena guest_user_creation_disabled:=true"
      assert.is_true(set.guest_user_creation_disabled)
      local app = ask "app show"
      assert.same({ "Arena", true }, { app.name, app.guest_user_creation_disabled })
      local text = run("app show").stdout
      assert.truthy(text:find "\nname +Arena\n", text)
      assert.is_nil(text:find(admin.SECRET, 1, true))
      ask "app set guest_user_creation_disabled:=false"
      assert.truthy(refused("app set guest_user_creation_disabled=yes", 1):find("key:=value", 1, true))
      assert.truthy(refused("app set nothing=1", 1):find("nothing", 1, true))
    end)

    it("revokes the tokens of all, and accepts them again", function()
      assert.same({ revoke_tokens_issued_before = "2020-01-01T00:00:00Z" },
        ask "app revoke-tokens --yes --before 2020-01-01T00:00:00Z")
      assert.equal("2020-01-01T00:00:00Z", ask("app show").revoke_tokens_issued_before)
      ask "app revoke-tokens --undo"
      assert.equal(native.json.null, ask("app show").revoke_tokens_issued_before)
    end)
  end)
end)
