--- One spec for each fault of a table: no crash, no turn too many, one answer for each send, no handler
-- lost, nothing lost without a word, delivery restored, memory flat.
local busted = require "busted"
local rigs = require "support.fault_rig"

local assert, it = require "luassert", busted.it -- luacheck: ignore 211

local M = {}

local MOST_GROWTH = 1 -- kilobyte, in one repetition of a fault
local LOOKS = 4

--- How many turns jane's client may have taken: some for each write and read at the proxy, each send and
--- each change, and some in hand.
---@param rig support.FaultRig
---@return integer
function M.turns_allowed(rig)
  return 30 + 2 * (rig.proxy.writes + rig.proxy.reads + #rig.sends) + 10 * #rig.changes
end

local function went_offline(rig)
  for _, change in ipairs(rig.changes) do
    if not change.online then return change end
  end
end

local function check_reason(rig, fault)
  local change = went_offline(rig)
  if not fault.kind then
    assert.is_nil(change and change.reason)
    return
  end
  assert.is_truthy(change, "the connection was not lost")
  assert.same({ fault.kind, true }, { change.kind, change.will_retry }, change.reason)
  if fault.code then assert.equal(fault.code, change.code) end
end

--- Does a fault to a rig once, and looks at everything that must hold.
---@param rig support.FaultRig
---@param fault table [1]: does it; kind, code: of the loss that is expected, nil: none; during: called in
---  the middle; after: called when jane is back; sends: how many from each user to each channel
function M.once(rig, fault)
  rig:forget()
  local before = rig:standing()
  fault[1](rig)
  rig:burst(fault.sends or 2)
  if fault.kind then
    rig:wait("jane notices", function() return went_offline(rig) end)
  end
  rig:answered()
  if fault.during then fault.during(rig) end
  rig:back()
  rig.proxy:clear()
  check_reason(rig, fault)
  if fault.after then fault.after(rig) end
  rig:prove()
  assert.same({}, rig:account())
  assert.same(before, rig:standing())
  local turns, allowed = rig.jane.turns, M.turns_allowed(rig)
  assert.is_true(turns <= allowed, ("%d turns where %d are enough"):format(turns, allowed))
end

-- Kilobytes more than before, after one repetition.
local function growth(rig, fault)
  rig:forget()
  local before = rigs.memory()
  M.once(rig, fault)
  rig:forget()
  return rigs.memory() - before
end

--- The same several times: nothing may be left behind.
function M.again_and_again(rig, fault)
  M.once(rig, fault)
  -- A table that was made larger once is no leak: what leaks grows every time.
  local grown
  for _ = 1, LOOKS do
    grown = growth(rig, fault)
    if grown < MOST_GROWTH then return end
  end
  error(("%.1f KB more every time"):format(grown))
end

--- Makes specs of faults, by their names.
---@param faults table<string, table>
---@param rig fun(): support.FaultRig
---@param options { once: boolean? }? once: faults that take long are not repeated
function M.specs(faults, rig, options)
  local once = options and options.once
  local names = {}
  for name in pairs(faults) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local fault = faults[name]
    it(name, function() M[once and "once" or "again_and_again"](rig(), fault) end)
  end
end

return M
