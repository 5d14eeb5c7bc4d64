/* lrule_verdict.h -- allow, drop, flag, quarantine, rewrite: values that only this module can make. */
#ifndef SE_LRULE_VERDICT_H
#define SE_LRULE_VERDICT_H

#include "compat.h"
#include "rule_verdict.h"

enum {
  SE_WORD_BARE,   /* allow, drop, ... as they stand */
  SE_WORD_CALLED, /* drop "text"; its text or data is there */
  SE_WORD_WRONG   /* called with something else: the text says so */
};

typedef struct {
  int verdict, form;
} se_verdict_word;

/* Adds the five words to the table on top of the stack. */
void se_verdicts_add(lua_State *L);
/* The word at 'index', or NULL. */
const se_verdict_word *se_verdict_at(lua_State *L, int index);
/* Pushes what the word at 'index' was called with, or nil. */
void se_verdict_push_value(lua_State *L, int index);

#endif
