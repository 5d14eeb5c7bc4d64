--- The event loops that the client has adapters for, as specs use them.
local luv = require "luv"

local M = {}

---@class support.ForeignLoop
---@field attach fun(client: stream_events.Client, options: table?): stream_events.Attachment
---@field spawn fun(run: function) runs a function in a coroutine of the loop
---@field step fun() one turn of the loop, which may wait for a short time
---@field handles fun(): integer? how many things the loop watches that keep it running, if it can tell

local tick = luv.new_timer() -- so that a turn of the loop ends
tick:unref()

local makers = {}

function makers.luv()
  local function handles()
    local count = 0
    luv.walk(function(handle)
      if not handle:is_closing() then count = count + 1 end
    end)
    return count
  end
  return {
    attach = require("stream_events.loop.luv").attach,
    spawn = function(run) coroutine.wrap(run)() end,
    step = function()
      luv.update_time()
      tick:ref()
      tick:start(5, 0, function() end)
      luv.run "once"
      tick:unref()
    end,
    handles = handles,
  }
end

function makers.cqueues()
  local cqueues = require "cqueues"
  local adapter = require "stream_events.loop.cqueues"
  local loop = cqueues.new()
  return {
    attach = function(client, options)
      local all = { loop = loop }
      for name, value in pairs(options or {}) do all[name] = value end
      return adapter.attach(client, all)
    end,
    spawn = function(run) loop:wrap(run) end,
    step = function() assert(loop:step(0.005)) end,
    handles = function() return loop:count() end,
  }
end

function makers.copas()
  -- Debian has it for the oldest Luas alone; it runs on all of them.
  if not pcall(require, "copas") then package.path = package.path .. ";/usr/share/lua/5.1/?.lua" end
  local copas = require "copas"
  return {
    attach = require("stream_events.loop.copas").attach,
    spawn = copas.addthread,
    step = function() copas.step(0.005) end,
    handles = function() return nil end,
  }
end

--- By name. On Lua 5.4 all of them have to be there; another Lua has those that are installed for it.
---@return table<string, support.ForeignLoop>
function M.all()
  local found = {}
  for name, make in pairs(makers) do
    local ok, loop = pcall(make)
    if not ok and _VERSION == "Lua 5.4" then error(loop, 0) end
    if ok then found[name] = loop end
  end
  return found
end

return M
