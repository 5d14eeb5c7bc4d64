/* static_host.c -- stands for an engine that loads no modules: Lua, the plugin and lua-cjson are linked into
 * it. Runs a script of Lua with its arguments: static_host SCRIPT ARGUMENT... */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

#include "stream_events.h"

int luaopen_cjson(lua_State *L);

static const luaL_Reg linked[] = {{"stream_events.core", luaopen_stream_events_core},
#ifdef WITH_SERVER
                                  {"stream_events.server.core", luaopen_stream_events_server_core},
#endif
                                  {"cjson", luaopen_cjson},
                                  {NULL, NULL}};

/* What is linked is there for require; nothing else that is native can be had. */
static const char only_linked[] = "package.cpath, package.loadlib = '', nil\n"
                                  "package.searchers[3], package.searchers[4] = nil, nil\n";

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  int failed;
  if (argc < 2 || L == NULL)
    return 2;
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  luaL_setfuncs(L, linked, 0);
  lua_pop(L, 1);
  failed = luaL_dostring(L, only_linked) || luaL_loadfile(L, argv[1]);
  if (!failed) {
    for (int i = 2; i < argc; i++)
      lua_pushstring(L, argv[i]);
    failed = lua_pcall(L, argc - 2, 0, 0) != LUA_OK;
  }
  if (failed)
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return failed ? 1 : 0;
}
