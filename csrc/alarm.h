/* alarm.h -- makes the poller's descriptor readable at a set time, by a clock that goes on while the
 * machine sleeps. The clock of deadlines and waits stands still meanwhile: a program that the sleep
 * has caught in a wait would sit out the rest of it. */
#ifndef SE_ALARM_H
#define SE_ALARM_H

#include "multi.h"

typedef struct {
  se_watch watch;
  se_poller *poller;
  int fd; /* -1: none so far */
} se_alarm;

void se_alarm_init(se_alarm *alarm, se_poller *poller);
/* Goes off after 'seconds' (over 0), and not at the time that was set before. 1, or 0 where the
 * system has no such clock or no descriptor is left. */
int se_alarm_set(se_alarm *alarm, double seconds);
void se_alarm_free(se_alarm *alarm);

/* Seconds by which the clock of se_alarm_set is ahead of se_now: it grows by the time that the machine
 * sleeps. Where the system has no such clock, that of dates: then it also moves when that is set. */
double se_slept(void);

#endif
