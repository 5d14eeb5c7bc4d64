--- The manual's section on limits: it names the settings that there are, all of them, and their defaults.
local manual = require "support.manual"
local options = require "stream_events.server.options"

local section = assert(manual.read "server.md":match "\n## Limits\n(.-)\n## ")

-- The rows of all tables, as lists of cells.
local function rows()
  local found = {}
  for line in section:gmatch "[^\n]+" do
    if line:find "^|" and not line:find "^| %-%-%-" then
      local cells = {}
      for cell in line:gmatch "|([^|]*)%f[|]" do cells[#cells + 1] = cell:match "^%s*(.-)%s*$" end
      found[#found + 1] = cells
    end
  end
  return found
end

-- A default as people write it.
local function written(spec)
  local value = spec.default
  if spec.kind == "seconds" then return ("%d s"):format(value) end
  if value == 1 << 20 then return "1 MiB" end
  if value >= 16384 and value % 1024 == 0 then return ("%d KiB"):format(value // 1024) end
  if value == 10000 then return "10 000" end
  return tostring(value)
end

describe("the manual's section on limits", function()
  it("names every setting of connections, sizes and calls", function()
    for _, spec in ipairs(options.LIST) do
      local is_limit = spec.is_listener or spec.name:find "^rate_" or spec.name:find "^max_"
      if is_limit then assert.matches("%f[%w_]" .. spec.name .. "%f[^%w_]", (section:gsub("%-", "_"))) end
    end
  end)

  it("names no setting that is not there, and the right default", function()
    local checked = 0
    for _, row in ipairs(rows()) do
      for name in (row[3] or ""):gmatch "`([%w_]+)`" do
        local spec = assert(options.BY_NAME[name], name)
        if type(spec.default) == "number" then
          checked = checked + 1
          assert.matches(written(spec), row[2], 1, true)
        end
      end
    end
    assert.is_true(checked >= 15, checked)
  end)
end)
