/* lcore.c -- what the Lua bindings share. */
#include "lcore.h"

#include "status.h"

int se_fail(lua_State *L, int status, const char *format, ...) {
  va_list args;
  lua_pushnil(L);
  lua_pushstring(L, se_status_kind(status));
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  return 3;
}
