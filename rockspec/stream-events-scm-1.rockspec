rockspec_format = "3.0"
package = "stream-events"
version = "scm-1"
source = {
  url = "git+https://github.com/stream-events/stream-events.git",
}
description = {
  summary = "Custom events of Stream Chat for Lua, with rules for what may come in",
  detailed = [[
Sends and receives custom events of Stream Chat channels and users: a thin C core on libcurl
under a small Lua API, for bots, games and programs that embed Lua. Never blocks a frame.
The command stream-events is for Lua 5.4; the plugin itself also for 5.3, 5.1 and LuaJIT.
]],
  license = "MIT",
  homepage = "https://github.com/stream-events/stream-events",
  issues_url = "https://github.com/stream-events/stream-events/issues",
  labels = { "chat", "websocket", "events", "games", "bots" },
}
supported_platforms = { "unix" }
dependencies = {
  "lua >= 5.1, < 5.5",
  "lua-cjson >= 2.1",
  "argparse >= 0.7", -- this and luv are for the command
  "luv >= 1.43",
}
-- GNU make builds and installs it. It says which C library is missing, and what its packages are called.
build = {
  type = "make",
  build_target = "build-client",
  install_target = "install-client",
  variables = {
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    LUA_INCDIR = "$(LUA_INCDIR)",
  },
  install_variables = {
    INSTALL_BIN = "$(BINDIR)",
    INSTALL_DOC = "$(PREFIX)/doc",
    INSTALL_LIB = "$(LIBDIR)",
    INSTALL_LUA = "$(LUADIR)",
  },
}
