rockspec_format = "3.0"
package = "stream-events-server"
version = "scm-1"
source = {
  url = "git+https://github.com/stream-events/stream-events.git",
}
description = {
  summary = "A small server for the custom events of Stream Chat",
  detailed = [[
Speaks the wire protocol of Stream Chat's custom events on one port: for development, tests, games
on a LAN and small backends. Runs by `stream-events serve` or inside any luv program.
]],
  license = "MIT",
  labels = { "chat", "websocket", "events", "games", "bots" },
}
dependencies = {
  "lua >= 5.4, < 5.5",
  "stream-events == scm-1",
  "luv >= 1.43",
  "luadbi-sqlite3 >= 0.7",
}
external_dependencies = {
  CRYPTO = { library = "crypto" },
  HTTP_PARSER = { library = "http_parser" },
}
build = {
  type = "builtin",
  modules = {
    ["stream_events.server.core"] = {
      sources = {
        "csrc/server/conn.c",
        "csrc/server/core.c",
        "csrc/server/fanout.c",
        "csrc/server/http_answer.c",
        "csrc/server/http_conn.c",
        "csrc/server/http_request.c",
        "csrc/server/listener.c",
        "csrc/server/llistener.c",
        "csrc/server/output.c",
        "csrc/server/timers.c",
        "csrc/server/ws_conn.c",
        "csrc/status.c",
        "csrc/buffer.c",
        "csrc/utf8.c",
        "csrc/ws.c",
        "csrc/upgrade.c",
        "csrc/crypto.c",
        "csrc/poller.c",
        "csrc/lcore.c",
      },
      incdirs = { "csrc", "$(HTTP_PARSER_INCDIR)", "$(CRYPTO_INCDIR)" },
      defines = { "_POSIX_C_SOURCE=200809L" },
      libraries = { "http_parser", "crypto" },
      libdirs = { "$(HTTP_PARSER_LIBDIR)", "$(CRYPTO_LIBDIR)" },
    },
    ["stream_events._meta.server.core"] = "lua/stream_events/_meta/server/core.lua",
    ["stream_events.server.access"] = "lua/stream_events/server/access.lua",
    ["stream_events.server.addresses"] = "lua/stream_events/server/addresses.lua",
    ["stream_events.server.app"] = "lua/stream_events/server/app.lua",
    ["stream_events.server.auth"] = "lua/stream_events/server/auth.lua",
    ["stream_events.server.channel_filter"] = "lua/stream_events/server/channel_filter.lua",
    ["stream_events.server.channel_input"] = "lua/stream_events/server/channel_input.lua",
    ["stream_events.server.channel_types"] = "lua/stream_events/server/channel_types.lua",
    ["stream_events.server.channels"] = "lua/stream_events/server/channels.lua",
    ["stream_events.server.clock"] = "lua/stream_events/server/clock.lua",
    ["stream_events.server.connections"] = "lua/stream_events/server/connections.lua",
    ["stream_events.server.courier"] = "lua/stream_events/server/courier.lua",
    ["stream_events.server.custom_event"] = "lua/stream_events/server/custom_event.lua",
    ["stream_events.server.events"] = "lua/stream_events/server/events.lua",
    ["stream_events.server.failure"] = "lua/stream_events/server/failure.lua",
    ["stream_events.server.filter"] = "lua/stream_events/server/filter.lua",
    ["stream_events.server.hook_settings"] = "lua/stream_events/server/hook_settings.lua",
    ["stream_events.server.http"] = "lua/stream_events/server/http.lua",
    ["stream_events.server"] = "lua/stream_events/server/init.lua",
    ["stream_events.server.input"] = "lua/stream_events/server/input.lua",
    ["stream_events.server.listener"] = "lua/stream_events/server/listener.lua",
    ["stream_events.server.outbox"] = "lua/stream_events/server/outbox.lua",
    ["stream_events.server.permissions"] = "lua/stream_events/server/permissions.lua",
    ["stream_events.server.proxies"] = "lua/stream_events/server/proxies.lua",
    ["stream_events.server.routes.app"] = "lua/stream_events/server/routes/app.lua",
    ["stream_events.server.routes.channel_types"] = "lua/stream_events/server/routes/channel_types.lua",
    ["stream_events.server.routes.channel_update"] = "lua/stream_events/server/routes/channel_update.lua",
    ["stream_events.server.routes.channels"] = "lua/stream_events/server/routes/channels.lua",
    ["stream_events.server.routes.connect"] = "lua/stream_events/server/routes/connect.lua",
    ["stream_events.server.routes.events"] = "lua/stream_events/server/routes/events.lua",
    ["stream_events.server.routes.hi"] = "lua/stream_events/server/routes/hi.lua",
    ["stream_events.server.routes.sync"] = "lua/stream_events/server/routes/sync.lua",
    ["stream_events.server.routes.users"] = "lua/stream_events/server/routes/users.lua",
    ["stream_events.server.rules"] = "lua/stream_events/server/rules.lua",
    ["stream_events.server.store"] = "lua/stream_events/server/store.lua",
    ["stream_events.server.url"] = "lua/stream_events/server/url.lua",
    ["stream_events.server.user_fields"] = "lua/stream_events/server/user_fields.lua",
    ["stream_events.server.users"] = "lua/stream_events/server/users.lua",
    ["stream_events.server.views"] = "lua/stream_events/server/views.lua",
    ["stream_events.server.watching"] = "lua/stream_events/server/watching.lua",
    ["stream_events.server.webhooks"] = "lua/stream_events/server/webhooks.lua",
  },
}
