--- What the command line knows of `stream-events doctor`.
local convert = require "stream_events.command.convert"

local M = {}

M.USER = "stream-events-doctor" -- who connects where nobody else is named
M.SECONDS = 5 -- of one check

M.NOTES = "A line a check: ok, warn, FAIL, or skip where it could not be tried; below it, what to do "
  .. "about it. Ends with 0 when nothing FAILs, 1 when something does, 2 when it was called in a way that "
  .. "cannot work.\n\nWhat it does at the service: it reads the app's settings; then, unless --read-only, it "
  .. "connects as a user, makes a channel messaging:doctor-... of its own, sends a custom event there, waits "
  .. "for it, and deletes the channel; the user stays. Secrets and tokens are never shown."

--- Adds what the command line says.
---@param command table of argparse
function M.arguments(command)
  command:option("--as", ("Id of the user who connects. Default: the one of STREAM_USER_TOKEN, else %s.")
    :format(M.USER)):target("user"):argname "<user>"
  command:flag("--read-only", "Leave nothing behind: no connection, no channel, no event.")
  command:option("--timeout", ("Seconds that each check may take. Default: %d."):format(M.SECONDS))
    :convert(convert.whole(1, 60, "number of seconds from 1 to 60")):argname "<seconds>"
end

return M
