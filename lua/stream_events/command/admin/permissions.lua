--- `stream-events admin permissions`: what grants can name.
local words = require "stream_events.command.admin.words"

local NO_PERMISSION = "`stream-events admin permissions list` shows the permissions there are."
local HINTS = { [4] = words.DATA_HINT, [16] = NO_PERMISSION }

local function id_argument(command)
  command:argument("id", "Id of the permission.")
end

local function id_and_data(command)
  id_argument(command)
  command:argument("data", words.DATA):args "+"
end

local function wrong_id(args) return words.wrong_name(args.id, "a permission") end

local function show_permission(page, permission)
  page:fields(words.rows(permission, nil, { "id", "name", "description", "action", "level" }))
end

-- The answers to writing do not show the permission.
local function after(client, id, ok, err)
  if not ok then return nil, err end
  return client:get_permission(id)
end

local list = {
  name = "list", about = "Show all permissions, or those whose id holds a text.",
  json = "a list of permissions",
  examples = {
    "permissions list", "permissions list custom-event", "permissions list --json | jq -r '.[].id'",
  },
  arguments = function(command)
    command:argument("text", "Only ids with this in them."):args "?"
  end,
  run = function(client, args)
    local all, err = client:list_permissions()
    if not all or not args.text then return all, err end
    for i = #all, 1, -1 do
      local id = type(all[i]) == "table" and all[i].id
      if type(id) ~= "string" or not id:find(args.text, 1, true) then table.remove(all, i) end
    end
    return all
  end,
  show = function(page, permissions)
    page:list({ "id", "level", "action", "kind" }, permissions, function(each)
      return { each.id, each.level, each.action, each.custom and "custom" or "built in" }
    end, "there are no such permissions")
  end,
}

local show = {
  name = "show", about = "Show one permission.", json = "the permission",
  examples = { "permissions show send-custom-event" },
  arguments = id_argument, check = wrong_id, hints = HINTS,
  run = function(client, args) return client:get_permission(args.id) end,
  show = show_permission,
}

local create = {
  name = "create", about = "Create a custom permission.", json = "the permission",
  examples = { "permissions create watch-lobby name='Watch the lobby' action=ReadChannel" },
  arguments = id_and_data, hints = HINTS,
  check = function(args)
    return wrong_id(args) or words.read_data(args)
      or (args.fields.id ~= nil and "the id is the word before the data, not a key") or nil
  end,
  run = function(client, args)
    args.fields.id = args.id
    return after(client, args.id, client:create_permission(args.fields))
  end,
  show = show_permission,
}

local set = {
  name = "set", about = "Change a custom permission.", json = "the permission",
  examples = { "permissions set watch-lobby description='Read what happens in the lobby'" },
  arguments = id_and_data, hints = HINTS,
  check = function(args) return wrong_id(args) or words.read_changes(args) end,
  run = function(client, args)
    return after(client, args.id, client:update_permission(args.id, args.fields))
  end,
  show = show_permission,
}

local delete = {
  name = "delete", about = "Delete a custom permission.", json = "what was deleted",
  examples = { "permissions delete watch-lobby", "permissions delete watch-lobby --yes" },
  arguments = id_argument, check = wrong_id,
  hints = { [4] = "Only custom permissions can be deleted.", [16] = NO_PERMISSION },
  confirm = function(args) return ("Delete the permission %s?"):format(args.id) end,
  run = function(client, args)
    local ok, err = client:delete_permission(args.id)
    return ok and { id = args.id, deleted = true }, err
  end,
  show = function(page, value) page:fields { { "deleted the permission", value.id } } end,
}

---@type stream_events.command.Node
return {
  name = "permissions", about = "Permissions: what grants can name.",
  examples = { "permissions list custom-event", "permissions show send-custom-event" },
  commands = { list, show, create, set, delete },
}
