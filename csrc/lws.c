/* lws.c -- Lua binding of WebSocket framing and of the opening handshake's pure parts.
 *
 * For specs, and for programs that bring their own sockets; the client's own connections use the
 * plain C parts directly. */
#include <string.h>

#include "buffer.h"
#include "lcore.h"
#include "status.h"
#include "upgrade.h"
#include "ws.h"

#define WS_MT "stream_events.ws"
#define BUFFER_MT "stream_events.buffer" /* of a block that must not outlive an error */
#define DEFAULT_LIMIT (1024 * 1024) /* bytes of a message, and of what waits to be sent */
#define KEEP 4096                   /* bytes of an empty output buffer that are kept */

typedef struct {
  se_ws ws;
  se_buffer out;
  se_buffer rest; /* received, and not yet read because 'out' was full */
  int blocked;
} lws;

static lws *check_ws(lua_State *L) {
  return luaL_checkudata(L, 1, WS_MT);
}

static size_t check_limit(lua_State *L, int index) {
  lua_Integer limit = luaL_optinteger(L, index, DEFAULT_LIMIT);
  luaL_argcheck(L, limit > 0, index, "must be positive");
  return (size_t)limit;
}

static void set_kind(lua_State *L, const char *kind) {
  lua_pushstring(L, kind);
  lua_setfield(L, -2, "kind");
}

static void set_code(lua_State *L, lua_Integer code) {
  lua_pushinteger(L, code);
  lua_setfield(L, -2, "code");
}

static const char *kind_of(int opcode) {
  switch (opcode) {
    case SE_WS_TEXT: return "text";
    case SE_WS_BINARY: return "binary";
    case SE_WS_PING: return "ping";
    default: return "pong";
  }
}

/* Pushes the table for what se_ws_read reported. The text comes first: once anything was allocated,
 * the finalizer of a program's object may have used the same object. */
static void push_item(lua_State *L, const se_ws *ws, int result, const se_ws_item *item) {
  if (result == SE_WS_FAILED)
    lua_pushstring(L, ws->reason);
  else
    se_push_fleeting(L, item->data, item->len);
  lua_newtable(L);
  lua_insert(L, -2);
  lua_setfield(L, -2, result == SE_WS_MESSAGE || result == SE_WS_CONTROL ? "data" : "reason");
  if (result == SE_WS_FAILED) {
    set_kind(L, "failed");
    set_code(L, ws->close_code);
  } else if (result == SE_WS_CLOSED) {
    set_kind(L, "close");
    set_code(L, item->code);
  } else {
    set_kind(L, kind_of(item->opcode));
  }
}

/* Ws:read(bytes) -> items, blocked | nil, kind, message */
static int ws_read(lua_State *L) {
  lws *box = check_ws(L);
  size_t len, at = 0, taken;
  const char *bytes = luaL_checklstring(L, 2, &len);
  se_ws_item item;
  lua_Integer count = 0;
  int result, again = box->blocked;
  char *data;
  if (again && len > 0)
    return se_fail(L, SE_ERR_FULL, "the output must be taken before more is read");
  lua_settop(L, 2);
  if (again)
    len = se_buffer_length(&box->rest);
  data = lua_newuserdatauv(L, len + 1, 0); /* se_ws_read writes to it */
  lua_newtable(L);
  if (again) {
    if (len > se_buffer_length(&box->rest)) /* a finalizer has read it */
      len = se_buffer_length(&box->rest);
    memcpy(data, se_buffer_bytes(&box->rest), len);
    se_buffer_consume(&box->rest, len, 0);
  } else {
    memcpy(data, bytes, len);
  }
  for (;;) {
    result = se_ws_read(&box->ws, data + at, len - at, &taken, &item, &box->out);
    at += taken;
    if (result == SE_WS_MORE || result == SE_WS_BLOCKED)
      break;
    push_item(L, &box->ws, result, &item);
    lua_rawseti(L, -2, ++count);
  }
  box->blocked = result == SE_WS_BLOCKED;
  if (se_buffer_append(&box->rest, data + at, len - at) != SE_OK)
    return luaL_error(L, "not enough memory");
  lua_pushboolean(L, box->blocked);
  return 2;
}

static int push_done(lua_State *L, int status, const char *message) {
  if (status == SE_ERR_FULL)
    return se_fail(L, status, "the output is full");
  if (status == SE_ERR_CLOSED)
    return se_fail(L, status, "the connection is closing");
  if (status != SE_OK)
    return se_fail(L, status, "%s", status == SE_ERR_ARGUMENT ? message : "not enough memory");
  lua_pushboolean(L, 1);
  return 1;
}

/* Ws:write(data, kind?) -> true | nil, kind, message */
static int ws_write(lua_State *L) {
  static const char *const kinds[] = {"text", "binary", "ping", "pong", NULL};
  static const int opcodes[] = {SE_WS_TEXT, SE_WS_BINARY, SE_WS_PING, SE_WS_PONG};
  lws *box = check_ws(L);
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  int opcode = opcodes[luaL_checkoption(L, 3, "text", kinds)];
  int status = se_ws_write(&box->ws, opcode, data, len, &box->out);
  return push_done(L, status, opcode == SE_WS_TEXT ? "a text must be UTF-8"
                                                   : "at most 125 bytes fit into a ping or pong");
}

