--- The manual's sections on tokens and networks: their programs run, and their numbers are the defaults.
local fakes = require "support.fake_transport"
local manual = require "support.manual"
local options = require "stream_events.options"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local load_text = loadstring or load -- luacheck: ignore 113 (Lua 5.1)

describe("the manual's section on tokens", function()
  local blocks = manual.lua_blocks("connections.md", "Tokens")

  it("connects with a function, and tells when its token ends and why there is no newer one", function()
    assert.equal(2, #blocks)
    local fake, said, down = fakes.new(), {}, nil
    local client = stream_events.new(fake.options())
    local function backend(path)
      assert.equal("/token?user=john", path)
      if down then return nil, "the backend is down" end
      return tokens.user("lan-dev-secret", "john", { exp = math.floor(fake.clock.time()) + 3600 })
    end
    local function run(block)
      local program = assert(load_text("local client, ask_my_backend, print = ... ; " .. block))
      program(client, backend, function(text) said[#said + 1] = text end)
    end
    run(blocks[1])
    assert.is_true(client:online())
    run(blocks[2])
    down = true
    fake.socket.on_send = function(self) self:receive { type = "health.check" } end
    local ends = fake.clock.now() + 3541
    while fake.clock.now() < ends do client:poll(ends - fake.clock.now()) end
    run(blocks[2])
    assert.same({ "01:00", "01:00",
      "no newer token: the token provider gave no token: the backend is down" }, said)
  end)
end)

describe("the manual's section on networks", function()
  it("has a program that runs", function()
    local blocks = manual.lua_blocks("connections.md", "Networks")
    assert.equal(1, #blocks)
    local program = assert(load_text("local stream_events = ... ; " .. blocks[1] .. " return client"))
    program(stream_events):close()
  end)

  it("names the seconds that are the default", function()
    local timeouts = options.check({ api_key = "devkey" }, 1).timeouts
    assert.same({ 25, 35, 3 }, { timeouts.health, timeouts.silence, timeouts.check })
  end)
end)
