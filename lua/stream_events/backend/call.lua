--- What the calls of a backend have in common: how one is made, and how its arguments are checked.
-- Wrong arguments raise and blame whoever called the public function: `level` is its level, as for
-- error(), seen from the function that passes it on.
local channel_state = require "stream_events.channel_state"
local errors = require "stream_events.error"
local names = require "stream_events.names"
local native = require "stream_events.native"
local turns = require "stream_events.turns"

local M = {}

local list = channel_state.list

-- Asking ------------------------------------------------------------------------------------------

--- Makes a call and gives the part of the answer that `pick` takes out. Lists of the answer stay
--- lists when they are empty, so that what was read can be written back.
---@param client stream_events.Client
---@param call stream_events.Call
---@param request stream_events.Request
---@param pick fun(answer: table): any nil: the answer lacks what was asked for
---@return any result
---@return stream_events.Error? err
function M.ask(client, call, request, pick)
  local context = client.context
  request.exact = true
  context.api:call(request, function(answer, err)
    if not answer then return call:finish(nil, err) end
    local result = pick(answer)
    if result == nil then
      call:finish(nil, errors.new {
        kind = "protocol", message = "the answer lacks what was asked for",
      })
    else
      call:finish(result)
    end
  end)
  return context.tasks:wait(call)
end

--- Nothing of the answer but that there is one.
function M.done() return true end

--- All of it, without how long it took.
function M.whole(answer)
  answer.duration = nil
  return answer
end

--- One member of it, which must be an object or a list.
---@param name string
---@return fun(answer: table): table?
function M.member(name)
  return function(answer)
    return type(answer[name]) == "table" and answer[name] or nil
  end
end

--- The member where the answer has it, else all of it: some services wrap what others do not.
---@param name string
---@return fun(answer: table): table
function M.member_or_whole(name)
  local pick = M.member(name)
  return function(answer) return pick(answer) or M.whole(answer) end
end

--- Changes something that the service only takes as a whole: reads it, lets `change` say what is to be
--- written, and writes that. Such calls of one client about one subject are made one after the other,
--- or the later one would undo the earlier; two clients at once can still do so.
---@param client stream_events.Client
---@param call stream_events.Call
---@param subject string
---@param read stream_events.Request
---@param change fun(answer: table): stream_events.Request?, (fun(answer: table): any)|stream_events.Error
---  what to write and what of the answer is the result; or nil and an error
---@return any result
---@return stream_events.Error? err
function M.change(client, call, subject, read, change)
  local api = client.context.api
  read.exact = true
  turns.take(client.context, subject, function(next_one)
    local function finish(result, err)
      call:finish(result, err)
      next_one()
    end
    api:call(read, function(answer, err)
      if not answer then return finish(nil, err) end
      local request, pick = change(answer)
      if not request then return finish(nil, pick) end
      request.exact = true
      api:call(request, function(written, failure)
        if not written then return finish(nil, failure) end
        finish(pick(written))
      end)
    end)
  end)
  return client.context.tasks:wait(call)
end

-- Checking ----------------------------------------------------------------------------------------

--- The options and the callback, where the callback may stand in the place of the options.
---@param options any
---@param callback any
---@return any options
---@return any callback
function M.optional(options, callback)
  if type(options) == "function" and callback == nil then return nil, options end
  return options, callback
end

function M.expect_table(value, what, level)
  if type(value) ~= "table" then
    error(what .. " must be a table, not a " .. type(value), level + 1)
  end
end

function M.expect_text(value, what, level)
  if type(value) ~= "string" or value == "" then
    error(what .. " must be a text that is not empty", level + 1)
  end
end

--- The name of a role, a permission or a hook: part of a path, or a key.
function M.expect_name(value, what, level)
  local ok, message = names.word(value, what)
  if not ok then error(message, level + 1) end
end

function M.expect_user_id(value, level)
  local ok, message = names.user_id(value)
  if not ok then error(message, level + 1) end
end

function M.expect_cid(value, level)
  local ok, message = names.split_cid(value)
  if not ok then error(message, level + 1) end
end

function M.expect_json(value, what, level)
  local _, err = native.json.encode(value)
  if err then error(what .. ": " .. err.message, level + 1) end
end

--- A time as the protocol writes it. Whether it is one is the service's to say.
function M.expect_date(value, what, level)
  if type(value) ~= "string" or not value:find("^%d%d%d%d%-%d%d%-%d%dT") then
    error(what .. " must be a time like 2026-01-01T00:00:00Z", level + 1)
  end
end

--- Options of a call: a table of these names only, so that a misspelt one is heard of.
---@param options any nil: none
---@param known table<string, string|true> the type of each; true: any
---@param level integer
---@return table options
function M.options(options, known, level)
  if options == nil then return {} end
  M.expect_table(options, "options", level + 1)
  for name, value in pairs(options) do
    local kind = known[name]
    if not kind then
      error("unknown option '" .. tostring(name) .. "'", level + 1)
    elseif kind ~= true and type(value) ~= kind then
      error(("option '%s' must be a %s, not a %s"):format(name, kind, type(value)), level + 1)
    end
  end
  return options
end

-- Whether a table has no other keys than those of a list.
local function is_list(value)
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  return count == #value
end

--- A value for a request: a list stays one when it is empty. What is no list is left as it is, for the
--- service to refuse: as a list it would be an empty one, which means something.
---@param value any
---@return any
function M.as_list(value)
  return type(value) == "table" and is_list(value) and list(value) or value
end

--- A list of texts out of one or several, as a list that stays one when it is empty.
---@param value any a text, or a list of them
---@param check fun(value: any, level: integer) raises
---@param level integer
---@return string[] list
function M.list_of(value, check, level)
  if type(value) ~= "table" then value = { value } end
  if not is_list(value) then error("a list expected, not a table with other keys", level + 1) end
  for _, item in ipairs(value) do check(item, level + 1) end
  return list(value)
end

--- At least one user id.
---@param value any a user id, or a list of them
---@param level integer
---@return string[] user_ids
function M.user_ids(value, level)
  local ids = M.list_of(value, M.expect_user_id, level + 1)
  if #ids == 0 then error("a user id or a list of user ids expected", level + 1) end
  return ids
end

--- A filter with the options of a query, as the protocol asks (§9.1, §4.4).
---@param filter any nil: everything
---@param options any sort, limit, offset and what else the query knows
---@param level integer
---@return table body
function M.query_body(filter, options, level)
  if filter ~= nil then M.expect_table(filter, "a filter", level + 1) end
  if options ~= nil then M.expect_table(options, "options", level + 1) end
  local body = {}
  for name, value in pairs(options or {}) do body[name] = value end
  body.filter_conditions = filter or {}
  if body.sort ~= nil then M.expect_table(body.sort, "'sort'", level + 1) end
  body.sort = list(body.sort or {})
  M.expect_json(body, "the query", level + 1)
  return body
end

return M
