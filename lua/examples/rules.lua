-- What a client of the demo's channel accepts. Anything that is not named here is dropped.
-- Try it:  lua/bin/stream-events rules check lua/examples/rules.lua
default "drop"

event "friendship_request" {
  fields = { text = string { min = 1, max = 280 } },
  rate = { count = 5, seconds = 60 }, -- of each sender
  examples = {
    allow = { { text = "Hey there, long time no see!" } },
    drop = {
      { reason = "field-missing" },
      { text = "Look!", link = "http://evil.example", reason = "extra-field" },
    },
  },
}

event "friendship_answer" {
  fields = { text = string { max = 280 } },
  examples = { allow = { { text = "With pleasure!" } }, drop = { { text = 5, reason = "field-type" } } },
}

-- Only the backend may say so, and only to one user: nobody can send this to a channel.
event "password_reset" {
  trust = "server",
  fields = { url = string { starts_with = "https://accounts.example/" } },
  examples = {
    allow = { { url = "https://accounts.example/reset?code=4711" } },
    drop = {
      { url = "https://accounts.example/reset", cid = "messaging:general", reason = "trust" },
      { url = "http://evil.example", reason = "field-value" },
    },
  },
}

-- Nobody has a reason to send this. Who does is not heard for an hour.
honeypot "grant_admin"
