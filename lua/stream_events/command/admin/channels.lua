--- `stream-events admin channels`: found, created, changed, silenced, deleted.
local errors = require "stream_events.error"
local exceptions = require "stream_events.command.admin.channel_grants"
local members = require "stream_events.command.admin.members"
local names = require "stream_events.names"
local native = require "stream_events.native"
local shapes = require "stream_events.command.admin.channel_shape"
local words = require "stream_events.command.admin.words"

local MISSING = 16
local HINTS = { [4] = words.DATA_HINT, [16] = shapes.NO_CHANNEL }

local function cid_argument(command)
  command:argument("cid", "The channel, type:id.")
end

local function wrong_cid(args) return words.wrong_cid(args.cid) end

-- What is given by an option as well; and what would be stored as data, and switch nothing.
local function wrong_data(args)
  local data = args.fields
  if args.member and #args.member > 0 and data.members ~= nil then
    return "members are there twice: as --member and as a key"
  elseif args.by and data.created_by_id ~= nil then
    return "created_by_id is there twice: as --by and as a key"
  elseif data.custom_events == nil then
    return nil
  end
  return "custom events are switched for a channel type, `channel-types custom-events`; one channel is "
    .. "silenced by its grants, `channels grants --help`"
end

local list = {
  name = "list", about = "Find channels: those whose fields are like this, or all.",
  json = "a list of channels",
  examples = {
    "channels list", "channels list type=messaging frozen:=true", "channels list --member john",
    "channels list --json | jq -r '.[].cid'",
  },
  arguments = function(command)
    command:argument("data", words.FILTERS):args "*"
    command:option("--member", "Only where this user is a member."):argname "<user>"
    words.add_page(command, 30, 10)
  end,
  check = function(args)
    return (args.member and words.wrong_user(args.member)) or words.read_data(args) or wrong_data(args)
  end,
  run = function(client, args)
    if args.member then args.fields.members = { ["$in"] = { args.member } } end
    local found, err = client:query_channels(args.fields, words.page_options(args))
    if not found then return nil, err end
    local channels = native.json.array {}
    for i, channel in ipairs(found) do channels[i] = shapes.brief(channel) end
    return channels
  end,
  show = function(page, channels)
    page:list({ "cid", "name", "members", "state", "updated" }, channels, function(channel)
      return { channel.cid, channel.name, channel.member_count, shapes.state(channel), channel.updated_at }
    end, "there are no such channels")
  end,
}

local show = {
  name = "show", about = "Show one channel: its data, its configuration and its members.",
  json = "the channel",
  examples = { "channels show messaging:general", "channels show messaging:general --json | jq .config" },
  arguments = cid_argument, check = wrong_cid, hints = HINTS,
  run = function(client, args) return shapes.whole(shapes.channel(client, args):get()) end,
  show = shapes.show,
}

local create = {
  name = "create", about = "Create a channel.", json = "the channel",
  examples = {
    "channels create messaging:general --by john --member john --member jane",
    "channels create livestream:finals --by john",
  },
  arguments = function(command)
    cid_argument(command)
    command:argument("data", words.DATA):args "*"
    command:option("--by", "Id of the user who is to own it."):count(1):argname "<user>"
    command:option("--member", "Id of a member. May be repeated."):count "*":argname "<user>"
  end,
  check = function(args)
    return wrong_cid(args) or words.wrong_user(args.by) or words.wrong_in(args.member, words.wrong_user)
      or words.read_data(args) or wrong_data(args)
  end,
  hints = {
    [4] = "Users must exist: `stream-events admin users create ID` makes one. " .. words.DATA_HINT,
    [16] = "`stream-events admin channel-types list` shows the channel types there are.",
  },
  run = function(client, args)
    local there, err = shapes.channel(client, args):get()
    if there then
      return errors.fail("api", ("there is a channel %s already"):format(args.cid), {
        hint = ("`stream-events admin channels set %s` changes it."):format(args.cid),
      })
    elseif err.code ~= MISSING then
      return nil, err
    end
    local data = args.fields
    data.created_by_id = args.by
    if #args.member > 0 then data.members = args.member end
    local channel_type, id = names.split_cid(args.cid)
    return shapes.whole(client:channel(channel_type, id, data):query())
  end,
  show = shapes.show,
}

local set = {
  name = "set", about = "Change fields of a channel; the others stay as they are.", json = "the channel",
  examples = {
    "channels set messaging:general name=General", "channels set messaging:general topic=Chess --unset image",
    "channels set messaging:general config_overrides:='{\"typing_events\":false}'",
  },
  arguments = function(command)
    cid_argument(command)
    command:argument("data", words.DATA):args "*"
    words.add_unset(command)
  end,
  check = function(args) return wrong_cid(args) or words.read_changes(args) or wrong_data(args) end,
  hints = HINTS,
  run = function(client, args)
    return shapes.whole(shapes.channel(client, args):update_partial(args.fields, args.unset))
  end,
  show = shapes.show,
}

-- One command for each value of a switch.
local function switching(name, about, field, value, done)
  return {
    name = name, about = about, json = "the channel",
    examples = { ("channels %s messaging:general"):format(name) },
    arguments = cid_argument, check = wrong_cid, hints = HINTS,
    run = function(client, args)
      return shapes.whole(shapes.channel(client, args):update_partial { [field] = value })
    end,
    show = function(page, channel) page:fields { { done, channel.cid } } end,
  }
end

local delete = {
  name = "delete", about = "Delete a channel with its members.", json = "what was deleted",
  examples = { "channels delete messaging:general", "channels delete messaging:general --yes" },
  arguments = cid_argument, check = wrong_cid, hints = HINTS,
  confirm = function(args) return ("Delete the channel %s with its members?"):format(args.cid) end,
  run = function(client, args)
    local ok, err = shapes.channel(client, args):delete()
    return ok and { cid = args.cid, deleted = true }, err
  end,
  show = function(page, value) page:fields { { "deleted the channel", value.cid } } end,
}

---@type stream_events.command.Node
return {
  name = "channels", about = "Channels: found, created, changed, silenced; their members and grants.",
  examples = {
    "channels list type=messaging", "channels show messaging:general",
    "channels create messaging:general --by john --member jane name=General",
    "channels members add messaging:general eve", "channels disable messaging:general",
    "channels grants set messaging:general channel_member '!send-custom-event'",
  },
  commands = {
    list, show, create, set, members,
    switching("disable", "Close a channel: users can neither read nor send.", "disabled", true, "disabled"),
    switching("enable", "Open a disabled channel again.", "disabled", false, "enabled"),
    switching("freeze", "Freeze a channel: no messages; custom events go on.", "frozen", true, "frozen"),
    switching("unfreeze", "End that.", "frozen", false, "no longer frozen"),
    exceptions, delete,
  },
}
