--- Changing one channel: its data, its members, what it grants, and its end (protocol §4.4, §7.4).
-- Users may do what their grants allow; roles, `disabled` and overrides are a backend's to set.
local calls = require "stream_events.backend.call"
local errors = require "stream_events.error"
local grant_lists = require "stream_events.backend.grant_lists"
local names = require "stream_events.names"
local native = require "stream_events.native"
local overrides = require "stream_events.channel_overrides"
local state = require "stream_events.channel_state"
local url = require "stream_events.url"

local M = { methods = {} }

---@class stream_events.Channel
local methods = M.methods

local function no_id()
  return errors.new {
    kind = "protocol", message = "the channel has no id yet: query or watch it first",
  }
end

-- Makes a call about the channel; taken(answer) takes over what the answer says about it.
local function ask(self, call, request, taken)
  local tasks = self.context.tasks
  if not self.path then return tasks:fail(call, no_id()) end
  request.as, request.path, request.exact = "acting", self.path, true
  self.context.api:call(request, function(answer, err)
    if answer then taken(answer) end
    call:finish(answer and self or nil, err)
  end)
  return tasks:wait(call)
end

-- Reading -----------------------------------------------------------------------------------------

--- Reads the channel's state as query() does, but never creates it. Errors: code 16 no such channel,
--- 17 this user may not read it.
---@param callback (fun(channel: stream_events.Channel?, err: stream_events.Error?))?
---@return stream_events.Channel? self
---@return stream_events.Error? err
function methods:get(callback)
  local call = self.context.tasks:begin(callback)
  return ask(self, call, { method = "GET" }, function(answer) self:take_answer(answer) end)
end

-- Data --------------------------------------------------------------------------------------------

--- Changes some fields of the channel, and takes others away (protocol §4.4). Errors: code 16 no such
--- channel, 17 this user may not, 4 a field that cannot be set.
---@param set table? name, frozen, disabled (backends only), any other fields
---@param unset string|string[]|nil names of fields
---@param callback (fun(channel: stream_events.Channel?, err: stream_events.Error?))?
---@return stream_events.Channel? self
---@return stream_events.Error? err
function methods:update_partial(set, unset, callback)
  unset, callback = calls.optional(unset, callback)
  local call = self.context.tasks:begin(callback)
  if set ~= nil then calls.expect_table(set, "'set'", 2) end
  local names_out = calls.list_of(unset == nil and {} or unset, function(name, level)
    calls.expect_text(name, "the name of a field", level + 1)
  end, 2)
  calls.expect_json(set or {}, "'set'", 2)
  return ask(self, call, { method = "PATCH", body = { set = set or {}, unset = names_out } },
    function(answer) state.apply_update(self, answer) end)
end

