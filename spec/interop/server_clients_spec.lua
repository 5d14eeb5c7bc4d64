--- The bundled server with clients that are not ours, each of which goes through the same conversations.
local worlds = require "support.foreign_world"

local CASES = {}
for _, name in ipairs { "connecting", "events" } do
  for _, case in ipairs(require("interop.cases." .. name)) do CASES[#CASES + 1] = case end
end

for _, client in ipairs(worlds.CLIENTS) do
  describe("the server, for " .. client, function()
    local world
    after_each(function() world:stop() end)
    teardown(worlds.end_all)

    for _, case in ipairs(CASES) do
      it(case.section .. ": " .. case.title, function()
        world = worlds.new(client, case.server)
        case.run(world)
      end)
    end
  end)
end
