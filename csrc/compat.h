/* compat.h -- Lua 5.1, LuaJIT and 5.3 behind the C API of 5.4, as far as the bindings use it.
 *
 * A module built with the headers of 5.1 serves LuaJIT too. What differs in meaning:
 * - 5.1 and LuaJIT have no integers. lua_isinteger is true there of every whole number that fits 64
 *   bits; from 2^53 on, se_push_int64 gives the nearest float that there is.
 * - lua_Integer may have 32 bits there: 64-bit values go through se_push_int64 and se_to_int64.
 * - %I is not in every lua_pushfstring: use %d with se_small.
 * - A user value is the environment table of the userdata there: it can be a table or nil. */
#ifndef SE_COMPAT_H
#define SE_COMPAT_H

#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifndef LUA_OK
#define LUA_OK 0
#endif

/* A number for %d. No text that messages speak of comes near the limit. */
static inline int se_small(uint64_t number) {
  return number > INT_MAX ? INT_MAX : (int)number;
}

#if LUA_VERSION_NUM >= 503

static inline void se_push_int64(lua_State *L, int64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
}

static inline int64_t se_to_int64(lua_State *L, int index) {
  return (int64_t)lua_tointeger(L, index);
}

#else /* 5.1 and LuaJIT */

static inline void se_push_int64(lua_State *L, int64_t value) {
  lua_pushnumber(L, (lua_Number)value);
}

static inline int se_lua_isinteger(lua_State *L, int index) {
  lua_Number value;
  if (lua_type(L, index) != LUA_TNUMBER)
    return 0;
  value = lua_tonumber(L, index);
  return value >= -9223372036854775808.0 && value < 9223372036854775808.0 && floor(value) == value &&
         (value != 0 || !signbit(value));
}

/* Of what is an integer; 0 of everything else. */
static inline int64_t se_to_int64(lua_State *L, int index) {
  return se_lua_isinteger(L, index) ? (int64_t)lua_tonumber(L, index) : 0;
}

static inline int se_lua_absindex(lua_State *L, int index) {
  return index > 0 || index <= LUA_REGISTRYINDEX ? index : lua_gettop(L) + index + 1;
}

/* What 5.3 made to return the type of the value it pushes. */
static inline int se_lua_getfield(lua_State *L, int index, const char *key) {
  lua_getfield(L, index, key);
  return lua_type(L, -1);
}

static inline int se_lua_rawget(lua_State *L, int index) {
  lua_rawget(L, index);
  return lua_type(L, -1);
}

static inline int se_lua_rawgeti(lua_State *L, int index, lua_Integer n) {
  lua_rawgeti(L, index, (int)n);
  return lua_type(L, -1);
}

static inline void se_lua_rawseti(lua_State *L, int index, lua_Integer n) {
  lua_rawseti(L, index, (int)n);
}

static inline int se_lua_rawgetp(lua_State *L, int index, const void *key) {
  index = se_lua_absindex(L, index);
  lua_pushlightuserdata(L, (void *)(uintptr_t)key);
  return se_lua_rawget(L, index);
}

static inline void se_lua_rawsetp(lua_State *L, int index, const void *key) {
  index = se_lua_absindex(L, index);
  lua_pushlightuserdata(L, (void *)(uintptr_t)key);
  lua_insert(L, -2);
  lua_rawset(L, index);
}

/* An environment cannot be nil: the registry stands for that. */
static inline void *se_lua_newuserdatauv(lua_State *L, size_t size, int values) {
  void *memory = lua_newuserdata(L, size);
  if (values > 0) {
    lua_pushvalue(L, LUA_REGISTRYINDEX);
    lua_setfenv(L, -2);
  }
  return memory;
}

static inline int se_lua_getiuservalue(lua_State *L, int index, int n) {
  (void)n;
  lua_getfenv(L, index);
  if (lua_rawequal(L, -1, LUA_REGISTRYINDEX)) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  return lua_type(L, -1);
}

static inline int se_lua_setiuservalue(lua_State *L, int index, int n) {
  (void)n;
  index = se_lua_absindex(L, index);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushvalue(L, LUA_REGISTRYINDEX);
  }
  return lua_setfenv(L, index);
}

static inline void se_luaL_setfuncs(lua_State *L, const luaL_Reg *functions, int upvalues) {
  luaL_checkstack(L, upvalues + 2, "too many upvalues");
  for (; functions->name != NULL; functions++) {
    for (int i = 0; i < upvalues; i++)
      lua_pushvalue(L, -upvalues);
    lua_pushcclosure(L, functions->func, upvalues);
    lua_setfield(L, -(upvalues + 2), functions->name);
  }
  lua_pop(L, upvalues);
}

static inline void se_luaL_setmetatable(lua_State *L, const char *name) {
  luaL_getmetatable(L, name);
  lua_setmetatable(L, -2);
}

static inline void *se_luaL_testudata(lua_State *L, int index, const char *name) {
  void *memory = lua_touserdata(L, index);
  int same;
  if (memory == NULL || !lua_getmetatable(L, index))
    return NULL;
  luaL_getmetatable(L, name);
  same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? memory : NULL;
}

/* With mode "t" only; bytecode starts with the signature's first byte. */
static inline int se_luaL_loadbufferx(lua_State *L, const char *text, size_t len,
                                      const char *name, const char *mode) {
  if (mode != NULL && strchr(mode, 'b') == NULL && len > 0 && text[0] == LUA_SIGNATURE[0]) {
    lua_pushliteral(L, "attempt to load a binary chunk (mode is 't')");
    return LUA_ERRSYNTAX;
  }
  return luaL_loadbuffer(L, text, len, name);
}

static inline void se_lua_copy(lua_State *L, int from, int to) {
  to = se_lua_absindex(L, to);
  lua_pushvalue(L, from);
  lua_replace(L, to);
}

#undef lua_rawlen
#define lua_rawlen lua_objlen
#define lua_isinteger se_lua_isinteger
#define lua_absindex se_lua_absindex
#define lua_copy se_lua_copy
#define lua_getfield se_lua_getfield
#define lua_rawget se_lua_rawget
#define lua_rawgeti se_lua_rawgeti
#define lua_rawseti se_lua_rawseti
#define lua_rawgetp se_lua_rawgetp
#define lua_rawsetp se_lua_rawsetp
#define lua_newuserdatauv se_lua_newuserdatauv
#define lua_getiuservalue se_lua_getiuservalue
#define lua_setiuservalue se_lua_setiuservalue
#define lua_pushglobaltable(L) lua_pushvalue(L, LUA_GLOBALSINDEX)
#define luaL_setfuncs se_luaL_setfuncs
#define luaL_newlib(L, functions) (lua_newtable(L), luaL_setfuncs(L, functions, 0))
#define luaL_setmetatable se_luaL_setmetatable
#define luaL_testudata se_luaL_testudata
#define luaL_loadbufferx se_luaL_loadbufferx
#define luaL_checkversion(L) ((void)(L))

#endif

#if LUA_VERSION_NUM == 503
#define lua_newuserdatauv(L, size, values) lua_newuserdata(L, size)
#define lua_getiuservalue(L, index, n) lua_getuservalue(L, index)
#define lua_setiuservalue(L, index, n) lua_setuservalue(L, index)
#endif

#endif
