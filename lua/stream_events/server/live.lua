--- Changes the options of a running server: those that may change take effect at once, the others are
-- named. Most parts read their options when they need them; here are those that have to be told.
local option_table = require "stream_events.server.options"

local M = {}

---@class stream_events.server.LiveReport
---@field changed string[] names of options that have another value now
---@field restart string[] names of those that were given another value, and need a restart for it

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if #a ~= #b then return false end
  for i, value in ipairs(a) do
    if value ~= b[i] then return false end
  end
  return true
end

-- Rules as a table, and loggers, are a program's own objects: another one is another value.
local function differs(spec, before, after)
  if spec.kind == "rules" or spec.kind == "function" then return before ~= after end
  return not same(before, after)
end

--- Takes over what differs.
---@param parts table the running server
---@param options stream_events.server.Options checked, and complete
---@return stream_events.server.LiveReport
function M.apply(parts, options)
  local report, is_listener = { changed = {}, restart = {} }, false
  for _, spec in ipairs(option_table.LIST) do
    local name = spec.name
    if differs(spec, parts.options[name], options[name]) then
      if option_table.is_live(spec) then
        parts.options[name] = options[name]
        is_listener = is_listener or spec.is_listener
        report.changed[#report.changed + 1] = name
      else
        report.restart[#report.restart + 1] = name
      end
    end
  end
  if is_listener then parts.listener:configure(option_table.for_listener(parts.options)) end
  parts.rates:look_again()
  if report.changed[1] then
    parts.log("info", "settings have changed", { settings = table.concat(report.changed, ", ") })
  end
  if report.restart[1] then
    parts.log("warn", "settings were not changed: they need a restart",
      { settings = table.concat(report.restart, ", ") })
  end
  return report
end

return M
