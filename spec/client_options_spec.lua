--- The options of a client: what is refused, and how helpfully.
local fakes = require "support.fake_transport"
local stream_events = require "stream_events"

local function new(more)
  local client = stream_events.new(fakes.new().options(more)) -- no tail call: it would be to blame
  return client
end

describe("stream_events.new", function()
  for name, case in pairs {
    ["no options"] = { give = function() local _ = stream_events.new() end, says = "a table of options" },
    ["no API key"] = {
      give = function() local _ = stream_events.new {} end, says = "'api_key' is needed",
    },
    ["an API key with a space"] = { more = { api_key = "a key" }, says = "'api_key' is needed" },
    ["a key that is a number"] = { more = { api_key = 7 }, says = "must be a string, not a number" },
    ["a misspelt option"] = {
      more = { base_ulr = "x" }, says = "unknown option 'base_ulr': did you mean 'base_url'?",
    },
    ["another style of name"] = {
      more = { apiKey = "x" }, says = "unknown option 'apiKey': did you mean 'api_key'?",
    },
    ["an option that resembles none"] = { more = { colour = "red" }, says = "unknown option 'colour'" },
    ["a position"] = { more = { "devkey" }, says = "unknown option '1'" },
    ["rules that are none"] = { more = { rules = 7 }, says = "'rules' must be a path, a table of rules or" },
    ["rules without a path"] = { more = { rules = "" }, says = "'rules' must not be empty" },
    ["nothing to watch"] = { more = { watch = true }, says = "'watch' needs the path of a rule file" },
    ["a table to watch"] = {
      more = { rules = {}, watch = true }, says = "'watch' needs the path of a rule file",
    },
    ["a budget of no time"] = {
      more = { limits = { rule_seconds = 0 } }, says = "'limits.rule_seconds' must be a positive number",
    },
    ["a budget that is no whole number"] = {
      more = { limits = { rule_memory = 1.5 } }, says = "'limits.rule_memory' must be a whole number",
    },
    ["an empty secret"] = { more = { secret = "" }, says = "'secret' must not be empty" },
    ["a URL without a scheme"] = { more = { base_url = "localhost:3030" }, says = "'base_url' must be like" },
    ["a WebSocket URL"] = { more = { base_url = "ws://localhost:3030" }, says = "'base_url' must be like" },
    ["a URL with a password"] = { more = { base_url = "http://a:b@host" }, says = "'base_url' must be" },
    ["a URL with a query"] = { more = { base_url = "http://host/?a=1" }, says = "'base_url' must be like" },
    ["a logger that cannot be called"] = {
      more = { logger = "stderr" }, says = "'logger' must be a function, not a string",
    },
    ["a limit that is no number"] = {
      more = { limits = { event_size = "5k" } }, says = "'limits.event_size' must be a whole number from 1",
    },
    ["a limit that is no whole number"] = {
      more = { limits = { in_flight = 1.5 } },
      says = "'limits.in_flight' must be a whole number from 1 to 1024",
    },
    ["a limit of nothing"] = {
      more = { limits = { frame_size = 0 } }, says = "'limits.frame_size' must be a whole number from 1",
    },
    ["a limit without an end"] = {
      more = { limits = { answer_size = math.huge } }, says = "'limits.answer_size' must be a whole number",
    },
    ["a timeout without an end"] = {
      more = { timeouts = { connect = math.huge } }, says = "'timeouts.connect' must be a positive number",
    },
    ["a timeout that is NaN"] = {
      more = { timeouts = { silence = 0 / 0 } }, says = "'timeouts.silence' must be a positive number",
    },
    ["a port that is none"] = { more = { base_url = "http://host:65536" }, says = "'base_url' must be like" },
    ["a URL with a zero byte"] = { more = { base_url = "http://ho\0st" }, says = "control characters" },
    ["a proxy with a line break"] = { more = { proxy = "http://a\n" }, says = "control characters" },
    ["a negative timeout"] = {
      more = { timeouts = { request = -1 } }, says = "'timeouts.request' must be a positive number",
    },
    ["a health check that would come too late"] = {
      more = { timeouts = { health = 40 } },
      says = "'timeouts.health' must be shorter than 'timeouts.silence' (35)",
    },
    ["a misspelt timeout"] = {
      more = { timeouts = { conect = 1 } }, says = "did you mean 'timeouts.connect'",
    },
  } do
    it("refuses " .. name, function()
      local ok, message = pcall(case.give or function() return new(case.more) end)
      assert.is_false(ok)
      assert.truthy(message:find(case.says, 1, true), message)
      assert.truthy(message:find("client_options_spec.lua", 1, true), "blames the caller: " .. message)
    end)
  end

  it("takes the hosted service for granted, and makes no connection", function()
    local fake = fakes.new()
    local options = fake.options()
    options.base_url = nil
    local client = stream_events.new(options)
    assert.truthy(tostring(client):find("https://chat.stream-io-api.com", 1, true))
    assert.same({}, fake.sockets)
    assert.same({}, fake.requests)
  end)

  it("asks after a quiet server's health before it counts as dead, whatever was said of that", function()
    local fake = fakes.new()
    local client = fake.connected { timeouts = { silence = 7 } }
    fake.socket.on_send = function(self) self:receive { type = "health.check", cid = "*" } end
    for _ = 1, 100 do client:poll(1) end
    assert.same({ 1, true, true }, { #fake.sockets, client:online(), #fake.socket.sent >= 15 })
  end)

  it("cuts slashes off the end of the URL", function()
    local fake = fakes.new()
    fake.connected { base_url = "http://fake.test:3030//" }
    assert.equal("ws://fake.test:3030/connect?", fake.socket.options.url:match("^[^?]*%?"))
  end)

  it("turns https into wss and keeps a path", function()
    local fake = fakes.new()
    fake.connected { base_url = "https://fake.test/chat" }
    assert.equal("wss://fake.test/chat/connect?", fake.socket.options.url:match("^[^?]*%?"))
  end)
end)

describe("stream_events.array", function()
  it("takes nothing but a table, and blames the caller", function()
    local ok, message = pcall(function() local _ = stream_events.array("x") end)
    assert.is_false(ok)
    assert.truthy(message:find("client_options_spec.lua:%d+: a table expected, not a string"), message)
  end)
end)

describe("stream_events.stderr_logger", function()
  it("refuses a level that is none", function()
    assert.has_error(function() stream_events.stderr_logger("loud") end, "no log level: loud")
  end)

  it("writes one line an entry, whatever the entry holds", function()
    local lines = {}
    local file = { write = function(_, ...) lines[#lines + 1] = table.concat { ... } end }
    local log = require("stream_events.logger").to_file("info", file)
    log("debug", "not shown", {})
    log("warning", "two\nlines", { cid = "a:b", at = 3 })
    assert.same({ "stream-events: warning: two lines at=3 cid=a:b\n" }, lines)
  end)
end)

describe("a logger", function()
  it("never sees a token, wherever it stands", function()
    local token = require("stream_events.token").user("secret", "john")
    local seen = {}
    local log = require("stream_events.logger").safe(function(level, message, fields)
      seen[#seen + 1] = level .. message .. fields.url
    end)
    log("info", "sent " .. token, { url = "ws://x/connect?authorization=" .. token .. "&a=b" })
    assert.equal(1, #seen)
    assert.is_nil(seen[1]:find(token:match("[^.]+$"), 1, true))
    assert.truthy(seen[1]:find("a=b", 1, true))
  end)
end)
