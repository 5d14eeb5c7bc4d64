--- What a server has acknowledged, and what it must therefore still hold: things by name, each with a
--- value as text, or absent. Of a write whose answer never came both outcomes are right, whole.
local M = {}

M.ABSENT = "absent"

local Ledger = {}
Ledger.__index = Ledger

function M.new()
  return setmetatable({ values = {}, pending = {}, acknowledged = 0 }, Ledger)
end

--- A write is on its way.
---@param name string
---@param value string
function Ledger:begin(name, value)
  self.pending[name] = value
  if self.since then
    self.since[name] = self.since[name] or {}
    self.since[name][value] = true
  end
end

--- It was acknowledged.
---@param name string
function Ledger:done(name)
  self.values[name], self.pending[name] = self.pending[name], nil
  self.acknowledged = self.acknowledged + 1
end

--- Compares with what there is after a restart, which then is what has to be there. Gives what is
--- wrong, as texts.
---@param found table<string, string> absent things left out
---@return string[]
function Ledger:compare(found)
  local wrong = {}
  local function look(name)
    local expected, value = self.values[name] or M.ABSENT, found[name] or M.ABSENT
    if value ~= expected and value ~= self.pending[name] then
      wrong[#wrong + 1] = ("%s is %s, not %s%s"):format(name, value, expected,
        self.pending[name] and " or " .. self.pending[name] or "")
    end
    self.values[name], self.pending[name] = value, nil
  end
  for name in pairs(found) do
    if not self.values[name] and not self.pending[name] then
      wrong[#wrong + 1] = name .. " was never written"
    end
  end
  for name in pairs(self.pending) do
    if not self.values[name] then look(name) end
  end
  for name in pairs(self.values) do look(name) end
  table.sort(wrong)
  return wrong
end

--- Remembers this moment, for compare_copy().
function Ledger:mark()
  self.marked, self.since = {}, {}
  for name, value in pairs(self.values) do self.marked[name] = value end
  for name, value in pairs(self.pending) do self.since[name] = { [value] = true } end
end

--- Compares with a copy of the server's data that was begun after mark(): it holds what had been
--- acknowledged by then, or what was written since in its place. Gives what is wrong, as texts.
---@param found table<string, string>
---@return string[]
function Ledger:compare_copy(found)
  local wrong, names = {}, {}
  for _, set in ipairs { self.marked, self.since, found } do
    for name in pairs(set) do names[name] = true end
  end
  for name in pairs(names) do
    local value = found[name] or M.ABSENT
    local is_right = value == (self.marked[name] or M.ABSENT) or (self.since[name] or {})[value]
    if not is_right then
      wrong[#wrong + 1] = ("%s is %s, not %s"):format(name, value, self.marked[name] or M.ABSENT)
    end
  end
  table.sort(wrong)
  return wrong
end

return M
