---@meta _
-- Which events are wanted, and a descriptor that rings. Part of `stream_events.core`.

---@class stream_events.core
local core = {}

---@class stream_events.core.Router
local Router = {}

--- Makes a router, which wants nothing at first.
---@return stream_events.core.Router
function core.router() end

--- Replaces everything that is wanted and refused; counters stay.
---@param wants { types: string[]?, prefixes: string[]?, custom: boolean?, refused: table<string,string>? }
---  custom: every custom type; refused: type to reason
---@return true? ok
---@return string? kind "full"
---@return string? message
function Router:set(wants) end

--- Asks these rules about each type, and has connections judge what passes by them; nil: none.
---@param rules stream_events.core.Rules?
function Router:rules(rules) end

--- What has passed by so far, as numbers of events.
---@return { received: integer, delivered: integer, unwanted: integer, refused: integer }
function Router:totals() end

--- Counts by type, then by reason ("unwanted", "reserved-type", ...); beyond 1024 types under "*".
---@return table<string, table<string, integer>>
function Router:counts() end

--- A descriptor for loops that have none but descriptors: readable when another one is, and when its
--- time has come.
---@class stream_events.core.Alarm
local Alarm = {}

--- Makes an alarm that watches another descriptor.
---@param fd integer the other descriptor
---@return stream_events.core.Alarm? alarm
---@return string? kind "network": no descriptor is left
---@return string? message
function core.alarm(fd) end

--- The descriptor to wait on, for reading.
---@return integer
function Alarm:pollfd() end

--- Has it become readable in so many seconds, and stay so until this is called again; nil: not.
---@param seconds number?
---@return true? ok
---@return string? kind as of core.alarm()
---@return string? message
function Alarm:set(seconds) end

--- Watches the other descriptor no longer; before that is closed.
function Alarm:release() end

--- Any number of times; also __gc and __close.
function Alarm:close() end
