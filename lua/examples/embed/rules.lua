-- What the host accepts. Anything that is not named here is dropped before the script sees it.
default "drop"

event "move" {
  fields = { x = number { min = 0, max = 1000 }, y = number { min = 0, max = 1000 } },
  rate = { count = 60, seconds = 1 }, -- of each player
  examples = { allow = { { x = 1, y = 2.5 } }, drop = { { x = -1, y = 0, reason = "field-range" } } },
}

-- What becomes of the program is the backend's to say, and no player's.
event "level" {
  trust = "server",
  fields = { go_on = one_of { "again", "without", "end" } },
  examples = {
    allow = { { go_on = "again" } },
    drop = { { go_on = "again", cid = "livestream:arena", reason = "trust" } },
  },
}
