--- The pages of the manual and of the reference, in the order in which they are listed.
local M = {}

local ROOT = debug.getinfo(1, "S").source:match "^@(.*)spec/doc/[^/]*$"

-- The manual's index is the list of its chapters.
local function chapters()
  local list = {}
  for line in io.lines(ROOT .. "lua/stream_events/doc/index.md") do
    local title, file, about = line:match "^| %[([^%]]+)%]%(([%w-]+%.md)%) | (.*) |$"
    if title then
      list[#list + 1] = { file = file, title = title, about = about:sub(1, 1):upper() .. about:sub(2) .. "." }
    end
  end
  assert(list[1], "the manual has no index")
  return list
end

---@type { file: string, title: string, about: string }[]
M.CHAPTERS = chapters()

--- Each subject: the module whose functions it shows, the classes with methods, and the files whose other
--- classes and aliases belong to it. Files are named below lua/stream_events, without .lua.
M.SUBJECTS = {
  { id = "stream-events", title = "stream_events",
    about = "The module: making clients, options.",
    module = { name = "stream_events", files = "init" }, also = "options logger" },
  { id = "client", title = "Client", about = "One signed-in user, or one backend.",
    classes = { { "stream_events.Client", "client connect" } }, also = "stats token_supply" },
  { id = "channel", title = "Channel", about = "Watching, sending, subscribing, members.",
    classes = { { "stream_events.Channel", "channel channel_send channel_changes" } },
    also = "send_options" },
  { id = "events", title = "Events and subscriptions", about = "What handlers are given, and how they end.",
    classes = { { "stream_events.Disposable", "subscription" } }, also = "_meta/core/event" },
  { id = "errors", title = "Errors", about = "What comes beside nil.",
    module = { name = "stream_events.error", files = "error" },
    classes = { { "stream_events.Error", "error" } } },
  { id = "backend", title = "Backend calls", about = "What a client with the secret can do as well.",
    classes = { { "stream_events.Client", "backend/users backend/user_events backend/channels "
      .. "backend/moderation backend/channel_types backend/grants backend/roles backend/app "
      .. "backend/hooks" } } },
  { id = "rules", title = "Rules", about = "Rule sets in a program.",
    module = { name = "stream_events.rules", files = "rules/init" },
    classes = { { "stream_events.RuleSet", "rules/init" } },
    also = "rules/engine rules/problems rules/examples rules/marks" },
  { id = "tokens", title = "Tokens", about = "Signing and reading tokens.",
    module = { name = "stream_events.token", files = "token" } },
  { id = "webhooks", title = "Webhooks", about = "Receiving the copies of events.",
    module = { name = "stream_events.webhook", files = "webhook" },
    classes = { { "stream_events.webhook.Receiver", "webhook_receiver" } } },
  { id = "loops", title = "Event loops", about = "Clients under luv, cqueues and copas.",
    modules = {
      { name = "stream_events.loop.luv", files = "loop/luv" },
      { name = "stream_events.loop.cqueues", files = "loop/cqueues" },
      { name = "stream_events.loop.copas", files = "loop/copas" },
    },
    classes = { { "stream_events.Attachment", "attachment" } } },
  { id = "timestamps", title = "Timestamps", about = "Points in time as the protocol writes them.",
    module = { name = "stream_events.timestamp", files = "timestamp" } },
  { id = "server", title = "Server", about = "The bundled server inside a program.",
    module = { name = "stream_events.server", files = "server/init" },
    classes = { { "stream_events.server.Server", "server/init" } },
    also = "server/options server/live server/outcomes server/webhooks server/retention server/log" },
  { id = "core", title = "stream_events.core", about = "The C module, for those who extend the plugin.",
    of_core = true, core = "core core/json core/event core/crypto core/router core/transport "
      .. "core/websocket core/rules" },
  { id = "server-core", title = "stream_events.server.core", about = "The server's C module.",
    of_core = true, core = "server/core" },
}

return M
