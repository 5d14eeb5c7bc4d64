std = "lua54"
max_line_length = 110
exclude_files = { "build/**" }
ignore = { "212/self", "212/_.*" }
files["lua/stream_events/_meta"] = { ignore = { "212", "211", "241", "221" } }
files["spec/**/*_spec.lua"] = { std = "lua54+busted" }
