--- Writes to a store until it is killed: two documents a transaction, and only then its number to
--- stdout. Whatever number was printed must be there afterwards.
local store = require "stream_events.server.store"

local database = assert(store.open(arg[1]))
local number = 0
while true do
  number = number + 1
  database:transaction(function()
    database:put("user", "user-" .. number, { number = number })
    database:put("channel", "channel-" .. number, { number = number, padding = ("x"):rep(2000) })
  end)
  io.stdout:write(number, "\n")
  io.stdout:flush()
end
