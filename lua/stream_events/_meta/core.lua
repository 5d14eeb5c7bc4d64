---@meta stream_events.core
-- What the C module `stream_events.core` offers. Only `stream_events.native` requires it.
-- Everything that can fail returns nil, a kind ("argument" "protocol" "network" "tls" "certificate"
-- "trust" "proxy" "timeout" "closed" "full" "memory") and a message for people; wrong argument types raise.

---@class stream_events.core
---@field version string
local core = {}

--- Monotonic seconds, for deadlines.
---@return number
function core.now() end

--- Seconds since 1970, with a fraction.
---@return number
function core.time() end

--- A number of seconds that grows by the time that the machine is asleep, in which now() stands still.
--- Where the system does not tell, it also moves when the clock of time() is set.
---@return number
function core.slept() end

--- A text that is another one as soon as the file has other content or is another file; nil: there is
--- no such file.
---@param path string
---@return string?
function core.file_stamp(path) end

---@class stream_events.core.Libraries versions
---@field curl string of libcurl as it runs
---@field curl_built_with string of the one that this module was compiled with
---@field curl_tls string? of libcurl's TLS, "OpenSSL/3.0.15"
---@field zlib string?
---@field openssl string of the one that this module uses, "OpenSSL 3.0.15 3 Sep 2024"
---@field same_openssl boolean whether libcurl stands on the same one
---@field ca_file string? whose certificates the system trusts, as libcurl has it; nil: it does not say
---@field ca_path string? likewise, a folder

--- Which libraries this module runs with.
---@return stream_events.core.Libraries
function core.libraries() end

--- What the protocol says a type is (protocol §5.8, §3.9).
---@param type string
---@return "custom"|"builtin"|"local"
function core.type_class(type) end

--------------------------------------------------------------------------------------------- json

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
---@return string? text
---@return string? kind "argument"; also for an array
---@return string? message
function core.json.extend(before, object, after) end

--- Marks a table as an array, so that an empty one encodes as `[]`. Returns the same table.
---@param list table
---@return table
function core.json.array(list) end

--- The members of one JSON object, values as the raw text they were written in: what is passed on
--- unchanged never loses a digit. Checks the whole text as decode does.
---@param text string
---@return { [1]: string, [2]: string }[]? members {key (unescaped), raw value text}, in order
---@return string? kind
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

-------------------------------------------------------------------------------------------- event

--- A received event. Decodes itself only as far as it is looked at. Read-only.
--- Any other key reads through to raw_data.
---@class stream_events.EventVerdict
---@field verdict "flag"|"rewrite"|"audit"
---@field judged string what the rules said: another word only for "audit"
---@field rule string? name of the rule
---@field reason string? code
---@field text string? for people
---@field hash string of the rule set

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

------------------------------------------------------------------------------------------- crypto

---@class stream_events.core.crypto
core.crypto = {}
---@param key string
---@param data string
---@return string digest 32 bytes
function core.crypto.hmac_sha256(key, data) end
--- Signs many texts with one key, each far quicker than hmac_sha256 does.
---@class stream_events.core.Signer
local Signer = {}
---@param key string
---@return stream_events.core.Signer
function core.crypto.signer(key) end
---@param data string
---@return string digest what hmac_sha256 gives, in hex
function Signer:sign(data) end
---@param data string
---@return string digest 32 bytes
function core.crypto.sha256(data) end
---@param data string
---@return string digest 20 bytes
function core.crypto.sha1(data) end
---@param data string
---@return string lower case
function core.crypto.hex(data) end
---@param data string
---@return string
function core.crypto.base64_encode(data) end
---@param text string
---@return string? data
---@return string? kind
---@return string? message
function core.crypto.base64_decode(text) end
---@param data string
---@return string without padding
function core.crypto.base64url_encode(data) end
---@param text string
---@return string? data
---@return string? kind
---@return string? message
function core.crypto.base64url_decode(text) end
---@param count integer 0 to 65536
---@return string
function core.crypto.random(count) end
---@return string
function core.crypto.uuid() end
--- Constant time.
---@param a string
---@param b string
---@return boolean
function core.crypto.equals(a, b) end

