--- The command line as people, shells and pipes meet it: help, slips, the manual page, completions, colours,
--- progress, exit codes.
local argparse = require "argparse"
local command = require "support.command"
local folders = require "support.folder"
local parsers = require "stream_events.command.parser"
local process = require "support.process"

-- Every subcommand, its own included, the whole first.
local function all_commands()
  local list = { parsers.new(true) }
  local i = 1
  while list[i] do
    for _, child in ipairs(list[i]._commands) do list[#list + 1] = child end
    i = i + 1
  end
  return list
end

-- The lines below "Examples:", without their indentation.
local function examples_of(parser)
  local text, list = parser:get_help():match "\nExamples:\n(.*)$", {}
  for line in ((text or "") .. "\n"):gmatch "([^\n]*)\n" do
    if not line:find "^  " then break end
    list[#list + 1] = line:sub(3)
  end
  return list
end

-- What a terminal shows. The command is that of build/, in an environment without a sanitizer.
local function on_terminal(line, env)
  command.need_build()
  local values = { LD_PRELOAD = false, LUA_PATH = false, LUA_CPATH = false, TERM = "xterm", NO_COLOR = false }
  for name, value in pairs(env or {}) do values[name] = value end
  return process.start("script", { "-qec", line, "/dev/null" }, values)
end

describe("the command line", function()
  local folder
  before_each(function() folder = folders.new() end)
  after_each(function()
    process.end_all()
    folder:remove()
  end)

  describe("--help", function()
    it("has examples for every subcommand, and each names it", function()
      for _, parser in ipairs(all_commands()) do
        local name = parser:_get_fullname()
        local examples = examples_of(parser)
        assert.is_truthy(examples[1], name .. " has no examples")
        assert.truthy(table.concat(examples, "\n"):find(name, 1, true), name)
        if parser._parent then assert.matches("%.$", parser:_get_description(), 1, nil, name) end
      end
    end)

    it("has only examples that are understood", function()
      folder:write("stream-events", '#!/bin/sh\nfor word; do printf "%s\\001" "$word"; done; echo\n')
      assert(os.execute("chmod +x " .. folder:at "stream-events"))
      local script = {}
      for _, parser in ipairs(all_commands()) do
        for _, example in ipairs(examples_of(parser)) do
          example = example:gsub(" | jq .*$", ""):gsub(" > .*$", "")
          if not example:find "^source" then script[#script + 1] = example end
        end
      end
      local child = process.run("sh", { "-c", table.concat(script, "\n") },
        { PATH = folder.path .. ":" .. os.getenv "PATH", LD_PRELOAD = false }, folder.path)
      assert.equal("", child.stderr)
      local parser, count = parsers.new(true), 0
      for line in child.stdout:gmatch "([^\n]*)\n" do
        local words = {}
        for word in line:gmatch "([^\1]*)\1" do words[#words + 1] = word end
        count = count + 1
        local ok, message = parser:pparse(words)
        assert.is_truthy(ok, ("%s: %s"):format(script[count], message))
      end
      assert.equal(#script, count)
      assert.is_true(count > 100)
    end)

    it("is what help shows", function()
      for _, words in ipairs { {}, { "send" }, { "rules", "replay" }, { "admin", "users", "ban" } } do
        local asked = { table.unpack(words) }
        asked[#asked + 1] = "--help"
        local child, other = command.run { "help", table.unpack(words) }, command.run(asked)
        assert.equal(0, child.code)
        assert.equal(other.stdout, child.stdout)
        assert.matches("^Usage: stream%-events " .. table.concat(words, " "), child.stdout)
      end
      assert.equal(2, command.run({ "help", "dance" }).code)
    end)

    it("tells of exit codes", function()
      local text = command.run({ "--help" }).stdout
      for _, code in ipairs { "0", "1", "2", "130" } do assert.matches("\n  " .. code .. " +%S", text) end
    end)
  end)

  describe("a slip", function()
    for line, meant in pairs {
      ["lisen"] = "listen", ["snd"] = "send", ["sedn"] = "send", ["doc"] = "doctor",
      ["admin chanels"] = "channels",
      ["rules chekc"] = "check", ["token joe --expp 3"] = "--exp", ["listen --jsno"] = "--json",
      ["admin users bna eve"] = "ban", ["serve --dahsboard"] = "--dashboard", ["completion fiish"] = "fish",
    } do
      it("is told what was meant: " .. line, function()
        local words = {}
        for word in line:gmatch "%S+" do words[#words + 1] = word end
        local child = command.run(words)
        assert.equal(2, child.code)
        assert.equal("", child.stdout)
        assert.truthy(child.stderr:find(("did you mean '%s'?\n"):format(meant), 1, true), child.stderr)
      end)
    end

    it("that is near to nothing is told where to look", function()
      local child = command.run { "rules", "dance" }
      assert.equal(2, child.code)
      assert.matches("unknown command 'dance'\n  `stream%-events rules %-%-help` says more\n$", child.stderr)
    end)

    it("is told to programs as JSON", function()
      local child = command.run { "lisen", "--json" }
      assert.matches('^{"error":{.*did you mean \'listen\'?.*}}\n$', child.stderr)
    end)
  end)

  it("says which library of Lua is missing", function()
    folder:write("argparse.lua", "error(\"module 'argparse' not found:\\n\\tno file\", 0)")
    local child = command.run({ "--version" }, { LUA_PATH = folder.path .. "/?.lua;" .. package.path })
    assert.equal(1, child.code)
    assert.equal("stream-events: the Lua library argparse is missing for Lua 5.4: apt install lua-argparse, "
      .. "or luarocks install argparse\n", child.stderr)
  end)

  describe("the manual page", function()
    local page
    setup(function() page = command.run({ "--man" }, { SOURCE_DATE_EPOCH = "86400" }).stdout end)

    it("is good roff", function()
      local file = folder:write("stream-events.1", page)
      local child = process.run("mandoc", { "-T", "lint", "-W", "warning", file }, { LD_PRELOAD = false })
      assert.equal("", child.stdout .. child.stderr)
      assert.equal(0, child.code)
      child = process.run("groff", { "-man", "-ww", "-Tutf8", "-Kutf8", file }, { LD_PRELOAD = false })
      assert.equal("", child.stderr)
    end)

    it("shows each character as it is, wherever it stands", function()
      local parser = argparse("x", "About \\fB.")
      parser:epilog "Examples:\n  x a\n\nEnvironment:\n  A  it\n\nExit codes:\n  0  ok"
      parser:command("a", ".dot 'first'"):epilog "Examples:\n  .x '\\n' -o ~ ^ `\n  'x'\n\n.PP is no request"
      local child = process.run("mandoc", { "-T", "ascii" }, { LD_PRELOAD = false }, nil,
        require "stream_events.command.man_page".text(parser))
      local text = child.stdout:gsub(".\b", "")
      for _, shown in ipairs {
        "About \\fB.", ".dot 'first'", ".x '\\n' -o ~ ^ `\n", " 'x'\n", ".PP is no",
      } do
        assert.truthy(text:find(shown, 1, true), shown .. " in " .. text)
      end
    end)

    it("has every subcommand, every option, and each example as it is typed", function()
      local child = process.run("mandoc", { "-T", "utf8", "-O", "width=400", folder:write("a.1", page) },
        { LD_PRELOAD = false })
      local text = child.stdout:gsub(".\b", "")
      assert.matches("^STREAM%-EVENTS%(1%)", text)
      assert.matches("1970%-01%-02", text)
      for _, parser in ipairs(all_commands()) do
        local name = parser:_get_fullname()
        if parser._parent then assert.truthy(text:find("\n +" .. name:gsub("%-", "%%-") .. "\n"), name) end
        for _, option in ipairs(parser._options) do
          if not option._hidden then assert.truthy(text:find(option._name, 1, true), option._name) end
        end
        for _, example in ipairs(examples_of(parser)) do
          assert.truthy(text:find(example, 1, true), example)
        end
      end
      local _, count = text:gsub("STREAM_API_SECRET +its secret", "")
      count = count + select(2, text:gsub("STREAM_API_SECRET\n +its secret", ""))
      assert.equal(1, count)
    end)
  end)

  describe("completion", function()
    -- What bash offers for the last of these words.
    local function offered(script, ...)
      local child = process.run("bash", { "--norc", "-c", [[
        source "$1"
        shift
        declare -F _stream-events >/dev/null && complete -p stream-events >/dev/null || exit 9
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        _stream-events
        echo "${COMPREPLY[*]}"]], "bash", script, "stream-events", ... }, { LD_PRELOAD = false })
      assert.equal("", child.stderr)
      assert.equal(0, child.code)
      return (child.stdout:gsub("\n$", ""))
    end

    it("works in bash", function()
      local file = folder:write("bash", command.run({ "completion", "bash" }).stdout)
      assert.equal(0, process.run("bash", { "-n", file }, { LD_PRELOAD = false }).code)
      local names = {}
      for i, child in ipairs(parsers.new(true)._commands) do names[i] = child._name end
      assert.equal(table.concat(names, " "), offered(file, ""))
      assert.equal(table.concat(names, " "), offered(file, "help", ""))
      assert.equal("listen", offered(file, "li"))
      assert.equal("new check test explain replay", offered(file, "rules", ""))
      assert.equal("ban bans", offered(file, "admin", "users", "ba"))
      assert.equal("--channel", offered(file, "admin", "users", "ban", "eve", "--ch"))
      assert.equal("tap junit", offered(file, "rules", "test", "--format", ""))
      assert.equal("bash zsh fish", offered(file, "completion", ""))
      assert.equal("-h --help --as --read-only --timeout --json", offered(file, "doctor", "-"))
    end)

    it("works in zsh", function()
      folder:write("_stream-events", command.run({ "completion", "zsh" }).stdout)
      local child = process.run("zsh", { "-f", "-n", folder:at "_stream-events" }, { LD_PRELOAD = false })
      assert.equal("", child.stderr)
      assert.equal(0, child.code)
      child = process.run("zsh", { "-f", "-c", [[
        fpath=("$1" $fpath)
        autoload -Uz compinit && compinit -u -D
        print ${_comps[stream-events]}]], "zsh", folder.path }, { LD_PRELOAD = false })
      assert.equal("_stream-events\n", child.stdout, child.stderr)
    end)

    it("works in fish", function()
      local file = folder:write("stream-events.fish", command.run({ "completion", "fish" }).stdout)
      local home = folder:at "home" -- fish makes folders there
      local env = { LD_PRELOAD = false, HOME = home }
      for _, kind in ipairs { "CONFIG", "DATA", "CACHE", "STATE" } do
        env["XDG_" .. kind .. "_HOME"] = home
      end
      local function fish(line)
        local child = process.run("fish", { "--no-config", "-c",
          ("source %s; complete -C '%s'"):format(file, line) }, env)
        assert.equal("", child.stderr)
        return child.stdout
      end
      assert.equal(0, process.run("fish", { "-n", file }, env).code)
      assert.matches("^listen\tPrint events as they arrive", fish "stream-events li")
      assert.matches("^ban\t", fish "stream-events admin users ba")
      assert.matches("^%-%-record\t", fish "stream-events listen --rec")
      process.run("rm", { "-rf", home }, { LD_PRELOAD = false })
    end)
  end)

  describe("on a terminal", function()
    local function shown(line, env)
      local child = on_terminal(line, env)
      child:finish()
      return child.stdout
    end

    it("has colours, unless NO_COLOR or TERM=dumb say otherwise, or it is none", function()
      local line = command.COMMAND .. " doctor --read-only"
      local env = { STREAM_BASE_URL = "nowhere" }
      assert.matches("\27%[1;31mFAIL", shown(line, env))
      assert.matches("\nFAIL", shown(line, { STREAM_BASE_URL = "nowhere", NO_COLOR = "1" }))
      assert.matches("\nFAIL", shown(line, { STREAM_BASE_URL = "nowhere", TERM = "dumb" }))
      assert.matches("\27%[1;31mFAIL", shown(line, { STREAM_BASE_URL = "nowhere", NO_COLOR = "" }))
      assert.matches("\nFAIL", shown(line .. " | cat", env))
    end)

    -- Replays a log that goes on until `condition` holds for what was written so far.
    local function replay(line, env, condition)
      local rules = folder:write("rules.lua", command.run({ "rules", "new" }).stdout)
      local log = folder:at "log"
      assert(os.execute("env -u LD_PRELOAD mkfifo " .. log))
      local child = on_terminal(("%s rules replay %s %s %s %s"):format(
        command.COMMAND, rules, rules, log, line), env)
      local file = assert(io.open(log, "wb"))
      local count = 0
      repeat
        file:write(('{"type":"ping","cid":"messaging:a","user":{"id":"ann"}}\n'):rep(1000))
        file:flush()
        count = count + 1000
        process.wait(function() return true end, "a turn of the loop")
      until condition(child, count)
      file:close()
      child:finish()
      return child, count
    end

    it("shows how far it is, and takes that away before the result", function()
      local child, count = replay("", {}, function(child)
        return child.stdout:find "replaying [^\n]*log: [%d,]+ lines"
      end)
      assert.matches(("\r\27%%[K%d lines, no difference\r\n$"):format(count), child.stdout)
    end)
  end)

  it("ends quietly when nobody reads any more", function()
    local child = process.run("bash", { "-c", command.COMMAND .. " --man | head -n 1; "
      .. command.COMMAND .. " admin --help | head -n 1; echo ${PIPESTATUS[1]}" })
    assert.equal("", child.stderr)
    assert.matches("^%.TH [^\n]*\nUsage: [^\n]*\n0\n$", child.stdout)
  end)
end)
