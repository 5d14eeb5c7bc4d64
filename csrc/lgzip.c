/* lgzip.c -- Lua binding of gzip. */
#include "gzip.h"
#include "lcore.h"
#include "status.h"

#define OUTPUT_MT "stream_events.gzip_output"
#define MOST ((size_t)1 << 30) /* bytes that come out, whatever the caller allows */

/* Serves __gc, and the end of each call. */
static int output_free(lua_State *L) {
  se_buffer_free(luaL_checkudata(L, 1, OUTPUT_MT));
  return 0;
}

/* Pushes an object that owns the bytes: the push of the result may raise. */
static se_buffer *push_output(lua_State *L, size_t limit) {
  se_buffer *out = lua_newuserdatauv(L, sizeof *out, 0);
  se_buffer_init(out, limit);
  luaL_setmetatable(L, OUTPUT_MT);
  return out;
}

static int finish(lua_State *L, se_buffer *out) {
  lua_pushlstring(L, se_buffer_bytes(out), se_buffer_length(out));
  se_buffer_free(out);
  return 1;
}

/* gzip(data) -> bytes */
static int gzip_compress(lua_State *L) {
  size_t len;
  const char *data = luaL_checklstring(L, 1, &len);
  se_buffer *out = push_output(L, MOST);
  if (se_gzip(data, len, out) != SE_OK) {
    se_buffer_free(out);
    return luaL_error(L, "not enough memory");
  }
  return finish(L, out);
}

/* gunzip(bytes, limit) -> data | nil, kind, message */
static int gzip_expand(lua_State *L) {
  size_t len;
  const char *data = luaL_checklstring(L, 1, &len);
  lua_Number limit = luaL_checknumber(L, 2);
  luaL_argcheck(L, limit >= 0 && limit <= (lua_Number)MOST, 2, "must be 0 to 2^30");
  se_buffer *out = push_output(L, (size_t)limit);
  int status = se_gunzip(data, len, out);
  if (status == SE_OK)
    return finish(L, out);
  se_buffer_free(out);
  switch (status) {
    case SE_ERR_FULL:
      return se_fail(L, status, "there is more in it than %d bytes", se_small((uint64_t)limit));
    case SE_ERR_MEMORY: return se_fail(L, status, "not enough memory");
    default: return se_fail(L, status, "not valid gzip");
  }
}

static const luaL_Reg output_meta[] = {{"__gc", output_free}, {NULL, NULL}};
static const luaL_Reg functions[] = {
    {"gzip", gzip_compress}, {"gunzip", gzip_expand}, {NULL, NULL}};

void se_open_gzip(lua_State *L) {
  se_define_class(L, OUTPUT_MT, output_meta, NULL);
  luaL_setfuncs(L, functions, 0);
}
