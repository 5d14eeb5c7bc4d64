--- `stream-events admin channels members`: who belongs to a channel, and in which role.
local shapes = require "stream_events.command.admin.channel_shape"
local words = require "stream_events.command.admin.words"

local HINTS = {
  [4] = "Users must exist: `stream-events admin users create ID` makes one. `stream-events admin roles list` "
    .. "shows the roles.",
  [16] = shapes.NO_CHANNEL,
}
local JSON = "cid and the members"

local function cid_argument(command)
  command:argument("cid", "The channel, type:id.")
end

local function users_argument(command)
  command:argument("users", "Ids of users."):args "+"
end

local function wrong(args)
  if #args.users > 100 then return ("%d users are named, 100 are allowed at once"):format(#args.users) end
  return words.wrong_name(args.role, "a role") or words.wrong_cid(args.cid)
    or words.wrong_in(args.users, words.wrong_user)
end

-- The members after a change, which says only who was changed.
local function after(channel, err)
  if not channel then return nil, err end
  channel, err = channel:get()
  return channel and { cid = channel.cid, members = shapes.members(channel) }, err
end

local function show_members(page, value) shapes.show_members(page, value.members) end

local list = {
  name = "list", about = "Show the members of a channel.", json = JSON,
  examples = { "channels members list messaging:general" },
  arguments = cid_argument, check = function(args) return words.wrong_cid(args.cid) end, hints = HINTS,
  run = function(client, args) return after(shapes.channel(client, args)) end,
  show = show_members,
}

local add = {
  name = "add", about = "Make users members.", json = JSON,
  examples = {
    "channels members add messaging:general eve mallory",
    "channels members add messaging:general eve --role channel_moderator",
  },
  arguments = function(command)
    cid_argument(command)
    users_argument(command)
    command:option("--role", "Their channel role (default: channel_member)."):argname "<role>"
  end,
  check = wrong, hints = HINTS,
  run = function(client, args)
    local new = {}
    for i, id in ipairs(args.users) do new[i] = { user_id = id, channel_role = args.role } end
    return after(shapes.channel(client, args):add_members(new))
  end,
  show = show_members,
}

local remove = {
  name = "remove", about = "End the membership of users.", json = JSON,
  examples = { "channels members remove messaging:general eve" },
  arguments = function(command)
    cid_argument(command)
    users_argument(command)
  end,
  check = wrong, hints = HINTS,
  run = function(client, args) return after(shapes.channel(client, args):remove_members(args.users)) end,
  show = show_members,
}

local role = {
  name = "role", about = "Give members a channel role.", json = JSON,
  examples = { "channels members role messaging:general channel_moderator eve" },
  arguments = function(command)
    cid_argument(command)
    command:argument("role", "channel_member, channel_moderator, or a custom role.")
    users_argument(command)
  end,
  check = wrong, hints = HINTS,
  run = function(client, args)
    return after(shapes.channel(client, args):assign_role(args.users, args.role))
  end,
  show = show_members,
}

---@type stream_events.command.Node
return {
  name = "members", about = "Members of a channel, and their roles.",
  examples = {
    "channels members list messaging:general", "channels members add messaging:general eve",
    "channels members role messaging:general channel_moderator eve",
  },
  commands = { list, add, remove, role },
}
