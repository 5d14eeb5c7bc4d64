--- Reads a rule file without running it, and finds the names that mean nothing there.
--
-- A parser of Lua that keeps nothing but which names are local where. It refuses nothing: a text that
-- it cannot read is the real compiler's to report. Nesting is bounded, and every loop goes forward
-- in the text, so that it ends with any text at all.
local lexer = require "stream_events.rules.lexer"
local scopes = require "stream_events.rules.scopes"

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
    self.scopes:define(name)
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
  if base then self.scopes:field(base, method, line, true) end
  self.scopes:call_method(method, line)
  arguments(self)
end

-- One step further: a field, an index, a call. nil: none follows.
local function suffix(self, base)
  if accept(self, ".") then
    local field, line = take_name(self)
    if base then self.scopes:field(base, field, line) end
    return "field"
  elseif accept(self, "[") then
    expression(self)
    expect(self, "]")
    return "field"
  elseif accept(self, ":") then
    method_call(self, base)
    return "call"
  elseif begins_arguments(self) then
    arguments(self)
    return "call"
  end
  return nil
end

-- A name or something in parentheses, and all that follows it. Where it is nothing but a name, that
-- is returned and neither read nor written yet; the third value is what comes last, a "call" or a
-- "field". `name` may have been taken already.
local function suffixed(self, name, line)
  if not name then
    if accept(self, "(") then
      expression(self)
      expect(self, ")")
    else
      name, line = take_name(self)
    end
  end
  local last
  local more = suffix(self, name)
  while more do
    if name then self.scopes:read(name, line) end
    name, last = nil, more
    more = suffix(self)
  end
  return name, line, last
end

local UNARY = { ["-"] = true, ["not"] = true, ["#"] = true, ["~"] = true }
local LITERAL = { ["nil"] = true, ["true"] = true, ["false"] = true, ["..."] = true }
local BINARY = {}
for op in ("+ - * / // % ^ .. == ~= < <= > >= and or & | ~ << >>"):gmatch("%S+") do BINARY[op] = true end

local function operand(self, name, line)
  local tokens = self.tokens
  if name then
    name, line = suffixed(self, name, line)
    if name then self.scopes:read(name, line) end
  elseif tokens.kind == "number" or tokens.kind == "string" or LITERAL[tokens.op] then
    advance(self)
  elseif is(self, "{") then
    table_constructor(self)
  elseif accept(self, "function") then
    function_body(self)
  else
    name, line = suffixed(self)
    if name then self.scopes:read(name, line) end
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
  local mark, count = self.scopes:enter(), 0
  expect(self, "(")
  while not self.failed and not is(self, ")") do
    if not accept(self, "...") then
      local name = take_name(self)
      count = count + 1
      self.scopes:declare(name, judge and count == 2 and "context" or nil)
    end
    if not accept(self, ",") then break end
  end
  expect(self, ")")
  block(self)
  expect(self, "end")
  self.scopes:leave(mark)
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
  local mark, names = self.scopes:enter(), {}
  repeat names[#names + 1] = take_name(self) until not accept(self, ",")
  if not accept(self, "=") then expect(self, "in") end
  expressions(self)
  for _, name in ipairs(names) do self.scopes:declare(name) end
  loop_body(self)
  self.scopes:leave(mark)
end

-- What stands before `until` is still to be seen behind it.
local function repeat_statement(self)
  local mark = self.scopes:enter()
  block(self, true)
  expect(self, "until")
  expression(self)
  self.scopes:leave(mark)
end

local function local_statement(self)
  if accept(self, "function") then
    self.scopes:declare((take_name(self)))
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
  for _, name in ipairs(names) do self.scopes:declare(name) end
end

local function function_statement(self)
  local name, line = take_name(self)
  local is_field, is_method = false, false
  while not is_method and (is(self, ".") or is(self, ":")) do
    is_field, is_method = true, is(self, ":")
    advance(self)
    self.scopes:define((take_name(self)))
  end
  if is_field then self.scopes:read(name, line) else self.scopes:write(name, line) end
  local mark = self.scopes:enter()
  if is_method then self.scopes:declare("self") end
  function_body(self)
  self.scopes:leave(mark)
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
  local targets, last = {}
  repeat
    name, line, last = suffixed(self, name, line)
    if name then targets[#targets + 1] = { name, line } end
    name = nil
  until not accept(self, ",")
  if accept(self, "=") then
    expressions(self)
    for _, each in ipairs(targets) do self.scopes:write(each[1], each[2]) end
  elseif last ~= "call" then
    fail(self)
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
  local mark = self.scopes:enter()
  while not self.failed and self.tokens.kind ~= "eof" and not ENDS[self.tokens.op] do
    statement(self)
  end
  if not open then self.scopes:leave(mark) end
  self.depth = self.depth - 1
end

-- ----------------------------------------------------------------------------------- result

--- The names in a text that are neither local nor a rule file's. Nothing for a text that is no Lua.
---@param text string
---@param step fun()? called now and then
---@return stream_events.rules.Finding[]
function M.check(text, step)
  local self = {
    tokens = lexer.new(text), scopes = scopes.new(), step = step, count = 0, depth = 0, failed = false,
  }
  advance(self)
  block(self)
  if self.failed or self.tokens.kind ~= "eof" then return {} end
  return self.scopes:finish()
end

return M
