--- Frames: the longest call of each phase in instructions, beside the busiest frame of steady traffic.
local bench = require "bench.lib"
local frame_counts = require "support.frame_counts"
local tls = require "support.tls"

local MANY = 500 -- channels and sends at once

local function run(command)
  assert(os.execute(command), "failed: " .. command)
end

return function()
  print(("frames: instructions of the longest call that a frame makes, by phase (%d channels, %d sends)")
    :format(MANY, MANY))
  local certificates = tls.certificates { listener = "IP:127.0.0.1", other = "IP:127.0.0.1" }
  local log = bench.BENCH .. "frames.log"
  local arguments = ("%s %s %s %d system"):format(certificates.path "listener.pem",
    certificates.path "listener.key", certificates.path "other.pem", MANY)
  local build, measure = frame_counts.commands(bench.BENCH .. "frame_meter.so", log, arguments)
  run(build)
  run(("LUA_PATH='spec/?.lua;'\"$LUA_PATH\" LUA_CPATH='%s?.so;'\"$LUA_CPATH\" %s >/dev/null")
    :format(bench.BENCH, measure))
  certificates.remove()
  local phases, by_name = frame_counts.read(bench.read_file(log))
  local steady = by_name[frame_counts.STEADY].longest
  for _, phase in ipairs(phases) do
    local label = ("%s: %.2f M"):format(phase.name, phase.longest / 1e6)
    bench.verdict(label, { phase.longest / steady }, "at most", frame_counts.MOST)
  end
end
