--- The example that embeds the plugin in a program in C: built as its Makefile says, run beside a server.
local command = require "support.command"
local folder = require "support.folder"
local luv = require "luv"
local manual = require "support.manual"
local people = require "support.people"
local process = require "support.process"

local EXAMPLE = command.ROOT .. "lua/examples/embed/"

local function read(name)
  local file = assert(io.open(EXAMPLE .. name))
  local text = file:read "a"
  file:close()
  return text
end

local function run(program, args)
  local child = process.run(program, args, { LD_PRELOAD = false, MAKEFLAGS = false })
  assert.equal(0, child.code, child.stdout .. child.stderr)
end

describe("the program that embeds the plugin", function()
  local place, base_url, ann, backend

  setup(function()
    command.need_build()
    place = folder.new()
    run("make", { "-s", "-C", EXAMPLE, "OUT=" .. place:at "host", "CFLAGS=-O1 -g -Werror" })
    local _
    _, base_url = command.serve()
    ann, backend = people.user(base_url, "ann", "livestream", "arena"), people.backend(base_url)
  end)

  teardown(function()
    people.close_all()
    process.end_all()
    place:remove()
  end)

  local function start(script, env)
    local all = {
      STREAM_BASE_URL = base_url, STREAM_API_KEY = "devkey", STREAM_API_SECRET = people.SECRET,
      LUA_INIT = false, LUA_INIT_5_4 = false,
    }
    for name, value in pairs(env or {}) do all[name] = value end
    return process.start(place:at "host", { EXAMPLE .. "engine.lua", place:write("script.lua", script) }, all)
  end

  local function move(x)
    assert(ann.channel:send_event("move", { x = x, y = 7 }))
  end

  local function level(go_on)
    assert(backend:send_user_custom_event("engine", { type = "level", go_on = go_on }))
  end

  local function stop(host)
    host:kill "sigterm"
    assert.equal(0, host:finish(), host.stderr)
  end

  it("gets what players send, and not what the rules keep back", function()
    local host = start(read "script.lua")
    host:wait_for("stderr", "online\n")
    assert(ann.channel:send_event("level", { go_on = "end" })) -- no player says so
    move(-1)
    move(3)
    host:wait_for("stdout", "move 1: ann is at 3, 7\n")
    stop(host)
    assert.equal("move 1: ann is at 3, 7\n", host.stdout)
    assert.equal("online\nhost: the state is closed\n", host.stderr)
  end)

  it("takes over a script that changes, while the connection stays", function()
    local host = start(read "script.lua")
    host:wait_for("stderr", "online\n")
    move(1)
    host:wait_for("stdout", "move 1: ann is at 1, 7\n")
    local gone = 0
    local disposable = ann.channel:subscribe_for("user.watching.stop", function(event)
      if event.user.id == "engine" then gone = gone + 1 end
    end)

    place:write("script.lua", (read("script.lua"):gsub("move %%d", "moved %%d")))
    host:wait_for("stderr", "host: reloaded\n")
    move(2)
    host:wait_for("stdout", "moved 2: ann is at 2, 7\n")
    assert.equal(0, gone)
    stop(host)
    process.wait(function() return gone == 1 end, "it has left")
    disposable:dispose()
    assert.equal("move 1: ann is at 1, 7\nmoved 2: ann is at 2, 7\n", host.stdout) -- each by one handler
    assert.equal(1, select(2, host.stderr:gsub("online", "")))
  end)

  for what, case in pairs {
    ["cannot be read"] = { "return {", "script%.lua:1: " },
    ["raises"] = { "error 'no'", "script%.lua:1: no\n" },
    ["returns no handlers"] = { "return 5", "must return a table of handlers\n" },
    ["returns what is no handler"] = {
      "return { move = function() print 'half' end, level = 7 }",
      "a handler must be a function, not a number",
    },
  } do
    it("keeps the handlers it has when the new script " .. what, function()
      local host = start(read "script.lua")
      host:wait_for("stderr", "online\n")
      place:write("script.lua", case[1])
      host:wait_for("stderr", "host: the old script stays\n")
      assert.truthy(host.stderr:find(case[2]), host.stderr)
      move(4)
      host:wait_for("stdout", "move 1: ann is at 4, 7\n")
      stop(host)
      assert.equal("move 1: ann is at 4, 7\n", host.stdout)
    end)
  end

  it("goes on with another Lua state, without any, and ends when it is told to", function()
    local host = start(read "script.lua")
    host:wait_for("stderr", "online\n")
    level "again"
    host:wait_for("stderr", "online\nhost: the state is closed\nonline\n")
    move(5)
    host:wait_for("stdout", "move 1: ann is at 5, 7\n") -- nothing of the first is left
    level "without"
    host:wait_for("stderr", "closed\nonline\nhost: the state is closed\n")
    assert.is_nil(host.code)
    stop(host)
    host = start(read "script.lua")
    host:wait_for("stderr", "online\n")
    level "end"
    assert.equal(0, host:finish())
  end)

  it("gives the network no more than its budget in a frame, however much waits", function()
    local host = start(([[
      local client = ...
      local poll, heard, frame, most = client.poll, 0, 0, 0
      function client.poll(...)
        frame = 0
        return poll(...)
      end
      return { move = function(event)
        heard, frame = heard + 1, frame + 1
        if heard == 1 then
          print "the first"
          io.stdout:flush()
          repeat until io.open(%q) -- what comes meanwhile has to wait
          frame = 0
        end
        most = math.max(most, frame)
        if event.x == 40 then
          print(("%%d, at most %%d"):format(heard, most))
          io.stdout:flush()
        end
        local ends = os.clock() + 0.001 -- each takes a millisecond at least
        repeat until os.clock() > ends
      end }]]):format(place:at "sent"))
    host:wait_for("stderr", "online\n")
    move(1)
    host:wait_for("stdout", "the first\n")
    for i = 2, 40 do move(i) end
    place:write("sent", "")
    local most = host:wait_for("stdout", "40, at most (%d+)\n")
    assert.is_true(tonumber(most) <= 3, most) -- the last begins before the two milliseconds are over
    stop(host)
  end)

  it("goes on in step after a frame that took long", function()
    local engine = place:write("engine.lua", [[
      local count, first = 0, nil
      return {
        load = function() end, leave = function() end,
        frame = function(now)
          count = count + 1
          if count == 2 then
            local ends = os.clock() + 0.3
            while os.clock() < ends do end
          end
          if count == 4 then first = now end
          if count == 14 then
            print(now - first)
            host.leave "end"
          end
        end,
      }]])
    local host = process.run(place:at "host", { engine, place:write("script.lua", "") })
    assert.equal(0, host.code, host.stderr)
    local took = tonumber(host.stdout)
    assert.is_true(took > 9 / 60, took) -- ten frames: no more of them a second than else
  end)

  it("waits for a server that is not there yet", function()
    local host = start(read "script.lua", { STREAM_BASE_URL = "http://127.0.0.1:1" })
    host:wait_for("stderr", "network: [^\n]+\n")
    assert.is_nil(host.code)
    stop(host)
  end)

  it("says what is wrong, and ends, when it cannot begin", function()
    local host = start("return 5")
    assert.equal(1, host:finish())
    assert.truthy(host.stderr:find("must return a table of handlers", 1, true))
    host = process.run(place:at "host", {})
    assert.equal(2, host.code)
    assert.equal("usage: host ENGINE.lua SCRIPT.lua\n", host.stderr)
  end)

  it("is as simple as the manual shows it", function()
    local program = assert(manual.texts("engines.md", "c")[1])
    local script
    for _, text in ipairs(manual.lua_blocks("engines.md", "Embedding in C")) do
      script = script or text:find("^%-%- main.lua") and text
    end
    -- As it is drawn sixty times, and until the spec has seen something.
    place:write("program.c", manual.with(program, {
      { "frame < 60", "frame < 60 || getchar_unlocked() == '\\n'" },
    }))
    place:write("main.lua", manual.with(script, { { "http://127.0.0.1:3030", base_url }, {
      "arena:watch(function() end)", "arena:watch(function() print 'watching' io.stdout:flush() end)",
    }, { "event.y)", "event.y) io.stdout:flush()" } }))
    run("sh", { "-c", ("${CC:-cc} -o '%s' '%s' $(pkg-config --cflags --libs lua5.4) -Wl,-E"):format(
      place:at "program", place:at "program.c") })
    local child = process.start(place:at "program", {}, nil, place.path, true)
    local function frames(pattern)
      process.wait(function()
        if not child.stdout:find(pattern) then child:write "\n" end
        return child.stdout:find(pattern) or child.code
      end, pattern)
    end
    frames "watching\n"
    move(8)
    frames "ann\t8\t7\n"
    child.input:shutdown()
    assert.equal(0, child:finish(), child.stderr)
    assert.equal("", child.stderr)
  end)

  describe("when a state ends while a name is looked up", function()
    local gate

    setup(function()
      gate = place:at "gate"
      run("mkfifo", { gate })
      run("sh", { "-c", ("${CC:-cc} -shared -fPIC -o '%s' %sspec/support/late_lookup.c -ldl -lpthread")
        :format(place:at "late.so", command.ROOT) })
    end)

    -- A second client of the script's is on its way when the first state ends.
    local function start_lookup(go_on)
      local host = start(([[
        local began = io.open(%q)
        if not began then
          io.open(%q, "w"):close()
          late = require("stream_events").new { api_key = "devkey", base_url = %q, developer_tokens = true }
          late:connect_user({ id = "late" }, nil, function() end)
          late:poll()
          host.leave(%q)
        end
        return { move = function(event) print("moved", event.x) io.stdout:flush() end }
      ]]):format(place:at "began", place:at "began", (base_url:gsub("127%.0%.0%.1", "late.test")), go_on), {
        LATE_LOOKUP = gate, LD_PRELOAD = (os.getenv "LD_PRELOAD" or "") .. " " .. place:at "late.so",
        ASAN_OPTIONS = "detect_leaks=0:verify_asan_link_order=0",
      })
      finally(function() os.remove(place:at "began") end)
      host:wait_for("stderr", "the lookup has begun\n")
      host:wait_for("stderr", "host: the state is closed\n")
      return host
    end

    local function let_go(host)
      luv.fs_close(assert(luv.fs_open(gate, "w", 0)))
      host:wait_for("stderr", "the lookup is over\n")
      assert.is_nil(host.code)
    end

    it("lives on when the answer comes", function()
      local host = start_lookup "without"
      let_go(host)
      stop(host)
    end)

    it("has another state, which takes no notice", function()
      local host = start_lookup "again"
      host:wait_for("stderr", "online\n")
      let_go(host)
      move(6)
      host:wait_for("stdout", "moved\t6\n")
      stop(host)
    end)
  end)
end)
