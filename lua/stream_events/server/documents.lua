--- What the documents of the database look like, and what each may say about others: for looking at
-- data that somebody may have damaged. The models write them, and trust what they have written.
local names = require "stream_events.names"
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"
local grants = require "stream_events.server.grants"
local permission_ids = require "stream_events.server.permission_ids"
local roles = require "stream_events.server.roles"

local M = {}

local json = native.json

local function is_list(value) return type(value) == "table" and getmetatable(value) == json.array_mt end
local function is_object(value) return type(value) == "table" and getmetatable(value) ~= json.array_mt end

local function is_texts(value)
  if not is_list(value) then return false end
  for _, each in ipairs(value) do
    if type(each) ~= "string" then return false end
  end
  return true
end

local function is_whole(value) return math.type(value) == "integer" end

-- What a field may be: a test, and the words for it.
local KINDS = {
  text = { function(value) return type(value) == "string" end, "a text" },
  date = { function(value) return timestamp.parse(value) ~= nil end, "a date" },
  switch = { function(value) return type(value) == "boolean" end, "true or false" },
  object = { is_object, "an object" },
  list = { is_list, "a list" },
  texts = { is_texts, "a list of texts" },
  whole = { is_whole, "a whole number" },
}

-- The fields of each kind of document; those behind a "?" may be missing.
local FIELDS = {
  user = {
    id = "text", role = "text", language = "text", teams = "texts", created_at = "date", updated_at = "date",
    custom = "object", name = "?text", image = "?text", last_active = "?date", deactivated_at = "?date",
    deleted_at = "?date", revoke_tokens_issued_before = "?date", invisible = "?switch",
    privacy_settings = "?object", is_erased = "?switch",
  },
  channel = {
    type = "text", id = "text", created_at = "date", updated_at = "date", frozen = "?switch",
    disabled = "?switch", custom = "object", created_by_id = "?text", team = "?text",
    config_overrides = "?object",
  },
  member = {
    cid = "text", user_id = "text", channel_role = "text", created_at = "date", updated_at = "date",
  },
  channel_type = {
    name = "text", created_at = "date", updated_at = "date", settings = "object", grants = "object",
  },
  role = { name = "text", created_at = "date", updated_at = "date" },
  permission = {
    id = "text", name = "text", description = "text", action = "text", owner = "switch", tags = "texts",
    created_at = "date", updated_at = "date",
  },
  ban = {
    target_user_id = "text", shadow = "switch", created_at = "date", cid = "?text",
    banned_by_id = "?text", reason = "?text", expires = "?date",
  },
  webhook = { hook = "text", id = "text", type = "text", body = "?text" },
}

-- Of kinds whose documents differ by their key.
local FIELDS_BY_KEY = {
  app = {
    settings = { settings = "object", grants = "object" },
    credentials = { api_key = "text", api_secret = "text" },
  },
  kept_events = { state = { policies = "object", floor = "whole", last = "whole" } },
}

-- Those of kinds whose other keys are all alike.
local OTHER_FIELDS = { kept_events = { texts = "texts", stamps = "list" } }

local function fields_of(kind, key)
  local by_key = FIELDS_BY_KEY[kind]
  return FIELDS[kind] or by_key and by_key[key] or OTHER_FIELDS[kind]
end

local function check_fields(document, fields, report)
  for name, kind in pairs(fields) do
    local value, optional = document[name], kind:sub(1, 1) == "?"
    local test = KINDS[optional and kind:sub(2) or kind]
    if value == nil then
      if not optional then report(("%s is missing"):format(name)) end
    elseif not test[1](value) then
      report(("%s is not %s"):format(name, test[2]))
    end
  end
end

-- Grants that name roles and permissions there are.
local function check_grants(value, overrides, report, known)
  if value == nil then return end
  local checker = grants.new(
    { exists = function(_, name) return roles.is_built_in(name) or known("role", name) end },
    { get = function(_, id) return known("permission", id) or nil end })
  local ok, failure = checker:check(value, overrides)
  if not ok then report(failure.message) end
