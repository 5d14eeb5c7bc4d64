---@meta stream_events.server.core
-- What the C module `stream_events.server.core` offers: listening, HTTP parsing, WebSocket frames
-- and the fan-out; and POST requests of the server's own. Each of the two owns its sockets and one
-- descriptor (epoll or kqueue inside) that any loop can watch; they decide nothing. Only
-- `stream_events.server.listener` and `stream_events.server.courier` require it.

---@class stream_events.server.core
---@field version string the same as that of stream_events.core, or the server is not loaded
local core = {}

---@class stream_events.server.ListenOptions
---@field host string? default "127.0.0.1"; also "::1", "0.0.0.0", "::"
---@field port integer? default 0: a free one
---@field max_connections integer? default 10000; more are accepted and closed at once with 503
---@field max_connections_per_address integer? of those; default 0: any number. More are answered 503 and
---  counted as `refused_by_address`. IPv6 addresses count by their first 64 bits; see exempt()
---@field max_message_rate integer? messages, pings and pongs a second that a WebSocket may send, default 0:
---  any number; more closes it with 1008
---@field max_header integer? bytes of request line and headers, default 16384: more is 431
---@field max_body integer? bytes of a request body, default 1 MiB: more is 413
---@field max_message integer? bytes of an incoming WebSocket message, default 64 KiB
---@field messages boolean? hand out what comes in over WebSockets, see next(); default false
---@field max_output integer? bytes that may wait for a client that does not read, default 1 MiB, each
---  waiting piece counted with 64 more; more closes a WebSocket with 1013. Of one HTTP answer 16 times as
---  much may wait, of all that are larger than max_output 64 times; more ends its connection
---@field header_timeout number? seconds for a complete head, default 10
---@field body_timeout number? seconds for a complete body, default 30
---@field keepalive_timeout number? seconds an HTTP connection may be idle, default 65
---@field idle_timeout number? seconds a WebSocket may be without inbound bytes, default 60: 1001
---@field slow_timeout number? seconds that a client which was too slow has to read up to the close frame
---  that says so, default 10

--- Begins to listen.
---@param options stream_events.server.ListenOptions?
---@return stream_events.server.core.Listener? listener
---@return string? kind "network" or "memory"
---@return string? message e.g. "cannot listen on 127.0.0.1:3030: address already in use"
function core.listen(options) end

--- Lets this process have so many descriptors open, as far as the system allows it.
---@param descriptors integer
---@return integer allowed how many of them it may have
function core.room(descriptors) end

---@class stream_events.server.core.Listener
local Listener = {}

--- Other limits from now on, those of stream_events.server.ListenOptions; what is left out gets its
--- default. The address stays, and what is open keeps its max_message.
---@param limits stream_events.server.ListenOptions
function Listener:configure(limits) end
--- The descriptor to wait on, for reading: it is ready when step() has work.
---@return integer
function Listener:pollfd() end
--- Seconds until step() must be called for the sake of a time-out; nil: never.
---@return number?
function Listener:timeout() end
--- Where it listens; the port is the one that was found when 0 was asked for.
---@return string host
---@return integer port
function Listener:address() end

--- Says which addresses and networks ("10.0.0.0/8", "fd00::/8") have no limit of connections of their own;
--- the list takes the place of the one before. At first there are none. Raises for what is no network.
---@param networks string[]
function Listener:exempt(networks) end

--- One turn of I/O: accepts, reads, parses, sends what was blocked, ends what is over time. Reads
--- every ready socket once, within a budget for all. Of requests that came together on one connection
--- each turn hands out one. Never waits.
function Listener:step() end

--- The next thing that happened, or nil:
--- "request", connection, request      an HTTP request is complete; one answer is owed. The next
---                                      one on the same connection comes only after that answer.
--- "upgrade", connection, request      a WebSocket handshake that is well-formed: accept or respond
--- "message", connection               any inbound text or binary message, or a ping (its pong is
---                                      already on the way); with listen option `messages = true`
---                                      also data, "text"|"binary"|"ping"
--- "closed", connection, code          a WebSocket that had been accepted is gone: the code of the side
---                                      that closed it (1005: the peer gave none, 1006: no close frame)
---                                      What is sent in answer to the messages before still arrives
--- Until nil has come, step() reads nothing more.
--- `connection` is a positive integer, never used again for another connection.
---@return string? what
---@return integer? connection
---@return stream_events.server.Request|string|integer|nil detail
---@return string? kind of a message: "text", "binary" or "ping"
function Listener:next() end

---@class stream_events.server.Request
---@field method string
---@field path string raw, as sent: still percent-encoded, without the query
---@field query string "" when there is none
---@field headers table<string,string> names in lower case; repeated ones joined with ", "
---@field body string ""
---@field peer string address of the client, without the port

--- Answers the request under way. Content-Length, Connection and Date are added.
---@param connection integer
---@param status integer
---@param body string
---@param headers string[]? lines "Name: value"; Content-Type: application/json unless one is given
---@return boolean sent false when the connection is gone
function Listener:respond(connection, status, body, headers) end

