/* lrule_context.h -- what a function of a rule is told besides the event: its second argument. */
#ifndef SE_LRULE_CONTEXT_H
#define SE_LRULE_CONTEXT_H

#include "compat.h"
#include "rule_memory.h"
#include "rule_verdict.h"

/* The call that is on; NULL between calls, when the context answers nothing any more. */
typedef struct {
  const se_rule_event *event;
  se_rule_memory *memory;
  int depth; /* of calls within one another: a program's functions may lead to decisions again */
} se_rule_context;

/* Pushes the context object of the state, which is made once; whoever calls a rule's function fills
 * it for that long. */
se_rule_context *se_context_push(lua_State *L);

#endif
