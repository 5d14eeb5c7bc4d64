---@meta _
-- Rules: the state their functions run in, what they are compiled to, and what decides. Part of
-- `stream_events.core`.

---@class stream_events.core
local core = {}

--- A Lua state of its own for the text of rules, with budgets. See `stream_events.rules`.
---@class stream_events.core.RuleState
local RuleState = {}

--- Makes a state, empty but for the words of rule files.
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

--- Does the next part of what begin() has begun.
---@return boolean? more
---@return string? kind as of load()
---@return string? message
function RuleState:go_on() end

--- The next statement, once go_on() has no more to do; nil: that was the last.
---@return stream_events.core.RuleStatement?
function RuleState:next() end

--- What the state takes up now.
---@return integer bytes in use
function RuleState:memory() end

--- One value of a field, all lengths in characters (strings), elements (arrays) or keys (objects).
---@class stream_events.core.RuleField
---@field kind "string"|"integer"|"number"|"boolean"|"array"|"object"|"one_of"|"any"
---@field optional boolean?
---@field min number? the least number, or the least length
---@field max number? the greatest number, or the greatest length
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
---@return string? kind "argument" or "memory"
---@return string? message
function core.rule_set(description) end

--- The name of the rule for a type; nil: none.
---@param type string
---@return string?
function RuleSet:find(type) end

--- A rule set that is made rule by rule. What raises makes it unusable.
---@class stream_events.core.RuleSetBuilder
local RuleSetBuilder = {}

--- Makes a builder, without rules so far.
---@param options { state: stream_events.core.RuleState? }
---@return stream_events.core.RuleSetBuilder
function core.rule_set_builder(options) end

--- Adds a rule behind the others.
---@param rule stream_events.core.Rule
function RuleSetBuilder:add(rule) end

--- The set; the builder cannot be used any more.
---@param description { default: "drop"|"allow"|nil, mode: "enforce"|"audit"|nil, hash: string? }
---@return stream_events.core.RuleSet? set
---@return string? kind "argument" or "memory"
---@return string? message
function RuleSetBuilder:finish(description) end

--- The rules of one receiver: the set in force, what it remembers, and its counters.
---@class stream_events.core.Rules
local Rules = {}

--- Makes the memory and the counters of one receiver; no rules are in force yet.
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

--- What was decided so far, by type ("*": those beyond 1024), verdict ("audit": let through by audit mode)
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

--- Whether a user bears a mark.
---@param user_id string
---@param name string
---@param now number? seconds since 1970; default: the clock
---@return boolean
function Rules:marked(user_id, name, now) end

--- Marks a user for so many seconds; 0: no longer.
---@param user_id string
---@param name string
---@param seconds number
---@param now number? as of marked()
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
---@field received_at number seconds since 1970, by this machine's clock
---@field event stream_events.Event? only of a quarantined one