--------------------------------------------------------------------------------------------- gzip

---@param data string
---@return string bytes
function core.gzip(data) end
--- Undoes it; one whole member with nothing behind it.
---@param bytes string
---@param limit integer most bytes that may come out: more is "full"
---@return string? data
---@return string? kind "full", "protocol" or "memory"
---@return string? message
function core.gunzip(bytes, limit) end

-------------------------------------------------------------------------------------------- alarm

--- A descriptor for loops that have none but descriptors: readable when another one is, and when its
--- time has come.
---@class stream_events.core.Alarm
local Alarm = {}

---@param fd integer the other descriptor
---@return stream_events.core.Alarm? alarm
---@return string? kind "network": no descriptor is left
---@return string? message
function core.alarm(fd) end

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

------------------------------------------------------------------------------------------- router

---@class stream_events.core.Router
local Router = {}

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

---@return { received: integer, delivered: integer, unwanted: integer, refused: integer }
function Router:totals() end

--- Counts by type, then by reason ("unwanted", "reserved-type", ...); beyond 1024 types under "*".
---@return table<string, table<string, integer>>
function Router:counts() end

---------------------------------------------------------------------------------------- transport

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
---@field ca_file string? PEM bundle instead of the system's
---@field proxy string? as libcurl's CURLOPT_PROXY; default: the environment's

---@param options stream_events.core.TransportOptions?
---@return stream_events.core.Transport
function core.transport(options) end

--- The one descriptor to wait on (epoll or kqueue inside): readable when step() has work.
---@return integer
function Transport:pollfd() end
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

---@param request stream_events.core.Request
---@return stream_events.core.Prepared
function Transport:prepare(request) end

--- Starts a prepared request as request() does.
---@param prepared stream_events.core.Prepared
---@param body string?
---@param lines string[]? up to 8 header lines for this request alone; their table may be changed afterwards
---@param timeout number? in place of the prepared one
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
---  x-ratelimit-*, content-type), nil when none; or the failure's message
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
---@return string? kind
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

---------------------------------------------------------------------------------------------- ws

--- The framing alone, for specs and for programs that bring their own sockets.
---@class stream_events.core.Ws
local Ws = {}

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
---@param data string
---@param kind "text"|"binary"|"ping"|"pong"|nil
---@return true? ok
---@return string? kind
---@return string? message
function Ws:write(data, kind) end
---@param code integer?
---@param reason string?
---@return true? ok
---@return string? kind
---@return string? message
function Ws:close(code, reason) end
--- The bytes to be sent now, at most that many; they are taken out.
---@param count integer? default: all
---@return string
function Ws:output(count) end

--- The handshake's pure parts (RFC 6455 §4). A fresh Sec-WebSocket-Key.
---@return string key
function core.upgrade_key() end
---@param host string with the port, unless it is the scheme's own
---@param target string path and query
---@param key string
---@param headers string? more lines, each ended by CRLF
---@return string? request
---@return string? kind "argument"
---@return string? message
function core.upgrade_request(host, target, key, headers) end
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

-------------------------------------------------------------------------------------------- rules

--- A Lua state of its own for the text of rules, with budgets. See `stream_events.rules`.
---@class stream_events.core.RuleState
local RuleState = {}

---@param limits { memory: integer?, instructions: integer?, seconds: number? } bytes of the whole
---  state (default 8 MiB, a quarter of it for one value); instructions (1 000 000) and seconds (0.005)
---  of one call. Loading has 100 times the instructions, and 2 seconds. What C functions do counts as
---  instructions, too; a pause in which the machine ran something else counts only in part as time.
---@return stream_events.core.RuleState? state
---@return string? kind "memory"
---@return string? message
function core.rule_state(limits) end

--- What a function of a rule can answer, for programs that give their rules as a Lua table. The values
--- say nothing and hold nothing; all but `allow` and `rewrite` may be called with a text, `rewrite` must
--- be called with the new data.
---@type { allow: any, drop: any, flag: any, quarantine: any, rewrite: any }
core.verdicts = {}

