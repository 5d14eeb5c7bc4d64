--- Programs in C that are linked with the objects of the core, for what no Lua program can try.
local process = require "support.process"

local M = {}

-- Where the module under test was built.
local function build_folder()
  for folder in package.cpath:gmatch "([^;]*)/%?%.so" do
    local file = io.open(folder .. "/stream_events/core.so")
    if file then
      file:close()
      return folder
    end
  end
end

--- Compiles spec/support/NAME.c. Gives the path of the program.
---@param name string
---@param flags string? more of the linker's
---@param with_server boolean? the server's C module is in it, too
---@return string
function M.build(name, flags, with_server)
  local build = build_folder()
  local program = build .. "/" .. name .. (with_server and "_server" or "")
  local sanitize = os.getenv "SPECS_SANITIZED" and "-fsanitize=address,undefined" or ""
  local compiler = process.run("/bin/sh", { "-ec", [[
    objects=
    for source in csrc/*.c $6; do
      source=${source#csrc/}
      objects="$objects $0/obj/${source%.c}.o"
    done
    ${CC:-cc} -std=c11 -g -O1 -Wall -Wextra -Icsrc $2 -o "$1" "spec/support/$4.c" $objects $5 \
      $(pkg-config --cflags --libs lua$3 libcurl libssl libcrypto zlib) -lm $7
  ]], build, program, sanitize, _VERSION:match "%d.%d", name, flags or "",
    with_server and "csrc/server/*.c" or "", with_server and "-DWITH_SERVER -lhttp_parser" or "" },
    { LD_PRELOAD = false })
  assert(compiler.code == 0, compiler.stderr)
  return program
end

return M
