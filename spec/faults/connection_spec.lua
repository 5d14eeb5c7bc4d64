--- Faults of a connection that is open: whatever is done to it, jane's handlers go on getting events.
local kinds = require "support.fault_kinds"
local rigs = require "support.fault_rig"
local survival = require "support.survival"

local rig

local function setup_rig(options)
  return function()
    rig = rigs.begin(options)
  end
end

local function stop_rig()
  rig:finish()
end

local function each(method, ...)
  local arguments = table.pack(...)
  return function(at) at.proxy:each("websocket", method, table.unpack(arguments, 1, arguments.n)) end
end

local function says(bytes) return each("inject", bytes) end

local frame = kinds.frame

describe("a connection survives", function()
  setup(setup_rig())
  teardown(stop_rig)

  local faults = {
    ["a reset"] = { each "reset", kind = "network" },
    ["an end without a close frame"] = { each "close", kind = "network", code = 1006 },
    ["a close frame without a code"] = { says(frame("close", "")), kind = "network", code = 1005 },
    ["a bad opcode"] = { says(frame(3, "x")), kind = "protocol" },
    ["a bad opcode of control"] = { says(frame(11, "x")), kind = "protocol" },
    ["a masked frame"] = { says(frame("text", "{}", { mask = true })), kind = "protocol" },
    ["a reserved bit"] = { says(frame("text", "{}", { rsv = 0x40 })), kind = "protocol" },
    ["text that is not UTF-8"] = { says(frame("text", '{"type":"n","n":"\xff\xfe"}')), kind = "protocol" },
    ["a message over the limit"] = { says(frame("text", "x", { length = 2 ^ 20 + 1 })), kind = "protocol" },
    ["a message of 2^62 bytes"] = { says(frame("text", "x", { length = 2 ^ 62 })), kind = "protocol" },
    ["a long ping"] = { says(frame("ping", ("x"):rep(126))), kind = "protocol" },
    ["a ping in fragments"] = { says(frame("ping", "x", { fin = false })), kind = "protocol" },
    ["a continuation of nothing"] = { says(frame("continuation", "x")), kind = "protocol" },
    ["a close frame of one byte"] = { says(frame("close", "x")), kind = "protocol" },
    ["a close frame with bad UTF-8"] = { says(frame("close", "\3\232\xff")), kind = "protocol" },
    ["a frame that ends half way"] = {
      function(at)
        at.proxy:each("websocket", "inject", frame("text", '{"type":', { length = 60 }))
        at.proxy:each("websocket", "close")
      end, kind = "network",
    },
    ["noise"] = { says(("\0\255\129"):rep(100)), kind = "protocol" },
  }
  local valid = { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999 }
  for _, code in ipairs(valid) do
    faults["a close frame with code " .. code] =
      { says(kinds.close_frame(code, "because")), kind = "network", code = code }
  end
  for _, code in ipairs { 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535 } do
    faults["a close frame with the forbidden code " .. code] =
      { says(kinds.close_frame(code)), kind = "protocol" }
  end
  survival.specs(faults, function() return rig end)
end)
