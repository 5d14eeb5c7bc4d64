/* lsandbox_table.c -- the table library of rules: raw, bounded, and with a sort that ends whatever
 * its comparison answers. What only looks works on parts of an event, too. */
#include <string.h>

#include "lcore.h"
#include "lsandbox_state.h"

#define UNPACK 200 /* values at most */

/* The table that is argument 1, which must be the rules' own. Returns its length. */
static lua_Integer own_table(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_topointer(L, 1) == se_sandbox_of(L)->globals)
    luaL_argerror(L, 1, "the table of globals is read-only");
  /* A few elements are enough for a list that seems to end with the largest integer. */
  luaL_argcheck(L, lua_rawlen(L, 1) < INT32_MAX, 1, "the list is too long");
  return (lua_Integer)lua_rawlen(L, 1);
}

static lua_Integer open_list(lua_State *L, se_view *view) {
  if (!se_view_open(L, 1, view))
    luaL_argerror(L, 1, "table expected");
  return (lua_Integer)lua_rawlen(L, view->table);
}

/* insert(list, value) or insert(list, place, value) */
static int table_insert(lua_State *L) {
  lua_Integer len = own_table(L), at = len + 1;
  int count = lua_gettop(L);
  if (count == 3) {
    at = luaL_checkinteger(L, 2);
    luaL_argcheck(L, at >= 1 && at <= len + 1, 2, "position out of bounds");
  } else if (count != 2) {
    return luaL_error(L, "wrong number of arguments to 'insert'");
  }
  se_sandbox_spend(L, (size_t)(len + 1 - at));
  for (lua_Integer i = len; i >= at; i--) {
    lua_rawgeti(L, 1, i);
    lua_rawseti(L, 1, i + 1);
  }
  lua_rawseti(L, 1, at);
  return 0;
}

/* remove(list, place?) -> value */
static int table_remove(lua_State *L) {
  lua_Integer len = own_table(L), at = luaL_optinteger(L, 2, len);
  if (len == 0 && (at == 0 || at == len))
    return 0;
  luaL_argcheck(L, at >= 1 && at <= len + 1, 2, "position out of bounds");
  se_sandbox_spend(L, (size_t)(len + 1 - at));
  lua_rawgeti(L, 1, at);
  for (; at < len; at++) {
    lua_rawgeti(L, 1, at + 1);
    lua_rawseti(L, 1, at);
  }
  lua_pushnil(L);
  lua_rawseti(L, 1, at);
  return 1;
}

/* concat(list, separator?, from?, to?) */
static int table_concat(lua_State *L) {
  se_view view;
  size_t separator_len, len, total = 0;
  const char *separator = luaL_optlstring(L, 2, "", &separator_len);
  lua_Integer from = luaL_optinteger(L, 3, 1), to;
  luaL_Buffer out;
  lua_settop(L, 4);
  to = open_list(L, &view);
  to = luaL_optinteger(L, 4, to);
  luaL_buffinit(L, &out);
  for (lua_Integer i = from; i <= to; i++) {
    se_view_geti(L, &view, i);
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
      return luaL_error(L, "element %d of the list for 'concat' is no text",
                        i < 0 ? 0 : se_small((uint64_t)i));
    lua_tolstring(L, -1, &len);
    total += len + separator_len;
    se_sandbox_room(L, total);
    se_sandbox_spend(L, 2 + (len + separator_len) / 16);
    luaL_addvalue(&out);
    if (i == to)
      break; /* it may be the largest integer */
    luaL_addlstring(&out, separator, separator_len);
  }
  luaL_pushresult(&out);
  return 1;
}

/* unpack(list, from?, to?) -> values */
static int table_unpack(lua_State *L) {
  se_view view;
  lua_Integer from = luaL_optinteger(L, 2, 1), to;
  lua_settop(L, 3);
  to = open_list(L, &view);
  to = luaL_optinteger(L, 3, to);
  if (from > to)
    return 0;
  if ((uint64_t)to - (uint64_t)from >= UNPACK)
    return luaL_error(L, "more than %d values to unpack", UNPACK);
  luaL_checkstack(L, (int)(to - from) + 4, "too many values to unpack");
  for (lua_Integer i = from;; i++) {
    se_view_geti(L, &view, i);
    if (i == to)
      return (int)(to - from) + 1;
  }
}

/* ------------------------------------------------------------------------------------- sort */

/* Moves the value at 'at' down until no child is greater, in a heap of 'count' elements. */
static void sift(lua_State *L, int list, lua_Integer at, lua_Integer count, se_less less, void *user) {
  int moving;
  lua_rawgeti(L, list, at);
  moving = lua_gettop(L);
  for (lua_Integer child; (child = 2 * at) <= count; at = child) {
    se_sandbox_spend(L, 8);
    lua_rawgeti(L, list, child);
    if (child < count) {
      lua_rawgeti(L, list, child + 1);
      if (less(L, moving + 1, moving + 2, user)) {
        child++;
        lua_replace(L, moving + 1);
      } else {
        lua_pop(L, 1);
      }
    }
    if (!less(L, moving, moving + 1, user)) {
      lua_pop(L, 1);
      break;
    }
    lua_rawseti(L, list, at);
  }
  lua_rawseti(L, list, at);
}

/* A heap sort: the same number of steps whatever is in the list. */
void se_sandbox_sort(lua_State *L, int list, lua_Integer count, se_less less, void *user) {
  luaL_checkstack(L, 8, "sort");
  for (lua_Integer at = count / 2; at >= 1; at--)
    sift(L, list, at, count, less, user);
  for (lua_Integer last = count; last > 1; last--) {
    lua_rawgeti(L, list, 1);
    lua_rawgeti(L, list, last);
    lua_rawseti(L, list, 1);
    lua_rawseti(L, list, last);
    sift(L, list, 1, last - 1, less, user);
  }
}

static int natural_less(lua_State *L, int a, int b, void *user) {
  int left = lua_type(L, a), right = lua_type(L, b);
  if (left != right || (left != LUA_TNUMBER && left != LUA_TSTRING))
    luaL_error(L, "attempt to compare %s with %s", lua_typename(L, left), lua_typename(L, right));
  return se_key_less(L, a, b, user);
}

/* Asks the function that is argument 2. */
static int asked_less(lua_State *L, int a, int b, void *user) {
  int answer;
  (void)user;
  lua_pushvalue(L, 2);
  lua_pushvalue(L, a);
  lua_pushvalue(L, b);
  se_sandbox_callback(L, 2, 1);
  answer = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return answer;
}

/* sort(list, less?) */
static int table_sort(lua_State *L) {
  lua_Integer len = own_table(L);
  int own = !lua_isnoneornil(L, 2);
  if (own)
    luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  se_sandbox_sort(L, 1, len, own ? asked_less : natural_less, NULL);
  return 0;
}

static const luaL_Reg functions[] = {{"concat", table_concat}, {"insert", table_insert},
                                     {"remove", table_remove}, {"sort", table_sort},
                                     {"unpack", table_unpack}, {NULL, NULL}};

void se_sandbox_push_table(lua_State *L) {
  luaL_newlib(L, functions);
}
