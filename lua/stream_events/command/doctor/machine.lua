--- What `stream-events doctor` looks at on this machine: versions, libraries, settings, the token.
local bundled = require "stream_events.command.bundled"
local errors = require "stream_events.error"
local luv = require "luv"
local native = require "stream_events.native"
local names = require "stream_events.names"
local options = require "stream_events.options"
local settings = require "stream_events.command.settings"
local timestamp = require "stream_events.timestamp"
local token = require "stream_events.token"
local words = require "stream_events.command.doctor.words"

local M = {}

local function lua()
  if _VERSION ~= "Lua 5.4" then
    return "fail", _VERSION .. " runs this command",
      "Run it with Lua 5.4: the plugin runs on 5.1, 5.3 and LuaJIT too, the command and the server do not."
  end
  return "ok", ("%s at %s"):format(_VERSION, luv.exepath())
end

local INSTALL = "Install them anew from one version: `luarocks install stream-events`, or `make install`; "
  .. "look at LUA_PATH and LUA_CPATH for an older one that is found first."

local function plugin()
  local version = require "stream_events".version
  local place = package.searchpath("stream_events.core", package.cpath) or "linked into the program"
  local text = ("stream-events %s, C module %s: %s"):format(version, native.version, place)
  if version ~= native.version or not native.libraries then
    return "fail", text .. ": they do not belong together", INSTALL
  end
  return "ok", text
end

-- 7.88.1 as 7 * 1000 + 88.
local function number_of(version)
  local major, minor = version:match "^(%d+)%.(%d+)"
  return major and tonumber(major) * 1000 + tonumber(minor) or 0
end

local QUICK_EXIT = 7087 -- from here on a dead DNS server holds nothing up

local function libraries()
  local found = native.libraries()
  local text = ("libcurl %s with %s, zlib %s"):format(found.curl, found.curl_tls or "no TLS",
    found.zlib or "-")
  local number = number_of(found.curl)
  if not found.curl_tls then
    return "fail", text, "https needs a libcurl with TLS: install the one with OpenSSL."
  elseif number < number_of(found.curl_built_with) then
    return "warn", ("%s; built with %s"):format(text, found.curl_built_with),
      "The libcurl that runs is older than the one it was built with: build it anew."
  elseif number < QUICK_EXIT then
    return "warn", text, "Before libcurl 7.87 a DNS server that does not answer holds up the end of a client "
      .. "for seconds."
  elseif not found.same_openssl then
    return "warn", ("%s; %s in the C module"):format(text, found.openssl), "Certificates are checked, but "
      .. "errors say less about them: link libcurl and the C module with one OpenSSL."
  end
  return "ok", text
end

-- "name version", or nil and why it cannot be loaded.
local function loaded(module, version)
  local ok, found = pcall(require, module)
  if not ok then return nil, tostring(found):match "^[^\n]*" end
  return ("%s %s"):format(module, version(found))
end

local NEEDED = {
  { "luv", function(luv_module) return luv_module.version_string() end },
  { "argparse", function(module) return module.version or "?" end },
  { "cjson", function(module) return module._VERSION or "?" end },
}
local NEEDED_BY_SERVER = {
  { "DBI", function(module) return module._VERSION or "?" end },
  { "dbd.sqlite3", function() return "" end },
  { "stream_events.server.core", function() return "" end },
}

local PACKAGES = {
  luv = "lua-luv or `luarocks install luv`", argparse = "lua-argparse or `luarocks install argparse`",
  cjson = "lua-cjson or `luarocks install lua-cjson`",
  DBI = "lua-dbi-sqlite3 or `luarocks install luadbi-sqlite3`",
  ["dbd.sqlite3"] = "lua-dbi-sqlite3 or `luarocks install luadbi-sqlite3`",
  ["stream_events.server.core"] = "`luarocks install stream-events-server`, or `make install`",
}

local function all_loaded(list)
  local parts = {}
  for i, needed in ipairs(list) do
    local text, message = loaded(needed[1], needed[2])
    if not text then
      return "fail", ("%s: %s"):format(needed[1], message), ("Install %s."):format(PACKAGES[needed[1]])
    end
    parts[i] = text:match "^(.-)%s*$"
  end
  return "ok", table.concat(parts, ", ")
end

local function lua_libraries()
  return all_loaded(NEEDED)
end

local function server()
  if not bundled.load "stream_events.server.options" then
    return "skip", "the bundled server is not installed",
      "`luarocks install stream-events-server` adds it; other services need none here."
  end
  return all_loaded(NEEDED_BY_SERVER)
end

-- Settings ------------------------------------------------------------------------------------------

