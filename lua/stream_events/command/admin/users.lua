--- `stream-events admin users`: who there is, and what is known of them.
local life = require "stream_events.command.admin.user_life"
local errors = require "stream_events.error"
local token = require "stream_events.command.token"
local words = require "stream_events.command.admin.words"

local OPTIONS = { "name", "role" }

local function id_argument(command)
  command:argument("id", "Id of the user.")
end

local function wrong_id(args) return words.wrong_user(args.id) end

local function no_user(args)
  return ("`stream-events admin users create %s` makes this user; connecting does so, too."):format(args.id)
end

local function find(client, id)
  local found, err = client:query_users({ id = { ["$in"] = { id } } }, {
    limit = 1, include_deactivated_users = true,
  })
  if not found then return nil, err end
  return type(found[1]) == "table" and found[1] or false
end

-- The user of that id in an answer.
local function one_of(id, users, err)
  local user = users and users[id]
  if type(user) == "table" then return user end
  return nil, err
end

local function state_of(user)
  if user.deleted_at then return "deleted" end
  if user.deactivated_at then return "deactivated" end
  if user.banned then return "banned" end
  return user.online and "online" or ""
end

local function show_user(page, user)
  page:fields(words.rows(user, nil, { "id", "name", "role", "online", "banned", "created_at", "updated_at" }))
end

local list = {
  name = "list", about = "Find users: those whose fields are like this, or all.", json = "a list of users",
  examples = {
    "users list", "users list role=admin",
    "users list name:='{\"$autocomplete\":\"jo\"}' --sort created_at:desc",
    "users list --deactivated --json | jq -r '.[].id'",
  },
  arguments = function(command)
    command:argument("data", words.FILTERS):args "*"
    command:option("--role", "Only users with this role."):argname "<role>"
    command:flag("--deactivated", "Deactivated ones, too.")
    words.add_page(command, 100, 30)
  end,
  check = function(args) return words.read_data(args, { "role" }) end,
  run = function(client, args)
    local options = words.page_options(args)
    options.include_deactivated_users = args.deactivated
    return client:query_users(args.fields, options)
  end,
  show = function(page, users)
    page:list({ "id", "name", "role", "state", "last active" }, users, function(user)
      return { user.id, user.name, user.role, state_of(user), user.last_active }
    end, "there are no such users")
  end,
}

local show = {
  name = "show", about = "Show one user.", json = "the user",
  examples = { "users show john", "users show john --json | jq .role" },
  arguments = id_argument, check = wrong_id,
  run = function(client, args)
    local user, err = find(client, args.id)
    if user == false then
      return errors.fail("api", ("there is no user %q"):format(args.id), {
        code = 16, status = 404, hint = no_user(args),
      })
    end
    return user, err
  end,
  show = show_user,
}

local function data_arguments(count)
  return function(command)
    id_argument(command)
    command:argument("data", words.DATA):args(count)
    command:option("--name", "Name of the user."):argname "<name>"
    command:option("--role", "Role: user, guest, moderator, admin, a custom one."):argname "<role>"
  end
end

local HINT_DATA = words.DATA_HINT .. " `stream-events admin roles list` shows the roles."

local create = {
  name = "create", about = "Create a user.", json = "the user",
  examples = { "users create john --name John", "users create eve --role admin team_color=red level:=3" },
  arguments = data_arguments "*",
  check = function(args) return wrong_id(args) or words.read_data(args, OPTIONS) end,
  hints = { [4] = HINT_DATA },
  run = function(client, args)
    local there, err = find(client, args.id)
    if there then
      return errors.fail("api", ("there is a user %q already"):format(args.id), {
        hint = ("`stream-events admin users set %s` changes it."):format(args.id),
      })
    elseif there == nil then
      return nil, err
    end
    args.fields.id = args.id
    return one_of(args.id, client:upsert_users { args.fields })
  end,
  show = show_user,
}

local set = {
  name = "set", about = "Change fields of a user; the others stay as they are.", json = "the user",
  examples = { "users set john name=\"John Doe\"", "users set john --role moderator --unset team_color" },
  arguments = function(command)
    data_arguments "*"(command)
    words.add_unset(command)
  end,
  check = function(args) return wrong_id(args) or words.read_changes(args, OPTIONS) end,
  hints = { [4] = HINT_DATA, [16] = no_user },
  run = function(client, args)
    return one_of(args.id, client:update_users {
      { id = args.id, set = args.fields, unset = args.unset },
    })
  end,
  show = show_user,
}

local token_command = {
  name = "token", about = "Sign a token for a user, as `stream-events token` does. Needs no server.",
  json = "the token, the user id and the expiry", examples = { "users token john --exp 3600" },
  arguments = token.arguments, alone = token.run,
}

---@type stream_events.command.Node
local node = {
  name = "users", about = "Users: found, created, changed, banned, locked out; their tokens.",
  examples = {
    "users list role=admin", "users create john --name John", "users set john --role moderator",
    "users ban eve --channel messaging:general --timeout 30m --reason spam", "users deactivate eve",
    "users revoke-tokens eve",
  },
  commands = { list, show, create, set },
}
for _, command in ipairs(life) do node.commands[#node.commands + 1] = command end
node.commands[#node.commands + 1] = token_command
return node
