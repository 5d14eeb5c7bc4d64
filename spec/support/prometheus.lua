--- Reads the text format of Prometheus, and refuses whatever is not exactly that: wrong names, labels or
-- numbers, samples without a type, families in two pieces, histograms that do not add up.
local M = {}

local ESCAPES = { ["\\\\"] = "\\", ['\\"'] = '"', ["\\n"] = "\n" }

-- The labels between braces: a table, and a text that is the same for the same labels.
local function read_labels(text, line)
  local labels, at = {}, 1
  while at <= #text do
    local name, value_at = text:match('^([%a_][%w_]*)="()', at)
    assert(name and labels[name] == nil, "bad label: " .. line)
    local value, i = {}, value_at
    while text:sub(i, i) ~= '"' do
      local escape = text:match('^\\.', i)
      local part = escape or text:sub(i, i)
      assert(part ~= "" and (not escape or ESCAPES[escape]), "bad label value: " .. line)
      value[#value + 1] = ESCAPES[part] or part
      i = i + #part
    end
    labels[name] = table.concat(value)
    at = i + 1
    assert(at > #text or text:sub(at, at) == ",", "bad labels: " .. line)
    at = at + 1
  end
  return labels
end

local function key_of(name, labels)
  local parts = {}
  for label, value in pairs(labels) do parts[#parts + 1] = ("%s=%q"):format(label, value) end
  table.sort(parts)
  return name .. "{" .. table.concat(parts, ",") .. "}"
end

local SPECIAL = { ["+Inf"] = math.huge, ["-Inf"] = -math.huge, NaN = 0 / 0 }

local function read_sample(line)
  local name, labels, value = line:match("^([%a_:][%w_:]*){(.*)} (%S+)$")
  if not name then name, value = line:match("^([%a_:][%w_:]*) (%S+)$") end
  assert(name, "no sample: " .. line)
  local number = SPECIAL[value] or (value:find "^[-+]?[%d.]+[eE]?[-+]?%d*$" and tonumber(value))
  assert(number, "no number: " .. line)
  return name, read_labels(labels or "", line), number
end

-- The family that a sample belongs to.
local function family_of(families, name)
  if families[name] and families[name].type ~= "histogram" then return name end
  local base = name:gsub("_bucket$", ""):gsub("_sum$", ""):gsub("_count$", "")
  if families[base] and families[base].type == "histogram" and base ~= name then return base end
  error("a sample without a type: " .. name)
end

local function check_histogram(name, family)
  local series = {}
  for _, sample in ipairs(family.samples) do
    local labels, le = {}, sample.labels.le
    for label, value in pairs(sample.labels) do
      if label ~= "le" then labels[label] = value end
    end
    local key = key_of(name, labels)
    local own = series[key] or { buckets = {} }
    series[key] = own
    if sample.name == name .. "_bucket" then
      own.buckets[#own.buckets + 1] = { assert(SPECIAL[le] or tonumber(le), "no bound"), sample.value }
    else
      assert(not le, "a bound where none belongs")
      own[sample.name] = sample.value
    end
  end
  for key, own in pairs(series) do
    local bound, count = -math.huge, 0
    for _, bucket in ipairs(own.buckets) do
      assert(bucket[1] > bound and bucket[2] >= count, "the buckets do not rise: " .. key)
      bound, count = bucket[1], bucket[2]
    end
    assert(bound == math.huge, "no last bucket: " .. key)
    assert(own[name .. "_count"] == count and own[name .. "_sum"], "the buckets do not add up: " .. key)
  end
end

---@class support.Metrics
---@field families table<string, { type: string, help: string, samples: table[] }>
local Metrics = {}
Metrics.__index = Metrics

--- The value of a sample; nil: there is none.
function Metrics:value(name, labels)
  return self.by_key[key_of(name, labels or {})]
end

---@param text string
---@return support.Metrics
function M.parse(text)
  assert(text:sub(-1) == "\n" and utf8.len(text), "no text that ends with its last line")
  local families, by_key, current = {}, {}, nil
  for line in text:gmatch "([^\n]*)\n" do
    local help_name, help = line:match "^# HELP ([%a_:][%w_:]*) (.+)$"
    local type_name, kind = line:match "^# TYPE ([%a_:][%w_:]*) (%a+)$"
    if help_name then
      assert(not families[help_name], "twice: " .. line)
      families[help_name] = { help = help, samples = {} }
      current = help_name
    elseif type_name then
      assert(type_name == current and not families[current].type, "a type out of place: " .. line)
      assert(kind == "counter" or kind == "gauge" or kind == "histogram", "no type: " .. line)
      families[current].type = kind
    else
      local name, labels, value = read_sample(line)
      local key = key_of(name, labels)
      assert(family_of(families, name) == current, "a family in two pieces: " .. line)
      assert(by_key[key] == nil, "twice: " .. line)
      if families[current].type == "counter" then assert(name:find "_total$", "no counter: " .. line) end
      by_key[key] = value
      table.insert(families[current].samples, { name = name, labels = labels, value = value })
    end
  end
  for name, family in pairs(families) do
    assert(family.type, "no type for " .. name)
    if family.type == "histogram" then check_histogram(name, family) end
  end
  return setmetatable({ families = families, by_key = by_key }, Metrics)
end

return M
