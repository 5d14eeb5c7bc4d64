--- `stream-events admin channel-types`: settings of channel types, the custom-events switch among them.
local convert = require "stream_events.command.convert"
local grants = require "stream_events.command.admin.grant_rows"
local native = require "stream_events.native"
local words = require "stream_events.command.admin.words"

local NO_TYPE = "`stream-events admin channel-types list` shows the channel types there are."
local HINTS = { [4] = words.DATA_HINT, [16] = NO_TYPE }

local function name_argument(command)
  command:argument("name", "Name of the channel type.")
end

local function name_and_data(count)
  return function(command)
    name_argument(command)
    command:argument("data", words.DATA):args(count)
  end
end

local function wrong_name(args) return words.wrong_type(args.name) end

local function show_type(page, config)
  page:fields(words.rows(config, { grants = true, permissions = true, duration = true },
    { "name", "custom_events", "created_at", "updated_at" }))
  page:line ""
  grants.show(page, config.grants)
end

local function show_change(page, config, args)
  page:line(("%s: custom events are %s"):format(args.name, words.on_off(config.custom_events)))
end

local function checked(args, config, err)
  if not config then return nil, err end
  return words.settings_known(args.fields, config)
end

local list = {
  name = "list", about = "Show all channel types.", json = "a list of channel types",
  examples = { "channel-types list", "channel-types list --json | jq -r '.[].name'" },
  run = function(client)
    local by_name, err = client:list_channel_types()
    if not by_name then return nil, err end
    local types = native.json.array {}
    for i, name in ipairs(words.keys(by_name)) do types[i] = by_name[name] end
    return types
  end,
  show = function(page, types)
    page:list({ "name", "custom events", "typing", "watching events", "updated" }, types, function(each)
      return {
        each.name, words.on_off(each.custom_events), words.on_off(each.typing_events),
        words.on_off(each.connect_events), each.updated_at,
      }
    end, "there are no channel types")
  end,
}

local show = {
  name = "show", about = "Show one channel type: its settings and its grants.", json = "the channel type",
  examples = { "channel-types show messaging", "channel-types show messaging --json | jq .custom_events" },
  arguments = name_argument, check = wrong_name, hints = HINTS,
  run = function(client, args) return client:get_channel_type(args.name) end,
  show = show_type,
}

local create = {
  name = "create", about = "Create a channel type. What is not named has its default.",
  json = "the channel type",
  examples = { "channel-types create lan", "channel-types create lan typing_events:=false" },
  arguments = name_and_data "*",
  check = function(args) return wrong_name(args) or words.read_data(args) end,
  hints = {
    [4] = function(args)
      return ("%s One that is there is changed by `stream-events admin channel-types set %s`."):format(
        words.DATA_HINT, args.name)
    end,
  },
  run = function(client, args) return checked(args, client:create_channel_type(args.name, args.fields)) end,
  show = show_type,
}

local set = {
  name = "set", about = "Change settings of a channel type; the others stay as they are.",
  json = "the channel type",
  examples = {
    "channel-types set messaging typing_events:=false max_message_length:=500",
    "channel-types set gaming commands:='[\"ban\",\"mute\"]'",
    "channel-types set team custom_event_retention:='{\"seconds\":3600,\"count\":1000}'",
  },
  arguments = name_and_data "+", hints = HINTS,
  check = function(args) return wrong_name(args) or words.read_changes(args) end,
  run = function(client, args) return checked(args, client:update_channel_type(args.name, args.fields)) end,
  show = show_type,
}

local custom_events = {
  name = "custom-events",
  about = "Switch the custom events of a channel type on or off, at once for everybody.",
  json = "the channel type",
  examples = { "channel-types custom-events off messaging", "channel-types custom-events on messaging" },
  arguments = function(command)
    command:argument("switch", "on or off."):convert(convert.switch)
    name_argument(command)
  end,
  check = wrong_name, hints = { [16] = NO_TYPE },
  run = function(client, args)
    return client:update_channel_type(args.name, { custom_events = args.switch })
  end,
  show = show_change,
}

local delete = {
  name = "delete", about = "Delete a channel type that has no channels.", json = "what was deleted",
  examples = { "channel-types delete lan", "channel-types delete lan --yes" },
  arguments = name_argument, check = wrong_name,
  hints = {
    [4] = function(args)
      return ("`stream-events admin channels list type=%s` shows its channels."):format(args.name)
    end,
    [16] = NO_TYPE,
  },
  confirm = function(args) return ("Delete the channel type %s?"):format(args.name) end,
  run = function(client, args)
    local ok, err = client:delete_channel_type(args.name)
    return ok and { name = args.name, deleted = true }, err
  end,
  show = function(page, value) page:line("deleted the channel type " .. value.name) end,
}

---@type stream_events.command.Node
return {
  name = "channel-types", about = "Channel types: settings, and the custom-events switch.",
  examples = {
    "channel-types list", "channel-types show messaging", "channel-types custom-events off messaging",
    "channel-types set messaging typing_events:=false",
  },
  commands = { list, show, create, set, custom_events, delete },
}
