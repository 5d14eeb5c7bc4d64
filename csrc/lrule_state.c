/* lrule_state.c -- Lua binding of the sandbox: rule_state(), loading a file, memory. And the program's
 * side of an include. */
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
  int part;            /* of loading a file, that comes next; -1: begin() has to come first */
  size_t at, left;     /* statements that next() has not given: where they begin, how many */
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

/* A file is loaded in parts, so that who must not stand still can do something else in between. In
 * the user value of the state lie meanwhile: */
enum { OPTIONS_FUNCTIONS = 1, OPTIONS_FIELDS, OPTIONS_READ, FILE_NAME, FILE_TEXT, COPIED };

typedef struct {
  se_load load;
  se_buffer *out;
  size_t count; /* of statements in it */
} loading;

/* The list of statements, between two parts. Registry key (by address). */
static const char list_key = 0;

static int compile_part(lua_State *L) {
  lua_settop(L, 0);
  se_rule_words_compile(L);
  return 0;
}

static int run_part(lua_State *L) {
  lua_settop(L, 0);
  se_rule_words_run(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &list_key);
  return 0;
}

/* Writes the statement on top of the stack down. */
static void write_statement(lua_State *L, se_buffer *out) {
  int statement = lua_gettop(L);
  lua_rawgeti(L, statement, SE_STATEMENT_FILE);
  const char *file = lua_tostring(L, -1);
  lua_rawgeti(L, statement, SE_STATEMENT_LINE);
  int line = (int)lua_tointeger(L, -1);
  for (int part = SE_STATEMENT_KIND; part <= SE_STATEMENT_LINE; part++) {
    lua_rawgeti(L, statement, part);
    if (part == SE_STATEMENT_VALUE && lua_isboolean(L, -1)) { /* there is none */
      lua_pop(L, 1);
      lua_pushnil(L);
    }
    se_copy_write(L, -1, out, file, line);
    lua_pop(L, 1);
  }
  lua_settop(L, statement);
}

static int write_part(lua_State *L) {
  loading *l = lua_touserdata(L, 1);
  lua_settop(L, 0);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &list_key);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &list_key);
  se_copy_begin(L);
  l->count = (size_t)lua_rawlen(L, 1);
  for (size_t i = 1; i <= l->count; i++) {
    lua_rawgeti(L, 1, (lua_Integer)i);
    write_statement(L, l->out);
    lua_pop(L, 1);
  }
  return 0;
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

static void take_option(lua_State *L, int kept, int part, const char *name, int type) {
  lua_getfield(L, 4, name);
  if (lua_type(L, -1) != type && (type == LUA_TTABLE || !lua_isnil(L, -1)))
    luaL_argerror(L, 4, lua_pushfstring(L, "%s: %s expected", name, lua_typename(L, type)));
  lua_rawseti(L, kept, part);
}

/* begin(name, text, { functions=, fields=, read= }) */
static int state_begin(lua_State *L) {
  lstate *state = check_state(L, 1);
  size_t name_len;
  const char *name = luaL_checklstring(L, 2, &name_len);
  luaL_checkstring(L, 3);
  luaL_argcheck(L, strlen(name) == name_len, 2, "name with a zero byte");
  luaL_checktype(L, 4, LUA_TTABLE);
  luaL_argcheck(L, !state->sandbox->running, 1, "the state is loading a file already");
  lua_settop(L, 4);
  lua_createtable(L, COPIED, 0); /* 5 */
  take_option(L, 5, OPTIONS_FUNCTIONS, "functions", LUA_TTABLE);
  take_option(L, 5, OPTIONS_FIELDS, "fields", LUA_TTABLE);
  take_option(L, 5, OPTIONS_READ, "read", LUA_TFUNCTION);
  lua_pushvalue(L, 2);
  lua_rawseti(L, 5, FILE_NAME);
  lua_pushvalue(L, 3);
  lua_rawseti(L, 5, FILE_TEXT);
  push_buffer(L);
  lua_rawseti(L, 5, COPIED);
  lua_setiuservalue(L, 1, 1);
  state->part = 0;
  state->at = state->left = 0;
  return 0;
}

/* Pushes what begin() has kept, and says in *l where it is. */
static void push_kept(lua_State *L, loading *l) {
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, 1); /* 2 */
  lua_rawgeti(L, 2, FILE_NAME); /* 3 */
  lua_rawgeti(L, 2, FILE_TEXT); /* 4 */
  lua_rawgeti(L, 2, COPIED);    /* 5 */
  lua_pushcfunction(L, call_reader); /* 6 */
  lua_rawgeti(L, 2, OPTIONS_READ); /* 7 */
  luaL_checkstack(L, 20, "rules");
  memset(l, 0, sizeof *l);
  l->load.name = lua_tostring(L, 3);
  l->load.text = lua_tolstring(L, 4, &l->load.len);
  l->load.host = L;
  l->load.reader = lua_isnil(L, 7) ? 0 : 6;
  l->out = lua_touserdata(L, 5);
}

