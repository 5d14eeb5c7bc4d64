--- The README: every program and every command line in it works as printed. Only the address is
-- another one, because the port in the text may be taken.
local command = require "support.command"
local luv = require "luv"
local manual = require "support.manual"
local process = require "support.process"
local rules = require "stream_events.rules"

local function read(path)
  local file = assert(io.open(command.ROOT .. path))
  local text = file:read "*a"
  file:close()
  return text
end

local README = manual.read "README.md"
local PRINTED = "http://127.0.0.1:3030"

local function blocks(language)
  return manual.texts("README.md", language)
end

local function program(containing)
  for _, text in ipairs(blocks "lua") do
    if text:find(containing, 1, true) then return text end
  end
  error("there is no program with " .. containing)
end

-- Command lines of the README that begin so.
local function command_lines(beginning)
  local found = {}
  for _, text in ipairs(blocks "") do
    for line in text:gmatch("[^\n]+") do
      if line:sub(1, #beginning) == beginning then found[#found + 1] = line end
    end
  end
  return found
end

describe("the README", function()
  local base_url, env, scratch

  setup(function()
    local _
    _, base_url = command.serve()
    env = { STREAM_BASE_URL = base_url }
    scratch = assert(luv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/stream-events-XXXXXX"))
  end)

  teardown(function()
    process.end_all()
    process.run("rm", { "-r", scratch })
  end)

  local function start(text)
    local path = scratch .. "/program.lua"
    local file = assert(io.open(path, "w"))
    file:write((text:gsub(PRINTED:gsub("%p", "%%%0"), base_url)))
    file:close()
    return process.start("lua5.4", { path })
  end

  -- A line as a shell runs it.
  local function shell(line)
    return process.start("sh", { "-c", "exec " .. line }, env, command.ROOT ~= "" and command.ROOT or nil)
  end

  it("has the programs that this spec runs, and no others", function()
    assert.equal(5, #blocks "lua")
    for _, line in ipairs(command_lines "lua/bin") do
      assert.truthy(line:find("^lua/bin/stream%-events %-*%l"), line)
    end
  end)

  it("shows a bot that answers", function()
    local bot = start(program "greeter")
    local listener = shell(command_lines("lua/bin/stream-events listen livestream:lobby")[1])
    listener:wait_for("stderr", "listening for ")
    -- The bot tells nobody when it is ready; asking again is what a user would do.
    repeat
      local sender = shell(command_lines("lua/bin/stream-events send livestream:lobby")[1])
      assert.equal(0, sender:finish(), sender.stderr)
    until listener.stdout:find("friendship_answer", 1, true)
    assert.truthy(listener.stdout:find('friendship_answer greeter {"text":"Hello, tommaso!"}', 1, true))
    bot:kill "sigterm"
    bot:finish()
    listener:kill "sigint"
    assert.equal(0, listener:finish())
  end)

  it("shows a game loop that shares positions", function()
    local listener = command.start({ "listen", "livestream:arena", "--as", "thierry" }, env)
    listener:wait_for("stderr", "listening for ")
    local game = start(program "frame")
    listener:wait_for("stdout", 'move player {"x":30}')
    assert.equal(0, game:finish(), game.stderr)
    listener:kill "sigint"
    assert.equal(0, listener:finish())
  end)

  it("shows an error with its hint", function()
    local child = start(program "err.hint")
    assert.equal(0, child:finish(), child.stderr)
    assert.truthy(child.stdout:find("^api%s+16%s"), child.stdout)
    assert.equal(2, select(2, child.stdout:gsub("\n", "")))
  end)

  it("shows a spec with a server of its own", function()
    local child = start(program "stream_events.server")
    assert.equal(0, child:finish(), child.stderr)
    assert.equal("", child.stderr)
  end)

  it("shows a client that keeps to its rules, in what it sends too", function()
    local child = start(program "event.dropped")
    assert.equal(0, child:finish(), child.stderr)
    assert.truthy(child.stdout:find("^rule%s+extra%-field%s"), child.stdout)
  end)

  it("shows rules that hold their own examples", function()
    local text
    for _, block in ipairs(blocks "") do
      if block:find('event "trade_offer"', 1, true) then text = block end
    end
    local set = assert(rules.parse(text, { name = "README.md" }))
    local results = set:test()
    assert.equal(2, #results)
    for _, result in ipairs(results) do assert.is_true(result.ok, result.text) end
  end)

  it("has the bot and the game loop of the examples", function()
    for path, containing in pairs {
      ["lua/examples/bot.lua"] = "greeter", ["lua/examples/game_loop.lua"] = "frame",
    } do
      assert.equal(program(containing), (read(path):gsub("^%-%-[^\n]*\n", "")))
    end
  end)

  it("names targets of make that exist", function()
    local makefile = read "Makefile"
    for target in README:gmatch("make ([a-z]+)") do
      if target ~= "ing" then assert.truthy(makefile:find("\n" .. target .. ":", 1, true), target) end
    end
  end)

  it("tells Lua where the plugin is", function()
    command.need_build()
    local line = command_lines("export LUA_PATH")[1]
    local child = process.run("sh", { "-c", line .. "\nlua5.4 -e 'require \"stream_events\"'" },
      { LUA_PATH = false, LUA_CPATH = false }, command.ROOT ~= "" and command.ROOT or nil)
    assert.equal("", child.stderr)
    assert.equal(0, child.code)
  end)

  it("shows commands that work", function()
    assert.equal(0, command.run({ "send", "livestream:x", "hello", "--as", "john" }, env).code)
    local log = assert(io.open(scratch .. "/log.jsonl", "w"))
    log:write('{"type":"trade_offer","cid":"messaging:x","user":{"id":"john"},"item":"boat"}\n')
    log:close()
    local ran = 0
    for _, line in ipairs(command_lines "lua/bin/stream-events") do
      for _, file in ipairs { "rules.lua", "log.jsonl" } do
        line = line:gsub(" " .. file:gsub("%.", "%%."), " " .. scratch .. "/" .. file)
      end
      local name = line:match("^%S+ (%S+)")
      if name == "listen" then
        local child = shell(line)
        child:wait_for("stderr", "listening for ")
        child:kill "sigint"
        assert.equal(0, child:finish(), line)
      elseif name == "serve" then
        local child = shell(line .. " --port 0 --data :memory:")
        child:wait_for("stdout", "listening on ")
        child:kill "sigterm"
        assert.equal(0, child:finish(), line)
      else
        local child = shell(line)
        assert.equal(0, child:finish(), line .. "\n" .. child.stderr)
        assert.truthy(#child.stdout > 0 or line:find(">", 1, true), line)
      end
      ran = ran + 1
    end
    assert.equal(16, ran)
  end)

  it("names files that exist", function()
    for path in README:gmatch("`(lua/[%w_/.]+)`") do
      assert.is_table(luv.fs_stat(command.ROOT .. path), path)
    end
  end)
end)
