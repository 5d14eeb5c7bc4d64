/* lrule_set.h -- the compiled rule set as an object of Lua's, and what its functions need. */
#ifndef SE_LRULE_SET_H
#define SE_LRULE_SET_H

#include "lcore.h"
#include "lsandbox.h"
#include "rule_set.h"

/* The user value is the list of functions that are the program's own. */
typedef struct {
  se_rule_set *set;    /* NULL only while it is being made, and after __gc */
  se_sandbox *sandbox; /* of the functions of a rule file, or NULL */
} lrule_set;

lrule_set *se_check_lrule_set(lua_State *L, int index);

#endif
