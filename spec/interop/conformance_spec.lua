--- RFC 6455 conformance, group by group: both echo programs against framing that is not ours.
local process = require "support.process"

local PYTHON = "/usr/bin/python3" -- the system's own, whatever else is in the path

-- A part is what runs well within the time that a child process gets in specs.
local PARTS = {
  { "one frame a message", "1" },
  { "pings, pongs, reserved bits and opcodes", "2,3,4" },
  { "fragments", "5" },
  { "UTF-8: fragments and first bytes", "6.1,6.2,6.3,6.4,6.5,6.6,6.7,6.8,6.9,6.10,6.11" },
  { "UTF-8: what is cut or overlong", "6.12,6.13,6.14,6.15,6.16,6.17,6.18,6.19" },
  { "UTF-8: surrogates and noncharacters", "6.20,6.21,6.22,6.23" },
  { "closing", "7" },
  { "large and many messages", "9,10" },
  { "lengths, masks, limits and sudden ends", "20" },
}

-- Under a sanitizer its library is loaded first, which is for our programs and not for Python.
local function run(...)
  local checker = process.run(PYTHON, { "spec/interop/conformance.py", ... }, { LD_PRELOAD = false })
  assert.equal("", checker.stderr)
  assert(checker.code == 0, checker.stdout)
  assert.matches(": [1-9]%d* cases, ", checker.stdout)
end

describe("the server keeps to RFC 6455:", function()
  local server, port

  setup(function()
    server = process.start("lua5.4", { "spec/support/ws_echo_server.lua", "0" })
    port = server:wait_for("stdout", "listening on ws://%S+:(%d+)\n")
  end)

  teardown(process.end_all)

  for _, part in ipairs(PARTS) do
    it(part[1], function() run("--only", part[2], "server", port) end)
  end

  it("byte by byte", function() run("--only", "2,5,7", "--chunk", "1", "server", port) end)

  it("and ends well after all that", function()
    server:kill "sigterm"
    assert.equal(0, server:finish())
    assert.equal("", server.stderr)
  end)
end)

describe("the client keeps to RFC 6455:", function()
  local preload = "LD_PRELOAD=" .. (os.getenv "LD_PRELOAD" or "")

  local function check(...)
    local words = { ... }
    for _, word in ipairs { "client", "env", preload, "lua5.4", "spec/support/ws_echo_client.lua" } do
      words[#words + 1] = word
    end
    run(table.unpack(words))
  end

  for _, part in ipairs(PARTS) do
    it(part[1], function() check("--only", part[2]) end)
  end

  it("byte by byte", function() check("--only", "2,5,7", "--chunk", "1") end)
end)
