--- The parts of URLs that are put together here: escaping, paths, queries (RFC 3986; protocol §1.2).
local M = {}

--- Escapes a path segment or a query value. `!` stays, as other clients of the protocol do it.
---@param text string
---@return string
function M.escape(text)
  return (text:gsub("[^%w%-._~!]", function(char) return ("%%%02X"):format(char:byte()) end))
end

--- "a/b" out of segments, each escaped.
---@return string
function M.path(...)
  local segments = { ... }
  for i, segment in ipairs(segments) do segments[i] = M.escape(segment) end
  return "/" .. table.concat(segments, "/")
end

--- "name=value&..." out of a list of pairs; pairs without a value are left out.
---@param pairs_in_order { [1]: string, [2]: string? }[]
---@return string
function M.query(pairs_in_order)
  local parts = {}
  for _, pair in ipairs(pairs_in_order) do
    if pair[2] ~= nil then parts[#parts + 1] = pair[1] .. "=" .. M.escape(pair[2]) end
  end
  return table.concat(parts, "&")
end

return M
