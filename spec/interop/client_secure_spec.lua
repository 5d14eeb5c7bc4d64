--- The plugin over TLS at a server that is not ours: Node's, which offers HTTP/2 to those who can.
local certificates = require "support.tls"
local foreign = require "support.foreign"
local luv = require "luv"
local native = require "stream_events.native"
local process = require "support.process"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local PATIENCE = 20 -- seconds: a guard, conditions are waited for

describe("the plugin, over TLS,", function()
  local folder, server, client

  setup(function() folder = certificates.certificates { node = "IP:127.0.0.1" } end)
  after_each(function()
    client:close()
    server:stop()
  end)
  teardown(function()
    folder.remove()
    process.end_all()
  end)

  local function wait(condition)
    local ends = native.now() + PATIENCE
    repeat
      local result = condition()
      if result then return result end
      client:poll(0.005)
      luv.run "nowait"
    until native.now() > ends
    error("waited in vain", 2)
  end

  local function request(path)
    return wait(function() return server:take(function(report) return report.call == path end) end)
  end

  for offered, version in pairs { h2 = "2.0", ["http/1.1"] = "1.1" } do
    it("§1.1: makes calls by " .. offered .. " and opens WebSockets by HTTP/1.1, uncompressed", function()
      server = foreign.start("secure.js", folder.path "node.pem", folder.path "node.key", offered)
      local port = server:wait(function(report) return report.port end, "the server listens").port
      client = stream_events.new { api_key = "devkey", base_url = "https://127.0.0.1:" .. port,
        ca_file = folder.path "node.pem" }
      assert(client:connect_user({ id = "john" }, tokens.user("secret", "john")))
      local opened = request "GET /connect"
      assert.same({ "1.1", "" }, { opened.version, opened.extensions })
      local channel, events = client:channel("messaging", "lobby"), {}
      assert(channel:watch())
      channel:subscribe(function(event) events[#events + 1] = event end)
      local answers = 0
      for i = 1, 20 do
        channel:send_event("flare", { i = i, text = ("long "):rep(500) }, function(event, err)
          assert(event, err)
          answers = answers + 1
        end)
      end
      wait(function() return answers == 20 and #events == 20 end)
      local query = request "POST /channels/messaging/lobby/query"
      assert.same({ version, offered }, { query.version, query.agreed })
      assert.equal(version, request("POST /channels/messaging/lobby/event").version)
      assert.equal(2500, #events[20].text)
    end)
  end
end)
