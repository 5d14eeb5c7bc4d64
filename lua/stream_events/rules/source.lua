--- The texts of a rule set: the file, what it includes, and the hash that names them all.
local native = require "stream_events.native"

local M = {}

local MOST = 1048576 -- bytes of one file: as much as the rule state reads
local MOST_FILES = 64
local BLOCK = 65536

---@class stream_events.rules.Source
---@field path string as it is read and shown
---@field text string?
---@field order integer in which they were read

---@class stream_events.rules.Files
---@field folder string with its slash, or ""
---@field name string of the first file
---@field by_name table<string, stream_events.rules.Source>
---@field list stream_events.rules.Source[]
local Files = {}
Files.__index = Files

--- Reads a whole file.
---@param path string
---@return string? text
---@return string? message
function M.read(path)
  local file, message = io.open(path, "rb")
  if not file then return nil, message end
  local blocks, length, block, failure = {}, 0
  repeat
    block, failure = file:read(BLOCK)
    blocks[#blocks + 1] = block
    length = length + (block and #block or 0)
  until not block or length > MOST
  file:close()
  if failure then return nil, ("%s: %s"):format(path, failure) end
  if length > MOST then return nil, ("%s: longer than %d bytes"):format(path, MOST) end
  return table.concat(blocks)
end

--- The files of a rule set that begins with the one at `path`.
---@param path string
---@param read (fun(path: string): string?, string?)? instead of the file system
---@return stream_events.rules.Files
function M.new(path, read)
  local folder, name = path:match("^(.*[/\\])([^/\\]*)$")
  return setmetatable({
    folder = folder or "", name = name or path, by_name = {}, list = {}, reader = read or M.read,
  }, Files)
end

--- Takes a text as that of a file of the set.
---@param name string
---@param text string
function Files:add(name, text)
  if text:sub(1, 3) == "\239\187\191" then text = text:sub(4) end -- the mark some editors begin with
  local source = { path = self.folder .. name, text = text, order = #self.list + 1 }
  self.list[source.order] = source
  self.by_name[name] = source
end

--- Reads a file of the set.
---@param name string beside the first one
---@return string? text
---@return string? message
function Files:read(name)
  local text, message = self.reader(self.folder .. name)
  if type(text) ~= "string" then return nil, message or "cannot be read" end
  if #text > MOST then return nil, ("longer than %d bytes"):format(MOST) end
  self:add(name, text)
  return text
end

--- Reads a file that another one includes.
---@param name any
---@return string? text
---@return string? message
function Files:include(name)
  if type(name) ~= "string" or name == "" or name:find("[/\\%c]") or name:find("..", 1, true) then
    return nil, "an included file is one beside this one: a name without '/' or '..'"
  elseif #self.list >= MOST_FILES then
    return nil, ("more than %d files"):format(MOST_FILES)
  end
  return self:read(name)
end

--- The paths, in the order in which they were read.
---@return string[]
function Files:paths()
  local result = {}
  for i, source in ipairs(self.list) do result[i] = source.path end
  return result
end

--- Names contents: 12 hex digits of a SHA-256 over names, and the SHA-256 of each text.
---@param parts { [1]: string, [2]: string }[] name and text
---@param step fun()? called after each
---@return string
function M.hash(parts, step)
  local crypto, list = native.crypto, {}
  for _, part in ipairs(parts) do
    list[#list + 1] = ("%s %d:%s\n"):format(crypto.hex(crypto.sha256(part[2])), #part[1], part[1])
    if step then step() end
  end
  return crypto.hex(crypto.sha256(table.concat(list))):sub(1, 12)
end

--- The hash of all files: the same in every folder.
---@param step fun()? called after each
---@return string
function Files:hash(step)
  local parts = {}
  for i, source in ipairs(self.list) do parts[i] = { source.path:sub(#self.folder + 1), source.text } end
  return M.hash(parts, step)
end

return M
