--- Grants for people: each role with what it may do.
local words = require "stream_events.command.admin.words"

local M = {}

--- Shows grants, a role a line.
---@param page stream_events.command.Page
---@param grants table<string, string[]>?
function M.show(page, grants)
  local rows = {}
  if type(grants) ~= "table" then grants = {} end
  for i, role in ipairs(words.keys(grants)) do rows[i] = { role, words.joined(grants[role]) } end
  if #rows == 0 then return page:line "nothing is granted" end
  page:fields(rows)
end

--- Shows what one role may do.
---@param page stream_events.command.Page
---@param role string
---@param list string[]
function M.show_role(page, role, list)
  M.show(page, { [role] = list })
end

return M
