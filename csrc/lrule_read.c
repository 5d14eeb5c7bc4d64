/* lrule_read.c -- reads the pieces of a description of rules: texts, words, numbers, lists. */
#include "lrule_read.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "status.h"

/* Pushes a field of the table on top of the stack; its type. */
int se_reader_get(const se_reader *r, const char *key) {
  lua_pushstring(r->L, key);
  return lua_rawget(r->L, -2);
}

void se_reader_wrong(const se_reader *r, const char *key, const char *what) {
  luaL_error(r->L, "rule set: '%s' must be %s", key, what);
}

void *se_reader_room(const se_reader *r, size_t count, size_t size) {
  void *memory = se_rule_set_alloc(r->set, count, size);
  if (memory == NULL)
    luaL_error(r->L, "not enough memory");
  return memory;
}

/* Copies the string on top of the stack, which stays. */
se_slice se_reader_copy(const se_reader *r, const char *key) {
  se_slice out = {NULL, 0};
  size_t len;
  if (lua_type(r->L, -1) != LUA_TSTRING)
    se_reader_wrong(r, key, "a string");
  const char *text = lua_tolstring(r->L, -1, &len);
  if (se_rule_set_copy(r->set, text, len, &out) != SE_OK)
    luaL_error(r->L, "not enough memory");
  return out;
}

/* A string, or nil: then NULL. */
se_slice se_reader_string(const se_reader *r, const char *key) {
  se_slice out = {NULL, 0};
  if (se_reader_get(r, key) != LUA_TNIL)
    out = se_reader_copy(r, key);
  lua_pop(r->L, 1);
  return out;
}

/* The index of a word in a list; 'otherwise' for nil. */
int se_reader_word(const se_reader *r, const char *key, const char *const *words, int otherwise) {
  int found = otherwise;
  if (se_reader_get(r, key) != LUA_TNIL) {
    const char *word = lua_type(r->L, -1) == LUA_TSTRING ? lua_tostring(r->L, -1) : "";
    for (found = 0; words[found] != NULL && strcmp(words[found], word) != 0; found++) {}
    if (words[found] == NULL)
      se_reader_wrong(r, key, "one of its words");
  }
  lua_pop(r->L, 1);
  return found;
}

int se_reader_flag(const se_reader *r, const char *key) {
  se_reader_get(r, key);
  int yes = lua_toboolean(r->L, -1);
  lua_pop(r->L, 1);
  return yes;
}

/* The number on top of the stack. */
se_rule_number se_reader_top_number(const se_reader *r, const char *key) {
  se_rule_number out = {0, 0, 0};
  if (lua_type(r->L, -1) != LUA_TNUMBER)
    se_reader_wrong(r, key, "a number");
  out.is_integer = lua_isinteger(r->L, -1);
  if (out.is_integer)
    out.integer = se_to_int64(r->L, -1);
  else
    out.real = (double)lua_tonumber(r->L, -1);
  if (isnan(out.real))
    se_reader_wrong(r, key, "a number");
  return out;
}

/* Whether there is one. */
int se_reader_number(const se_reader *r, const char *key, se_rule_number *out) {
  int given = se_reader_get(r, key) != LUA_TNIL;
  if (given)
    *out = se_reader_top_number(r, key);
  lua_pop(r->L, 1);
  return given;
}

double se_reader_double(const se_rule_number *n) {
  return n->is_integer ? (double)n->integer : n->real;
}

/* A bound of what is counted. */
size_t se_reader_size(const se_rule_number *n, int up) {
  double real = se_reader_double(n);
  if (real <= 0)
    return 0;
  if (real >= 9e15)
    return SIZE_MAX;
  return (size_t)(up ? ceil(real) : floor(real));
}

/* The length of the list in a field, which is pushed (nil: 0). */
size_t se_reader_list(const se_reader *r, const char *key) {
  int type = se_reader_get(r, key);
  if (type != LUA_TNIL && type != LUA_TTABLE)
    se_reader_wrong(r, key, "a list");
  return type == LUA_TNIL ? 0 : (size_t)lua_rawlen(r->L, -1);
}

se_rule_names se_reader_names(const se_reader *r, const char *key) {
  se_rule_names names = {NULL, 0, 0};
  size_t count = se_reader_list(r, key);
  names.at = se_reader_room(r, count, sizeof *names.at);
  for (size_t i = 1; i <= count; i++) {
    lua_rawgeti(r->L, -1, (lua_Integer)i);
    names.at[names.count++] = se_reader_copy(r, key);
    lua_pop(r->L, 1);
  }
  lua_pop(r->L, 1);
  se_rule_names_sort(&names, NULL);
  return names;
}