--- One statement of a rule file: `event "x" {...}`, `refuse "x"`, `default "drop"`, ...
---@class stream_events.core.RuleStatement
---@field kind "event"|"refuse"|"honeypot"|"default"|"mode"
---@field name any what followed the word, copied; an event type where all is well
---@field value any the table behind it, copied, or nil. A function in it is a table with the
---  metatable options.functions: { reference=, file=, line= }. A field constructor is a table with
---  the metatable options.fields: { kind=, options=, file=, line= }, `options` being what it was
---  called with (nil: it was not called).
---@field file string
---@field line integer

--- Runs a rule file, and says what stands in it. Statements of included files stand where they were
--- included. Text chunks only.
---@param name string of the file, for messages
---@param text string
---@param options { functions: table, fields: table, read: (fun(name: string): string?, string?)? }
---  metatables for the copies; `read` gives the text of an included file
---@return stream_events.core.RuleStatement[]? statements
---@return string? kind "argument": the text is wrong; "full": a budget; "memory"
---@return string? message begins with "FILE:LINE: " where there is a line
function RuleState:load(name, text, options) end

--- The same in parts, none of which takes long: begin(), then go_on() until it says that there is no
--- more to do, then next() until there is no other statement.
---@param name string
---@param text string
---@param options table as for load()
function RuleState:begin(name, text, options) end

---@return boolean? more
---@return string? kind as of load()
---@return string? message
function RuleState:go_on() end

---@return stream_events.core.RuleStatement?
function RuleState:next() end

---@return integer bytes in use
function RuleState:memory() end

--- One value of a field, all lengths in characters (strings), elements (arrays) or keys (objects).
---@class stream_events.core.RuleField
---@field kind "string"|"integer"|"number"|"boolean"|"array"|"object"|"one_of"|"any"
---@field optional boolean?
---@field min number?
---@field max number?
---@field starts_with string[]? one of them must fit; likewise the next three
---@field ends_with string[]?
---@field contains string[]?
---@field glob string[]?
---@field one_of (string|number|boolean)[]? also the values of the kind "one_of"
---@field items stream_events.core.RuleField? of each element of an array
---@field fields table<string, stream_events.core.RuleField>? of an object
---@field keys stream_events.core.RuleField? of the name of each key `fields` does not name
---@field each stream_events.core.RuleField? of the value of each such key
---@field extra "refuse"|"keep"|"strip"|nil keys that neither `fields` nor `each` speaks about

---@class stream_events.core.RuleSource one condition of `from`
---@field list string[]
---@field none boolean? true: none of them

---@class stream_events.core.Rule
---@field name string as written; with a '*' at its end: a prefix
---@field kind "event"|"refuse"|"honeypot"
---@field mode "enforce"|"audit"|nil
---@field trust ("server"|"self"|"user")[]? nil: any
---@field from { user: RuleSource?, role: RuleSource?, channel_type: RuleSource?, cid: RuleSource? }?
---@field size integer? bytes of the event's text
---@field rates { count: number, seconds: number, per: "sender"|"channel"|"all" }[]?
---@field fields table<string, stream_events.core.RuleField>?
---@field extra "refuse"|"keep"|"strip"|nil
---@field check integer|function|nil reference of the rule state, or the program's own function
---@field rewrite integer|function|nil
---@field quarantine string? a text: all that passes is quarantined
---@field flag string? a text: all that passes is flagged
---@field mark string? honeypot: the name of the mark; default "honeypot"
---@field seconds number? honeypot: how long it lasts; default 3600

--- A compiled rule set. Immutable.
---@class stream_events.core.RuleSet
local RuleSet = {}

--- Compiles a description that has been checked: what is wrong with it here raises, or is an
--- "argument" error without a line.
---@param description { rules: stream_events.core.Rule[], default: "drop"|"allow", mode: "enforce"|"audit",
---  hash: string, state: stream_events.core.RuleState? }
---@return stream_events.core.RuleSet? set
---@return string? kind
---@return string? message
function core.rule_set(description) end

--- The name of the rule for a type; nil: none.
---@param type string
---@return string?
function RuleSet:find(type) end

