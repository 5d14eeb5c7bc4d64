/* timers.c -- one sorted ring for each kind of deadline. */
#include "timers.h"

#include <stddef.h>

void se_timers_init(se_timers *timers) {
  int kind;
  for (kind = 0; kind < SE_TIMER_KINDS; kind++) {
    timers->lists[kind] = (se_timer){&timers->lists[kind], &timers->lists[kind], 0, kind};
    timers->seconds[kind] = 0;
  }
}

void se_timers_set(se_timers *timers, int kind, double seconds) {
  double more = seconds - timers->seconds[kind];
  se_timer *list = &timers->lists[kind], *timer;
  timers->seconds[kind] = seconds;
  for (timer = list->after; timer != list; timer = timer->after)
    timer->deadline += more;
}

void se_timers_stop(se_timer *timer) {
  if (timer->kind == SE_TIMER_NONE)
    return;
  timer->before->after = timer->after;
  timer->after->before = timer->before;
  timer->kind = SE_TIMER_NONE;
}

void se_timers_start(se_timers *timers, se_timer *timer, int kind, double now) {
  se_timer *list = &timers->lists[kind];
  se_timers_stop(timer);
  timer->deadline = now + timers->seconds[kind];
  timer->kind = kind;
  timer->after = list;
  timer->before = list->before;
  list->before->after = timer;
  list->before = timer;
}

double se_timers_next(const se_timers *timers, double now) {
  double next = -1;
  int kind;
  for (kind = SE_TIMER_NONE + 1; kind < SE_TIMER_KINDS; kind++) {
    const se_timer *first = timers->lists[kind].after;
    double left = first->deadline - now;
    if (first == &timers->lists[kind])
      continue;
    if (left < 0)
      return 0;
    if (next < 0 || left < next)
      next = left;
  }
  return next;
}

se_timer *se_timers_expired(se_timers *timers, double now, int *kind) {
  for (*kind = SE_TIMER_NONE + 1; *kind < SE_TIMER_KINDS; ++*kind) {
    se_timer *first = timers->lists[*kind].after;
    if (first != &timers->lists[*kind] && first->deadline <= now) {
      se_timers_stop(first);
      return first;
    }
  }
  return NULL;
}
