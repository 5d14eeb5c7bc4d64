/* lsandbox_base.c -- the basic functions that rules have, and how rules see values.
 *
 * Made anew because those of Lua show addresses (tostring), go through tables in another order each
 * time (pairs), run metamethods, or carry values out in errors. */
#include <string.h>

#include "lcore.h"
#include "lfrozen.h"
#include "lsandbox_state.h"

/* ------------------------------------------------------------------------------------- views */

int se_view_open(lua_State *L, int index, se_view *view) {
  view->frozen = 0;
  if (lua_type(L, index) == LUA_TTABLE)
    lua_pushvalue(L, index);
  else if (se_frozen_table(L, index))
    view->frozen = 1;
  else
    return 0;
  view->table = lua_gettop(L);
  return 1;
}

void se_view_get(lua_State *L, const se_view *view) {
  if (view->frozen)
    se_frozen_get(L, view->table);
  else
    lua_rawget(L, view->table);
}

void se_view_geti(lua_State *L, const se_view *view, lua_Integer index) {
  lua_pushinteger(L, index);
  se_view_get(L, view);
}

/* ------------------------------------------------------------------------------------- types */

static int is_null(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TLIGHTUSERDATA && lua_touserdata(L, index) == NULL;
}

/* What rules take for a table is one, whoever made it. */
static const char *type_name(lua_State *L, int index) {
  size_t len;
  if (is_null(L, index))
    return "null";
  if (lua_type(L, index) != LUA_TUSERDATA)
    return lua_typename(L, lua_type(L, index));
  if (se_event_text(L, index, &len) != NULL)
    return "table";
  if (se_frozen_table(L, index)) {
    lua_pop(L, 1);
    return "table";
  }
  return "userdata";
}

static int base_type(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushstring(L, type_name(L, 1));
  return 1;
}

const char *se_sandbox_text(lua_State *L, int index, size_t *len) {
  index = lua_absindex(L, index);
  switch (lua_type(L, index)) {
  case LUA_TSTRING:
  case LUA_TNUMBER:
    lua_pushvalue(L, index); /* so that a number stays one where it came from */
    break;
  case LUA_TBOOLEAN:
    lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
    break;
  default:
    lua_pushstring(L, type_name(L, index));
  }
  return lua_tolstring(L, -1, len);
}

static int base_tostring(lua_State *L) {
  luaL_checkany(L, 1);
  se_sandbox_text(L, 1, NULL);
  return 1;
}

/* ------------------------------------------------------------------------------------- numbers */

static int digit_value(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c = (char)(c | 32);
  return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 36;
}

static int is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A whole number in digits of 'base'; pushes it, or nil. */
static void push_in_base(lua_State *L, const char *text, size_t len, int base) {
  uint64_t value = 0;
  int negative = 0, digits = 0;
  while (len > 0 && is_space(*text))
    text++, len--;
  while (len > 0 && is_space(text[len - 1]))
    len--;
  if (len > 0 && *text == '-') {
    negative = 1;
    text++, len--;
  }
  for (; len > 0 && digit_value(*text) < base; text++, len--, digits++)
    value = value * (uint64_t)base + (uint64_t)digit_value(*text);
  if (len > 0 || digits == 0)
    lua_pushnil(L);
  else
    se_push_int64(L, (int64_t)(negative ? 0u - value : value));
}

/* tonumber(value, base?) */
static int base_tonumber(lua_State *L) {
  size_t len;
  const char *text;
  if (!lua_isnoneornil(L, 2)) {
    lua_Integer base = luaL_checkinteger(L, 2);
    luaL_argcheck(L, 2 <= base && base <= 36, 2, "base out of range");
    luaL_checktype(L, 1, LUA_TSTRING);
    text = lua_tolstring(L, 1, &len);
    if (len > 100)
      lua_pushnil(L);
    else
      push_in_base(L, text, len, (int)base);
    return 1;
  }
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (lua_type(L, 1) == LUA_TNUMBER)
    return 1;
  text = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &len) : NULL;
  if (text == NULL || len > 400) { /* no number is longer; reading digits takes its time */
    lua_pushnil(L);
    return 1;
  }
