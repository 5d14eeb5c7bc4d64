--- Receives webhooks: size, gzip, signature, repeats. Loaded with the first receiver: few programs are a
-- backend that has one.
local errors = require "stream_events.error"
local native = require "stream_events.native"
local webhook = require "stream_events.webhook"

local M = {}

local MAX_BODY = 1048576 -- bytes, compressed or not: more than any event has
local REMEMBERED = 10000 -- ids
local SECONDS = 3600     -- for which an id is remembered; the service gives up long before
local MAX_ID = 255
local GZIP = "^\31\139"
local OK, BAD_REQUEST, UNAUTHORIZED, TOO_LARGE = 200, 400, 401, 413

---@class stream_events.webhook.Options
---@field secret string the secret of the app
---@field max_body integer? bytes of a body, as sent and after the compression is undone; default 1 MiB
---@field remember integer? so many ids are known as repeats, default 10 000
---@field seconds number? and so long, default an hour
---@field now (fun(): number)? a clock in seconds that never goes back

---@class stream_events.webhook.Delivery
---@field event table the event, decoded
---@field text string the same as it came, compression undone
---@field id string the same for every attempt to deliver this event
---@field attempt integer? 1, 2, 3 ...

---@class stream_events.webhook.Receiver
---@field private options stream_events.webhook.Options
---@field private seen table<string, integer> id to its place in `order`
---@field private order table<integer, { id: string, at: number }|false> the oldest first
---@field private first integer
---@field private last integer
local Receiver = { __name = "stream_events.webhook.receiver" }
Receiver.__index = Receiver

local DEFAULTS = { max_body = MAX_BODY, remember = REMEMBERED, seconds = SECONDS, now = native.now }

--- As webhook.receiver.
---@param options stream_events.webhook.Options
---@param level integer whom to blame for wrong options, as for error()
---@return stream_events.webhook.Receiver
function M.new(options, level)
  if type(options) ~= "table" then error("a receiver needs a table of options", level + 1) end
  local settings = {}
  for name, value in pairs(options) do
    local default = DEFAULTS[name]
    if name ~= "secret" and default == nil then
      error(("there is no option %q"):format(tostring(name)), level + 1)
    elseif default ~= nil and (type(value) ~= type(default) or (type(value) == "number"
      and not (value > 0 and value <= 2 ^ 30))) then
      error(("option %q must be a %s"):format(name, type(default) == "number"
        and "number above 0, at most 2^30" or type(default)), level + 1)
    end
    settings[name] = value
  end
  if type(settings.secret) ~= "string" or settings.secret == "" then
    error("the secret must be a string that is not empty", level + 1)
  end
  for name, default in pairs(DEFAULTS) do
    if settings[name] == nil then settings[name] = default end
  end
  return setmetatable({ options = settings, seen = {}, order = {}, first = 1, last = 0 }, Receiver)
end

-- Headers by the names in lower case, however the program's HTTP server writes them; CGI says
-- HTTP_X_SIGNATURE.
local function lower(headers)
  local result = {}
  for name, value in pairs(headers) do
    if type(name) == "string" then
      result[name:lower():gsub("_", "-"):gsub("^http%-", "")] = value
    end
  end
  return result
end

-- The body without compression, which a header or the first bytes tell of.
local function plain(self, body, headers)
  local limit = self.options.max_body
  local text, kind, message = body, nil, nil
  if #body > limit then
    kind, message = "full", ("the body has more than %d bytes"):format(limit)
  elseif body:find(GZIP) or tostring(headers["content-encoding"]):lower() == "gzip" then
    text, kind, message = native.gunzip(body, limit)
  end
  if not kind then return text end
  return nil, kind == "protocol" and BAD_REQUEST or TOO_LARGE,
    native.error(kind, "a webhook was refused: " .. message)
end

-- Takes out what is too old, or more than is to be remembered.
local function tidy(self, now)
  local options = self.options
  while self.first <= self.last do
    local oldest = self.order[self.first]
    if oldest and self.last - self.first < options.remember and now - oldest.at < options.seconds then
      return
    end
    if oldest then self.seen[oldest.id] = nil end
    self.order[self.first] = nil
    self.first = self.first + 1
  end
end

local function remember(self, id, now)
  self.last = self.last + 1
  self.order[self.last] = { id = id, at = now }
  self.seen[id] = self.last
  tidy(self, now)
end

--- Takes a request of the service's. Nothing that it says is believed, or kept, before the signature
--- has been found to fit. A repeat of what was received already gives no delivery and no error: there
--- is nothing to do, and the status says that all is well.
---
--- The id is not part of what is signed: it tells repeats of the service's from new events, and is no
--- protection against somebody who could listen in and sends a body once more. TLS is.
---@param body string the bytes as they came
---@param headers table<string, string> by name, in whatever case; as CGI variables too
---@return stream_events.webhook.Delivery? delivery nil: refused, or a repeat
---@return integer status what to answer with
---@return stream_events.Error? err why it was refused
function Receiver:receive(body, headers)
  if type(body) ~= "string" then error("the body must be the text as it came", 2) end
  if type(headers) ~= "table" then error("the headers must be a table", 2) end
  headers = lower(headers)
  local text, status, problem = plain(self, body, headers)
  if not text then return nil, status, problem end
  local ok, err = webhook.verify(text, headers["x-signature"], self.options.secret)
  if not ok then return nil, UNAUTHORIZED, err end
  local event
  event, err = native.json.decode(text)
  if type(event) ~= "table" then
    return nil, BAD_REQUEST, err or errors.new { kind = "protocol", message = "a webhook is no object" }
  end
  -- The signature stands in for an id that is missing: a repeat has the same.
  local id = headers["x-webhook-id"]
  if type(id) ~= "string" or id == "" or #id > MAX_ID then id = headers["x-signature"] end
  local now = self.options.now()
  tidy(self, now)
  if self.seen[id] then return nil, OK end
  remember(self, id, now)
  return { event = event, text = text, id = id, attempt = tonumber(headers["x-webhook-attempt"]) }, OK
end

--- Forgets a delivery, so that the next attempt is none to be refused: for a backend that could not
--- do its work, and answers with a status from 500 on.
---@param id string
function Receiver:forget(id)
  local place = self.seen[id]
  if not place then return end
  self.order[place] = false
  self.seen[id] = nil
end

return M
