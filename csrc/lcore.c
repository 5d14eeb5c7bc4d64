/* lcore.c -- what the Lua bindings share. */
#include "lcore.h"

#include <stdlib.h>
#include <string.h>

#include "status.h"

#if LUA_VERSION_NUM < 503

/* Registry key (by address): a text on its way out of a protected call. */
static const char text_key = 0;

typedef struct {
  char *bytes;
  size_t len;
} text_copy;

static int push_copy(lua_State *L) {
  const text_copy *copy = lua_touserdata(L, 1);
  lua_pushlstring(L, copy->bytes, copy->len);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &text_key);
  return 0;
}

static void push_long(lua_State *L, const char *text, size_t len) {
  text_copy copy = {malloc(len), len};
  int status;
  if (copy.bytes == NULL)
    luaL_error(L, "not enough memory");
  memcpy(copy.bytes, text, len);
  status = lua_cpcall(L, push_copy, &copy);
  free(copy.bytes);
  if (status != 0)
    lua_error(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &text_key);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &text_key);
}

void se_push_fleeting(lua_State *L, const char *text, size_t len) {
  char small[512];
  if (len > sizeof small) {
    push_long(L, text, len);
  } else {
    memcpy(small, text, len);
    lua_pushlstring(L, small, len);
  }
}

#else

void se_push_fleeting(lua_State *L, const char *text, size_t len) {
  lua_pushlstring(L, text, len);
}

#endif

int se_fail(lua_State *L, int status, const char *format, ...) {
  va_list args;
  lua_pushnil(L);
  lua_pushstring(L, se_status_kind(status));
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  return 3;
}

void se_define_class(lua_State *L, const char *name, const luaL_Reg *meta, const luaL_Reg *methods) {
  if (luaL_newmetatable(L, name)) {
    if (meta != NULL)
      luaL_setfuncs(L, meta, 0);
    if (methods != NULL) {
      lua_newtable(L);
      lua_pushvalue(L, -2);
      luaL_setfuncs(L, methods, 1);
      lua_setfield(L, -2, "__index");
    }
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
  }
  lua_pop(L, 1);
}

void *se_check_self(lua_State *L, const char *name) {
  void *self = lua_touserdata(L, 1);
  if (self != NULL && lua_getmetatable(L, 1)) {
    int same = lua_rawequal(L, -1, lua_upvalueindex(1));
    lua_pop(L, 1);
    if (same)
      return self;
  }
  return luaL_checkudata(L, 1, name);
}
