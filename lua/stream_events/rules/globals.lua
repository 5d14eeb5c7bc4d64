--- Reads a rule file without running it, and finds the names that mean nothing there.
--
-- A parser of Lua that keeps nothing but which names are local where. It refuses nothing: a text that
-- it cannot read is the real compiler's to report. Nesting is bounded, and every loop goes forward
-- in the text, so that it ends with any text at all.
local lexer = require "stream_events.rules.lexer"
local suggest = require "stream_events.suggest"
local words = require "stream_events.rules.words"

local M = {}

local DEEPEST = 200 -- as deep as Lua itself reads
local TURN = 400    -- tokens between two calls of `step`

-- ----------------------------------------------------------------------------------- tokens

local function advance(self)
  local tokens = self.tokens
  tokens:next()
  if tokens.kind == "bad" then self.failed = true end
  self.count = self.count + 1
  if self.count >= TURN then
    self.count = 0
    if self.step then self.step() end
  end
end

local function is(self, op)
  return not self.failed and self.tokens.op == op
end

local function is_name(self)
  return not self.failed and self.tokens.kind == "name"
end

-- From here on nothing more is read: every condition of a loop is false.
local function fail(self)
  self.failed = true
end

local function accept(self, op)
  if not is(self, op) then return false end
  advance(self)
  return true
end

local function expect(self, op)
  if not accept(self, op) then fail(self) end
end

local function take_name(self)
  if not is_name(self) then
    fail(self)
    return "", 0
  end
  local name, line = self.tokens.value, self.tokens.first
  advance(self)
  return name, line
end

local function deeper(self)
  self.depth = self.depth + 1
  if self.depth > DEEPEST then fail(self) end
end

-- ------------------------------------------------------------------------------------ names

