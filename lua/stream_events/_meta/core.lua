---@meta stream_events.core
-- What the C module `stream_events.core` offers. Only `stream_events.native` requires it. Each subject has a
-- file of its own in the folder beside this one.
-- Everything that can fail returns nil, a kind ("argument" "protocol" "network" "tls" "certificate"
-- "trust" "proxy" "timeout" "closed" "full" "memory") and a message for people; wrong argument types raise.

---@class stream_events.core
---@field version string
local core = {}

--- Monotonic seconds, for deadlines.
---@return number
function core.now() end

--- Seconds since 1970, with a fraction.
---@return number
function core.time() end

--- A number of seconds that grows by the time that the machine is asleep, in which now() stands still.
--- Where the system does not tell, it also moves when the clock of time() is set.
---@return number
function core.slept() end

--- A text that is another one as soon as the file has other content or is another file; nil: there is
--- no such file.
---@param path string
---@return string?
function core.file_stamp(path) end

---@class stream_events.core.Libraries versions
---@field curl string of libcurl as it runs
---@field curl_built_with string of the one that this module was compiled with
---@field curl_tls string? of libcurl's TLS, "OpenSSL/3.0.15"
---@field zlib string?
---@field openssl string of the one that this module uses, "OpenSSL 3.0.15 3 Sep 2024"
---@field same_openssl boolean whether libcurl stands on the same one
---@field ca_file string? whose certificates the system trusts, as libcurl has it; nil: it does not say
---@field ca_path string? likewise, a folder

--- Which libraries this module runs with.
---@return stream_events.core.Libraries
function core.libraries() end

--- What the protocol says a type is (protocol §5.8, §3.9).
---@param type string
---@return "custom"|"builtin"|"local"
function core.type_class(type) end

return core
