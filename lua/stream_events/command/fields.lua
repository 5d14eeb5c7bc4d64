--- Data from the command line: `key=value` is a text, `key:=json` any JSON value.
local json = require("stream_events.native").json

local M = {}

local SHOWN = 60 -- bytes of what is wrong; longer ones would hide what is said of them

--- Reads the words into one table.
---@param words string[]
---@return table<string, any>? data
---@return string? message
function M.parse(words)
  local data = {}
  for _, word in ipairs(words) do
    local key, mark, text = word:match("^(.-)(:?=)(.*)$")
    if not key or key == "" then
      return nil, ("'%s' is neither key=value nor key:=json"):format(word)
    elseif data[key] ~= nil then
      return nil, ("the key '%s' is there twice"):format(key)
    end
    local value = text
    if mark == ":=" then
      local err
      value, err = json.decode(text)
      if err then
        local shown = #text <= SHOWN and text or "..."
        return nil, ("%s:=%s is not JSON: %s; a text is %s=%s"):format(key, shown, err.message, key, shown)
      end
    end
    data[key] = value
  end
  local _, err = json.encode { { { data } } } -- as deep inside of a request as it gets
  if err then return nil, err.message end
  return data
end

--- The same for the data of an event.
---@param words string[]
---@return table<string, any>? data
---@return string? message
function M.event_data(words)
  local data, message = M.parse(words)
  if not data then return nil, message end
  if data.type ~= nil then
    return nil, "the type of an event is the word before its data, not a key"
  end
  return data
end

return M
