/* stream_events.h -- for programs that link libstream_events.a instead of loading modules (make static).
 *
 * These are all the functions that a program calls, and besides names that begin with se_ the archive
 * defines no others. Before the first require, for each that is wanted:
 *
 *   luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);  (Lua 5.1: package.preload)
 *   lua_pushcfunction(L, luaopen_stream_events_core);
 *   lua_setfield(L, -2, "stream_events.core");
 *
 * The Lua modules are files, as ever, and require lua-cjson (luaopen_cjson), which is linked likewise.
 * The archive must be built with the headers of the Lua that the program links. */
#ifndef STREAM_EVENTS_H
#define STREAM_EVENTS_H

#include <lua.h>

#ifdef __GNUC__
#define SE_EXPORT __attribute__((visibility("default")))
#else
#define SE_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* "stream_events.core": the plugin. Links with -lcurl -lssl -lcrypto -lz -lm. */
SE_EXPORT int luaopen_stream_events_core(lua_State *L);

/* "stream_events.server.core": the bundled server; Lua 5.4 alone. Links with -lcurl -lssl -lcrypto
 * -lhttp_parser. A program that does not name it does not get it, and needs no http-parser. */
SE_EXPORT int luaopen_stream_events_server_core(lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
