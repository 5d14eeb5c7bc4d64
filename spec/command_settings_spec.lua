--- The settings of `stream-events serve`: from flags, the environment and a file; what is wrong with
--- them, --print-config, and what SIGHUP changes.
local command = require "support.command"
local file = require "stream_events.command.settings_file"
local folders = require "support.folder"
local http_client = require "support.http_client"
local luv = require "luv"
local native = require "stream_events.native"
local options = require "stream_events.server.options"
local process = require "support.process"
local prometheus = require "support.prometheus"

local folder
before_each(function() folder = folders.new() end)
after_each(function()
  process.end_all()
  folder:remove()
end)

describe("a settings file", function()
  local function read(text) return file.read(folder:write("settings.lua", text)) end

  it("holds numbers, texts, switches and lists, with Lua's comments", function()
    local settings = assert(read [=[
-- a comment
max_event = 8192 -- and one behind
idle_timeout = 0.5; port = 0x10 --[[ in
several lines ]] access_log = true
watch = false
host = '\049\x30.0.0.1'
data = [[
a\b]]
trusted_proxies = {
  "127.0.0.1", -- itself
  '10.0.0.0/8',
}
none = {}
low = -1
]=])
    local found = {}
    for name, setting in pairs(settings) do found[name] = { setting.value, setting.line } end
    assert.same({
      max_event = { 8192, 2 }, idle_timeout = { 0.5, 3 }, port = { 16, 3 }, access_log = { true, 4 },
      watch = { false, 5 }, host = { "10.0.0.1", 6 }, data = { "a\\b", 7 },
      trusted_proxies = { { "127.0.0.1", "10.0.0.0/8" }, 9 }, none = { {}, 13 }, low = { -1, 14 },
    }, found)
  end)

  it("may be empty", function() assert.same({}, (read "")) end)

  it("may begin with the mark that some editors put there", function()
    assert.equal(7, assert(read "\u{FEFF}port = 7\r\n").port.value)
  end)

  for name, case in pairs {
    ["an expression"] = { "\na = 3 * 4", 2 }, ["a call"] = { 'a = os.getenv "x"', 1 },
    ["a loop"] = { "while true do end", 1 },
    ["a name without a value"] = { "\na\n\n", 2 }, ["nothing behind ="] = { "a =", 1 },
    ["a setting twice"] = { "a = 1\nb = 2\na = 3", 3 }, ["a text that does not end"] = { 'a = "b', 1 },
    ["a list of numbers"] = { "a = { 1 }", 1 }, ["a list that does not end"] = { 'a = { "b"', 1 },
    ["a list without commas"] = { 'a = { "b" "c" }', 1 }, ["a wrong escape"] = { [[a = "\q"]], 1 },
    ["two values"] = { "a = 1 2", 1 }, ["texts put together"] = { 'a = "b" .. "c"', 1 },
    ["a function"] = { "a = function() end", 1 }, ["bytes that are no Lua"] = { "a = 1 \255", 1 },
    ["nil"] = { "a = nil", 1 }, ["bytecode"] = { string.dump(function() end), 1 },
  } do
    it("holds no " .. name .. ", and the line is named", function()
      local settings, message = read(case[1])
      assert.is_nil(settings)
      assert.equal(("%s:%d: "):format(folder:at "settings.lua", case[2]),
        message:match("^.-:%d+: "), message)
    end)
  end

  it("is a file that can be read and is not huge", function()
    for _, path in ipairs { folder:at "none.lua", folder.path, "/dev/zero" } do
      local settings, message = file.read(path)
      assert.is_nil(settings)
      assert.matches(path, message, 1, true)
    end
    local settings, message = read(("-"):rep(2 << 20))
    assert.is_nil(settings)
    assert.matches("larger than", message)
  end)
end)

