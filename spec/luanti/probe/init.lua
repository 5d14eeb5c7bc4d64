-- A mod of the spec's: says what players would see, and does what they would do.
local function tell(text) minetest.log("action", "[probe] " .. text) end

local world = minetest.get_worldpath()
local slow, in_step, most = false, 0, 0

-- Takes a millisecond when it is slow, and for the first line until the spec has sent all of them.
local function take_time(text)
  if text:find "first$" then
    repeat until io.open(world .. "/sent")
    return
  end
  in_step = in_step + 1
  most = math.max(most, in_step)
  if text:find "last$" then tell("at most " .. most) end
  local ends = os.clock() + 0.001
  repeat until os.clock() > ends
end

function minetest.chat_send_all(text)
  tell("said: " .. text)
  if slow then take_time(text) end
end

-- Calls what the bridge has registered, and none of the game's own.
local function call(callbacks, ...)
  for _, callback in ipairs(callbacks) do
    if minetest.callback_origins[callback].mod == "stream_events_bridge" then callback(...) end
  end
end

local player = { get_player_name = function() return "ann" end }
local DEEDS = {
  ["ann comes"] = function() call(minetest.registered_on_joinplayers, player) end,
  ["ann speaks"] = function()
    call(minetest.registered_on_chat_messages, "ann", "/stream")
    call(minetest.registered_on_chat_messages, "ann", "\27(c@#f00)Hi\27(c@#fff) from below")
  end,
  ["ann goes"] = function() call(minetest.registered_on_leaveplayers, player) end,
  ["be slow"] = function() slow = true end,
  ["how is it"] = function()
    local _, answer = minetest.registered_chatcommands.stream.func("ann", "")
    tell(answer)
  end,
}

-- The spec writes what is to be done into a file of the world.
local path, steps = world .. "/deed", 0
minetest.register_globalstep(function()
  steps, in_step = steps + 1, 0
  if steps == 2 then tell "running" end
  local file = io.open(path)
  if not file then return end
  local deed = file:read "*l"
  file:close()
  os.remove(path)
  DEEDS[deed]()
  tell("done: " .. deed)
end)

-- What an ordinary mod can reach, with the plugin beside it.
local found = {}
for name in pairs { stream_events = 1, insecure = 1, newproxy = 1, loadlib = 1 } do
  if rawget(_G, name) ~= nil then found[#found + 1] = name end
end
if pcall(require, "stream_events") then found[#found + 1] = "require" end
if io.popen or os.execute then found[#found + 1] = "processes" end
tell("found: " .. (table.concat(found, " ")))
