--- The tree of admin commands: made into what the command line understands, and looked up by it.
-- A node is a group, with `commands` in an order, or a command with what it does.
local M = {}

---@class stream_events.command.Node
---@field name string
---@field about string a sentence
---@field examples string[] what is behind `stream-events admin`
---@field notes string? more for --help
---@field commands stream_events.command.Node[]? of a group

---@class stream_events.command.AdminCommand: stream_events.command.Node
---@field arguments fun(command: table)? adds arguments and options, of argparse
---@field json string what --json gives
---@field check (fun(args: table): string?)? what is wrong with the arguments; may put what it read into them
---@field confirm (fun(args: table): string)? the question that is asked before it is done
---@field run fun(client: stream_events.Client, args: table): any, stream_events.Error?
---@field show fun(page: stream_events.command.Page, value: any, args: table)
---@field alone (fun(args: table): integer)? in the place of all of these: does it, and gives the exit code
---@field hints table<integer, string|fun(args: table): string>? by the service's code: what to do

local TARGET = "admin_%d" -- where the words of the path are kept

local function examples(node)
  local lines = { "Examples:" }
  for _, example in ipairs(node.examples) do lines[#lines + 1] = "  stream-events admin " .. example end
  if node.notes then lines[#lines + 1] = "\n" .. node.notes end
  return table.concat(lines, "\n")
end

local function add_command(command, node)
  if node.arguments then node.arguments(command) end
  if node.confirm then
    command:flag("-y --yes", "Do it without asking; needed where nobody can be asked.")
  end
  command:flag("--json", "For programs: " .. node.json .. "; errors as JSON on standard error.")
end

local function add(command, node, depth)
  command:epilog(examples(node))
  if not node.commands then return add_command(command, node) end
  command:command_target(TARGET:format(depth)):require_command(true)
  for _, child in ipairs(node.commands) do
    add(command:command(child.name, child.about), child, depth + 1)
  end
end

--- Adds a group and all in it to the command line.
---@param parser table of argparse
---@param root stream_events.command.Node
function M.add(parser, root)
  add(parser:command(root.name, root.about), root, 1)
end

--- The command that the command line named.
---@param root stream_events.command.Node
---@param args table of argparse
---@return stream_events.command.AdminCommand
function M.find(root, args)
  local node, depth = root, 1
  while node.commands do
    local name = args[TARGET:format(depth)]
    for _, child in ipairs(node.commands) do
      if child.name == name then
        node = child
        break
      end
    end
    depth = depth + 1
  end
  return node --[[@as stream_events.command.AdminCommand]]
end

return M
