-- run.lua -- runs the groups of comparisons and prints ratios beside their bars.
-- usage: lua run.lua [ROUNDS [GROUP]...]
package.path = "spec/?.lua;" .. package.path
local bench = require "bench.lib"

local GROUPS = {
  "receive", "loops", "frames", "rules", "send", "fanout", "crowd", "post", "idle", "start", "rewatch",
}

bench.LUA, bench.rounds = arg[-1], tonumber(arg[1] or 5)
local only = {}
for i = 2, #arg do only[arg[i]] = true end

local function main()
  for _, name in ipairs(GROUPS) do
    if next(only) == nil or only[name] then require("bench.groups." .. name)() end
  end
  print(bench.missed == 0 and "every bar reached" or bench.missed .. " bars missed")
end

local ok, problem = xpcall(main, function(problem)
  return debug.traceback(tostring(problem), 2)
end)
bench.stop_all()
if not ok then io.stderr:write(problem, "\n") end
os.exit(ok and 0 or 1, true)
