--- `stream-events rules ...`: the subcommands about rule files, as the command line knows them.
-- Each has a module of its own beside this one.
local M = {}

local STATUS = "Ends with 0 when all is well, 1 when there is something to look at, 2 when it was called "
  .. "in a way that cannot work."

local function epilog(...)
  return table.concat({ ... }, "\n\n")
end

local function examples(...)
  return "Examples:\n  " .. table.concat({ ... }, "\n  ")
end

local function add_json(command, what)
  return command:flag("--json", "For programs: " .. what .. "; errors as JSON on standard error.")
end

local function add_sender(command)
  command:option("--self", "Id of the user at whom the events arrived: what that user sent is 'self', what "
    .. "others sent is 'user'."):argname "<user>"
  command:option("--direction", "in: as they arrive (default); out: as they are sent.")
    :choices { "in", "out" }:default "in"
end

local function add_new(parser)
  local command = parser:command("new", "Write a rule file to start from, with comments.")
  command:argument("file", "Where to; it must not be there yet. Default: standard output."):args "?"
  add_json(command, "the file, its text and the commands that come next")
  command:epilog(epilog(examples(
    "stream-events rules new rules.lua",
    "stream-events rules new > rules.lua"), STATUS))
end

local function add_check(parser)
  local command = parser:command("check", "Find mistakes in a rule file, and try its own examples.")
  command:argument("file", "The rule file.")
  command:flag("--strict", "Warnings count as mistakes.")
  add_json(command, "one object: ok, problems, examples, hash")
  command:epilog(epilog(examples(
    "stream-events rules check rules.lua",
    "stream-events rules check rules.lua --json | jq '.problems[]'"),
    "Mistakes are what Lua does not understand, words and fields that do not exist, rules that no event can "
    .. "reach, and examples that end otherwise than they say. Each is shown as FILE:LINE: what is wrong.",
    STATUS))
end

local SPEC = [==[
SPEC.lua returns a list of cases; it can use no functions:
  return {
    { name = "a fair trade",                          -- for the report
      event = { type = "trade_offer", user = "alice", item = "rope", price = 12 },
      verdict = "allow" },
    { name = "nobody pays that",
      event = { type = "trade_offer", user = { id = "bob", role = "guest" }, price = 1000000 },
      verdict = "drop", reason = "field-range" },
    { name = "three pings a minute, and then no more", -- several, one after the other
      events = { { type = "ping" }, { type = "ping" }, { type = "ping" }, { type = "ping" } },
      at = { 0, 1, 2, 3 },                            -- seconds; absent: all at 0
      verdict = { "allow", "allow", "allow", "drop" }, -- a single one is about the last event
      reason = "rate" },
  }
In an event stand beside its data: type, user, cid and trust, as in the examples of a rule file. An
event may also be JSON text: [[{"type":"ping"}]].
  verdict    allow (flagged or not), flag, rewrite, quarantine or drop
  reason     code of the last event
  becomes    data of the last event, as a handler gets them
  direction  "in" (default), or "out" for what is sent
Each case begins without marks and with full rates.]==]

local function add_test(parser)
  local command = parser:command("test", "Run the examples of a rule file, and cases of your own.")
  command:argument("file", "The rule file.")
  command:argument("spec", "A file of cases, see below."):args "?":argname "<SPEC.lua>"
  command:mutex(
    command:option("--format", "tap (version 13, default) or junit (XML)."):choices { "tap", "junit" }
      :default "tap",
    add_json(command, "an object a case, and a last one with the numbers"))
  command:epilog(epilog(examples(
    "stream-events rules test rules.lua",
    "stream-events rules test rules.lua rules_spec.lua",
    "stream-events rules test rules.lua rules_spec.lua --format junit > report.xml"), SPEC, STATUS))
end

local function add_explain(parser)
  local command = parser:command("explain", "Show each step of the decision about events, and its cost.")
  command:argument("file", "The rule file.")
  command:argument("events", "A JSON object a line; - or nothing: standard input.")
    :args "?":argname "<EVENTS.jsonl>"
  add_sender(command)
  add_json(command, "an object a line: line, type, verdict, rule, reason, text; then steps, instructions, "
    .. "microseconds, bytes, hash and, where they apply, flagged, judged, changed, tripped")
  command:epilog(epilog(examples(
    [[echo '{"type":"ping","cid":"messaging:a","user":{"id":"ann"}}' | stream-events rules explain r.lua]],
    "stream-events rules explain rules.lua log.jsonl --self thierry",
    "stream-events rules explain rules.lua log.jsonl --json | jq 'select(.verdict == \"drop\")'"),
    "The clock is the log's: received_at of the event, else created_at, else one second per line. So rates "
    .. "and marks act as they did. A line that is no event, or has more than 1 MiB, is malformed. A flagged "
    .. "event has the verdict allow. One without a cid is one that a backend sent to the user. "
    .. "`stream-events listen --record` writes such logs.",
    "Ends with 0 when every line was judged, whatever the verdicts; 1 when the rule file has mistakes or "
    .. "reading failed; 2 when it was called in a way that cannot work."))
end

local function add_replay(parser)
  local command = parser:command("replay", "Show what new rules would have decided otherwise.")
  command:argument("old", "The rule file as it was."):argname "<OLD>"
  command:argument("new", "The rule file to compare it with."):argname "<NEW>"
  command:argument("log", "A JSON object a line; -: standard input."):argname "<LOG.jsonl>"
  add_sender(command)
  add_json(command, "an object a difference, and a last one with the numbers")
  command:epilog(epilog(examples(
    "stream-events listen messaging:general --as thierry --record log.jsonl",
    "stream-events rules replay rules.lua new-rules.lua log.jsonl --self thierry"),
    "A difference is another verdict, another reason, or other data after a rewrite. The clock is the log's, "
    .. "as with `rules explain`.",
    "Ends with 0 when there is no difference, 1 when there are some or a rule file has mistakes, 2 when it "
    .. "was called in a way that cannot work."))
end

--- Adds `rules` and its subcommands.
---@param parser table of argparse
function M.add(parser)
  local command = parser:command("rules", "Write, check, test and explain rules about what may come in.")
  command:command_target "action":require_command(true)
  add_new(command)
  add_check(command)
  add_test(command)
  add_explain(command)
  add_replay(command)
  command:epilog(epilog(examples(
    "stream-events rules new rules.lua",
    "stream-events rules check rules.lua",
    "stream-events rules test rules.lua",
    "stream-events listen messaging:general --as thierry --rules rules.lua"),
    "`stream-events rules COMMAND --help` says more."))
end

---@param args { action: "new"|"check"|"test"|"explain"|"replay" }
---@return integer exit code
function M.run(args)
  return require("stream_events.command.rules." .. args.action).run(args)
end

return M
