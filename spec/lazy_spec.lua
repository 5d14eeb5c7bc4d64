--- What a program does not use is not loaded, and is there all the same as soon as it is asked for.
local backend = require "stream_events.backend"
local fakes = require "support.fake_transport"
local lua = require "support.lua"

-- A class of its own each time, to which none of the methods has come yet.
local function fresh(module, object)
  local before = package.loaded[module]
  package.loaded[module] = nil
  local made = object(require(module))
  package.loaded[module] = before
  return made
end

local function fresh_client()
  return fresh("stream_events.client", function(clients)
    local fake = fakes.new()
    return clients.new({ api_key = "devkey", transport = fake.transport }, 1)
  end)
end

local function fresh_channel()
  local client = fakes.new().connected()
  return fresh("stream_events.channel", function() return client:channel("messaging", "a") end)
end

local CASES = { channel_changes = { module = "stream_events.channel_changes", new = fresh_channel } }
for subject in pairs(backend.SUBJECTS) do
  CASES[subject] = { module = "stream_events.backend." .. subject, new = fresh_client }
end

describe("methods that are loaded when they are asked for", function()
  for name, case in pairs(CASES) do
    it("are all those of " .. name, function()
      local methods = require(case.module).methods
      assert.is_truthy(next(methods))
      for each, method in pairs(methods) do
        local object = case.new()
        assert.equal(method, object[each], each)
        assert.equal(method, rawget(getmetatable(object), each), each)
      end
    end)
  end

  it("are no others", function()
    local known = {}
    for subject, names in pairs(backend.SUBJECTS) do
      local methods = require("stream_events.backend." .. subject).methods
      for name in names:gmatch "%S+" do
        assert.is_function(methods[name], name)
        assert.is_nil(known[name], name)
        known[name] = true
      end
    end
    for _, object in ipairs { fresh_client(), fresh_channel() } do
      assert.is_nil(object.no_such_method)
      assert.is_nil(object[1])
    end
  end)

  it("leave alone what a program has put in their place", function()
    local client = fresh_client()
    local class = getmetatable(client)
    local function own() end
    class.ban_user = own
    assert.is_function(client.unban_user)
    assert.equal(own, client.ban_user)
  end)
end)

describe("a program that only receives", function()
  it("loads nothing of a backend, of channels, or of what follows a loss", function()
    local child = assert(io.popen(lua.INTERPRETER .. [[ -e "
      local client = require('stream_events').new { api_key = 'devkey', base_url = 'http://127.0.0.1:1' }
      client:subscribe_for('chat', function() end)
      client:connect_user({ id = 'john' }, require('stream_events').developer_token('john'), function() end)
      client:poll(0)
      for _, name in ipairs { 'backend.call', 'backend.users', 'channel', 'channel_changes', 'channel_send',
        'payload', 'replay', 'rewatch', 'send_queue', 'sender', 'stats', 'suggest',
        'webhook_receiver' } do
        if package.loaded['stream_events.' .. name] then print(name) end
      end
      client:close()" 2>&1]]))
    local said = child:read "*a"
    child:close()
    assert.equal("", said)
  end)
end)
