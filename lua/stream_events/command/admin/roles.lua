--- `stream-events admin roles`: the roles that users and members can have.
local words = require "stream_events.command.admin.words"

local function name_argument(command)
  command:argument("name", "Name of the role.")
end

local function wrong_name(args) return words.wrong_name(args.name, "a role") end

local list = {
  name = "list", about = "Show all roles, or those whose name holds a text.", json = "a list of roles",
  examples = { "roles list", "roles list moder", "roles list --json | jq -r '.[] | select(.custom).name'" },
  arguments = function(command) command:argument("text", "Only names with this in them."):args "?" end,
  check = function(args) return words.wrong_name(args.text, "the text") end,
  run = function(client, args)
    if args.text then return client:search_roles(args.text) end
    return client:list_roles()
  end,
  show = function(page, roles)
    page:list({ "name", "kind", "has grants in" }, roles, function(role)
      return { role.name, role.custom and "custom" or "built in", words.joined(role.scopes) }
    end, "there are no such roles")
  end,
}

local create = {
  name = "create", about = "Create a custom role. It may do nothing until it is granted something.",
  json = "the role", examples = { "roles create referee" },
  arguments = name_argument, check = wrong_name,
  hints = { [4] = "`stream-events admin roles list` shows the roles there are; 25 can be custom ones." },
  run = function(client, args) return client:create_role(args.name) end,
  show = function(page, _, args)
    page:fields { { "created the role", args.name },
      { "next", ("stream-events admin grants add messaging %s read-channel"):format(args.name) } }
  end,
}

local delete = {
  name = "delete", about = "Delete a custom role that nobody has.", json = "what was deleted",
  examples = { "roles delete referee", "roles delete referee --yes" },
  arguments = name_argument, check = wrong_name,
  hints = {
    [4] = "Only custom roles that no user, no member and no grant names can be deleted: "
      .. "`stream-events admin users list role=NAME` shows who has it.",
    [16] = "`stream-events admin roles list` shows the roles there are.",
  },
  confirm = function(args) return ("Delete the role %s?"):format(args.name) end,
  run = function(client, args)
    local ok, err = client:delete_role(args.name)
    return ok and { name = args.name, deleted = true }, err
  end,
  show = function(page, value) page:fields { { "deleted the role", value.name } } end,
}

---@type stream_events.command.Node
return {
  name = "roles", about = "Roles: built-in ones and custom ones.",
  examples = { "roles list", "roles create referee", "roles delete referee" },
  commands = { list, create, delete },
}