#if LUA_VERSION_NUM >= 503
  if (strlen(text) != len || lua_stringtonumber(L, text) == 0)
    lua_pushnil(L);
#else
  if (lua_isnumber(L, 1))
    lua_pushnumber(L, lua_tonumber(L, 1));
  else
    lua_pushnil(L);
#endif
  return 1;
}

/* ------------------------------------------------------------------------------------- loops */

static int rank(lua_State *L, int index) {
  switch (lua_type(L, index)) {
  case LUA_TNUMBER:
    return 0;
  case LUA_TSTRING:
    return 1;
  case LUA_TBOOLEAN:
    return 2;
  default:
    return 3;
  }
}

static int number_less(lua_State *L, int a, int b) {
#if LUA_VERSION_NUM == 501
  return lua_lessthan(L, a, b);
#else
  return lua_compare(L, a, b, LUA_OPLT);
#endif
}

static int string_less(lua_State *L, int a, int b) {
  size_t a_len, b_len;
  const char *left = lua_tolstring(L, a, &a_len), *right = lua_tolstring(L, b, &b_len);
  size_t len = a_len < b_len ? a_len : b_len;
  int order;
  se_sandbox_spend(L, len / 16);
  order = memcmp(left, right, len);
  return order != 0 ? order < 0 : a_len < b_len;
}

int se_key_less(lua_State *L, int a, int b, void *user) {
  int left = rank(L, a), right = rank(L, b);
  (void)user;
  if (left != right)
    return left < right;
  switch (left) {
  case 0:
    return number_less(L, a, b);
  case 1:
    return string_less(L, a, b);
  case 2:
    return lua_toboolean(L, a) < lua_toboolean(L, b);
  default: /* no order that would be the same in another run */
    return (uintptr_t)lua_topointer(L, a) < (uintptr_t)lua_topointer(L, b);
  }
}

/* Pushes the keys of the view in order. */
static void push_keys(lua_State *L, const se_view *view) {
  lua_Integer count = 0;
  int list;
  lua_newtable(L);
  list = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, view->table) != 0) {
    se_sandbox_spend(L, 2);
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, list, ++count);
  }
  se_sandbox_sort(L, list, count, se_key_less, NULL);
}

/* The step of pairs(). Upvalues: the keys, how far it has come, the table, whether it is frozen. */
static int pairs_step(lua_State *L) {
  se_view view = {2, lua_toboolean(L, lua_upvalueindex(4))};
  lua_Integer at = lua_tointeger(L, lua_upvalueindex(2));
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(3));
  for (;;) {
    se_sandbox_spend(L, 1);
    lua_rawgeti(L, lua_upvalueindex(1), ++at);
    if (lua_isnil(L, -1))
      return 1;
    lua_pushvalue(L, -1);
    se_view_get(L, &view);
    if (!lua_isnil(L, -1))
      break;
    lua_pop(L, 2); /* it was taken out meanwhile */
  }
  lua_pushinteger(L, at);
  lua_replace(L, lua_upvalueindex(2));
  return 2;
}

static int not_a_table(lua_State *L) {
  lua_pushfstring(L, "table expected, got %s", type_name(L, 1));
  return luaL_argerror(L, 1, lua_tostring(L, -1));
}

/* pairs(table): always in the same order */
static int base_pairs(lua_State *L) {
  se_view view;
  size_t len;
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (se_event_text(L, 1, &len) != NULL) {
    luaL_callmeta(L, 1, "__pairs"); /* in the order of the text */
    lua_pushvalue(L, 1);
    return 2;
  }
  if (!se_view_open(L, 1, &view))
    return not_a_table(L);
  push_keys(L, &view);
  lua_pushinteger(L, 0);
  lua_pushvalue(L, view.table);
  lua_pushboolean(L, view.frozen);
  lua_pushcclosure(L, pairs_step, 4);
  lua_pushvalue(L, 1);
  return 2;
}

