/* ljson_split.c -- Lua binding of json_split. */
#include <string.h>

#include "json_split.h"
#include "lcore.h"
#include "status.h"

#define SPLITTER_MT "stream_events.json_splitter"
#define USUAL 8192 /* longer texts get a block of their own */

/* Adds the names of the list at 'index'; the table on top of the stack keeps them alive. */
static void read_names(lua_State *L, int index, se_split_names *names) {
  luaL_checktype(L, index, LUA_TTABLE);
  for (int i = 1;; i++) {
    size_t len;
    lua_rawgeti(L, index, i);
    if (lua_isnil(L, -1))
      break;
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, index, "must be a list of names");
    luaL_argcheck(L, names->count < SE_SPLIT_NAMES, index, "are too many names");
    names->names[names->count].bytes = lua_tolstring(L, -1, &len);
    names->names[names->count++].len = len;
    lua_rawseti(L, -2, (int)names->count);
  }
  lua_pop(L, 1);
}

/* splitter(taken, left_out) -> a splitter */
static int json_splitter(lua_State *L) {
  lua_settop(L, 2);
  se_split_names *names = lua_newuserdatauv(L, sizeof *names, 1);
  memset(names, 0, sizeof *names);
  luaL_setmetatable(L, SPLITTER_MT);
  lua_newtable(L);
  read_names(L, 1, names);
  names->taken = names->count;
  read_names(L, 2, names);
  lua_setiuservalue(L, 3, 1);
  return 1;
}

static int fail(lua_State *L, const char *reason, size_t position) {
  return se_fail(L, SE_ERR_PROTOCOL, "%s at byte %d", reason != NULL ? reason : "duplicate key",
                 se_small(position + 1));
}

/* Makes *text and *len those of the member; 0: there is nothing to split, and what is to be returned
 * instead lies on the stack, *count values. */
static int enter_member(lua_State *L, int index, const char **text, size_t *len, int *count) {
  size_t name_len, position;
  const char *reason, *name = luaL_checklstring(L, index, &name_len);
  int found = se_json_member(name, name_len, text, len, &reason, &position);
  if (found > 0)
    return 1;
  if (found < 0) {
    *count = fail(L, reason, position);
  } else {
    lua_pushnil(L);
    lua_pushliteral(L, "missing");
    *count = 2;
  }
  return 0;
}

/* split(splitter, text [, member]) -> rest, members, bytes, value... | nil, kind, message
 *                                   | nil, "missing" */
static int json_split(lua_State *L) {
  const se_split_names *names = luaL_checkudata(L, 1, SPLITTER_MT);
  size_t len, size;
  const char *whole = luaL_checklstring(L, 2, &len), *text = whole;
  se_json json;
  se_split split;
  char usual[USUAL], *rest = usual;
  int count;
  lua_settop(L, 3);
  se_json_init(&json, text, len);
  if (!se_json_check_utf8(&json))
    return fail(L, json.reason, (size_t)(json.at - json.start));
  size = len;
  if (!lua_isnil(L, 3) && !enter_member(L, 3, &text, &size, &count))
    return count;
  luaL_checkstack(L, SE_SPLIT_NAMES + 8, "JSON");
  if (size > USUAL)
    rest = lua_newuserdatauv(L, size, 0);
  if (!se_json_split(text, size, names, rest, &split))
    return fail(L, split.reason, split.position + (size_t)(text - whole));
  lua_pushlstring(L, rest, split.rest_len);
  lua_pushinteger(L, (lua_Integer)split.members);
  lua_pushinteger(L, (lua_Integer)size);
  for (size_t i = 0; i < names->taken; i++) {
    if (split.taken[i].at == NULL)
      lua_pushnil(L);
    else
      lua_pushlstring(L, split.taken[i].at, split.taken[i].len);
  }
  return 3 + (int)names->taken;
}

static const luaL_Reg functions[] = {
    {"splitter", json_splitter}, {"split", json_split}, {NULL, NULL}};

void se_open_json_split(lua_State *L) {
  se_define_class(L, SPLITTER_MT, NULL, NULL);
  luaL_setfuncs(L, functions, 0);
}
