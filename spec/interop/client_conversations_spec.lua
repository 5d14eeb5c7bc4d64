--- The plugin against conversations that are recorded as data, in spec/interop/conversations. A player in
-- Python has the server's part; what the client does and what it is to see stands in the same file:
--   {"act":"connect","user":U,"token":T}, {"act":"watch","channel":CID}, ...   begins a call
--   {"gives":V}, {"fails":E}    its result holds that, or its error
--   {"sees":E}                  the next event that handlers get holds that
local foreign = require "support.foreign"
local luv = require "luv"
local native = require "stream_events.native"
local process = require "support.process"
local stream_events = require "stream_events"
local unlike = require "support.likeness"

local json = native.json
local FOLDER = debug.getinfo(1, "S").source:match "^@(.*)client_conversations_spec.lua$" .. "conversations/"
local PATIENCE = 20 -- seconds: a guard, conditions are waited for

local function read_lines(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = assert(json.decode(line)) end
  return lines
end

local function words_with(more)
  local file = assert(io.open(FOLDER .. "words.json"))
  local words = assert(json.decode(file:read "*a"))
  file:close()
  for name, value in pairs(more or {}) do words[name] = value end
  return words
end

local function spelt_out(value, words)
  if type(value) == "string" then return words[value:match "^%$(.*)"] or value end
  if type(value) ~= "table" then return value end
  for key, inner in pairs(value) do value[key] = spelt_out(inner, words) end
  return value
end

local function channel_of(client, line)
  local channel_type, id = line.channel:match "^(.-):(.*)$"
  return client:channel(channel_type, id, line.data)
end

-- What a client can be told to do.
local ACTS = {
  connect = function(client, line, done) client:connect_user(line.user, line.token, done) end,
  connect_guest = function(client, line, done) client:connect_guest(line.user, done) end,
  connect_anonymous = function(client, _, done) client:connect_anonymous(done) end,
  disconnect = function(client, _, done) client:disconnect(done) end,
  watch = function(client, line, done) channel_of(client, line):watch(done) end,
  stop_watching = function(client, line, done) channel_of(client, line):stop_watching(done) end,
  send = function(client, line, done)
    local event_type = line.event.type
    line.event.type = nil
    channel_of(client, line):send_event(event_type, line.event, line.as and { user_id = line.as }, done)
  end,
  send_user = function(client, line, done) client:send_user_custom_event(line.user, line.event, done) end,
  update_channel_type = function(client, line, done)
    client:update_channel_type(line.name, line.config, done)
  end,
}

describe("the plugin, in a recorded conversation,", function()
  local client, player
  local plays = 0

  -- The player's next report of the present play with that field.
  local function said(field)
    local report = player:take(function(given) return given.play == plays and given[field] end)
    return report and report[field]
  end

  local function wait(condition, what)
    local ends = native.now() + PATIENCE
    while true do
      local result = condition()
      if result then return result end
      local failed = said "failed"
      if failed then error(failed, 0) end
      if native.now() > ends then error("waited in vain for " .. what, 0) end
      client:poll(0.005)
      luv.run "nowait"
    end
  end

  local function play(path, words)
    local lines = read_lines(path)
    for i, line in ipairs(lines) do lines[i] = spelt_out(line, words_with(words)) end
    plays = plays + 1
    player:tell { play = plays, file = path, words = words or {} }
    local function listens(report) return report.play == plays and report.port end
    local port = player:wait(listens, "the player listens").port
    local options = lines[1].options or {}
    options.api_key, options.base_url = "devkey", "http://127.0.0.1:" .. port
    options.random = function() return 0 end
    client = stream_events.new(options)
    local seen, result = {}, nil
    local function see(event)
      if event.reason ~= "connected" then seen[#seen + 1] = event end -- that it has, connect itself gives
    end
    client:subscribe(see)
    client:subscribe_for({ "connection.changed", "connection.recovered", "user.*", "event.dropped" }, see)
    for number, line in ipairs(lines) do
      local problem
      if line.act then
        result = nil
        ACTS[line.act](client, line, function(value, err) result = { value, err } end)
      elseif line.gives ~= nil or line.fails then
        local got = wait(function() return result end, "the result of line " .. number)
        if line.fails then
          problem = unlike(got[2], line.fails, "the error")
        else
          problem = got[2] and tostring(got[2]) or unlike(got[1], line.gives, "the result")
        end
      elseif line.sees then
        local event = wait(function() return table.remove(seen, 1) end, "the event of line " .. number)
        problem = unlike(event, line.sees, "the event")
      end
      if problem then  error(("line %d: %s"):format(number, problem), 0) end
    end
    wait(function() return said "played" end, "the end of the player's part")
    for _, event in ipairs(seen) do assert.equal("connection.changed", event.type) end
  end

  setup(function() player = foreign.start "player.py" end)
  after_each(function()
    if client then client:close() end
    client = nil
  end)
  teardown(function()
    player:stop()
    process.end_all()
  end)

  local names, folder = {}, assert(luv.fs_scandir(FOLDER))
  for name in function() return luv.fs_scandir_next(folder) end do
    if name:find "%.jsonl$" then names[#names + 1] = name end
  end
  table.sort(names)

  for _, name in ipairs(names) do
    local first = read_lines(FOLDER .. name)[1]
    local word, values = next(first.each or {})
    for _, value in ipairs(values or { false }) do
      local title = first.section .. ": " .. first.title .. (word and " " .. json.encode(value) or "")
      it(title, function() play(FOLDER .. name, word and { [word] = value }) end)
    end
  end
end)
