--- What a program shares with everything that runs in its Lua state, to be compared before and after
--- something that must not have touched it.
local M = {}

-- The metatables that all values of a type have in common.
local BASIC = {
  { "nil", nil }, { "boolean", true }, { "number", 0 }, { "string", "" }, { "function", print },
  { "thread", coroutine.create(function() end) },
}

local function fields(of, name, into)
  for key, value in next, of do into[#into + 1] = { name, key, value } end
end

--- A list of { where, key, value }: everything in sight, a level deep, by identity.
---@return table[]
function M.take()
  local hook, mask, count = debug.gethook() -- which itself may put something into the registry
  local seen = {}
  for i = 1, #BASIC do
    local name, meta = "metatable of " .. BASIC[i][1], debug.getmetatable(BASIC[i][2])
    seen[#seen + 1] = { name, "itself", meta }
    if meta then fields(meta, name, seen) end
  end
  fields(_G, "_G", seen)
  seen[#seen + 1] = { "_G", "metatable", debug.getmetatable(_G) }
  for name, library in next, package.loaded do
    seen[#seen + 1] = { "package.loaded", name, library }
    if type(library) == "table" and rawequal(rawget(_G, name), library) and name ~= "_G" then
      fields(library, name, seen)
      seen[#seen + 1] = { name, "metatable", debug.getmetatable(library) }
    end
  end
  for key, value in next, debug.getregistry() do
    -- The numbers are references, which come and go; the rest are main thread, globals, metatables.
    if type(key) ~= "number" or key <= 2 then
      seen[#seen + 1] = { "registry", key, value }
      if type(value) == "table" and not rawequal(value, _G) and not rawequal(value, package.loaded) then
        for inner, entry in next, value do
          if type(inner) == "string" and inner:sub(1, 2) == "__" then
            seen[#seen + 1] = { "metatable " .. tostring(key), inner, entry }
          end
        end
      end
    end
  end
  seen[#seen + 1] = { "hook", "function", hook }
  seen[#seen + 1] = { "hook", "mask", mask }
  seen[#seen + 1] = { "hook", "count", count }
  seen[#seen + 1] = { "default files", "output", io.output() }
  seen[#seen + 1] = { "default files", "input", io.input() }
  return seen
end

local function index(seen)
  local by = {}
  for _, entry in ipairs(seen) do
    local where = by[entry[1]] or {}
    by[entry[1]] = where
    where[entry[2]] = entry
  end
  return by
end

--- What has changed, in words; nil: nothing.
---@param before table[]
---@param after table[]
---@return string?
function M.difference(before, after)
  local old, new = index(before), index(after)
  for _, entry in ipairs(before) do
    local now = new[entry[1]] and new[entry[1]][entry[2]]
    if not now then return ("%s: %s is gone"):format(entry[1], tostring(entry[2])) end
    if not rawequal(now[3], entry[3]) then
      return ("%s: %s is another"):format(entry[1], tostring(entry[2]))
    end
  end
  for _, entry in ipairs(after) do
    if not (old[entry[1]] and old[entry[1]][entry[2]]) then
      return ("%s: %s is new"):format(entry[1], tostring(entry[2]))
    end
  end
end

--- Bytes in use, all garbage collected. Buffers and tables of Lua's own shrink step by step.
---@return integer
function M.bytes()
  local bytes = math.huge
  for _ = 1, 20 do
    collectgarbage()
    local now = math.floor(collectgarbage "count" * 1024)
    if now >= bytes then break end
    bytes = now
  end
  return bytes
end

return M
