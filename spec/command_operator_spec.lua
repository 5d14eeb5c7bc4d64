--- An operator's day: a server run by the admin command alone, and what users with the plugin feel of it.
local admin = require "support.admin"
local hooks = require "support.hook"
local native = require "stream_events.native"
local stream_events = require "stream_events"
local token = require "stream_events.token"

local PATIENCE = 20 -- seconds: a guard, specs wait on conditions

local ask = admin.ask
local open = {}

local function connect(id)
  local client = stream_events.new { api_key = "devkey", base_url = admin.base_url }
  open[id] = client
  assert(client:connect_user({ id = id }, token.user(admin.SECRET, id)))
  return client
end

-- Runs the clients until the condition holds.
local function wait(what, condition)
  local ends = native.now() + PATIENCE
  while not condition() do
    if native.now() > ends then error("waited in vain until " .. what, 2) end
    for _, client in pairs(open) do client:poll(0.002) end
  end
end

-- What becomes of an event: "done", or the code of the refusal.
local function send(channel, event_type)
  local event, err = channel:send_event(event_type, {})
  return event and "done" or err.code
end

describe("an operator", function()
  local john, jane, hall, janes, heard -- heard: the types that john got

  setup(function()
    admin.start()
    ask "channel-types create lan"
    for _, id in ipairs { "john", "jane", "stranger" } do ask("users create " .. id) end
    ask "channels create lan:hall --by john --member john --member jane name=Hall"
    ask "channels create lan:yard --by john --member john --member jane"
    john, jane = connect "john", connect "jane"
    hall = assert(john:channel("lan", "hall"):watch())
    janes = assert(jane:channel("lan", "hall"):watch())
    heard = {}
    hall:subscribe(function(event) heard[event.type] = true end)
  end)

  before_each(function() heard = {} end)

  teardown(function()
    for _, client in pairs(open) do client:close() end
    admin.stop()
  end)

  it("made a type on which events flow", function()
    assert.equal("done", send(janes, "wave"))
    wait("john heard it", function() return heard.wave end)
    assert.is_true(hall:can "send-custom-events")
  end)

  it("switches custom events off and on, at once for those who watch", function()
    ask "channel-types custom-events off lan"
    assert.equal(18, send(janes, "wave"))
    wait("john knows it", function() return hall:can "send-custom-events" == false end)
    ask "channel-types custom-events on lan"
    wait("john knows it", function() return hall:can "send-custom-events" == true end)
    assert.equal("done", send(janes, "wave"))
  end)

  it("allows a single type of events", function()
    ask "grants remove lan channel_member send-custom-event"
    ask "grants add lan channel_member send-custom-event:trade_offer"
    assert.same({ "done", 17 }, { send(janes, "trade_offer"), send(janes, "wave") })
    wait("john heard it", function() return heard.trade_offer end)
    ask "grants reset lan --yes"
    assert.equal("done", send(janes, "wave"))
  end)

  it("silences one channel", function()
    ask "channels grants set lan:hall channel_member !send-custom-event"
    local yard = assert(jane:channel("lan", "yard"):watch())
    assert.same({ 17, "done" }, { send(janes, "wave"), send(yard, "wave") })
    ask "channels grants reset lan:hall --yes"
    assert.equal("done", send(janes, "wave"))
  end)

  it("bans somebody from one channel for a time", function()
    local yard = assert(jane:channel("lan", "yard"):watch())
    ask "users ban jane --channel lan:hall --timeout 30m --reason spam"
    assert.same({ 17, "done", "done" }, { send(janes, "wave"), send(yard, "wave"), send(hall, "wave") })
    local banned
    for _, member in ipairs(ask "channels members list lan:hall".members) do
      if member.user_id == "jane" then banned = member.banned end
    end
    assert.is_true(banned)
    ask "users unban jane --channel lan:hall"
    janes = assert(jane:channel("lan", "hall"):watch())
    assert.equal("done", send(janes, "wave"))
  end)

  it("adds a hook, which hears of what it is about, and removes it", function()
    local hook = hooks.start(200)
    local made = ask(("hooks add %s --custom-events --types trade_offer"):format(hook.url))
    assert.same({ "done", "done" }, { send(janes, "wave"), send(janes, "trade_offer") })
    local request = hook:expect(1)
    assert.same({ "trade_offer", "lan:hall", "jane" },
      { request.event.type, request.event.cid, request.event.user.id })
    assert.is_true(hooks.is_signed(request, admin.SECRET))
    ask(("hooks set %s --all-types"):format(made.id))
    assert.equal("done", send(janes, "wave"))
    assert.equal("wave", hook:expect(2).event.type)
    ask(("hooks remove %s --yes"):format(made.id))
    assert.equal("done", send(janes, "trade_offer"))
    assert.same({}, ask "hooks list")
    assert.equal(2, #hook.requests)
    hook:stop()
  end)

  it("closes a channel and opens it again; a frozen one goes on", function()
    ask "channels freeze lan:hall"
    assert.equal("done", send(janes, "wave"))
    ask "channels unfreeze lan:hall"
    ask "channels disable lan:hall"
    assert.equal(17, send(janes, "wave"))
    ask "channels enable lan:hall"
    assert.equal("done", send(janes, "wave"))
  end)

  it("makes a role that may look at every channel", function()
    local stranger = connect "stranger"
    local channel, err = stranger:channel("lan", "hall"):watch()
    assert.same({ nil, 17 }, { channel, err.code })
    ask "roles create visitor"
    ask "grants add lan visitor read-channel"
    ask "users set stranger --role visitor"
    channel = assert(stranger:channel("lan", "hall"):watch())
    local got = {}
    channel:subscribe(function(event) got[#got + 1] = event.type end)
    assert.equal("done", send(hall, "wave"))
    wait("the visitor heard it", function() return got[1] == "wave" end)
    assert.equal(17, send(channel, "wave"))
  end)

  it("makes a moderator of a member, and takes somebody out", function()
    ask "channels members role lan:hall channel_moderator john"
    assert.is_true(john:ban_user("jane", { channel = "lan:hall" }))
    assert.equal(17, send(janes, "wave"))
    assert.is_true(john:unban_user("jane", { channel = "lan:hall" }))
    ask "channels members remove lan:hall jane"
    assert.equal(17, send(janes, "wave"))
    ask "channels members add lan:hall jane"
    janes = assert(jane:channel("lan", "hall"):watch())
    assert.equal("done", send(janes, "wave"))
  end)

  it("throws somebody out: by its tokens, and by itself", function()
    local function comes_back()
      return (jane:connect_user({ id = "jane" }, token.user(admin.SECRET, "jane"))) ~= nil
    end
    for _, lines in ipairs {
      { "users revoke-tokens jane --yes", "users revoke-tokens jane --undo" },
      { "users deactivate jane --yes", "users reactivate jane" },
      { "users delete jane --yes", "users restore jane" },
    } do
      ask(lines[1])
      wait("jane is out after " .. lines[1], function() return not jane:online() end)
      assert.is_false(comes_back())
      ask(lines[2])
      assert.is_true(comes_back())
    end
    assert.equal("done", send(janes, "wave"))
  end)
end)
