/* lrule_verdict.c -- the values a rule's function answers with, in the rules' own state as in a
 * program's. A userdata each: nothing else can be taken for one. */
#include "lrule_verdict.h"

#include "lfrozen.h"

/* Registry keys (by address): the metatable, the five words. */
static const char verdict_key = 0, words_key = 0;

const se_verdict_word *se_verdict_at(lua_State *L, int index) {
  int same;
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
    return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &verdict_key);
  same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? lua_touserdata(L, index) : NULL;
}

void se_verdict_push_value(lua_State *L, int index) {
  lua_getiuservalue(L, index, 1);
  if (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
}

static void push_word(lua_State *L, int verdict, int form) {
  se_verdict_word *word = lua_newuserdatauv(L, sizeof *word, 1);
  word->verdict = verdict;
  word->form = form;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &verdict_key);
  lua_setmetatable(L, -2);
}

/* Whether the value at 'index' can be the data of a rewrite. */
static int is_data(lua_State *L, int index) {
  if (lua_istable(L, index))
    return 1;
  if (!se_frozen_table(L, index))
    return 0;
  lua_pop(L, 1);
  return 1;
}

/* drop "text", rewrite { ... }. What it was called with goes into a table, as 5.1 can hold nothing
 * else there. */
static int verdict_call(lua_State *L) {
  const se_verdict_word *word = se_verdict_at(L, 1);
  int form = SE_WORD_CALLED;
  if (word == NULL)
    return luaL_argerror(L, 1, "verdict expected");
  const char *name = se_verdict_name(word->verdict);
  lua_settop(L, 2);
  if (word->form != SE_WORD_BARE) {
    lua_pushfstring(L, "%s is called twice", name);
    form = SE_WORD_WRONG;
  } else if (word->verdict == SE_VERDICT_ALLOW) {
    lua_pushliteral(L, "allow takes nothing");
    form = SE_WORD_WRONG;
  } else if (word->verdict == SE_VERDICT_REWRITE && !is_data(L, 2)) {
    lua_pushliteral(L, "rewrite takes the new data: rewrite { ... }");
    form = SE_WORD_WRONG;
  } else if (word->verdict != SE_VERDICT_REWRITE && lua_type(L, 2) != LUA_TSTRING) {
    lua_pushfstring(L, "%s takes a text: %s \"...\"", name, name);
    form = SE_WORD_WRONG;
  }
  push_word(L, word->verdict, form);
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, form == SE_WORD_WRONG ? 3 : 2);
  lua_rawseti(L, -2, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

static int verdict_tostring(lua_State *L) {
  const se_verdict_word *word = se_verdict_at(L, 1);
  lua_pushstring(L, word == NULL ? "verdict" : se_verdict_name(word->verdict));
  return 1;
}

static int verdict_newindex(lua_State *L) {
  return luaL_error(L, "verdicts are read-only");
}

static const luaL_Reg meta[] = {{"__call", verdict_call},
                                {"__tostring", verdict_tostring},
                                {"__newindex", verdict_newindex},
                                {NULL, NULL}};

/* Pushes the table of the five words, which is made once. */
static void push_words(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &words_key);
  if (!lua_isnil(L, -1))
    return;
  lua_pop(L, 1);
  lua_newtable(L);
  luaL_setfuncs(L, meta, 0);
  lua_pushliteral(L, "stream_events.verdict");
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__name");
  lua_setfield(L, -2, "__metatable"); /* getmetatable() gives only the name */
  lua_rawsetp(L, LUA_REGISTRYINDEX, &verdict_key);
  lua_createtable(L, 0, 5);
  for (int verdict = SE_VERDICT_ALLOW; verdict <= SE_VERDICT_DROP; verdict++) {
    push_word(L, verdict, SE_WORD_BARE);
    lua_setfield(L, -2, se_verdict_name(verdict));
  }
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &words_key);
}

void se_verdicts_add(lua_State *L) {
  push_words(L);
  for (int verdict = SE_VERDICT_ALLOW; verdict <= SE_VERDICT_DROP; verdict++) {
    lua_getfield(L, -1, se_verdict_name(verdict));
    lua_setfield(L, -3, se_verdict_name(verdict));
  }
  lua_pop(L, 1);
}