--- Replaces the channel's own data by this: fields that are not named are gone. Errors as of
--- update_partial.
---@param data table name, any other fields
---@param callback (fun(channel: stream_events.Channel?, err: stream_events.Error?))?
---@return stream_events.Channel? self
---@return stream_events.Error? err
function methods:update(data, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_table(data, "data", 2)
  calls.expect_json(data, "data", 2)
  return ask(self, call, { method = "POST", body = { data = data } },
    function(answer) state.apply_update(self, answer) end)
end

--- Deletes the channel with its members; whoever watches it watches it no longer. Errors: code 16 no such
--- channel, 17 this user may not.
---@param callback (fun(channel: stream_events.Channel?, err: stream_events.Error?))?
---@return stream_events.Channel? self
---@return stream_events.Error? err
function methods:delete(callback)
  local call = self.context.tasks:begin(callback)
  return ask(self, call, { method = "DELETE" }, function()
    self.context.recovery:forget(self)
    self.members = {}
  end)
end

-- Members -----------------------------------------------------------------------------------------

local function member_list(members, level)
  if type(members) == "string" then members = { members } end
  if type(members) ~= "table" or #members == 0 then
    error("a user id or a list of user ids expected", level + 1)
  end
  for _, member in ipairs(members) do
    local ok, message = names.user_id(type(member) == "table" and member.user_id or member)
    if not ok then error(message, level + 1) end
  end
  return state.list(members)
end

local function change_members(self, change, callback)
  local call = self.context.tasks:begin(callback)
  return ask(self, call, { method = "POST", body = change }, function(answer)
    state.apply_update(self, answer)
    for _, id in ipairs(change.remove_members or {}) do self.members[id] = nil end
  end)
end

--- Adds members, at most 100 at a time: user ids, or tables with user_id and channel_role
--- (protocol §4.4). Errors: code 17 when this user may not.
---@param members string|(string|table)[]
---@param callback (fun(channel: stream_events.Channel?, err: stream_events.Error?))?
---@return stream_events.Channel? self
---@return stream_events.Error? err
function methods:add_members(members, callback)
  return change_members(self, { add_members = member_list(members, 2) }, callback)
end

--- Removes members.
---@param members string|string[] user ids
---@param callback (fun(channel: stream_events.Channel?, err: stream_events.Error?))?
---@return stream_events.Channel? self
---@return stream_events.Error? err code 16 no such channel; 17 this user may not
function methods:remove_members(members, callback)
  return change_members(self, { remove_members = member_list(members, 2) }, callback)
end

--- Gives members a role. For backends only. Errors: code 16 no such channel, 4 no member, or no role.
---@param members string|string[] user ids
---@param channel_role string "channel_member", "channel_moderator", or a custom role
---@param callback (fun(channel: stream_events.Channel?, err: stream_events.Error?))?
---@return stream_events.Channel? self
---@return stream_events.Error? err
function methods:assign_role(members, channel_role, callback)
  local ids = calls.user_ids(members, 2)
  calls.expect_name(channel_role, "a role", 2)
  local roles = {}
  for i, id in ipairs(ids) do roles[i] = { user_id = id, channel_role = channel_role } end
  return change_members(self, { assign_roles = native.json.array(roles) }, callback)
end

-- Grants ------------------------------------------------------------------------------------------

local function server_request(method, path, body)
  return { method = method, path = path, as = "server", exact = true, body = body }
end

-- Reads the channel, then its type: what the channel overrides is where the two differ.
local function read_overrides(self, call, receive)
  local api = self.context.api
  api:call(server_request("GET", self.path), function(answer, err)
    if not answer then return call:finish(nil, err) end
    self:take_answer(answer)
    api:call(server_request("GET", url.path("channeltypes", self.type)), function(config, failure)
      if not config then return call:finish(nil, failure) end
      receive(overrides.of(self.config or {}, config))
    end)
  end)
end

--- What this channel grants beside its type, or takes away: role to a list in which "!permission" takes
--- one away (protocol §7.4). For backends only. Errors: code 16 no such channel.
---@param callback (fun(grants: table<string, string[]>?, err: stream_events.Error?))?
---@return table<string, string[]>? grants empty: the channel's type decides
---@return stream_events.Error? err
function methods:get_grant_overrides(callback)
  local tasks = self.context.tasks
  local call = tasks:begin(callback)
  if not self.path then return tasks:fail(call, no_id()) end
  read_overrides(self, call, function(found) call:finish(found.grants or {}) end)
  return tasks:wait(call)
end

--- Sets what this channel grants beside its type, or takes away, for all roles at once; {} leaves it to
--- the type again. What else the channel overrides stays. Grants of the user's and of the channel's role
--- add up, so to silence a channel both have to go. For backends only. Errors: code 16 no such channel, 4
--- no such role or permission.
---@param grants table<string, string[]> { channel_member = { "!send-custom-event" } }
---@param callback (fun(channel: stream_events.Channel?, err: stream_events.Error?))?
---@return stream_events.Channel? self
---@return stream_events.Error? err
function methods:set_grant_overrides(grants, callback)
  local tasks = self.context.tasks
  local call = tasks:begin(callback)
  calls.expect_table(grants, "grants", 2)
  for role, list in pairs(grants) do
    calls.expect_name(role, "a role", 2)
    if type(list) ~= "table" then error("grants: each role needs its list of permissions", 2) end
  end
  local copy = grant_lists.copy(grants)
  calls.expect_json(copy, "grants", 2)
  if not self.path then return tasks:fail(call, no_id()) end
  read_overrides(self, call, function(found)
    found.grants = next(copy) ~= nil and copy or nil
    local body = { set = { config_overrides = found } }
    self.context.api:call(server_request("PATCH", self.path, body), function(answer, err)
      if answer then state.apply_update(self, answer) end
      call:finish(answer and self or nil, err)
    end)
  end)
  return tasks:wait(call)
end

return M
