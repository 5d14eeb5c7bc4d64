/* core.c -- opens the C module stream_events.core and puts its parts together. No logic. */
#define _GNU_SOURCE /* dladdr */
#ifndef SE_STATIC
#include <dlfcn.h>
#endif
#include <stdio.h>
#include <sys/stat.h>

#include "alarm.h"
#include "clock.h"
#include "lcore.h"
#include "lrules.h"
#include "lsandbox.h"
#include "stream_events.h"
#include "type_class.h"
#include "version.h"

/* A thread of libcurl's resolver may still be on its way back into this code after the host has
 * closed its Lua state and unloaded us. So the module stays mapped for the life of the process. What
 * is linked into the program is so anyway. */
static void pin_module(void) {
#ifndef SE_STATIC
  static const char anchor = 0;
  Dl_info info;
  if (dladdr(&anchor, &info) != 0 && info.dli_fname != NULL) {
    void *self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
    if (self != NULL)
      dlclose(self); /* the mark stays */
  }
#endif
}

/* now() -> monotonic seconds */
static int core_now(lua_State *L) {
  lua_pushnumber(L, se_now());
  return 1;
}

/* time() -> seconds since 1970 */
static int core_time(lua_State *L) {
  lua_pushnumber(L, se_date());
  return 1;
}

/* slept() -> seconds */
static int core_slept(lua_State *L) {
  lua_pushnumber(L, se_slept());
  return 1;
}

/* type_class(type) -> "custom" | "builtin" | "local" */
static int core_type_class(lua_State *L) {
  static const char *const names[] = {"custom", "builtin", "local"};
  size_t len;
  const char *type = luaL_checklstring(L, 1, &len);
  lua_pushstring(L, names[se_type_class(type, len)]);
  return 1;
}

/* file_stamp(path) -> text, or nil when there is no such file */
static int core_file_stamp(lua_State *L) {
  struct stat file;
  char text[160];
  if (stat(luaL_checkstring(L, 1), &file) != 0)
    return 0;
#ifdef __APPLE__
  const struct timespec changed = file.st_mtimespec;
#else
  const struct timespec changed = file.st_mtim;
#endif
  snprintf(text, sizeof text, "%llu:%llu:%lld:%lld.%09ld", (unsigned long long)file.st_dev,
           (unsigned long long)file.st_ino, (long long)file.st_size, (long long)changed.tv_sec,
           changed.tv_nsec);
  lua_pushstring(L, text);
  return 1;
}

static const luaL_Reg functions[] = {{"now", core_now},
                                     {"time", core_time},
                                     {"slept", core_slept},
                                     {"type_class", core_type_class},
                                     {"file_stamp", core_file_stamp},
                                     {NULL, NULL}};

int luaopen_stream_events_core(lua_State *L) {
  pin_module();
  luaL_newlib(L, functions);
  lua_pushliteral(L, SE_VERSION);
  lua_setfield(L, -2, "version");
  se_open_json(L);
  se_open_json_split(L); /* adds to it */
  se_open_json_list(L);  /* likewise */
  lua_setfield(L, -2, "json");
  se_open_event(L);
  lua_setfield(L, -2, "event");
  se_open_crypto(L);
  lua_setfield(L, -2, "crypto");
  se_open_ws(L);       /* adds ws, upgrade_accept, upgrade_response to the table on top */
  se_open_router(L);   /* adds router */
  se_open_transport(L); /* adds transport */
  se_open_gzip(L);      /* adds gzip, gunzip */
  se_open_alarm(L);     /* adds alarm */
  se_open_libraries(L); /* adds libraries */
  se_open_sandbox(L);   /* adds rule_state, verdicts */
  se_open_rules(L);     /* adds rule_set, rules */
  return 1;
}
