/* rules_parts.h -- the parts of rules.h: how a decision is made (rules.c), and how the text of an
 * event is compared and changed for it (rules_change.c). */
#ifndef SE_RULES_PARTS_H
#define SE_RULES_PARTS_H

#include "rule_check.h"
#include "rules.h"
#include "rules_count.h"

/* Broken budgets of one rule. */
typedef struct {
  int count;
  double last; /* when; seconds since 1970 */
} se_rule_breaches;

struct se_rules {
  size_t references;
  se_rule_set *set;
  se_rule_memory *memory;
  int breaches_allowed;
  se_rule_breaches *breaches; /* of each rule of the set */
  uint64_t generation, serial;
  se_check_space space;
  se_rule_counts *counts;
  se_buffer texts[2];      /* of a changed event: the new one, and the one it was made from */
  int current;
  se_envelope *envelope;   /* of the changed event; NULL: there was none so far */
};

/* A decision while it is made. */
typedef struct {
  se_rules *rules;
  const se_rule_event *event;
  se_decision *out;
  se_rules_step step;
  void *user;
} se_judging;

/* Tells what a step found; anything but SE_REASON_NONE drops the event. Returns the reason. */
int se_judging_tell(const se_judging *j, const char *step, int reason);
/* Sets the words of the decision. */
void se_judging_say(const se_judging *j, const char *text);

/* Both return a reason, told already. Fields: compares the event as it stands with what the rule
 * declares, and strips what is to be stripped. */
int se_judge_fields(const se_judging *j, const se_rule *rule);
/* Puts the new data in the place of the old: within the declarations, like any other. */
int se_judge_rewrite(const se_judging *j, const se_rule *rule, const se_buffer *data);

#endif