end

-- What a document says about its own key, and about others. `known` answers whether a document of a
-- kind exists.
local RELATIONS = {}

local function check_role(name, report, known)
  if type(name) == "string" and not roles.is_built_in(name) and not known("role", name) then
    report(("there is no role %s"):format(json.encode(name)))
  end
end

function RELATIONS.user(key, user, report, known)
  check_role(user.role, report, known)
  if user.id ~= key then report(("its id is %s"):format(json.encode(user.id))) end
  local ok, message = names.user_id(key)
  if not ok then report(message) end
end

function RELATIONS.channel(key, channel, report, known)
  local channel_type, id = names.split_cid(key)
  if not channel_type then return report(id) end
  if channel.type ~= channel_type or channel.id ~= id then report "its type and id are others" end
  if not known("channel_type", channel_type) then
    report(("there is no channel type %q"):format(channel_type))
  end
  local maker = channel.created_by_id
  if maker ~= nil and not known("user", maker) then
    report(("there is no user %s, who made it"):format(json.encode(maker)))
  end
  local overrides = channel.config_overrides
  if is_object(overrides) then check_grants(overrides.grants, true, report, known) end
end

function RELATIONS.member(key, member, report, known)
  check_role(member.channel_role, report, known)
  local cid, user_id = key:match "^([^/]*)/(.*)$"
  if not cid then return report "its key is not that of a member" end
  if member.cid ~= cid or member.user_id ~= user_id then report "its channel or its user is another" end
  if not known("channel", cid) then report(("there is no channel %q"):format(cid)) end
  if not known("user", user_id) then report(("there is no user %q"):format(user_id)) end
end

function RELATIONS.channel_type(key, channel_type, report, known)
  if channel_type.name ~= key then report(("its name is %s"):format(json.encode(channel_type.name))) end
  local ok, message = names.channel_type(key)
  if not ok then report(message) end
  check_grants(channel_type.grants, false, report, known)
end

function RELATIONS.app(_, app, report, known)
  check_grants(app.grants, false, report, known)
end

function RELATIONS.role(key, role, report)
  if role.name ~= key then report(("its name is %s"):format(json.encode(role.name))) end
end

function RELATIONS.permission(key, permission, report)
  if permission.id ~= key then report(("its id is %s"):format(json.encode(permission.id))) end
  if type(permission.action) == "string" and not permission_ids.ACTIONS[permission.action] then
    report(("there is no action %s"):format(json.encode(permission.action)))
  end
end

function RELATIONS.ban(key, ban, report, known)
  local user_id, cid = key:match "^([^/]*)/(.*)$"
  if not user_id then return report "its key is not that of a ban" end
  if ban.target_user_id ~= user_id or (ban.cid or "") ~= cid then
    report "its user or its channel is another"
  end
  if not known("user", user_id) then report(("there is no user %q"):format(user_id)) end
  if cid ~= "" and not known("channel", cid) then report(("there is no channel %q"):format(cid)) end
end

function RELATIONS.webhook(key, delivery, report, _, body)
  if not key:find "^%x+$" then report "its key is no number" end
  body = body or delivery.body
  if type(body) ~= "string" or not is_object(json.decode(body)) then report "its body is no event" end
end

--- Looks at one document.
---@param kind string
---@param key string
---@param text string as it is stored
---@param known fun(kind: string, key: any): boolean whether there is such a document
---@param report fun(message: string) called for everything that is wrong
---@param body string? what is stored beside it
function M.check(kind, key, text, known, report, body)
  local document, err = json.decode(text)
  if not is_object(document) then
    return report("it is damaged: " .. (err and err.message or "it is no object"))
  end
  local fields = fields_of(kind, key)
  if fields then
    check_fields(document, fields, report)
  elseif FIELDS_BY_KEY[kind] then
    report "nothing is kept under this key"
  end
  if RELATIONS[kind] then RELATIONS[kind](key, document, report, known, body) end
end

return M
