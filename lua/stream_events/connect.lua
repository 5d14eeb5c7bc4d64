--- Signing in and out: as a user, as a guest, as nobody in particular (protocol §2, §3.1).
local errors = require "stream_events.error"
local names = require "stream_events.names"
local native = require "stream_events.native"
local tokens = require "stream_events.token"

local M = { methods = {} }

---@class stream_events.Client
local methods = M.methods

local function check_user(user, level)
  if type(user) == "string" then user = { id = user } end
  if type(user) ~= "table" then
    error("a user must be a table with an id, not a " .. type(user), level + 1)
  end
  local ok, message = names.user_id(user.id)
  if not ok then error(message, level + 1) end
  local _, err = native.json.encode(user)
  if err then error("the user's data: " .. err.message, level + 1) end
  return user
end

-- The token to use when none was given.
local function own_token(context, user, level)
  local options = context.options
  if options.secret then return tokens.user(options.secret, user.id) end
  if options.developer_tokens then return tokens.developer(user.id) end
  error("a token expected: a string, or a function that fetches one", level + 1)
end

local function already_connected(context)
  return errors.new {
    kind = "protocol",
    message = ("already connected as '%s'"):format(tostring(context.identity.user_id)),
    hint = "disconnect() first, or use a client of its own for the other user.",
  }
end

local function begin(context, call, kind, details, token)
  if context.closed then return call:finish(nil, context.closed) end
  if not context.session:at_rest() or context.connect_call then
    return call:finish(nil, already_connected(context))
  end
  if context.identity.user_id ~= details.id then context.recovery:forget_all() end
  context.identity:clear()
  local ok, err = context.identity:become(kind, details, token)
  if not ok then return call:finish(nil, err) end
  context.connect_call = call
  context.session:input("connect")
end

--- Connects as a user; the user is created or updated by it (protocol §3.1). The result is the own
--- user as the service has it. One attempt: what fails here is not tried again, what is lost later
--- is, for ever, until a code says that no retry can help.
---
--- Errors: kind "auth" with the codes of protocol §2.7 (2 API key, 5 token, 40 expired, 41 and 42
--- clocks, 43 signature), "network", "timeout", "protocol".
---@param user { id: string, name: string?, image: string?, [string]: any }
---@param token string|(fun(user_id: string): string?, any)|nil a token, or what fetches one: called
---  at connect, ahead of the token's `exp`, and when the service says that it has expired; never twice
---  at a time. It may wait as handlers may, and give nil and a reason: then it is called again later.
---  Nil: signed with the secret, or a developer token where the options say so
---@param callback (fun(me: table?, err: stream_events.Error?))?
---@return table? me
---@return stream_events.Error? err
function methods:connect_user(user, token, callback)
  local context = self.context
  local call = context.tasks:begin(callback)
  user = check_user(user, 2)
  if token == nil then token = own_token(context, user, 2) end
  if type(token) ~= "string" and type(token) ~= "function" then
    error("a token must be a string or a function, not a " .. type(token), 2)
  end
  begin(context, call, "user", user, token)
  return context.tasks:wait(call)
end

-- The guest as it connects: what the caller said of it, under the id that it was given. The rest of
-- the answer is the service's own and not to be told to it (protocol §2.5).
local function guest_details(answer, asked_for)
  local user = answer.user
  if type(user) ~= "table" or not names.user_id(user.id) or type(answer.access_token) ~= "string" then
    return errors.fail("protocol", "the answer names no guest")
  end
  local details = {}
  for name, value in pairs(asked_for) do details[name] = value end
  details.id = user.id
  return details
end

--- Connects as a guest: a new user without a token of one's own (protocol §2.5). The service may
--- change the id; the result has the one that holds. Errors: as connect_user, and code 17 where
--- the app wants no guests.
---@param user { id: string, name: string?, [string]: any }
---@param callback (fun(me: table?, err: stream_events.Error?))?
---@return table? me
---@return stream_events.Error? err
function methods:connect_guest(user, callback)
  local context = self.context
  local call = context.tasks:begin(callback)
  user = check_user(user, 2)
  if context.closed or not context.session:at_rest() or context.connect_call then
    return context.tasks:fail(call, context.closed or already_connected(context))
  end
  local request = { method = "POST", path = "/guest", as = "guest", body = { user = user } }
  context.connect_call = call
  context.api:call(request, function(answer, err)
    if context.connect_call ~= call then return end -- disconnected meanwhile
    context.connect_call = nil
    local details
    if answer then details, err = guest_details(answer, user) end
    if not details then return call:finish(nil, err) end
    begin(context, call, "guest", details, answer.access_token)
  end)
  return context.tasks:wait(call)
end

--- Connects as nobody in particular: may read what everybody may, by default only livestream
--- channels (protocol §2.6). Errors: as connect_user.
---@param callback (fun(me: table?, err: stream_events.Error?))?
---@return table? me
---@return stream_events.Error? err
function methods:connect_anonymous(callback)
  local context = self.context
  local call = context.tasks:begin(callback)
  begin(context, call, "anonymous", { id = native.crypto.uuid() })
  return context.tasks:wait(call)
end

--- When the present token runs out. With a token function it has been replaced by then.
---@return number? exp seconds since 1970, by the server's clock; nil: never, or there is no token
---@return stream_events.Error? err of the token function, while it gives no newer one
function methods:token_expires()
  return self.context.identity.supply:expires()
end

-- A guest that was asked for is not connected any more when the answer comes.
local function give_up_guest(context)
  local call = context.connect_call
  if not call or not context.session:at_rest() then return end
  context.connect_call = nil
  call:finish(nil, errors.new { kind = "closed", message = "disconnected while connecting" })
end

--- Says goodbye and ends the session. Watches end with it, subscriptions stay for the next one.
--- Never fails; without a session it has nothing to do.
---@param callback (fun(ok: true))?
---@return true ok
function methods:disconnect(callback)
  local context = self.context
  local call = context.tasks:begin(callback)
  if context.closed then
    call:finish(true)
  else
    give_up_guest(context)
    context.disconnect_calls[#context.disconnect_calls + 1] = call
    context.session:input("disconnect")
  end
  return context.tasks:wait(call)
end

return M
