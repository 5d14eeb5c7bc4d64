/* lsandbox.c -- a Lua state of its own for the text of rules. */
#include "lsandbox.h"

#include <stdlib.h>
#include <string.h>

#include "lcore.h"

struct se_sandbox {
  size_t references;
};

se_sandbox *se_sandbox_new(const se_sandbox_limits *limits) {
  se_sandbox *sandbox = calloc(1, sizeof *sandbox);
  (void)limits;
  if (sandbox != NULL)
    sandbox->references = 1;
  return sandbox;
}

void se_sandbox_keep(se_sandbox *sandbox) {
  sandbox->references++;
}

void se_sandbox_free(se_sandbox *sandbox) {
  if (sandbox != NULL && --sandbox->references == 0)
    free(sandbox);
}

size_t se_sandbox_memory(const se_sandbox *sandbox) {
  (void)sandbox;
  return 0;
}

static void no_answer(se_rule_answer *answer) {
  memset(answer, 0, sizeof *answer);
  answer->verdict = SE_VERDICT_DROP;
  answer->reason = SE_REASON_CHECK_ERROR;
}

void se_sandbox_call(se_sandbox *sandbox, int reference, int which, const se_rule_event *event,
                     se_rule_memory *memory, se_rule_answer *answer) {
  (void)sandbox, (void)reference, (void)which, (void)event, (void)memory;
  no_answer(answer);
}

void se_sandbox_exact(se_sandbox *sandbox, int yes) {
  (void)sandbox, (void)yes;
}

void se_host_call(lua_State *L, int which, const se_rule_event *event, se_rule_memory *memory,
                  se_rule_answer *answer) {
  (void)which, (void)event, (void)memory;
  lua_pop(L, 1);
  no_answer(answer);
}

se_sandbox *se_check_sandbox(lua_State *L, int index) {
  luaL_argerror(L, index, "rule state expected");
  return NULL;
}

void se_open_sandbox(lua_State *L) {
  (void)L;
}
