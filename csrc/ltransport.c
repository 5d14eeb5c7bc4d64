/* ltransport.c -- Lua binding of the transport: HTTP requests, and the descriptor, deadline and
 * step that a program's loop drives it by.
 *
 * Its user value is a table: "ca_file" and "proxy", which connections take unless told otherwise,
 * and at [1] the header lines that were used before, by the Lua table they were made from. */
#include <string.h>

#include "lconnection.h"
#include "lcore.h"
#include "status.h"
#include "transport.h"

#define TRANSPORT_MT "stream_events.transport"
#define HEADERS_MT "stream_events.headers"
#define PREPARED_MT "stream_events.prepared"
#define MAX_TIMEOUT 1e6 /* seconds */
#define MAX_LINES 8      /* that one request of a prepared one adds: few things differ each time */

typedef struct {
  se_transport *transport; /* NULL once closed */
} ltransport;

typedef struct {
  se_headers *headers; /* NULL only while it is being made, and after __gc */
  size_t count;        /* of lines */
} lheaders;

typedef struct {
  se_http_request request; /* all but the headers and the body */
  lheaders *headers;       /* or NULL; it may be finalized before this is */
} lprepared;

static ltransport *check_box(lua_State *L) {
  return se_check_self(L, TRANSPORT_MT);
}

/* --- making ----------------------------------------------------------------------------------- */

/* The strings of the options at 1 that connections need too, in a new user value. */
static void keep_defaults(lua_State *L, int box) {
  lua_createtable(L, 1, 2);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k"); /* a headers table that nobody has any more needs no lines */
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawseti(L, -2, 1);
  lua_getfield(L, 1, "ca_file");
  lua_setfield(L, -2, "ca_file");
  lua_getfield(L, 1, "proxy");
  lua_setfield(L, -2, "proxy");
  lua_setiuservalue(L, box, 1);
}

/* transport([options]) -> transport | nil, kind, message */
static int transport_new(lua_State *L) {
  se_http_options options;
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  options.user_agent = se_string_field(L, 1, "user_agent");
  luaL_argcheck(L, options.user_agent == NULL || strpbrk(options.user_agent, "\r\n") == NULL, 1,
                "'user_agent' must be one line");
  options.ca_file = se_string_field(L, 1, "ca_file");
  options.proxy = se_string_field(L, 1, "proxy");
  options.max_in_flight = (size_t)se_number_field(L, 1, "max_in_flight", 32, 1, 1024);
  options.max_waiting = (size_t)se_number_field(L, 1, "max_waiting", 4096, 0, 1 << 20);
  options.max_body = (size_t)se_number_field(L, 1, "max_body", 8 << 20, 0, 1 << 30);
  options.read_size = (size_t)se_number_field(L, 1, "read_size", 16384, 1024, 1 << 19);
  options.connect_timeout = se_number_field(L, 1, "connect_timeout", 10, 0, 1e6);
  lua_getfield(L, 1, "keep_date");
  options.keeps_date = lua_toboolean(L, -1);
  lua_getfield(L, 1, "keep_content_type");
  options.keeps_content_type = lua_isnil(L, -1) || lua_toboolean(L, -1);
  lua_getfield(L, 1, "keep_body");
  options.keeps_body = lua_isnil(L, -1) || lua_toboolean(L, -1);
  lua_pop(L, 3);

  ltransport *box = lua_newuserdatauv(L, sizeof *box, 1);
  box->transport = NULL;
  luaL_setmetatable(L, TRANSPORT_MT);
  keep_defaults(L, lua_gettop(L));
  int status = se_transport_new(&options, &box->transport);
  if (status != SE_OK)
    return se_fail(L, status, status == SE_ERR_MEMORY ? "not enough memory for a transport"
                                                      : "no descriptor is left for a transport");
  return 1;
}

/* Serves close(), __close and __gc: any order, any number of times. */
static int transport_close(lua_State *L) {
  ltransport *box = check_box(L);
  se_transport *transport = box->transport;
  box->transport = NULL;
  se_transport_free(transport);
  return 0;
}

/* --- the loop's side -------------------------------------------------------------------------- */

/* transport:pollfd() -> descriptor */
static int transport_pollfd(lua_State *L) {
  ltransport *box = check_box(L);
  luaL_argcheck(L, box->transport != NULL, 1, "transport is closed");
  lua_pushinteger(L, se_transport_fd(box->transport));
  return 1;
}

/* transport:events() -> "r" */
static int transport_events(lua_State *L) {
  check_box(L);
  lua_pushliteral(L, "r");
  return 1;
}

