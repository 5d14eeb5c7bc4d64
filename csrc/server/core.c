/* core.c -- stub */
#include <lauxlib.h>
__attribute__((visibility("default"))) int luaopen_stream_events_server_core(lua_State *L);
int luaopen_stream_events_server_core(lua_State *L) { lua_newtable(L); return 1; }
