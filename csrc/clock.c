/* clock.c -- the clocks, as seconds. */
#include "clock.h"

double se_clock(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double se_now(void) {
  return se_clock(CLOCK_MONOTONIC);
}

double se_date(void) {
  return se_clock(CLOCK_REALTIME);
}
