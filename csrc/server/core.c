/* core.c -- the C module stream_events.server.core: everything of the server that is not decided in
 * Lua. */
#include <lauxlib.h>

#include "llistener.h"
#include "lposter.h"
#include "stream_events.h"
#include "version.h"

int luaopen_stream_events_server_core(lua_State *L) {
  lua_newtable(L);
  lua_pushliteral(L, SE_VERSION);
  lua_setfield(L, -2, "version");
  se_open_listener(L);
  se_open_poster(L);
  return 1;
}