--- A rule set that is made rule by rule. What raises makes it unusable.
---@class stream_events.core.RuleSetBuilder
local RuleSetBuilder = {}

---@param options { state: stream_events.core.RuleState? }
---@return stream_events.core.RuleSetBuilder
function core.rule_set_builder(options) end

---@param rule stream_events.core.Rule
function RuleSetBuilder:add(rule) end

--- The set; the builder cannot be used any more.
---@param description { default: "drop"|"allow"|nil, mode: "enforce"|"audit"|nil, hash: string? }
---@return stream_events.core.RuleSet? set
---@return string? kind
---@return string? message
function RuleSetBuilder:finish(description) end

--- The rules of one receiver: the set in force, what it remembers, and its counters.
---@class stream_events.core.Rules
local Rules = {}

---@param limits { breaches: integer?, buckets: integer?, marks: integer?, counts: integer? }?
---@return stream_events.core.Rules
function core.rules(limits) end

--- Puts a set in force; nil: none, everything is allowed. Limits, marks and counters stay.
---@param set stream_events.core.RuleSet?
function Rules:use(set) end

---@class stream_events.core.RuleDecision
---@field verdict "allow"|"flag"|"rewrite"|"quarantine"|"drop" what is to happen
---@field judged string what the rules said; another word only in audit mode
---@field reason string? code
---@field rule string? name of the rule
---@field text string? for people
---@field hash string? of the rule set
---@field changed string? the JSON text to be taken instead
---@field tripped boolean? this event tripped its rule
---@field instructions integer
---@field seconds number
---@field bytes integer
---@field steps { step: string, reason: string?, text: string }[]? with options.trace

---@class stream_events.core.RuleInput
---@field member string? the event is this member of the text
---@field direction "in"|"out"|nil default "in"
---@field trust ("server"|"self"|"user"|"any")? default: by `self` and the cid, as for events that
---  come in; "any": what others see of an event that is sent
---@field self string? id of the connected user
---@field sender string? id of the sender where the text does not say it; likewise the next three
---@field role string?
---@field cid string?
---@field channel_type string?
---@field now number? seconds since 1970; default: the clock
---@field trace boolean? tells the steps

--- Decides about the JSON text of an event, as about one that comes in.
---@param text string
---@param input stream_events.core.RuleInput?
---@return "allow"|"flag"|"rewrite"|"quarantine"|"drop" verdict a text that is no event: "drop"
---@return stream_events.core.RuleDecision? decision nil for a plain "allow" without changes or trace
function Rules:decide(text, input) end

--- What the type alone says: the router's stage.
---@param type string
---@return "pass"|"ask"|"trap"|"refuse" route
---@return string? reason
---@return string? rule
---@return boolean audit
function Rules:route(type) end

--- What was decided, by type ("*": those beyond 1024), verdict ("audit": let through by audit mode)
--- and reason ("": none).
---@return table<string, table<string, table<string, integer>>>
function Rules:counts() end

--- Names of the rules that are off because their functions broke budgets.
---@return string[]
function Rules:tripped() end

--- Whether connections report what is dropped (next() then gives `false, "dropped", report`). Faults
--- of functions are reported in any case.
---@param yes boolean
function Rules:observe(yes) end

---@param user_id string
---@param name string
---@param now number?
---@return boolean
function Rules:marked(user_id, name, now) end

--- Marks a user for so many seconds; 0: no longer.
---@param user_id string
---@param name string
---@param seconds number
---@param now number?
function Rules:mark(user_id, name, seconds, now) end

--- Forgets the limits, marks and counters of all senders.
function Rules:forget() end

--- Entries in use, ended ones included.
---@return { buckets: integer, marks: integer, counts: integer }
function Rules:sizes() end

--- What a connection reports of an event that was dropped or quarantined, or whose rule misbehaved.
---@class stream_events.core.RuleReport: stream_events.core.RuleDecision
---@field type string of the event
---@field cid string?
---@field user_id string? of the sender
---@field trust "server"|"self"|"user"
---@field size integer bytes
---@field created_at string?
---@field received_at number
---@field event stream_events.Event? only of a quarantined one

return core
