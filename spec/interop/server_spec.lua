--- The server with a client that is not ours: python3-websockets and Python's http.client.
local fixtures = require "support.server"
local http_client = require "support.http_client"
local process = require "support.process"
local python = require "support.python"

describe("a Python client", function()
  teardown(process.end_all)

  it("exchanges custom events with another and is sent away when the server stops", function()
    local fixture = fixtures.start()
    fixture:users("alice", "bob")
    local server = fixture.server
    local client = python.start("spec/interop/custom_events.py",
      server.host, tostring(server.port), server.api_key,
      fixture:user_token "alice", fixture:user_token "bob", fixture:server_token())
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
