--- How the command shows events: exact values, and nothing that steers a terminal.
local errors = require "stream_events.error"
local fields = require "stream_events.command.fields"
local format = require "stream_events.command.format"
local native = require "stream_events.native"
local settings = require "stream_events.command.settings"

local AT = 1767225605.25

local function event(text, self)
  return assert(native.event.new(text, { self = self, received_at = AT }))
end

local function channel_event(data)
  return event('{"type":"flare","cid":"messaging:lobby","channel_id":"lobby","channel_type":"messaging",'
    .. '"user":{"id":"alice"},"created_at":"2026-01-01T00:00:05.25Z"' .. data .. "}")
end

local TIME = os.date("%H:%M:%S", math.floor(AT)) .. ".250"

describe("format.line", function()
  for name, case in pairs {
    ["an event without data"] = { "", "{}" },
    ["texts and numbers"] = { ',"x":12,"text":"Hey"', '{"x":12,"text":"Hey"}' },
    ["numbers larger than Lua's"] = {
      ',"n":123456789012345678901234567890.10', '{"n":123456789012345678901234567890.10}',
    },
    ["line breaks between values"] = { ',"a":[1,\n\t2]', '{"a":[1,  2]}' },
    ["escaped control characters"] = { ',"a":"\\u001b[2J\\n"', '{"a":"\\u001b[2J\\n"}' },
    ["DEL"] = { ',"a":"\127"', '{"a":"\\u007f"}' },
    ["C1 controls"] = { ',"a":"\u{9b}2J"', '{"a":"\\u009b2J"}' },
    ["text that turns around"] = { ',"a":"\u{202E}\u{2066}\u{200F}"', '{"a":"\\u202e\\u2066\\u200f"}' },
    ["line separators"] = { ',"a":"\u{2028}\u{85}"', '{"a":"\\u2028\\u0085"}' },
    ["hostile keys"] = { ',"a\\u001b\u{9b}":1', '{"a\\u001b\\u009b":1}' },
    ["other writing"] = { ',"a":"Grüße 日本 😀"', '{"a":"Grüße 日本 😀"}' },
  } do
    it("shows " .. name .. " in one line of JSON", function()
      local line = format.line(channel_event(case[1]))
      assert.equal(TIME .. " messaging:lobby flare alice " .. case[2], line)
      assert.is_nil(line:find("%c"))
    end)
  end

  for shown, remark in pairs {
    ["[flag, check (odd): look at it]"] =
      { verdict = "flag", judged = "flag", reason = "check", rule = "odd", text = "look at it" },
    ["[audit: would be drop, refused (x\\u001b)]"] =
      { verdict = "audit", judged = "drop", reason = "refused", rule = "x\27", text = "" },
    ["[rewrite]"] = { verdict = "rewrite", judged = "rewrite" },
  } do
    it("shows what rules remarked: " .. shown, function()
      assert.equal(TIME .. " messaging:lobby flare alice {} " .. shown,
        format.line(channel_event "", false, remark))
    end)
  end

  it("shows a user event as sent by the server", function()
    assert.equal(TIME .. ' @bob bonus server {"coins":5}',
      format.line(event '{"type":"bonus","user":{"id":"bob"},"created_at":"2026-01-01T00:00:07Z","coins":5}'))
  end)

  it("uses colours only when asked to", function()
    assert.is_nil(format.line(channel_event ""):find("\27", 1, true))
    assert.truthy(format.line(channel_event "", true):find("\27[", 1, true))
  end)
end)

describe("format.json", function()
  it("keeps the sender's data apart from what the server says", function()
    local line = format.json(channel_event ',"trust":"server","received_at":1,"data":[],"n":1.50')
    assert.equal('{"type":"flare","cid":"messaging:lobby","user":{"id":"alice"},'
      .. '"created_at":"2026-01-01T00:00:05.25Z","trust":"user","received_at":1767225605.25,'
      .. '"data":{"trust":"server","received_at":1,"data":[],"n":1.50}}', line)
  end)
end)

describe("format.word", function()
  for word, quoted in pairs {
    ["rules.lua"] = "rules.lua", ["a b"] = "'a b'", ["it's"] = "'it'\\''s'", ["$(x)"] = "'$(x)'",
    ["\27[2J"] = "'\\u001b[2J'",
  } do
    it("quotes " .. quoted, function() assert.equal(quoted, format.word(word)) end)
  end
end)

describe("format.encoded", function()
  it("is JSON that steers no terminal", function()
    local text = format.encoded { a = "\27[2J\127\u{9b}\u{202E}\n" }
    assert.equal('{"a":"\\u001b[2J\\u007f\\u009b\\u202e\\n"}', text)
    assert.same({ a = "\27[2J\127\u{9b}\u{202E}\n" }, native.json.decode(text))
  end)

  it("takes bytes that are no text", function()
    assert.equal('{"a":["x?","\u{fc}"]}', format.encoded { a = native.json.array { "x\255", "\u{fc}" } })
  end)
end)

