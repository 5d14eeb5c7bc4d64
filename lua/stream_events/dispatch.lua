--- Who gets an event: the registry of subscriptions, and the lists of handlers made out of it.
-- The order for one event: subscriptions of the client, then those of its channel, older ones
-- first in each. A list is made when the first event of its type and channel comes, and forgotten
-- when a subscription that touches it changes; per event there are two look-ups and no decision.
-- Types and cids come from strangers: they are only ever keys of plain tables without metatables.
local native = require "stream_events.native"

local M = {}

-- Lists that are kept: whoever may send chooses types, and may invent many.
local MOST_LISTS = 4096

-- Made by this client and by nobody else, although the protocol does not name it.
local DROPPED = "event.dropped"

---@param event_type string
---@return "custom"|"builtin"|"local"
function M.class(event_type)
  if event_type == DROPPED then return "local" end
  return native.type_class(event_type)
end

---@class stream_events.Scope subscriptions of the client, or of one channel
---@field exact table<string, stream_events.Disposable[]> by type, in order
---@field broad stream_events.Disposable[] those with patterns, in order
---@field size integer
---@field owner any kept alive as long as the scope has subscriptions

---@class stream_events.HandlerList
---@field n integer
---@field cid string?
---@field plain boolean the common case: there are handlers, and the client itself has no part
---@field hook (fun(event: stream_events.Event))? what the client itself does with the event

---@class stream_events.Registry
---@field lists table<string, table<string|false, stream_events.HandlerList>> by type, then cid
---@field stale boolean whether wants() has changed since it was last asked
local Registry = { __name = "stream_events.registry" }
Registry.__index = Registry

---@return stream_events.Scope
function M.scope(owner)
  return { exact = {}, broad = {}, size = 0, owner = owner }
end

---@return stream_events.Registry
function M.new()
  return setmetatable({
    lists = {}, stale = true,
    client_scope = M.scope(),
    scopes = {}, -- by cid
    hooks = {}, -- by type
    type_count = {}, prefix_count = {}, all_count = 0,
    made = 0, order = 0,
  }, Registry)
end

--- What the client itself does with every event of a built-in type, before any handler.
---@param event_type string
---@param hook fun(event: stream_events.Event)
function Registry:on(event_type, hook)
  self.hooks[event_type] = hook
  self.stale = true
end

-- Forgets the lists of a type, or all of them.
function Registry:forget(event_type)
  if event_type then
    self.lists[event_type] = nil
    return
  end
  -- The table itself stays: the delivery loop holds it.
  for name in pairs(self.lists) do self.lists[name] = nil end
  self.made = 0
end

local function count(self, counts, name, change)
  local before = counts[name] or 0
  local after = before + change
  counts[name] = after > 0 and after or nil
  if (before == 0) ~= (after == 0) then self.stale = true end
end

-- Keeps the sums of what is wanted, and forgets the lists that a change touches.
local function account(self, subscription, change)
  for _, name in ipairs(subscription.types) do
    count(self, self.type_count, name, change)
    self:forget(name)
  end
  for _, prefix in ipairs(subscription.prefixes) do
    count(self, self.prefix_count, prefix, change)
  end
  if subscription.all then
    self.all_count = self.all_count + change
    self.stale = true
  end
  if subscription.all or subscription.prefixes[1] then self:forget() end
end

local function is_broad(subscription)
  return subscription.all or subscription.prefixes[1] ~= nil
end

-- Subscriptions come in order, except when two channel objects turn out to be one channel.
local function insert(list, subscription)
  local at = #list + 1
  while at > 1 and list[at - 1].order > subscription.order do at = at - 1 end
  if list[at] ~= subscription and list[at - 1] ~= subscription then
    table.insert(list, at, subscription)
  end
end

local function take_out(list, subscription)
  for i = #list, 1, -1 do
    if list[i] == subscription then table.remove(list, i) end
  end
end

local function enter(scope, subscription)
  subscription.scope = scope
  scope.size = scope.size + 1
  for _, name in ipairs(subscription.types) do
    scope.exact[name] = scope.exact[name] or {}
    insert(scope.exact[name], subscription)
  end
  if is_broad(subscription) then insert(scope.broad, subscription) end
end

--- Adds a subscription to a scope.
---@param scope stream_events.Scope
---@param subscription stream_events.Disposable
---@return stream_events.Disposable
function Registry:add(scope, subscription)
  self.order = self.order + 1
  subscription.order = self.order
  subscription.registry = self
  enter(scope, subscription)
  if scope.cid then self.scopes[scope.cid] = scope end
  account(self, subscription, 1)
  return subscription
