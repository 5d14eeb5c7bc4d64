--- The server's framing with a client that is not ours: python3-websockets drives the echo server.
local process = require "support.process"
local python = require "support.python"

describe("python3-websockets", function()
  teardown(process.end_all)

  it("gets back what it sends, and is closed as RFC 6455 says", function()
    local server = process.start("lua5.4", { "spec/support/ws_echo_server.lua", "0" })
    local url = server:wait_for("stdout", "listening on (ws://127.0.0.1:%d+)\n")
    local client = python.start("spec/interop/websockets_client.py", url)
    assert.equal(0, client:finish(), client.stdout .. client.stderr)
    assert.matches("\ndone\n$", client.stdout)
    server:kill "sigterm"
    assert.equal(0, server:finish(), server.stderr)
  end)
end)
