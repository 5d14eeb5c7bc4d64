--- Faults of HTTP calls: every send has one answer that says what is known, no event is sent twice by
-- that, and the connection does not care.
local kinds = require "support.fault_kinds"
local native = require "stream_events.native"
local rigs = require "support.fault_rig"
local survival = require "support.survival"

local rig

-- Those of the last sends that jane made first, with what became of them.
local function outcomes(at)
  local found = {}
  for _, send in ipairs(at.sends) do
    if send.user == at.jane then found[#found + 1] = send.err and send.err.kind or "ok" end
    if #found == 4 then break end
  end
  return found
end

-- The next four calls, which are what jane sends, meet a fault, and all end so.
local function calls(fault, expected, code)
  return {
    function(at) at.proxy:plan("http", fault, 4) end,
    after = function(at)
      local ended = outcomes(at)
      for i = 1, 4 do assert.equal(expected, ended[i]) end
      if not code then return end
      for _, send in ipairs(at.sends) do
        if send.err then assert.equal(code, send.err.status) end
      end
    end,
  }
end

-- The same when the connections of these calls are gone before the next ones are made.
local function and_gone(case)
  case.during = function(at)
    at:wait("their end", function() return at.proxy.met.ended == 4 end)
  end
  return case
end

local JSON = { "Content-Type: application/json" }
local SLOW_DOWN =
  '{"code":9,"message":"slow down","StatusCode":429,"duration":"","more_info":"","details":[]}'

local function longer(answer)
  return (answer:gsub("Content%-Length: (%d+)", function(n) return "Content-Length: " .. n + 50 end))
end

local function start(seconds)
  return function()
    rig = rigs.begin { timeouts = rigs.patience(seconds) }
  end
end

local function stop()
  rig:finish()
end

-- What is answered gets all the time it may need: an answer in single bytes takes hundreds of turns.
describe("HTTP calls survive", function()
  setup(start(20))
  teardown(stop)

  survival.specs({
    ["an end behind the answer"] = and_gone(calls(kinds.ends_behind_answer "close", "ok")),
    ["a reset behind the answer"] = and_gone(calls(kinds.ends_behind_answer "reset", "ok")),
    ["an answer that is cut off in its head"] = calls(kinds.cut_answer(25, "close"), "network"),
    ["an answer that is cut off in its body"] = calls(kinds.cut_answer(-20, "close"), "network"),
    ["an answer that is reset in its body"] = calls(kinds.cut_answer(-20, "reset"), "network"),
    ["the end in the place of the answer"] = calls(kinds.loses_answer "close", "network"),
    ["a reset in the place of the answer"] = calls(kinds.loses_answer "reset", "network"),
    ["500"] = calls(kinds.answer(500), "api", 500),
    ["502 and HTML"] = calls(kinds.html(502), "api", 502),
    ["503 and an end"] = calls(kinds.answer(503, nil, "busy", "close"), "api", 503),
    ["504 and HTML"] = calls(kinds.html(504), "api", 504),
    ["301"] = calls(kinds.answer(301, { "Location: http://127.0.0.1:1/" }), "api", 301),
    ["200 and HTML"] = calls(kinds.html(200), "protocol"),
    ["200 and nothing"] = calls(kinds.answer(200, JSON), "protocol"),
    ["200 and half of a JSON text"] = calls(kinds.answer(200, JSON, '{"event":{"type":"n"'), "protocol"),
    ["something that is not HTTP"] = calls(kinds.bytes("SSH-2.0-OpenSSH_9.2\r\n\r\n", "close"), "protocol"),
    ["an answer that comes late, but in time"] = calls(kinds.shaped(kinds.late(30)), "ok"),
    ["an answer in single bytes"] = calls(kinds.shaped(kinds.drip), "ok"),
  }, function() return rig end)
end)

describe("HTTP calls whose time is over survive", function()
  setup(start(1))
  teardown(stop)

  survival.specs({
    ["no answer"] = calls(kinds.nothing, "timeout"),
    ["an answer of which a part never comes"] = calls(kinds.cut_answer(-20), "timeout"),
    ["an answer that announces too much"] = calls(kinds.changed_answer(longer), "timeout"),
    ["an answer after the time"] = calls(kinds.shaped(kinds.late(1500)), "timeout"),
  }, function() return rig end, { once = true })
end)

describe("HTTP calls that are told to wait", function()
  setup(function() rig = rigs.start() end)
  teardown(function() rig:stop() end)

  it("wait as long as Retry-After says, and are made then", function()
    rig:forget()
    rig.proxy:plan("http", kinds.answer(429, { "Retry-After: 1", JSON[1] }, SLOW_DOWN))
    local before = native.now()
    rig:prove()
    assert.is_true(native.now() - before > 0.9)
    assert.equal(1, rig.proxy.met.http)
    assert.is_true(rig.jane.turns < 40, rig.jane.turns)
    assert.same({}, rig:account())
  end)
end)
