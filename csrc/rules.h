/* rules.h -- the rules of one receiver: the rule set in force, what it remembers, and the decision
 * about each event as far as it needs no function.
 *
 * Two stages, one truth. se_rules_route decides on the type alone; the router asks it once per
 * type and keeps the answer. se_rules_judge decides on the whole event, asks se_rules_route first,
 * and so cannot come to another conclusion about the type. Functions are called by whoever has a
 * Lua state (lrules.c), between se_rules_judge and se_rules_finish. */
#ifndef SE_RULES_H
#define SE_RULES_H

#include "rule_memory.h"
#include "rule_set.h"
#include "rule_verdict.h"

typedef struct se_rules se_rules;

typedef struct {
  size_t buckets, marks, counts; /* of rule_memory.h */
  int breaches;                  /* so many broken budgets, each within an hour of the one
                                    before, trip a rule */
} se_rules_limits;
/* NULL: no memory. Has no rule set at first: everything is allowed. */
se_rules *se_rules_new(const se_rules_limits *limits);
void se_rules_keep(se_rules *rules); /* one more owner, which calls se_rules_free when it is done */
void se_rules_free(se_rules *rules); /* accepts NULL; the last time lets go of its set */

/* Puts a set in force (NULL: none), of which it keeps a reference. Memory and counters stay; rules
 * that were tripped are whole again. SE_OK; SE_ERR_MEMORY: nothing changed. */
int se_rules_use(se_rules *rules, se_rule_set *set);
const se_rule_set *se_rules_set(const se_rules *rules); /* or NULL */
se_rule_memory *se_rules_memory(se_rules *rules);
/* Changes whenever an answer of se_rules_route may have: another set, a rule that tripped. */
uint64_t se_rules_generation(const se_rules *rules);
/* Changes with each decision. */
uint64_t se_rules_serial(const se_rules *rules);

enum {
  SE_RULE_PASS,   /* no rule speaks about it: allowed as it is, unless the sender is marked */
  SE_RULE_ASK,    /* a rule does: se_rules_judge decides */
  SE_RULE_TRAP,   /* a honeypot: to be judged even where nobody wants the type */
  SE_RULE_REFUSE  /* dropped, whatever else is in the event */
};
typedef struct {
  int route;
  int reason;          /* SE_RULE_REFUSE, SE_RULE_TRAP */
  const se_rule *rule; /* the rule that speaks, or NULL */
  int audit;           /* refused or trapped only on paper: it is delivered, and recorded */
} se_rule_route;
/* About a type alone. Built-in (dotted) types pass unless a rule names them, or has a prefix that
 * itself holds a '.'; local types are for the router. */
void se_rules_route(const se_rules *rules, const char *type, size_t len, se_rule_route *out);

typedef struct {
  int verdict;          /* what is to happen */
  int judged;           /* what the rules said: something else only in audit mode */
  int reason;           /* SE_REASON_*; SE_REASON_NONE for what was simply allowed */
  const se_rule *rule;  /* the one that decided; NULL: none did */
  char text[SE_RULE_TEXT];
  const char *changed;  /* the JSON text that is delivered instead, or NULL; the engine's, good as
                           long as se_rules_serial says the same */
  size_t changed_len;
  const se_envelope *changed_envelope; /* of its scan; likewise */
  uint64_t instructions;
  double seconds;
  size_t bytes;
  int has_tripped;      /* this very event tripped its rule */
} se_decision;

/* Everything that is declared: type, marks, trust, sender, size, fields, rates. 1: *out is the
 * decision, already counted. 0: so far nothing speaks against it, and out->rule has functions
 * (se_rule_function): call them in turn, each answer to se_rules_answer; then se_rules_finish.
 * 'steps', where not NULL, is told of each step: its name ("type" "trust" ...), what it found (an
 * SE_REASON_*), and a text for people. */
typedef void (*se_rules_step)(void *user, const char *step, int reason, const char *text);
int se_rules_judge(se_rules *rules, const se_rule_event *event, se_decision *out,
                   se_rules_step step, void *user);
/* Takes over what a function (SE_RULE_CHECK, SE_RULE_REWRITE) answered; a rewrite is put together
 * and checked again here. 1: another function of the rule may still be called; 0: decided. */
int se_rules_answer(se_rules *rules, const se_rule_event *event, int which,
                    const se_rule_answer *answer, se_decision *out, se_rules_step step,
                    void *user);
/* The last word: audit mode, counting, breaches. */
void se_rules_finish(se_rules *rules, const se_rule_event *event, se_decision *out);

/* Takes the changed text of a decision, which there is, out of the engine: from then on it lives as
 * long as *text and *envelope, both to be freed (se_buffer_free, free), and out->changed points
 * there. */
void se_rules_detach(se_rules *rules, se_decision *out, se_buffer *text, se_envelope **envelope);
/* The changed text could not be kept: it is as if it had taken too much memory. */
void se_rules_lose(se_decision *out);

/* Whether a rule is off because its functions broke budgets. */
int se_rules_is_tripped(const se_rules *rules, const se_rule *rule);

/* Counts what was decided elsewhere. */
void se_rules_count(se_rules *rules, const char *type, size_t len, int verdict, int reason);
/* The counter itself, which lives as long as 'rules': for the router, which refuses one type again
 * and again. Never NULL: where there is no memory for another one, it is one that nobody reads. */
uint64_t *se_rules_counter(se_rules *rules, const char *type, size_t len, int verdict, int reason);
/* By type (at most 1024 of them, the rest under "*"), verdict and reason. What audit mode let
 * through is counted under the verdict "audit". */
void se_rules_each(const se_rules *rules,
                   void (*each)(void *user, const char *type, size_t len, const char *verdict,
                                const char *reason, uint64_t count),
                   void *user);

#endif
