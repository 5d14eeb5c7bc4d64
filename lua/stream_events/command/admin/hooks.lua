--- `stream-events admin hooks`: webhooks, each by itself.
local convert = require "stream_events.command.convert"
local errors = require "stream_events.error"
local native = require "stream_events.native"
local words = require "stream_events.command.admin.words"

local NO_HOOK = "`stream-events admin hooks list` shows the hooks there are, with their ids."
local FIELD_HINT = "`stream-events admin hooks events` shows the built-in event types; custom ones are named "
  .. "as they are sent. Nothing was changed."
local HINTS = { [4] = FIELD_HINT, [16] = NO_HOOK }

local function id_argument(command)
  command:argument("id", "Id of the hook.")
end

local function wrong_id(args) return words.wrong_name(args.id, "the id of a hook") end

local function wrong_url(url)
  if not url:find "^https?://" then return "the URL must begin with http:// or https://" end
end

local function options(command)
  command:option("--types", "Only these event types: a,b. May be repeated. Without it all.")
    :convert(convert.list):count "*":argname "<types>"
  command:option("--timeout", "Milliseconds of one attempt.")
    :convert(convert.whole(1, 1000000, "number of milliseconds")):argname "<ms>"
end

-- The types of all --types, or nil.
local function types_of(args)
  if #args.types == 0 then return nil end
  local list = native.json.array {}
  for _, some in ipairs(args.types) do
    for _, event_type in ipairs(some) do list[#list + 1] = event_type end
  end
  return list
end

local function show_hook(page, hook)
  page:fields(words.rows(hook, nil,
    { "id", "webhook_url", "enabled", "event_types", "should_send_custom_events", "timeout_ms" }))
end

-- One of the hooks that the service has; false: it has not.
local function find(client, id)
  local hooks, err = client:list_event_hooks()
  if not hooks then return nil, err end
  for _, each in ipairs(hooks) do
    if type(each) == "table" and each.id == id then return each end
  end
  return false
end

-- The hook as the service has it after a change.
local function stored(client, hook, err)
  if not hook then return nil, err end
  local found
  found, err = find(client, hook.id)
  if found == nil then return nil, err end
  return found or hook
end

local list = {
  name = "list", about = "Show all hooks.", json = "a list of hooks",
  examples = { "hooks list", "hooks list --json | jq -r '.[].webhook_url'" },
  run = function(client) return client:list_event_hooks() end,
  show = function(page, hooks)
    page:list({ "id", "url", "enabled", "custom events", "types" }, hooks, function(hook)
      local types = words.joined(hook.event_types)
      return {
        hook.id, hook.webhook_url, words.on_off(hook.enabled),
        words.on_off(hook.should_send_custom_events == true), types ~= "" and types or "all",
      }
    end, "there are no hooks")
  end,
}

local show = {
  name = "show", about = "Show one hook.", json = "the hook", examples = { "hooks show chat-log" },
  arguments = id_argument, check = wrong_id,
  run = function(client, args)
    local hook, err = find(client, args.id)
    if hook ~= false then return hook, err end
    return errors.fail("api", ("there is no hook %q"):format(args.id), {
      code = 16, status = 404, hint = NO_HOOK,
    })
  end,
  show = show_hook,
}

local add = {
  name = "add", about = "Add a hook: copies of events are posted to its URL.", json = "the hook",
  examples = {
    "hooks add https://example.com/hooks --custom-events",
    "hooks add https://example.com --types trade --custom-events --id trades",
    "hooks add https://example.com/members --types member.added,member.removed",
  },
  arguments = function(command)
    command:argument("url", "Where to, http:// or https://.")
    options(command)
    command:flag("--custom-events", "Custom events, too: those of --types, or all.")
    command:option("--id", "Id of the hook (default: one is made up)."):argname "<id>"
    command:flag("--disabled", "Switched off for now.")
  end,
  check = function(args)
    return wrong_url(args.url) or wrong_id(args)
  end,
  hints = HINTS,
  run = function(client, args)
    return stored(client, client:add_event_hook {
      id = args.id, webhook_url = args.url, enabled = not args.disabled, event_types = types_of(args) or {},
      should_send_custom_events = args.custom_events or false, timeout_ms = args.timeout,
    })
  end,
  show = show_hook,
}

local function changes_of(args)
  local types = types_of(args)
  if args.all_types then types = native.json.array {} end
  return {
    webhook_url = args.url, enabled = args.enabled, event_types = types,
    should_send_custom_events = args.custom_events, timeout_ms = args.timeout,
  }
end

local set = {
  name = "set", about = "Change a hook; what is not named stays as it is.", json = "the hook",
  examples = {
    "hooks set trades --enabled off", "hooks set trades --types trade_offer",
    "hooks set trades --all-types --custom-events on",
  },
  arguments = function(command)
    id_argument(command)
    command:option("--url", "Where to."):argname "<url>"
    options(command)
    command:flag("--all-types", "All event types.")
    command:option("--custom-events", "on or off."):convert(convert.switch):argname "<switch>"
    command:option("--enabled", "on or off."):convert(convert.switch):argname "<switch>"
  end,
  check = function(args)
    if args.url and wrong_url(args.url) then return wrong_url(args.url) end
    if args.all_types and #args.types > 0 then return "--types and --all-types exclude each other" end
    if next(changes_of(args)) == nil then return "nothing to change: name an option, as --enabled off" end
    return wrong_id(args)
  end,
  hints = HINTS,
  run = function(client, args)
    return stored(client, client:update_event_hook(args.id, changes_of(args)))
  end,
  show = show_hook,
}

local remove = {
  name = "remove", about = "Remove a hook, with what still waits for it.", json = "what was removed",
  examples = { "hooks remove trades", "hooks remove trades --yes" },
  arguments = id_argument, check = wrong_id, hints = HINTS,
  confirm = function(args) return ("Remove the hook %s, with what waits for it?"):format(args.id) end,
  run = function(client, args)
    local ok, err = client:remove_event_hook(args.id)
    return ok and { id = args.id, removed = true }, err
  end,
  show = function(page, value) page:fields { { "removed the hook", value.id } } end,
}

local events = {
  name = "events", about = "Show the built-in event types that hooks can be about.",
  json = "a list of event types", examples = { "hooks events" },
  run = function(client) return client:list_hook_events() end,
  show = function(page, types)
    page:list({ "type" }, types, function(each) return { each.name } end, "there are no such types")
  end,
}

---@type stream_events.command.Node
return {
  name = "hooks", about = "Webhooks: where copies of events are posted to.",
  examples = {
    "hooks list", "hooks add https://example.com/hooks --custom-events", "hooks set trades --enabled off",
    "hooks remove trades",
  },
  notes = "Two who change hooks at the same moment can undo each other: the service takes them as one list.",
  commands = { list, show, add, set, remove, events },
}
