--- `stream-events admin users`: bans, users who are locked out or gone, tokens that count no longer.
local convert = require "stream_events.command.convert"
local native = require "stream_events.native"
local words = require "stream_events.command.admin.words"

local function no_user(args)
  local id = args.id or args.ids[1]
  return ("`stream-events admin users show %s` looks for the user, and "):format(id)
    .. "`stream-events admin channels show CID` for the channel."
end

local HINTS = { [4] = "Nothing was changed.", [16] = no_user }

local function id_argument(command)
  command:argument("id", "Id of the user.")
end

local function ids_argument(command)
  command:argument("ids", "Ids of users."):args "+"
end

local function wrong_id(args) return words.wrong_user(args.id) end

local function wrong_ids(args)
  if #args.ids > 100 then return ("%d users are named, 100 are allowed at once"):format(#args.ids) end
  return words.wrong_in(args.ids, words.wrong_user)
end

local function named(args) return table.concat(args.ids, ", ") end

local function wrong_ban(args)
  return wrong_id(args) or (args.channel and words.wrong_cid(args.channel))
    or (args.by and words.wrong_user(args.by)) or nil
end

local function place_of(value) return value.channel or "everywhere" end

local function channel_option(command)
  command:option("--channel", "Only in this channel, type:id; without it everywhere."):argname "<cid>"
end

local ban = {
  name = "ban", about = "Ban a user: what it sends is refused.", json = "the ban",
  examples = {
    "users ban eve --reason spam", "users ban eve --channel messaging:general --timeout 30m",
  },
  arguments = function(command)
    id_argument(command)
    channel_option(command)
    command:option("--timeout", "How long: 30 (minutes), 30m, 2h, 7d. Without it until it is ended.")
      :convert(convert.minutes):argname "<time>"
    command:option("--reason", "Why, for people."):argname "<text>"
    command:option("--by", "Id of the user who bans."):argname "<user>"
    command:flag("--shadow", "The user is not to notice.")
  end,
  check = wrong_ban, hints = HINTS,
  run = function(client, args)
    local options = {
      channel = args.channel, timeout = args.timeout, reason = args.reason, banned_by = args.by,
      shadow = args.shadow,
    }
    local ok, err = client:ban_user(args.id, options)
    return ok and {
      id = args.id, banned = true, channel = args.channel, timeout = args.timeout, reason = args.reason,
      shadow = args.shadow,
    }, err
  end,
  show = function(page, value)
    local span = value.timeout and ("for %d minutes"):format(value.timeout) or "until it is ended"
    page:fields { { "banned", value.id }, { "where", place_of(value) }, { "how long", span } }
  end,
}

local unban = {
  name = "unban", about = "End a ban. One of a channel and one from everywhere are two.",
  json = "what was ended",
  examples = { "users unban eve", "users unban eve --channel messaging:general" },
  arguments = function(command)
    id_argument(command)
    channel_option(command)
  end,
  check = wrong_ban, hints = HINTS,
  run = function(client, args)
    local ok, err = client:unban_user(args.id, { channel = args.channel })
    return ok and { id = args.id, banned = false, channel = args.channel }, err
  end,
  show = function(page, value)
    page:fields { { "no longer banned", value.id }, { "where", place_of(value) } }
  end,
}

-- A field of what should be an object: a server may answer anything.
local function part(value, name)
  return type(value) == "table" and value[name] or nil
end

local bans = {
  name = "bans", about = "List the bans, in channels and everywhere, the newest first.",
  json = "a list of bans",
  examples = {
    "users bans", "users bans eve", "users bans --channel messaging:general",
    "users bans --json | jq -r '.[].user.id'",
  },
  arguments = function(command)
    command:argument("id", "Only those of this user."):args "?"
    channel_option(command)
    words.add_page(command, 300, 100)
  end,
  check = function(args)
    return args.id and wrong_id(args) or args.channel and words.wrong_cid(args.channel) or nil
  end,
  hints = { [16] = "`stream-events admin channels list` shows the channels there are." },
  run = function(client, args)
    return client:query_banned_users({ user_id = args.id, channel_cid = args.channel },
      words.page_options(args))
  end,
  show = function(page, list)
    page:list({ "user", "where", "until", "by", "reason", "kind" }, list, function(each)
      return { part(each.user, "id"), part(each.channel, "cid") or "everywhere", each.expires,
        part(each.banned_by, "id"), each.reason, each.shadow == true and "shadow" or "" }
    end, "there are no such bans")
  end,
}

