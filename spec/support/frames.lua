--- Builds WebSocket frames byte by byte, right and wrong ones, independently of the code under test.
local lua = require "support.lua"

local M = {}

M.OPCODE = { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 }

-- The mask of RFC 6455 §5.7.
local KEY = string.char(0x37, 0xFA, 0x21, 0x3D)

--- XORs data with a mask of four bytes.
---@param data string
---@param key string
---@return string
function M.mask(data, key)
  local parts = {}
  for i = 1, #data, 4096 do
    local bytes = { data:byte(i, i + 4095) }
    for j = 1, #bytes do
      local at = (i + j - 2) % 4 + 1
      bytes[j] = lua.xor(bytes[j], key:byte(at))
    end
    parts[#parts + 1] = string.char(lua.unpack(bytes))
  end
  return table.concat(parts)
end

--- One frame. `width` forces the length into 7, 16 or 64 bits; `announce` states another length
--- than that of the data; `key` is the mask, or true for any.
---@param opcode string|integer
---@param data string?
---@param options { fin: boolean?, rsv: integer?, key: string|true|nil, width: integer?, announce: integer? }?
---@return string
function M.frame(opcode, data, options)
  data, options = data or "", options or {}
  opcode = M.OPCODE[opcode] or opcode
  local len = options.announce or #data
  local width = options.width or (len <= 125 and 7 or len <= 65535 and 16 or 64)
  local key = options.key == true and KEY or options.key
  local first = (options.fin == false and 0 or 0x80) + (options.rsv or 0) * 16 + opcode
  local masked = key and 0x80 or 0
  local header
  if width == 7 then
    header = string.char(first, masked + len)
  elseif width == 16 then
    header = string.char(first, masked + 126) .. lua.big_endian(len, 2)
  else
    header = string.char(first, masked + 127) .. lua.big_endian(len, 8)
  end
  return key and header .. key .. M.mask(data, key) or header .. data
end

--- The payload of a close frame.
---@param code integer
---@param reason string?
---@return string
function M.close(code, reason)
  return lua.big_endian(code, 2) .. (reason or "")
end

return M
