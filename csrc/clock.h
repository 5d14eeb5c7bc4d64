/* clock.h -- the clocks, as seconds. */
#ifndef SE_CLOCK_H
#define SE_CLOCK_H

#include <time.h>

double se_clock(clockid_t clock);
/* Of a clock that is never set and starts anywhere: deadlines and waits are measured with it. */
double se_now(void);
/* Since 1970. */
double se_date(void);

/* A moment of se_now that does not come. */
#define SE_NEVER 1e300

#endif
