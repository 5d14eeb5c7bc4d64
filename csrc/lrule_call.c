/* lrule_call.c -- calls the functions of rules, and reads what they answer.
 *
 * The same in both kinds of state: that of a rule file, with budgets, and that of a program which
 * gave its rules as a Lua table. */
#include <stdio.h>
#include <string.h>

#include "lcore.h"
#include "lrule_context.h"
#include "lrule_verdict.h"
#include "lsandbox.h"
#include "lsandbox_state.h"
#include "printable.h"
#include "rule_set.h"
#include "status.h"

#define DEEPEST 20              /* calls within one another; each takes some KiB of the C stack */
#define REWRITE_MAX (1u << 20) /* bytes of new data, as of a whole event */

static void begin_answer(se_rule_answer *answer) {
  answer->verdict = SE_VERDICT_DROP;
  answer->reason = SE_REASON_CHECK_ERROR;
  answer->text[0] = '\0';
  se_buffer_init(&answer->data, REWRITE_MAX);
  answer->instructions = 0;
  answer->seconds = 0;
  answer->bytes = 0;
}

static void set_text(se_rule_answer *answer, const char *text, size_t len) {
  se_printable(text, len, answer->text, sizeof answer->text);
}

static void drop(se_rule_answer *answer, int reason, const char *text) {
  answer->verdict = SE_VERDICT_DROP;
  answer->reason = reason;
  set_text(answer, text, strlen(text));
}

/* "at a.b.c: reason": the reason alone, where the way to it would leave it no room. */
static void drop_unfit(se_rule_answer *answer, const char *text) {
  const char *reason = strrchr(text, ':');
  drop(answer, SE_REASON_BAD_VERDICT,
       strlen(text) >= sizeof answer->text && reason != NULL ? reason + 2 : text);
}

/* Takes the value on top of the stack as new data. */
static void read_data(lua_State *L, se_rule_answer *answer, void (*tick)(lua_State *)) {
  int status = se_json_encode(L, tick, &answer->data);
  if (status == SE_OK && se_buffer_bytes(&answer->data)[0] == '{') {
    answer->verdict = SE_VERDICT_REWRITE;
    answer->reason = SE_REASON_CHECK;
  } else if (status == SE_OK) {
    drop(answer, SE_REASON_BAD_VERDICT, "new data are names with values, not a list");
  } else if (status == SE_ERR_ARGUMENT) {
    drop_unfit(answer, lua_tostring(L, -1));
  } else if (status == SE_ERR_FULL) {
    drop(answer, SE_REASON_TOO_LARGE, "the new data are larger than any event");
  } else {
    drop(answer, SE_REASON_BUDGET_MEMORY, "the system has no more memory");
  }
}

/* Takes the word at 'index', which may hold a text or data. */
static void read_word(lua_State *L, int index, const se_verdict_word *word, se_rule_answer *answer,
                      void (*tick)(lua_State *)) {
  size_t len;
  const char *text;
  if (word->form == SE_WORD_BARE) {
    if (word->verdict == SE_VERDICT_REWRITE) {
      drop(answer, SE_REASON_BAD_VERDICT, "rewrite takes the new data: rewrite { ... }");
      return;
    }
    answer->verdict = word->verdict;
    answer->reason = word->verdict == SE_VERDICT_ALLOW ? SE_REASON_NONE : SE_REASON_CHECK;
    return;
  }
  se_verdict_push_value(L, index);
  if (word->form == SE_WORD_CALLED && word->verdict == SE_VERDICT_REWRITE) {
    read_data(L, answer, tick);
    return;
  }
  text = lua_tolstring(L, -1, &len);
  answer->verdict = word->form == SE_WORD_WRONG ? SE_VERDICT_DROP : word->verdict;
  answer->reason = word->form == SE_WORD_WRONG ? SE_REASON_BAD_VERDICT : SE_REASON_CHECK;
  set_text(answer, text, len);
}

