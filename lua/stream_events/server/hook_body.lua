--- What webhooks are told of an event: the event as it is distributed, and who caused it (protocol §10.3).
local native = require "stream_events.native"

local M = {}

local json = native.json

local MAX_INFO = 512 -- bytes of what a client says about itself
local CACHE_ENTRIES = 1024

---@class stream_events.server.HookBodies
---@field private infos table<string, string> request_info as JSON, by what it is made of
---@field private count integer of them
---@field private last table the newest: what it is made of, and the text
local HookBodies = { __name = "stream_events.server.hook_bodies" }
HookBodies.__index = HookBodies

---@return stream_events.server.HookBodies
function M.new()
  return setmetatable({ infos = {}, count = 0, last = {} }, HookBodies)
end

local function said(text)
  if text == "" then return nil end
  text = text:sub(1, MAX_INFO)
  return utf8.len(text) and text or (text:gsub("[\128-\255]", "?"))
end

-- A client says the same with every event; the cache is emptied when it is full, so that hostile variety
-- costs time and never memory.
local function find_info(self, address, agent, sdk, ext)
  local key = address .. "\n" .. agent .. "\n" .. sdk .. "\n" .. ext
  local info = self.infos[key]
  if info then return info end
  info = ',"request_info":' .. json.encode {
    type = "client", ip = address, user_agent = said(agent) or "", sdk = said(sdk) or "", ext = said(ext),
  }
  if self.count >= CACHE_ENTRIES then self.infos, self.count = {}, 0 end
  self.infos[key], self.count = info, self.count + 1
  return info
end

-- Who caused an event, for those that a client caused.
local function request_info(self, context)
  if context.caller.kind == "server" then return nil end
  local headers, address, last = context.request.headers, context.address, self.last
  local agent, sdk = headers["user-agent"] or "", headers["x-stream-client"] or ""
  local ext = headers["x-stream-ext"] or ""
  -- Many come from the same client one after the other.
  if last.address == address and last.agent == agent and last.sdk == sdk and last.ext == ext then
    return last.info
  end
  last.address, last.agent, last.sdk, last.ext = address, agent, sdk, ext
  last.info = find_info(self, address, agent, sdk, ext)
  return last.info
end

--- The body for an event.
---@param text string the event as it is distributed
---@param context stream_events.server.Context of the request that caused it
---@param members table? for a built-in event of a channel: the first of its members
---@return string
function HookBodies:make(text, context, members)
  return text:sub(1, -2) .. (members and ',"members":' .. json.encode(members) or "")
    .. (request_info(self, context) or "") .. "}"
end

return M
