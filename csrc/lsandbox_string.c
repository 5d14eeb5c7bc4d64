/* lsandbox_string.c -- the string library of rules: no patterns, and each function bounded by the
 * budgets, because no hook is called while C works. Bytes count as in Lua's own; letters are those of
 * ASCII, whatever the locale. */
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "glob.h"
#include "lcore.h"
#include "lsandbox_state.h"

#define VALUES 200        /* that byte() gives at most */
#define GLOB_WORK 100000  /* steps of one glob */

/* Room for a result: 'small', or a userdata that is left on the stack. */
static char *scratch(lua_State *L, size_t size, char *small, size_t small_size) {
  if (size <= small_size)
    return small;
  se_sandbox_relieve(se_sandbox_of(L), L);
  return lua_newuserdatauv(L, size, 0);
}

/* A place counted from the end when negative; from 1. */
static lua_Integer place(lua_Integer at, size_t len) {
  if (at >= 0)
    return at;
  return (uint64_t)0 - (uint64_t)at > len ? 0 : (lua_Integer)len + at + 1;
}

static int string_len(lua_State *L) {
  size_t len;
  luaL_checklstring(L, 1, &len);
  lua_pushinteger(L, (lua_Integer)len);
  return 1;
}

/* sub(text, from, to = -1) */
static int string_sub(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_Integer from = place(luaL_checkinteger(L, 2), len), to = place(luaL_optinteger(L, 3, -1), len);
  if (from < 1)
    from = 1;
  if (to > (lua_Integer)len)
    to = (lua_Integer)len;
  if (from > to) {
    lua_pushliteral(L, "");
    return 1;
  }
  se_sandbox_spend(L, (size_t)(to - from) / 16);
  lua_pushlstring(L, text + from - 1, (size_t)(to - from) + 1);
  return 1;
}

/* byte(text, from = 1, to = from) -> numbers */
static int string_byte(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_Integer from = place(luaL_optinteger(L, 2, 1), len), to = place(luaL_optinteger(L, 3, from), len);
  if (from < 1)
    from = 1;
  if (to > (lua_Integer)len)
    to = (lua_Integer)len;
  if (from > to)
    return 0;
  luaL_argcheck(L, to - from < VALUES, 3, "more than 200 bytes");
  luaL_checkstack(L, VALUES, "byte");
  for (lua_Integer i = from; i <= to; i++)
    lua_pushinteger(L, (unsigned char)text[i - 1]);
  return (int)(to - from) + 1;
}

/* char(number, ...) -> text */
static int string_char(lua_State *L) {
  int count = lua_gettop(L);
  luaL_Buffer out;
  se_sandbox_spend(L, (size_t)count);
  luaL_buffinit(L, &out);
  for (int i = 1; i <= count; i++) {
    lua_Integer byte = luaL_checkinteger(L, i);
    luaL_argcheck(L, byte >= 0 && byte <= 255, i, "value out of range");
    luaL_addchar(&out, (char)byte);
  }
  luaL_pushresult(&out);
  return 1;
}

enum { LOWER, UPPER, REVERSE };

