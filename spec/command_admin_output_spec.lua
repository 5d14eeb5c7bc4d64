--- `stream-events admin`: what it shows, what it asks, and how it fails.
local admin = require "support.admin"
local command = require "support.command"
local hooks = require "support.hook"
local luv = require "luv"
local native = require "stream_events.native"
local process = require "support.process"
local tables = require "stream_events.command.table"

local ask, refused, run, user = admin.ask, admin.refused, admin.run, admin.user

-- For programs that run the command themselves.
local function environment()
  return { STREAM_BASE_URL = admin.base_url, STREAM_API_KEY = false, STREAM_API_SECRET = false }
end

describe("stream-events admin", function()
  setup(admin.start)
  teardown(admin.stop)

  describe("called in a way that cannot work", function()
    for _, line in ipairs {
      "", "users", "users show a/b", "channel-types delete team", "users deactivate eve",
    } do
      it(("says what is wrong and ends with 2: admin %s"):format(line), function()
        local child = run(line)
        assert.same({ 2, "" }, { child.code, child.stdout })
        assert.truthy(child.stderr:find("stream-events: ", 1, true), child.stderr)
        assert.is_nil(child.stderr:find("traceback", 1, true), child.stderr)
      end)
    end

    it("says so in JSON with --json", function()
      local child = run "users ban john --timeout soon --json"
      assert.equal(2, child.code)
      local err = assert(native.json.decode(child.stderr)).error
      assert.equal("usage", err.kind)
      assert.truthy(err.message:find("soon", 1, true))
    end)

    it("tells how to go on where it would ask and cannot", function()
      local text = refused("channel-types delete team", 2)
      assert.truthy(text:find("Delete the channel type team? Say --yes", 1, true), text)
    end)
  end)

  describe("--help", function()
    for _, line in ipairs { "", "users", "users ban", "channels members add", "rate-limits" } do
      it("has examples: admin " .. line, function()
        local child = run(line .. " --help")
        assert.equal(0, child.code)
        assert.truthy(child.stdout:find("Examples:\n  stream-events admin " .. line, 1, true), child.stdout)
      end)
    end

    it("names the variables, and admin among the commands", function()
      assert.truthy(run("--help").stdout:find("STREAM_API_SECRET", 1, true))
      assert.truthy(command.run({ "--help" }).stdout:find("\n   admin ", 1, true))
    end)
  end)

  describe("without what it needs", function()
    it("says that the secret is missing", function()
      local text = refused("users list", 2, { STREAM_BASE_URL = "http://192.0.2.1", STREAM_API_KEY = "k" })
      assert.truthy(text:find("STREAM_API_SECRET is not set", 1, true), text)
    end)

    it("says that the secret is wrong, and shows none", function()
      local text = refused("users list", 1, { STREAM_API_SECRET = "not-the-secret" })
      assert.truthy(text:find("code 43, HTTP 401", 1, true), text)
      assert.truthy(text:find("STREAM_API_SECRET", 1, true))
      assert.is_nil(text:find("not-the-secret", 1, true))
      assert.is_nil(text:find("eyJ", 1, true))
    end)

    it("says that nothing listens there, with --json as JSON", function()
      local holder = assert(luv.new_tcp())
      assert(holder:bind("127.0.0.1", 0)) -- bound and not listening: nobody else gets this port
      local there = { STREAM_BASE_URL = "http://127.0.0.1:" .. holder:getsockname().port }
      assert.truthy(refused("channels list", 1, there):find("stream-events serve", 1, true))
      local child = run("hooks list --json", there)
      assert.same({ 1, "" }, { child.code, child.stdout })
      assert.equal("network", native.json.decode(child.stderr).error.kind)
      holder:close()
    end)
  end)

  describe("before a server that answers rubbish", function()
    local answers = {
      ["lists of everything but objects"] = [==[{"users":[1,"x",null,[]],"roles":[1,"x",null],
        "permissions":[true],"channels":[7],"bans":[1,"x",null],
        "events":["x"],"channel_types":{"a":1,"b":null},
        "app":{"event_hooks":[1,null,"x"],"grants":{"user":7},"name":[]},"server_side":{"SendEvent":4},
        "web":"x"}]==],
      ["objects with other values"] = [==[{"users":[{"id":{},"name":7,"role":[]}],"roles":[{"scopes":[{},1]}],
        "permissions":[{"id":4}],
        "bans":[{},{"user":7,"channel":[],"banned_by":"x","expires":{},"shadow":0}],
        "channels":[{"channel":{"type":"a","id":"b","cid":7,"config":[]}}],
        "channel":{"id":"b","type":"a","created_by":4,"config":{"grants":4}},"members":[1,{"user":3}],
        "events":[{"name":{}}],"channel_types":{"a":{"name":{}}},"grants":[],"name":[],
        "app":{"event_hooks":[{"event_types":4,"webhook_url":{}}]},"web":{"x":{"limit":"a","reset":"b"}}}]==],
      ["users that are none"] = '{"users":{"ann":7,"eve":null}}',
      ["an empty object"] = "{}", ["a list"] = "[]", ["nothing"] = "", ["a page"] = "<html>\27[2J</html>",
    }
    local some = { "users show ann", "users set ann x=y", "channels show a:b", "hooks list" }
    local all = {
      "users list", "users bans", "roles list", "permissions list a", "channels list", "channel-types list",
      "channel-types show a", "grants show a", "hooks show a", "hooks events", "app show", "rate-limits",
      some[1], some[2], some[3], some[4],
    }
    for name, body in pairs(answers) do
      it("fails in a line or shows what it can: " .. name, function()
        local server = hooks.start(hooks.answer(200, "Content-Type: application/json\r\n", body))
        local there = { STREAM_BASE_URL = server.url:gsub("/hooks$", "") }
        for _, line in ipairs(#body > 100 and all or some) do
          local child = run(line, there)
          assert.truthy(child.code == 0 or child.code == 1, line)
          assert.is_nil(child.stderr:find("traceback", 1, true), line .. ": " .. child.stderr)
          assert.is_nil((child.stdout .. child.stderr):find("\27", 1, true), line)
          if child.code == 1 then assert.truthy(child.stderr:find "^stream%-events: %w+: ", child.stderr) end
        end
        server:stop()
      end)
    end
  end)

  describe("what it writes", function()
    it("steers no terminal, whatever the server holds", function()
      user("hostile", { name = "\27[2J\27]0;owned\7", ["k\27ey"] = "a\u{9b}b\u{202E}c\nfake  row" })
      for _, line in ipairs { "users show hostile", "users list id=hostile", "users show hostile --json" } do
        local child = run(line)
        assert.equal(0, child.code)
        assert.is_nil(child.stdout:find("[^\n\32-\126]"), child.stdout)
        assert.truthy(child.stdout:find("\\u001b[2J", 1, true), child.stdout)
      end
      assert.equal(2, select(2, run("users list id=hostile").stdout:gsub("\n", "")))
      local hostile = run { "users", "show", "hostile\27[2J" }
      assert.equal(2, hostile.code)
      assert.is_nil(hostile.stderr:find("\27", 1, true))
    end)

    it("ends quietly when nobody reads any more", function()
      local line = "for i in 1 2 3; do " .. command.COMMAND .. " admin channel-types list; done | head -n 1"
      local child = process.run("sh", { "-c", line }, environment())
      assert.same({ 0, "" }, { child.code, child.stderr })
      assert.equal(1, select(2, child.stdout:gsub("\n", "")))
    end)

    it("says so when it cannot be written", function()
      local line = command.COMMAND .. " admin app show > /dev/full"
      local child = process.run("sh", { "-c", line }, environment())
      assert.equal(1, child.code)
      assert.truthy(child.stderr:find("cannot be written", 1, true), child.stderr)
    end)

    it("fits into the terminal", function()
      user("wide", { name = ("日本語"):rep(30) })
      for _, columns in ipairs { 40, 60 } do
        local text = admin.in_terminal("users list id=wide", { columns = columns })
        assert.truthy(text:find("…", 1, true), text)
        for line in text:gmatch("[^\n]+") do
          assert.truthy(tables.width(line) <= columns, line)
        end
      end
      assert.is_nil(run("users list id=wide").stdout:find("…", 1, true))
    end)

    it("is coloured in a terminal only, and not with NO_COLOR", function()
      local function coloured(env)
        return admin.in_terminal("channel-types list", { env = env }):find("\27[1m", 1, true) ~= nil
      end
      assert.is_true(coloured { TERM = "xterm" })
      assert.is_false(coloured { TERM = "xterm", NO_COLOR = "1" })
      assert.is_false(coloured { TERM = "dumb" })
      assert.is_nil(run("channel-types list", { TERM = "xterm" }).stdout:find("\27", 1, true))
    end)
  end)

  describe("before something is lost, in a terminal", function()
    for typed, deleted in pairs {
      ["y\n"] = true, ["YES\n"] = true, ["n\n"] = false, ["\n"] = false, ["yes please\n"] = false,
    } do
      it(("asks, and takes %q for %s"):format(typed, deleted and "yes" or "no"), function()
        ask "channel-types create asked"
        local text, code = admin.in_terminal("channel-types delete asked", { typed = typed })
        assert.truthy(text:find("Delete the channel type asked? [y/N]", 1, true), text)
        assert.equal(deleted and 0 or 1, code)
        local expected = deleted and "deleted the channel type asked" or "nothing was changed"
        assert.truthy(text:find(expected, 1, true), text)
        local still = run "channel-types show asked"
        assert.equal(deleted and 1 or 0, still.code)
        if not deleted then ask "channel-types delete asked --yes" end
      end)
    end

    it("does not ask with --yes", function()
      ask "channel-types create asked"
      local text = admin.in_terminal("channel-types delete asked -y", {})
      assert.equal("deleted the channel type asked\n", text)
    end)
  end)
end)