--- Completes the handshake of an "upgrade".
---@param connection integer
---@return boolean
function Listener:accept(connection) end

--- Queues one message for a WebSocket; goes out at the next flush. Raises for a text that is not UTF-8,
--- as broadcast() does: it would make the receivers end their connections.
---@param connection integer
---@param text string
---@param kind "text"|"binary"|nil
---@return boolean
function Listener:send(connection, text, kind) end

--- Sends a close frame behind everything queued; nothing more is handed out but "closed". Raises for a
--- code or reason that no close frame may carry.
---@param connection integer
---@param code integer
---@param reason string?
function Listener:close(connection, code, reason) end

--- Groups for the fan-out: an integer chosen by the caller. join and leave say whether it changed.
---@param group integer
---@param connection integer
---@return boolean
function Listener:join(group, connection) end
--- Takes a connection out of a group; one that ends leaves all of its groups by itself.
---@param group integer
---@param connection integer
---@return boolean
function Listener:leave(group, connection) end
--- How many connections are in a group.
---@param group integer
---@return integer count
function Listener:group_size(group) end
--- Queues one text message for everybody in the group: the frame is built once and shared.
---@param group integer
---@param text string
---@return integer count
function Listener:broadcast(group, text) end

--- Sends what this turn has queued: all frames of a connection in one system call. What would
--- block stays queued, bounded by max_output. Done unasked when a turn has gathered 8 MiB.
function Listener:flush() end

---@class stream_events.server.ListenerStats
---@field connections integer
---@field websockets integer
---@field queued_bytes integer
---@field accepted integer
---@field refused integer
---@field refused_by_address integer of those, for max_connections_per_address
---@field too_busy integer WebSockets closed for max_message_rate
---@field timed_out integer
---@field too_slow integer

--- What is open, and what has become of connections so far.
---@return stream_events.server.ListenerStats
function Listener:stats() end

--- Stops accepting. WebSockets get a close frame with that code; connections end when it is out.
---@param code integer? default 1012
function Listener:shutdown(code) end
--- Closes everything now. Any number of times; also __gc and __close.
function Listener:close_all() end

---@class stream_events.server.PosterOptions
---@field max_in_flight integer requests under way; more are refused
---@field max_body integer bytes of an answer's body, which nobody gets to see
---@field connect_timeout number seconds
---@field idle_timeout number? seconds for which a connection is kept that nothing is sent over, default 118

--- Opens what sends POST requests to http:// URLs. libcurl makes the connections; each carries one request
--- at a time and is kept for the next one to the same target. What the environment says of proxies is
--- looked at once, here.
---@param options stream_events.server.PosterOptions
---@return stream_events.server.core.Poster? poster
---@return string? kind "network" or "memory"
---@return string? message
function core.poster(options) end

---@class stream_events.server.core.Poster
local Poster = {}

---@class stream_events.server.core.PostTarget what requests to one URL have in common
local PostTarget = {}

--- Ends its connections, each with the request that it carries. Any number of times; also __gc and __close.
function PostTarget:close() end

--- Reads what many requests have in common. Raises when a header is no line.
---@param request { url: string, headers: string[]? } lines "Name: value"; one without a value is left out
---@return stream_events.server.core.PostTarget? target nil: it takes libcurl's HTTP to send there, since it
---  is no http:// URL, has a user's name in it or other than plain ASCII, or since there may be a proxy
function Poster:prepare(request) end

--- Begins a request: with its target's head, header lines of its own and the body. Raises when one of
--- them is no line.
---@param target stream_events.server.core.PostTarget
---@param body string
---@param lines string[]
---@param timeout number seconds for all of it
---@return integer? id
---@return string? kind "full", "closed" or "memory"
---@return string? message
function Poster:send(target, body, lines, timeout) end

--- Of the requests that have ended, those that come first and were answered with a status from 200 to 299.
--- Their tags are taken out of the table.
---@param tags table<integer, any> by the ids of requests
---@return any[]? tags nil: there are none
---@return integer? count
function Poster:accepted(tags) end

--- The next request that has ended; nothing when there is none. Any status is an answer. A request is
--- never sent twice, except that a kept connection which took no byte of it does not count.
---@return integer? id
---@return integer? status
---@return string? kind without a status: "network", "timeout", "full" (the answer is longer than max_body,
---  its head than http-parser allows, or all of it that is no body than half a
---  MiB), "protocol" (it is no HTTP) or "memory"
---@return string|table<string,string>|nil message why, in words; or, of a status that is no 2xx, what it has
---  of the headers retry-after and date, as far as they are shorter than 64 bytes
function Poster:next_response() end

--- The descriptor that is readable when step() has something to do.
---@return integer
function Poster:pollfd() end
--- Does what is possible now.
function Poster:step() end
--- Seconds until step() must be called; nil: only when the descriptor is readable.
---@return number?
function Poster:timeout() end
--- Ends everything that is under way. Any number of times; also __gc and __close.
function Poster:close() end

return core
