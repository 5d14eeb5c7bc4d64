--- What of the product is public: the modules that programs require, the objects that they get from them, and
-- the files in which each is annotated. Whatever is not named here may change at any time.
local M = {}

M.LUA = "lua/"

local function inside(folder, names)
  local files = {}
  for name in names:gmatch "%S+" do files[#files + 1] = "stream_events/" .. folder .. name .. ".lua" end
  return files
end

--- Modules: the name to require, and the files that annotate its functions. Those without `of_core` give
--- `nil, err`; the C modules give nil, a kind and a message, and only our own Lua requires them.
M.MODULES = {
  { name = "stream_events", files = inside("", "init") },
  { name = "stream_events.error", files = inside("", "error") },
  { name = "stream_events.token", files = inside("", "token") },
  { name = "stream_events.webhook", files = inside("", "webhook") },
  { name = "stream_events.rules", files = inside("rules/", "init") },
  { name = "stream_events.timestamp", files = inside("", "timestamp") },
  { name = "stream_events.loop.luv", files = inside("loop/", "luv") },
  { name = "stream_events.loop.cqueues", files = inside("loop/", "cqueues") },
  { name = "stream_events.loop.copas", files = inside("loop/", "copas") },
  { name = "stream_events.server", files = inside("server/", "init"), only_5_4 = true },
  { name = "stream_events.core", of_core = true,
    files = inside("_meta/", "core core/json core/event core/crypto core/router core/transport "
      .. "core/websocket core/rules") },
  { name = "stream_events.server.core", of_core = true, only_5_4 = true,
    files = inside("_meta/server/", "core") },
}

--- Objects in Lua: their class, and the files that annotate its methods.
M.CLASSES = {
  { name = "stream_events.Client",
    files = inside("", "client connect backend/users backend/user_events backend/moderation "
      .. "backend/channel_types backend/grants backend/roles backend/app backend/hooks backend/channels") },
  { name = "stream_events.Channel", files = inside("", "channel channel_send channel_changes") },
  { name = "stream_events.Disposable", files = inside("", "subscription") },
  { name = "stream_events.Error", files = inside("", "error") },
  { name = "stream_events.Attachment", files = inside("", "attachment") },
  { name = "stream_events.RuleSet", files = inside("rules/", "init") },
  { name = "stream_events.webhook.Receiver", files = inside("", "webhook_receiver") },
  { name = "stream_events.server.Server", files = inside("server/", "init"), only_5_4 = true },
}

--- Files with the options and results of all these.
M.TYPES = inside("", "options send_options stats logger server/options")

--- Objects in C: the name of their metatable, and their class.
M.USERDATA = {
  ["stream_events.alarm"] = "stream_events.core.Alarm",
  ["stream_events.connection"] = "stream_events.core.Connection",
  ["stream_events.router"] = "stream_events.core.Router",
  ["stream_events.rule_set"] = "stream_events.core.RuleSet",
  ["stream_events.rule_set_builder"] = "stream_events.core.RuleSetBuilder",
  ["stream_events.rule_state"] = "stream_events.core.RuleState",
  ["stream_events.rules"] = "stream_events.core.Rules",
  ["stream_events.signer"] = "stream_events.core.Signer",
  ["stream_events.transport"] = "stream_events.core.Transport",
  ["stream_events.ws"] = "stream_events.core.Ws",
  ["stream_events.server.listener"] = "stream_events.server.core.Listener",
  ["stream_events.server.poster"] = "stream_events.server.core.Poster",
  ["stream_events.server.poster.target"] = "stream_events.server.core.PostTarget",
}

return M
