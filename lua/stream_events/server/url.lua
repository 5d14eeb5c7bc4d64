--- The percent-encoded parts of a request: path segments and query strings.
-- Refuses what is written wrongly instead of guessing what was meant.
local failures = require "stream_events.server.failure"

local M = {}

local MAX_PARAMETERS = 64 -- the protocol has calls with some ten

local function byte(hex) return string.char(tonumber(hex, 16)) end

--- Undoes percent-encoding.
---@param text string
---@return string? decoded nil when a `%` is not followed by two hexadecimal digits
function M.decode(text)
  if not text:find("%", 1, true) then return text end
  if text:find("%%%X") or text:find("%%%x%X") or text:find("%%%x?$") then return nil end
  return (text:gsub("%%(%x%x)", byte))
end

--- The segments of a path, decoded.
---@param path string as sent, beginning with "/"
---@return string[]? segments nil when the encoding is wrong
function M.segments(path)
  local segments = {}
  for raw in (path:sub(2) .. "/"):gmatch("([^/]*)/") do
    local segment = M.decode(raw)
    if not segment then return nil end
    segments[#segments + 1] = segment
  end
  return segments
end

--- A query string as a table. A name given twice is refused: which one counts would be a guess.
---@param text string without the "?"
---@return table<string,string>? query
---@return stream_events.server.Failure? failure
function M.query(text)
  local query, count = {}, 0
  for pair in text:gmatch("[^&]+") do
    local raw_name, raw_value = pair:match("^([^=]*)=?(.*)$")
    local name = M.decode((raw_name:gsub("%+", " ")))
    local value = M.decode((raw_value:gsub("%+", " ")))
    if not name or not value then
      return failures.fail(4, "the query string is not percent-encoded correctly")
    elseif query[name] ~= nil then
      return failures.fail(4, ("the query parameter %q is given more than once"):format(name))
    end
    count = count + 1
    if count > MAX_PARAMETERS then
      return failures.fail(4, ("the query string has more than %d parameters"):format(MAX_PARAMETERS))
    end
    query[name] = value
  end
  return query
end

return M
