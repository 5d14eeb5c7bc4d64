/* failing_memory.c -- an interpreter with the client's C module in it and, WITH_SERVER, the server's, whose
 * memory runs out when the script says so.
 *
 *     failing_memory SCRIPT [ARGUMENT...]
 *
 * Linked with --wrap for malloc, calloc and realloc, so that the modules' own allocations fail as
 * well as those of the Lua state; and, WITH_SERVER, for the system calls that need memory or descriptors. The script has one more function:
 *
 *     attempt(n, lasting, f [, with_libcurl [, ...]]) -> failed, status, ...
 *
 * calls f(...) with the n-th allocation failing, and, if 'lasting', all later ones too; libcurl's are counted
 * where it is said, WITH_SERVER, since not all of libcurl survives that. 'failed' says
 * whether it came to that; 'status' is "ok", "memory" or "error", then come results or error value. */
#ifdef WITH_SERVER
#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/epoll.h>
#endif
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../csrc/compat.h"

int luaopen_stream_events_core(lua_State *L);
#ifdef WITH_SERVER
int luaopen_stream_events_server_core(lua_State *L);
#endif

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

static long long countdown; /* allocations until one fails; 0: none will */
static int lasting, has_failed, with_libcurl;

static int fails(void) {
  if (has_failed && lasting)
    return 1;
  if (countdown == 0 || --countdown > 0)
    return 0;
  has_failed = 1;
  return 1;
}

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t count, size_t size) {
  return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
  return fails() ? NULL : __real_realloc(block, size);
}

#ifdef WITH_SERVER
int __real_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event);
int __real_fcntl(int fd, int what, ...);
int __wrap_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event);
int __wrap_fcntl(int fd, int what, ...);

int __wrap_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event) {
  if (what != EPOLL_CTL_ADD || !fails())
    return __real_epoll_ctl(epoll, what, fd, event);
  errno = ENOSPC;
  return -1;
}

/* The modules give it numbers and nothing else. */
int __wrap_fcntl(int fd, int what, ...) {
  va_list rest;
  va_start(rest, what);
  int argument = va_arg(rest, int);
  va_end(rest);
  if (!fails())
    return __real_fcntl(fd, what, argument);
  errno = EMFILE;
  return -1;
}

static void *curl_malloc(size_t size) { return with_libcurl ? malloc(size) : __real_malloc(size); }

static void *curl_calloc(size_t count, size_t size) {
  return with_libcurl ? calloc(count, size) : __real_calloc(count, size);
}

static void *curl_realloc(void *block, size_t size) {
  return with_libcurl ? realloc(block, size) : __real_realloc(block, size);
}

static char *curl_copy(const char *text) {
  char *copy = curl_malloc(strlen(text) + 1);
  return copy == NULL ? NULL : strcpy(copy, text);
}
#endif

/* Of the host's state. Lua may rely on it that making a block smaller never fails. */
static void *allocate(void *user, void *block, size_t old_size, size_t size) {
  (void)user;
  if (size == 0) {
    free(block);
    return NULL;
  }
  if ((block == NULL || size > old_size) && fails())
    return NULL;
  return __real_realloc(block, size);
}

static int attempt(lua_State *L) {
  long long n = (long long)luaL_checkinteger(L, 1);
  int go_on = lua_toboolean(L, 2), failed, status;
  luaL_checktype(L, 3, LUA_TFUNCTION);
  with_libcurl = lua_toboolean(L, 4);
  if (lua_gettop(L) < 4)
    lua_settop(L, 4);
  lua_remove(L, 4);
  luaL_checkstack(L, 40, NULL);
  lasting = go_on;
  has_failed = 0;
  countdown = n;
  status = lua_pcall(L, lua_gettop(L) - 3, LUA_MULTRET, 0);
  failed = has_failed;
  lasting = has_failed = with_libcurl = 0;
  countdown = 0;
  lua_pushboolean(L, failed);
  lua_replace(L, 1);
  lua_pushstring(L, status == LUA_OK ? "ok" : status == LUA_ERRMEM ? "memory" : "error");
  lua_replace(L, 2);
  return lua_gettop(L);
}

static int run(lua_State *L) {
  int count = (int)lua_tointeger(L, 1), i;
  char **arguments = lua_touserdata(L, 2);
  luaL_openlibs(L);
  lua_register(L, "attempt", attempt);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, luaopen_stream_events_core);
  lua_setfield(L, -2, "stream_events.core");
#ifdef WITH_SERVER
  lua_pushcfunction(L, luaopen_stream_events_server_core);
  lua_setfield(L, -2, "stream_events.server.core");
#endif
  if (luaL_loadfile(L, arguments[1]) != LUA_OK)
    return lua_error(L);
  for (i = 2; i < count; i++)
    lua_pushstring(L, arguments[i]);
  lua_call(L, count - 2, 0);
  return 0;
}

int main(int count, char **arguments) {
  int status;
  lua_State *L = lua_newstate(allocate, NULL);
  if (L == NULL || count < 2)
    return 2;
#ifdef WITH_SERVER
  if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_malloc, free, curl_realloc, curl_copy, curl_calloc) !=
      CURLE_OK)
    return 2;
#endif
  lua_pushcfunction(L, run);
  lua_pushinteger(L, count);
  lua_pushlightuserdata(L, arguments);
  status = lua_pcall(L, 2, 0, 0);
  if (status != LUA_OK)
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return status == LUA_OK ? 0 : 1;
}
