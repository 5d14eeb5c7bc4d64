--- Writes numbers in the text format of Prometheus (version 0.0.4). Knows nothing of what they mean.
local M = {}

M.CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

-- The format is UTF-8, and a label ends at its quote: whatever a value is, it stays one.
local function label_value(value)
  local text = tostring(value)
  if not utf8.len(text) then text = text:gsub("[\128-\255]", "?") end
  return (text:gsub('[\\"\n]', ESCAPES):gsub("%c", "?"))
end

local function number(value)
  if value ~= value then return "NaN" end
  if value == math.huge then return "+Inf" end
  if value == -math.huge then return "-Inf" end
  return math.type(value) == "integer" and ("%d"):format(value) or ("%.15g"):format(value)
end

---@class stream_events.server.Exposition
---@field private lines string[]
local Exposition = { __name = "stream_events.server.exposition" }
Exposition.__index = Exposition

---@return stream_events.server.Exposition
function M.new()
  return setmetatable({ lines = {} }, Exposition)
end

local function add(self, line) self.lines[#self.lines + 1] = line end

local function sample(self, name, labels, value)
  local parts = {}
  for i = 1, #labels, 2 do parts[#parts + 1] = ('%s="%s"'):format(labels[i], label_value(labels[i + 1])) end
  local shown = parts[1] and "{" .. table.concat(parts, ",") .. "}" or ""
  add(self, ("%s%s %s"):format(name, shown, number(value)))
end

local function head(self, name, kind, help)
  add(self, ("# HELP %s %s"):format(name, help))
  add(self, ("# TYPE %s %s"):format(name, kind))
end

--- A number, or several that labels tell apart.
---@param kind "counter"|"gauge"
---@param name string
---@param help string a sentence
---@param samples number|table[] a list of { labels = { name, value, ... }, value = number }
function Exposition:family(kind, name, help, samples)
  head(self, name, kind, help)
  if type(samples) == "number" then return sample(self, name, {}, samples) end
  for _, each in ipairs(samples) do sample(self, name, each.labels, each.value) end
end

local function with(labels, name, value)
  local result = table.move(labels, 1, #labels, 1, {})
  result[#result + 1], result[#result + 2] = name, value
  return result
end

--- Histograms, each with its own labels.
---@param name string
---@param help string
---@param list { labels: string[], histogram: stream_events.server.Histogram }[]
function Exposition:histograms(name, help, list)
  head(self, name, "histogram", help)
  for _, each in ipairs(list) do
    local histogram, count = each.histogram, 0
    for i, bound in ipairs(histogram.bounds) do
      count = count + histogram.counts[i]
      sample(self, name .. "_bucket", with(each.labels, "le", ("%.14g"):format(bound)), count)
    end
    count = count + histogram.counts[#histogram.counts]
    sample(self, name .. "_bucket", with(each.labels, "le", "+Inf"), count)
    sample(self, name .. "_sum", each.labels, histogram.sum)
    sample(self, name .. "_count", each.labels, count)
  end
end

---@return string
function Exposition:text()
  return table.concat(self.lines, "\n") .. "\n"
end

return M
