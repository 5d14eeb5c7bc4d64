/* lsandbox.h -- a Lua state of its own for the text of rules, and the calls of their functions.
 *
 * Rule files are the operator's: trusted, but fallible. Events are hostile. So nothing that runs in
 * here can reach the host, take more memory than its cap, or run longer than its budgets. */
#ifndef SE_LSANDBOX_H
#define SE_LSANDBOX_H

#include "compat.h"
#include "rule_memory.h"
#include "rule_verdict.h"

typedef struct se_sandbox se_sandbox;

typedef struct {
  size_t memory;         /* bytes of the whole state */
  uint64_t instructions; /* of one call */
  double seconds;        /* of one call */
} se_sandbox_limits;

/* NULL: no memory, or a cap too small for an empty state. */
se_sandbox *se_sandbox_new(const se_sandbox_limits *limits);
/* References are counted, so that a rule set can outlive the Lua object of its state. */
void se_sandbox_keep(se_sandbox *sandbox);
void se_sandbox_free(se_sandbox *sandbox); /* lets go of one reference; accepts NULL */
size_t se_sandbox_memory(const se_sandbox *sandbox);

/* Calls the function 'reference' of the sandbox as check or rewrite (SE_RULE_CHECK, SE_RULE_REWRITE)
 * with a frozen copy of the event and its context. Always gives an answer: whatever goes wrong is a
 * drop with its reason. Never raises, and touches no other Lua state. answer->data need not be
 * initialised. */
void se_sandbox_call(se_sandbox *sandbox, int reference, int which, const se_rule_event *event,
                     se_rule_memory *memory, se_rule_answer *answer);

/* Counts each single instruction from now on, which takes several times as long; else answers have
 * them rounded down to hundreds. */
void se_sandbox_exact(se_sandbox *sandbox, int yes);

/* The same for a function of the program's own (rules given as a Lua table): it is at the top of the
 * stack of L, and is popped. Runs in L without budgets. The event's text must not be in a buffer that
 * running Lua code may change. Raises only for lack of memory. */
void se_host_call(lua_State *L, int which, const se_rule_event *event, se_rule_memory *memory,
                  se_rule_answer *answer);

/* The sandbox behind the userdata at 'index'; raises when it is none. */
se_sandbox *se_check_sandbox(lua_State *L, int index);
/* Adds rule_state() and verdicts to the table on top of the stack. */
void se_open_sandbox(lua_State *L);

#endif
