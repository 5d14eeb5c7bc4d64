/* lsandbox_utf8.c -- characters for rules: the utf8 library, the same on every Lua. Strict: what is
 * no UTF-8 by RFC 3629 has no characters. */
#include <string.h>

#include "lcore.h"
#include "lsandbox_state.h"
#include "utf8.h"

static size_t put_character(uint32_t code, char *out) {
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  if (code < 0x800) {
    out[0] = (char)(0xc0 | code >> 6);
    out[1] = (char)(0x80 | (code & 63));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = (char)(0xe0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 63));
    out[2] = (char)(0x80 | (code & 63));
    return 3;
  }
  out[0] = (char)(0xf0 | code >> 18);
  out[1] = (char)(0x80 | (code >> 12 & 63));
  out[2] = (char)(0x80 | (code >> 6 & 63));
  out[3] = (char)(0x80 | (code & 63));
  return 4;
}

/* char(code, ...) -> text */
static int utf8_char(lua_State *L) {
  int count = lua_gettop(L);
  luaL_Buffer out;
  se_sandbox_spend(L, (size_t)count);
  luaL_buffinit(L, &out);
  for (int i = 1; i <= count; i++) {
    lua_Integer code = luaL_checkinteger(L, i);
    char bytes[4];
    luaL_argcheck(L, code >= 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff), i,
                  "no character");
    luaL_addlstring(&out, bytes, put_character((uint32_t)code, bytes));
  }
  luaL_pushresult(&out);
  return 1;
}

/* Bytes of the character at 'at', whose code goes to *code; 0: there is none. */
static size_t read_character(const char *text, size_t len, size_t at, uint32_t *code) {
  const unsigned char *bytes = (const unsigned char *)text + at;
  size_t size = bytes[0] < 0x80 ? 1 : bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
  if (size > len - at || se_utf8_valid(text + at, size) != size)
    return 0;
  *code = size == 1 ? bytes[0] : bytes[0] & (0x7fu >> size);
  for (size_t i = 1; i < size; i++)
    *code = *code << 6 | (bytes[i] & 63u);
  return size;
}

/* A place counted from the end when negative; from 1. */
static lua_Integer place(lua_Integer at, size_t len) {
  if (at >= 0)
    return at;
  return (uint64_t)0 - (uint64_t)at > len ? 0 : (lua_Integer)len + at + 1;
}

/* len(text, from = 1, to = -1) -> characters | nil, byte of the first bad one */
static int utf8_len(lua_State *L) {
  size_t len, used;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_Integer from = place(luaL_optinteger(L, 2, 1), len), to = place(luaL_optinteger(L, 3, -1), len);
  lua_Integer count = 0;
  uint32_t code;
  luaL_argcheck(L, from >= 1 && from <= (lua_Integer)len + 1, 2, "out of bounds");
  luaL_argcheck(L, to <= (lua_Integer)len, 3, "out of bounds");
  se_sandbox_spend(L, len / 4);
  for (from--; from < to; from += (lua_Integer)used, count++) {
    used = read_character(text, len, (size_t)from, &code);
    if (used == 0) {
      lua_pushnil(L);
      lua_pushinteger(L, from + 1);
      return 2;
    }
    if (count % 4096 == 4095)
      se_sandbox_tick(L);
  }
  lua_pushinteger(L, count);
  return 1;
}

/* codepoint(text, from = 1, to = from) -> codes */
static int utf8_codepoint(lua_State *L) {
  size_t len, used;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_Integer from = place(luaL_optinteger(L, 2, 1), len), to = place(luaL_optinteger(L, 3, from), len);
  int count = 0;
  uint32_t code;
  luaL_argcheck(L, from >= 1, 2, "out of bounds");
  luaL_argcheck(L, to <= (lua_Integer)len, 3, "out of bounds");
  luaL_argcheck(L, to - from < 200, 3, "more than 200 bytes");
  luaL_checkstack(L, 200, "codepoint");
  for (from--; from < to; from += (lua_Integer)used, count++) {
    used = read_character(text, len, (size_t)from, &code);
    if (used == 0)
      return luaL_error(L, "invalid UTF-8");
    lua_pushinteger(L, (lua_Integer)code);
  }
  return count;
}

static int is_continuation(const char *text, size_t len, lua_Integer at) {
  return at >= 0 && (size_t)at < len && ((unsigned char)text[at] & 0xc0) == 0x80;
}

/* offset(text, n, from?) -> byte of the n-th character counted from there, or nil */
static int utf8_offset(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_Integer n = luaL_checkinteger(L, 2);
  lua_Integer at = place(luaL_optinteger(L, 3, n > 0 ? 1 : (lua_Integer)len + 1), len) - 1;
  luaL_argcheck(L, at >= 0 && at <= (lua_Integer)len, 3, "out of bounds");
  se_sandbox_spend(L, len / 8);
  if (n == 0) {
    while (at > 0 && is_continuation(text, len, at))
      at--;
    lua_pushinteger(L, at + 1);
    return 1;
  }
  if (is_continuation(text, len, at))
    return luaL_error(L, "the place is within a character");
  for (; n < 0 && at > 0; n++) {
    do
      at--;
    while (at > 0 && is_continuation(text, len, at));
  }
  for (n -= n > 0; n > 0 && at < (lua_Integer)len; n--) {
    do
      at++;
    while (is_continuation(text, len, at));
  }
  if (n == 0)
    lua_pushinteger(L, at + 1);
  else
    lua_pushnil(L);
  return 1;
}

static int codes_step(lua_State *L) {
  size_t len, at, used;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_Integer before = luaL_checkinteger(L, 2);
  uint32_t code;
  se_sandbox_spend(L, 1);
  at = before < 0 ? 0 : (size_t)before;
  for (; at > 0 && is_continuation(text, len, (lua_Integer)at); at++)
    if (at % 64 == 0)
      se_sandbox_spend(L, 8); /* a text that a rule has made may hold nothing else */
  if (at >= len)
    return 0;
  used = read_character(text, len, at, &code);
  if (used == 0)
    return luaL_error(L, "invalid UTF-8");
  lua_pushinteger(L, (lua_Integer)at + 1);
  lua_pushinteger(L, (lua_Integer)code);
  return 2;
}

/* codes(text): for place, code in utf8.codes(text) */
static int utf8_codes(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_pushcfunction(L, codes_step);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

static const luaL_Reg functions[] = {
    {"char", utf8_char},     {"codepoint", utf8_codepoint}, {"codes", utf8_codes},
    {"len", utf8_len},       {"offset", utf8_offset},       {NULL, NULL}};

void se_sandbox_push_utf8(lua_State *L) {
  luaL_newlib(L, functions);
}
