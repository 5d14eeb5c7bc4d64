/* lposter.c -- Lua binding of the poster.
 *
 * Keeps no lua_State and calls nothing: what became of requests is fetched by next_response(). */
#include "lposter.h"

#include <lauxlib.h>
#include <string.h>

#include "http.h"
#include "lcore.h"
#include "poster.h"
#include "status.h"

#define POSTER_MT "stream_events.server.poster"
#define TARGET_MT "stream_events.server.poster.target"
#define MAX_LINES 32
#define MAX_TIMEOUT 1e6
#define IDLE_TIMEOUT 118 /* seconds */

typedef struct {
  se_poster *poster; /* NULL once closed */
} lposter;

typedef struct {
  se_post_target *target;
} ltarget;

static lposter *check_box(lua_State *L) {
  return se_check_self(L, POSTER_MT);
}

/* core.poster { max_in_flight=, max_body=, connect_timeout=, idle_timeout= } -> poster | nil, kind, message */
static int poster_new(lua_State *L) {
  se_poster_options options = {0};
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "max_in_flight");
  lua_getfield(L, 1, "max_body");
  lua_getfield(L, 1, "connect_timeout");
  lua_getfield(L, 1, "idle_timeout");
  lua_Integer in_flight = luaL_checkinteger(L, -4), body = luaL_checkinteger(L, -3);
  options.connect_timeout = luaL_checknumber(L, -2);
  options.idle_timeout = luaL_optnumber(L, -1, IDLE_TIMEOUT);
  luaL_argcheck(L, in_flight > 0 && body >= 0 && options.connect_timeout > 0 &&
                       options.connect_timeout <= MAX_TIMEOUT, 1, "no such limits");
  options.max_under_way = (size_t)in_flight;
  options.max_body = (size_t)body;
  lposter *box = lua_newuserdatauv(L, sizeof *box, 0);
  box->poster = NULL;
  luaL_setmetatable(L, POSTER_MT);
  int status = se_poster_new(&options, &box->poster);
  if (status != SE_OK)
    return se_fail(L, status, status == SE_ERR_MEMORY ? "not enough memory for a poster"
                                                      : "no descriptor is left for a poster");
  return 1;
}

/* Serves close(), __close and __gc: any order, any number of times. */
static int poster_close(lua_State *L) {
  lposter *box = check_box(L);
  se_poster *poster = box->poster;
  box->poster = NULL;
  se_poster_free(poster);
  return 0;
}

/* ---- the loop's side ---- */

/* poster:pollfd() -> descriptor */
static int poster_pollfd(lua_State *L) {
  const lposter *box = check_box(L);
  luaL_argcheck(L, box->poster != NULL, 1, "the poster is closed");
  lua_pushinteger(L, se_poster_fd(box->poster));
  return 1;
}

/* poster:timeout() -> seconds | nil */
static int poster_timeout(lua_State *L) {
  const lposter *box = check_box(L);
  double seconds = box->poster == NULL ? -1 : se_poster_timeout(box->poster);
  if (seconds < 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, seconds);
  return 1;
}

/* poster:step() */
static int poster_step(lua_State *L) {
  const lposter *box = check_box(L);
  if (box->poster != NULL)
    se_poster_step(box->poster);
  return 0;
}

/* ---- requests ---- */

/* Reads the header lines in the table at 'list' to 'lines'. They stay on the stack. */
static size_t push_lines(lua_State *L, int list, const char **lines) {
  size_t count, len;
  luaL_checktype(L, list, LUA_TTABLE);
  count = lua_rawlen(L, list);
  luaL_argcheck(L, count <= MAX_LINES, list, "too many lines");
  luaL_checkstack(L, MAX_LINES, NULL);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    lines[i] = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    if (lines[i] == NULL || strlen(lines[i]) != len || !se_header_is_line(lines[i]))
      luaL_argerror(L, list, "a header must be a line \"Name: value\"");
  }
  return count;
}

/* poster:prepare { url=, headers= } -> target | nil: not a URL for this */
static int poster_prepare(lua_State *L) {
  const lposter *box = check_box(L);
  const char *lines[MAX_LINES];
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_getfield(L, 2, "url"); /* 3 */
  lua_getfield(L, 2, "headers"); /* 4 */
  size_t url_len;
  const char *url = luaL_checklstring(L, 3, &url_len);
  if (lua_isnil(L, 4)) {
    lua_newtable(L);
    lua_replace(L, 4);
  }
  ltarget *made = lua_newuserdatauv(L, sizeof *made, 0); /* 5 */
  made->target = NULL;
  luaL_setmetatable(L, TARGET_MT);
  size_t count = push_lines(L, 4, lines);
  if (box->poster == NULL || strlen(url) != url_len)
    return 0;
  int status = se_poster_target(box->poster, url, lines, count, &made->target);
  if (status == SE_ERR_MEMORY)
    return luaL_error(L, "not enough memory");
  if (status != SE_OK)
    return 0;
  lua_settop(L, 5);
  return 1;
}

