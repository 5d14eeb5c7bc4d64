--- No call of a frame takes long, and none of them sleeps: measured in instructions, and with everything
--- that sleeps refused, through all that can happen to a client.
local command = require "support.command"
local folder = require "support.folder"
local frame_counts = require "support.frame_counts"
local process = require "support.process"
local tls = require "support.tls"

local PATIENCE = 120 -- seconds, since valgrind takes its time
local MANY = 60 -- channels and sends at once: enough to see that a frame does not take all of them

local PHASES = {
  "new", "connect", "watch one channel", "steady", "10 000 queued events", "1 MiB frame",
  "1 MiB frame of numbers", "10 000 unwanted events", "10 000 functions", "send", "many sends",
  "watch many channels", "reconnect with many channels", "disconnect", "close", "TLS handshake",
  "TLS handshake refused", "TLS with the system's certificates", "DNS failure", "DNS hangs",
}

describe("a frame", function()
  local phases, status, output

  setup(function()
    command.need_build()
    local place = folder.new()
    local certificates = tls.certificates { listener = "IP:127.0.0.1", other = "IP:127.0.0.1" }
    local root = command.ROOT ~= "" and command.ROOT or "./"
    local arguments = table.concat({
      certificates.path "listener.pem", certificates.path "listener.key", certificates.path "other.pem",
      MANY, "system",
    }, " ")
    local build, run = frame_counts.commands(place:at "frame_meter.so", place:at "log", arguments)
    local environment = {
      LD_PRELOAD = false, LUA_PATH = "lua/?.lua;lua/?/init.lua;spec/?.lua;;",
      LUA_CPATH = ("build/?.so;%s/?.so;;"):format(place.path),
    }
    local compiler = process.run("/bin/sh", { "-ec", build }, environment, root)
    assert(compiler.code == 0, compiler.stderr)
    local child = process.start("/bin/sh", { "-ec", run }, environment, root)
    status = child:finish(PATIENCE)
    output = child.stdout .. child.stderr
    local _
    _, phases = frame_counts.read(place:read "log" or "")
    place:remove()
    certificates.remove()
  end)
  teardown(process.end_all)

  it("never sleeps", function()
    assert.equal("done\n", output)
    assert.equal(0, status)
  end)

  for _, name in ipairs(PHASES) do
    it("is no longer than three busy ones: " .. name, function()
      local phase, steady = phases[name], phases[frame_counts.STEADY]
      assert(phase and steady, "it was not measured")
      local ratio = phase.longest / steady.longest
      assert.is_true(ratio <= frame_counts.MOST, ("%.2f times the busiest steady frame"):format(ratio))
    end)
  end
end)
