--- `stream-events admin app`: the settings of the app.
local words = require "stream_events.command.admin.words"

-- What has commands of its own.
local APART = {
  channel_configs = true, grants = true, event_hooks = true, policies = true, file_upload_config = true,
  image_upload_config = true,
}

local function show_app(page, app)
  local rows = words.rows(app, APART, { "id", "name", "organization" })
  rows[#rows + 1] = { "event hooks", type(app.event_hooks) == "table" and #app.event_hooks or 0 }
  page:fields(rows)
end

local show = {
  name = "show", about = "Show the settings of the app.",
  json = "the app, with channel types, grants and hooks",
  examples = { "app show", "app show --json | jq .guest_user_creation_disabled" },
  run = function(client) return client:get_app() end,
  show = show_app,
}

local set = {
  name = "set", about = "Change settings of the app; the others stay as they are.", json = "the app",
  examples = {
    "app set guest_user_creation_disabled:=true", "app set enable_hook_payload_compression:=true",
    "app set webhook_url=https://example.com webhook_events:='[\"trade_offer\"]'",
  },
  arguments = function(command) command:argument("data", words.DATA):args "+" end,
  check = function(args) return words.read_changes(args) end,
  hints = { [4] = words.DATA_HINT },
  run = function(client, args)
    local ok, err = client:update_app(args.fields)
    if not ok then return nil, err end
    local app
    app, err = client:get_app()
    if not app then return nil, err end
    return words.settings_known(args.fields, app)
  end,
  show = show_app,
}

local revoke = {
  name = "revoke-tokens", about = "Refuse the tokens of all users that were issued until now.",
  json = "the time",
  examples = {
    "app revoke-tokens", "app revoke-tokens --before 2026-01-01T00:00:00Z --yes", "app revoke-tokens --undo",
  },
  notes = "For single users: `stream-events admin users revoke-tokens`.",
  arguments = words.add_revocation, check = words.wrong_revocation,
  confirm = function(args) return not args.undo and "Refuse the present tokens of all users?" or nil end,
  run = function(client, args)
    local before = words.revocation(args)
    local ok, err = client:revoke_tokens(before)
    return ok and { revoke_tokens_issued_before = before }, err
  end,
  show = function(page, value) page:fields { { "tokens of all users", words.revoked(value) } } end,
}

---@type stream_events.command.Node
return {
  name = "app", about = "The app: its settings, and the tokens of all users.",
  examples = { "app show", "app set guest_user_creation_disabled:=true", "app revoke-tokens" },
  commands = { show, set, revoke },
}
