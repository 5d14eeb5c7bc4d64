--- `stream-events completion SHELL`: a script that completes this command's words, made out of the parser
--- itself, so that the two never differ.
local output = require "stream_events.command.output"
local parsers = require "stream_events.command.parser"

local M = {}

-- For bash argparse offers the options of all commands on the way; here, those of the last one.
local function text_for(shell)
  local parser = parsers.new(true)
  local text = parser["get_" .. shell .. "_complete"](parser)
  if shell == "bash" then text = text:gsub('opts="%$opts ', 'opts="') end
  return text
end

---@param args { shell: "bash"|"zsh"|"fish" }
---@return integer exit code
function M.run(args)
  return output.write(text_for(args.shell)) and output.OK or output.FAILURE
end

return M