/* target:close(), __close and __gc: what is under way is still answered. */
static int target_close(lua_State *L) {
  ltarget *box = se_check_self(L, TARGET_MT);
  se_post_target *target = box->target;
  box->target = NULL;
  se_post_target_release(target);
  return 0;
}

/* poster:send(target, body, lines, timeout) -> id | nil, kind, message */
static int poster_send(lua_State *L) {
  const lposter *box = check_box(L);
  const ltarget *to = luaL_checkudata(L, 2, TARGET_MT);
  const char *lines[MAX_LINES];
  size_t body_len;
  int64_t id;
  lua_settop(L, 5);
  const char *body = luaL_checklstring(L, 3, &body_len);
  lua_Number timeout = luaL_checknumber(L, 5);
  luaL_argcheck(L, timeout >= 0 && timeout <= MAX_TIMEOUT, 5, "no such timeout");
  size_t count = push_lines(L, 4, lines);
  if (to->target == NULL)
    return se_fail(L, SE_ERR_CLOSED, "the target is closed");
  if (box->poster == NULL)
    return se_fail(L, SE_ERR_CLOSED, "the poster is closed");
  int status = se_poster_send(to->target, lines, count, body, body_len, timeout, &id);
  switch (status) {
    case SE_OK:
      lua_pushinteger(L, (lua_Integer)id);
      return 1;
    case SE_ERR_FULL: return se_fail(L, status, "too many requests are under way, or one is too long");
    case SE_ERR_CLOSED: return se_fail(L, status, "the poster is closed");
    default: return se_fail(L, status, "not enough memory for the request");
  }
}

static void set_text(lua_State *L, const char *name, const char *text) {
  if (text[0] == '\0')
    return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

/* Pushes headers by their names; what is pushed may run a finalizer that closes the poster. */
static void push_headers(lua_State *L, const se_answer *answer) {
  const se_answer copy = *answer;
  lua_createtable(L, 0, 2);
  set_text(L, "retry-after", copy.retry_after);
  set_text(L, "date", copy.date);
}

static int find_result(const lposter *box, se_post_result *result) {
  return box->poster != NULL && se_poster_next(box->poster, result);
}

static int is_accepted(const lposter *box) {
  se_post_result result;
  return find_result(box, &result) && result.failure == SE_OK && result.answer->status / 100 == 2;
}

/* poster:accepted(tags) -> list, count | nothing. Takes the tags of the requests that were accepted, as far
 * as they come first, out of a table that has them by the numbers of the requests. Where memory is short it
 * raises before it has taken one. */
static int poster_accepted(lua_State *L) {
  const lposter *box = check_box(L);
  lua_Integer count = 0;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  if (!is_accepted(box))
    return 0;
  lua_createtable(L, (int)se_poster_ended(box->poster), 0); /* 3; may run a finalizer that closes the poster */
  while (is_accepted(box)) { /* nothing in here allocates */
    se_post_result result;
    se_poster_next(box->poster, &result);
    lua_rawgeti(L, 2, (lua_Integer)result.id);
    lua_rawseti(L, 3, ++count);
    lua_pushnil(L);
    lua_rawseti(L, 2, (lua_Integer)result.id);
    se_poster_release(box->poster);
  }
  lua_pushinteger(L, count);
  return 2;
}

/* poster:next_response() -> id, status | id, status, nil, headers | id, nil, kind, message | nothing.
 * Where memory is short a push raises, and the answer is there to be met again. */
static int poster_next_response(lua_State *L) {
  const lposter *box = check_box(L);
  se_post_result result;
  lua_settop(L, 1);
  if (!find_result(box, &result))
    return 0;
  lua_pushinteger(L, (lua_Integer)result.id);
  if (result.failure != SE_OK) {
    int failure = result.failure;
    lua_pushnil(L);
    lua_pushstring(L, se_status_kind(failure));
    if (!find_result(box, &result))
      return 0;
    lua_pushstring(L, result.message);
  } else {
    lua_pushinteger(L, result.answer->status);
    if (result.answer->status / 100 != 2) {
      lua_pushnil(L);
      push_headers(L, result.answer);
    }
  }
  if (box->poster != NULL)
    se_poster_release(box->poster);
  return lua_gettop(L) - 1;
}

static const luaL_Reg methods[] = {
    {"pollfd", poster_pollfd},     {"timeout", poster_timeout}, {"step", poster_step},
    {"prepare", poster_prepare},   {"send", poster_send},       {"next_response", poster_next_response},
    {"accepted", poster_accepted}, {"close", poster_close},     {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", poster_close}, {"__close", poster_close}, {NULL, NULL}};
static const luaL_Reg target_methods[] = {{"close", target_close}, {NULL, NULL}};
static const luaL_Reg target_meta[] = {{"__gc", target_close}, {"__close", target_close}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"poster", poster_new}, {NULL, NULL}};

void se_open_poster(lua_State *L) {
  se_define_class(L, POSTER_MT, meta, methods);
  se_define_class(L, TARGET_MT, target_meta, target_methods);
  luaL_setfuncs(L, functions, 0);
}
