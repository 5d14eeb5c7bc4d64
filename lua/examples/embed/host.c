/* host.c -- a program with frames of its own that embeds Lua 5.4 and the plugin.
 * usage: host ENGINE.lua SCRIPT.lua
 *
 * ENGINE.lua holds the client and lives as long as its Lua state. SCRIPT.lua says what to do with events; it
 * is read again whenever it changes, while the client stays connected. */
#define _POSIX_C_SOURCE 200809L
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#define FRAME (1000000000L / 60) /* nanoseconds */
#define BUDGET 2.0               /* milliseconds of it that the network may have */

static volatile sig_atomic_t stopped; /* by a signal */
static enum { STAY, AGAIN, WITHOUT, END } after; /* what is to come when this frame is over */

static void on_signal(int number) {
  (void)number;
  stopped = 1;
}

/* host.leave("again" | "without" | "end"): for scripts. The Lua state ends with the frame; the program goes
 * on with another one, without any, or not at all. */
static int host_leave(lua_State *L) {
  static const char *const words[] = {"again", "without", "end", NULL};
  after = AGAIN + (unsigned)luaL_checkoption(L, 1, NULL, words);
  return 0;
}

static const luaL_Reg functions[] = {{"leave", host_leave}, {NULL, NULL}};

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* What is done in Lua. Each may raise, so none is called but by run(). */

static int open_engine(lua_State *L) { /* (path) */
  luaL_openlibs(L);
  luaL_newlib(L, functions);
  lua_setglobal(L, "host");
  if (luaL_loadfile(L, luaL_checkstring(L, 1)) != LUA_OK)
    return lua_error(L);
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "host.engine");
  return 0;
}

static void push_function(lua_State *L, const char *name) {
  lua_getfield(L, LUA_REGISTRYINDEX, "host.engine");
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

static int load_script(lua_State *L) { /* (path) */
  push_function(L, "load");
  lua_insert(L, 1);
  lua_call(L, 1, 0);
  return 0;
}

static int frame(lua_State *L) {
  push_function(L, "frame");
  lua_pushnumber(L, seconds());
  lua_pushnumber(L, BUDGET);
  lua_call(L, 2, 0);
  return 0;
}

static int leave(lua_State *L) {
  push_function(L, "leave");
  lua_call(L, 0, 0);
  return 0;
}

static int with_traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

/* The only road into Lua: no error gets past it. Returns whether there was none. */
static int run(lua_State *L, lua_CFunction function, const char *path) {
  int status;
  lua_settop(L, 0);
  lua_pushcfunction(L, with_traceback);
  lua_pushcfunction(L, function);
  lua_pushstring(L, path);
  status = lua_pcall(L, 1, 0, 1);
  if (status != LUA_OK)
    fprintf(stderr, "host: %s\n", lua_tostring(L, -1));
  return status == LUA_OK;
}

/* Whether the file is another than it was; some programs write a new one, some into the old. */
static int has_changed(const char *path, struct stat *seen) {
  struct stat now;
  int same;
  if (stat(path, &now) != 0)
    return 0; /* between two versions */
  same = now.st_ino == seen->st_ino && now.st_size == seen->st_size &&
         now.st_mtim.tv_sec == seen->st_mtim.tv_sec && now.st_mtim.tv_nsec == seen->st_mtim.tv_nsec;
  *seen = now;
  return !same;
}

static void wait_for_frame(struct timespec *due) {
  struct timespec now;
  due->tv_nsec += FRAME;
  if (due->tv_nsec >= 1000000000L) {
    due->tv_nsec -= 1000000000L;
    due->tv_sec++;
  }
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (now.tv_sec > due->tv_sec || (now.tv_sec == due->tv_sec && now.tv_nsec > due->tv_nsec))
    *due = now; /* whoever is late does not make up for it with frames that wait for nothing */
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, due, NULL);
}

/* The life of one Lua state. Returns whether it could begin. */
static int live(const char *engine, const char *script, struct timespec *due) {
  struct stat seen = {0};
  lua_State *L = luaL_newstate();
  int good;
  if (L == NULL)
    return 0;
  after = STAY;
  has_changed(script, &seen);
  good = run(L, open_engine, engine) && run(L, load_script, script);
  while (good && after == STAY && !stopped) {
    run(L, frame, NULL);
    if (has_changed(script, &seen))
      fputs(run(L, load_script, script) ? "host: reloaded\n" : "host: the old script stays\n", stderr);
    wait_for_frame(due); /* a game draws here */
  }
  if (good)
    run(L, leave, NULL);
  lua_close(L); /* the plugin's code stays: a thread that asks for an address may still be on its way back */
  fputs("host: the state is closed\n", stderr);
  return good;
}

int main(int count, char **words) {
  struct sigaction action = {.sa_handler = on_signal};
  struct timespec due;
  int good;
  if (count != 3) {
    fputs("usage: host ENGINE.lua SCRIPT.lua\n", stderr);
    return 2;
  }
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  clock_gettime(CLOCK_MONOTONIC, &due);
  do
    good = live(words[1], words[2], &due);
  while (good && after == AGAIN && !stopped);
  while (good && after == WITHOUT && !stopped)
    wait_for_frame(&due); /* lives on without Lua */
  return good ? 0 : 1;
}
