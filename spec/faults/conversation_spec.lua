--- The two users of `make demo`, from whom the server is pulled away while they talk: when it is back
--- they go on, and nothing is lost that was not reported.
--
-- AWAY=60 in the environment lets it be away for a minute, and the clients come back in their own time.
local accounts = require "support.accounts"
local command = require "support.command"
local folders = require "support.folder"
local free_port = require "support.free_port"
local http_client = require "support.http_client"
local native = require "stream_events.native"
local process = require "support.process"
local rigs = require "support.fault_rig"
local tokens = require "stream_events.token"
local uv = require "luv"

local KEY, SECRET = "demo-key", "demo-secret"
local CID = "messaging:general"
local AWAY = tonumber(os.getenv "AWAY") -- seconds
local PATIENCE = 120000 -- milliseconds

describe("the users of the demo", function()
  local folder, server, port, users, books, number

  local function wait(what, condition) return http_client.wait(what, condition, PATIENCE) end

  local function serve()
    server = command.start { "serve", "--port", tostring(port), "--data", folder:at "state.db",
      "--api-key", KEY, "--api-secret", SECRET }
    server:wait_for("stdout", "listening on ")
  end

  local function ask(user, object, method, ...)
    local done, err
    local arguments = table.pack(...)
    arguments[arguments.n + 1] = function(_, failure) done, err = true, failure end
    object[method](object, table.unpack(arguments, 1, arguments.n + 1))
    user:plan()
    wait(method, function() return done end)
    assert.is_nil(err)
  end

  -- Says something; what it is called is the text itself.
  local function say(user, event_type, text)
    local send = books:sent(text, CID)
    user.channel:send_event(event_type, { text = text }, function(event, err)
      books:answered(send, event, err)
    end)
    return send
  end

  local function note(user)
    user.changes = {}
    user.client:subscribe_for("connection.changed", function(change) table.insert(user.changes, change) end)
    user.client:subscribe_for("connection.recovered", function(event)
      user.recovered = event
      books:recovered(user.id, event, native.time())
    end)
    user.channel:subscribe(function(event) books:got(user.id, event.text, event.cid, event.created_at) end)
  end

  local function join(id)
    local user = rigs.user(id, {
      api_key = KEY, base_url = "http://127.0.0.1:" .. port, proxy = "",
      rules = command.ROOT .. "lua/examples/rules.lua",
    })
    users[#users + 1] = user
    ask(user, user.client, "connect_user", { id = id }, tokens.user(SECRET, id))
    return user
  end

  local function enter(user)
    user.channel = user.client:channel("messaging", "general", { members = { "tommaso", "thierry" } })
    ask(user, user.channel, "watch")
    note(user)
  end

  before_each(function()
    if not AWAY then rigs.short_waits() end
    folder, users, number, port = folders.new(), {}, 0, free_port.tcp()
    books = accounts.new { "tommaso", "thierry" }
    serve()
  end)

  after_each(function()
    for _, user in ipairs(users) do user:close() end
    http_client.settle()
    process.end_all()
    folder:remove()
    rigs.long_waits()
  end)

  local function answered()
    wait("every answer", function()
      for _, send in ipairs(books.sends) do
        if send.answers == 0 then return false end
      end
      return true
    end)
  end

  -- tommaso talks, and thierry answers what arrives, until it is over.
  local function talk(tommaso, over)
    local last
    wait("the end of the talk", function()
      if not last or last.answers > 0 then
        number = number + 1
        last = say(tommaso, "friendship_answer", tostring(number))
        tommaso:plan()
      end
      return over()
    end)
  end

  it("lose nothing without a word when their server is away for a while", function()
    local tommaso, thierry = join "tommaso", join "thierry"
    enter(tommaso)
    enter(thierry)
    thierry.channel:subscribe_for("friendship_request", function(event)
      say(thierry, "friendship_answer", "to " .. event.text)
    end)
    say(tommaso, "friendship_request", "first")
    tommaso:plan()
    wait("the answer", function() return books.receivers.tommaso.got["to first"] end)
    talk(tommaso, function() return number >= 50 end)
    server:kill "sigkill"
    server:finish()
    local gone = native.now()
    local pause = uv.new_timer()
    pause:start(20, 20, function() end) -- looks at the time while nothing else happens
    talk(tommaso, function()
      return not tommaso.client:online() and not thierry.client:online()
        and native.now() - gone >= (AWAY or 0)
    end)
    serve()
    wait("both are back", function() return tommaso.recovered and thierry.recovered end)
    pause:close()
    for _, user in ipairs(users) do
      assert.is_true(user.recovered.gap)
      assert.same({ CID }, user.recovered.gap_cids)
      assert.same({ CID }, user.recovered.restored)
      assert.is_true(user.changes[1].will_retry)
      assert.is_true(user.changes[#user.changes].online)
    end
    talk(tommaso, function() return books.receivers.thierry.got[tostring(number - 20)] end)
    say(tommaso, "friendship_request", "last")
    tommaso:plan()
    wait("the answer", function() return books.receivers.tommaso.got["to last"] end)
    answered()
    wait("what is still on its way", function() return #select(2, books:balance()) == 0 end)
    local tally = books:balance()
    assert.is_true(tally.delivered > 2 * 50)
    if AWAY then
      print(("away for %g s: %d sent, %d of them answered with an error")
        :format(AWAY, tally.sent, tally.failed))
      print(("of %d deliveries %d came, %d were not to be, %d lie in a gap that was reported")
        :format(2 * tally.sent, tally.delivered, tally.refused, tally.gap))
    end
  end)
end)
