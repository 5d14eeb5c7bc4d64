---@meta _
-- Hashes, encodings, random bytes, and gzip. Part of `stream_events.core`.

---@class stream_events.core
local core = {}

---@class stream_events.core.crypto
core.crypto = {}
--- The keyed hash of RFC 2104 with SHA-256: what signs tokens and webhooks.
---@param key string
---@param data string
---@return string digest 32 bytes
function core.crypto.hmac_sha256(key, data) end
--- Signs many texts with one key, each far quicker than hmac_sha256 does.
---@class stream_events.core.Signer
local Signer = {}
--- Prepares a key for many signatures.
---@param key string
---@return stream_events.core.Signer
function core.crypto.signer(key) end
--- Signs one text.
---@param data string
---@return string digest what hmac_sha256 gives, in hex
function Signer:sign(data) end
--- The SHA-256 of a text, as bytes.
---@param data string
---@return string digest 32 bytes
function core.crypto.sha256(data) end
--- The SHA-1 of a text, as bytes: for the WebSocket's handshake, which asks for it, and nothing else.
---@param data string
---@return string digest 20 bytes
function core.crypto.sha1(data) end
--- Bytes as hexadecimal digits, two for each.
---@param data string
---@return string lower case
function core.crypto.hex(data) end
--- Base64 with `+`, `/` and padding (RFC 4648 §4).
---@param data string
---@return string
function core.crypto.base64_encode(data) end
--- Undoes base64_encode(); padding may be missing.
---@param text string
---@return string? data
---@return string? kind "protocol"
---@return string? message
function core.crypto.base64_decode(text) end
--- Base64 with `-` and `_` (RFC 4648 §5), as tokens have it.
---@param data string
---@return string without padding
function core.crypto.base64url_encode(data) end
--- Undoes base64url_encode().
---@param text string
---@return string? data
---@return string? kind "protocol"
---@return string? message
function core.crypto.base64url_decode(text) end
--- So many random bytes, good enough for keys. Raises when the system has none.
---@param count integer 0 to 65536
---@return string
function core.crypto.random(count) end
--- A random UUID (version 4), as text.
---@return string
function core.crypto.uuid() end
--- Whether two texts are the same, in a time that tells nothing of where they differ.
---@param a string
---@param b string
---@return boolean
function core.crypto.equals(a, b) end

--- Compresses a text: one whole gzip member (RFC 1952).
---@param data string
---@return string bytes
function core.gzip(data) end
--- Undoes it; one whole member with nothing behind it.
---@param bytes string
---@param limit integer most bytes that may come out: more is "full"
---@return string? data
---@return string? kind "full", "protocol" or "memory"
---@return string? message
function core.gunzip(bytes, limit) end