local function shown(name, values, value, default)
  if os.getenv(name) and os.getenv(name) ~= "" then
    return ("%s set (%d characters)"):format(name, #value)
  end
  return ("%s %s"):format(name, values.is_local and default and "of this machine" or "not set")
end

local function odd_secret(name)
  local value = os.getenv(name)
  if not value or value == "" then return nil end
  if value:find "^%s" or value:find "%s$" then return name .. " begins or ends with white space" end
  if value:find "^['\"].*['\"]$" then return name .. " has quotes around it" end
end

-- What can be told before anything is tried; nil: all is well.
local function warning(values)
  for _, name in ipairs { "STREAM_API_KEY", "STREAM_API_SECRET", "STREAM_USER_TOKEN" } do
    local odd = odd_secret(name)
    if odd then return odd, "Set it without: it is taken as it is." end
  end
  if values.is_local then return nil end
  if values.secret == settings.API_SECRET then
    return "STREAM_API_SECRET is the one that everybody knows",
      "Choose another: `openssl rand -hex 32` makes one. Give it to the server as well."
  elseif values.base_url:find "^http://" then
    return "STREAM_BASE_URL begins with http://: tokens cross the network in the clear",
      "Use https://; the manual's section on the server shows TLS by a proxy."
  elseif not values.secret and not values.user_token then
    return "neither STREAM_API_SECRET nor STREAM_USER_TOKEN is set", "One of them gives the user a token: "
      .. "without, nothing beyond the server's answer can be checked."
  end
end

-- "option 'base_url' must ..." with the name of the variable.
local function named_as_variable(message)
  return (message:gsub("option '([%w_]+)'", function(name)
    return name == "secret" and "STREAM_API_SECRET" or "STREAM_" .. name:upper()
  end))
end

local function check_settings(doctor)
  local values, message = settings.read()
  if not values then return "fail", message, "`stream-events --help` lists the variables." end
  local ok, wrong = pcall(options.check, {
    api_key = values.api_key, base_url = values.base_url, secret = values.secret, ca_file = values.ca_file,
  }, 1)
  if not ok then
    return "fail", named_as_variable(tostring(wrong)), "`stream-events --help` lists the variables."
  end
  if values.ca_file and not luv.fs_access(values.ca_file, "R") then
    return "fail", ("STREAM_CA_FILE: there is no file %s to read"):format(values.ca_file),
      "Name a PEM file with the certificates to trust, or unset it."
  end
  doctor.values = values
  local text = table.concat({
    "STREAM_BASE_URL " .. errors.redact(values.base_url),
    shown("STREAM_API_KEY", values, values.api_key, true),
    shown("STREAM_API_SECRET", values, values.secret or "", true),
    shown("STREAM_USER_TOKEN", values, values.user_token or ""),
  }, ", ")
  local odd, advice = warning(values)
  if odd then return "warn", ("%s: %s"):format(text, odd), advice end
  return "ok", text
end

-- The token -----------------------------------------------------------------------------------------

local SOON = 300 -- seconds before its expiry from which on a token is not worth much

local LAST = 253402300799 -- the end of the year 9999

local function when(seconds)
  local whole = math.tointeger(seconds)
  return whole and whole >= 0 and whole <= LAST and timestamp.format(whole) or "a time in no calendar"
end

-- What is wrong with the times of a token, by this machine's clock.
local function wrong_times(claims, now)
  local exp, nbf, iat = claims.exp, claims.nbf, claims.iat
  for name, value in pairs { exp = exp or 0, nbf = nbf or 0, iat = iat or 0 } do
    if type(value) ~= "number" or value % 1 ~= 0 then
      return "fail", ("STREAM_USER_TOKEN: its %s is no whole number of seconds"):format(name), "Sign it anew."
    end
  end
  if exp and exp <= now then
    return "fail", "STREAM_USER_TOKEN has expired: it was valid until " .. when(exp),
      "Fetch a new one, or sign one: `stream-events token USER --exp 3600`."
  elseif (nbf and nbf > now) or (iat and iat > now) then
    return "fail", ("STREAM_USER_TOKEN is not valid before %s"):format(when(math.max(nbf or 0, iat or 0))),
      "Compare this machine's clock with that of the machine that signed it."
  elseif exp and exp <= now + SOON then
    return "warn", "STREAM_USER_TOKEN expires soon, at " .. when(exp), "Fetch a new one."
  end
end

local function check_given(doctor, text)
  local claims = token.decode(text)
  if not claims then
    return "fail", "STREAM_USER_TOKEN is no token: three parts with dots between them",
      "`stream-events token USER` makes one where the secret is known."
  end
  local id = claims.user_id
  if not names.user_id(id) then
    return "fail", "STREAM_USER_TOKEN names no user",
      claims.server and "It is a backend's: put the secret into STREAM_API_SECRET instead." or nil
  elseif doctor.user and doctor.user ~= id then
    return "fail", ("STREAM_USER_TOKEN is for %s, not for %s"):format(id, doctor.user),
      ("Say --as %s, or set a token for %s."):format(id, doctor.user)
  end
  doctor.user, doctor.token = id, text
  if token.is_developer(text) then
    return "warn", "STREAM_USER_TOKEN is a developer token for " .. id,
      "It is taken only while the app has disable_auth_checks switched on."
  end
  local state, message, advice = wrong_times(claims, native.time())
  if state == "fail" then return state, message, advice end
  local secret = os.getenv "STREAM_API_SECRET"
  if secret and secret ~= "" then
    local _, err = token.verify(text, secret)
    if err and err.code == 43 then
      return "fail", "STREAM_USER_TOKEN was not signed with STREAM_API_SECRET",
        "One of them is of another app: take both from the same."
    end
  end
  if state then return state, message, advice end
  return "ok", ("STREAM_USER_TOKEN is for %s, %s"):format(id,
    claims.exp and "until " .. when(claims.exp) or "for ever")
end

local function check_token(doctor)
  local values = doctor.values
  if doctor.user then
    local ok, message = names.user_id(doctor.user)
    if not ok then return "fail", message, "Name another with --as." end
  end
  if values.user_token then return check_given(doctor, values.user_token) end
  if not values.secret then
    return "skip", "there is none: neither STREAM_USER_TOKEN nor STREAM_API_SECRET is set"
  end
  doctor.user = doctor.user or words.USER
  doctor.token = token.user(values.secret, doctor.user)
  return "ok", ("signed here for %s, for ever"):format(doctor.user)
end

---@type stream_events.command.doctor.Check[]
M.CHECKS = {
  { name = "lua", run = lua },
  { name = "plugin", run = plugin },
  { name = "libraries", run = libraries },
  { name = "lua libraries", run = lua_libraries },
  { name = "server files", run = server },
  { name = "settings", run = check_settings },
  { name = "token", needs = { "settings" }, run = check_token },
}

return M
