---@meta _
-- JSON: strict, and with nothing lost on the way. Part of `stream_events.core`.

---@class stream_events.core
local core = {}

---@class stream_events.core.json
---@field null lightuserdata equal to cjson.null
---@field array_mt table the metatable of decoded arrays
core.json = {}

--- Strict RFC 8259. Integers stay integers up to 64 bits, arrays carry array_mt, null is json.null.
---@param text string
---@return any value
---@return string? kind "protocol"
---@return string? message reason and position, e.g. "duplicate key 'type' at byte 17"
---@return integer? position of the byte, from 1
function core.json.decode(text) end

--- Encodes nil-free data: integers exact, shortest round-trip floats, a table with array_mt or with
--- keys 1..n as an array, any other table with string keys (or none) as an object.
---@param value any
---@return string? text
---@return string? kind "argument"
---@return string? message which value, and where: "at data.position.x: NaN cannot be encoded"
function core.json.encode(value) end

--- Encodes an object's members behind those of an object that was begun: with `{"a":1` before and `}`
--- after, { b = 2 } gives `{"a":1,"b":2}`. What stands before and after is the caller's to get right.
---@param before string an object with at least one member, without its last brace
---@param object table
---@param after string
---@param taken table<string, true>? names that no member of the object may have
---@return string? text
---@return string? kind "argument"; also for an array, and for a name that is taken
---@return string? message
function core.json.extend(before, object, after, taken) end

--- Marks a table as an array, so that an empty one encodes as `[]`. Returns the same table.
---@param list table
---@return table
function core.json.array(list) end

--- The members of one JSON object, values as the raw text they were written in: what is passed on
--- unchanged never loses a digit. Checks the whole text as decode does.
---@param text string
---@return { [1]: string, [2]: string }[]? members {key (unescaped), raw value text}, in order
---@return string? kind "protocol"
---@return string? message
function core.json.members(text) end

--- The elements of a list in an object, each as the raw text it was written in and nested as deep as
--- a text of its own may be.
---@param text string
---@param member string the list's name
---@return string[]? elements
---@return string rest_or_kind the object's text with an empty list in its place
---@return string? message
function core.json.list(text, member) end

--- What split() is to look for, made once.
---@param taken string[] names of members whose values are wanted
---@param left_out string[] names of members that nobody wants; 32 names in all
---@return userdata splitter
function core.json.splitter(taken, left_out) end

--- Takes an object apart: the members that a splitter names, and all others as one raw text without
--- braces, so that what is passed on never loses a digit. Checks the whole text as decode does; an
--- object of more than 256 members is refused.
---@param splitter userdata
---@param text string
---@param member string? take the object apart that is this member of the text's own
---@return string? rest
---@return integer|string members how many it has; or kind; or "missing": there is no such member
---@return integer|string bytes of the object; or the message
---@return string? ... the raw text of each member that is wanted, nil where there is none
function core.json.split(splitter, text, member) end
