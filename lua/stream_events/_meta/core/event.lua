---@meta _
-- Received events. Part of `stream_events.core`.

---@class stream_events.core
local core = {}

--- What a rule had to say about an event that was delivered.
---@class stream_events.EventVerdict
---@field verdict "flag"|"rewrite"|"audit"
---@field judged string what the rules said: another word only for "audit"
---@field rule string? name of the rule
---@field reason string? code
---@field text string? for people
---@field hash string of the rule set

--- A received event. Decodes itself only as far as it is looked at. Read-only.
--- Any other key reads through to raw_data.
---@class stream_events.Event
---@field type string
---@field cid string? absent in user events
---@field channel_type string?
---@field channel_id string?
---@field user table? as the server sent it
---@field created_at string? RFC 3339, by the server's clock
---@field received_at number seconds since 1970, by this machine's clock
---@field trust "server"|"self"|"user" from the transport, never from the payload
---@field verdict stream_events.EventVerdict? what a rule had to say about it, if anything
---@field raw_data table everything as it came, decoded
---@field [string] any what the sender put there: event.text is event.raw_data.text

---@class stream_events.core.event
core.event = {}

--- An event out of a text: for tests, and for what arrives by HTTP.
---@param text string one JSON object
---@param options { self: string?, received_at: number?, member: string? }? member: take the event
---  from this member of the object (the answer of a send holds it under "event")
---@return stream_events.Event? event
---@return string? kind "protocol"
---@return string? message
function core.event.new(text, options) end

--- The JSON text of an event, as it came.
---@param event stream_events.Event
---@return string
function core.event.text(event) end
