-- What to do with events. Change and save it while the host runs: it is read again, and the connection stays.
local _, kept = ... -- the client; a table that the next version of this script finds as this one left it

kept.moves = kept.moves or 0

local function tell(...)
  print(...)
  io.stdout:flush()
end

return {
  move = function(event)
    kept.moves = kept.moves + 1
    tell(("move %d: %s is at %g, %g"):format(kept.moves, event.user.id, event.x, event.y))
  end,

  -- Only a backend can send this, to this user alone: the rules drop all others.
  level = function(event)
    tell("the level is over: " .. event.go_on)
    host.leave(event.go_on)
  end,
}
