/* lrule_context.c -- the context of a rule's function: now, trust, cid, size, direction, and the
 * functions marked, mark and count.
 *
 * One object serves all calls of a state, so that a call makes nothing but its event. */
#include "lrule_context.h"

#include <math.h>

#include "status.h"

/* Registry key (by address) of the object. */
static const char context_key = 0;

static const char *const directions[] = {[SE_DIRECTION_IN] = "in", [SE_DIRECTION_OUT] = "out"};

/* The call that is on; the object is the first upvalue of whatever looks at it. */
static se_rule_context *check_context(lua_State *L) {
  se_rule_context *context = lua_touserdata(L, lua_upvalueindex(1));
  if (context == NULL || context->event == NULL || context->memory == NULL)
    luaL_error(L, "the context is only good while its rule runs");
  return context;
}

static double check_finite(lua_State *L, int argument) {
  double value = (double)luaL_checknumber(L, argument);
  luaL_argcheck(L, isfinite(value), argument, "number out of range");
  return value;
}

/* marked(user, name) -> boolean */
static int context_marked(lua_State *L) {
  const se_rule_context *context = check_context(L);
  size_t user_len, name_len;
  const char *user = luaL_checklstring(L, 1, &user_len), *name = luaL_checklstring(L, 2, &name_len);
  lua_pushboolean(L, se_rule_memory_marked(context->memory, user, user_len, name, name_len,
                                           context->event->now));
  return 1;
}

/* mark(user, name, seconds) */
static int context_mark(lua_State *L) {
  const se_rule_context *context = check_context(L);
  size_t user_len, name_len;
  const char *user = luaL_checklstring(L, 1, &user_len), *name = luaL_checklstring(L, 2, &name_len);
  int status = se_rule_memory_mark(context->memory, user, user_len, name, name_len,
                                   check_finite(L, 3), context->event->now);
  if (status != SE_OK)
    return luaL_error(L, "the mark cannot be set: %s", status == SE_ERR_FULL
                                                           ? "its names are too long"
                                                           : "no memory");
  return 0;
}

/* count(key, n, seconds) -> total */
static int context_count(lua_State *L) {
  const se_rule_context *context = check_context(L);
  size_t len;
  const char *key = luaL_checklstring(L, 1, &len);
  double n = check_finite(L, 2), seconds = check_finite(L, 3), total;
  luaL_argcheck(L, seconds > 0, 3, "seconds must be positive");
  se_rule_memory_count(context->memory, key, len, n, seconds, context->event->now, &total);
  if (floor(total) == total && fabs(total) < 9007199254740992.0)
    se_push_int64(L, (int64_t)total);
  else
    lua_pushnumber(L, (lua_Number)total);
  return 1;
}

static void push_slice(lua_State *L, const se_slice *slice) {
  if (slice->at == NULL)
    lua_pushnil(L);
  else
    lua_pushlstring(L, slice->at, slice->len);
}

static int is(const char *name, size_t len, const char *other) {
  return strlen(other) == len && memcmp(name, other, len) == 0;
}

/* context.NAME. Upvalues: the object, its functions. */
static int context_index(lua_State *L) {
  const se_rule_event *event = check_context(L)->event;
  size_t len;
  const char *name;
  if (lua_type(L, 2) != LUA_TSTRING)
    return luaL_error(L, "the context has names only");
  name = lua_tolstring(L, 2, &len);
  if (is(name, len, "now"))
    lua_pushnumber(L, (lua_Number)event->now);
  else if (is(name, len, "trust"))
    lua_pushstring(L, se_trust_name(event->trust));
  else if (is(name, len, "cid"))
    push_slice(L, &event->cid);
  else if (is(name, len, "size"))
    lua_pushinteger(L, (lua_Integer)event->len);
  else if (is(name, len, "direction"))
    lua_pushstring(L, directions[event->direction]);
  else {
    lua_settop(L, 2);
    lua_rawget(L, lua_upvalueindex(2));
    if (lua_isnil(L, -1))
      return luaL_error(L, "unknown name in the context: it has now, trust, cid, size, direction, "
                           "marked, mark, count");
  }
  return 1;
}

static int context_newindex(lua_State *L) {
  return luaL_error(L, "the context is read-only");
}

static const luaL_Reg functions[] = {
    {"marked", context_marked}, {"mark", context_mark}, {"count", context_count}, {NULL, NULL}};

se_rule_context *se_context_push(lua_State *L) {
  se_rule_context *context;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &context_key);
  context = lua_touserdata(L, -1);
  if (context != NULL)
    return context;
  lua_pop(L, 1);
  context = lua_newuserdatauv(L, sizeof *context, 0);
  context->event = NULL;
  context->memory = NULL;
  context->depth = 0;
  lua_createtable(L, 0, 4); /* the metatable */
  lua_pushvalue(L, -2);
  lua_newtable(L);
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 1);
  lua_pushcclosure(L, context_index, 2);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, context_newindex);
  lua_setfield(L, -2, "__newindex");
  lua_pushliteral(L, "stream_events.context");
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__name");
  lua_setfield(L, -2, "__metatable"); /* getmetatable() gives only the name */
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &context_key);
  return context;
}
