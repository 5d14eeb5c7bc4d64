--- A page of another origin that calls the server from a real browser.
local command = require "support.command"
local fixtures = require "support.server"
local process = require "support.process"
local webdriver = require "support.webdriver"

-- Sends an event as a page would, and notes what it was let know.
local SEND = [[
  window.seen = null;
  fetch(arguments[0] + "/channels/messaging/lobby/event?api_key=devkey", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Stream-Auth-Type": "jwt", Authorization: arguments[1] },
    body: JSON.stringify({ event: { type: "flare" } }),
  }).then(async (answer) => {
    const event = (await answer.json()).event;
    window.seen = [answer.status, event.type, answer.headers.get("x-request-id") !== null].join(" ");
  }, (problem) => { window.seen = problem.name; });
]]

describe("a page of another origin", function()
  local browser, game, backend
  setup(function()
    browser = webdriver.start()
  end)
  teardown(function()
    browser:stop()
    process.end_all()
  end)

  local function serve(...)
    local server = command.start { "serve", "--port", "0", "--data", ":memory:", ... }
    game = server:wait_for("stdout", "listening on (%S+)\n")
    backend = fixtures.attach {
      host = "127.0.0.1", port = math.tointeger(tonumber(game:match ":(%d+)$")), api_key = "devkey",
      api_secret = "lan-dev-secret",
    }
    backend:users "alice"
    backend:channel("messaging:lobby", { "alice" })
  end

  local function send()
    browser:run(SEND, game, backend:user_token "alice")
    return browser:wait("the call has ended", "return window.seen")
  end

  it("sends an event, and reads the answer, where allowed_origins names it", function()
    local _, url = command.serve()
    browser:open(url .. "/healthz")
    serve("--allowed-origins", url)
    assert.equal("201 flare true", send())
  end)

  it("sends nothing where it is not named", function()
    local _, url = command.serve()
    browser:open(url .. "/healthz")
    serve("--allowed-origins", "https://game.example")
    assert.equal("TypeError", send())
  end)
end)