/* Ws:close(code?, reason?) -> true | nil, kind, message */
static int ws_close(lua_State *L) {
  lws *box = check_ws(L);
  size_t len;
  lua_Integer code = luaL_optinteger(L, 2, 0);
  const char *reason = luaL_optlstring(L, 3, "", &len);
  int status = SE_ERR_ARGUMENT;
  if (code >= 0 && code <= UINT16_MAX)
    status = se_ws_close(&box->ws, (uint16_t)code, reason, len, &box->out);
  return push_done(L, status, "not a close code, or the reason is not UTF-8 or over 123 bytes");
}

/* Ws:output(count?) -> bytes */
static int ws_output(lua_State *L) {
  lws *box = check_ws(L);
  size_t len = se_buffer_length(&box->out);
  if (!lua_isnoneornil(L, 2)) {
    lua_Integer count = luaL_checkinteger(L, 2);
    luaL_argcheck(L, count >= 0, 2, "must not be negative");
    if ((size_t)count < len)
      len = (size_t)count;
  }
  se_push_fleeting(L, se_buffer_bytes(&box->out), len);
  se_buffer_consume(&box->out, len, KEEP);
  return 1;
}

static int ws_gc(lua_State *L) {
  lws *box = check_ws(L);
  se_ws_free(&box->ws);
  se_buffer_free(&box->out);
  se_buffer_free(&box->rest);
  return 0;
}

/* ws(side, max_message?, max_output?) -> Ws */
static int ws_new(lua_State *L) {
  static const char *const sides[] = {"client", "server", NULL};
  int side = luaL_checkoption(L, 1, NULL, sides) == 0 ? SE_WS_CLIENT : SE_WS_SERVER;
  size_t max_message = check_limit(L, 2), max_output = check_limit(L, 3);
  lws *box = lua_newuserdatauv(L, sizeof *box, 0);
  se_ws_init(&box->ws, side, max_message);
  se_buffer_init(&box->out, max_output);
  se_buffer_init(&box->rest, SIZE_MAX); /* never holds more than one read's bytes */
  box->blocked = 0;
  luaL_setmetatable(L, WS_MT);
  return 1;
}

static int buffer_gc(lua_State *L) {
  se_buffer_free(luaL_checkudata(L, 1, BUFFER_MT));
  return 0;
}

/* upgrade_key() -> key */
static int upgrade_key(lua_State *L) {
  char key[SE_UPGRADE_KEY + 1];
  if (se_upgrade_key(key) != 0)
    return luaL_error(L, "libcrypto failed");
  lua_pushstring(L, key);
  return 1;
}

/* upgrade_accept(key) -> accept */
static int upgrade_accept(lua_State *L) {
  char accept[SE_UPGRADE_ACCEPT + 1];
  size_t len;
  const char *key = luaL_checklstring(L, 1, &len);
  if (se_upgrade_accept(key, len, accept) != 0)
    return luaL_error(L, "libcrypto failed");
  lua_pushstring(L, accept);
  return 1;
}

/* A string without zeros, which C would take for its end. */
static const char *check_text(lua_State *L, int index, const char *otherwise) {
  size_t len;
  const char *text = otherwise == NULL ? luaL_checklstring(L, index, &len)
                                       : luaL_optlstring(L, index, otherwise, &len);
  luaL_argcheck(L, strlen(text) == len, index, "holds a zero byte");
  return text;
}

/* upgrade_request(host, target, key, headers?) -> request | nil, kind, message */
static int upgrade_request(lua_State *L) {
  const char *host = check_text(L, 1, NULL), *target = check_text(L, 2, NULL);
  const char *key = check_text(L, 3, NULL), *headers = check_text(L, 4, "");
  se_buffer *out = lua_newuserdatauv(L, sizeof *out, 0);
  int status;
  se_buffer_init(out, DEFAULT_LIMIT);
  luaL_setmetatable(L, BUFFER_MT); /* frees it, even if the push below raises */
  status = se_upgrade_request(out, host, target, key, headers);
  if (status != SE_OK)
    return push_done(L, status, "host, target or headers cannot stand in a request");
  lua_pushlstring(L, se_buffer_bytes(out), se_buffer_length(out));
  return 1;
}

/* upgrade_response(bytes, key) -> used | nil, kind, message, status */
static int upgrade_response(lua_State *L) {
  size_t len, used;
  const char *bytes = luaL_checklstring(L, 1, &len);
  const char *key = check_text(L, 2, NULL);
  se_upgrade_result result;
  int status = se_upgrade_response(bytes, len, key, &used, &result);
  if (status == SE_OK || status == SE_AGAIN) {
    lua_pushinteger(L, (lua_Integer)used);
    return 1;
  }
  se_fail(L, status, "%s", result.reason);
  if (result.status != 0)
    lua_pushinteger(L, result.status);
  else
    lua_pushnil(L);
  return 4;
}

static const luaL_Reg methods[] = {
    {"read", ws_read}, {"write", ws_write}, {"close", ws_close}, {"output", ws_output},
    {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", ws_gc}, {NULL, NULL}};
static const luaL_Reg buffer_meta[] = {{"__gc", buffer_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"ws", ws_new},
                                     {"upgrade_key", upgrade_key},
                                     {"upgrade_request", upgrade_request},
                                     {"upgrade_accept", upgrade_accept},
                                     {"upgrade_response", upgrade_response},
                                     {NULL, NULL}};

void se_open_ws(lua_State *L) {
  se_define_class(L, WS_MT, meta, methods);
  se_define_class(L, BUFFER_MT, buffer_meta, NULL);
  luaL_setfuncs(L, functions, 0);
}
