/* lrule_state.c -- Lua binding of the sandbox: rule_state(), load, memory. And the program's side of
 * an include. */
#include <stdio.h>
#include <stdlib.h>

#include "lcore.h"
#include "lrule_copy.h"
#include "lrule_verdict.h"
#include "lrule_words.h"
#include "lsandbox.h"
#include "lsandbox_state.h"
#include "printable.h"
#include "status.h"

#define STATE_MT "stream_events.rule_state"
#define COPIED_MT "stream_events.rule_state.copied"

typedef struct {
  se_sandbox *sandbox; /* NULL once collected */
} lstate;

static lstate *check_state(lua_State *L, int index) {
  lstate *state = luaL_checkudata(L, index, STATE_MT);
  luaL_argcheck(L, state->sandbox != NULL, index, "rule state is closed");
  return state;
}

se_sandbox *se_check_sandbox(lua_State *L, int index) {
  return check_state(L, index)->sandbox;
}

/* ------------------------------------------------------------------------------------- including */

/* Arguments: the program's function, the se_include. */
static int call_reader(lua_State *L) {
  se_include *include = lua_touserdata(L, 2);
  const char *text;
  size_t len;
  lua_settop(L, 1);
  lua_pushstring(L, include->name);
  lua_call(L, 1, 2);
  if (lua_type(L, 1) == LUA_TSTRING) {
    text = lua_tolstring(L, 1, &len);
    include->text = malloc(len + 1);
    include->len = len;
    if (include->text != NULL)
      memcpy(include->text, text, len);
    else
      include->no_memory = 1;
  } else if (lua_type(L, 2) == LUA_TSTRING) {
    text = lua_tolstring(L, 2, &len);
    se_printable(text, len, include->reason, sizeof include->reason);
  } else {
    snprintf(include->reason, sizeof include->reason, "there is no such file");
  }
  return 0;
}

/* Raises in neither state. load() has made room on the stack, and put the two functions there. */
int se_include_read(lua_State *host, const se_load *load, se_include *include) {
  const char *text;
  size_t len;
  int status;
  lua_pushvalue(host, load->reader);
  lua_pushvalue(host, load->reader + 1);
  lua_pushlightuserdata(host, include);
  status = lua_pcall(host, 2, 0, 0);
  if (status == LUA_ERRMEM)
    include->no_memory = 1;
  if (status != LUA_OK) {
    text = lua_type(host, -1) == LUA_TSTRING ? lua_tolstring(host, -1, &len) : NULL;
    if (text == NULL)
      snprintf(include->reason, sizeof include->reason, "reading it failed");
    else
      se_printable(text, len, include->reason, sizeof include->reason);
    lua_pop(host, 1);
  }
  return include->text != NULL;
}

/* ------------------------------------------------------------------------------------- loading */

typedef struct {
  se_load load;
  se_buffer *out;
  lua_Integer count; /* of statements in it */
} loading;

/* In the sandbox: runs the file and writes down its statements. */
static int load_in_sandbox(lua_State *L) {
  loading *l = lua_touserdata(L, 1);
  int list;
  lua_settop(L, 0);
  se_rule_words_run(L);
  list = lua_gettop(L);
  se_copy_begin(L);
  l->count = (lua_Integer)lua_rawlen(L, list);
  for (lua_Integer i = 1; i <= l->count; i++) {
    const char *file;
    int line, statement;
    lua_rawgeti(L, list, i);
    statement = lua_gettop(L);
    lua_rawgeti(L, statement, SE_STATEMENT_FILE);
    file = lua_tostring(L, -1);
    lua_rawgeti(L, statement, SE_STATEMENT_LINE);
    line = (int)lua_tointeger(L, -1);
    for (int part = SE_STATEMENT_KIND; part <= SE_STATEMENT_LINE; part++) {
      lua_rawgeti(L, statement, part);
      if (part == SE_STATEMENT_VALUE && lua_isboolean(L, -1)) { /* there is none */
        lua_pop(L, 1);
        lua_pushnil(L);
      }
      se_copy_write(L, -1, l->out, file, line);
      lua_pop(L, 1);
    }
    lua_settop(L, list);
  }
  return 0;
}

/* In the program's state: pushes the list of statements. */
static void read_statements(lua_State *L, const char *at, lua_Integer count, int functions,
                            int fields) {
  static const char *const names[] = {[SE_STATEMENT_KIND] = "kind",
                                      [SE_STATEMENT_NAME] = "name",
                                      [SE_STATEMENT_VALUE] = "value",
                                      [SE_STATEMENT_FILE] = "file",
                                      [SE_STATEMENT_LINE] = "line"};
  lua_newtable(L);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_createtable(L, 0, SE_STATEMENT_LINE);
    for (int part = SE_STATEMENT_KIND; part <= SE_STATEMENT_LINE; part++) {
      se_copy_read(L, &at, functions, fields);
      lua_setfield(L, -2, names[part]);
    }
    lua_rawseti(L, -2, i);
  }
}

static int fail_load(lua_State *L, const se_sandbox *sandbox, int reason) {
  char message[sizeof sandbox->message]; /* finalizers may use the sandbox meanwhile */
  memcpy(message, sandbox->message, sizeof message);
  if (reason == SE_REASON_CHECK_ERROR)
    return se_fail(L, SE_ERR_ARGUMENT, "%s", message);
  return se_fail(L, sandbox->system_full ? SE_ERR_MEMORY : SE_ERR_FULL, "%s", message);
}

