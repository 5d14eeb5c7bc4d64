-- What needs several events to be shown. stream-events rules test rules.lua rules_cases.lua

-- A step with the time at which the service took it.
local function step(x, time)
  return ('{"type":"move","cid":"livestream:lobby","user":{"id":"dan"},"x":%d,"y":9,"created_at":"%s"}')
    :format(x, time)
end

return {
  { name = "running is fine",
    events = {
      { type = "move", user = "ann", x = 100, y = 100 },
      { type = "move", user = "ann", x = 124, y = 100 },
      { type = "move", user = "ann", x = 148, y = 100 },
    },
    at = { 0, 0.1, 0.2 }, verdict = "allow" },
  { name = "so is a bunch of steps that comes late",
    events = {
      { type = "move", user = "bea", x = 100, y = 100 },
      { type = "move", user = "bea", x = 148, y = 100 },
      { type = "move", user = "bea", x = 196, y = 100 },
    },
    at = { 0, 0, 0 }, verdict = "allow" },
  { name = "who ran while the game was busy is where it has run to",
    events = {
      step(100, "2026-01-01T00:00:59.5Z"),
      step(500, "2026-01-01T00:01:01.25Z"),
      step(700, "2026-01-01T00:01:01.3Z"),
    },
    at = { 0, 0.1, 0.1 }, verdict = { "allow", "allow", "drop" }, reason = "check" },
  { name = "nobody is there at once",
    events = {
      { type = "move", user = "mallory", x = 100, y = 100 },
      { type = "move", user = "mallory", x = 800, y = 500 },
    },
    at = { 0, 0.3 }, verdict = { "allow", "drop" }, reason = "check" },
  { name = "who was away may be anywhere one can run to meanwhile",
    events = {
      { type = "move", user = "carl", x = 100, y = 100 },
      { type = "move", user = "carl", x = 800, y = 100 },
    },
    at = { 0, 4 }, verdict = "allow" },
  { name = "small steps do not add up to a leap",
    events = {
      { type = "move", user = "oscar", x = 100, y = 100 },
      { type = "move", user = "oscar", x = 200, y = 100 },
      { type = "move", user = "oscar", x = 300, y = 100 },
    },
    at = { 0, 0, 0.1 }, verdict = { "allow", "allow", "drop" }, reason = "check" },
  { name = "three waves, and then no more",
    events = { { type = "wave" }, { type = "wave" }, { type = "wave" }, { type = "wave" } },
    verdict = { "allow", "allow", "allow", "drop" }, reason = "rate" },
  { name = "who tries a trap is not heard",
    events = { { type = "god_mode", user = "trudy" }, { type = "wave", user = "trudy" } },
    verdict = { "drop", "drop" }, reason = "marked" },
  { name = "others are not harmed by it",
    events = { { type = "god_mode", user = "trudy" }, { type = "wave", user = "ann" } },
    verdict = { "drop", "allow" } },
}