local deactivate = {
  name = "deactivate", about = "Lock a user out: it can neither connect nor call.", json = "the user",
  examples = { "users deactivate eve", "users deactivate eve --yes" },
  arguments = id_argument, check = wrong_id, hints = HINTS,
  confirm = function(args) return ("Lock %s out?"):format(args.id) end,
  run = function(client, args) return client:deactivate_user(args.id) end,
  show = function(page, _, args)
    page:fields { { "deactivated", args.id },
      { "back with", "stream-events admin users reactivate " .. args.id } }
  end,
}

local reactivate = {
  name = "reactivate", about = "Let a deactivated user in again.", json = "the user",
  examples = { "users reactivate eve" },
  arguments = id_argument, check = wrong_id, hints = HINTS,
  run = function(client, args) return client:reactivate_user(args.id) end,
  show = function(page, _, args) page:fields { { "reactivated", args.id } } end,
}

local delete = {
  name = "delete", about = "Delete users. Without --hard they can be restored.",
  json = "the ids, and the service's answer",
  examples = { "users delete eve", "users delete eve mallory --hard --yes" },
  arguments = function(command)
    ids_argument(command)
    command:flag("--hard", "For good, with all that is known of them.")
  end,
  check = wrong_ids, hints = HINTS,
  confirm = function(args)
    return ("Delete %s%s?"):format(named(args), args.hard and " for good" or "")
  end,
  run = function(client, args)
    local answer, err = client:delete_users(args.ids, { user = args.hard and "hard" or "soft" })
    if not answer then return nil, err end
    answer.user_ids, answer.deleted = native.json.array(args.ids), args.hard and "hard" or "soft"
    return answer
  end,
  show = function(page, _, args)
    page:fields { { "deleted", named(args) },
      { "back with", not args.hard and "stream-events admin users restore " .. table.concat(args.ids, " ")
        or "nothing" } }
  end,
}

local restore = {
  name = "restore", about = "Bring deleted users back.", json = "the ids",
  examples = { "users restore eve" }, arguments = ids_argument, check = wrong_ids, hints = HINTS,
  run = function(client, args)
    local ok, err = client:restore_users(args.ids)
    return ok and { user_ids = native.json.array(args.ids), restored = true }, err
  end,
  show = function(page, _, args) page:fields { { "restored", named(args) } } end,
}

local revoke = {
  name = "revoke-tokens", about = "Refuse the tokens of users that were issued until now.",
  json = "the ids, and the time",
  examples = {
    "users revoke-tokens eve", "users revoke-tokens eve --before 2026-01-01T00:00:00Z --yes",
    "users revoke-tokens eve --undo",
  },
  notes = "Tokens that do not say when they were issued are refused, too. `stream-events token --exp` signs\n"
    .. "new ones. For all users: `stream-events admin app revoke-tokens`.",
  arguments = function(command)
    ids_argument(command)
    words.add_revocation(command)
  end,
  check = function(args) return wrong_ids(args) or words.wrong_revocation(args) end, hints = HINTS,
  confirm = function(args)
    return not args.undo and ("Refuse the present tokens of %s?"):format(named(args)) or nil
  end,
  run = function(client, args)
    local before = words.revocation(args)
    local ok, err = client:revoke_user_tokens(args.ids, before)
    return ok and { user_ids = native.json.array(args.ids), revoke_tokens_issued_before = before }, err
  end,
  show = function(page, value, args)
    page:fields { { "users", named(args) }, { "tokens", words.revoked(value) } }
  end,
}

---@type stream_events.command.AdminCommand[]
return { ban, unban, bans, deactivate, reactivate, delete, restore, revoke }
