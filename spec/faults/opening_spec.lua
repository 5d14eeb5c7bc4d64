--- Faults while a connection is made: jane has lost hers, and what answers her upgrade is no server,
-- or one that is not well. The attempt after that is answered as it should be.
local kinds = require "support.fault_kinds"
local rigs = require "support.fault_rig"
local survival = require "support.survival"

local rig

-- The connection is reset, and the next upgrade, or the next connection, is spoiled.
local function next_one(what, fault, times)
  return function(at)
    at.proxy:plan(what, fault, times)
    at.proxy:each("websocket", "reset")
  end
end

-- What the attempt that was spoiled came to: the second change.
local function attempt(kind, code, text)
  return function(at)
    local change = at.changes[2]
    assert.is_truthy(change, "the attempt was not spoiled")
    assert.same({ false, kind, true }, { change.online, change.kind, change.will_retry }, change.reason)
    if code then assert.equal(code, change.code) end
    if text then assert.truthy(change.reason:find(text, 1, true), change.reason) end
  end
end

local function upgrade(fault, kind, code, text, times)
  return { next_one("websocket", fault, times), kind = "network", after = attempt(kind, code, text) }
end

-- The next connection is the one for the upgrade: nothing is sent, which might take it.
local function attempt_meets(fault, kind)
  return { next_one("accept", fault), kind = "network", sends = 0, after = attempt(kind) }
end

local function status(code, headers, body)
  return upgrade(kinds.answer(code, headers, body), "protocol", code, tostring(code))
end

local function wrong_key(head)
  return (head:gsub("Sec%-WebSocket%-Accept: [^\r]*", "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="))
end

local function first_frame(frame)
  return kinds.changed_frames(function(given, number) return number == 1 and frame or given end)
end

local JSON = { "Content-Type: application/json" }
local TROUBLE = '{"code":-1,"message":"internal","StatusCode":500,"duration":"","more_info":"","details":[]}'

local faults = {
  ["200"] = status(200),
  ["200 and HTML"] = upgrade(kinds.html(200), "protocol", 200),
  ["301"] = status(301, { "Location: http://127.0.0.1:1/elsewhere" }),
  ["400"] = status(400, JSON, TROUBLE),
  ["404 and HTML"] = upgrade(kinds.html(404), "protocol", 404),
  ["429 with Retry-After"] = status(429, { "Retry-After: 1" }),
  ["500"] = status(500, JSON, TROUBLE),
  ["502 and HTML"] = upgrade(kinds.html(502), "protocol", 502),
  ["503"] = status(503),
  ["503 several times"] = upgrade(kinds.answer(503), "protocol", 503, "503", 4),
  ["a 101 with the wrong key"] = upgrade(kinds.changed_head(wrong_key), "protocol", 1006),
  ["a 101 without Upgrade"] = upgrade(kinds.changed_head(function(head)
    return (head:gsub("Upgrade: websocket\r\n", ""))
  end), "protocol", 1006),
  ["a 101 that chooses a protocol nobody offered"] = upgrade(kinds.changed_head(function(head)
    return (head:gsub("\r\n\r\n$", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n"))
  end), "protocol", 1006),
  ["a 101 that chooses an extension nobody offered"] = upgrade(kinds.changed_head(function(head)
    return (head:gsub("\r\n\r\n$", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"))
  end), "protocol", 1006),
  ["something that is not HTTP"] = upgrade(kinds.bytes("SSH-2.0-OpenSSH_9.2\r\n\r\n"), "protocol"),
  ["zeros without end"] = upgrade(kinds.bytes(("\0"):rep(70000)), "protocol"),
  ["headers without end"] =
    upgrade(kinds.bytes("HTTP/1.1 101 Yes\r\n" .. ("X-Filler: yes\r\n"):rep(8000)), "protocol"),
  ["an end without an answer"] = upgrade(kinds.ends "close", "network", 1006),
  ["a reset without an answer"] = upgrade(kinds.ends "reset", "network", 1006),
  ["half an answer"] = upgrade(kinds.cut_head(40, "close"), "protocol", 1006),
  ["an answer and nothing behind it"] = upgrade(kinds.cut_head(65536, "close"), "network", 1006),
  ["a first frame that is HTML"] =
    upgrade(first_frame(kinds.frame("text", kinds.HTML)), "protocol"),
  ["a first frame that is masked"] =
    upgrade(first_frame(kinds.frame("text", "{}", { mask = true })), "protocol"),
  ["a first frame that closes"] = upgrade(first_frame(kinds.close_frame(1013, "later")), "network", 1013),
  ["an end right after connecting"] = attempt_meets(kinds.ends "close", "network"),
  ["a reset right after connecting"] = attempt_meets(kinds.ends "reset", "network"),
  ["nobody who listens"] = {
    function(at)
      at.proxy:refuse()
      at.proxy:each("websocket", "reset")
    end,
    kind = "network", after = attempt "network",
    during = function(at)
      at:wait("an attempt is refused", function() return at.changes[2] end)
      at.proxy:listen()
    end,
  },
  ["an error frame that says to wait"] = {
    next_one("websocket", first_frame(kinds.frame("text",
      '{"type":"connection.error","error":{"code":9,"message":"slow down","StatusCode":429}}'))),
    kind = "network", after = attempt("api", 9),
  },
}

describe("an upgrade survives", function()
  setup(function()
    rig = rigs.begin()
  end)

  teardown(function()
    rig:finish()
  end)

  survival.specs(faults, function() return rig end)

  it("503 a hundred times, without a storm: each failure makes the next wait longer", function()
    rig:forget()
    rig.proxy:plan("websocket", kinds.answer(503), 100)
    rig.proxy:each("websocket", "reset")
    rig:wait("a hundred attempts", function() return #rig.changes > 100 end)
    rig:back()
    assert.equal(102, #rig.changes)
    local last = 0
    for i = 1, 101 do
      assert.is_true(rig.changes[i].retry_in >= last)
      last = rig.changes[i].retry_in
    end
    rig:prove()
    assert.is_true(rig.jane.turns < 102 * 15, rig.jane.turns)
  end)
end)

describe("an upgrade that is not answered", function()
  setup(function()
    rig = rigs.begin { timeouts = { request = 2, connect = 0.3, close = 0.1, health = 2, silence = 5 } }
  end)

  teardown(function()
    rig:finish()
  end)

  survival.specs({
    ["at all"] = upgrade(kinds.nothing, "timeout", nil, "within 0.3 seconds"),
    ["beyond its status line"] = upgrade(kinds.bytes "HTTP/1.1 101 Switching Protocols\r\n", "timeout"),
    ["by a first frame"] = upgrade(kinds.no_first_frame, "timeout"),
    ["by anything but pings"] = upgrade(first_frame(kinds.frame("ping", "")), "timeout"),
    ["by somebody who accepts the connection"] =
      attempt_meets(kinds.nothing, "timeout"),
  }, function() return rig end, { once = true })
end)