static int change(lua_State *L, int how) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  char small[512], *out;
  se_sandbox_spend(L, len / 8);
  out = scratch(L, len, small, sizeof small);
  for (size_t i = 0; i < len; i++) {
    char c = text[i];
    if (how == REVERSE)
      out[len - 1 - i] = c;
    else if (how == LOWER)
      out[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    else
      out[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
  }
  lua_pushlstring(L, out, len);
  return 1;
}

static int string_lower(lua_State *L) {
  return change(L, LOWER);
}

static int string_upper(lua_State *L) {
  return change(L, UPPER);
}

static int string_reverse(lua_State *L) {
  return change(L, REVERSE);
}

/* rep(text, n, separator = "") */
static int string_rep(lua_State *L) {
  size_t len, separator_len, cap = se_sandbox_of(L)->limits.memory, total;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_Integer count = luaL_checkinteger(L, 2);
  const char *separator = luaL_optlstring(L, 3, "", &separator_len);
  char small[512], *out;
  if (count <= 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  if (len + separator_len > 0 && (uint64_t)count > cap / (len + separator_len))
    return se_sandbox_too_much(L);
  if (len + separator_len == 0)
    count = 1;
  total = (len + separator_len) * (size_t)count - separator_len;
  se_sandbox_spend(L, total / 16);
  out = scratch(L, total + separator_len, small, sizeof small);
  memcpy(out, text, len);
  memcpy(out + len, separator, separator_len);
  for (size_t done = len + separator_len, more; done < total; done += more) { /* twice as much each */
    more = done < total + separator_len - done ? done : total + separator_len - done;
    memcpy(out + done, out, more);
  }
  lua_pushlstring(L, out, total);
  return 1;
}

#if LUA_VERSION_NUM >= 504
/* Up to 5.3 texts that are numbers can be reckoned with; from 5.4 on that is a matter of their
 * metatable. */
static void push_number_of(lua_State *L, int index) {
  size_t len;
  const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &len) : NULL;
  if (lua_type(L, index) == LUA_TNUMBER)
    lua_pushvalue(L, index);
  else if (text == NULL || len > 400 || lua_stringtonumber(L, text) != len + 1)
    luaL_error(L, "attempt to perform arithmetic on a %s value", luaL_typename(L, index));
}

static int reckon(lua_State *L) {
  int operation = (int)lua_tointeger(L, lua_upvalueindex(1));
  lua_settop(L, 2);
  push_number_of(L, 1);
  if (operation != LUA_OPUNM)
    push_number_of(L, 2);
  lua_arith(L, operation);
  return 1;
}

void se_sandbox_add_arithmetic(lua_State *L) {
  static const struct {
    const char *name;
    int operation;
  } all[] = {{"__add", LUA_OPADD}, {"__sub", LUA_OPSUB},   {"__mul", LUA_OPMUL},
             {"__div", LUA_OPDIV}, {"__mod", LUA_OPMOD},   {"__pow", LUA_OPPOW},
             {"__unm", LUA_OPUNM}, {"__idiv", LUA_OPIDIV}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    lua_pushinteger(L, all[i].operation);
    lua_pushcclosure(L, reckon, 1);
    lua_setfield(L, -2, all[i].name);
  }
}
#else
void se_sandbox_add_arithmetic(lua_State *L) {
  (void)L;
}
#endif

/* ------------------------------------------------------------------------------------- looking */

/* Where 'what' first lies in the text, or NULL. Each place where it might begin is work. */
static const char *search(lua_State *L, const char *text, size_t len, const char *what,
                          size_t what_len) {
  const char *end = text + len;
  se_sandbox_spend(L, len / 16);
  if (what_len == 0)
    return text;
  while ((size_t)(end - text) >= what_len) {
    text = memchr(text, what[0], (size_t)(end - text) - what_len + 1);
    if (text == NULL)
      return NULL;
    se_sandbox_spend(L, 1 + what_len / 16);
    if (memcmp(text, what, what_len) == 0)
      return text;
    text++;
  }
  return NULL;
}

/* find(text, what, from = 1) -> first byte, last byte | nil: always plain */
static int string_find(lua_State *L) {
  size_t len, what_len;
  const char *text = luaL_checklstring(L, 1, &len), *what = luaL_checklstring(L, 2, &what_len);
  lua_Integer from = place(luaL_optinteger(L, 3, 1), len);
  const char *found;
  if (from < 1)
    from = 1;
  found = from > (lua_Integer)len + 1
              ? NULL
              : search(L, text + from - 1, len - (size_t)(from - 1), what, what_len);
  if (found == NULL) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushinteger(L, (lua_Integer)(found - text) + 1);
  lua_pushinteger(L, (lua_Integer)(found - text) + (lua_Integer)what_len);
  return 2;
}

static int string_contains(lua_State *L) {
  size_t len, what_len;
  const char *text = luaL_checklstring(L, 1, &len), *what = luaL_checklstring(L, 2, &what_len);
  lua_pushboolean(L, search(L, text, len, what, what_len) != NULL);
  return 1;
}

static int begins_or_ends(lua_State *L, int at_end) {
  size_t len, what_len;
  const char *text = luaL_checklstring(L, 1, &len), *what = luaL_checklstring(L, 2, &what_len);
  se_sandbox_spend(L, what_len / 16);
  lua_pushboolean(L, what_len <= len && memcmp(text + (at_end ? len - what_len : 0), what,
                                               what_len) == 0);
  return 1;
}

static int string_starts_with(lua_State *L) {
  return begins_or_ends(L, 0);
}

static int string_ends_with(lua_State *L) {
  return begins_or_ends(L, 1);
}

/* glob(text, pattern) -> boolean */
static int string_glob(lua_State *L) {
  size_t len, pattern_len, work, steps = GLOB_WORK;
  const char *text = luaL_checklstring(L, 1, &len), *pattern = luaL_checklstring(L, 2, &pattern_len);
  work = pattern_len > 0 && len > GLOB_WORK / pattern_len ? GLOB_WORK : len * pattern_len;
  se_sandbox_spend(L, 1 + work / 16);
  lua_pushboolean(L, se_glob(pattern, pattern_len, text, len, &steps) == 1);
  return 1;
}

/* ------------------------------------------------------------------------------------- format */

/* A conversion as it was written, checked: "%-5.2" and its letter. */
typedef struct {
  char spec[16];
  size_t len;
  char letter;
} conversion;

static size_t digits(const char *text, size_t len) {
  size_t count = 0;
  while (count < len && text[count] >= '0' && text[count] <= '9')
    count++;
  return count;
}

/* Reads what follows a '%'. Returns the bytes read; raises for what is not known. */
static size_t read_conversion(lua_State *L, const char *text, size_t len, conversion *c) {
  size_t at = 0, width, precision = 0;
  while (at < len && at < 5 && text[at] != '\0' && strchr("-+ #0", text[at]) != NULL)
    at++;
  width = digits(text + at, len - at);
  at += width;
  if (at < len && text[at] == '.') {
    precision = digits(text + at + 1, len - at - 1);
    at += 1 + precision;
  }
  if (width > 2 || precision > 2 || at >= len || at > 10)
    luaL_error(L, "invalid conversion in 'format'");
  c->spec[0] = '%';
  memcpy(c->spec + 1, text, at);
  c->len = at + 1;
  c->letter = text[at];
  return at + 1;
}

/* The point of the program's locale is no business of a rule. */
static void plain_point(char *text) {
  const char *point = localeconv()->decimal_point;
  char *found;
  if (point[0] != '.' && point[0] != '\0' && point[1] == '\0' && (found = strchr(text, point[0])))
    *found = '.';
}

static int64_t check_whole(lua_State *L, int argument) {
  double value = (double)luaL_checknumber(L, argument);
  if (lua_isinteger(L, argument))
    return se_to_int64(L, argument);
  luaL_argcheck(L, floor(value) == value && fabs(value) < 9223372036854775808.0, argument,
                "number has no integer representation");
  return (int64_t)value;
}

static void finish_spec(conversion *c, const char *ending) {
  memcpy(c->spec + c->len, ending, strlen(ending) + 1);
}

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* read_conversion has checked it */
#endif

static void add_number(lua_State *L, luaL_Buffer *out, conversion *c, int argument) {
  char text[512]; /* %.99f of the largest double has 409 bytes */
  char ending[8];
  if (strchr("diouxX", c->letter) != NULL) {
    snprintf(ending, sizeof ending, "ll%c", c->letter);
    finish_spec(c, ending);
    snprintf(text, sizeof text, c->spec, (long long)check_whole(L, argument));
  } else {
    snprintf(ending, sizeof ending, "%c", c->letter);
    finish_spec(c, ending);
    snprintf(text, sizeof text, c->spec, (double)luaL_checknumber(L, argument));
    plain_point(text);
  }
  luaL_addstring(out, text);
}

static void add_text(lua_State *L, luaL_Buffer *out, conversion *c, int argument, size_t *total) {
  size_t len;
  const char *text;
  char padded[128];
  luaL_checkany(L, argument);
  if (c->len > 1 && strchr("+ #0", c->spec[1]) != NULL)
    luaL_error(L, "invalid conversion in 'format'"); /* flags that C leaves undefined */
  text = se_sandbox_text(L, argument, &len);
  *total += len;
  se_sandbox_room(L, *total);
  se_sandbox_spend(L, len / 16);
  if (c->len == 1 || (strchr(c->spec, '.') == NULL && len >= 100)) {
    luaL_addvalue(out);
    return;
  }
  luaL_argcheck(L, memchr(text, '\0', len) == NULL, argument, "text with a zero byte");
  finish_spec(c, "s");
  snprintf(padded, sizeof padded, c->spec, text); /* at most 99 bytes, by width or precision */
  lua_pop(L, 1);
  luaL_addstring(out, padded);
}

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/* format(text, ...): %d %i %u %o %x %X %e %E %f %F %g %G %c %s %%; width and precision to 99 */
static int string_format(lua_State *L) {
  size_t len, total = 0;
  const char *text = luaL_checklstring(L, 1, &len), *end = text + len;
  int argument = 1;
  luaL_Buffer out;
  se_sandbox_spend(L, len / 8);
  luaL_buffinit(L, &out);
  while (text < end) {
    conversion c;
    if (*text != '%') {
      luaL_addchar(&out, *text++);
      continue;
    }
    text++;
    text += read_conversion(L, text, (size_t)(end - text), &c);
    c.spec[c.len] = '\0';
    if (c.letter == '%' && c.len == 1) {
      luaL_addchar(&out, '%');
      continue;
    }
    se_sandbox_spend(L, 8);
    argument++;
    if (c.letter == 's')
      add_text(L, &out, &c, argument, &total);
    else if (c.letter == 'c')
      luaL_addchar(&out, (char)check_whole(L, argument));
    else if (c.letter != '\0' && strchr("diouxXeEfFgG", c.letter) != NULL)
      add_number(L, &out, &c, argument);
    else
      return luaL_error(L, "invalid conversion in 'format'");
  }
  luaL_pushresult(&out);
  return 1;
}

static const luaL_Reg functions[] = {
    {"byte", string_byte},     {"char", string_char},       {"contains", string_contains},
    {"ends_with", string_ends_with}, {"find", string_find}, {"format", string_format},
    {"glob", string_glob},     {"len", string_len},         {"lower", string_lower},
    {"rep", string_rep},       {"reverse", string_reverse}, {"starts_with", string_starts_with},
    {"sub", string_sub},       {"upper", string_upper},     {NULL, NULL}};

void se_sandbox_push_string(lua_State *L) {
  luaL_newlib(L, functions);
}