/* transport:timeout() -> seconds | nil */
static int transport_timeout(lua_State *L) {
  ltransport *box = check_box(L);
  double seconds = box->transport == NULL ? -1 : se_transport_timeout(box->transport);
  if (seconds < 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, seconds);
  return 1;
}

/* transport:alarm(seconds) -> boolean */
static int transport_alarm(lua_State *L) {
  ltransport *box = check_box(L);
  lua_Number seconds = luaL_checknumber(L, 2);
  luaL_argcheck(L, seconds > 0 && seconds <= 1e6, 2, "no number of seconds");
  lua_pushboolean(L, box->transport != NULL && se_transport_alarm(box->transport, seconds));
  return 1;
}

/* transport:wait(seconds) */
static int transport_wait(lua_State *L) {
  ltransport *box = check_box(L);
  lua_Number seconds = luaL_checknumber(L, 2);
  luaL_argcheck(L, seconds >= 0, 2, "no number of seconds");
  if (box->transport != NULL)
    se_transport_wait(box->transport, seconds);
  return 0;
}

/* transport:step([seconds]) */
static int transport_step(lua_State *L) {
  ltransport *box = check_box(L);
  lua_Number seconds = luaL_optnumber(L, 2, 0);
  luaL_argcheck(L, seconds >= 0, 2, "no number of seconds");
  if (box->transport != NULL)
    se_transport_step(box->transport, seconds);
  return 0;
}

/* --- requests --------------------------------------------------------------------------------- */

static int headers_gc(lua_State *L) {
  lheaders *box = luaL_checkudata(L, 1, HEADERS_MT);
  se_headers_release(box->headers);
  box->headers = NULL;
  return 0;
}

/* Pushes the line at [i] of the table at 'list', which argument 'arg' is or holds. */
static const char *push_line(lua_State *L, int list, int i, int arg) {
  size_t len;
  lua_rawgeti(L, list, i);
  const char *line = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
  if (line == NULL || strlen(line) != len)
    luaL_argerror(L, arg, "'headers' must be a list of lines");
  if (!se_header_is_line(line))
    luaL_argerror(L, arg, "a header must be a line \"Name: value\"");
  return line;
}

/* Pushes a new object with the lines of the table at 'list'. */
static lheaders *new_headers(lua_State *L, int list) {
  lheaders *box = lua_newuserdatauv(L, sizeof *box, 0);
  box->headers = NULL;
  box->count = lua_rawlen(L, list);
  luaL_setmetatable(L, HEADERS_MT);
  box->headers = se_headers_new();
  if (box->headers == NULL)
    luaL_error(L, "not enough memory");
  for (int i = 1; i <= (int)box->count; i++) {
    if (se_headers_add(box->headers, push_line(L, list, i, 2)) != SE_OK)
      luaL_error(L, "not enough memory");
    lua_pop(L, 1);
  }
  return box;
}

/* The lines of the table at 'list', made the first time that this table is seen. The result lives
 * as long as the object this leaves on the stack. */
static lheaders *find_headers(lua_State *L, int list) {
  size_t count = lua_rawlen(L, list);
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, 1);
  lua_pushvalue(L, list);
  lua_rawget(L, -2);
  lheaders *box = lua_touserdata(L, -1);
  if (box == NULL || box->headers == NULL || box->count != count) {
    lua_pop(L, 1);
    box = new_headers(L, list);
    lua_pushvalue(L, list);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  return box;
}

/* Reads all but the body from the table at 2. What the result points to lives as long as the three
 * values this leaves on the stack: method, URL, and the object with the header lines or nil. */
static void read_request(lua_State *L, se_http_request *request) {
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  memset(request, 0, sizeof *request);
  request->timeout = se_number_field(L, 2, "timeout", 6, 0, MAX_TIMEOUT);
  request->method = se_string_field(L, 2, "method");
  luaL_argcheck(L, request->method != NULL, 2, "'method' is missing");
  request->url = se_string_field(L, 2, "url");
  luaL_argcheck(L, request->url != NULL, 2, "'url' is missing");
  lua_getfield(L, 2, "headers");
  luaL_argcheck(L, lua_isnil(L, 5) || lua_istable(L, 5), 2, "'headers' must be a list of lines");
  if (!lua_isnil(L, 5)) {
    request->headers = find_headers(L, 5)->headers;
    lua_replace(L, 5);
    lua_settop(L, 5);
  }
}

/* Sets the body to the string at 'index', where there is one. */
static void read_body(lua_State *L, int index, se_http_request *request) {
  if (lua_isnoneornil(L, index))
    return;
  luaL_argcheck(L, lua_type(L, index) == LUA_TSTRING, 2, "'body' must be a string");
  request->body = lua_tolstring(L, index, &request->body_len);
}

