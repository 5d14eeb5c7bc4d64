/* alarm.c -- a timer descriptor on Linux; other systems have none. */
#ifdef __linux__
#define _GNU_SOURCE /* CLOCK_BOOTTIME */
#include <sys/timerfd.h>
#endif

#include "alarm.h"

#include <stdint.h>
#include <unistd.h>

#include "clock.h"

#ifdef __linux__

/* Once it was told, the time is over: nothing is left to be told. */
static void went_off(se_watch *watch, int events) {
  se_alarm *alarm = (se_alarm *)watch;
  uint64_t times;
  (void)events;
  if (read(alarm->fd, &times, sizeof times) < 0)
    return; /* set anew meanwhile */
}

static int open_timer(se_alarm *alarm) {
  alarm->fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  if (alarm->fd < 0)
    return 0;
  alarm->watch.ready = went_off;
  if (se_poller_set(alarm->poller, alarm->fd, 0, SE_POLL_READ, &alarm->watch) == 0)
    return 1;
  close(alarm->fd);
  alarm->fd = -1;
  return 0;
}

int se_alarm_set(se_alarm *alarm, double seconds) {
  struct itimerspec at = {{0, 0}, {0, 0}};
  if (alarm->fd < 0 && !open_timer(alarm))
    return 0;
  at.it_value.tv_sec = (time_t)seconds;
  at.it_value.tv_nsec = (long)((seconds - (double)at.it_value.tv_sec) * 1e9) + 1;
  return timerfd_settime(alarm->fd, 0, &at, NULL) == 0;
}

double se_slept(void) {
  return se_clock(CLOCK_BOOTTIME) - se_clock(CLOCK_MONOTONIC);
}

#else

int se_alarm_set(se_alarm *alarm, double seconds) {
  (void)alarm;
  (void)seconds;
  return 0;
}

double se_slept(void) {
  return se_clock(CLOCK_REALTIME) - se_clock(CLOCK_MONOTONIC);
}

#endif

void se_alarm_init(se_alarm *alarm, se_poller *poller) {
  alarm->poller = poller;
  alarm->fd = -1;
}

void se_alarm_free(se_alarm *alarm) {
  if (alarm->fd < 0)
    return;
  se_poller_set(alarm->poller, alarm->fd, SE_POLL_READ, 0, &alarm->watch);
  close(alarm->fd);
  alarm->fd = -1;
}
