-- What packages of Debian stand for, told to LuaRocks, which does not know them: with
-- LUAROCKS_CONFIG=rockspec/debian.lua it fetches none of these.
rocks_provided = {
  ["lua-cjson"] = "2.1.0-1",
  argparse = "0.7.1-1",
  luv = "1.44.2-0",
  ["luadbi-sqlite3"] = "0.7.2-1",
}
