/* llistener.c -- Lua binding of the listener.
 *
 * Keeps no lua_State and calls nothing: results are fetched by next(). After close_all() every
 * method still works and finds no connection; only pollfd() raises, since there is no descriptor. */
#include "llistener.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdint.h>

#include "addresses.h"
#include "http_answer.h"
#include "lcore.h"
#include "listener.h"
#include "sockets.h"
#include "status.h"
#include "utf8.h"
#include "ws.h"

#define LISTENER_MT "stream_events.server.listener"

typedef struct {
  se_listener *listener; /* NULL once closed, and while a result is pushed: see listener_next */
  int closing;           /* close_all() was called in that time */
} llistener;

static llistener *check_self(lua_State *L) {
  return se_check_self(L, LISTENER_MT);
}

/* ---- listen ---- */

static lua_Integer integer_option(lua_State *L, int table, const char *name,
                                  lua_Integer otherwise, lua_Integer least, lua_Integer most) {
  lua_Integer value = otherwise;
  int whole = 1;
  lua_getfield(L, table, name);
  if (!lua_isnil(L, -1))
    value = lua_tointegerx(L, -1, &whole);
  lua_pop(L, 1);
  if (!whole || value < least || value > most)
    luaL_error(L, "option '%s' must be an integer from %I to %I", name, (LUAI_UACINT)least,
               (LUAI_UACINT)most);
  return value;
}

static double seconds_option(lua_State *L, int table, const char *name, double otherwise) {
  double value = otherwise;
  int number = 1;
  lua_getfield(L, table, name);
  if (!lua_isnil(L, -1))
    value = (double)lua_tonumberx(L, -1, &number);
  lua_pop(L, 1);
  if (!number || !(value > 0) || value > 1e9)
    luaL_error(L, "option '%s' must be a number of seconds over 0", name);
  return value;
}

static void read_limits(lua_State *L, int table, se_listen_options *options) {
  const lua_Integer gib = 1 << 30;
  options->max_connections =
      (uint32_t)integer_option(L, table, "max_connections", 10000, 1, SE_MAX_CONNECTIONS);
  options->max_per_address =
      (uint32_t)integer_option(L, table, "max_connections_per_address", 0, 0, SE_MAX_CONNECTIONS);
  options->max_message_rate =
      (uint32_t)integer_option(L, table, "max_message_rate", 0, 0, 1000000);
  options->max_header =
      (size_t)integer_option(L, table, "max_header", 16384, 64, SE_HTTP_MAX_HEADER);
  options->max_body = (size_t)integer_option(L, table, "max_body", 1 << 20, 0, gib);
  options->max_message = (size_t)integer_option(L, table, "max_message", 65536, 1, gib);
  options->max_output = (size_t)integer_option(L, table, "max_output", 1 << 20, 1024, gib);
  options->header_timeout = seconds_option(L, table, "header_timeout", 10);
  options->body_timeout = seconds_option(L, table, "body_timeout", 30);
  options->keepalive_timeout = seconds_option(L, table, "keepalive_timeout", 65);
  options->idle_timeout = seconds_option(L, table, "idle_timeout", 60);
  options->slow_timeout = seconds_option(L, table, "slow_timeout", 10);
}

/* core.listen(options?) -> listener | nil, kind, message */
static int listen_new(lua_State *L) {
  se_listen_options options = {0};
  llistener *self;
  char message[256];
  int status;
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "host"); /* stays on the stack while it is read */
  options.host = lua_isnil(L, -1) ? "127.0.0.1" : lua_tostring(L, -1);
  luaL_argcheck(L, options.host != NULL, 1, "option 'host' must be a string");
  options.port = (int)integer_option(L, 1, "port", 0, 0, 65535);
  read_limits(L, 1, &options);
  lua_getfield(L, 1, "messages");
  options.messages = lua_toboolean(L, -1);
  lua_pop(L, 1);
  self = lua_newuserdatauv(L, sizeof *self, 0);
  self->listener = NULL;
  self->closing = 0;
  luaL_setmetatable(L, LISTENER_MT);
  self->listener = se_listener_open(&options, &status, message, sizeof message);
  return self->listener == NULL ? se_fail(L, status, "%s", message) : 1;
}

/* listener:configure(limits) */
static int listener_configure(lua_State *L) {
  llistener *self = check_self(L);
  se_listen_options options = {0};
  luaL_checktype(L, 2, LUA_TTABLE);
  read_limits(L, 2, &options);
  if (self->listener != NULL)
    se_listener_configure(self->listener, &options);
  return 0;
}

/* ---- the loop's side ---- */

/* listener:pollfd() -> descriptor */
static int listener_pollfd(lua_State *L) {
  llistener *self = check_self(L);
  luaL_argcheck(L, self->listener != NULL, 1, "the listener is closed");
  lua_pushinteger(L, se_listener_fd(self->listener));
  return 1;
}

