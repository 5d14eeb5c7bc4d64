--- The command `stream-events`: reads the command line and runs one of its subcommands.
-- Exit codes: 0 it worked, 1 it did not, 2 it was called in a way that cannot work; 130 it was
-- interrupted.
local format = require "stream_events.command.format"
local output = require "stream_events.command.output"
local parsers = require "stream_events.command.parser"
local suggest = require "stream_events.suggest"

local M = {}

-- The module and the function behind each subcommand.
local RUNS = {
  serve = { "serve", "run" },
  backup = { "data", "backup" },
  token = { "token", "run" },
  send = { "send", "to_channel" },
  ["send-user"] = { "send", "to_user" },
  listen = { "listen", "run" },
  rules = { "rules", "run" },
  admin = { "admin", "run" },
  doctor = { "doctor", "run" },
  completion = { "completion", "run" },
}

-- Ctrl-C while a blocking call waits: the interpreter raises this in the middle of it. Whoever
-- pressed it knows what was interrupted.
local function is_interrupt(failure)
  return type(failure) == "string" and failure:find("interrupted!$") ~= nil
end

local function run_subcommand(run, args)
  local ok, code = xpcall(run, function(failure)
    if is_interrupt(failure) then return failure end
    return debug.traceback(tostring(failure), 2)
  end, args)
  if ok then return code end
  if is_interrupt(code) then
    if output.on_write then output.on_write() end
    return output.INTERRUPTED
  end
  output.note("stream-events: " .. code)
  return output.FAILURE
end

-- What there is to choose from where a word was not understood.
local function known_words(parser, kind)
  local known = {}
  for _, element in ipairs(kind == "option" and parser._options or parser._commands) do
    for _, alias in ipairs(element._aliases) do known[alias] = true end
  end
  return known
end

-- The one word that this one is the beginning of; nil: there is none, or more.
local function begun_with(word, known)
  local found
  for name in pairs(known) do
    if #word > 2 and name:sub(1, #word) == word then
      if found then return nil end
      found = name
    end
  end
  return found
end

-- argparse knows slips of one letter; most are of two.
local function with_suggestion(parser, message)
  local kind, word = message:match "^unknown (%a+) '(.*)'$"
  if kind ~= "option" and kind ~= "command" then return message end
  local known = known_words(parser, kind)
  local meant = suggest.nearest(word, known) or begun_with(word, known)
  return meant and ("%s\nDid you mean '%s'?"):format(message, meant) or message
end

-- `help send` is `send --help`.
local function without_help_word(args)
  if args[1] ~= "help" then return args end
  local words = { [0] = args[0], table.unpack(args, 2) }
  words[#words + 1] = "--help"
  return words
end

--- Runs the command.
---@param args string[] the command line, args[0] the command itself
---@return integer exit code
function M.run(args)
  args = without_help_word(args)
  local parser = parsers.new(args[1] == "admin")
  local misused = {}
  for _, word in ipairs(args) do output.json = output.json or word == "--json" end
  function parser.error(current, message)
    message = with_suggestion(current, message)
    if not output.json then output.note(current:get_usage() .. "\n") end
    output.misuse((message:gsub("\n(%u)", function(letter) return ": " .. letter:lower() end)))
    if not output.json and not message:find("Did you mean", 1, true) then
      output.note(("  `%s --help` says more"):format(current:_get_fullname()))
    end
    error(misused, 0)
  end
  local ok, result = pcall(parser.parse, parser, args)
  if not ok then
    if result == misused then return output.USAGE end
    if is_interrupt(result) then return output.INTERRUPTED end
    error(result, 0)
  end
  local run = RUNS[result.command]
  result.program = format.program(args[0])
  return output.ended(run_subcommand(require("stream_events.command." .. run[1])[run[2]], result))
end

return M
