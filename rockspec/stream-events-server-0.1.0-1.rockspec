rockspec_format = "3.0"
package = "stream-events-server"
version = "0.1.0-1"
source = {
  url = "git+https://github.com/stream-events/stream-events.git",
  tag = "v0.1.0",
}
description = {
  summary = "A small server for the custom events of Stream Chat",
  detailed = [[
Speaks the wire protocol of Stream Chat's custom events on one port: for development, tests, games
on a LAN and small backends. Runs by `stream-events serve` or inside any luv program.
]],
  license = "MIT",
  homepage = "https://github.com/stream-events/stream-events",
  issues_url = "https://github.com/stream-events/stream-events/issues",
  labels = { "chat", "websocket", "events", "games", "bots" },
}
supported_platforms = { "unix" }
dependencies = {
  "lua >= 5.4, < 5.5",
  "stream-events == 0.1.0-1",
  "luv >= 1.43",
  "luadbi-sqlite3 >= 0.7",
}
-- GNU make builds and installs it. It says which C library is missing, and what its packages are called.
build = {
  type = "make",
  build_target = "build-server",
  install_target = "install-server",
  variables = {
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    LUA_INCDIR = "$(LUA_INCDIR)",
  },
  install_variables = {
    INSTALL_LIB = "$(LIBDIR)",
    INSTALL_LUA = "$(LUADIR)",
  },
}