describe("format.plain", function()
  for text, shown in pairs {
    ["hello"] = "hello",
    ["a\nb\27[31m"] = "a\\u000ab\\u001b[31m",
    ["\u{9b}31m"] = "\\u009b31m",
    ["bad \255 bytes"] = "bad ? bytes",
    ["Grüße"] = "Grüße",
  } do
    it("shows " .. shown, function() assert.equal(shown, format.plain(text)) end)
  end
end)

describe("format.error_json", function()
  it("names what programs branch on", function()
    local text = format.error_json(errors.from_response(400, '{"code":18,"message":"off","StatusCode":400}'))
    local err = native.json.decode(text).error
    assert.same({ "api", 18, 400, "off", false },
      { err.kind, err.code, err.status, err.message, err.retryable })
    assert.is_string(err.hint)
  end)
end)

describe("format.file_failure", function()
  it("names the file first, then what is wrong", function()
    local luv = require "luv"
    local _, message = luv.fs_open("/nonexistent/log.jsonl", "r", 0)
    assert.equal("/nonexistent/log.jsonl: no such file or directory", format.file_failure(message))
    assert.equal("something else: x", format.file_failure "something else: x")
  end)
end)

describe("fields.parse", function()
  for name, case in pairs {
    ["texts"] = { { "text=Hey there", "empty=", "n=1" }, { text = "Hey there", empty = "", n = "1" } },
    ["JSON values"] = { { "x:=12", "big:=9007199254740993", "on:=true", 'o:={"a":[1]}' },
      { x = 12, big = 9007199254740993, on = true, o = { a = { 1 } } } },
    ["signs in the value"] = {
      { "a=b=c", "u=http://h/?q:=1", 'j:="a=b"' }, { a = "b=c", u = "http://h/?q:=1", j = "a=b" },
    },
    ["colons in the key"] = { { "a:b=c", "a:c:=1" }, { ["a:b"] = "c", ["a:c"] = 1 } },
    ["odd keys"] = {
      { "constructor=1", "__index=2", "__proto__=3" },
      { constructor = "1", __index = "2", __proto__ = "3" },
    },
    ["nothing"] = { {}, {} },
  } do
    it("reads " .. name, function() assert.same(case[2], fields.parse(case[1])) end)
  end

  it("reads null as null", function()
    assert.equal(native.json.null, fields.parse({ "a:=null" }).a)
  end)

  it("says what is wrong with JSON, and how a text is written", function()
    local _, message = fields.parse { "a:=hello" }
    assert.equal("a:=hello is not JSON: a value is missing at byte 1; a text is a=hello", message)
    _, message = fields.parse { "a:=" .. ("["):rep(100) }
    assert.truthy(message:find("^a:=%.%.%. is not JSON: "), message)
  end)

  for name, words in pairs {
    ["a word without a sign"] = { "text" },
    ["no key"] = { "=a" },
    ["no key before JSON"] = { ":=1" },
    ["bad JSON"] = { "a:=hello" },
    ["empty JSON"] = { "a:=" },
    ["a key twice"] = { "a=1", "a:=2" },
    ["bytes that are no text"] = { "a=\255" },
    ["a key that is no text"] = { "\255=a" },
    ["what no request could hold"] = { "a:=" .. ("["):rep(31) .. ("]"):rep(31) },
  } do
    it("refuses " .. name, function()
      for _, parse in ipairs { fields.parse, fields.event_data } do
        local data, message = parse(words)
        assert.is_nil(data)
        assert.is_string(message)
      end
    end)
  end

  it("knows that the type of an event is no data of it", function()
    assert.same({ type = "x" }, fields.parse { "type=x" })
    assert.is_nil((fields.event_data { "type=x" }))
    assert.same({ text = "x" }, fields.event_data { "text=x" })
  end)
end)

describe("settings.is_loopback", function()
  for host, expected in pairs {
    ["127.0.0.1"] = true, ["127.1.2.3"] = true, localhost = true, LOCALHOST = true,
    ["::1"] = true, ["[::1]"] = true,
    ["0.0.0.0"] = false, ["::"] = false, ["192.168.1.1"] = false, ["127.0.0.1.evil.example"] = false,
    ["localhost.evil.example"] = false, ["chat.stream-io-api.com"] = false, [""] = false,
  } do
    it(("says %s of %q"):format(expected, host), function()
      assert.equal(expected, settings.is_loopback(host))
    end)
  end
end)