end

--- Takes a subscription out; called by its dispose().
---@param subscription stream_events.Disposable
function Registry:remove(subscription)
  local scope = subscription.scope
  for _, name in ipairs(subscription.types) do
    local list = scope.exact[name]
    if list then
      take_out(list, subscription)
      if #list == 0 then scope.exact[name] = nil end
    end
  end
  if is_broad(subscription) then take_out(scope.broad, subscription) end
  scope.size = scope.size - 1
  if scope.size == 0 and scope.cid then self.scopes[scope.cid] = nil end
  account(self, subscription, -1)
end

--- Says which channel a scope belongs to, as soon as there is something in it. Two scopes of one
--- channel become one, the one returned.
---@param scope stream_events.Scope
---@param cid string
---@return stream_events.Scope
function Registry:bind(scope, cid)
  scope.cid = cid
  local known = self.scopes[cid]
  if known == scope then return scope end
  self:forget()
  if not known then
    if scope.size > 0 then self.scopes[cid] = scope end
    return scope
  end
  local moving = {}
  for _, list in pairs(scope.exact) do
    for _, subscription in ipairs(list) do moving[subscription] = true end
  end
  for _, subscription in ipairs(scope.broad) do moving[subscription] = true end
  for subscription in pairs(moving) do enter(known, subscription) end
  scope.exact, scope.broad, scope.size = {}, {}, 0
  return known
end

-- Whether a subscription with patterns wants a type: as the router decides it, so that nothing is
-- let through there and lost here.
local function matches(subscription, event_type, class)
  if subscription.all and class == "custom" then return true end
  for _, prefix in ipairs(subscription.prefixes) do
    if event_type:sub(1, #prefix) == prefix
      and (class == "custom" or prefix:find(".", 1, true)) then
      return true
    end
  end
  return false
end

-- The subscriptions of one scope for a type, in order, each once.
local function collect(scope, event_type, class, into)
  local exact, broad = scope.exact[event_type] or {}, scope.broad
  local i, j = 1, 1
  while exact[i] or broad[j] do
    local a, b = exact[i], broad[j]
    if a and (not b or a.order <= b.order) then
      into[#into + 1] = a
      i = i + 1
      if a == b then j = j + 1 end
    else
      if matches(b, event_type, class) then into[#into + 1] = b end
      j = j + 1
    end
  end
end

--- Makes the list of handlers of a type in a channel (or of user events and local events, where
--- there is no cid), and keeps it.
---@param event_type string
---@param cid string?
---@return stream_events.HandlerList
function Registry:list(event_type, cid)
  if self.made >= MOST_LISTS then self:forget() end
  local list = { hook = self.hooks[event_type], cid = cid }
  local class = M.class(event_type)
  collect(self.client_scope, event_type, class, list)
  local scope = cid and self.scopes[cid]
  if scope then collect(scope, event_type, class, list) end
  list.n = #list
  list.plain = list.n > 0 and not list.hook
  self.lists[event_type] = self.lists[event_type] or {}
  self.lists[event_type][cid or false] = list
  self.made = self.made + 1
  return list
end

--- What the router has to let through.
---@return table
function Registry:wants()
  self.stale = false
  local types, prefixes = {}, {}
  for name in pairs(self.hooks) do types[#types + 1] = name end
  for name in pairs(self.type_count) do
    if M.class(name) ~= "local" and not self.hooks[name] then types[#types + 1] = name end
  end
  for prefix in pairs(self.prefix_count) do prefixes[#prefixes + 1] = prefix end
  return {
    types = types, prefixes = prefixes, custom = self.all_count > 0,
    refused = { [DROPPED] = "reserved-type" },
  }
end

--- The wants when there are too many names to list: everything that any of them could be.
---@param wants table as of wants()
---@return table
function M.coarse(wants)
  local types = {}
  for _, name in ipairs(wants.types) do
    if M.class(name) ~= "custom" then types[#types + 1] = name end
  end
  local prefixes = {}
  for _, prefix in ipairs(wants.prefixes) do
    if prefix:find(".", 1, true) and #prefixes < 64 then prefixes[#prefixes + 1] = prefix end
  end
  return { types = types, prefixes = prefixes, custom = true, refused = wants.refused }
end

return M
