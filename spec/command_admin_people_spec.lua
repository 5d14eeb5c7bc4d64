--- `stream-events admin` about people: roles, permissions, bans, users who are locked out or gone; limits.
local admin = require "support.admin"
local command = require "support.command"
local native = require "stream_events.native"
local stream_events = require "stream_events"
local token = require "stream_events.token"

local ask, refused, run = admin.ask, admin.refused, admin.run

-- Whether a user can connect.
local function connects(id)
  local client = stream_events.new { api_key = "devkey", base_url = admin.base_url }
  local me = client:connect_user({ id = id }, token.user(admin.SECRET, id))
  client:close()
  return me ~= nil
end

local function is_banned(id)
  return assert(admin.backend:query_users { id = id })[1].banned
end

describe("stream-events admin", function()
  setup(function()
    admin.start()
    for _, id in ipairs { "owner", "eve", "mal" } do admin.user(id) end
    admin.channel("messaging:general", "owner", { members = { "eve" } })
  end)
  teardown(admin.stop)

  describe("roles", function()
    it("are created, listed and deleted", function()
      local made = ask "roles create referee"
      assert.same({ "referee", true }, { made.name, made.custom })
      assert.same({ "referee" }, (function()
        local custom = {}
        for _, role in ipairs(ask "roles list") do
          if role.custom then custom[#custom + 1] = role.name end
        end
        return custom
      end)())
      assert.equal("referee", ask("roles list refe")[1].name)
      ask "grants add messaging referee read-channel"
      local text = run("roles list").stdout
      assert.truthy(text:find "\nreferee +custom +messaging\n", text)
      assert.truthy(text:find "\nuser +built in +", text)
      assert.truthy(refused("roles delete referee --yes", 1):find("users list role=NAME", 1, true))
      ask "grants set messaging referee --none --yes"
      assert.same({ name = "referee", deleted = true }, ask "roles delete referee --yes")
      assert.truthy(refused("roles delete referee --yes", 1):find("roles list", 1, true))
      assert.truthy(refused("roles create user", 1):find("roles list", 1, true))
    end)

    it("can be given to users once they are there", function()
      local text = refused("users set eve --role juggler", 1)
      assert.truthy(text:find("roles list", 1, true), text)
      ask "roles create juggler"
      assert.equal("juggler", ask("users set eve --role juggler").role)
      ask "users set eve --role user"
    end)
  end)

  describe("permissions", function()
    it("are created, changed, shown, listed and deleted", function()
      local made = ask { "permissions", "create", "peek", "name=Peek", "action=ReadChannel" }
      assert.same({ "peek", "ReadChannel", true }, { made.id, made.action, made.custom })
      assert.equal("Look", ask("permissions set peek name=Look").name)
      assert.equal("Look", ask("permissions show peek").name)
      assert.truthy(run("permissions show peek").stdout:find "^id +peek\nname +Look\n")
      local found = ask "permissions list send-custom-event"
      assert.truthy(#found >= 2)
      for _, permission in ipairs(found) do
        assert.truthy(permission.id:find("send-custom-event", 1, true))
      end
      assert.truthy(#ask "permissions list" > #found)
      assert.truthy(run("permissions list peek").stdout:find "\npeek +channel +ReadChannel +custom\n")
      assert.same({ id = "peek", deleted = true }, ask "permissions delete peek --yes")
      assert.truthy(refused("permissions show peek", 1):find("permissions list", 1, true))
      refused("permissions delete read-channel --yes", 1)
    end)
  end)

  describe("users", function()
    it("are banned in a channel for a time, and everywhere; each ban is ended by itself", function()
      local made = ask "users ban eve --channel messaging:general --timeout 2h --reason spam --by owner"
      assert.same({
        id = "eve", banned = true, channel = "messaging:general", timeout = 120, reason = "spam",
      }, made)
      assert.is_true(ask("channels show messaging:general").members[1].banned)
      assert.is_false(is_banned "eve")
      local text = run("users ban eve").stdout
      assert.truthy(text:find "^banned +eve\nwhere +everywhere\nhow long +until it is ended\n", text)
      assert.is_true(is_banned "eve")
      local listed = ask "users bans eve"
      assert.same({ 2, "messaging:general", "spam" }, { #listed, listed[2].channel.cid, listed[2].reason })
      text = run("users bans").stdout
      assert.truthy(text:find "\neve +everywhere\neve +messaging:general +20[%d:TZ.-]+ +owner +spam\n", text)
      assert.equal(1, #ask "users bans --channel messaging:general --sort created_at")
      assert.truthy(refused("users bans --channel messaging:nowhere", 1):find("channels list", 1, true))
      assert.truthy(run("users list id=eve").stdout:find "\neve +user +banned")
      assert.same({ id = "eve", banned = false }, ask "users unban eve")
      assert.is_false(is_banned "eve")
      ask "users unban eve --channel messaging:general"
      assert.is_false(ask("channels show messaging:general").members[1].banned)
      assert.is_true(ask("users ban eve --channel messaging:general --shadow").shadow)
      assert.is_true(ask("channels show messaging:general").members[1].shadow_banned)
      ask "users unban eve --channel messaging:general"
      text = refused("users ban nobody", 1)
      assert.truthy(text:find("users show nobody", 1, true), text)
      refused("users ban eve --channel messaging:nowhere", 1)
    end)

    it("are locked out and let in", function()
      assert.equal("mal", ask("users deactivate mal --yes").id)
      assert.is_false(connects "mal")
      assert.is_string(ask("users show mal").deactivated_at)
      assert.same({}, ask "users list id=mal")
      assert.truthy(run("users list id=mal --deactivated").stdout:find "\nmal +user +deactivated")
      assert.equal("mal", ask("users reactivate mal").id)
      assert.is_true(connects "mal")
      refused("users deactivate nobody --yes", 1)
    end)

    it("are deleted, restored, and deleted for good", function()
      local gone = ask "users delete mal --yes"
      assert.same({ { "mal" }, "soft" }, { gone.user_ids, gone.deleted })
      assert.is_string(gone.task_id)
      assert.is_false(connects "mal")
      assert.same({ user_ids = { "mal" }, restored = true }, ask "users restore mal")
      assert.is_true(connects "mal")
      assert.equal("hard", ask("users delete mal --hard --yes").deleted)
      assert.is_false(connects "mal")
      refused("users restore mal", 1)
      assert.truthy(refused("users delete nobody --yes", 1):find("users show nobody", 1, true))
    end)
  end)

  describe("rate-limits", function()
    it("says that there are none, and how to have some", function()
      local child = run "rate-limits"
      assert.same({ 0, "" }, { child.code, child.stdout })
      assert.truthy(child.stderr:find("serve --rate-limits hosted", 1, true), child.stderr)
    end)

    it("are shown by platform and endpoint", function()
      local _, url = command.serve { "--rate-limits", "hosted" }
      local there = { STREAM_BASE_URL = url }
      local line = "rate-limits --platform web --platform server_side --endpoints SendEvent,Connect --json"
      local child = run(line, there)
      local limits = native.json.decode(child.stdout)
      assert.same({ 10000, 10000 }, { limits.web.SendEvent.limit, limits.server_side.Connect.limit })
      assert.is_nil(limits.ios)
      child = run("rate-limits --endpoints SendEvent", there)
      local text = child.stdout
      assert.truthy(text:find "^PLATFORM +ENDPOINT +LIMIT +LEFT +FULL AGAIN\n", text)
      assert.truthy(text:find "\nserver_side +SendEvent +10000 +10000 +%d%d%d%d%-%d%d%-%d%dT", text)
    end)
  end)
end)
