/* lrouter.c -- Lua binding of the router: which types of events are wanted, which are refused, and
 * how many of the rest there were. */
#include <string.h>

#include "lcore.h"
#include "lrouter.h"
#include "status.h"

#define ROUTER_MT "stream_events.router"

lrouter *se_check_router(lua_State *L, int index) {
  lrouter *box = luaL_checkudata(L, index, ROUTER_MT);
  luaL_argcheck(L, box->router != NULL, index, "router is collected");
  return box;
}

void se_router_push_rules(lua_State *L, int index) {
  lua_getiuservalue(L, index, 1);
  if (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
}

/* The lists of router:set, on the stack: nothing runs between their check and their use. */
enum { TYPES = 3, PREFIXES, REFUSED };

static void push_list(lua_State *L, const char *field) {
  lua_getfield(L, 2, field);
  if (!lua_isnil(L, -1) && !lua_istable(L, -1))
    luaL_error(L, "'%s' must be a table", field);
}

/* Raises unless the list holds nothing but strings. */
static void check_strings(lua_State *L, int list, const char *field) {
  if (lua_isnil(L, list))
    return;
  for (int i = 1, count = (int)lua_rawlen(L, list); i <= count; i++) {
    lua_rawgeti(L, list, i);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "'%s' must hold strings", field);
    lua_pop(L, 1);
  }
}

static void check_refused(lua_State *L) {
  if (lua_isnil(L, REFUSED))
    return;
  for (lua_pushnil(L); lua_next(L, REFUSED); lua_pop(L, 1)) {
    if (lua_type(L, -1) != LUA_TSTRING || lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "'refused' must be a table of type to reason");
  }
}

static int add_list(lua_State *L, se_router *router, int list,
                    int (*add)(se_router *, const char *, size_t)) {
  int status = SE_OK;
  if (lua_isnil(L, list))
    return SE_OK;
  for (int i = 1, count = (int)lua_rawlen(L, list); i <= count && status == SE_OK; i++) {
    size_t len;
    lua_rawgeti(L, list, i);
    const char *name = lua_tolstring(L, -1, &len);
    status = add(router, name, len);
    lua_pop(L, 1);
  }
  return status;
}

static int add_refused(lua_State *L, se_router *router) {
  int status = SE_OK;
  if (lua_isnil(L, REFUSED))
    return SE_OK;
  for (lua_pushnil(L); status == SE_OK && lua_next(L, REFUSED); lua_pop(L, 1)) {
    size_t len;
    const char *type = lua_tolstring(L, -2, &len);
    status = se_router_refuse(router, type, len, lua_tostring(L, -1));
  }
  return status;
}

/* router:set { types=, prefixes=, custom=, refused= } -> true | nil, kind, message */
static int router_set(lua_State *L) {
  se_router *router = se_check_router(L, 1)->router;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  push_list(L, "types");
  push_list(L, "prefixes");
  push_list(L, "refused");
  lua_getfield(L, 2, "custom");
  int custom = lua_toboolean(L, -1);
  check_strings(L, TYPES, "types");
  check_strings(L, PREFIXES, "prefixes");
  check_refused(L);
  se_router_clear(router);
  se_router_want_custom(router, custom);
  int status = add_list(L, router, TYPES, se_router_want);
  if (status == SE_OK)
    status = add_list(L, router, PREFIXES, se_router_want_prefix);
  if (status == SE_OK)
    status = add_refused(L, router);
  if (status != SE_OK)
    return se_fail(L, status, status == SE_ERR_FULL ? "more than 4096 names in a router"
                                                    : "not enough memory for the router");
  lua_pushboolean(L, 1);
  return 1;
}

/* router:rules(rules or nil) */
static int router_rules(lua_State *L) {
  lrouter *box = se_check_router(L, 1);
  const struct lrules *rules = lua_isnoneornil(L, 2) ? NULL : se_check_rules(L, 2);
  lua_settop(L, 2);
  if (rules != NULL) {
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 1);
  }
  lua_setiuservalue(L, 1, 1);
  box->rules = rules;
  se_router_rules(box->router, rules == NULL ? NULL : se_rules_of(rules));
  se_router_observe(box->router, 0); /* a connection asks the rules before it reads */
  return 0;
}

static void set_count(lua_State *L, const char *field, uint64_t count) {
  se_push_int64(L, (int64_t)count);
  lua_setfield(L, -2, field);
}

/* router:totals() -> { received=, delivered=, unwanted=, refused= } */
static int router_totals(lua_State *L) {
  se_router_totals totals;
  se_router_count_totals(se_check_router(L, 1)->router, &totals);
  lua_createtable(L, 0, 4);
  set_count(L, "received", totals.received);
  set_count(L, "delivered", totals.delivered);
  set_count(L, "unwanted", totals.unwanted);
  set_count(L, "refused", totals.refused);
  return 1;
}

/* Adds one counter to the table on top of the stack. */
static void push_counter(void *user, const char *type, size_t len, const char *reason,
                         uint64_t count) {
  lua_State *L = user;
  lua_pushlstring(L, type, len);
  lua_pushvalue(L, -1);
  lua_rawget(L, -3);
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, -5);
  }
  /* An event of the type "*" shares its place with the types that were too many. */
  lua_getfield(L, -1, reason);
  int64_t before = se_to_int64(L, -1);
  lua_pop(L, 1);
  se_push_int64(L, before + (int64_t)count);
  lua_setfield(L, -2, reason);
  lua_pop(L, 2);
}

/* router:counts() -> { [type] = { [reason] = count } } */
static int router_counts(lua_State *L) {
  se_router *router = se_check_router(L, 1)->router;
  lua_newtable(L);
  /* Raising out of push_counter is safe: the router holds nothing while it calls. */
  se_router_each(router, push_counter, L);
  return 1;
}

static int router_gc(lua_State *L) {
  lrouter *box = luaL_checkudata(L, 1, ROUTER_MT);
  se_router_free(box->router);
  box->router = NULL;
  box->rules = NULL;
  return 0;
}

/* router() -> router */
static int router_new(lua_State *L) {
  lrouter *box = lua_newuserdatauv(L, sizeof *box, 1);
  box->router = NULL;
  box->rules = NULL;
  luaL_setmetatable(L, ROUTER_MT);
  box->router = se_router_new();
  if (box->router == NULL)
    return luaL_error(L, "not enough memory");
  return 1;
}

static const luaL_Reg methods[] = {
    {"set", router_set},       {"rules", router_rules}, {"totals", router_totals},
    {"counts", router_counts}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", router_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"router", router_new}, {NULL, NULL}};

void se_open_router(lua_State *L) {
  se_define_class(L, ROUTER_MT, meta, methods);
  luaL_setfuncs(L, functions, 0);
}
