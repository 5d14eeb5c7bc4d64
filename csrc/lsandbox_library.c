/* lsandbox_library.c -- the environment of rules: exactly the names that are listed here and in the
 * files it takes them from, and all of it read-only.
 *
 * A rule's globals are an empty table, so that reading and writing any name goes through its
 * metatable. Libraries are userdata in front of their tables. There is nothing in here that could
 * show a metatable, or get at a table past one. */
#include <string.h>

#include "lcore.h"
#include "lrule_verdict.h"
#include "lrule_words.h"
#include "lsandbox_state.h"

/* Registry keys (by address): the table of globals; functions by their reference. */
static const char globals_key = 0, functions_key = 0;

/* ------------------------------------------------------------------------------------- names */

#define LONGEST 24 /* of a name that is compared with others */

static int least(int a, int b, int c) {
  int ab = a < b ? a : b;
  return ab < c ? ab : c;
}

/* How many letters must be changed, added, left out, or exchanged with their neighbour. */
static int distance(const char *a, size_t a_len, const char *b, size_t b_len) {
  int row[3][LONGEST + 1], *before = row[0], *above = row[1], *now = row[2];
  for (size_t j = 0; j <= b_len; j++)
    above[j] = (int)j;
  for (size_t i = 1; i <= a_len; i++) {
    int *next = before;
    now[0] = (int)i;
    for (size_t j = 1; j <= b_len; j++) {
      now[j] = least(above[j] + 1, now[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] < now[j])
        now[j] = before[j - 2] + 1;
    }
    before = above;
    above = now;
    now = next;
  }
  return above[b_len];
}

/* Pushes the name in the table 'names' that is most like this one, or nil. */
static void push_likely(lua_State *L, int names, const char *name, size_t len) {
  int best = len < 4 ? 2 : 3, found = 0, holder;
  lua_pushnil(L);
  holder = lua_gettop(L);
  lua_pushnil(L);
  while (len <= LONGEST && lua_next(L, names) != 0) {
    size_t other_len;
    const char *other;
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      continue;
    other = lua_tolstring(L, -1, &other_len);
    if (other_len > LONGEST)
      continue;
    int far = distance(name, len, other, other_len);
    if (far < best || (far == best && found && strcmp(other, lua_tostring(L, holder)) < 0)) {
      best = far;
      found = 1;
      lua_pushvalue(L, -1);
      lua_replace(L, holder);
    }
  }
  lua_settop(L, holder);
}

/* __index of what has not the name. Upvalues: what stands before it, the names there are. */
static int unknown_name(lua_State *L) {
  const char *prefix = lua_tostring(L, lua_upvalueindex(1));
  const char *name;
  size_t len;
  lua_settop(L, 2);
  if (lua_type(L, 2) != LUA_TSTRING) {
    lua_pushnil(L);
    return 1;
  }
  name = lua_tolstring(L, 2, &len);
  if (len > 100)
    return luaL_error(L, "unknown name");
  lua_pushvalue(L, lua_upvalueindex(2));
  push_likely(L, 3, name, len);
  if (lua_isnil(L, -1))
    return luaL_error(L, "unknown name '%s%s'", prefix, name);
  return luaL_error(L, "unknown name '%s%s': did you mean '%s%s'?", prefix, name, prefix,
                    lua_tostring(L, -1));
}

static int write_global(lua_State *L) {
  if (lua_type(L, 2) == LUA_TSTRING && lua_rawlen(L, 2) <= 100)
    return luaL_error(L, "'%s' is set as a global: make it local", lua_tostring(L, 2));
  return luaL_error(L, "globals are read-only");
}

static int write_library(lua_State *L) {
  return luaL_error(L, "libraries are read-only");
}

/* ------------------------------------------------------------------------------------- tables */

/* Sets what is found where the table on top of the stack has not the name. */
static void refuse_others(lua_State *L, const char *prefix) {
  lua_createtable(L, 0, 1);
  lua_pushstring(L, prefix);
  lua_pushvalue(L, -3);
  lua_pushcclosure(L, unknown_name, 2);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

/* Puts a read-only value in front of the table on top of the stack, and in its place. */
static void freeze_library(lua_State *L, lua_CFunction call) {
  lua_newuserdatauv(L, 1, 0);
  lua_createtable(L, 0, 3);
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, write_library);
  lua_setfield(L, -2, "__newindex");
  if (call != NULL) {
    lua_pushcfunction(L, call);
    lua_setfield(L, -2, "__call");
  }
  lua_setmetatable(L, -2);
  lua_remove(L, -2);
}

/* Adds a library to the table at 'words'. */
static void add_library(lua_State *L, int words, const char *name, const char *prefix,
                        void (*push)(lua_State *L)) {
  push(L);
  refuse_others(L, prefix);
  freeze_library(L, NULL);
  lua_setfield(L, words, name);
}

/* 'string' is the library, the constructor of fields, and what ("x"):len() finds. */
static void add_string(lua_State *L, se_sandbox *sandbox, int words) {
  se_sandbox_push_string(L);
  refuse_others(L, "string.");
  lua_pushliteral(L, "");
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  se_sandbox_add_arithmetic(L);
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
  freeze_library(L, se_word_string);
  sandbox->string_word = lua_touserdata(L, -1);
  lua_setfield(L, words, "string");
}

/* Long texts in a luaL_Buffer have a metatable that Lua makes when it first needs it. Were memory to
 * run out in the middle of that, it would stay half made for ever. */
static void warm_buffers(lua_State *L) {
  static const char piece[256] = {0};
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  for (size_t len = 0; len <= (size_t)LUAL_BUFFERSIZE; len += sizeof piece)
    luaL_addlstring(&buffer, piece, sizeof piece);
  luaL_pushresult(&buffer);
  lua_pop(L, 1);
}

int se_sandbox_open_library(lua_State *L) {
  se_sandbox *sandbox = se_sandbox_of(L);
  int words;
  lua_settop(L, 0);
  warm_buffers(L);
  se_open_json(L); /* for what events and rewrites are made of */
  se_open_event(L);
  lua_settop(L, 0);
  se_sandbox_push_base(L);
  words = lua_gettop(L);
  add_string(L, sandbox, words);
  add_library(L, words, "math", "math.", se_sandbox_push_math);
  add_library(L, words, "table", "table.", se_sandbox_push_table);
  add_library(L, words, "utf8", "utf8.", se_sandbox_push_utf8);
  se_rule_words_add(L);
  se_verdicts_add(L);
  refuse_others(L, "");

  lua_newtable(L); /* the globals */
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, words);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, write_global);
  lua_setfield(L, -2, "__newindex");
  lua_setmetatable(L, -2);
  sandbox->globals = lua_topointer(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &globals_key);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &functions_key);
  return 0;
}

void se_sandbox_push_globals(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key);
}

void se_sandbox_push_functions(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &functions_key);
}
