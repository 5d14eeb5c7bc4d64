--- The server with a client that is not ours: python3-websockets and Python's http.client.
local fixtures = require "support.server"
local http_client = require "support.http_client"
local process = require "support.process"

local PYTHON = "/usr/bin/python3" -- the system's own, which has the system's packages

local function available()
  local probe = io.popen(PYTHON .. " -c 'import websockets' 2>&1")
  if not probe then return false end
  local output = probe:read "a"
  probe:close()
  return output == ""
end

describe("a Python client", function()
  teardown(process.end_all)

  it("exchanges custom events with another and is sent away when the server stops", function()
    if not available() then
      pending "python3-websockets is not installed"
      return
    end
    local fixture = fixtures.start()
    fixture:users("alice", "bob")
    local server = fixture.server
    local client = process.start(PYTHON, {
      "spec/interop/custom_events.py", server.host, tostring(server.port), server.api_key,
      fixture:user_token "alice", fixture:user_token "bob", fixture:server_token(),
    })
    client:wait_for("stdout", "ready to be sent away")
    local stopped = false
    server:stop(function() stopped = true end)
    http_client.wait("the server's end", function() return stopped end)
    assert.equal(0, client:finish())
    assert.not_matches("FAILED", client.stdout)
    assert.matches("closed with 1012", client.stdout)
    fixture:stop()
  end)
end)
