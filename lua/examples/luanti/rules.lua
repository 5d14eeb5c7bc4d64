-- What the game accepts from the channel. Anything that is not named here is dropped.
-- Try it:  stream-events rules check lua/examples/luanti/rules.lua
default "drop"

local name = string { min = 1, max = 64 }
local text = string { min = 1, max = 500 }

event "chat" {
  fields = { name = optional(name), text = text },
  rate = { count = 10, seconds = 10 }, -- of each sender
  examples = {
    allow = { { text = "Hello, miners" }, { name = "ann", text = "Hello" } },
    drop = {
      { text = "", reason = "field-length" },
      { text = "Hello", link = "http://evil.example", reason = "extra-field" },
    },
  },
}

-- What this server sends itself.
event "player_*" {
  trust = "self",
  fields = { name = name },
  examples = {
    allow = { { type = "player_joined", trust = "self", cid = "livestream:luanti", name = "ann" } },
    drop = {
      { type = "player_left", trust = "user", cid = "livestream:luanti", name = "ann", reason = "trust" },
    },
  },
}

-- A word of the backend's to everybody in the game.
event "announcement" {
  trust = "server",
  fields = { text = text },
  examples = {
    allow = { { text = "The server restarts at noon" } },
    drop = { { text = "I am the admin", cid = "livestream:luanti", reason = "trust" } },
  },
}
