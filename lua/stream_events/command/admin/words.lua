--- What admin commands share of their words: names and data on the command line, pages of lists.
local convert = require "stream_events.command.convert"
local errors = require "stream_events.error"
local fields = require "stream_events.command.fields"
local format = require "stream_events.command.format"
local names = require "stream_events.names"
local native = require "stream_events.native"
local suggest = require "stream_events.suggest"
local timestamp = require "stream_events.timestamp"

local M = {}

M.DATA = "key=value for texts, key:=json for other values."
M.FILTERS = "Filters: field=text, field:=json; {\"$in\":[...]} and its like are JSON."

--- Hint for code 4 where data was given: the most frequent slip.
M.DATA_HINT = "key=value is a text; true, false, numbers, null and lists are written key:=value. "
  .. "Nothing was changed."

-- Checks of one argument, as check functions of commands want them: what is wrong, or nil.
local function checked(check)
  return function(value)
    local ok, message = check(value)
    return not ok and message or nil
  end
end

--- What is wrong with a name of the service's: of a role, a permission, an endpoint, a hook.
---@param value any nil: nothing is wrong
---@param what string "a role"
---@return string?
function M.wrong_name(value, what)
  if value == nil then return nil end
  local ok, message = names.word(value, what)
  return not ok and message or nil
end

M.wrong_user = checked(names.user_id)
M.wrong_type = checked(names.channel_type)
M.wrong_cid = checked(names.split_cid)

--- What is wrong with the first of several that is wrong.
---@param list string[]
---@param wrong fun(value: string): string?
---@return string?
function M.wrong_in(list, wrong)
  for _, value in ipairs(list) do
    local message = wrong(value)
    if message then return message end
  end
end

--- Reads the words of args.data into args.fields. Options that are fields too, such as --role, may be
--- given one way only.
---@param args table
---@param options string[]? names of options that are fields
---@return string? message
function M.read_data(args, options)
  local data, message = fields.parse(args.data)
  if not data then return message end
  for _, name in ipairs(options or {}) do
    if args[name] ~= nil then
      if data[name] ~= nil then return ("%s is there twice: as --%s and as a key"):format(name, name) end
      data[name] = args[name]
    end
  end
  args.fields = data
end

--- The same where at least one thing has to be named: a key, an option, or one of args.unset.
---@param args table
---@param options string[]?
---@return string? message
function M.read_changes(args, options)
  local message = M.read_data(args, options)
  if message then return message end
  if next(args.fields) == nil and #(args.unset or {}) == 0 then
    return "nothing to change: name a key, as in name=\"New name\""
  end
  for _, name in ipairs(args.unset or {}) do
    if name == "" then return "the key to take away must not be empty" end
    if args.fields[name] ~= nil then return ("the key '%s' is set and unset"):format(name) end
  end
end

--- An error where the server knows nothing of a setting: servers ignore what they do not know, and
--- whoever misspelt a name must hear of it.
---@param changes table<string, any> as they were asked for
---@param settings table<string, any> as they are now
---@return table? settings
---@return stream_events.Error? err
function M.settings_known(changes, settings)
  for _, name in ipairs(M.keys(changes)) do
    if settings[name] == nil and changes[name] ~= native.json.null then
      local meant = suggest.nearest(name, settings)
      return errors.fail("api", ("the server knows no setting %q and ignored it"):format(name),
        { hint = meant and ("Did you mean %s?"):format(meant) or "The others were set." })
    end
  end
  return settings
end

--- Adds --unset.
function M.add_unset(command)
  command:option("--unset", "Take this field away. May be repeated."):count("*"):argname "<key>"
end

local DIRECTIONS = { asc = 1, desc = -1 }

local function sorting(text)
  local field, order = text:match "^(.+):([^:]*)$"
  if not field then return { field = text, direction = 1 } end
  if DIRECTIONS[order] then return { field = field, direction = DIRECTIONS[order] } end
  return nil, ("'%s' is neither FIELD nor FIELD:desc"):format(text)
end

--- Adds the options of lists that come in pages.
function M.add_page(command, most, default)
  command:option("--limit", ("At most so many, up to %d (default: %d)."):format(most, default))
    :convert(convert.whole(1, most, ("whole number from 1 to %d"):format(most))):argname "<n>"
  command:option("--offset", "Leave out so many at the beginning, up to 1000.")
    :convert(convert.whole(0, 1000, "whole number from 0 to 1000")):argname "<n>"
  command:option("--sort", "By this field; FIELD:desc the other way round. May be repeated."):count("*")
    :convert(sorting):argname "<field>"
end

--- The options of a query out of --limit, --offset and --sort.
---@param args table
---@return table
function M.page_options(args)
  return { limit = args.limit, offset = args.offset, sort = #args.sort > 0 and args.sort or nil }
end

--- Adds --before and --undo.
function M.add_revocation(command)
  command:option("--before", "Tokens issued before this time, as 2026-01-01T00:00:00Z (default: now).")
    :argname "<time>"
  command:flag("--undo", "Accept tokens again, however old.")
end

---@param args table
---@return string? message
function M.wrong_revocation(args)
  if args.before and args.undo then return "--before and --undo exclude each other" end
  if args.before and not timestamp.parse(args.before) then
    return ("'%s' is no time, as 2026-01-01T00:00:00Z is"):format(args.before)
  end
end

--- The time that --before and --undo stand for; null: none.
---@param args table
---@return string|lightuserdata
function M.revocation(args)
  if args.undo then return native.json.null end
  return timestamp.format(args.before and timestamp.parse(args.before) or native.time())
end

--- What became of tokens, for people.
---@param value { revoke_tokens_issued_before: any }
---@return string
function M.revoked(value)
  local before = value.revoke_tokens_issued_before
  if before == native.json.null then return "accepted again, however old" end
  return "refused when issued before " .. before
end

--- "on" or "off", for people.
function M.on_off(value)
  if value == nil then return nil end
  return value and "on" or "off"
end

--- The keys of a table, sorted.
---@param map table<string, any>
---@return string[]
function M.keys(map)
  local keys = {}
  for key in pairs(map) do
    if type(key) == "string" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  return keys
end

--- Texts of a list in one cell.
---@param list any
---@return string
function M.joined(list)
  if type(list) ~= "table" then return "" end
  local texts = {}
  for i, value in ipairs(list) do texts[i] = type(value) == "string" and value or format.encoded(value) end
  return table.concat(texts, ", ")
end

-- A value as its line shows it: of a list the texts, or the names of what is in it.
local function shown(value)
  if type(value) ~= "table" or #value == 0 then return value end
  local texts = {}
  for i, item in ipairs(value) do
    local text = type(item) == "table" and item.name or item
    if type(text) ~= "string" then return value end
    texts[i] = text
  end
  return M.joined(texts)
end

--- The members of an object as rows, sorted by name, without some.
---@param object table<string, any>
---@param without table<string, true>?
---@param first string[]? these come first, in this order
---@return any[][]
function M.rows(object, without, first)
  local rows, taken = {}, {}
  local function add(name)
    if object[name] == nil or taken[name] or (without and without[name]) then return end
    taken[name] = true
    rows[#rows + 1] = { name, shown(object[name]) }
  end
  for _, name in ipairs(first or {}) do add(name) end
  for _, name in ipairs(M.keys(object)) do add(name) end
  return rows
end

return M
