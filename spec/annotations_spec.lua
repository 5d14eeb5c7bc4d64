--- Whatever is public says what it does, takes and gives, in the annotations that editors show and that the
-- reference is made of: what the modules export is compared with what the files say.
local annotations = require "support.annotations"
local fakes = require "support.fake_transport"
local loops = require "support.loops"
local luv = require "luv"
local public = require "support.public"

local ROOT = debug.getinfo(1, "S").source:match "^@(.*)spec/annotations_spec%.lua$" or ""
local IS_5_4 = _VERSION == "Lua 5.4"

-- Not every Lua has every loop; 5.4 has to have them.
local loops_here = loops.all()
local function here(each)
  local loop = each.name:match "^stream_events%.loop%.(%a+)$"
  return (IS_5_4 or not each.only_5_4) and (not loop or loops_here[loop] ~= nil)
end

local read_files = {}
local function read(name)
  read_files[name] = read_files[name] or annotations.read_file(ROOT .. public.LUA .. name)
  return read_files[name]
end

-- Functions of the files by what they are called with in front: those of a module by "", "json", ...;
-- methods by the name of their class.
local function documented(files)
  local found = { classes = {} }
  local function add(to, owner, each)
    to[owner] = to[owner] or {}
    to[owner][each.name] = each
  end
  for _, name in ipairs(files) do
    local file, classes = read(name), {}
    for _, class in ipairs(file.classes) do
      for bound in pairs(class.locals) do classes[bound] = class.name end
    end
    for _, each in ipairs(file.functions) do
      local class = classes[each.owner]
      each.file = name
      if each.method then
        if class then add(found.classes, class, each) end
      else
        add(found, each.owner:gsub("^M$", ""):gsub("^core%.?", ""), each)
      end
    end
  end
  return found
end

local function where(each)
  return ("%s%s:%d: %s%s%s"):format(public.LUA, each.file, each.line, each.owner,
    each.method and ":" or ".", each.name)
end

-- Whether it names a quantity by a word for its unit, or says what it is a number of.
local UNITS = { "second", "byte", "minute", "1970", "how many", "number", "so many" }
local function has_unit(value, text)
  if (value.name or ""):find "seconds$" then return true end
  local said = (value.text .. " " .. text):lower()
  for _, unit in ipairs(UNITS) do
    if said:find(unit:lower(), 1, true) then return true end
  end
  return false
end