describe("serve", function()
  local function config(text) return folder:write("settings.lua", text) end

  local function printed(args, env)
    local all = { "serve", "--print-config", "--json", table.unpack(args or {}) }
    local child = command.run(all, env)
    assert.equal(0, child.code, child.stderr)
    return assert(native.json.decode(child.stdout)), child
  end

  it("takes flags before the environment, that before the file, and the file before the defaults", function()
    local path = config "max_event = 1000\nmax_body = 2000\nmax_header = 3000\nhost = '127.0.0.2'\n"
    local found = printed({ "--config", path, "--max-event", "1001" },
      { STREAM_EVENTS_MAX_EVENT = "1002", STREAM_EVENTS_MAX_BODY = "2002", STREAM_EVENTS_MAX_MESSAGE = "" })
    assert.same({ set = true, value = 1001, from = "flag", where = "--max-event" }, found.max_event)
    assert.same({ set = true, value = 2002, from = "environment", where = "STREAM_EVENTS_MAX_BODY" },
      found.max_body)
    assert.same({ set = true, value = 3000, from = "file", where = path .. ":3" }, found.max_header)
    assert.same({ set = true, value = 65536, from = "default" }, found.max_message)
    assert.same({ "127.0.0.2", 3030 }, { found.host.value, found.port.value })
  end)

  it("needs a secret that nobody knows where every page may call", function()
    for _, value in ipairs { "*", "https://game.example, *" } do
      local child = command.run { "serve", "--port", "0", "--data", ":memory:", "--allowed-origins", value }
      assert.equal(2, child.code)
      assert.matches("pages of all origins", child.stderr, 1, true)
    end
    local path = config "allowed_origins = { '*' }"
    assert.equal(2, command.run({ "serve", "--port", "0", "--data", ":memory:", "--config", path }).code)
  end)

  it("has a flag, a variable and a key for every option, and takes what it prints", function()
    local lines, env, args = {}, {}, {}
    local texts = {
      whole = "70000", seconds = "7.5", switch = "true", addresses = "10.0.0.1", rules = "r.lua",
      rates = "SendEvent=7", origins = "https://game.example",
    }
    for _, spec in ipairs(options.LIST) do
      if spec.kind ~= "function" then
        local text = spec.choices and spec.choices[1] or texts[spec.kind]
        if spec.kind == "text" then text = ("word"):rep(3) end
        if spec.kind == "whole" and spec.most < 70000 then text = ("%d"):format(spec.most) end
        local value = assert(options.from_text(spec, text))
        local quoted = type(value) == "string" and ("%q"):format(value) or tostring(value)
        lines[#lines + 1] = ("%s = %s"):format(spec.name, quoted)
        local variable = spec.name:find "^api_" and "STREAM_" or "STREAM_EVENTS_"
        env[variable .. spec.name:upper()] = text
        args[#args + 1] = "--" .. spec.name:gsub("_", "-")
        if spec.kind ~= "switch" then args[#args + 1] = text end
      end
    end
    local path = config(table.concat(lines, "\n"))
    for source, found in pairs {
      file = printed { "--config", path }, environment = printed(nil, env), flag = printed(args),
    } do
      for _, spec in ipairs(options.LIST) do
        if spec.kind ~= "function" then assert.equal(source, found[spec.name].from, spec.name) end
      end
    end
    local text = command.run { "serve", "--print-config", "--config", path }.stdout
    local again = printed({ "--config", config(text) }, { STREAM_API_SECRET = "word" })
    for name, entry in pairs(printed { "--config", config(table.concat(lines, "\n")) }) do
      if not entry.hidden then assert.same(entry.value, again[name].value, name) end
    end
  end)

  it("prints what belongs together in one place", function()
    local text, seen = command.run({ "serve", "--print-config" }).stdout, {}
    for heading in ("\n" .. text):gmatch "\n%-%- (%u[^\n]*)" do
      assert.is_nil(seen[heading], heading)
      seen[heading] = true
    end
    assert.is_true(seen["Connections"])
  end)

  it("never prints a secret", function()
    local path = config 'api_secret = "hidden-1"\nmetrics_key = "hidden-2"'
    for _, more in ipairs { {}, { "--json" } } do
      local child = command.run { "serve", "--print-config", "--config", path, table.unpack(more) }
      assert.equal(0, child.code)
      assert.not_matches("hidden%-", child.stdout .. child.stderr)
      assert.matches("settings.lua:1", child.stdout, 1, true)
    end
  end)

  it("warns of a secret in a file that everybody can read, and of variables that are none", function()
    local path = config 'api_secret = "hidden-1"'
    assert(luv.fs_chmod(path, 420)) -- 0644
    local _, child = printed({ "--config", path }, { STREAM_EVENTS_MAX_EVNT = "7" })
    assert.matches("everybody on this machine can read " .. path, child.stderr, 1, true)
    assert.matches("STREAM_EVENTS_MAX_EVNT, did you mean STREAM_EVENTS_MAX_EVENT?", child.stderr, 1, true)
    assert(luv.fs_chmod(path, 384)) -- 0600
    _, child = printed({ "--config", path }, { STREAM_EVENTS_SOMETHING_ELSE = "7" })
    assert.equal("", child.stderr)
    _, child = printed({ "--config", path }, { STREAM_EVENTS_API_SECRET = "x" })
    assert.matches("STREAM_EVENTS_API_SECRET, did you mean STREAM_API_SECRET?", child.stderr, 1, true)
  end)

  it("reads the file that STREAM_EVENTS_CONFIG names", function()
    local found = printed(nil, { STREAM_EVENTS_CONFIG = config "max_event = 77" })
    assert.equal(77, found.max_event.value)
  end)

  it("asks for no secret where no proxy is trusted", function()
    assert.same({}, printed({ "--config", config "trusted_proxies = {}" }).trusted_proxies.value)
  end)

  it("turns switches off, too", function()
    local path = config "access_log = true"
    assert.is_false(printed({ "--config", path, "--no-access-log" }).access_log.value)
    assert.is_false(printed({ "--config", path }, { STREAM_EVENTS_ACCESS_LOG = "off" }).access_log.value)
  end)

  for name, case in pairs {
    ["a flag"] = { { "--max-event", "many" }, nil, nil,
      '--max-event must be a whole number from 1 to 1073741824, not "many"' },
    ["a key that no header can hold"] = { {}, nil, "dashboard_key = ' a key of our own'",
      "settings.lua:1: dashboard_key must not begin or end with a blank" },
    ["a flag that is empty"] = { { "--metrics-key", "" }, nil, nil, "--metrics-key must not be empty" },
    ["a choice"] = { { "--log-format", "xml" }, nil, nil, "--log-format must be one of text, json" },
    ["a variable"] = { {}, { STREAM_EVENTS_ACCESS_LOG = "perhaps" }, nil,
      'STREAM_EVENTS_ACCESS_LOG must be true or false, not "perhaps"' },
    ["a variable that a flag goes before"] = { { "--max-event", "5" }, { STREAM_EVENTS_MAX_EVENT = "0" }, nil,
      "STREAM_EVENTS_MAX_EVENT must be a whole number from 1" },
    ["a value in the file"] = { {}, nil, "\nmax_event = true", "settings.lua:2: max_event must be a number" },
    ["a list of rules in the file"] =
      { {}, nil, "rules = { 'a.lua' }", "settings.lua:1: rules must be a path" },
    ["a text with a line break"] = { {}, nil, "host = 'a\\nb'", "host must not hold control characters" },
    ["a network in the file"] = { {}, nil, "trusted_proxies = { '10.0.0.0/99' }",
      "settings.lua:1: trusted_proxies" },
    ["a name in the file"] = { {}, nil, "\n\nmax_evnt = 3", "settings.lua:3: there is no setting max_evnt, "
      .. "did you mean max_event?" },
    ["the file itself"] = { { "--config", "/nonexistent.lua" }, nil, nil, "/nonexistent.lua" },
    ["the name of the file"] = { { "--config", "" }, nil, nil, "--config must not be empty" },
    ["the known secret for everybody"] = { { "--host", "0.0.0.0" }, nil, nil, "STREAM_API_SECRET" },
    ["the known secret behind a proxy"] =
      { { "--trusted-proxies", "127.0.0.1" }, nil, nil, "STREAM_API_SECRET" },
    ["watching without rules"] = { { "--watch" }, nil, nil, "watch needs the path of a rule file" },
    ["rules that are not there"] = { {}, nil, "rules = '/nonexistent/r.lua'", "/nonexistent/r.lua" },
  } do
    it("ends with 2 when " .. name .. " is wrong, and says where", function()
      local args = { "serve", "--port", "0", "--data", ":memory:", table.unpack(case[1]) }
      if case[3] then table.move({ "--config", config(case[3]) }, 1, 2, #args + 1, args) end
      local child = command.run(args, case[2])
      assert.same({ 2, "" }, { child.code, child.stdout })
      assert.matches(case[4], child.stderr, 1, true)
      assert.not_matches("traceback", child.stderr)
    end)
  end

  it("checks the data that the settings name", function()
    local child = command.run { "serve", "--check-data", "--config", config "data = '/nonexistent/x.db'" }
    assert.equal(1, child.code)
    assert.matches("/nonexistent/x.db", child.stderr, 1, true)
  end)

  it("reads settings and rules again on SIGHUP, all or nothing, and keeps connections", function()
    local rules = folder:write("rules.lua", 'default "drop"\nevent "flare" { extra = "keep" }')
    local kept = ("rules = %q\ndata = ':memory:'\nwatch = false\n"):format(rules)
    local path = config(kept .. "max_event = 200\nport = 0")
    local own = command.start { "serve", "--config", path }
    local env = { STREAM_BASE_URL = own:wait_for("stdout", "listening on (%S+)\n") }
    local listener = command.start({ "listen", "messaging:a", "--as", "thierry" }, env)
    listener:wait_for("stderr", "listening for ")
    local function sent(event_type, size)
      local text = "text=" .. ("x"):rep(size)
      return command.run({ "send", "messaging:a", event_type, text, "--as", "tommaso" }, env).code
    end
    assert.same({ 0, 1, 1 }, { sent("flare", 10), sent("flare", 300), sent("other", 10) })

    config(kept .. "max_event = 2000\nport = 1\nlog_format = 'json'")
    folder:write("rules.lua", 'default "drop"\nevent "other" { extra = "keep" }')
    own:kill "sighup"
    own:wait_for("stderr", "settings have changed settings=max_event\n")
    own:wait_for("stderr", "not changed: they need a restart settings=port\n")
    own:wait_for("stderr", '"message":"the settings were reloaded"')
    assert.same({ 1, 0 }, { sent("flare", 10), sent("other", 300) })

    config "max_event = 10\nmax_evnt = 3"
    own:kill "sighup"
    own:wait_for("stderr", "settings.lua:2: there is no setting max_evnt")
    config(kept .. "max_event = 10\nport = 0")
    folder:write("rules.lua", "evnt 'x' {}")
    own:kill "sighup"
    own:wait_for("stderr", "the settings were not reloaded.*the settings were not reloaded")
    assert.equal(0, sent("other", 300))
    local answer = http_client.new { host = "127.0.0.1", port = tonumber(env.STREAM_BASE_URL:match "%d+$") }
    local counted = prometheus.parse(answer:request("GET", "/metrics").text)
    answer:close()
    local _, lines = own.stderr:gsub('"level":"error"', "")
    assert.equal(lines, counted:value("stream_events_log_lines_total", { level = "error" }))

    assert.is_nil(listener.stderr:find("lost", 1, true))
    listener:wait_for("stdout", "other tommaso[^\n]*\n.*other tommaso")
    own:kill "sigterm"
    assert.equal(0, own:finish())
  end)
end)
