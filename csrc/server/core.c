/* core.c -- the C module stream_events.server.core: everything of the server that is not decided in
 * Lua. */
#include <lauxlib.h>

#include "llistener.h"

__attribute__((visibility("default"))) int luaopen_stream_events_server_core(lua_State *L);

int luaopen_stream_events_server_core(lua_State *L) {
  lua_newtable(L);
  se_open_listener(L);
  return 1;
}
