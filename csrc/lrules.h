/* lrules.h -- the rules of one receiver as an object of Lua's, and the whole decision about an
 * event.
 *
 * This is where the declarations (rules.h) and the functions of rules (lsandbox.h) come together.
 * Connections and rules:decide both go through se_rules_decide. */
#ifndef SE_LRULES_H
#define SE_LRULES_H

#include "compat.h"
#include "rules.h"

struct lrules;

/* Both raise when the value at 'index' is something else. */
struct lrules *se_check_rules(lua_State *L, int index);
se_rule_set *se_check_rule_set(lua_State *L, int index);

/* The engine; lives as long as the userdata. */
se_rules *se_rules_of(const struct lrules *box);
/* Whether what is dropped is to be reported: rules:observe(yes). */
int se_rules_observed(const struct lrules *box);

/* Decides about an event by the rules at 'index' (positive; not checked): declarations, functions,
 * counting. Pushes one value, which keeps out->rule, out->changed and out->changed_envelope alive;
 * leave it there as long as those are used. Raises only for lack of memory.
 *
 * Where se_rules_has_host_functions says yes, the program's own code runs in here, and text and
 * envelope of the event must be out of its reach: see se_rule_event_reserve. Everywhere else no
 * code of L's runs until the decision is made; after it, if out->changed is not NULL, finalizers
 * may have run, and the event that was given may be gone. */
void se_rules_decide(lua_State *L, int index, const se_rule_event *event, se_decision *out,
                     se_rules_step step, void *user);

/* What is left of it after se_rules_judge, which has said 'decided': where that is 1, nothing was
 * changed and the rule is not asked for, all is done without it. */
void se_rules_conclude(lua_State *L, int index, int decided, const se_rule_event *event,
                       se_decision *out, se_rules_step step, void *user);

/* Whether the rule (may be NULL) calls functions of the program's own, not of a rule file. */
int se_rules_has_host_functions(const se_rule *rule);

/* A copy of an event with all that it points to, in two steps, because an allocation may run
 * finalizers. First pushes a userdata that has room for it; raises for lack of memory. Then, if the
 * event is still what it was, fills it: never raises, and what *out points to lives as long as the
 * userdata. */
void *se_rule_event_reserve(lua_State *L, const se_rule_event *event);
void se_rule_event_fill(void *reserved, const se_rule_event *event, se_rule_event *out);

/* Pushes a decision as stream_events.core.RuleDecision, without steps. */
void se_rules_push_decision(lua_State *L, const se_rules *rules, const se_decision *decision);

/* Adds rule_set() and rules() to the table on top of the stack. */
void se_open_rule_set(lua_State *L); /* lrule_set.c; called by the next */
void se_open_rules(lua_State *L);

#endif
