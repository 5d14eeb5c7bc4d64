--- The demo: every step happens, it ends by itself, and leaves nothing behind.
local command = require "support.command"
local luv = require "luv"
local process = require "support.process"

local ROOT = command.ROOT ~= "" and command.ROOT or nil
local DEMO = "lua/examples/demo.lua"

-- Whether anybody accepts connections there.
local function is_listening(url)
  local host, port = url:match("^http://([%d.]+):(%d+)$")
  local socket = assert(luv.new_tcp())
  local failure = false
  socket:connect(host, tonumber(port), function(err) failure = err or "connected" end)
  process.wait(function() return failure end, "the connect had a result")
  socket:close()
  luv.run "nowait"
  return failure == "connected"
end

describe("the demo", function()
  teardown(process.end_all)

  it("shows every step, ends with 0, and its server with it", function()
    local demo = process.run("lua5.4", { DEMO }, nil, ROOT)
    assert.equal("", demo.stderr)
    assert.equal(0, demo.code)
    for _, text in ipairs {
      'thierry received "Hey there, long time no see!" from tommaso',
      "round trip %d+%.%d ms",
      "tommaso received 50 coins; trust: server",
      "a stranger who is no member gets 403",
      "a forged message%.new gets: ",
      "a forged password_reset from tommaso: dropped, reason: trust",
      "the backend's password_reset: delivered, trust: server",
    } do
      assert.truthy(demo.stdout:find(text), text .. "\n" .. demo.stdout)
    end
    assert.is_nil(demo.stdout:find("\27", 1, true))
    assert.is_false(is_listening(demo.stdout:match("listening on (%S+)")))
  end)

  it("ends with 1 when a step does not happen", function()
    -- Without an interpreter on its path the server cannot start.
    local demo = process.run("sh", {
      "-c", 'lua=$(command -v lua5.4); PATH=/nonexistent exec "$lua" ' .. DEMO,
    }, nil, ROOT)
    assert.equal(1, demo.code)
    assert.truthy(demo.stderr:find("The demo failed: the server ended", 1, true), demo.stderr)
    assert.is_nil(demo.stdout:find("Try it yourself", 1, true))
  end)

  it("ends its server also when it is ended itself", function()
    local demo = process.start("lua5.4", { DEMO }, nil, ROOT)
    local url = demo:wait_for("stdout", "listening on (%S+)")
    if not demo.code then demo:kill "sigterm" end -- it may be that fast
    assert.is_number((demo:finish()))
    assert.is_false(is_listening(url))
  end)

  it("ends its server also when nobody reads what it says", function()
    local demo = process.start("lua5.4", { DEMO }, nil, ROOT)
    local url = demo:wait_for("stdout", "listening on (%S+)")
    demo:stop_reading()
    assert.equal(0, (demo:finish()))
    assert.is_false(is_listening(url))
  end)

  it("prints commands that work from a folder whose name has a space and a quote", function()
    local folder = assert(luv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/stream-events-XXXXXX"))
    local tree = folder .. "/it's here"
    assert(luv.fs_symlink(assert(luv.fs_realpath(command.ROOT ~= "" and command.ROOT or ".")), tree))
    local demo = process.run("lua5.4", { tree .. "/" .. DEMO })
    assert.equal(0, demo.code, demo.stderr)
    local serve = demo.stdout:match("terminals:\n  ([^\n]+)\n")
    local server = process.start("sh", { "-c", "exec " .. serve .. " --port 0 --data :memory:" })
    local listen = server:wait_for("stderr", "\n  ([^\n]+)\n")
    local listener = process.start("sh", { "-c", listen:gsub("(STREAM_BASE_URL=%S+ )", "%1exec ") .. "" })
    listener:wait_for("stderr", "listening for ")
    listener:kill "sigint"
    assert.equal(0, listener:finish())
    server:kill "sigterm"
    assert.equal(0, server:finish())
    luv.fs_unlink(tree)
    luv.fs_rmdir(folder)
  end)

  it("prints commands that work", function()
    local _, base_url = command.serve()
    local env = { STREAM_BASE_URL = base_url }
    local demo = process.run("lua5.4", { DEMO }, nil, ROOT)
    local suggested = demo.stdout:match("terminals:\n(.*)$")
    local serve, listen, send, new, careful = suggested:match(
      "^  ([^\n]+)\n  ([^\n]+)\n  ([^\n]+)\nThen[^\n]+\n  ([^\n]+)\n  ([^\n]+)\n$")
    local folder = assert(luv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/stream-events-XXXXXX"))
    local function start(line)
      line = line:gsub(" rules%.lua", " " .. folder .. "/rules.lua")
      return process.start("sh", { "-c", "exec " .. line }, env, ROOT)
    end
    local function listening(line)
      local listener = start(line)
      listener:wait_for("stderr", "listening for ")
      return listener
    end
    local function finish(child, signal)
      if signal then child:kill(signal) end
      assert.equal(0, child:finish(), child.stderr)
    end
    local server = start(serve .. " --port 0 --data :memory:")
    server:wait_for("stdout", "listening on ")
    finish(start(new))
    local first, second = listening(listen), listening(careful)
    finish(start(send))
    for _, listener in ipairs { first, second } do
      listener:wait_for("stdout", 'friendship_request tommaso {"text":"Hey there"}')
      finish(listener, "sigint")
    end
    finish(server, "sigterm")
    luv.fs_unlink(folder .. "/rules.lua")
    luv.fs_rmdir(folder)
  end)
end)
