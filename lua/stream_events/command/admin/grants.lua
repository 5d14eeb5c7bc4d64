--- `stream-events admin grants`: what roles may do in a channel type, or in the app.
local rows = require "stream_events.command.admin.grant_rows"
local words = require "stream_events.command.admin.words"

local APP = ".app"
local HINTS = {
  [4] = "`stream-events admin permissions list` and `stream-events admin roles list` show what there is.",
  [16] = "`stream-events admin channel-types list` shows the channel types; the scope of the app is .app.",
}

local function scope_argument(command)
  command:argument("scope", "A channel type, or .app for what belongs to no channel.")
end

local function role_arguments(count)
  return function(command)
    scope_argument(command)
    command:argument("role", "Name of the role: user, guest, channel_member, a custom one.")
    command:argument("permissions", "Ids of permissions: read-channel, send-custom-event."):args(count)
  end
end

local function wrong_scope(args)
  return args.scope ~= APP and words.wrong_type(args.scope) or nil
end

local function wrong_permission(id) return words.wrong_name(id, "a permission") end

local function wrong_lists(args)
  return words.wrong_name(args.role, "a role") or words.wrong_in(args.permissions, wrong_permission)
    or wrong_scope(args)
end

local function answer(args, list, err)
  return list and { scope = args.scope, role = args.role, permissions = list }, err
end

local function show_answer(page, value) rows.show_role(page, value.role, value.permissions) end

local show = {
  name = "show", about = "Show what roles may do in a scope.",
  json = "an object: each role with its permissions; with --role its permissions",
  examples = { "grants show messaging", "grants show messaging --role guest", "grants show .app" },
  arguments = function(command)
    scope_argument(command)
    command:option("--role", "Only this role."):argname "<role>"
  end,
  check = function(args) return words.wrong_name(args.role, "a role") or wrong_scope(args) end,
  hints = HINTS,
  run = function(client, args) return client:get_grants(args.scope, args.role) end,
  show = function(page, value, args)
    if args.role then rows.show_role(page, args.role, value) else rows.show(page, value) end
  end,
}

local JSON = "scope, role and the permissions as they are now"

local set = {
  name = "set", about = "Replace what a role may do in a scope.", json = JSON,
  examples = {
    "grants set messaging guest read-channel send-custom-event", "grants set messaging guest --none --yes",
  },
  arguments = function(command)
    role_arguments "*"(command)
    command:flag("--none", "Take everything from the role.")
  end,
  check = function(args)
    if args.none and #args.permissions > 0 then return "--none and permissions exclude each other" end
    if not args.none and #args.permissions == 0 then
      return "no permission is named; --none takes everything from the role"
    end
    return wrong_lists(args)
  end,
  confirm = function(args)
    return args.none and ("Take everything from %s in %s?"):format(args.role, args.scope) or nil
  end,
  hints = HINTS,
  run = function(client, args)
    return answer(args, client:set_grants(args.scope, args.role, args.permissions))
  end,
  show = show_answer,
}

local add = {
  name = "add", about = "Give a role more permissions in a scope.", json = JSON,
  examples = {
    "grants add messaging guest send-custom-event",
    "grants add gaming user send-custom-event:trade_offer",
  },
  arguments = role_arguments "+", check = wrong_lists, hints = HINTS,
  run = function(client, args)
    return answer(args, client:add_grants(args.scope, args.role, args.permissions))
  end,
  show = show_answer,
}

local remove = {
  name = "remove", about = "Take permissions from a role in a scope.", json = JSON,
  examples = { "grants remove messaging channel_member send-custom-event" },
  arguments = role_arguments "+", check = wrong_lists, hints = HINTS,
  run = function(client, args)
    return answer(args, client:remove_grants(args.scope, args.role, args.permissions))
  end,
  show = show_answer,
}

local reset = {
  name = "reset", about = "Give all roles of a scope what they may do by default.", json = "what was reset",
  examples = { "grants reset messaging", "grants reset .app --yes" },
  arguments = scope_argument, check = wrong_scope, hints = HINTS,
  confirm = function(args)
    return ("Replace the grants of all roles in %s by the defaults?"):format(args.scope)
  end,
  run = function(client, args)
    local ok, err = client:reset_grants(args.scope)
    return ok and { scope = args.scope, reset = true }, err
  end,
  show = function(page, value) page:line(value.scope .. " has the default grants again") end,
}

---@type stream_events.command.Node
return {
  name = "grants", about = "Grants: what roles may do in a channel type or in the app.",
  examples = {
    "grants show messaging", "grants add messaging guest send-custom-event",
    "grants remove messaging channel_member send-custom-event", "grants reset messaging",
  },
  notes = "A user has what its role and, in channels it is a member of, its channel role were granted.\n"
    .. "What one channel grants beside its type: `stream-events admin channels grants --help`.",
  commands = { show, set, add, remove, reset },
}