-- Makes a name local from here to the end of the block. `meaning` is "context" for what a check is
-- given to look things up in.
local function declare(self, name, meaning)
  local undo = self.undo
  undo[#undo + 1] = name
  undo[#undo + 1] = self.visible[name] or false
  self.visible[name] = meaning or "local"
end

local function leave_block(self, mark)
  local undo, visible = self.undo, self.visible
  for i = #undo - 1, mark + 1, -2 do
    visible[undo[i]] = undo[i + 1] or nil
    undo[i], undo[i + 1] = nil, nil
  end
end

local function report(self, line, message, suggestion, name)
  self.found[#self.found + 1] = { line = line, message = message, suggestion = suggestion, name = name }
end

local function read_global(self, name, line)
  if words.GLOBALS[name] or self.read[name] then return end
  self.read[name] = true
  local instead = words.MISSING[name]
  if instead then
    if instead == "" then instead = nil end
    report(self, line, ("'%s' is not available in rules"):format(name), instead, name)
  else
    report(self, line, ("unknown name '%s'"):format(name), suggest.nearest(name, words.GLOBALS), name)
  end
end

local function read(self, name, line)
  if not self.visible[name] then read_global(self, name, line) end
end

local function write(self, name, line)
  if self.visible[name] or self.written[name] then return end
  self.written[name] = true
  report(self, line, ("'%s' is no local variable, and rules set no globals: make it local"):format(name),
    "local " .. name)
end

-- A field of a library of ours, or of a check's context.
local function check_field(self, base, field, line, method)
  local meaning = self.visible[base]
  if meaning == "context" then
    if not words.CONTEXT[field] then
      report(self, line, ("unknown key '%s' of the context"):format(field),
        suggest.nearest(field, words.CONTEXT))
    elseif method then
      report(self, line, ("'%s:%s' hands over the context itself"):format(base, field),
        ("%s.%s"):format(base, field))
    end
    return
  end
  local library = not meaning and words.LIBRARIES[base]
  if library and not library[field] then
    report(self, line, ("'%s.%s' is not available in rules"):format(base, field),
      suggest.nearest(field, library))
  end
end

-- ------------------------------------------------------------------------------ expressions

local expression, block, function_body, statement

local function expressions(self)
  repeat expression(self) until not accept(self, ",")
end

local JUDGES = { check = true, rewrite = true }

-- One entry of a table. What a check is called with is known.
local function entry(self)
  if is_name(self) then
    local name, line = take_name(self)
    if not is(self, "=") then return expression(self, name, line) end
    advance(self)
    self.defined[name] = true
    if JUDGES[name] and is(self, "function") then
      advance(self)
      return function_body(self, true)
    end
  elseif accept(self, "[") then
    expression(self)
    expect(self, "]")
    expect(self, "=")
  end
  expression(self)
end

local function table_constructor(self)
  advance(self)
  while not self.failed and not is(self, "}") do
    entry(self)
    if not accept(self, ",") and not accept(self, ";") then break end
  end
  expect(self, "}")
end

local function arguments(self)
  if self.tokens.kind == "string" then
    advance(self)
  elseif is(self, "{") then
    table_constructor(self)
  else
    expect(self, "(")
    if not is(self, ")") then expressions(self) end
    expect(self, ")")
  end
end

local function begins_arguments(self)
  return is(self, "(") or is(self, "{") or (not self.failed and self.tokens.kind == "string")
end

local function method_call(self, base)
  local method, line = take_name(self)
  if base then check_field(self, base, method, line, true) end
  if words.STRING_METHODS[method] then
    self.methods[#self.methods + 1] = { name = method, line = line }
  end
  arguments(self)
end

-- One step further: a field, an index, a call. False: none follows.
local function suffix(self, base)
  if accept(self, ".") then
    local field, line = take_name(self)
    if base then check_field(self, base, field, line) end
  elseif accept(self, "[") then
    expression(self)
    expect(self, "]")
  elseif accept(self, ":") then
    method_call(self, base)
  elseif begins_arguments(self) then
    arguments(self)
  else
    return false
  end
  return true
end

-- A name or something in parentheses, and all that follows it. Where it is nothing but a name, that
-- is returned and neither read nor written yet. `name` may have been taken already.
local function suffixed(self, name, line)
  if not name then
    if accept(self, "(") then
      expression(self)
      expect(self, ")")
    else
      name, line = take_name(self)
    end
  end
  local base = name
  while suffix(self, base) do
    if name then read(self, name, line) end
    name, base = nil, nil
  end
  return name, line
end

local UNARY = { ["-"] = true, ["not"] = true, ["#"] = true, ["~"] = true }
local LITERAL = { ["nil"] = true, ["true"] = true, ["false"] = true, ["..."] = true }
local BINARY = {}
for op in ("+ - * / // % ^ .. == ~= < <= > >= and or & | ~ << >>"):gmatch("%S+") do BINARY[op] = true end

local function operand(self, name, line)
  local tokens = self.tokens
  if name then
    name, line = suffixed(self, name, line)
    if name then read(self, name, line) end
  elseif tokens.kind == "number" or tokens.kind == "string" or LITERAL[tokens.op] then
    advance(self)
  elseif is(self, "{") then
    table_constructor(self)
  elseif accept(self, "function") then
    function_body(self)
  else
    name, line = suffixed(self)
    if name then read(self, name, line) end
  end
end

-- Which operator binds stronger is of no interest here.
function expression(self, name, line)
  deeper(self)
  repeat
    while not name and not self.failed and UNARY[self.tokens.op] do advance(self) end
    if not self.failed then operand(self, name, line) end
    name = nil
    local more = not self.failed and BINARY[self.tokens.op]
    if more then advance(self) end
  until not more
  self.depth = self.depth - 1
end

-- From the parenthesis to the end. `judge`: it is a check, whose second parameter is the context.
function function_body(self, judge)
  local mark, count = #self.undo, 0
  expect(self, "(")
  while not self.failed and not is(self, ")") do
    if not accept(self, "...") then
      local name = take_name(self)
      count = count + 1
      declare(self, name, judge and count == 2 and "context" or nil)
    end
    if not accept(self, ",") then break end
  end
  expect(self, ")")
  block(self)
  expect(self, "end")
  leave_block(self, mark)
end

-- ------------------------------------------------------------------------------- statements

local function if_statement(self)
  repeat
    expression(self)
    expect(self, "then")
    block(self)
  until not accept(self, "elseif")
  if accept(self, "else") then block(self) end
  expect(self, "end")
end

local function loop_body(self)
  expect(self, "do")
  block(self)
  expect(self, "end")
end

local function for_statement(self)
  local mark, names = #self.undo, {}
  repeat names[#names + 1] = take_name(self) until not accept(self, ",")
  if not accept(self, "=") then expect(self, "in") end
  expressions(self)
  for _, name in ipairs(names) do declare(self, name) end
  loop_body(self)
  leave_block(self, mark)
end

-- What stands before `until` is still to be seen behind it.
local function repeat_statement(self)
  local mark = #self.undo
  block(self, true)
  expect(self, "until")
  expression(self)
  leave_block(self, mark)
end

local function local_statement(self)
  if accept(self, "function") then
    declare(self, (take_name(self)))
    return function_body(self)
  end
  local names = {}
  repeat
    names[#names + 1] = take_name(self)
    if accept(self, "<") then
      take_name(self)
      expect(self, ">")
    end
  until not accept(self, ",")
  if accept(self, "=") then expressions(self) end
  for _, name in ipairs(names) do declare(self, name) end
end

local function function_statement(self)
  local name, line = take_name(self)
  local is_field, is_method = false, false
  while not is_method and (is(self, ".") or is(self, ":")) do
    is_field, is_method = true, is(self, ":")
    advance(self)
    self.defined[take_name(self)] = true
  end
  if is_field then read(self, name, line) else write(self, name, line) end
  local mark = #self.undo
  if is_method then declare(self, "self") end
  function_body(self)
  leave_block(self, mark)
end

local function return_statement(self)
  if self.failed or is(self, ";") or self.tokens.kind == "eof"
    or is(self, "end") or is(self, "else") or is(self, "elseif") or is(self, "until") then
    return
  end
  expressions(self)
end

-- A call or an assignment.
local function expression_statement(self, name, line)
  local target
  target, line = suffixed(self, name, line)
  local targets = {}
  while true do
    if target then targets[#targets + 1] = { target, line } end
    if not accept(self, ",") then break end
    target, line = suffixed(self)
  end
  if is(self, "=") then
    advance(self)
    expressions(self)
    for _, each in ipairs(targets) do write(self, each[1], each[2]) end
  else
    for _, each in ipairs(targets) do read(self, each[1], each[2]) end
  end
end

-- Where it is no name, `goto` takes a label.
local function goto_or_expression(self)
  local name, line = take_name(self)
  if is_name(self) then return advance(self) end
  expression_statement(self, name, line)
end

local STATEMENTS = {
  ["if"] = if_statement, ["for"] = for_statement, ["repeat"] = repeat_statement,
  ["local"] = local_statement, ["function"] = function_statement, ["return"] = return_statement,
  ["while"] = function(self)
    expression(self)
    loop_body(self)
  end,
  ["do"] = function(self)
    block(self)
    expect(self, "end")
  end,
  ["break"] = function() end,
  [";"] = function() end,
  ["::"] = function(self)
    take_name(self)
    expect(self, "::")
  end,
}

function statement(self)
  local tokens = self.tokens
  local known = STATEMENTS[tokens.op]
  if known then
    advance(self)
    known(self)
  elseif tokens.kind == "name" and tokens.value == "goto" then
    goto_or_expression(self)
  else
    expression_statement(self)
  end
end

local ENDS = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true }

-- Statements up to the end of the block, which is not taken. `open`: its locals stay visible.
function block(self, open)
  deeper(self)
  local mark = #self.undo
  while not self.failed and self.tokens.kind ~= "eof" and not ENDS[self.tokens.op] do
    statement(self)
  end
  if not open then leave_block(self, mark) end
  self.depth = self.depth - 1
end

-- ----------------------------------------------------------------------------------- result

-- Methods that only strings could have had, unless the file makes some of that name itself.
local function report_methods(self)
  for _, method in ipairs(self.methods) do
    if not self.defined[method.name] then
      report(self, method.line, ("strings have no method '%s' in rules: there are starts_with, "
        .. "ends_with, contains, glob and a find without patterns"):format(method.name))
    end
  end
end

--- The names in a text that are neither local nor a rule file's. Nothing for a text that is no Lua.
---@param text string
---@param step fun()? called now and then
---@return { line: integer, message: string, suggestion: string? }[]
function M.check(text, step)
  local self = {
    tokens = lexer.new(text), step = step, count = 0, depth = 0, failed = false,
    visible = {}, undo = {}, found = {}, read = {}, written = {}, methods = {}, defined = {},
  }
  advance(self)
  block(self)
  if self.failed or self.tokens.kind ~= "eof" then return {} end
  report_methods(self)
  local result = {}
  for _, each in ipairs(self.found) do
    -- Once it is local, as was said, it is no unknown name any more.
    if not (each.name and self.written[each.name]) then result[#result + 1] = each end
  end
  return result
end

return M
