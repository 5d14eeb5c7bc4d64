--- `stream-events token USER`: signs a token with the secret from the environment.
local convert = require "stream_events.command.convert"
local names = require "stream_events.names"
local native = require "stream_events.native"
local output = require "stream_events.command.output"
local settings = require "stream_events.command.settings"
local token = require "stream_events.token"

local M = {}

--- Adds what the command line says.
---@param command table of argparse
function M.arguments(command)
  command:argument("user", "Id of the user.")
  command:option("--exp", "Seconds until it expires (default: never).")
    :convert(convert.whole(1, 10000000000, "number of seconds")):argname "<seconds>"
end

---@param args { user: string, exp: integer?, json: boolean? }
---@return integer exit code
function M.run(args)
  local ok, message = names.user_id(args.user)
  if not ok then return output.misuse(message) end
  local values
  values, message = settings.read()
  if not values then return output.misuse(message) end
  if not values.secret then return output.misuse "STREAM_API_SECRET is not set: it signs the token" end

  local now = math.floor(native.time())
  local exp = args.exp and now + args.exp
  local text = token.user(values.secret, args.user, exp and { iat = now, exp = exp } or nil)
  if args.json then text = native.json.encode { token = text, user_id = args.user, exp = exp } end
  return output.line(text) and output.OK or output.FAILURE
end

return M
