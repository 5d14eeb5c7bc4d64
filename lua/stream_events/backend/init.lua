--- The calls of a backend: users, channel types, permissions, moderation, the app, channels.
-- A client made with the secret makes them with its own authority. Some of them a user may make too,
-- with fewer rights: those work for a connected client without a secret. Each is in the module of its
-- subject; here they become the methods of one class.
local lazy = require "stream_events.lazy"

local M = {}

--- The methods by subject.
M.SUBJECTS = {
  users = "upsert_users update_users query_users create_token",
  user_events = "send_user_custom_event",
  moderation = "ban_user unban_user query_banned_users deactivate_user reactivate_user delete_user "
    .. "delete_users restore_users revoke_tokens revoke_user_tokens",
  channel_types = "list_channel_types get_channel_type create_channel_type update_channel_type "
    .. "delete_channel_type",
  grants = "get_grants set_grants add_grants remove_grants reset_grants",
  roles = "list_roles search_roles create_role delete_role list_permissions get_permission create_permission "
    .. "update_permission delete_permission",
  app = "get_app update_app rate_limits",
  hooks = "list_event_hooks list_hook_events add_event_hook update_event_hook remove_event_hook",
  channels = "query_channels sync",
}

--- Gives a class all of them.
---@param class table
function M.add_to(class)
  lazy.methods(class, "stream_events.backend.", M.SUBJECTS)
end

return M
