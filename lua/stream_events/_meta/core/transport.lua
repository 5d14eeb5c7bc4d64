---@meta _
-- HTTP requests and WebSocket connections of one client. Part of `stream_events.core`.

---@class stream_events.core
local core = {}

--- Everything of one client that needs a descriptor: HTTP requests and WebSocket connections.
---@class stream_events.core.Transport
local Transport = {}

---@class stream_events.core.TransportOptions
---@field user_agent string?
---@field max_in_flight integer? HTTP requests at a time, default 32; more wait in order
---@field max_waiting integer? requests that may wait, default 4096; more are refused with "full"
---@field max_body integer? bytes of an HTTP answer, default 8 MiB
---@field read_size integer? bytes of an answer that are read at a time, 1024 to 524288, default 16384
---@field connect_timeout number? seconds, default 10
---@field keep_date boolean? the header Date of answers is of interest, too
---@field keep_content_type boolean? whether the header Content-Type of answers is; default true
---@field keep_body boolean? whether their bodies are; default true
---@field ca_file string? PEM bundle instead of the system's
---@field proxy string? as libcurl's CURLOPT_PROXY; default: the environment's

--- Makes a transport. Nothing goes over the network yet.
---@param options stream_events.core.TransportOptions?
---@return stream_events.core.Transport
function core.transport(options) end

--- The one descriptor to wait on (epoll or kqueue inside): readable when step() has work.
---@return integer
function Transport:pollfd() end
--- What to wait for at the descriptor: always reading.
---@return "r"
function Transport:events() end
--- Seconds until step() must be called even if the descriptor stays quiet; nil: never; 0: now.
---@return number?
function Transport:timeout() end
--- Sleeps until there is work, a signal came, or that many seconds have passed. 0 returns at once.
---@param seconds number
function Transport:wait(seconds) end
--- Makes the descriptor readable once after so many seconds, by a clock that goes on while the machine
--- sleeps; the next step() ends that. Takes the place of the alarm before.
---@param seconds number over 0
---@return boolean set false: the system has no such clock
function Transport:alarm(seconds) end
--- Does what is possible now: HTTP, connects, what is left to send. Grants every connection a new
--- budget for reading. With seconds, and when there is nothing to look at so far, it waits first, as
--- wait() does, but sends new requests before; without them it never waits.
---@param seconds number?
function Transport:step(seconds) end
--- Ends all requests (unanswered) and connections (without a close frame). Any number of times.
function Transport:close() end

---@class stream_events.core.Request
---@field method string
---@field url string
---@field headers string[]? lines "Name: value"; the same table again costs nothing to parse again,
---  so do not change lines of one that was used (to add some is fine)
---@field body string?
---@field timeout number? seconds for the whole request, default 6

--- Starts a request, or queues it.
---@param request stream_events.core.Request
---@return integer? id
---@return string? kind "full" "argument" "closed"
---@return string? message
function Transport:request(request) end

--- A request that is made again and again: read once, all but what differs. Serves every transport.
---@class stream_events.core.Prepared

--- Reads a request once, for send(). Raises where it could never be sent.
---@param request stream_events.core.Request
---@return stream_events.core.Prepared
function Transport:prepare(request) end

--- Starts a prepared request as request() does.
---@param prepared stream_events.core.Prepared
---@param body string?
---@param lines string[]? up to 8 header lines for this request alone; their table may be changed afterwards
---@param timeout number? seconds, in place of the prepared ones
---@return integer? id
---@return string? kind "full" "argument" "closed"
---@return string? message
function Transport:send(prepared, body, lines, timeout) end

--- The next finished request, or nothing.
---@param brief boolean? true: of an answer with a status from 200 to 299 only the first two results
---@return integer? id
---@return integer? status of the HTTP answer; nil when there was none
---@return string? body, or the kind of the failure: "network" "tls" "certificate" "trust" "proxy" "timeout"
---  "full" "protocol"
---@return table<string,string>|string|nil headers of interest in lower case (retry-after,
---  x-ratelimit-*; date, where the status is no 2xx; and as the options say), nil when none; or the
---  failure's message
---@return true? unsent of a failure: no byte of the request has gone out
function Transport:next_response(brief) end

--- Forgets a request; it will not be reported. Unknown ids are ignored.
---@param id integer
function Transport:cancel(id) end