/* listener:timeout() -> seconds | nil */
static int listener_timeout(lua_State *L) {
  llistener *self = check_self(L);
  double left = self->listener == NULL ? -1 : se_listener_timeout(self->listener);
  if (left < 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, (lua_Number)left);
  return 1;
}

/* listener:address() -> host, port */
static int listener_address(lua_State *L) {
  llistener *self = check_self(L);
  char host[SE_ADDRESS_SIZE] = "";
  int port = self->listener == NULL ? 0 : se_listener_address(self->listener, host);
  lua_pushstring(L, host);
  lua_pushinteger(L, port);
  return 2;
}

/* listener:exempt(networks). All are looked at first, so that a wrong one changes nothing. */
static int listener_exempt(lua_State *L) {
  llistener *self = check_self(L);
  lua_Integer i, count;
  luaL_checktype(L, 2, LUA_TTABLE);
  count = (lua_Integer)lua_rawlen(L, 2);
  for (i = 1; i <= count; i++) {
    lua_rawgeti(L, 2, i);
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING && se_addresses_is_network(lua_tostring(L, -1)),
                  2, "not a list of addresses and networks");
    lua_pop(L, 1);
  }
  if (self->listener == NULL)
    return 0;
  se_listener_exempt(self->listener, NULL);
  for (i = 1; i <= count; i++) {
    lua_rawgeti(L, 2, i);
    if (se_listener_exempt(self->listener, lua_tostring(L, -1)) != SE_OK)
      return luaL_error(L, "not enough memory");
    lua_pop(L, 1);
  }
  return 0;
}

/* listener:step() */
static int listener_step(lua_State *L) {
  llistener *self = check_self(L);
  if (self->listener != NULL)
    se_listener_step(self->listener);
  return 0;
}

/* ---- results ---- */

static const char *text_of(const se_http_request *request, uint16_t at) {
  return se_buffer_bytes(&request->text) + at;
}

/* Pushes the headers; of those that come twice, the values joined. */
static void push_headers(lua_State *L, const se_http_request *request) {
  unsigned i;
  lua_createtable(L, 0, (int)request->field_count);
  for (i = 0; i < request->field_count; i++) {
    const se_http_field *field = &request->fields[i];
    lua_pushlstring(L, text_of(request, field->name), field->name_len);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3); /* headers, name, earlier value or nil */
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      lua_pushlstring(L, text_of(request, field->value), field->value_len);
    } else {
      lua_pushliteral(L, ", ");
      lua_pushlstring(L, text_of(request, field->value), field->value_len);
      lua_concat(L, 3);
    }
    lua_rawset(L, -3);
  }
}

static void push_request(lua_State *L, const se_event *event) {
  const se_http_request *request = event->request;
  lua_createtable(L, 0, 6);
  lua_pushstring(L, request->method);
  lua_setfield(L, -2, "method");
  lua_pushlstring(L, text_of(request, request->path), request->path_len);
  lua_setfield(L, -2, "path");
  lua_pushlstring(L, text_of(request, request->query), request->query_len);
  lua_setfield(L, -2, "query");
  push_headers(L, request);
  lua_setfield(L, -2, "headers");
  lua_pushlstring(L, se_buffer_bytes(&request->body), se_buffer_length(&request->body));
  lua_setfield(L, -2, "body");
  lua_pushstring(L, event->peer);
  lua_setfield(L, -2, "peer");
}

static void push_message(lua_State *L, const se_event *event) {
  if (event->data == NULL)
    return;
  lua_pushlstring(L, event->data, event->len);
  lua_pushstring(L, event->opcode == SE_WS_TEXT     ? "text"
                    : event->opcode == SE_WS_BINARY ? "binary"
                                                    : "ping");
}

/* A result as it was fetched. */
typedef struct {
  int kind;
  se_event event;
} fetched;

/* (fetched) -> what, connection, detail, kind */
static int push_fetched(lua_State *L) {
  static const char *const names[] = {[SE_EVENT_REQUEST] = "request",
                                      [SE_EVENT_UPGRADE] = "upgrade",
                                      [SE_EVENT_MESSAGE] = "message",
                                      [SE_EVENT_CLOSED] = "closed"};
  const fetched *result = lua_touserdata(L, 1);
  lua_settop(L, 0);
  lua_pushstring(L, names[result->kind]);
  lua_pushinteger(L, (lua_Integer)result->event.connection);
  if (result->kind == SE_EVENT_MESSAGE)
    push_message(L, &result->event);
  else if (result->kind == SE_EVENT_CLOSED)
    lua_pushinteger(L, result->event.code);
  else
    push_request(L, &result->event);
  return lua_gettop(L);
}

/* listener:next() -> what, connection, detail, kind | nil. The finalizer of a program's object may
 * run while the result is pushed: to it the listener is closed, so that the result stays. */
