--- Tokens and secrets: shown to nobody, whatever goes wrong.
local errors = require "stream_events.error"
local fakes = require "support.fake_transport"
local native = require "stream_events.native"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

describe("secrets", function()
  it("are in no error and no log line, whatever goes wrong", function()
    local fake = fakes.new()
    local said = {}
    local function hear(...)
      for _, value in ipairs { ... } do
        said[#said + 1] = type(value) == "table" and not errors.is(value)
          and native.json.encode(value) or tostring(value)
      end
    end
    local secret = "a-secret-nobody-may-see"
    local token = tokens.user(secret, "john")
    local server_token = tokens.server(secret)
    local client = stream_events.new(fake.options {
      secret = secret, trace = true,
      logger = function(level, message, fields)
        hear(level, message)
        for name, value in pairs(fields) do hear(name, tostring(value)) end
      end,
    })
    client:subscribe_for({ "connection.*", "event.dropped" }, function(event)
      for name, value in pairs(event) do hear(name, tostring(value)) end
    end)
    local url = "ws://fake.test/connect?authorization=" .. token .. "&api_key=x"
    -- Everything that fails, with texts that repeat what was sent.
    for _, ending in ipairs {
      { "network", "cannot open " .. url }, { "protocol", token }, { "closed", token, 1008 },
    } do
      fake.on_connect = function(socket) socket:finish(ending[1], ending[2], ending[3]) end
      hear(select(2, client:connect_user({ id = "john" }, token)))
    end
    for _, text in ipairs {
      "token invalid: " .. token, '{"error":{"code":5,"message":"' .. token .. '"}}',
    } do
      fake.on_connect = function(socket)
        socket.now_state = "open"
        socket:receive(text)
      end
      hear(select(2, client:connect_user({ id = "john" }, token)))
    end
    hear(select(2, client:connect_user({ id = "jane" }, token)))
    hear(select(2, client:connect_user({ id = "john" }, function() error("cannot read " .. token) end)))
    fake.on_connect = function(socket) socket:greet() end
    assert(client:connect_user({ id = "john" }, token))
    local channel = client:channel("messaging", "general")
    for _, answer in ipairs {
      { 401, '{"code":43,"message":"bad ' .. token .. '"}' }, { 500, token }, { nil, "network", url },
    } do
      fake.answer = function(request)
        fake.reply(request, answer[1], answer[2], answer[3])
      end
      hear(select(2, channel:send_event("poke")))
      hear(select(2, client:get_app()))
    end
    channel:subscribe(function(event) error("seen " .. event.text) end)
    fake.socket:event("poke", { text = server_token })
    fake.socket:receive("garbage " .. token)
    fake.socket:finish("network", "reset " .. url)
    for _ = 1, 5 do client:poll(5) end
    hear(tostring(client), client:stats())
    client:close()
    hear(select(2, channel:send_event("poke")))
    local text = table.concat(said, "\n")
    assert.is_true(#said > 60)
    for name, hidden in pairs { secret = secret, token = token, server = server_token } do
      assert.is_nil(text:find(hidden, 1, true), name .. " was shown")
      local signature = hidden:match("[^.]+$")
      assert.is_nil(text:find(signature, 1, true), "the end of the " .. name .. " was shown")
    end
  end)
end)
