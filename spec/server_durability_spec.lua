--- A server that is killed in the middle of its work: whatever it acknowledged is there when it is
--- started again, whatever it acknowledged as removed is gone, and what it was at is there as a whole
--- or not at all.
local check = require "stream_events.server.check"
local command = require "support.command"
local fixtures = require "support.server"
local folders = require "support.folder"
local hooks = require "support.hook"
local http_client = require "support.http_client"
local ledgers = require "support.ledger"
local load = require "support.durable_load"
local native = require "stream_events.native"
local process = require "support.process"
local token = require "stream_events.token"

local ROUNDS = 20
local KEY, SECRET = "devkey", "lan-dev-secret"

describe("a server that is killed", function()
  local folder, path, hook, ledger, events, writers

  setup(command.need_build)

  before_each(function()
    folder = folders.new()
    path = folder:at "state.db"
    hook = hooks.start(200)
    ledger, events, writers = ledgers.new(), ledgers.new(), {}
  end)

  after_each(function()
    process.end_all()
    hook:stop()
    folder:remove()
  end)

  local function start()
    local server = command.start { "serve", "--port", "0", "--data", path, "--api-key", KEY,
      "--api-secret", SECRET }
    local port = tonumber((server:wait_for("stdout", "listening on http://127%.0%.0%.1:(%d+)\n")))
    server.fixture = fixtures.attach { host = "127.0.0.1", port = port, api_key = KEY, api_secret = SECRET }
    server.call = function(method, target, body, query)
      local status, answer = server.fixture:call("server", method, target, body, query)
      assert(status < 300, answer and answer.message)
      return status, answer
    end
    return server
  end

  local function finish(server, signal)
    server:kill(signal)
    local code = server:finish()
    server.fixture:stop()
    return code
  end

  -- Everything that writers need, acknowledged before they begin.
  local function prepare()
    local server = start()
    for _, id in ipairs(load.PEOPLE) do server.fixture:users(id) end
    server.fixture:channel(load.CHANNEL, { "ann" })
    server.call("PATCH", "/app", {
      name = "name", grants = { user = native.json.array { "mute-user" } },
      event_hooks = native.json.array { {
        webhook_url = hook.url, should_send_custom_events = true,
        event_types = native.json.array { "tick" },
      } },
    })
    ledger.values["app:name"], ledger.values["app:grants"] = "name", "mute-user"
    finish(server, "sigkill")
  end

  local function book_of(name) return name:find "^event:" and events or ledger end

  -- Writers that send as soon as their last write is acknowledged. They go on where they were.
  local function connect(server)
    local headers = { Authorization = token.server(SECRET), ["stream-auth-type"] = "jwt" }
    for i in ipairs(load.WRITERS) do
      local writer = writers[i] or { step = -1 }
      writers[i] = writer
      writer.client = http_client.new(server.fixture.server)
      writer.send = function()
        writer.step = writer.step + 1
        local name, value, method, target, body, query = table.unpack(load.WRITERS[i](writer.step), 1, 6)
        query = query or {}
        query.api_key = KEY
        writer.name = name
        book_of(name):begin(name, value)
        writer.client:send(method, target .. "?" .. http_client.query(query), headers,
          body and native.json.encode(body))
      end
    end
  end

  -- Notes the answers that are there. One that is a refusal ends the spec: nothing here may be refused.
  local function note_answers()
    for _, writer in ipairs(writers) do
      local answer = writer.name and writer.client:take_answer()
      if answer then
        assert(answer.status < 300, answer.text)
        book_of(writer.name):done(writer.name)
        writer.name = nil
      end
    end
    return ledger.acknowledged + events.acknowledged
  end

  local function write_until(server, what, condition)
    connect(server)
    http_client.wait(what, function()
      if condition(note_answers()) then return true end
      for _, writer in ipairs(writers) do
        if not writer.name then writer.send() end
      end
    end)
    server:kill "sigkill"
    server:finish()
    -- What had left the server before it died was acknowledged.
    http_client.wait("the end of all connections", function()
      for _, writer in ipairs(writers) do
        if not writer.client.socket.ended then return false end
      end
      return true
    end)
    note_answers()
    for _, writer in ipairs(writers) do
      writer.client:close()
      writer.name = nil -- what may or may not have happened is not done again
    end
    server.fixture:stop()
  end

  -- A write that was lost is not followed by what builds on it: each writer begins with a new thing.
  local function skip_lost()
    for i, writer in ipairs(writers) do
      local made = load.PHASES[i]
      while (writer.step + 1) % made ~= 0 do writer.step = writer.step + 1 end
    end
  end

  local function verify(server)
    assert.same({}, ledger:compare(load.read(server.call, ledger)))
    http_client.wait("all events that were accepted", function()
      local received = {}
      for _, request in ipairs(hook.requests) do received["event:" .. request.event.step] = true end
      for name in pairs(events.values) do
        if not received[name] then return false end
      end
      return true
    end)
  end

  it("twenty times in a row loses nothing that it acknowledged", function()
    prepare()
    local count
    for round = 1, ROUNDS do
      local server = start()
      verify(server)
      skip_lost()
      -- Another number in each round, so that it dies in the middle of different things.
      count = ledger.acknowledged + events.acknowledged + 8 + round * 7 % 37
      write_until(server, count .. " acknowledged writes", function(done) return done >= count end)
      assert.same({}, assert(check.run(path)).problems)
    end
    local server = start()
    verify(server)
    assert.equal(0, finish(server, "sigterm"))
    assert.is_true(count > 400)
  end)

  it("can be copied meanwhile, with everything that it had acknowledged before", function()
    prepare()
    local copy = folder:at "copy.db"
    local server, copying = start(), nil
    write_until(server, "the end of the backup, and some writes behind it", function(done)
      if done >= 40 and not copying then
        ledger:mark()
        copying = command.start { "backup", "--data", path, copy }
      end
      if copying and copying.code and not copying.done then copying.done = done end
      return copying and copying.done and done >= copying.done + 10
    end)
    assert.same({ 0, "" }, { copying:finish(), copying.stderr })
    assert.same({}, assert(check.run(copy)).problems)
    path = copy
    server = start()
    assert.same({}, ledger:compare_copy(load.read(server.call, ledger)))
    finish(server, "sigkill")
  end)
end)
