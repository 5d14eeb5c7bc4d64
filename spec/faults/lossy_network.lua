--- Two users and the server in two network namespaces, with a network between them that loses packets,
--- is slow, and goes away. Run by network.sh, in a namespace of its own.
local accounts = require "support.accounts"
local command = require "support.command"
local folders = require "support.folder"
local http_client = require "support.http_client"
local native = require "stream_events.native"
local process = require "support.process"
local rigs = require "support.fault_rig"
local servers = require "support.server"
local tokens = require "stream_events.token"
local uv = require "luv"

local KEY, SECRET = "devkey", "lan-dev-secret"
local NEAR, FAR = "10.99.0.1", "10.99.0.2"
local PLAIN, KEPT = rigs.PLAIN, rigs.KEPT
local PATIENCE = 60000 -- milliseconds

local function run(...)
  local words = { ... }
  local done = process.run(words[1], { table.unpack(words, 2) })
  assert(done.code == 0, done.stderr)
end

describe("on a network", function()
  local link, to_link, host, server, port, folder, users, books, number

  local function wait(what, condition) return http_client.wait(what, condition, PATIENCE) end

  local function far_away(...) return "nsenter", "-t", tostring(host.pid), "-n", ... end

  -- Two devices, one of them in the namespace of a process that does nothing else.
  local function connect_hosts()
    host = process.start("unshare", { "-n", "sleep", "1000" })
    local input, output = uv.new_pipe(false), uv.new_pipe(false)
    local text = ""
    link = assert(uv.spawn("python3", {
      args = { command.ROOT .. "spec/support/lossy_link.py", "near0", "far0" }, stdio = { input, output, 2 },
    }, function() link:close() end))
    to_link = input
    output:read_start(function(_, bytes)
      if bytes then text = text .. bytes else output:close() end
    end)
    wait("both devices", function() return text:find "ready" end)
    run("ip", "link", "set", "far0", "netns", tostring(host.pid))
    run("ip", "addr", "add", NEAR, "peer", FAR, "dev", "near0")
    run("ip", "link", "set", "near0", "up")
    run(far_away("ip", "addr", "add", FAR, "peer", NEAR, "dev", "far0"))
    run(far_away("ip", "link", "set", "far0", "up"))
  end

  local function network(loss, delay)
    to_link:write(("loss %g\ndelay %g\n"):format(loss, delay))
  end

  local function serve()
    local words = { far_away(command.COMMAND, "serve", "--host", FAR, "--port", "0",
      "--data", folder:at "state.db", "--api-key", KEY, "--api-secret", SECRET) }
    server = process.start(words[1], { table.unpack(words, 2) })
    port = tonumber((server:wait_for("stdout", "listening on http://10%.99%.0%.2:(%d+)\n")))
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

  -- A packet that is lost four times, or the first of a connection that is lost twice, comes after 3 s: who
  -- wants every answer waits longer than that.
  local UNHURRIED, HURRIED = 30, 2

  local function join(id, patience)
    local user = rigs.user(id, {
      api_key = KEY, base_url = ("http://%s:%d"):format(FAR, port), proxy = "",
      timeouts = { request = patience, connect = patience, close = 0.3, health = 0.7, silence = 2 },
    })
    users[#users + 1] = user
    ask(user, user.client, "connect_user", { id = id }, tokens.user(SECRET, id))
    user.channels, user.changes, user.recovered = {}, {}, 0
    for _, cid in ipairs { PLAIN, KEPT } do
      local channel = user.client:channel(cid:match "^(.-):(.*)$")
      user.channels[cid] = channel
      ask(user, channel, "watch")
      channel:subscribe_for("n", function(event) books:got(id, event.n, event.cid, event.created_at) end)
    end
    user.client:subscribe_for("connection.changed", function(change) table.insert(user.changes, change) end)
    user.client:subscribe_for("connection.recovered", function(event)
      user.recovered = user.recovered + 1
      books:recovered(id, event, native.time())
    end)
  end

  before_each(function()
    rigs.short_waits()
    folder, users, number = folders.new(), {}, 0
    books = accounts.new { "john", "jane" }
    connect_hosts()
    serve()
    local fixture = servers.attach { host = FAR, port = port, api_key = KEY, api_secret = SECRET }
    fixture:users("john", "jane")
    assert(201 == fixture:call("server", "PUT", "/channeltypes/gaming",
      { custom_event_retention = { seconds = 3600, count = 10000 } }))
    for _, cid in ipairs { PLAIN, KEPT } do fixture:channel(cid, { "john", "jane" }) end
    fixture:stop()
  end)

  after_each(function()
    for _, user in ipairs(users) do user:close() end
    to_link:close()
    wait("the link's end", function() return link:is_closing() end)
    process.end_all()
    http_client.settle()
    folder:remove()
    rigs.long_waits()
  end)

  local function send(user, cid)
    number = number + 1
    local sent = books:sent(number, cid)
    user.channels[cid]:send_event("n", { n = number }, function(event, err)
      books:answered(sent, event, err)
    end)
    user:plan()
    return sent
  end

  local function both_join(patience)
    join("john", patience)
    join("jane", patience)
  end

  local function all_answered()
    for _, sent in ipairs(books.sends) do
      if sent.answers == 0 then return false end
      assert(sent.event, tostring(sent.err))
    end
    return true
  end

  -- Each sends to each as soon as the last send there is answered, until it is over.
  local function exchange(over)
    local last = {}
    wait("the end of the exchange", function()
      for _, user in ipairs(users) do
        for _, cid in ipairs { PLAIN, KEPT } do
          local name = user.id .. cid
          if not last[name] or last[name].answers > 0 then last[name] = send(user, cid) end
        end
      end
      return over()
    end)
  end

  local function after(count)
    local before = number
    return function() return number >= before + count end
  end

  local function both(what, condition)
    return function()
      if condition(users[1]) and condition(users[2]) then return what end
    end
  end

  local function losses()
    return #users[1].changes + #users[2].changes
  end

  local function all_is_well()
    wait("both are back", both("back", function(user)
      local last = user.changes[#user.changes]
      return user.client:online() and (not last or last.online and user.recovered > 0)
        and user.client:stats().watched == 2
    end))
    local first = #books.sends + 1
    exchange(after(8))
    wait("what was sent last arrives", function()
      for i = first, #books.sends do
        local sent = books.sends[i]
        if sent.answers == 0 then return false end
        assert(sent.event, tostring(sent.err))
        for _, receiver in pairs(books.receivers) do
          if not receiver.got[sent.name] then return false end
        end
      end
      return true
    end)
    -- The last calls may still be on their way, and what they sent.
    local ok = pcall(wait, "an end of every event", function() return #select(2, books:balance()) == 0 end)
    if not ok then assert.same({}, (select(2, books:balance()))) end
  end

  it("that is slow nothing is lost, and nobody goes", function()
    both_join(UNHURRIED)
    network(0, 0.05)
    exchange(after(60))
    assert.equal(0, losses())
    all_is_well()
  end)

  it("that loses some packets no send is", function()
    both_join(UNHURRIED)
    network(0.05, 0.005)
    exchange(after(120))
    wait("every answer", all_answered)
    all_is_well()
  end)

  it("that loses every third packet for some time everything is accounted for", function()
    both_join(HURRIED)
    network(0.33, 0.005)
    exchange(after(40))
    network(0, 0)
    all_is_well()
  end)

  it("that is gone without a word both notice by silence, and are back with it", function()
    both_join(HURRIED)
    exchange(after(40))
    network(1, 0)
    exchange(both("gone", function(user) return user.changes[1] end))
    for _, user in ipairs(users) do assert.equal("timeout", user.changes[1].kind) end
    network(0, 0)
    all_is_well()
  end)

  it("whose device goes down, and comes up again, both are back with it", function()
    both_join(HURRIED)
    exchange(after(40))
    run("ip", "link", "set", "near0", "down")
    exchange(both("gone", function(user) return user.changes[1] end))
    run("ip", "link", "set", "near0", "up")
    all_is_well()
  end)
end)
