---@meta _
-- Framing and handshake by themselves, for specs and for programs that bring their own sockets. Part of
-- `stream_events.core`.

---@class stream_events.core
local core = {}

--- The framing alone, for specs and for programs that bring their own sockets.
---@class stream_events.core.Ws
local Ws = {}

--- Makes one side of a WebSocket, behind the handshake.
---@param side "client"|"server"
---@param max_message integer? bytes, default 1 MiB
---@param max_output integer? bytes waiting to be sent, default 1 MiB
---@return stream_events.core.Ws
function core.ws(side, max_message, max_output) end

---@class stream_events.core.WsItem
---@field kind "text"|"binary"|"ping"|"pong"|"close"|"failed"
---@field data string? of a message, ping or pong
---@field code integer? close: as received, 1005 when it came without one; failed: the one we sent
---@field reason string? close: as received; failed: what the peer did wrong

--- Takes received bytes; returns what they completed, in order. Pongs and the answer to a close
--- are in output() already. When the output has no room for them, reading stops: take some of it,
--- then read("") goes on; other bytes are refused until then.
---@param bytes string
---@return stream_events.core.WsItem[]? items
---@return boolean|string blocked whether reading has stopped for lack of room; or the kind "full"
---@return string? message
function Ws:read(bytes) end
--- Puts a message into the output.
---@param data string
---@param kind "text"|"binary"|"ping"|"pong"|nil
---@return true? ok
---@return string? kind "argument" "closed" "full" "memory"
---@return string? message
function Ws:write(data, kind) end
--- Puts a close frame into the output; nothing can be written after it.
---@param code integer?
---@param reason string?
---@return true? ok
---@return string? kind "argument" "closed" "full" "memory"
---@return string? message
function Ws:close(code, reason) end
--- The bytes to be sent now, at most that many; they are taken out.
---@param count integer? default: all
---@return string
function Ws:output(count) end

--- The handshake's pure parts (RFC 6455 §4). A fresh Sec-WebSocket-Key.
---@return string key
function core.upgrade_key() end
--- The text of the request that begins a handshake.
---@param host string with the port, unless it is the scheme's own
---@param target string path and query
---@param key string
---@param headers string? more lines, each ended by CRLF
---@return string? request
---@return string? kind "argument"
---@return string? message
function core.upgrade_request(host, target, key, headers) end
--- What a server answers to a key.
---@param key string
---@return string accept
function core.upgrade_accept(key) end
--- Looks at an answer received so far.
---@param bytes string
---@param key string
---@return integer? used bytes of the head; 0 when more is needed
---@return string? kind "protocol"
---@return string? message
---@return integer? status of the answer that refused, when it got that far
function core.upgrade_response(bytes, key) end
