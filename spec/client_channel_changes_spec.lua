--- Channels as they are changed: data, members' roles, what they grant beside their type, their end.
local backend_case = require "support.backend_case"
local fakes = require "support.fake_transport"
local native = require "stream_events.native"

local answering, backend, FAILED = backend_case.answering, backend_case.backend, backend_case.FAILED

describe("a channel", function()
  local ANSWER = '{"channel":{"id":"a","type":"team","cid":"team:a","name":"New"},"members":[]}'

  for name, case in pairs {
    get = {
      call = function(channel) return channel:get() end, sends = { "GET", "/channels/team/a" },
    },
    update_partial = {
      call = function(channel) return channel:update_partial({ name = "New" }, "topic") end,
      sends = { "PATCH", "/channels/team/a", { set = { name = "New" }, unset = { "topic" } } },
    },
    ["update_partial of nothing away"] = {
      call = function(channel) return channel:update_partial { frozen = true } end,
      sends = { "PATCH", "/channels/team/a", { set = { frozen = true }, unset = {} } },
      text = '"unset":[]',
    },
    ["update_partial of nothing new"] = {
      call = function(channel) return channel:update_partial(nil, { "topic" }) end,
      sends = { "PATCH", "/channels/team/a", { set = {}, unset = { "topic" } } },
    },
    update = {
      call = function(channel) return channel:update { name = "New" } end,
      sends = { "POST", "/channels/team/a", { data = { name = "New" } } },
    },
    delete = {
      call = function(channel) return channel:delete() end, sends = { "DELETE", "/channels/team/a" },
    },
    assign_role = {
      call = function(channel) return channel:assign_role({ "eve", "mal" }, "channel_moderator") end,
      sends = { "POST", "/channels/team/a", { assign_roles = {
        { user_id = "eve", channel_role = "channel_moderator" },
        { user_id = "mal", channel_role = "channel_moderator" },
      } } },
    },
  } do
    it("is asked for " .. name, function()
      local fake, client = backend()
      answering(fake, ANSWER, FAILED)
      local channel = client:channel("team", "a")
      assert.equal(channel, case.call(channel))
      local request = fake.requests[1]
      assert.same({ case.sends[1], case.sends[2] }, { request.method, request.path })
      assert.same(case.sends[3], request.body and native.json.decode(request.body))
      if case.text then assert.truthy(request.body:find(case.text, 1, true)) end
      if case.sends[1] ~= "DELETE" then assert.equal("New", channel.data.name) end
      local result, err = case.call(channel)
      assert.same({ nil, -1 }, { result, err.code })
    end)
  end

  it("cannot be changed before it has an id", function()
    local fake, client = backend()
    local channel = client:channel("team", { members = { "a", "b" } })
    for _, call in ipairs {
      function() return channel:get() end, function() return channel:delete() end,
      function() return channel:update_partial {} end,
      function() return channel:get_grant_overrides() end,
      function() return channel:set_grant_overrides {} end,
    } do
      local result, err = call()
      assert.same({ nil, "protocol" }, { result, err.kind })
    end
    assert.same({}, fake.requests)
  end)

  it("is no longer watched once it is deleted", function()
    local fake = fakes.new()
    local client = fake.connected()
    local channel = client:channel("messaging", "a")
    assert(channel:watch())
    assert(channel:delete())
    assert.is_false(channel.watching)
    assert.same({}, channel.members)
  end)

  describe("with overrides", function()
    local TYPE = [[{"name":"team","typing_events":true,"replies":true,"max_message_length":5000,
      "commands":[{"name":"ban"},{"name":"mute"}],"grants":{"user":["read-channel"]}}]]
    local function channel_answer(grants)
      return ([[{"channel":{"id":"a","type":"team","config":{"name":"team","typing_events":false,
        "replies":true,"max_message_length":5000,"commands":[{"name":"ban"}],"custom_events":true%s}},
        "members":[]}]])
        :format(grants and ',"grants":' .. grants or "")
    end

    it("shows what it grants beside its type", function()
      local fake, client = backend()
      answering(fake, channel_answer '{"user":["!read-channel"]}', TYPE, channel_answer(), TYPE)
      local channel = client:channel("team", "a")
      assert.same({ user = { "!read-channel" } }, channel:get_grant_overrides())
      assert.same({ "/channels/team/a", "/channeltypes/team" },
        { fake.requests[1].path, fake.requests[2].path })
      assert.same({}, channel:get_grant_overrides())
    end)

    for name, case in pairs {
      ["sets the grants and keeps the rest"] = {
        grants = { guest = {}, user = { "read-channel" } },
        overrides = { typing_events = false, commands = { "ban" },
          grants = { guest = {}, user = { "read-channel" } } },
        text = '"guest":[]',
      },
      ["takes the grants away and keeps the rest"] = {
        grants = {}, overrides = { typing_events = false, commands = { "ban" } },
      },
    } do
      it(name, function()
        local fake, client = backend()
        answering(fake, channel_answer '{"user":["!read-channel"]}', TYPE, ANSWER)
        local channel = client:channel("team", "a")
        assert.equal(channel, channel:set_grant_overrides(case.grants))
        local request = fake.requests[3]
        assert.same({ "PATCH", "/channels/team/a" }, { request.method, request.path })
        assert.same({ set = { config_overrides = case.overrides } }, native.json.decode(request.body))
        if case.text then assert.truthy(request.body:find(case.text, 1, true)) end
      end)
    end

    it("gives the error of each request", function()
      local fake, client = backend()
      local channel = client:channel("team", "a")
      for _, answers in ipairs {
        { FAILED }, { channel_answer(), FAILED }, { channel_answer(), TYPE, FAILED },
      } do
        answering(fake, answers[1], answers[2], answers[3])
        local result, err = channel:set_grant_overrides { user = {} }
        assert.same({ nil, -1 }, { result, err.code })
      end
    end)
  end)
end)