static int listener_next(lua_State *L) {
  llistener *self = check_self(L);
  se_listener *listener = self->listener;
  fetched result;
  int status;
  result.kind = listener == NULL ? SE_EVENT_NONE : se_listener_next(listener, &result.event);
  lua_settop(L, 1);
  if (result.kind == SE_EVENT_NONE) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushcfunction(L, push_fetched);
  lua_pushlightuserdata(L, &result);
  self->listener = NULL;
  status = lua_pcall(L, 1, LUA_MULTRET, 0);
  if (self->closing)
    se_listener_free(listener);
  else
    self->listener = listener;
  if (status != LUA_OK) { /* no memory: nobody else will answer */
    if (self->listener != NULL)
      se_listener_refuse(listener, result.event.connection, 503, "out of memory");
    return lua_error(L);
  }
  return lua_gettop(L) - 1;
}

/* ---- answers ---- */

/* Pushes the header lines of the list at 'index', each ended by CRLF, and the Content-Type. */
static void push_lines(lua_State *L, int index) {
  luaL_Buffer lines;
  lua_Integer i, count = 0;
  int typed = 0;
  if (!lua_isnoneornil(L, index)) {
    luaL_checktype(L, index, LUA_TTABLE);
    count = (lua_Integer)lua_rawlen(L, index);
  }
  luaL_buffinit(L, &lines);
  for (i = 1; i <= count; i++) {
    size_t len;
    const char *line;
    int kind;
    lua_rawgeti(L, index, i);
    line = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    kind = line == NULL ? SE_HTTP_LINE_BAD : se_http_check_line(line, len);
    luaL_argcheck(L, kind != SE_HTTP_LINE_BAD, index, "not a list of header lines");
    typed |= kind == SE_HTTP_LINE_TYPE;
    luaL_addvalue(&lines);
    luaL_addlstring(&lines, "\r\n", 2);
  }
  if (!typed)
    luaL_addstring(&lines, "Content-Type: application/json\r\n");
  luaL_pushresult(&lines);
}

/* listener:respond(connection, status, body, headers?) -> sent */
static int listener_respond(lua_State *L) {
  llistener *self = check_self(L);
  lua_Integer connection = luaL_checkinteger(L, 2), status = luaL_checkinteger(L, 3);
  size_t len, lines_len;
  const char *body = luaL_checklstring(L, 4, &len), *lines;
  luaL_argcheck(L, status >= 200 && status <= 599, 3, "status must be from 200 to 599");
  lua_settop(L, 5);
  push_lines(L, 5);
  lines = lua_tolstring(L, -1, &lines_len);
  lua_pushboolean(L, self->listener != NULL &&
                         se_listener_respond(self->listener, connection, (int)status, body, len,
                                             lines, lines_len));
  return 1;
}

/* listener:accept(connection) -> accepted */
static int listener_accept(lua_State *L) {
  llistener *self = check_self(L);
  lua_Integer connection = luaL_checkinteger(L, 2);
  lua_pushboolean(L, self->listener != NULL && se_listener_accept(self->listener, connection));
  return 1;
}

/* A text that is not UTF-8 would make every receiver end its connection. */
static const char *check_text(lua_State *L, int index, size_t *len) {
  const char *text = luaL_checklstring(L, index, len);
  luaL_argcheck(L, se_utf8_valid(text, *len) == *len, index, "a text message must be UTF-8");
  return text;
}

/* listener:send(connection, text, kind?) -> queued */
static int listener_send(lua_State *L) {
  static const char *const kinds[] = {"text", "binary", NULL};
  llistener *self = check_self(L);
  lua_Integer connection = luaL_checkinteger(L, 2);
  int binary = luaL_checkoption(L, 4, "text", kinds);
  size_t len;
  const char *data = binary ? luaL_checklstring(L, 3, &len) : check_text(L, 3, &len);
  lua_pushboolean(L, self->listener != NULL &&
                         se_listener_send(self->listener, connection,
                                          binary ? SE_WS_BINARY : SE_WS_TEXT, data, len));
  return 1;
}

static uint16_t check_code(lua_State *L, int index, lua_Integer code, const char *reason,
                           size_t len) {
  luaL_argcheck(L, code > 0 && code <= 4999 && se_listener_may_close((unsigned)code, reason, len),
                index, "not a code and reason that a close frame may carry");
  return (uint16_t)code;
}

/* listener:close(connection, code, reason?) */
static int listener_close(lua_State *L) {
  llistener *self = check_self(L);
  lua_Integer connection = luaL_checkinteger(L, 2);
  size_t len;
  const char *reason = luaL_optlstring(L, 4, "", &len);
  uint16_t code = check_code(L, 3, luaL_checkinteger(L, 3), reason, len);
  if (self->listener != NULL)
    se_listener_close(self->listener, connection, code, reason, len);
  return 0;
}

