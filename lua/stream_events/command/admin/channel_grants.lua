--- `stream-events admin channels grants`: what one channel grants beside its type, or takes away.
local rows = require "stream_events.command.admin.grant_rows"
local native = require "stream_events.native"
local shapes = require "stream_events.command.admin.channel_shape"
local words = require "stream_events.command.admin.words"

local HINTS = {
  [4] = "`stream-events admin permissions list` and `stream-events admin roles list` show what there is.",
  [16] = shapes.NO_CHANNEL,
}
local JSON = "an object: each role with what is added, and behind ! what is taken away"

local function cid_argument(command)
  command:argument("cid", "The channel, type:id.")
end

local function wrong_permission(id) return words.wrong_name(id:gsub("^!", ""), "a permission") end

local function wrong(args)
  return words.wrong_name(args.role, "a role") or words.wrong_in(args.permissions or {}, wrong_permission)
    or words.wrong_cid(args.cid)
end

local function show_all(page, grants) rows.show(page, grants) end

-- Reads what the channel overrides, lets `change` change it, writes it back.
local function changed(client, args, change)
  local channel = shapes.channel(client, args)
  local grants, err = channel:get_grant_overrides()
  if not grants then return nil, err end
  change(grants)
  local ok
  ok, err = channel:set_grant_overrides(grants)
  return ok and grants, err
end

local show = {
  name = "show", about = "Show what a channel grants beside its type.", json = JSON,
  examples = { "channels grants show messaging:general" },
  arguments = cid_argument, check = wrong, hints = HINTS,
  run = function(client, args) return shapes.channel(client, args):get_grant_overrides() end,
  show = show_all,
}

local set = {
  name = "set", about = "Set what one role may do here beside its grants, and behind ! what it may not.",
  json = JSON,
  examples = {
    "channels grants set messaging:general channel_member '!send-custom-event'",
    "channels grants set messaging:general guest read-channel send-custom-event",
  },
  arguments = function(command)
    cid_argument(command)
    command:argument("role", "Name of the role.")
    command:argument("permissions", "Ids of permissions; !ID takes one away."):args "+"
  end,
  check = wrong, hints = HINTS,
  run = function(client, args)
    return changed(client, args, function(grants)
      grants[args.role] = native.json.array(args.permissions)
    end)
  end,
  show = show_all,
}

local clear = {
  name = "clear", about = "Leave one role to the grants of the channel type again.", json = JSON,
  examples = { "channels grants clear messaging:general channel_member" },
  arguments = function(command)
    cid_argument(command)
    command:argument("role", "Name of the role.")
  end,
  check = wrong, hints = HINTS,
  run = function(client, args)
    return changed(client, args, function(grants) grants[args.role] = nil end)
  end,
  show = show_all,
}

local reset = {
  name = "reset", about = "Leave all roles to the grants of the channel type again.", json = JSON,
  examples = { "channels grants reset messaging:general" },
  arguments = cid_argument, check = wrong, hints = HINTS,
  confirm = function(args) return ("Remove all grants of its own from %s?"):format(args.cid) end,
  run = function(client, args)
    local ok, err = shapes.channel(client, args):set_grant_overrides {}
    return ok and {}, err
  end,
  show = show_all,
}

---@type stream_events.command.Node
return {
  name = "grants", about = "Grants of one channel, beside those of its type.",
  examples = {
    "channels grants show messaging:general",
    "channels grants set messaging:general channel_member '!send-custom-event'",
    "channels grants reset messaging:general",
  },
  notes = "What the user's role and the channel role may do adds up: to silence a channel take\n"
    .. "send-custom-event from both, and send-custom-event-owner from the user's role.",
  commands = { show, set, clear, reset },
}
