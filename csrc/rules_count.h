/* rules_count.h -- how often which type was decided how, in bounded memory: whoever may send can
 * invent any number of types. Beside the counters of a type stands what its name alone decides. */
#ifndef SE_RULES_COUNT_H
#define SE_RULES_COUNT_H

#include "keytable.h"
#include "rules.h"

#define SE_COUNT_TYPES 1024 /* the rest is counted together under "*" */
#define SE_COUNT_AUDIT (SE_VERDICT_DROP + 1) /* one more verdict: let through by audit mode */

typedef struct se_rule_counts se_rule_counts;

typedef struct se_rule_counter {
  struct se_rule_counter *next;
  int verdict, reason;
  uint64_t count;
} se_rule_counter;

typedef struct {
  se_key key;
  se_rule_counter *counters;
  uint64_t generation; /* of the rules, in which the route was found; 0: never */
  se_rule_route route;
} se_rule_type;

se_rule_counts *se_rule_counts_new(void); /* NULL: no memory */
void se_rule_counts_free(se_rule_counts *counts); /* accepts NULL */

/* The record of a type, which stays where it is; NULL: it is one of the rest. */
se_rule_type *se_rule_counts_type(se_rule_counts *counts, const char *type, size_t len);
/* The counter; where there is no memory for it, one that nobody reads. */
uint64_t *se_rule_counts_of(se_rule_counts *counts, se_rule_type *type, int verdict, int reason);

void se_rule_counts_each(const se_rule_counts *counts,
                         void (*each)(void *user, const char *type, size_t len,
                                      const char *verdict, const char *reason, uint64_t count),
                         void *user);

#endif
