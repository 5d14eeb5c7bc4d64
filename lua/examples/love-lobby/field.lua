-- The field that all play on. The game, the bots and the rules read the same numbers.
return {
  width = 890, height = 620, -- units; one is a pixel of the window at its first size
  speed = 240, -- units a second that a player runs
  slack = 120, -- units that events may be ahead of their time: networks deliver in bunches
  items = { "ruby", "emerald", "sapphire" },
  firework = "fireworks", -- the only user whose sparks count
}
