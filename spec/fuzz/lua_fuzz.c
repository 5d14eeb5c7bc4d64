/* lua_fuzz.c -- the host of fuzz targets that are written in Lua, with the modules of the core in the
 * program.
 *
 * DRIVER is the file of such a target: it gives a function that is called with each input, and raises
 * when something does not hold. Needs LUA_PATH to find the modules; run from the project's folder. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int luaopen_stream_events_core(lua_State *L);

static lua_State *host; /* for good: its modules are loaded once. At 1 is the function of the driver. */

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, lua_tostring(host, -1));
  abort();
}

static int with_traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  host = luaL_newstate();
  if (host == NULL)
    abort();
  luaL_openlibs(host);
  luaL_getsubtable(host, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(host, luaopen_stream_events_core);
  lua_setfield(host, -2, "stream_events.core");
  lua_settop(host, 0);
  if (luaL_loadfile(host, DRIVER) != LUA_OK || lua_pcall(host, 0, 1, 0) != LUA_OK)
    fail("cannot begin");
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  lua_pushcfunction(host, with_traceback);
  lua_pushvalue(host, 1);
  lua_pushlstring(host, (const char *)data, size);
  if (lua_pcall(host, 1, 0, 2) != LUA_OK)
    fail("does not hold");
  lua_settop(host, 1);
  lua_gc(host, LUA_GCCOLLECT, 0); /* what this input left behind shows as a leak of this input */
  return 0;
}