--- Ends the connections of HTTP that no request is using: the next ones make new ones. For when the
--- network may be another one.
function Transport:end_idle() end

---@class stream_events.core.Certificate texts of printable ASCII, as the certificate has them
---@field subject string
---@field issuer string
---@field names string hosts and addresses that it is for, with ", " between them
---@field from string "2026-01-31 12:00 UTC"
---@field until_date string likewise
---@field is_trusted boolean whether the chain is good; the name may still be another

--- The certificate that a TLS handshake for a request has met: the server's own, or the one in its chain
--- that is wrong. nil: there was no such handshake, or libcurl stands on another OpenSSL than this module.
---@return stream_events.core.Certificate?
function Transport:certificate() end

---@class stream_events.core.ConnectOptions
---@field url string ws:// or wss://; never logged, it holds the token
---@field headers string[]?
---@field router stream_events.core.Router? absent: next() gives raw messages
---@field self string? id of the connected user, for the trust of events
---@field max_message integer? bytes, default 1 MiB
---@field max_output integer? bytes waiting to be sent, default 1 MiB
---@field timeout number? seconds until open, default 15
---@field ca_file string? default: the transport's
---@field proxy string? default: the transport's

--- Begins to connect.
---@param options stream_events.core.ConnectOptions
---@return stream_events.core.Connection? connection
---@return string? kind "argument" "closed" or "memory"
---@return string? message
function Transport:connect(options) end

---@class stream_events.core.Connection
local Connection = {}

--- Where the connection stands. The extra values are those of a closed one: how it ended.
---@return "connecting"|"open"|"closing"|"closed" state
---@return string? kind "closed" (a closing handshake, whoever began) "network" "tls" "certificate" "trust"
---  "proxy" "timeout" "protocol" "auth"
---@return string? message
---@return integer? code close code, or HTTP status of a refused upgrade; 1006: no word was said
---@return string? retry_after of a refused upgrade: the header Retry-After, where it was there
---@return string? date likewise: the header Date, "" where it was not there
function Connection:state() end

--- The next thing received: reads the socket as far as this turn's budget allows.
--- With a router: event, type, cid of the next event that is wanted; unwanted ones are counted.
--- A text that is no event gives false, "malformed", reason, and the text's first 200 bytes.
--- Where the router has rules, what they drop is counted and skipped. An event that is quarantined or
--- whose rule misbehaved (and, if observed, each that is dropped) gives false, "dropped" or
--- "quarantined" or "fault", and a stream_events.core.RuleReport.
--- Without a router: data, "text"|"binary".
--- nil: nothing now (state() tells whether there ever will be).
---@return stream_events.Event|string|false|nil
---@return string? type_or_kind
---@return string? cid_or_reason
---@return string? excerpt
function Connection:next() end

--- Gives texts to next() before anything that comes in: each is looked at, counted and judged as if it
--- had just been received. Not while an earlier list is being given out.
---@param texts string[] events, oldest first; not to be changed any more
function Connection:replay(texts) end

--- Notes the created_at of every event that next() finds, or no longer; an event that nobody wants
--- need not be looked at so far.
---@param yes boolean
function Connection:track(yes) end

--- How far next() has come.
---@return string? created_at the latest one of the events found, while it tracks; nil: of none
---@return boolean replaying whether texts of replay() are left, or the last of them was the last event
function Connection:position() end

--- Monotonic time (core.now) at which bytes last arrived.
---@return number
function Connection:heard() end

--- Stops or goes on reading; while stopped the descriptor is not reported readable for it.
---@param yes boolean
function Connection:pause(yes) end

--- Queues a message.
---@param data string
---@param kind "text"|"binary"|"ping"|nil default "text"
---@return true? ok
---@return string? kind "full" "closed" "argument"
---@return string? message
function Connection:send(data, kind) end

--- Starts the closing handshake; the state becomes "closed" when the peer answered, or after
--- `seconds` (default 1). What the peer sends before its answer still comes through next(); where
--- nobody calls next() it is thrown away. Not open yet: ends at once. Raises for a code or reason
--- that may not be sent.
---@param code integer? default 1000
---@param reason string?
---@param seconds number?
function Connection:close(code, reason, seconds) end

--- Ends it at once, without a word. Any number of times; also __gc and __close.
function Connection:abort() end
