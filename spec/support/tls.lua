--- Certificates made for one run of a spec, and TLS in front of a peer.
local uv = require "luv"

local M = {}

local HERE = debug.getinfo(1, "S").source:match "^@(.*)[/\\][^/\\]*$"

local function run(command)
  assert(os.execute("env -u LD_PRELOAD " .. command .. " >/dev/null 2>&1"), "failed: " .. command)
end

--- A folder with self-signed certificates NAME.pem and NAME.key, by name and subjectAltName.
---@param names table<string, string>
---@return { path: fun(name: string): string, remove: fun() }
function M.certificates(names)
  local folder = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/stream-events-XXXXXX"))
  for name, subject in pairs(names) do
    run(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
      .. "-subj /CN=%s -addext subjectAltName=%s -keyout %s/%s.key -out %s/%s.pem")
      :format(name, subject, folder, name, folder, name))
  end
  return {
    path = function(name) return folder .. "/" .. name end,
    remove = function() run("rm -r " .. folder) end,
  }
end

local AUTHORITY = [[
[ca]
default_ca = here
[here]
database = %s/index
new_certs_dir = %s
rand_serial = yes
unique_subject = no
default_md = sha256
policy = anything
copy_extensions = copy
[anything]
commonName = supplied
]]

--- An authority NAME.pem in the folder of certificates(), to issue certificates from.
function M.authority(folder, name)
  local base = folder.path(name)
  run(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=%s "
    .. "-addext basicConstraints=critical,CA:TRUE -keyout %s.key -out %s.pem"):format(name, base, base))
  local here = folder.path("")
  local file = assert(io.open(folder.path "authority.conf", "w"))
  file:write(AUTHORITY:format(here, here))
  file:close()
  assert(io.open(folder.path "index", "w")):close()
end

--- A certificate NAME.pem from an authority, valid between two dates like "20260131000000Z". The subject
--- is a distinguished name like "/CN=x".
function M.issue(folder, authority, name, subject, alternative, from, to)
  local base, ca = folder.path(name), folder.path(authority)
  run(("openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj '%s' "
    .. "-addext 'subjectAltName=%s' -keyout %s.key -out %s.csr"):format(subject, alternative, base, base))
  run(("openssl ca -batch -notext -config %s -cert %s.pem -keyfile %s.key -startdate %s -enddate %s "
    .. "-in %s.csr -out %s.pem"):format(folder.path "authority.conf", ca, ca, from, to, base, base))
end

--- Starts TLS in front of a port; returns its own port and a function that ends it.
---@return integer port
---@return fun() stop
function M.forward(certificate, key, port)
  local input, output = uv.new_pipe(false), uv.new_pipe(false)
  local process, text, over
  process = assert(uv.spawn("/usr/bin/python3", {
    args = { HERE .. "/tls_forward.py", certificate, key, tostring(port) },
    stdio = { input, output, 2 },
    env = { "PATH=" .. os.getenv "PATH" }, -- no sanitizer that this process may run under
  }, function()
    over = true
    process:close()
  end))
  output:read_start(function(_, bytes) text = (text or "") .. (bytes or "") end)
  while not (text and text:find "\n") do
    assert(not over, "tls_forward.py has ended")
    uv.run "once"
  end
  return tonumber(text:match "^%d+"), function()
    if not output:is_closing() then output:close() end
    if not input:is_closing() then input:close() end
    while not over do uv.run "once" end
  end
end

return M
