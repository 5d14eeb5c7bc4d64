/* lalarm.c -- Lua binding of a descriptor for loops that have no timers: it is readable when another
 * one is, or when its time has come. */
#include "lcore.h"
#include "poller.h"
#include "status.h"

#define ALARM_MT "stream_events.alarm"

typedef struct {
  se_poller *poller; /* NULL once closed */
  int fd;            /* the other one; -1: none any more */
} lalarm;

static lalarm *check_alarm(lua_State *L) {
  lalarm *alarm = luaL_checkudata(L, 1, ALARM_MT);
  luaL_argcheck(L, alarm->poller != NULL, 1, "alarm is closed");
  return alarm;
}

/* Serves close(), __close and __gc: any order, any number of times. */
static int alarm_close(lua_State *L) {
  lalarm *alarm = luaL_checkudata(L, 1, ALARM_MT);
  se_poller_free(alarm->poller);
  alarm->poller = NULL;
  return 0;
}

/* alarm(fd) -> alarm | nil, kind, message */
static int alarm_new(lua_State *L) {
  lua_Integer fd = luaL_checkinteger(L, 1);
  luaL_argcheck(L, fd >= 0 && fd <= 0x7fffffff, 1, "no descriptor");
  lalarm *alarm = lua_newuserdatauv(L, sizeof *alarm, 0);
  alarm->poller = NULL;
  alarm->fd = (int)fd;
  luaL_setmetatable(L, ALARM_MT);
  alarm->poller = se_poller_new();
  if (alarm->poller == NULL || se_poller_set(alarm->poller, alarm->fd, 0, SE_POLL_READ, NULL) != 0)
    return se_fail(L, SE_ERR_NETWORK, "no descriptor is left for an alarm");
  return 1;
}

/* alarm:pollfd() -> descriptor */
static int alarm_pollfd(lua_State *L) {
  lua_pushinteger(L, se_poller_fd(check_alarm(L)->poller));
  return 1;
}

/* alarm:set([seconds]) -> true | nil, kind, message */
static int alarm_set(lua_State *L) {
  const lalarm *alarm = check_alarm(L);
  lua_Number seconds = luaL_optnumber(L, 2, -1);
  luaL_argcheck(L, lua_isnoneornil(L, 2) || seconds >= 0, 2, "no number of seconds");
  if (se_poller_alarm(alarm->poller, seconds) != 0)
    return se_fail(L, SE_ERR_NETWORK, "no descriptor is left for an alarm");
  lua_pushboolean(L, 1);
  return 1;
}

/* alarm:release() */
static int alarm_release(lua_State *L) {
  lalarm *alarm = check_alarm(L);
  if (alarm->fd >= 0)
    se_poller_set(alarm->poller, alarm->fd, SE_POLL_READ, 0, NULL);
  alarm->fd = -1;
  return 0;
}

static const luaL_Reg methods[] = {{"pollfd", alarm_pollfd},
                                   {"set", alarm_set},
                                   {"release", alarm_release},
                                   {"close", alarm_close},
                                   {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", alarm_close}, {"__close", alarm_close}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"alarm", alarm_new}, {NULL, NULL}};

void se_open_alarm(lua_State *L) {
  se_define_class(L, ALARM_MT, meta, methods);
  luaL_setfuncs(L, functions, 0);
}
