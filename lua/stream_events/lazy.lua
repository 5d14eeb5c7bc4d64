--- Methods whose module is loaded when the first of them is asked for: programs that call none of them
-- start sooner, and are smaller.
local M = {}

--- Gives a class such methods. What a program has put into the class itself stays.
---@param class table with methods, and no metatable
---@param prefix string of the modules' names; each module has its methods in `methods`
---@param names table<string, string> by module: the names of all its methods, with spaces between them
function M.methods(class, prefix, names)
  local module_of = {}
  for module, list in pairs(names) do
    for name in list:gmatch "%S+" do module_of[name] = module end
  end
  setmetatable(class, {
    __index = function(_, name)
      local module = module_of[name]
      if not module then return nil end
      local methods = require(prefix .. module).methods
      for each, method in pairs(methods) do
        if rawget(class, each) == nil then class[each] = method end
      end
      return methods[name]
    end,
  })
end

return M
