/* lfrozen.c -- the frozen value: a userdata in front of a table.
 *
 * Nothing is copied. A table within is wrapped when it is first looked at, and the wrapper takes its
 * place, so that looking again gives the same value. */
#include "lfrozen.h"

/* Registry key (by address) of the metatable. */
static const char frozen_key = 0;

void se_frozen_wrap(lua_State *L) {
  lua_newuserdatauv(L, 1, 1);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &frozen_key);
  lua_setmetatable(L, -2);
}

int se_frozen_table(lua_State *L, int index) {
  int same;
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
    return 0;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &frozen_key);
  same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  if (same)
    lua_getiuservalue(L, index, 1);
  return same;
}

void se_frozen_get(lua_State *L, int table) {
  lua_pushvalue(L, -1);
  lua_rawget(L, table);
  if (lua_istable(L, -1)) {
    se_frozen_wrap(L);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, table);
  }
  lua_remove(L, -2);
}

/* Pushes the table of a metamethod's first argument. Its upvalue is the metatable. */
static void check_table(lua_State *L) {
  if (lua_type(L, 1) != LUA_TUSERDATA || !lua_getmetatable(L, 1) ||
      !lua_rawequal(L, -1, lua_upvalueindex(1)))
    luaL_argerror(L, 1, "part of an event expected");
  lua_pop(L, 1);
  lua_getiuservalue(L, 1, 1);
}

static int frozen_index(lua_State *L) {
  lua_settop(L, 2);
  check_table(L);
  lua_pushvalue(L, 2);
  se_frozen_get(L, 3);
  return 1;
}

static int frozen_newindex(lua_State *L) {
  return luaL_error(L, "events are read-only");
}

static int frozen_len(lua_State *L) {
  lua_settop(L, 1);
  check_table(L);
  lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 2));
  return 1;
}

static int frozen_next(lua_State *L) {
  lua_settop(L, 2);
  check_table(L);
  lua_pushvalue(L, 2);
  if (lua_next(L, 3) == 0)
    return 0;
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  se_frozen_get(L, 3);
  return 2;
}

static int frozen_pairs(lua_State *L) {
  check_table(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, frozen_next, 1);
  lua_pushvalue(L, 1);
  return 2;
}

static const luaL_Reg meta[] = {{"__index", frozen_index},
                                {"__newindex", frozen_newindex},
                                {"__len", frozen_len},
                                {"__pairs", frozen_pairs},
                                {NULL, NULL}};

void se_open_frozen(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &frozen_key);
  if (lua_isnil(L, -1)) { /* the first time in this state */
    lua_newtable(L);
    lua_pushvalue(L, -1);
    luaL_setfuncs(L, meta, 1);
    lua_pushliteral(L, "stream_events.frozen");
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__name");
    lua_setfield(L, -2, "__metatable"); /* getmetatable() gives only the name */
    lua_rawsetp(L, LUA_REGISTRYINDEX, &frozen_key);
  }
  lua_pop(L, 1);
}
