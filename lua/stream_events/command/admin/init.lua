--- `stream-events admin ...`: what a backend may do, from the command line. Each subject has a module of
--- its own beside this one; all of it is calls of the plugin that any program can make.
local run = require "stream_events.command.admin.run"
local tree = require "stream_events.command.admin.tree"

local M = {}

local NOTES = [[
`stream-events admin SUBJECT --help` and `stream-events admin SUBJECT COMMAND --help` say more.

Data: key=value is a text, key:=value is JSON (key:=true, key:=3, key:=null, key:='["a","b"]').
Commands that take something away ask first, and need --yes where nobody can be asked.
Ends with 0 when it was done, 1 when it was not, 2 when it was called in a way that cannot work.

Environment:
  STREAM_BASE_URL    the service (default: http://127.0.0.1:3030, the bundled server)
  STREAM_API_KEY     its API key (default on this machine: devkey)
  STREAM_API_SECRET  its secret (default on this machine: lan-dev-secret)
  STREAM_CA_FILE     a PEM file of the certificates to trust, instead of the system's]]

---@return stream_events.command.Node
local function root()
  local commands = {}
  for i, subject in ipairs {
    "channel_types", "grants", "roles", "permissions", "users", "channels", "hooks", "app", "rate_limits",
  } do
    commands[i] = require("stream_events.command.admin." .. subject)
  end
  return {
    name = "admin", about = "Administer the app: channel types, grants, users, channels, webhooks.",
    examples = {
      "channel-types custom-events off messaging",
      "grants add messaging guest send-custom-event",
      "users ban eve --channel messaging:general --timeout 30m --reason spam",
      "channels list type=messaging --json | jq -r '.[].cid'",
      "hooks add https://example.com/hooks --custom-events",
    },
    notes = NOTES, commands = commands,
  }
end

--- Adds `admin` and its subcommands. They are many, so only a command line that begins with `admin`
--- needs all of them.
---@param parser table of argparse
---@param is_wanted boolean
function M.add(parser, is_wanted)
  local node = root()
  if not is_wanted then return parser:command(node.name, node.about) end
  M.tree = node
  tree.add(parser, node)
end

---@param args table of argparse
---@return integer exit code
function M.run(args)
  return run.run(tree.find(M.tree, args), args)
end

return M
