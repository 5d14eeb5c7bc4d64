--- Grants: what a role may do in a scope, which is a channel type or the app (protocol §8). For
-- backends only. A channel's own exceptions are Channel:set_grant_overrides.
local calls = require "stream_events.backend.call"
local lists = require "stream_events.backend.grant_lists"
local names = require "stream_events.names"
local native = require "stream_events.native"
local url = require "stream_events.url"

local M = { methods = {} }

---@class stream_events.Client
local methods = M.methods
local APP = ".app"

-- Where the grants of a scope are read and written.
local function place_of(scope, level)
  if scope == APP then return { path = "/app", write = "PATCH", pick = calls.member "app" } end
  local ok, message = names.channel_type(scope)
  if not ok then error(message .. '; the scope of the app is ".app"', level + 1) end
  return { path = url.path("channeltypes", scope), write = "PUT", pick = calls.whole }
end

-- The grants in an answer; a service that shows none has given none.
local function grants_of(place, answer)
  local holder = place.pick(answer)
  if not holder then return nil end
  local grants = holder.grants
  return type(grants) == "table" and grants or {}
end

local function list_of(grants, role)
  local list = grants[role]
  return type(list) == "table" and list or native.json.array {}
end

local function reading(place)
  return { method = "GET", path = place.path, as = "server" }
end

local function writing(place, grants)
  return { method = place.write, path = place.path, as = "server", body = { grants = grants } }
end

--- What roles may do in a scope. Errors: code 16 no such channel type.
---@param scope string a channel type, or ".app"
---@param role string|function|nil nil: all roles
---@param callback (fun(grants: table?, err: stream_events.Error?))?
---@return table<string, string[]>|string[]|nil grants role to permissions; of one role its permissions
---@return stream_events.Error? err
function methods:get_grants(scope, role, callback)
  role, callback = calls.optional(role, callback)
  local call = self.context.tasks:begin(callback)
  local place = place_of(scope, 2)
  if role ~= nil then calls.expect_name(role, "a role", 2) end
  return calls.ask(self, call, reading(place), function(answer)
    local grants = grants_of(place, answer)
    if grants and role then return list_of(grants, role) end
    return grants
  end)
end

--- Replaces what one role may do in a scope; an empty list takes everything. Other roles keep what
--- they have. Errors: code 16 no such channel type, 4 no such role or permission.
---@param scope string a channel type, or ".app"
---@param role string
---@param permissions string|string[] "read-channel", "send-custom-event", ...
---@param callback (fun(permissions: string[]?, err: stream_events.Error?))?
---@return string[]? permissions as they are now
---@return stream_events.Error? err
function methods:set_grants(scope, role, permissions, callback)
  local call = self.context.tasks:begin(callback)
  local place = place_of(scope, 2)
  calls.expect_name(role, "a role", 2)
  local list = lists.permissions(permissions, 2)
  return calls.ask(self, call, writing(place, { [role] = list }), function() return list end)
end

-- Changes the list of one role by what is there.
local function change(self, call, scope, role, change_list, level)
  local place = place_of(scope, level + 1)
  calls.expect_name(role, "a role", level + 1)
  return calls.change(self, call, "grants of " .. scope, reading(place), function(answer)
    local list = change_list(list_of(grants_of(place, answer) or {}, role))
    return writing(place, { [role] = list }), function() return list end
  end)
end

--- Gives a role more permissions in a scope; what it has already stays. Errors as of set_grants.
---@param scope string a channel type, or ".app"
---@param role string
---@param permissions string|string[]
---@param callback (fun(permissions: string[]?, err: stream_events.Error?))?
---@return string[]? permissions all that the role has now
---@return stream_events.Error? err
function methods:add_grants(scope, role, permissions, callback)
  local call = self.context.tasks:begin(callback)
  local more = lists.permissions(permissions, 2)
  local result, err = change(self, call, scope, role, function(list) return lists.with(list, more) end, 2)
  return result, err
end

--- Takes permissions from a role in a scope; what it does not have is passed over. Errors as of
--- set_grants.
---@param scope string a channel type, or ".app"
---@param role string
---@param permissions string|string[]
---@param callback (fun(permissions: string[]?, err: stream_events.Error?))?
---@return string[]? permissions all that the role has left
---@return stream_events.Error? err
function methods:remove_grants(scope, role, permissions, callback)
  local call = self.context.tasks:begin(callback)
  local unwanted = lists.permissions(permissions, 2)
  local result, err = change(self, call, scope, role,
    function(list) return lists.without(list, unwanted) end, 2)
  return result, err
end

--- Gives all roles of a scope what they may do by default. Errors: code 16 no such channel type.
---@param scope string a channel type, or ".app"
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:reset_grants(scope, callback)
  local call = self.context.tasks:begin(callback)
  return calls.ask(self, call, writing(place_of(scope, 2), native.json.null), calls.done)
end

return M
