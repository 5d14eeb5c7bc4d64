/* lrule_read.h -- reads a description of rules, a table of Lua's, into a rule set that is being made.
 *
 * Every function reads from the table on top of the stack and leaves it there. What is wrong with
 * the description raises, and so does a lack of memory: what was made so far belongs to the set. */
#ifndef SE_LRULE_READ_H
#define SE_LRULE_READ_H

#include "lcore.h"
#include "rule_set_private.h"

typedef struct {
  lua_State *L;
  se_rule_set *set;
  int functions;      /* where on the stack the list of the program's own functions is */
  int function_count;
  int has_sandbox;
} se_reader;

/* Pushes a field; its type. */
int se_reader_get(const se_reader *r, const char *key);
/* Raises: the field must be 'what'. */
void se_reader_wrong(const se_reader *r, const char *key, const char *what);
/* Zeroed memory of the set; never NULL. */
void *se_reader_room(const se_reader *r, size_t count, size_t size);
/* Copies the string, or reads the number, that itself is on top of the stack. */
se_slice se_reader_copy(const se_reader *r, const char *key);
se_rule_number se_reader_top_number(const se_reader *r, const char *key);

se_slice se_reader_string(const se_reader *r, const char *key); /* nil: NULL */
/* The index of a word in a list that ends with NULL; 'otherwise' for nil. */
int se_reader_word(const se_reader *r, const char *key, const char *const *words, int otherwise);
int se_reader_flag(const se_reader *r, const char *key);
int se_reader_number(const se_reader *r, const char *key, se_rule_number *out); /* 0: nil */
double se_reader_double(const se_rule_number *number);
/* A bound of what is counted, rounded up or down to a whole number. */
size_t se_reader_size(const se_rule_number *number, int up);
/* Pushes a list; its length. Also for nil: 0. */
size_t se_reader_list(const se_reader *r, const char *key);
se_rule_names se_reader_names(const se_reader *r, const char *key); /* a list of strings, sorted */

/* What an event or an object declares: fields, keys, each, extra ('otherwise' for nil). 'depth' is
 * how many objects it is in. (lrule_field.c) */
void se_reader_object(const se_reader *r, se_rule_object *object, int depth, int otherwise);

#endif
