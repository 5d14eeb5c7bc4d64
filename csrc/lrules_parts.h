/* lrules_parts.h -- what the two files of the rules' binding share. */
#ifndef SE_LRULES_PARTS_H
#define SE_LRULES_PARTS_H

#include "lrules.h"

struct lrules {
  se_rules *rules; /* NULL only while it is being made, and after __gc */
  int is_observed;
};

/* Pushes an empty keeper of changed texts (lrules.c). */
void se_push_keeper(lua_State *L);
void se_open_keeper(lua_State *L);

/* Into the table on top of the stack; an empty string is left out. */
static inline void se_set_string(lua_State *L, const char *key, const char *value) {
  if (value == NULL || value[0] == '\0')
    return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

static inline void se_set_number(lua_State *L, const char *key, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, key);
}

static inline void se_set_integer(lua_State *L, const char *key, uint64_t value) {
  se_push_int64(L, (int64_t)value);
  lua_setfield(L, -2, key);
}

#endif
