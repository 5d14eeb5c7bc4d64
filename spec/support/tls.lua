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
