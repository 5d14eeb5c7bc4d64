/* rule_value.h -- the parts of rule_check.h: comparing one value in the text of an event with what
 * a rule declares about it (rule_value.c), objects and arrays (rule_object.c). */
#ifndef SE_RULE_VALUE_H
#define SE_RULE_VALUE_H

#include "json.h"
#include "rule_check.h"
#include "rule_set_private.h"

/* Where in the event a value is, from the inside to the outside; for the words alone. */
typedef struct se_path {
  const struct se_path *outer;
  se_slice name; /* of a field */
  size_t index;  /* of an element, from 1; 0: a field */
} se_path;

/* What stays the same while one event is looked at. */
typedef struct {
  se_check_space *space;
  const char *start; /* of the event's text: cuts are offsets from here */
  char *text;        /* the words */
} se_check;

/* Each sets the words and returns a reason; 'at' NULL: the event as a whole. */
int se_value_refuse(const se_check *c, const se_path *at, int reason, const char *text);
int se_value_refuse_length(const se_check *c, const se_path *at, size_t bound, const char *before,
                           const char *unit);
int se_value_refuse_extra(const se_check *c, const se_path *outer, const se_json_token *key);
int se_value_no_memory(const se_check *c);

se_rule_number se_value_number(const se_json_token *token);
/* What a string stands for; good until the next one is asked for. 0: no memory. */
int se_value_plain(const se_check *c, const se_json_token *token, se_slice *out);

/* Lua has one empty table for lists and objects. Whether the '{' at 'brace' begins an empty object
 * of a rewrite: then it is made an empty list, because the rule asks for one. */
int se_value_makes_list(const se_check *c, const char *brace);

/* A value that was read. Of a container only the kind is looked at: it is none of those that
 * se_value_check goes into. */
int se_value_check_scalar(const se_check *c, const se_rule_field *field, const se_path *at,
                          int kind, const se_json_token *token);
/* The value that is next in 'json'; reads all of it, or as much as decides. */
int se_value_check(const se_check *c, const se_rule_field *field, const se_path *at,
                   se_json *json);

/* Which of an object's declared fields were there. */
typedef struct {
  uint64_t bits[SE_RULE_FIELDS / 64];
} se_seen;
/* Whether it was there before. */
static inline int se_see(se_seen *seen, int index) {
  uint64_t bit = UINT64_C(1) << (index & 63), *word = &seen->bits[index >> 6];
  int before = (*word & bit) != 0;
  *word |= bit;
  return before;
}
int se_value_check_missing(const se_check *c, const se_rule_object *object, const se_path *outer,
                           const se_seen *seen);

/* Takes members out of one object. What is cut begins behind the last member that stays, so that
 * its comma goes too; or, as long as none has stayed, ends where the first one that does begins. */
typedef struct {
  const char *open; /* behind the opening brace */
  const char *end;  /* of the last member that stays or was cut; NULL: none stays so far */
  const char *cut;  /* end of the last one cut before any stays, or NULL */
} se_stripper;
/* Before a member that stays is looked at: cuts are in order, and it may have some within.
 * Afterwards its end is to be told in 'end'. Both: 0: no memory. */
int se_strip_keep(const se_check *c, se_stripper *stripper, const char *from);
int se_strip_cut(const se_check *c, se_stripper *stripper, const char *to);

#endif
