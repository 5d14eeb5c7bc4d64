--- Builds WebSocket frames byte by byte, right and wrong ones, independently of the code under test.
local M = {}

M.OPCODE = { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 }

-- The mask of RFC 6455 §5.7.
local KEY = "\x37\xfa\x21\x3d"

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
      bytes[j] = bytes[j] ~ key:byte(at)
    end
    parts[#parts + 1] = string.char(table.unpack(bytes))
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
  local first = (options.fin == false and 0 or 0x80) | (options.rsv or 0) << 4 | opcode
  local masked = key and 0x80 or 0
  local header
  if width == 7 then
    header = string.pack("BB", first, masked | len)
  elseif width == 16 then
    header = string.pack(">BBI2", first, masked | 126, len)
  else
    header = string.pack(">BBI8", first, masked | 127, len)
  end
  return key and header .. key .. M.mask(data, key) or header .. data
end

--- The payload of a close frame.
---@param code integer
---@param reason string?
---@return string
function M.close(code, reason)
  return string.pack(">I2", code) .. (reason or "")
end

return M