static int start(lua_State *L, ltransport *box, const se_http_request *request) {
  int64_t id;
  if (box->transport == NULL)
    return se_fail(L, SE_ERR_CLOSED, "the transport is closed");
  int status = se_http_start(se_transport_http(box->transport), request, &id);
  switch (status) {
    case SE_OK:
      lua_pushinteger(L, (lua_Integer)id);
      return 1;
    case SE_ERR_FULL:
      return se_fail(L, status, "too many requests are waiting");
    case SE_ERR_ARGUMENT:
      return se_fail(L, status, "the method must be a word in capitals, "
                                "and the URL begin with http:// or https://");
    default:
      return se_fail(L, status, "not enough memory for the request");
  }
}

/* transport:request { method=, url=, headers=, body=, timeout= } -> id | nil, kind, message */
static int transport_request(lua_State *L) {
  ltransport *box = check_box(L);
  se_http_request request;
  read_request(L, &request);
  lua_getfield(L, 2, "body");
  read_body(L, 6, &request);
  return start(L, box, &request);
}

/* transport:prepare { method=, url=, headers=, timeout= } -> prepared. Its user value keeps alive
 * what the request points to. */
static int transport_prepare(lua_State *L) {
  se_http_request request;
  check_box(L);
  read_request(L, &request);
  lprepared *prepared = lua_newuserdatauv(L, sizeof *prepared, 1);
  prepared->request = request;
  prepared->headers = lua_touserdata(L, 5);
  luaL_setmetatable(L, PREPARED_MT);
  lua_createtable(L, 3, 0);
  for (int i = 1; i <= 3; i++) {
    lua_pushvalue(L, i + 2);
    lua_rawseti(L, -2, i);
  }
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* Reads the header lines in the table at 4, where there is one, to 'lines'. They stay on the stack. */
static void read_own_lines(lua_State *L, const char **lines, se_http_request *request) {
  if (lua_isnoneornil(L, 4))
    return;
  luaL_checktype(L, 4, LUA_TTABLE);
  size_t count = lua_rawlen(L, 4);
  luaL_argcheck(L, count <= MAX_LINES, 4, "too many lines");
  for (size_t i = 0; i < count; i++)
    lines[i] = push_line(L, 4, (int)i + 1, 4);
  request->lines = lines;
  request->line_count = count;
}

/* transport:send(prepared [, body [, lines [, timeout]]]) -> id | nil, kind, message */
static int transport_send(lua_State *L) {
  ltransport *box = check_box(L);
  const lprepared *prepared = luaL_checkudata(L, 2, PREPARED_MT);
  const char *lines[MAX_LINES];
  se_http_request request = prepared->request;
  lua_settop(L, 5);
  request.timeout = luaL_optnumber(L, 5, request.timeout);
  luaL_argcheck(L, request.timeout >= 0 && request.timeout <= MAX_TIMEOUT, 5, "no such timeout");
  read_own_lines(L, lines, &request);
  if (prepared->headers != NULL) {
    request.headers = prepared->headers->headers;
    if (request.headers == NULL)
      return se_fail(L, SE_ERR_CLOSED, "the prepared request is collected");
  }
  read_body(L, 3, &request);
  return start(L, box, &request);
}

/* Pushes the lines "name: value\n" of the string at 'index' as a table. */
static void push_header_table(lua_State *L, int index) {
  size_t len;
  const char *lines = lua_tolstring(L, index, &len);
  lua_createtable(L, 0, 2);
  for (const char *end = lines + len; lines < end;) {
    const char *newline = memchr(lines, '\n', (size_t)(end - lines));
    const char *colon = memchr(lines, ':', (size_t)(end - lines));
    lua_pushlstring(L, lines, (size_t)(colon - lines));
    lua_pushlstring(L, colon + 2, (size_t)(newline - colon - 2));
    lua_rawset(L, -3);
    lines = newline + 1;
  }
}

/* The first answer that waits, if it is still the one with this id (0: any). */
static int find_answer(const ltransport *box, int64_t id, se_http_answer *answer) {
  return box->transport != NULL && se_http_next(se_transport_http(box->transport), answer) &&
         (id == 0 || answer->id == id);
}

/* transport:next_response([brief])
 *   -> id, status, body, headers | id, nil, kind, message, unsent | nothing.
 * When 'brief' is true, of an answer that says yes there is only id, status.
 * Where memory is short a push raises, and the answer is there to be met again. A push may also run
 * the finalizer of a program's object, which may close the transport or take the answer: so it is
 * looked for anew after each. */
static int transport_next_response(lua_State *L) {
  ltransport *box = check_box(L);
  se_http_answer answer;
  if (!find_answer(box, 0, &answer))
    return 0;
  int64_t id = answer.id;
  int failure = answer.failure, status = answer.status, unsent = answer.unsent;
  if (lua_toboolean(L, 2) && failure == SE_OK && status >= 200 && status <= 299) {
    se_http_release(se_transport_http(box->transport));
    lua_pushinteger(L, (lua_Integer)id);
    lua_pushinteger(L, status);
    return 2;
  }
  lua_settop(L, 1);
  if (failure == SE_OK) {
    se_push_fleeting(L, answer.body, answer.body_len); /* 2 */
    if (!find_answer(box, id, &answer))
      return 0;
    if (answer.headers_len > 0) {
      se_push_fleeting(L, answer.headers, answer.headers_len); /* 3 */
      push_header_table(L, 3);
      lua_replace(L, 3);
    } else {
      lua_pushnil(L);
    }
  } else {
    lua_pushstring(L, se_status_kind(failure)); /* 2 */
    if (!find_answer(box, id, &answer))
      return 0;
    se_push_fleeting(L, answer.message, strlen(answer.message)); /* 3 */
  }
  if (!find_answer(box, id, &answer))
    return 0;
  se_http_release(se_transport_http(box->transport));
  lua_pushinteger(L, (lua_Integer)id);
  lua_insert(L, 2);
  if (failure == SE_OK)
    lua_pushinteger(L, status);
  else
    lua_pushnil(L);
  lua_insert(L, 3);
  if (!unsent)
    return 4;
  lua_pushboolean(L, 1);
  return 5;
}

/* transport:cancel(id) */
static int transport_cancel(lua_State *L) {
  ltransport *box = check_box(L);
  lua_Integer id = luaL_checkinteger(L, 2);
  if (box->transport != NULL)
    se_http_cancel(se_transport_http(box->transport), id);
  return 0;
}

/* transport:end_idle() */
static int transport_end_idle(lua_State *L) {
  ltransport *box = check_box(L);
  if (box->transport != NULL)
    se_http_end_idle(se_transport_http(box->transport));
  return 0;
}

static void set_text(lua_State *L, const char *name, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

/* transport:certificate() -> table | nil */
static int transport_certificate(lua_State *L) {
  const ltransport *box = check_box(L);
  const se_certificate *found =
      box->transport == NULL ? NULL : se_http_certificate(se_transport_http(box->transport));
  if (found == NULL)
    return 0;
  const se_certificate note = *found; /* what is pushed may run a finalizer that closes the transport */
  lua_createtable(L, 0, 6);
  set_text(L, "subject", note.subject);
  set_text(L, "issuer", note.issuer);
  set_text(L, "names", note.names);
  set_text(L, "from", note.from);
  set_text(L, "until_date", note.until);
  lua_pushboolean(L, note.problem == 0);
  lua_setfield(L, -2, "is_trusted");
  return 1;
}

/* transport:connect(options) -> connection | nil, kind, message */
static int transport_connect(lua_State *L) {
  ltransport *box = check_box(L);
  lua_settop(L, 2);
  luaL_checktype(L, 2, LUA_TTABLE);
  if (box->transport == NULL)
    return se_fail(L, SE_ERR_CLOSED, "the transport is closed");
  lua_getiuservalue(L, 1, 1);
  return se_push_connection(L, &box->transport, 3);
}

static const luaL_Reg methods[] = {
    {"pollfd", transport_pollfd},   {"events", transport_events},
    {"timeout", transport_timeout}, {"wait", transport_wait},
    {"step", transport_step},       {"close", transport_close},
    {"request", transport_request}, {"prepare", transport_prepare},
    {"send", transport_send},       {"next_response", transport_next_response},
    {"cancel", transport_cancel},   {"connect", transport_connect},
    {"alarm", transport_alarm},     {"end_idle", transport_end_idle},
    {"certificate", transport_certificate},
    {NULL, NULL}};
static const luaL_Reg meta[] = {
    {"__gc", transport_close}, {"__close", transport_close}, {NULL, NULL}};
static const luaL_Reg headers_meta[] = {{"__gc", headers_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"transport", transport_new}, {NULL, NULL}};

void se_open_transport(lua_State *L) {
  se_define_class(L, TRANSPORT_MT, meta, methods);
  se_define_class(L, HEADERS_MT, headers_meta, NULL);
  se_define_class(L, PREPARED_MT, NULL, NULL);
  se_open_connection(L);
  luaL_setfuncs(L, functions, 0);
}