/* Pushes a buffer that is freed whatever is raised. */
static se_buffer *push_buffer(lua_State *L) {
  se_buffer *buffer = lua_newuserdatauv(L, sizeof *buffer, 0);
  se_buffer_init(buffer, SE_COPY_MAX);
  luaL_setmetatable(L, COPIED_MT);
  return buffer;
}

static int buffer_gc(lua_State *L) {
  se_buffer_free(luaL_checkudata(L, 1, COPIED_MT));
  return 0;
}

/* load(name, text, { functions=, fields=, read= }) -> statements | nil, kind, message */
static int state_load(lua_State *L) {
  se_sandbox *sandbox = check_state(L, 1)->sandbox;
  loading l = {.out = NULL};
  size_t name_len;
  int reason;
  l.load.name = luaL_checklstring(L, 2, &name_len);
  l.load.text = luaL_checklstring(L, 3, &l.load.len);
  luaL_argcheck(L, strlen(l.load.name) == name_len, 2, "name with a zero byte");
  luaL_checktype(L, 4, LUA_TTABLE);
  luaL_argcheck(L, !sandbox->running, 1, "the state is loading a file already");
  lua_settop(L, 4);
  lua_getfield(L, 4, "functions"); /* 5 */
  luaL_argcheck(L, lua_istable(L, 5), 4, "functions: table expected");
  lua_getfield(L, 4, "fields"); /* 6 */
  luaL_argcheck(L, lua_istable(L, 6), 4, "fields: table expected");
  lua_pushcfunction(L, call_reader); /* 7 */
  lua_getfield(L, 4, "read"); /* 8 */
  luaL_argcheck(L, lua_isnil(L, 8) || lua_isfunction(L, 8), 4, "read: function expected");
  luaL_checkstack(L, 20, "rules");
  l.load.host = L;
  l.load.reader = lua_isnil(L, 8) ? 0 : 7;
  l.out = push_buffer(L); /* 9 */
  sandbox->load = &l.load;
  reason = se_sandbox_run(sandbox, load_in_sandbox, &l,
                          sandbox->limits.instructions > UINT64_MAX / SE_LOAD_INSTRUCTIONS
                              ? UINT64_MAX
                              : sandbox->limits.instructions * SE_LOAD_INSTRUCTIONS,
                          SE_LOAD_SECONDS);
  sandbox->load = NULL;
  free(l.load.included);
  if (reason != 0)
    return fail_load(L, sandbox, reason);
  se_sandbox_settle(sandbox);
  read_statements(L, se_buffer_bytes(l.out), l.count, 5, 6);
  se_buffer_free(l.out);
  return 1;
}

/* memory() -> bytes */
static int state_memory(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)se_sandbox_memory(check_state(L, 1)->sandbox));
  return 1;
}

static int state_gc(lua_State *L) {
  lstate *state = luaL_checkudata(L, 1, STATE_MT);
  se_sandbox_free(state->sandbox); /* accepts NULL */
  state->sandbox = NULL;
  return 0;
}

/* ------------------------------------------------------------------------------------- module */

/* The number under 'name' in the table at index 1, or 'otherwise'. */
static double limit(lua_State *L, const char *name, double otherwise, double least) {
  double value;
  lua_getfield(L, 1, name);
  value = lua_isnil(L, -1) ? otherwise : (double)luaL_checknumber(L, -1);
  lua_pop(L, 1);
  if (!(value >= least && value <= 1e15))
    luaL_error(L, "rule_state: %s is out of range", name);
  return value;
}

/* rule_state({ memory=, instructions=, seconds= }?) -> state | nil, kind, message. For specs there is
 * 'fail_after': so many allocations succeed, and then none until the state, or the call that is on,
 * has ended. */
static int rule_state(lua_State *L) {
  se_sandbox_limits limits;
  long fail_after;
  lstate *state;
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  limits.memory = (size_t)limit(L, "memory", 8 << 20, 1);
  limits.instructions = (uint64_t)limit(L, "instructions", 1e6, 1);
  limits.seconds = limit(L, "seconds", 0.005, 1e-6);
  fail_after = (long)limit(L, "fail_after", -1, -1);
  state = lua_newuserdatauv(L, sizeof *state, 0);
  state->sandbox = NULL;
  luaL_setmetatable(L, STATE_MT);
  state->sandbox = se_sandbox_make(&limits, fail_after);
  if (state->sandbox == NULL)
    return se_fail(L, SE_ERR_MEMORY, "no memory for a rule state");
  return 1;
}

static const luaL_Reg methods[] = {{"load", state_load}, {"memory", state_memory}, {NULL, NULL}};

void se_open_sandbox(lua_State *L) {
  if (luaL_newmetatable(L, STATE_MT)) {
    lua_pushcfunction(L, state_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, STATE_MT);
    lua_setfield(L, -2, "__metatable"); /* getmetatable() gives only the name */
  }
  luaL_newmetatable(L, COPIED_MT);
  lua_pushcfunction(L, buffer_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 2);
  lua_pushcfunction(L, rule_state);
  lua_setfield(L, -2, "rule_state");
  lua_newtable(L);
  se_verdicts_add(L);
  lua_setfield(L, -2, "verdicts");
}