/* ---- groups ---- */

static int change_group(lua_State *L, int (*change)(se_listener *, int64_t, int64_t)) {
  llistener *self = check_self(L);
  lua_Integer group = luaL_checkinteger(L, 2), connection = luaL_checkinteger(L, 3);
  int changed = self->listener == NULL ? 0 : change(self->listener, group, connection);
  if (changed < 0)
    return luaL_error(L, "not enough memory");
  lua_pushboolean(L, changed);
  return 1;
}

/* listener:join(group, connection) -> changed */
static int listener_join(lua_State *L) {
  return change_group(L, se_listener_join);
}

/* listener:leave(group, connection) -> changed */
static int listener_leave(lua_State *L) {
  return change_group(L, se_listener_leave);
}

/* listener:group_size(group) -> count */
static int listener_group_size(lua_State *L) {
  llistener *self = check_self(L);
  lua_Integer group = luaL_checkinteger(L, 2);
  lua_pushinteger(L, self->listener == NULL
                         ? 0
                         : (lua_Integer)se_listener_group_size(self->listener, group));
  return 1;
}

/* listener:broadcast(group, text) -> count */
static int listener_broadcast(lua_State *L) {
  llistener *self = check_self(L);
  lua_Integer group = luaL_checkinteger(L, 2);
  size_t len;
  const char *text = check_text(L, 3, &len);
  ptrdiff_t count =
      self->listener == NULL ? 0 : se_listener_broadcast(self->listener, group, text, len);
  if (count < 0)
    return luaL_error(L, "not enough memory");
  lua_pushinteger(L, (lua_Integer)count);
  return 1;
}

/* listener:flush() */
static int listener_flush(lua_State *L) {
  llistener *self = check_self(L);
  if (self->listener != NULL)
    se_listener_flush(self->listener);
  return 0;
}

/* ---- the rest ---- */

static void set_count(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

/* listener:stats() -> table */
static int listener_stats(lua_State *L) {
  llistener *self = check_self(L);
  se_listener_counts counts = {0};
  if (self->listener != NULL)
    se_listener_stats(self->listener, &counts);
  lua_createtable(L, 0, 9);
  set_count(L, "connections", counts.connections);
  set_count(L, "websockets", counts.websockets);
  set_count(L, "queued_bytes", counts.queued_bytes);
  set_count(L, "accepted", counts.accepted);
  set_count(L, "refused", counts.refused);
  set_count(L, "timed_out", counts.timed_out);
  set_count(L, "too_slow", counts.too_slow);
  set_count(L, "refused_by_address", counts.refused_by_address);
  set_count(L, "too_busy", counts.too_busy);
  return 1;
}

/* listener:shutdown(code?) */
static int listener_shutdown(lua_State *L) {
  llistener *self = check_self(L);
  uint16_t code = check_code(L, 2, luaL_optinteger(L, 2, 1012), "", 0);
  if (self->listener != NULL)
    se_listener_shutdown(self->listener, code);
  return 0;
}

/* Serves close_all(), __close and __gc: any order, any number of times. */
static int listener_close_all(lua_State *L) {
  llistener *self = check_self(L);
  se_listener *listener = self->listener;
  self->listener = NULL;
  self->closing = 1;
  se_listener_free(listener);
  return 0;
}

static const luaL_Reg methods[] = {
  {"configure", listener_configure}, {"pollfd", listener_pollfd}, {"timeout", listener_timeout},
  {"address", listener_address}, {"exempt", listener_exempt}, {"step", listener_step},
  {"next", listener_next}, {"respond", listener_respond},
  {"accept", listener_accept}, {"send", listener_send}, {"close", listener_close},
  {"join", listener_join}, {"leave", listener_leave}, {"group_size", listener_group_size},
  {"broadcast", listener_broadcast}, {"flush", listener_flush}, {"stats", listener_stats},
  {"shutdown", listener_shutdown}, {"close_all", listener_close_all}, {NULL, NULL},
};
static const luaL_Reg meta[] = {
  {"__gc", listener_close_all}, {"__close", listener_close_all}, {NULL, NULL},
};

/* room(descriptors) -> how many of them this process may have */
static int room(lua_State *L) {
  lua_Integer wanted = luaL_checkinteger(L, 1);
  luaL_argcheck(L, wanted > 0 && wanted <= INT_MAX, 1, "out of range");
  lua_pushinteger(L, se_socket_room((int)wanted));
  return 1;
}

void se_open_listener(lua_State *L) {
  se_define_class(L, LISTENER_MT, meta, methods);
  lua_pushcfunction(L, listen_new);
  lua_setfield(L, -2, "listen");
  lua_pushcfunction(L, room);
  lua_setfield(L, -2, "room");
}
