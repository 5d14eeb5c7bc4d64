--- The command, run as people run it: child processes, a real server, real sockets.
local command = require "support.command"
local free_port = require "support.free_port"
local luv = require "luv"
local native = require "stream_events.native"
local peers = require "support.peer"
local process = require "support.process"
local token = require "stream_events.token"

local SECRET = "lan-dev-secret"

local server, base_url, env

local function run(args, changes)
  local values = { STREAM_BASE_URL = base_url }
  for name, value in pairs(changes or {}) do values[name] = value end
  return command.run(args, values)
end

local function start(args)
  return command.start(args, env)
end

-- A listener that is connected and watches.
local function listen(args)
  local listener = start(args)
  listener:wait_for("stderr", "listening for ")
  return listener
end

local function lines(text)
  local result = {}
  for line in text:gmatch("([^\n]*)\n") do result[#result + 1] = line end
  return result
end

describe("the command", function()
  setup(function()
    server, base_url = command.serve()
    env = { STREAM_BASE_URL = base_url }
  end)

  teardown(process.end_all)

  describe("called in a way that cannot work", function()
    for name, args in pairs {
      ["without anything"] = {},
      ["with an unknown subcommand"] = { "dance" },
      ["with an unknown option"] = { "token", "john", "--loud" },
      ["token without a user"] = { "token" },
      ["token with a bad user id"] = { "token", "john doe" },
      ["token with a bad expiry"] = { "token", "john", "--exp", "soon" },
      ["token with no time at all"] = { "token", "john", "--exp", "0" },
      ["send without --as"] = { "send", "messaging:general", "hello" },
      ["send without a type"] = { "send", "messaging:general", "--as", "john" },
      ["send to what is no cid"] = { "send", "general", "hello", "--as", "john" },
      ["send with an empty type"] = { "send", "messaging:general", "", "--as", "john" },
      ["send with words that are no data"] = { "send", "a:b", "hello", "world", "--as", "john" },
      ["send with bad JSON"] = { "send", "messaging:general", "hello", "n:={", "--as", "john" },
      ["send as a bad user id"] = { "send", "messaging:general", "hello", "--as", "!anon" },
      ["send-user with a bad user id"] = { "send-user", "a/b", "hello" },
      ["send-user with a key twice"] = { "send-user", "john", "hello", "a=1", "a=2" },
      ["listen without --as"] = { "listen", "messaging:general" },
      ["listen to what is no cid"] = { "listen", "messaging", "--as", "john" },
      ["listen for a bad pattern"] = { "listen", "--type", "*x", "--as", "john" },
      ["serve with data in no file"] = { "serve", "--port", "0", "--data", "" },
      ["serve with an empty secret"] = { "serve", "--port", "0", "--data", ":memory:", "--api-secret", "" },
      ["serve on a port that is none"] = { "serve", "--port", "65536" },
      ["serve to everybody with the known secret"] = { "serve", "--port", "0", "--host", "0.0.0.0" },
    } do
      it(name .. " says what is wrong and ends with 2", function()
        local child = run(args)
        assert.equal(2, child.code)
        assert.equal("", child.stdout)
        assert.truthy(child.stderr:find("stream-events: ", 1, true), child.stderr)
        assert.is_nil(child.stderr:find("stack traceback", 1, true))
      end)
    end
  end)

  describe("--help", function()
    for _, name in ipairs { "", "serve", "token", "send", "send-user", "listen" } do
      it("explains " .. (name == "" and "the whole" or name) .. " with examples", function()
        local child = run(name == "" and { "--help" } or { name, "--help" })
        assert.equal(0, child.code)
        assert.truthy(child.stdout:find("Examples:\n  stream-events " .. name, 1, true))
        assert.truthy(child.stdout:find("STREAM_BASE_URL", 1, true))
      end)
    end
  end)

  it("--version says which", function()
    local child = run { "--version" }
    assert.equal(0, child.code)
    assert.equal("stream-events " .. native.version .. "\n", child.stdout)
  end)

  it("fails when what it says cannot be written", function()
    for _, line in ipairs {
      "token john", "rules new", "rules check lua/examples/rules.lua",
      "--help", "send --help", "admin users ban --help", "help rules check", "--version", "--man",
    } do
      local child = process.run("sh", { "-c", command.COMMAND .. " " .. line .. " > /dev/full" }, env)
      assert.equal(1, child.code, line)
      assert.truthy(child.stderr:find("cannot be written: No space left on device", 1, true), child.stderr)
    end
  end)

  it("is found through a link, from any folder, without LUA_PATH", function()
    command.need_build()
    local folder = assert(luv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/stream-events-XXXXXX"))
    local link = folder .. "/linked"
    assert(luv.fs_symlink(assert(luv.fs_realpath(command.COMMAND)), link))
    local child = process.run(link, { "--version" }, { LUA_PATH = false, LUA_CPATH = false }, folder)
    luv.fs_unlink(link)
    luv.fs_rmdir(folder)
    assert.equal("", child.stderr)
    assert.equal(0, child.code)
  end)

  describe("token", function()
    it("signs with the secret from the environment", function()
      assert.equal(token.user(SECRET, "alice") .. "\n", run({ "token", "alice" }).stdout)
      assert.equal(token.user("other", "alice") .. "\n",
        run({ "token", "alice" }, { STREAM_API_SECRET = "other" }).stdout)
    end)

    it("puts an expiry in, and says so with --json", function()
      local before = math.floor(native.time())
      local child = run { "token", "alice", "--exp", "60", "--json" }
      assert.equal(0, child.code)
      local answer = assert(native.json.decode(child.stdout))
      assert.equal("alice", answer.user_id)
      local claims = assert(token.verify(answer.token, SECRET))
      assert.equal(answer.exp, claims.exp)
      assert.truthy(claims.exp >= before + 60 and claims.exp <= native.time() + 60)
    end)

    it("has no default secret for another machine", function()
      local child = run({ "token", "alice" }, { STREAM_BASE_URL = "http://192.0.2.1", STREAM_API_KEY = "k" })
      assert.equal(2, child.code)
      assert.truthy(child.stderr:find("STREAM_API_SECRET", 1, true))
      child = run({ "token", "alice" }, { STREAM_BASE_URL = "http://192.0.2.1" })
      assert.equal(2, child.code)
      assert.truthy(child.stderr:find("STREAM_API_KEY", 1, true))
    end)
  end)

  describe("send and listen", function()
    it("exchange events on a fresh server", function()
      local listener = listen { "listen", "messaging:fresh", "--as", "thierry" }
      local child = run {
        "send", "messaging:fresh", "friendship_request", "text=Hey there", "n:=9007199254740993",
        "--as", "tommaso",
      }
      assert.equal(0, child.code, child.stderr)
      local expected = 'messaging:fresh friendship_request tommaso {"text":"Hey there","n":9007199254740993}'
      local either = 'messaging:fresh friendship_request tommaso {"n":9007199254740993,"text":"Hey there"}'
      local heard = listener:wait_for("stdout", "^%d%d:%d%d:%d%d%.%d%d%d ([^\n]*)\n")
      assert.truthy(heard == expected or heard == either, heard)
      assert.equal(heard, child.stdout:match("^%S+ ([^\n]*)\n$"))
      listener:kill "sigint"
      assert.equal(0, listener:finish())
      assert.equal(1, #lines(listener.stdout))
    end)

    it("speak JSON", function()
      local listener = listen { "listen", "messaging:json", "--as", "thierry", "--json" }
      local child = run {
        "send", "messaging:json", "flare", 'o:={"a":[null,{}]}', "--as", "tommaso", "--json",
      }
      assert.equal(0, child.code, child.stderr)
      local heard = assert(native.json.decode((listener:wait_for("stdout", "^([^\n]*)\n"))))
      assert.same({ "flare", "messaging:json", "tommaso", "user" },
        { heard.type, heard.cid, heard.user.id, heard.trust })
      assert.equal('"o":{"a":[null,{}]}', listener.stdout:match('"data":{(.*)}}'))
      local sent = assert(native.json.decode(child.stdout))
      assert.same({ "flare", "self" }, { sent.type, sent.trust })
      assert.same(heard.data, sent.data)
      listener:kill "sigterm"
      assert.equal(0, listener:finish())
    end)

    it("hear only the types that were asked for", function()
      local listener = listen {
        "listen", "messaging:types", "--type", "trade_*", "--type", "ready", "--as", "thierry", "--json",
      }
      for _, name in ipairs { "noise", "trade_offer", "readying", "ready" } do
        assert.equal(0, run({ "send", "messaging:types", name, "--as", "tommaso" }).code)
      end
      listener:wait_for("stdout", '"type":"ready"')
      listener:kill "sigint"
      assert.equal(0, listener:finish())
      local types = {}
      for line in listener.stdout:gmatch("[^\n]+") do types[#types + 1] = native.json.decode(line).type end
      assert.same({ "trade_offer", "ready" }, types)
    end)

    it("never lets control characters of a sender reach the terminal", function()
      local listener = listen { "listen", "messaging:hostile", "--as", "thierry" }
      local child = run {
        "send", "messaging:hostile", "flare", 'a:="\\u001b]0;owned\\u0007"', "b=\u{9b}2J\u{202E}",
        "--as", "tommaso",
      }
      assert.equal(0, child.code, child.stderr)
      local heard = listener:wait_for("stdout", "(messaging:hostile[^\n]*)\n")
      assert.is_nil(heard:find("[%c\128-\255]"), heard)
      assert.truthy(heard:find("\\u009b2J\\u202e", 1, true))
      listener:kill "sigint"
      assert.equal(0, listener:finish())
    end)

    it("use no colours in a pipe", function()
      local child = run({ "send", "messaging:plain", "flare", "--as", "tommaso" }, { TERM = "xterm" })
      assert.is_nil(child.stdout:find("\27", 1, true))
    end)

    it("leave members alone with --no-join, and say what is missing", function()
      assert.equal(0, run({ "send", "messaging:closed", "hello", "--as", "owner" }).code)
      local child = run { "send", "messaging:closed", "hello", "--as", "stranger", "--no-join" }
      assert.equal(1, child.code)
      assert.equal("", child.stdout)
      assert.truthy(child.stderr:find("code 17, HTTP 403", 1, true), child.stderr)
      assert.truthy(child.stderr:find("SendCustomEvent", 1, true))
      child = run { "listen", "messaging:closed", "--as", "stranger", "--no-join", "--json" }
      assert.equal(1, child.code)
      local err = native.json.decode(child.stderr).error
      assert.same({ "api", 17, 403 }, { err.kind, err.code, err.status })
      child = run { "send", "messaging:nowhere", "hello", "--as", "stranger", "--no-join" }
      assert.equal(1, child.code)
      assert.truthy(child.stderr:find("code 16", 1, true), child.stderr)
    end)

    it("are refused with a forged type", function()
      local child = run { "send", "messaging:forged", "message.new", "--as", "tommaso" }
      assert.equal(1, child.code)
      assert.equal("", child.stdout)
    end)

    it("can use a token instead of the secret", function()
      local changes = { STREAM_USER_TOKEN = token.user(SECRET, "guestlike") }
      local child = run({ "send", "livestream:open", "hello", "--as", "guestlike", "--no-join" }, changes)
      assert.equal(1, child.code)
      assert.truthy(child.stderr:find("code 16", 1, true), child.stderr) -- signed in; no such channel
      child = run({ "send", "livestream:open", "hello", "--as", "somebody_else" }, changes)
      assert.equal(1, child.code)
      assert.truthy(child.stderr:find("auth: ", 1, true), child.stderr)
    end)

    it("end with 1 and a way out when the secret is wrong", function()
      local child = run({ "send", "messaging:general", "hello", "--as", "tommaso" },
        { STREAM_API_SECRET = "wrong" })
      assert.equal(1, child.code)
      assert.truthy(child.stderr:find("STREAM_API_SECRET", 1, true), child.stderr)
      assert.is_nil(child.stderr:find("eyJ", 1, true))
    end)

    it("end with 1 and a way out when nothing listens there", function()
      local holder = assert(luv.new_tcp())
      assert(holder:bind("127.0.0.1", 0)) -- bound and not listening: nobody else gets this port
      local url = "http://127.0.0.1:" .. holder:getsockname().port
      for _, args in ipairs {
        { "send", "messaging:general", "hello", "--as", "tommaso" },
        { "send-user", "tommaso", "hello" },
        { "listen", "--as", "tommaso" },
      } do
        local child = run(args, { STREAM_BASE_URL = url })
        assert.equal(1, child.code)
        assert.truthy(child.stderr:find("network: ", 1, true), child.stderr)
        assert.truthy(child.stderr:find("stream-events serve", 1, true), child.stderr)
      end
      holder:close()
    end)

    it("end quietly when nobody reads any more", function()
      local listener = listen { "listen", "messaging:pipe", "--as", "thierry" }
      listener:stop_reading()
      assert.equal(0, run({ "send", "messaging:pipe", "one", "--as", "tommaso" }).code)
      assert.equal(0, listener:finish())
      assert.is_nil(listener.stderr:find("traceback", 1, true))
    end)

    it("end quietly on Ctrl-C while they wait for a server that says nothing", function()
      local asked
      local silent = peers.listen(function(connection)
        function connection.on_bytes() asked = true end
      end)
      local there = { STREAM_BASE_URL = silent:url("http", "") }
      for _, args in ipairs {
        { "listen", "messaging:general", "--as", "john" }, { "send", "a:b", "hello", "--as", "john" },
        { "send-user", "john", "hello" },
      } do
        asked = false
        local child = command.start(args, there)
        process.wait(function() return asked end, args[1] .. " asked the server")
        child:kill "sigint"
        assert.equal(130, child:finish())
        assert.equal("", child.stdout .. child.stderr)
      end
      peers.stop_all()
    end)

    it("tell with --debug what goes on, and no secret", function()
      local child = run { "send", "messaging:debug", "hello", "x:=1", "--as", "alice", "--debug" }
      assert.equal(0, child.code)
      assert.equal(1, #lines(child.stdout))
      assert.matches("debug: session from=token to=connecting\n", child.stderr, 1, true)
      assert.matches("debug: answer call=POST /channels/messaging/debug/event [^\n]*=201\n", child.stderr)
      assert.is_nil(child.stderr:find("authorization", 1, true))
      assert.is_nil(child.stderr:find("eyJ", 1, true))
    end)

    it("report a connection that is lost, and one that is back", function()
      local port = tostring(free_port.tcp())
      local own, url = command.serve { "--port", port }
      local listener = command.start({ "listen", "--as", "thierry" }, { STREAM_BASE_URL = url })
      listener:wait_for("stderr", "listening for ")
      own:kill "sigkill"
      own:finish()
      listener:wait_for("stderr", "connection lost %b(); trying again in %d")
      command.serve { "--port", port }
      listener:wait_for("stderr", "connected again after %d.-\nevents that were sent meanwhile may be lost\n")
      listener:kill "sigint"
      assert.equal(0, listener:finish())
    end)
  end)

  describe("send-user", function()
    it("reaches the user wherever it is connected", function()
      local first = listen { "listen", "--as", "tommaso" }
      local second = listen { "listen", "--as", "tommaso", "--json" }
      local child = run { "send-user", "tommaso", "bonus", "coins:=50" }
      assert.equal(0, child.code, child.stderr)
      assert.equal("sent bonus to tommaso\n", child.stdout)
      assert.equal('@tommaso bonus server {"coins":50}', first:wait_for("stdout", "^%S+ ([^\n]*)\n"))
      local heard = native.json.decode((second:wait_for("stdout", "^([^\n]*)\n")))
      assert.same({ "bonus", "server", { coins = 50 } }, { heard.type, heard.trust, heard.data })
      for _, listener in ipairs { first, second } do
        listener:kill "sigint"
        assert.equal(0, listener:finish())
      end
    end)

    it("says what it sent with --json", function()
      assert.equal(0, run({ "send", "livestream:x", "hello", "--as", "jane" }).code)
      local child = run { "send-user", "jane", "bonus", "coins:=50", "--json" }
      assert.same({ user_id = "jane", type = "bonus", data = { coins = 50 } },
        native.json.decode(child.stdout))
    end)

    it("says that a user is not there, with --json as JSON", function()
      local child = run { "send-user", "nobody", "bonus" }
      assert.equal(1, child.code)
      assert.truthy(child.stderr:find("code 16, HTTP 404", 1, true), child.stderr)
      child = run { "send-user", "nobody", "bonus", "--json" }
      assert.equal(1, child.code)
      assert.equal("", child.stdout)
      assert.equal(16, native.json.decode(child.stderr).error.code)
    end)

    it("refuses a type with a dot", function()
      assert.equal(1, run({ "send-user", "tommaso", "bonus.coins" }).code)
    end)
  end)

  describe("serve", function()
    for _, signal in ipairs { "sigint", "sigterm" } do
      it("prints exactly one line, and ends with 0 on " .. signal, function()
        local own, url = command.serve()
        assert.truthy(url:find("^http://127%.0%.0%.1:%d+$"), url)
        assert.is_nil(url:find(":0$"))
        own:wait_for("stderr", "Ctrl%-C ends the server")
        own:kill(signal)
        assert.equal(0, own:finish())
        assert.equal("listening on " .. url .. "\n", own.stdout)
      end)
    end

    it("tells connected clients to come back when it ends", function()
      local own, url = command.serve()
      local listener = command.start({ "listen", "--as", "thierry" }, { STREAM_BASE_URL = url })
      listener:wait_for("stderr", "listening for ")
      own:kill "sigterm"
      assert.equal(0, own:finish())
      listener:wait_for("stderr", "connection lost[^\n]*; trying again")
      listener:kill "sigterm"
      assert.equal(0, listener:finish())
    end)

    it("speaks JSON", function()
      local own = command.start { "serve", "--port", "0", "--data", ":memory:", "--api-key", "k", "--json" }
      local answer = native.json.decode((own:wait_for("stdout", "^([^\n]*)\n")))
      assert.equal("k", answer.api_key)
      assert.equal("http://127.0.0.1:" .. answer.port, answer.url)
      own:kill "sigterm"
      assert.equal(0, own:finish())
    end)

    it("uses the key and the secret it is given", function()
      local own, url = command.serve { "--api-key", "key1", "--api-secret", "secret1" }
      local right = { STREAM_BASE_URL = url, STREAM_API_KEY = "key1", STREAM_API_SECRET = "secret1" }
      assert.equal(0, command.run({ "send", "livestream:x", "a", "--as", "j" }, right).code)
      right.STREAM_API_SECRET = nil
      assert.equal(1, command.run({ "send", "livestream:x", "a", "--as", "j" }, right).code)
      assert.is_nil(own.stderr:find("secret1", 1, true))
    end)

    it("says that the port is taken", function()
      local port = base_url:match(":(%d+)$")
      local child = run { "serve", "--port", port, "--data", ":memory:" }
      assert.equal(1, child.code)
      assert.equal("", child.stdout)
      assert.truthy(child.stderr:find(port, 1, true), child.stderr)
      assert.truthy(child.stderr:find("--port 0 picks a port that is free", 1, true), child.stderr)
    end)

    it("says that an address is none of this machine's", function()
      -- An address for documentation (RFC 5737).
      local child = run { "serve", "--port", "0", "--data", ":memory:", "--api-secret", "of-my-own", "--host",
        "203.0.113.1" }
      assert.equal(1, child.code)
      assert.matches("\n  %-%-host takes an address of this machine", child.stderr)
    end)

    it("says what to do when there is no place for its state", function()
      local child = command.run({ "serve", "--port", "0" }, { XDG_STATE_HOME = "/dev/null/state" })
      assert.equal(1, child.code)
      assert.truthy(child.stderr:find("--data :memory:", 1, true), child.stderr)
    end)

    it("keeps its state in the user's state folder", function()
      local home = assert(luv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/stream-events-XXXXXX"))
      local own = command.start({ "serve", "--port", "0" }, { XDG_STATE_HOME = home .. "/state" })
      local there = { STREAM_BASE_URL = own:wait_for("stdout", "listening on (%S+)\n") }
      assert.equal(0, command.run({ "send", "messaging:kept", "a", "--as", "jane" }, there).code)
      own:kill "sigterm"
      assert.equal(0, own:finish())

      own = command.start({ "serve", "--port", "0" }, { XDG_STATE_HOME = home .. "/state" })
      there = { STREAM_BASE_URL = own:wait_for("stdout", "listening on (%S+)\n") }
      local child = command.run({ "send", "messaging:kept", "a", "--as", "jane", "--no-join" }, there)
      assert.equal(0, child.code, child.stderr)
      own:kill "sigterm"
      assert.equal(0, own:finish())
      process.run("rm", { "-r", home })
    end)

    it("says so when its data cannot be opened", function()
      local child = run { "serve", "--port", "0", "--data", "/nonexistent/folder/file.db" }
      assert.equal(1, child.code)
      assert.truthy(child.stderr:find("/nonexistent/folder/file.db", 1, true), child.stderr)
      assert.is_nil(child.stderr:find("traceback", 1, true))
    end)
  end)

  it("leaves the server it was run against alive", function()
    assert.is_nil(server.code)
  end)
end)
