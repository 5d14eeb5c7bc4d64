--- The calls of a backend: users, channel types, permissions, moderation, the app, channels.
-- A client made with the secret makes them with its own authority. Some of them a user may make too,
-- with fewer rights: those work for a connected client without a secret. Each is in the module of its
-- subject; here they become the methods of one table.
local M = { methods = {} }

for _, subject in ipairs {
  "users", "user_events", "moderation", "channel_types", "grants", "roles", "app", "hooks", "channels",
} do
  for name, method in pairs(require("stream_events.backend." .. subject).methods) do
    M.methods[name] = method
  end
end

return M
