std = "lua54"
max_line_length = 110
exclude_files = { "build/**" }
ignore = { "212/self", "212/_.*" }
-- The client runs on Lua 5.1 and LuaJIT as well: what is not in all of them is looked for first.
stds.looked_for = { read_globals = {
  table = { fields = { "unpack" } }, math = { fields = { "tointeger", "type" } },
  coroutine = { fields = { "isyieldable", "close" } },
} }
-- The words of rule files.
stds.rules = { read_globals = {
  "default", "mode", "event", "refuse", "honeypot", "include", "integer", "number", "boolean", "array",
  "object", "one_of", "optional", "any", "none_of", "allow", "drop", "flag", "quarantine", "rewrite",
} }
-- What the program in C gives its script.
stds.embedding = { read_globals = { host = { fields = { "leave" } } } }
stds.luanti = { globals = { "minetest" } }
files["lua/examples"] = { std = "min+looked_for" }
files["lua/examples/love-lobby"] = { std = "luajit+love" }
files["lua/examples/love-lobby/rules.lua"] = { std = "min+rules" }
files["lua/examples/love-lobby/players"] = { std = "lua54" }
files["lua/examples/love-lobby/players.lua"] = { std = "lua54" }
files["lua/examples/embed"] = { std = "lua54+embedding" }
files["lua/examples/embed/rules.lua"] = { std = "min+rules" }
files["lua/examples/backend"] = { std = "lua54" }
files["lua/examples/bot/rules.lua"] = { std = "min+rules" }
files["lua/examples/luanti"] = { std = "min+luanti" }
files["lua/examples/luanti/rules.lua"] = { std = "min+rules" }
files["spec/luanti/probe"] = { std = "min+luanti" }
files["spec/love/probe"] = { std = "luajit+love" }
files["lua/examples/rules.lua"] = { std = "min+rules" }
files["lua/stream_events"] = { std = "min+looked_for" }
files["lua/stream_events/server"] = { std = "lua54" }
files["lua/stream_events/command"] = { std = "lua54" }
files["lua/stream_events/_meta"] = { ignore = { "212", "211", "241", "221" } }
files["spec/**/*_spec.lua"] = { std = "lua54+busted" }
files["spec/browser/*_page.lua"] = { std = "lua54+busted" }
files["spec/faults/*_network.lua"] = { std = "lua54+busted" }
