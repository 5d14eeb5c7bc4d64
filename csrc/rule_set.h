/* rule_set.h -- a compiled rule set: what each rule declares, ready to be compared with events.
 *
 * Built once from a description that has been checked before (lrule_set.c), then never changed.
 * References are counted: a set lives as long as an engine or an object of Lua's uses it. */
#ifndef SE_RULE_SET_H
#define SE_RULE_SET_H

#include <stddef.h>
#include <stdint.h>

#include "rule_verdict.h"

typedef struct se_rule_set se_rule_set;
typedef struct se_rule se_rule;

void se_rule_set_keep(se_rule_set *set);
void se_rule_set_drop(se_rule_set *set); /* accepts NULL; frees it with the last reference */

const char *se_rule_set_hash(const se_rule_set *set); /* of the texts it was made of, in hex */
size_t se_rule_set_count(const se_rule_set *set);

/* The rule for a type: its own name before any prefix, and the longest prefix before shorter ones;
 * NULL: none. */
const se_rule *se_rule_set_find(const se_rule_set *set, const char *type, size_t len);

/* As written, "trade_*" with its star; zero-terminated. */
const char *se_rule_name(const se_rule *rule);
/* Whether any rule of the set has a function of the program's own. */
int se_rule_set_has_host(const se_rule_set *set);
enum { SE_RULE_CHECK, SE_RULE_REWRITE };
/* The reference of a function of the rule, for whoever calls it; 0: it has none. */
int se_rule_function(const se_rule *rule, int which);

#endif