/* Reads the function's answer, which is on top of the stack. Runs nothing of the program's. */
static void read_answer(lua_State *L, int which, se_rule_answer *answer,
                        void (*tick)(lua_State *)) {
  const se_verdict_word *word = se_verdict_at(L, -1);
  char text[SE_RULE_TEXT];
  if (word != NULL) {
    read_word(L, lua_gettop(L), word, answer, tick);
  } else if (which == SE_RULE_REWRITE && lua_istable(L, -1)) {
    read_data(L, answer, tick);
  } else {
    snprintf(text, sizeof text, "%s gave %s%s, which is no verdict",
             which == SE_RULE_REWRITE ? "rewrite" : "check",
             lua_isnil(L, -1) || lua_isboolean(L, -1) ? "" : "a ",
             lua_isboolean(L, -1) ? lua_toboolean(L, -1) ? "true" : "false"
                                  : lua_typename(L, lua_type(L, -1)));
    drop(answer, SE_REASON_BAD_VERDICT, text);
  }
}

/* ------------------------------------------------------------------------------------- sandbox */

typedef struct {
  int reference, which;
  const se_rule_event *event;
  se_rule_memory *memory;
  se_rule_answer *answer;
  se_rule_context *context; /* to be emptied afterwards */
} call;

static int call_in_sandbox(lua_State *L) {
  call *c = lua_touserdata(L, 1);
  lua_settop(L, 0);
  se_sandbox_push_functions(L);
  lua_rawgeti(L, 1, c->reference);
  lua_remove(L, 1);
  if (!lua_isfunction(L, -1))
    return luaL_error(L, "the rule has no such function");
  se_event_push_judged(L, c->event);
  c->context = se_context_push(L);
  c->context->event = c->event;
  c->context->memory = c->memory;
  lua_call(L, 2, 1);
  read_answer(L, c->which, c->answer, se_sandbox_tick);
  return 0;
}

void se_sandbox_call(se_sandbox *sandbox, int reference, int which, const se_rule_event *event,
                     se_rule_memory *memory, se_rule_answer *answer) {
  call c = {reference, which, event, memory, answer, NULL};
  int reason;
  begin_answer(answer);
  if (sandbox->running) { /* it is loading, and the program asks from within its own 'read' */
    drop(answer, SE_REASON_CHECK_ERROR, "the rules are being loaded");
    return;
  }
  reason = se_sandbox_run(sandbox, call_in_sandbox, &c, sandbox->limits.instructions,
                          sandbox->limits.seconds);
  if (c.context != NULL) {
    c.context->event = NULL;
    c.context->memory = NULL;
  }
  if (reason != 0)
    drop(answer, reason, sandbox->message);
  answer->instructions = sandbox->spent;
  answer->seconds = sandbox->seconds;
  answer->bytes = sandbox->peak - sandbox->before;
}

/* ------------------------------------------------------------------------------------- host */

void se_host_call(lua_State *L, int which, const se_rule_event *event, se_rule_memory *memory,
                  se_rule_answer *answer) {
  uint64_t started = se_sandbox_clock();
  se_rule_context *context, outer;
  int function = lua_gettop(L), status;
  begin_answer(answer);
  luaL_checkstack(L, 20, "rule");
  se_event_push_judged(L, event);
  context = se_context_push(L);
  outer = *context; /* a rule's function may itself lead to a decision */
  if (outer.depth == DEEPEST) {
    drop(answer, SE_REASON_CHECK_ERROR, "rules that ask the rules again, without end");
    lua_settop(L, function - 1);
    return;
  }
  context->event = event;
  context->memory = memory;
  context->depth = outer.depth + 1;
  status = lua_pcall(L, 2, 1, 0);
  *context = outer;
  if (status == LUA_OK)
    read_answer(L, which, answer, NULL);
  else if (lua_type(L, -1) == LUA_TSTRING)
    drop(answer, SE_REASON_CHECK_ERROR, lua_tostring(L, -1));
  else
    drop(answer, SE_REASON_CHECK_ERROR, "an error without a text");
  lua_settop(L, function - 1);
  answer->seconds = (double)(se_sandbox_clock() - started) * 1e-9;
}
