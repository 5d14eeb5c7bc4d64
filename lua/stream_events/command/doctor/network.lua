--- What `stream-events doctor` looks at on the way to the service: names, sockets, TLS, HTTP, clocks.
local format = require "stream_events.command.format"
local native = require "stream_events.native"
local plain_json = require "stream_events.plain_json"
local probe = require "stream_events.command.doctor.probe"
local settings = require "stream_events.command.settings"
local timestamp = require "stream_events.timestamp"

local M = {}

local function milliseconds(seconds)
  return ("%.0f ms"):format(math.max(1, seconds * 1000))
end

-- Proxies -------------------------------------------------------------------------------------------

-- Whether no_proxy names a host, as libcurl reads it: names with what is below them, or * for all.
local function is_exempt(host)
  local list = os.getenv "no_proxy" or os.getenv "NO_PROXY" or ""
  for entry in list:lower():gmatch "[^%s,]+" do
    entry = entry:gsub("^%.", "")
    if entry == "*" or entry == host or host:sub(-#entry - 1) == "." .. entry then return true end
  end
  return false
end

-- The variable that names a proxy for it; nil: there is none.
local function proxy_variable(place)
  if is_exempt(place.host) then return nil end
  local variables = place.scheme == "http" and { "http_proxy" } or { "https_proxy", "HTTPS_PROXY" }
  table.move({ "all_proxy", "ALL_PROXY" }, 1, 2, #variables + 1, variables)
  for _, name in ipairs(variables) do
    local value = os.getenv(name)
    if value then return value ~= "" and name or nil end
  end
end

-- Names and sockets ---------------------------------------------------------------------------------

local function dns(doctor)
  local place = settings.place(doctor.values.base_url)
  doctor.place, doctor.proxy = place, proxy_variable(place)
  if doctor.proxy then return "ok", ("left to the proxy of %s"):format(doctor.proxy) end
  local addresses, message = probe.addresses(place.host, doctor.seconds)
  if not addresses then
    return "fail", ("%s has no address: %s"):format(place.host, message),
      "Look for a slip in STREAM_BASE_URL, then whether this machine's network and DNS work at all."
  end
  doctor.addresses = addresses
  if addresses[1] == place.host then return "ok", place.host .. " is an address" end
  return "ok", ("%s is %s"):format(place.host, table.concat(addresses, ", "))
end

local function tcp(doctor)
  local place, failed = doctor.place, {}
  if doctor.proxy then return "ok", ("left to the proxy of %s"):format(doctor.proxy) end
  local deadline = native.now() + doctor.seconds
  for _, address in ipairs(doctor.addresses) do
    local left = math.max(0.5, deadline - native.now())
    local took, message = probe.connect(address, place.port, left)
    if took then return "ok", ("%s port %d answers in %s"):format(address, place.port, milliseconds(took)) end
    failed[#failed + 1] = ("%s port %d %s"):format(address, place.port, message)
  end
  return "fail", table.concat(failed, "; "), doctor.values.is_local
    and "Start the server: `stream-events serve`; or set STREAM_BASE_URL to where it listens."
    or "Look whether the server runs, at that port, and whether a firewall is in the way."
end

-- TLS -----------------------------------------------------------------------------------------------

local RENEW = 14 * 86400 -- seconds before a certificate's end from which on somebody should have renewed it
local DAY = 86400

local function trusted_by(doctor)
  local libraries = native.libraries()
  if doctor.values.ca_file then return "STREAM_CA_FILE " .. doctor.values.ca_file end
  return libraries.ca_file or libraries.ca_path or "the system"
end

-- The one request of which TLS, HTTP and the clock are seen.
local function answer_of(doctor)
  if not doctor.answer then
    local values = doctor.values
    -- Whatever the service thinks of who asks, it says so in its own form.
    doctor.answer = probe.get({
      url = values.base_url:gsub("/+$", "") .. "/app?api_key=" .. values.api_key,
      headers = { "stream-auth-type: anonymous" },
    }, values.ca_file, doctor.seconds)
  end
  return doctor.answer
end

local function ends_at(certificate)
  local day, minute = certificate.until_date:match "^(%d+%-%d+%-%d+) (%d+:%d+) UTC$"
  return day and timestamp.parse(("%sT%s:00Z"):format(day, minute))
end

local TRUST_HINT = "For a certificate of your own, or of an authority of your own, set STREAM_CA_FILE to its "
  .. "PEM file; option ca_file in a program."

local function tls(doctor)
  if doctor.place.scheme ~= "https" then return "skip", "STREAM_BASE_URL begins with http://" end
  local answer = answer_of(doctor)
  local certificate = answer.certificate
  if answer.err and (not certificate or not certificate.is_trusted or answer.err.kind == "network") then
    local advice = certificate and not certificate.is_trusted and TRUST_HINT or answer.err.hint
    return "fail", ("%s (trusting %s)"):format(answer.err.message, trusted_by(doctor)), advice
  elseif not certificate then
    return "ok", "trusted by " .. trusted_by(doctor)
  end
  local ends = ends_at(certificate)
  local text = ("%s, from %s, until %s, trusted by %s"):format(certificate.subject, certificate.issuer,
    certificate.until_date, trusted_by(doctor))
  if ends and ends - native.time() < RENEW then
    return "warn", ("%s: %d days left"):format(text, (ends - native.time()) // DAY),
      "Whoever runs the server has to renew the certificate."
  end
  return "ok", text
end

-- HTTP ----------------------------------------------------------------------------------------------

local function http(doctor)
  local answer = answer_of(doctor)
  if answer.err then
    return "fail", answer.err.message, answer.err.hint
      or "Something else may be listening there: compare the port in STREAM_BASE_URL."
  end
  if answer.status == 429 then
    return "warn", "the service wants fewer calls from here (HTTP 429)", "Wait a minute, and try again."
  end
  local said = plain_json.decode(answer.body)
  local is_ours = type(said) == "table" and (said.duration ~= nil or said.code ~= nil)
  if not is_ours then
    return "fail", ("what answers is no service of this protocol (HTTP %d, %s)"):format(answer.status,
      format.plain(answer.headers["content-type"] or "no content type")),
      "STREAM_BASE_URL must be the address of the service, with nothing behind its host and port."
  elseif answer.status >= 500 then
    return "fail", ("the service is in trouble: HTTP %d"):format(answer.status), "Its log says why."
  end
  return "ok", ("the service answers in %s"):format(milliseconds(answer.seconds))
end

-- Clocks --------------------------------------------------------------------------------------------

local TOLERATED, TOO_MUCH = 5, 60 -- seconds

local MONTHS = {
  Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6,
  Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12,
}

-- Seconds since 1970 of "Sun, 06 Nov 1994 08:49:37 GMT".
local function date_of(text)
  local day, month, year, time = text:match "^%a+, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d:%d%d:%d%d) GMT$"
  if not day or not MONTHS[month] then return nil end
  return timestamp.parse(("%s-%02d-%sT%sZ"):format(year, MONTHS[month], day, time))
end

local ADVICE = "Set the clock of whichever is wrong, best by NTP: tokens with a date, and what was missed "
  .. "while away, depend on it."

local function clock(doctor)
  local answer = answer_of(doctor)
  local date = answer.headers.date and date_of(answer.headers.date)
  if not date then
    return "warn", "the server does not say what time it is",
      "Compare the clocks by hand when tokens are refused."
  end
  -- The date was cut to the second, some time between the request and its answer.
  local low, high = answer.at - answer.seconds - (date + 1), answer.at - date
  local ahead = low > 0 and low or high < 0 and high or 0
  if math.abs(ahead) <= TOLERATED then return "ok", "this machine's and the server's agree" end
  local text = ("this machine's is %.0f s %s the server's"):format(math.abs(ahead),
    ahead > 0 and "ahead of" or "behind")
  return math.abs(ahead) > TOO_MUCH and "fail" or "warn", text, ADVICE
end

---@type stream_events.command.doctor.Check[]
M.CHECKS = {
  { name = "dns", needs = { "settings" }, run = dns },
  { name = "tcp", needs = { "dns" }, run = tcp },
  { name = "tls", needs = { "tcp" }, run = tls },
  { name = "http", needs = { "tcp", "tls" }, run = http },
  { name = "clock", needs = { "http" }, run = clock },
}

return M
