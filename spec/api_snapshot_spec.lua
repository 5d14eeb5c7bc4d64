--- Nothing public changes by accident: what is public now is compared with what spec/api_snapshot.txt says.
local api = require "support.api"

local ROOT = debug.getinfo(1, "S").source:match "^@(.*)spec/api_snapshot_spec%.lua$" or ""

-- The lines of a snapshot, each with the title of its section.
local function lines(text)
  local set, title = {}, ""
  for line in text:gmatch "[^\n]+" do
    if line:find "^# " then title = line:sub(3) else set[title .. ": " .. line] = true end
  end
  return set
end

local function missing(from, others, sign, list)
  for line in pairs(from) do
    if not others[line] then list[#list + 1] = sign .. " " .. line end
  end
end

describe("what is public", function()
  it("is what the snapshot says", function()
    local file = assert(io.open(ROOT .. "spec/api_snapshot.txt"))
    local before, now, changes = lines(file:read "a"), lines(api.text()), {}
    file:close()
    missing(before, now, "-", changes)
    missing(now, before, "+", changes)
    table.sort(changes, function(a, b) return a:sub(3) .. a < b:sub(3) .. b end)
    if changes[1] then
      error("What is public has changed:\n  " .. table.concat(changes, "\n  ") .. "\n"
        .. "If that is meant, and lua/stream_events/doc/compatibility.md allows it: write it into\n"
        .. "CHANGELOG.md, then `make api-snapshot`.", 0)
    end
  end)
end)
