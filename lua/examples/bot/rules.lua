-- What the bot takes from others, and what it says itself. Try it: stream-events rules check rules.lua
default "drop"

event "friendship_request" {
  trust = "user", -- not what it may have sent itself
  fields = { text = optional(string { max = 280 }) },
  rate = { count = 5, seconds = 60 }, -- of each sender
  examples = {
    allow = { { text = "Hey there, long time no see!" }, {} },
    drop = { { text = 5, reason = "field-type" }, { link = "http://evil.example", reason = "extra-field" } },
  },
}

event "friendship_answer" {
  trust = { "self", "user" }, -- of another bot
  fields = { text = string { max = 280 } },
  examples = { allow = { { text = "Hello, ann!" } }, drop = { { reason = "field-missing" } } },
}

-- Nobody has a reason to send this. Who does is not heard for an hour.
honeypot "grant_admin"