/* go_on() -> true: there is more to do | false: next() has the statements | nil, kind, message */
static int state_go_on(lua_State *L) {
  static int (*const parts[])(lua_State *) = {compile_part, run_part, write_part};
  enum { PARTS = sizeof parts / sizeof *parts };
  lstate *state = check_state(L, 1);
  se_sandbox *sandbox = state->sandbox;
  uint64_t allowed = sandbox->limits.instructions;
  loading l;
  luaL_argcheck(L, !sandbox->running, 1, "the state is loading a file already");
  luaL_argcheck(L, state->part >= 0, 1, "begin() comes first");
  push_kept(L, &l);
  if (state->part < PARTS) {
    sandbox->load = &l.load;
    int reason = se_sandbox_run(
        sandbox, parts[state->part], &l,
        allowed > UINT64_MAX / SE_LOAD_INSTRUCTIONS ? UINT64_MAX : allowed * SE_LOAD_INSTRUCTIONS,
        SE_LOAD_SECONDS);
    sandbox->load = NULL;
    free(l.load.included);
    if (reason != 0) {
      state->part = -1;
      return fail_load(L, sandbox, reason);
    }
    state->left = l.count;
  } else if (state->part == PARTS) {
    se_sandbox_settle(sandbox);
  }
  state->part++;
  lua_pushboolean(L, state->part <= PARTS);
  return 1;
}

/* next() -> statement | nil: there was no other */
static int state_next(lua_State *L) {
  static const char *const names[] = {[SE_STATEMENT_KIND] = "kind",
                                      [SE_STATEMENT_NAME] = "name",
                                      [SE_STATEMENT_VALUE] = "value",
                                      [SE_STATEMENT_FILE] = "file",
                                      [SE_STATEMENT_LINE] = "line"};
  lstate *state = check_state(L, 1);
  const size_t begins = state->at, left = state->left;
  luaL_argcheck(L, !state->sandbox->running, 1, "the state is loading a file already");
  lua_settop(L, 1);
  if (left == 0) {
    lua_pushnil(L);
    lua_setiuservalue(L, 1, 1); /* nothing of it is needed any more */
    state->part = -1;
    lua_pushnil(L);
    return 1;
  }
  lua_getiuservalue(L, 1, 1);           /* 2 */
  lua_rawgeti(L, 2, OPTIONS_FUNCTIONS); /* 3 */
  lua_rawgeti(L, 2, OPTIONS_FIELDS);    /* 4 */
  lua_rawgeti(L, 2, COPIED);            /* 5: stays, whatever a finalizer does to the state */
  const char *bytes = se_buffer_bytes(lua_touserdata(L, 5)), *at = bytes + begins;
  lua_createtable(L, 0, SE_STATEMENT_LINE);
  for (int part = SE_STATEMENT_KIND; part <= SE_STATEMENT_LINE; part++) {
    se_copy_read(L, &at, 3, 4);
    lua_setfield(L, -2, names[part]);
  }
  if (state->left == left && state->at == begins) { /* or else a finalizer has gone on */
    state->at = (size_t)(at - bytes);
    state->left--;
  }
  return 1;
}

/* load(name, text, { functions=, fields=, read= }) -> statements | nil, kind, message */
static int state_load(lua_State *L) {
  state_begin(L);
  do {
    lua_settop(L, 1);
    if (state_go_on(L) != 1)
      return 3;
  } while (lua_toboolean(L, -1));
  lua_settop(L, 1);
  lua_newtable(L);
  for (lua_Integer i = 1;; i++) {
    lua_pushcfunction(L, state_next);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1))
      break;
    lua_rawseti(L, 2, i);
  }
  lua_settop(L, 2);
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
  state = lua_newuserdatauv(L, sizeof *state, 1);
  state->sandbox = NULL;
  state->part = -1;
  state->at = state->left = 0;
  luaL_setmetatable(L, STATE_MT);
  state->sandbox = se_sandbox_make(&limits, fail_after);
  if (state->sandbox == NULL)
    return se_fail(L, SE_ERR_MEMORY, "no memory for a rule state");
  return 1;
}

static const luaL_Reg methods[] = {{"load", state_load},     {"begin", state_begin},
                                   {"go_on", state_go_on},   {"next", state_next},
                                   {"memory", state_memory}, {NULL, NULL}};

void se_open_sandbox(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", state_gc}, {NULL, NULL}};
  static const luaL_Reg copied_meta[] = {{"__gc", buffer_gc}, {NULL, NULL}};
  se_define_class(L, STATE_MT, meta, methods);
  se_define_class(L, COPIED_MT, copied_meta, NULL);
  lua_pushcfunction(L, rule_state);
  lua_setfield(L, -2, "rule_state");
  lua_newtable(L);
  se_verdicts_add(L);
  lua_setfield(L, -2, "verdicts");
}
