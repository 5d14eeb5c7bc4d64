--- The manual page of the command, in the man macros of roff: made out of the parser, as --help is, so
--- that the two never differ.
local native = require "stream_events.native"

local M = {}

-- A text in which nothing steers roff, and each minus sign can be copied to a shell.
local function escaped(text)
  text = text:gsub("\\", "\\e"):gsub("-", "\\-"):gsub("'", "\\(aq"):gsub("`", "\\(ga"):gsub("~", "\\(ti")
    :gsub("%^", "\\(ha"):gsub('"', "\\(dq")
  return text
end

-- A line of its own, which must not begin as a request does.
local function line_of(text)
  text = escaped(text)
  return text:find "^%." and "\\&" .. text or text
end

local function macro(name, ...)
  local words = { "." .. name }
  for _, word in ipairs { ... } do words[#words + 1] = '"' .. escaped(word) .. '"' end
  return table.concat(words, " ")
end

-- Paragraphs as --help shows them: what is indented stays as it is, the rest is filled.
local function add_prose(lines, text)
  local verbatim, between = false, false
  local function switch(yes)
    if verbatim == yes then return end
    lines[#lines + 1] = yes and ".RS 4\n.nf" or ".fi\n.RE"
    verbatim = yes
  end
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    if line == "" then
      between = true
    else
      local is_verbatim = line:find "^ " ~= nil
      if verbatim and not is_verbatim then
        switch(false)
        between = true
      end
      if between and verbatim then
        lines[#lines + 1] = ""
      elseif between or (is_verbatim and not verbatim) then
        lines[#lines + 1] = ".PP"
      end
      between = false
      switch(is_verbatim)
      lines[#lines + 1] = line_of(is_verbatim and line:gsub("^  ", "") or line)
    end
  end
  switch(false)
end

local function add_element(lines, element)
  lines[#lines + 1] = ".TP"
  lines[#lines + 1] = "\\fB" .. escaped(table.concat(element:_get_label_lines(), ", ")) .. "\\fR"
  lines[#lines + 1] = line_of(element:_get_description())
end

-- Arguments and options that are shown; every command has -h.
local function shown_elements(command)
  local shown = {}
  for _, list in ipairs { command._arguments, command._options } do
    for _, element in ipairs(list) do
      if not element._hidden and element._name ~= "--help" and element._name ~= "-h"
        and element:_get_description() ~= "" then
        shown[#shown + 1] = element
      end
    end
  end
  return shown
end

local function add_usage(lines, command)
  local usage = command:get_usage():gsub("^Usage: ", ""):gsub("%s+", " ")
  lines[#lines + 1] = ".PP"
  lines[#lines + 1] = line_of(usage)
end

-- A text without the part that begins with a headline: the page has it once for all.
local function without(text, headline)
  local from = text:find("\n\n" .. headline .. ":\n", 1, true)
  if not from then return text end
  local next_part = text:find("\n\n", from + 2, true)
  return text:sub(1, from - 1) .. (next_part and text:sub(next_part) or "")
end

local function add_command(lines, command)
  lines[#lines + 1] = macro("SS", command:_get_fullname())
  lines[#lines + 1] = line_of(command:_get_description())
  add_usage(lines, command)
  for _, element in ipairs(shown_elements(command)) do add_element(lines, element) end
  if command._epilog then
    lines[#lines + 1] = ".PP"
    add_prose(lines, without(command._epilog, "Environment"))
  end
  for _, child in ipairs(command._commands) do add_command(lines, child) end
end

-- The part of the parser's last words that begins with a headline, without it.
local function part(text, headline)
  local from = text:find(headline .. ":\n", 1, true)
  if not from then return "" end
  local rest = text:sub(from + #headline + 2)
  return rest:match "^(.-)\n\n" or rest
end

-- Two columns, as "  NAME   what it is", with further lines of the second.
local function add_table(lines, text)
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    local name, about = line:match "^  (%S+)%s+(.*)$"
    if name then
      lines[#lines + 1] = ".TP"
      lines[#lines + 1] = "\\fB" .. escaped(name) .. "\\fR"
      lines[#lines + 1] = line_of(about)
    elseif line:find "%S" then
      lines[#lines + 1] = line_of(line:match "^%s*(.-)%s*$")
    end
  end
end

-- Day of the page: that of SOURCE_DATE_EPOCH, for who builds the same thing twice.
local function date()
  return os.date("!%Y-%m-%d", tonumber(os.getenv "SOURCE_DATE_EPOCH") or os.time())
end

--- The page.
---@param parser table of argparse, with all subcommands
---@return string
function M.text(parser)
  local name, epilog = parser._name, parser._epilog
  local lines = {
    ('.TH "%s" "1" "%s" "%s" "User Commands"'):format(escaped(name:upper()), date(),
      escaped(name .. " " .. native.version)),
    macro("SH", "NAME"),
    escaped(name) .. " \\- custom events of Stream Chat, from the command line",
    macro("SH", "SYNOPSIS"),
    "\\fB" .. escaped(name) .. "\\fR \\fIcommand\\fR [\\fIoption\\fR ...]",
    macro("SH", "DESCRIPTION"),
    line_of(parser._description),
    macro("SH", "OPTIONS"),
  }
  lines[#lines + 1] = ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nShow how to call it, or a subcommand, and exit."
  for _, element in ipairs(shown_elements(parser)) do add_element(lines, element) end
  lines[#lines + 1] = macro("SH", "COMMANDS")
  for _, command in ipairs(parser._commands) do add_command(lines, command) end
  lines[#lines + 1] = macro("SH", "ENVIRONMENT")
  add_table(lines, part(epilog, "Environment"))
  lines[#lines + 1] = macro("SH", "EXIT STATUS")
  add_table(lines, part(epilog, "Exit codes"))
  lines[#lines + 1] = macro("SH", "EXAMPLES")
  lines[#lines + 1] = ".nf"
  for line in (part(epilog, "Examples") .. "\n"):gmatch "  ([^\n]*)\n" do
    lines[#lines + 1] = line_of(line)
  end
  lines[#lines + 1] = ".fi"
  return table.concat(lines, "\n") .. "\n"
end

return M