/* next(table, key?): in the order of pairs() */
static int base_next(lua_State *L) {
  se_view view;
  int best;
  luaL_checkany(L, 1);
  lua_settop(L, 2);
  if (!se_view_open(L, 1, &view))
    return not_a_table(L);
  lua_pushnil(L);
  best = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, view.table) != 0) {
    int key = best + 1;
    se_sandbox_spend(L, 2);
    lua_pop(L, 1);
    if ((lua_isnil(L, 2) || se_key_less(L, 2, key, NULL)) &&
        (lua_isnil(L, best) || se_key_less(L, key, best, NULL))) {
      lua_pushvalue(L, key);
      lua_replace(L, best);
    }
  }
  if (lua_isnil(L, best))
    return 1;
  lua_pushvalue(L, best);
  se_view_get(L, &view);
  return 2;
}

static int ipairs_step(lua_State *L) {
  se_view view;
  lua_Integer at = luaL_checkinteger(L, 2);
  lua_settop(L, 2);
  se_sandbox_spend(L, 1);
  luaL_argcheck(L, at >= 0 && at < INT32_MAX, 2, "index out of range");
  at++;
  if (!se_view_open(L, 1, &view))
    return not_a_table(L);
  lua_pushinteger(L, at);
  se_view_geti(L, &view, at);
  return lua_isnil(L, -1) ? 1 : 2;
}

static int base_ipairs(lua_State *L) {
  se_view view;
  luaL_checkany(L, 1);
  if (!se_view_open(L, 1, &view))
    return not_a_table(L);
  lua_pushcfunction(L, ipairs_step);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

/* ------------------------------------------------------------------------------------- the rest */

/* select(n | "#", ...) */
static int base_select(lua_State *L) {
  int count = lua_gettop(L);
  lua_Integer from;
  if (lua_type(L, 1) == LUA_TSTRING && strcmp(lua_tostring(L, 1), "#") == 0) {
    lua_pushinteger(L, count - 1);
    return 1;
  }
  from = luaL_checkinteger(L, 1);
  if (from < 0)
    from += count;
  else if (from > count)
    from = count;
  luaL_argcheck(L, from >= 1, 1, "index out of range");
  se_sandbox_spend(L, (size_t)(count - from));
  return count - (int)from;
}

/* error(text, level?): never a value that could mean something outside */
static int base_error(lua_State *L) {
  int level = (int)luaL_optinteger(L, 2, 1);
  int is_text = lua_type(L, 1) == LUA_TSTRING || lua_type(L, 1) == LUA_TNUMBER;
  lua_settop(L, 1);
  luaL_where(L, is_text && level >= 0 && level <= 2 ? level : 1);
  if (is_text)
    lua_pushvalue(L, 1);
  else
    lua_pushfstring(L, "error with a value that is no text (%s)", type_name(L, 1));
  lua_concat(L, 2);
  return lua_error(L);
}

/* assert(value, text?, ...) -> all of them */
static int base_assert(lua_State *L) {
  luaL_checkany(L, 1);
  if (lua_toboolean(L, 1))
    return lua_gettop(L);
  if (lua_isnoneornil(L, 2))
    return luaL_error(L, "assertion failed");
  luaL_where(L, 1);
  se_sandbox_text(L, 2, NULL);
  lua_concat(L, 2);
  return lua_error(L);
}

static const luaL_Reg functions[] = {
    {"assert", base_assert}, {"error", base_error},       {"ipairs", base_ipairs},
    {"next", base_next},     {"pairs", base_pairs},       {"select", base_select},
    {"type", base_type},     {"tonumber", base_tonumber}, {"tostring", base_tostring},
    {NULL, NULL}};

void se_sandbox_push_base(lua_State *L) {
  luaL_newlib(L, functions);
}
