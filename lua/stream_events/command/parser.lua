--- The command line of `stream-events`: its subcommands, their arguments and what --help says of them.
local admin = require "stream_events.command.admin"
local argparse = require "argparse"
local doctor_words = require "stream_events.command.doctor.words"
local native = require "stream_events.native"
local output = require "stream_events.command.output"
local rules = require "stream_events.command.rules"
local serve_options = require "stream_events.command.serve_options"
local token = require "stream_events.command.token"

local M = {}

local ENVIRONMENT = [[
Environment:
  STREAM_BASE_URL    the service (default: http://127.0.0.1:3030, the bundled server;
                     the hosted one is https://chat.stream-io-api.com)
  STREAM_API_KEY     its API key (default on this machine: devkey)
  STREAM_API_SECRET  its secret (default on this machine: lan-dev-secret)
  STREAM_USER_TOKEN  a token for --as, instead of one signed with the secret
  STREAM_CA_FILE     a PEM file of the certificates to trust, instead of the system's]]

local STATUS = [[
Exit codes:
  0    it worked; a `listen` or a `serve` that was told to end
  1    it did not work: standard error says why, and what to do
  2    it was called in a way that cannot work
  130  Ctrl-C before it was done (143: SIGTERM)]]

local function examples(...)
  return "Examples:\n  " .. table.concat({ ... }, "\n  ") .. "\n\n" .. ENVIRONMENT
end

local function add_json(command, what)
  return command:flag("--json", "For programs: " .. what .. "; errors as JSON on standard error.")
end

local function add_join(command)
  command:flag("--join", "When the channel is missing, or the user is no member, put that right with the "
    .. "secret. Done without asking on this machine.")
    :target("join"):action("store_true")
  command:flag("--no-join", "Leave channels and members as they are."):target("join"):action("store_false")
end

local function add_serve(parser)
  local command = parser:command("serve", "Run the bundled server.")
  command:usage "Usage: stream-events serve [<option> ...]"
  command:help_description_margin(37)
  local config = command:option("--config", "Settings file: lines like max_event = 8192. Read again on "
    .. "SIGHUP. Default: STREAM_EVENTS_CONFIG."):argname "<file>"
  local print_config = command:flag("--print-config",
    "Start no server: print all settings, and where each is from.")
  local check = command:flag("--check-data", "Start no server: look through the data, also while a server "
    .. "is using it, and print what is wrong with it.")
  local as_json = add_json(command,
    "the address, or what --check-data or --print-config found, as a JSON object")
  command:group("What to do", config, print_config, check, as_json)
  serve_options.add_flags(command)
  command:epilog("Every setting has a flag, a line in the settings file (max_event = 8192) and a "
    .. "variable (STREAM_EVENTS_MAX_EVENT; for the key and the secret those below). Flags go before "
    .. "variables, those before the file. A switch has a --no-... as well.\n\n" .. examples(
    "stream-events serve",
    "stream-events serve --port 0 --data :memory:",
    "stream-events serve --rules rules.lua",
    "stream-events serve --config settings.lua --print-config",
    "STREAM_API_SECRET=$(openssl rand -hex 32) stream-events serve --host 0.0.0.0"))
end

local function add_backup(parser)
  local command = parser:command("backup", "Copy the bundled server's data, also while it runs.")
  command:argument("file", "Where to; must not exist yet.")
  command:option("--data", "The server's data. Default: where the settings of `serve` say.")
  command:option("--config", "The settings file that `serve` reads."):argname "<file>"
  add_json(command, "what was copied where")
  command:epilog(examples(
    "stream-events backup backup.db",
    "stream-events serve --data backup.db --check-data"))
end

local function add_token(parser)
  local command = parser:command("token", "Sign a token for a user.")
  token.arguments(command)
  add_json(command, "the token, the user id and the expiry as a JSON object")
  command:epilog(examples("stream-events token john", "stream-events token john --exp 3600"))
end

local function add_debug(command)
  command:flag("--debug", "Tell on standard error what goes on: the connection's states, calls, what comes.")
end

local function add_send(parser)
  local command = parser:command("send", "Send a custom event to a channel.")
  command:argument("cid", "The channel, type:id.")
  command:argument("type", "Type of the event.")
  command:argument("data", "key=value for texts, key:=json for other values."):args("*")
  command:option("--as", "Id of the user who sends."):target("user"):count(1):argname "<user>"
  add_join(command)
  add_json(command, "the event as it was delivered")
  add_debug(command)
  command:epilog(examples(
    'stream-events send messaging:general friendship_request text="Hey there" --as tommaso',
    "stream-events send gaming:arena move x:=12 y:=40 tags:='[\"red\"]' --as thierry"))
end

local function add_send_user(parser)
  local command = parser:command("send-user", "Send a custom event to a user, as a backend.")
  command:argument("user", "Id of the user.")
  command:argument("type", "Type of the event.")
  command:argument("data", "key=value for texts, key:=json for other values."):args("*")
  add_json(command, "what was sent")
  add_debug(command)
  command:epilog(examples('stream-events send-user tommaso friendship_request text="Hey there"'))
end

local function add_listen(parser)
  local command = parser:command("listen", "Print events as they arrive, one a line, until Ctrl-C.")
  command:argument("cids", "Channels to watch. Events sent to the user arrive in any case."):args("*")
  command:option("--type", "Only this event type; prefix* for several. May be repeated.")
    :target("types"):count("*"):argname "<type>"
  command:option("--as", "Id of the user who listens."):target("user"):count(1):argname "<user>"
  add_join(command)
  command:option("--rules", "Judge events by this rule file, and show what is dropped and why. The file is "
    .. "read again whenever it changes."):argname "<file>"
  command:option("--record", "Append everything that arrives to this file, also what rules drop, as "
    .. "`rules explain` and `rules replay` read it."):argname "<LOG.jsonl>"
  add_json(command, "a JSON object a line, with the sender's data in `data`, or with what was dropped in "
    .. "`dropped`")
  add_debug(command)
  command:epilog(examples(
    "stream-events listen messaging:general --as thierry",
    "stream-events listen messaging:general gaming:arena --type 'trade_*' --type ready --as thierry",
    "stream-events listen messaging:general --as thierry --rules rules.lua",
    "stream-events listen messaging:general --as thierry --record log.jsonl",
    "stream-events listen --as thierry --json | jq .data"))
end

local function add_doctor(parser)
  local command = parser:command("doctor", "Check this machine, its settings and the way to the service.")
  doctor_words.arguments(command)
  add_json(command, "what was found by each check, as one object")
  command:epilog(examples(
    "stream-events doctor",
    "stream-events doctor --as john",
    "STREAM_BASE_URL=https://chat.example.com stream-events doctor --read-only",
    "stream-events doctor --json | jq '.checks[] | select(.state != \"ok\")'")
    .. "\n\n" .. doctor_words.NOTES)
end

local function add_completion(parser)
  local command = parser:command("completion", "Print what a shell needs to complete this command.")
  command:command_target "shell":require_command(true)
  local all = {}
  for _, shell in ipairs {
    { "bash", "source <(stream-events completion bash) # in ~/.bashrc" },
    { "zsh", "stream-events completion zsh > ~/.zfunc/_stream-events # a folder in $fpath" },
    { "fish", "stream-events completion fish > ~/.config/fish/completions/stream-events.fish" },
  } do
    all[#all + 1] = shell[2]
    command:command(shell[1], ("Print it for %s."):format(shell[1])):epilog("Examples:\n  " .. shell[2])
  end
  command:epilog("Examples:\n  " .. table.concat(all, "\n  ")
    .. "\n\n`make install` puts them where each shell looks for them.")
end

-- What comes here was rewritten to COMMAND --help already: this is for the lists of commands.
local function add_help(parser)
  local command = parser:command("help", "Show what --help says of a subcommand.")
  command:argument("words", "The subcommand, and its own."):args "*":argname "<command>"
  command:epilog "Examples:\n  stream-events help send\n  stream-events help admin users ban"
  command._is_help_command = true -- completions offer the commands then
end

-- Options after which nothing else is done.
local function tell(text)
  output.write(text)
  os.exit(output.ended(output.OK))
end

-- argparse prints its help without a look at whether that worked.
local function tell_help(parser)
  for _, option in ipairs(parser._options) do
    if option._aliases[2] == "--help" then option:action(function() tell(parser:get_help() .. "\n") end) end
  end
  for _, command in ipairs(parser._commands) do tell_help(command) end
end

--- Makes the parser.
---@param with_admin boolean all of the subcommands of `admin`, too: they are many
---@return table parser of argparse
function M.new(with_admin)
  local parser = argparse("stream-events", "Custom events of Stream Chat: a server to try them on, and "
    .. "commands to send and to see them.")
  parser:help_max_width(100)
  parser:command_target("command"):require_command(true)
  parser:flag("--version", "Show the version."):action(function()
    tell("stream-events " .. native.version .. "\n")
  end)
  parser:flag("--man", "Print the manual page, for `man -l -`."):action(function()
    tell(require "stream_events.command.man_page".text(M.new(true)))
  end)
  add_serve(parser)
  add_backup(parser)
  add_token(parser)
  add_send(parser)
  add_send_user(parser)
  add_listen(parser)
  rules.add(parser)
  admin.add(parser, with_admin)
  add_doctor(parser)
  add_completion(parser)
  add_help(parser)
  parser:epilog("Examples:\n  stream-events serve\n  stream-events listen messaging:general --as thierry\n"
    .. '  stream-events send messaging:general friendship_request text="Hey there" --as tommaso\n'
    .. "  stream-events doctor\n\n"
    .. "`stream-events COMMAND --help` and `stream-events help COMMAND` say more.\n\n" .. ENVIRONMENT
    .. "\n  NO_COLOR           not empty: no colours\n\n" .. STATUS)
  tell_help(parser)
  return parser
end

return M