-- What is wrong with the fields of a class.
local function field_complaints(class, path)
  local found = {}
  for _, field in ipairs(class.fields) do
    local name = ("%s: %s.%s"):format(path, class.name, field.name)
    if field.type == "" then found[#found + 1] = name .. " has no type" end
    if field.type:find "^number" and not field.visibility and not has_unit(field, class.text) then
      found[#found + 1] = name .. " has no unit"
    end
  end
  return found
end

-- What is wrong with what a function says about itself.
local function complaints(each)
  local found = {}
  local function complain(...) found[#found + 1] = where(each) .. ": " .. (...):format(select(2, ...)) end
  local sentence = each.text:match "%S.*"
  if not sentence then complain "says nothing" return found end
  if not sentence:find "^[%u`]" then complain "does not begin with a sentence" end
  if not (sentence .. "\n"):find "[.:?][%s)]" then complain "has no whole sentence" end
  local given = {}
  for i, parameter in ipairs(each.parameters) do
    given[i] = parameter.name
    if parameter.type == "" then complain("@param %s has no type", parameter.name) end
    if parameter.type:find "^number" and not has_unit(parameter, each.text) then
      complain("@param %s has no unit", parameter.name)
    end
  end
  if table.concat(given, " ") ~= table.concat(each.arguments, " ") then
    complain("annotates the parameters (%s), and takes (%s)", table.concat(given, ", "),
      table.concat(each.arguments, ", "))
  end
  for _, result in ipairs(each.results) do
    if result.type == "" then complain "@return has no type" end
    if result.type:find "^number" and not has_unit(result, each.text) then
      complain("@return %s has no unit", result.name or result.type)
    end
    if result.type == "stream_events.Error?" and result.text == "" and not each.text:lower():find "error" then
      complain "does not say what errors can come"
    elseif result.name == "kind" and result.text == "" then
      complain "does not say which kinds of failures there are"
    end
  end
  return found
end

local function check(exported, said, prefix)
  local missing = {}
  for name, value in pairs(exported) do
    if type(name) == "string" and type(value) == "function" and not name:find "^__" then
      local each = said[name]
      if not each then
        missing[#missing + 1] = prefix .. name .. ": not annotated"
      elseif not each.package then
        for _, complaint in ipairs(complaints(each)) do missing[#missing + 1] = complaint end
      end
    end
  end
  for name, each in pairs(said) do
    if exported[name] == nil and not each.package then
      missing[#missing + 1] = where(each) .. ": there is no such thing"
    end
  end
  table.sort(missing)
  assert.equal("", table.concat(missing, "\n"))
end

describe("the annotations", function()
  for _, module in ipairs(public.MODULES) do
    if here(module) then
      it("of " .. module.name .. " are complete", function()
        local exported, said = require(module.name), documented(module.files)
        check(exported, said[""] or {}, module.name .. ".")
        for name, value in pairs(exported) do
          if type(value) == "table" and said[name] then
            check(value, said[name], module.name .. "." .. name .. ".")
          end
        end
      end)
    end
  end

  -- One object of each class, by which its methods are found.
  local function objects()
    local fake = fakes.new()
    local client = fake.connected()
    local found = {
      ["stream_events.Client"] = client,
      ["stream_events.Channel"] = client:channel("messaging", "a"),
      ["stream_events.Disposable"] = client:subscribe(function() end),
      ["stream_events.Error"] = require("stream_events.error").new { kind = "full", message = "x" },
      ["stream_events.RuleSet"] = require("stream_events.rules").parse 'refuse "x"',
      ["stream_events.webhook.Receiver"] = require("stream_events.webhook").receiver { secret = "x" },
    }
    return found, client
  end

  for _, class in ipairs(public.CLASSES) do
    it("of " .. class.name .. " are complete", function()
      local found, client = objects()
      local methods
      if class.name == "stream_events.Attachment" then
        local real = require("stream_events").new { api_key = "devkey" }
        methods = getmetatable(require("stream_events.loop.luv").attach(real)).__index
        real:close()
        luv.run() -- luv needs to hear of what was closed before Lua ends
      elseif class.name == "stream_events.server.Server" then
        if not IS_5_4 then return end
        local server = assert(require("stream_events.server").start { port = 0, data = ":memory:" })
        methods = getmetatable(server).__index
        server:stop()
        luv.run()
      else
        methods = getmetatable(found[class.name]).__index
      end
      client:close()
      local said = documented(class.files).classes[class.name]
      check(methods, assert(said, "nothing is said"), class.name .. ":")
    end)
  end

  it("of the objects in C are complete", function()
    local core_files = {}
    for _, module in ipairs(public.MODULES) do
      if module.of_core and here(module) then
        require(module.name)
        for _, file in ipairs(module.files) do core_files[#core_files + 1] = file end
      end
    end
    local said, seen = documented(core_files).classes, {}
    for name, metatable in pairs(debug.getregistry()) do
      if type(name) == "string" and name:find "^stream_events%." and type(metatable) == "table"
        and type(rawget(metatable, "__index")) == "table" then
        local class = assert(public.USERDATA[name], "not known to be public: " .. name)
        check(metatable.__index, said[class] or {}, class .. ":")
        seen[class] = true
      end
    end
    for name, class in pairs(public.USERDATA) do
      if IS_5_4 or not name:find "%.server%." then assert.is_true(seen[class], name) end
    end
  end)

  it("give units to the fields that are quantities", function()
    local found = {}
    for _, list in ipairs { public.MODULES, public.CLASSES, { { files = public.TYPES } } } do
      for _, each in ipairs(list) do
        for _, path in ipairs(each.files) do
          for _, class in ipairs(read(path).classes) do
            for _, complaint in ipairs(field_complaints(class, path)) do found[#found + 1] = complaint end
          end
        end
      end
    end
    assert.equal("", table.concat(found, "\n"))
  end)

  it("name types that there are", function()
    local known, unknown = {}, {}
    local pipe = assert(io.popen(("find '%slua/stream_events' -name '*.lua'"):format(ROOT)))
    for path in pipe:lines() do
      local file = annotations.read_file(path)
      for _, class in ipairs(file.classes) do known[class.name] = true end
      for name in pairs(file.aliases) do known[name] = true end
    end
    pipe:close()
    local function look(values, place)
      for _, value in ipairs(values) do
        for name in value.type:gmatch "stream_events%.[%w_.]+" do
          if not known[name] then unknown[#unknown + 1] = place .. ": " .. name end
        end
      end
    end
    for _, list in ipairs { public.MODULES, public.CLASSES } do
      for _, each in ipairs(list) do
        for _, name in ipairs(each.files) do
          local file = read(name)
          for _, one in ipairs(file.functions) do look(one.parameters, name) look(one.results, name) end
          for _, class in ipairs(file.classes) do
            look(class.fields, name)
            look({ { type = class.parent or "" } }, name)
          end
        end
      end
    end
    assert.equal("", table.concat(unknown, "\n"))
  end)
end)
