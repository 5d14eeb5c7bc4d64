--- The backend of the examples: tokens for players, webhooks in, rewards out.
local attach = require("stream_events.loop.luv").attach
local command = require "support.command"
local folder = require "support.folder"
local http_client = require "support.http_client"
local native = require "stream_events.native"
local people = require "support.people"
local process = require "support.process"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"
local webhook = require "stream_events.webhook"

local PROGRAM = command.ROOT .. "lua/examples/backend/backend.lua"
local ANN, BOB = "c2b1a6c07cf04c35a5f3a8e1a4a4f4d1", "5a1f3be98ab8469e9ddc3d6c2ef5a7d0"

describe("the backend", function()
  local place, base_url, backend, web

  local function start(env)
    local all = {
      STREAM_BASE_URL = base_url, STREAM_API_KEY = "devkey", STREAM_API_SECRET = people.SECRET,
      BACKEND_PORT = "0", BACKEND_URL = false, BACKEND_PLAYERS = place:at "players",
    }
    for name, value in pairs(env or {}) do all[name] = value end
    return process.start("lua5.4", { PROGRAM }, all)
  end

  setup(function()
    command.need_build()
    place = folder.new()
    place:write("players", ("# who plays\nann %s\nbob %s\n"):format(ANN, BOB))
    local _
    _, base_url = command.serve()
    backend = start()
    local port = backend:wait_for("stdout", "listening on http://127%.0%.0%.1:(%d+)\n")
    web = http_client.new { host = "127.0.0.1", port = tonumber(port) }
  end)

  teardown(function()
    web:close()
    people.close_all()
    process.end_all()
    place:remove()
  end)

  local function ask_token(key)
    return web:request("POST", "/tokens", { headers = { Authorization = key and "Bearer " .. key } })
  end

  -- A webhook as the service sends it.
  local function tell(event, secret, id)
    local text = native.json.encode(event)
    return web:request("POST", "/hooks", { body = text, headers = {
      ["X-Signature"] = webhook.sign(text, secret or people.SECRET),
      ["X-Webhook-Id"] = id or native.crypto.uuid(),
    } })
  end

  it("gives a player a token, with which the game connects, and rewards what was done there", function()
    local game = stream_events.new { api_key = "devkey", base_url = base_url, logger = function() end }
    attach(game)
    local me = game:connect_user({ id = "ann" }, function()
      local answer = ask_token(ANN)
      return answer.body.token
    end)
    assert.equal("ann", me.id)
    local rewards = {}
    game:subscribe_for("reward", function(event) rewards[#rewards + 1] = event end)
    local channel = game:channel("livestream", "quests")
    assert(channel:watch())
    assert(channel:send_event("quest_done", { quest = "dragon", coins = 1000000 }))
    process.wait(function() return rewards[1] end, "the reward has come")
    assert.same({ "server", "dragon", 50 }, { rewards[1].trust, rewards[1].quest, rewards[1].coins })
    assert(channel:send_event("quest_done", { quest = "dragon" })) -- once is enough
    assert(channel:send_event("quest_done", { quest = "sofa" }))
    assert(channel:send_event("quest_done", { quest = "river" }))
    process.wait(function() return rewards[2] end, "the next has come")
    assert.equal("river", rewards[2].quest)
    game:close()
    backend:wait_for("stdout", "for river\n")
    assert.equal("ann has 50 coins for dragon\nann has 10 coins for river\n",
      (backend.stdout:gsub("^listening[^\n]*\n", "")))
  end)

  it("signs tokens that run out, for the player of the key alone", function()
    local answer = ask_token(BOB)
    assert.equal(200, answer.status)
    assert.equal("bob", answer.body.user_id)
    assert.equal("no-store", answer.headers["cache-control"])
    local claims = assert(tokens.verify(answer.body.token, people.SECRET))
    assert.same({ "bob", answer.body.expires }, { claims.user_id, claims.exp })
    assert.is_true(claims.exp > os.time() and claims.exp <= os.time() + 3600)
    for _, key in ipairs { "", "ann", ANN .. "x", ANN:sub(1, -2) } do
      assert.equal(401, ask_token(key).status, key)
    end
    assert.equal(401, ask_token(nil).status)
  end)

  it("believes no webhook that is not signed, and takes each once", function()
    local event = { type = "quest_done", quest = "dragon", user = { id = "bob" } }
    assert.equal(401, tell(event, "another secret").status)
    assert.equal(200, tell(event, nil, "the same").status)
    backend:wait_for("stdout", "bob has 50 coins for dragon\n")
    assert.equal(200, tell(event, nil, "the same").status)
    assert.equal(200, tell(event).status) -- another that says the same
    for _, odd in ipairs {
      { type = "quest_done" }, { type = "quest_done", user = 5, quest = {} }, { type = "x" },
    } do
      assert.equal(200, tell(odd).status)
    end
    assert.equal(1, select(2, backend.stdout:gsub("bob has", "")))
    backend:wait_for("stderr", "a webhook was refused: auth: [^\n]*\n")
  end)

  it("does not ask for what cannot help to be sent again", function()
    local event = { type = "quest_done", quest = "dragon", user = { id = "nobody" } }
    assert.equal(200, tell(event).status)
    backend:wait_for("stderr", "no reward for nobody: [^\n]*code 16")
  end)

  it("answers nothing else", function()
    assert.equal(404, web:request("GET", "/").status)
    local answer = web:request("GET", "/tokens")
    assert.same({ 405, "POST" }, { answer.status, answer.headers.allow })
  end)

  it("has a webhook sent again when the service was away, and tells it where it is only once", function()
    local server, url = command.serve { "--api-secret", "one of its own" }
    local env = { STREAM_BASE_URL = url, STREAM_API_SECRET = "one of its own" }
    local first = start(env)
    first:wait_for("stdout", "listening")
    first:kill "sigterm"
    assert.equal(0, first:finish(), first.stderr)
    local other = start(env) -- it is known already
    local port = other:wait_for("stdout", "listening on http://127%.0%.0%.1:(%d+)\n")
    server:kill "sigkill"
    server:finish()
    local mine = web
    web = http_client.new { host = "127.0.0.1", port = tonumber(port) }
    local event = { type = "quest_done", quest = "dragon", user = { id = "bob" } }
    assert.equal(503, tell(event, "one of its own", "again").status)
    assert.equal(503, tell(event, "one of its own", "again").status) -- no repeat: nothing was done
    web:close()
    web = mine
    other:kill "sigterm"
    assert.equal(0, other:finish(), other.stderr)
  end)

  it("ends when the service does not take it, or when nobody plays", function()
    local refused = start { STREAM_API_SECRET = "another secret" }
    assert.equal(1, refused:finish())
    assert.truthy(refused.stderr:find("the service does not take us: auth: [^\n]*code 43"), refused.stderr)
    local alone = start { BACKEND_PLAYERS = place:write("nobody", "# nobody\n") }
    assert.equal(1, alone:finish())
    local torn = start { BACKEND_PLAYERS = place:write("torn", "ann " .. ANN .. "\nbob\n") }
    assert.equal(1, torn:finish())
    assert.truthy(torn.stderr:find("a line is not ID KEY", 1, true))
  end)

  it("says which of its settings is not usable, and ends", function()
    local taken = base_url:match ":(%d+)$"
    for _, case in ipairs {
      { "BACKEND_PORT", "http", "must be a number" }, { "BACKEND_PORT", "-1", "must be a number" },
      { "BACKEND_PORT", "0x50", "must be a number" }, { "BACKEND_PORT", "65536", "must be a number" },
      { "BACKEND_PORT", taken, "address already in use" }, { "BACKEND_PLAYERS", "", "is not set" },
      { "BACKEND_PLAYERS", place:at "missing", "No such file" },
    } do
      local wrong = start { [case[1]] = case[2] }
      assert.equal(1, wrong:finish(), case[2])
      assert.truthy(wrong.stderr:find("^" .. case[1]), wrong.stderr)
      assert.truthy(wrong.stderr:find(case[3], 1, true), wrong.stderr)
    end
  end)
end)
