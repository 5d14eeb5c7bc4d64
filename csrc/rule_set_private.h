/* rule_set_private.h -- what a rule set is made of, for who builds one (lrule_set.c) and who
 * compares events with it (rule_check.c, rules.c). */
#ifndef SE_RULE_SET_PRIVATE_H
#define SE_RULE_SET_PRIVATE_H

#include <string.h>

#include "keytable.h"
#include "rule_set.h"

#define SE_RULE_FIELDS 256 /* of one object: no event has more keys than that */
#define SE_RULE_DEPTH 32   /* of fields in fields: as deep as JSON may be */
#define SE_RULE_RATES 16   /* of one rule: as many as se_rule_memory_take takes */

/* Strings, sorted by length and then by bytes. */
typedef struct {
  se_slice *at;
  size_t count;
  uint64_t lengths; /* of sorted ones: which there are, modulo 64 */
} se_rule_names;

typedef struct {
  int is_integer;
  int64_t integer;
  double real; /* where it is no integer */
} se_rule_number;

/* Values of which one is to be given. */
typedef struct {
  int is_given;
  se_rule_names strings;
  se_rule_number *numbers; /* in order */
  size_t number_count;
  int has_true, has_false;
} se_rule_choice;

enum { SE_EXTRA_REFUSE, SE_EXTRA_KEEP, SE_EXTRA_STRIP };

typedef struct se_rule_field se_rule_field;

/* What an object, or the data of an event, may hold. */
typedef struct {
  se_rule_names names;
  se_rule_field **fields;    /* one for each name */
  const se_rule_field *keys; /* of the name of every other key, or NULL */
  const se_rule_field *each; /* of its value, or NULL */
  int extra;                 /* SE_EXTRA_*, where 'each' is NULL */
} se_rule_object;

enum {
  SE_FIELD_STRING,
  SE_FIELD_INTEGER,
  SE_FIELD_NUMBER,
  SE_FIELD_BOOLEAN,
  SE_FIELD_ARRAY,
  SE_FIELD_OBJECT,
  SE_FIELD_ONE_OF,
  SE_FIELD_ANY
};

enum { SE_MATCH_STARTS, SE_MATCH_ENDS, SE_MATCH_CONTAINS, SE_MATCH_GLOB, SE_MATCHES };

struct se_rule_field {
  int kind, is_optional;
  int has_min, has_max, has_matches;
  se_rule_number min, max;           /* of numbers */
  size_t least, most;                /* of lengths */
  se_rule_names matches[SE_MATCHES]; /* in any order; none: all fit */
  se_rule_choice one_of;
  const se_rule_field *items;        /* of an array, or NULL: anything */
  se_rule_object object;
};

typedef struct {
  int is_given, is_none; /* is_none: it must be none of the list */
  se_rule_names list;
} se_rule_source;

enum { SE_FROM_USER, SE_FROM_ROLE, SE_FROM_CHANNEL_TYPE, SE_FROM_CID, SE_FROMS };

enum { SE_PER_SENDER, SE_PER_CHANNEL, SE_PER_ALL };

typedef struct {
  double count, seconds;
  int per;
  se_slice key; /* what its buckets have in common: rule, place in the rule, per */
} se_rule_rate;

enum { SE_RULE_EVENT, SE_RULE_REFUSED, SE_RULE_HONEYPOT };

struct se_rule {
  const se_rule_set *set;
  size_t index;            /* in the set */
  se_slice name;           /* zero-terminated */
  int kind, is_prefix;
  int is_audit;            /* -1: as the set is, until that is finished */
  unsigned trust;          /* SE_TRUST_*: those it accepts */
  int has_from;
  se_rule_source from[SE_FROMS];
  size_t size;             /* bytes, or SIZE_MAX */
  se_rule_rate *rates;
  size_t rate_count;
  se_rule_object data;
  int functions[2];        /* above 0: of the rule state; below 0: of the program; 0: none */
  const char *quarantine, *flag; /* texts, or NULL */
  se_slice mark;           /* honeypot */
  double seconds;
};

typedef struct se_rule_block se_rule_block;

struct se_rule_set {
  size_t references;
  se_rule_block *blocks;   /* all that is below but the tables */
  se_slice hash;
  int is_allowed;          /* what nothing is declared about */
  int is_audit;
  se_rule *rules;          /* they move as others are added */
  size_t count, room;
  se_rule_names marks;     /* that honeypots give, each once */
  uint64_t seed;
  se_keytable types;       /* of se_rule_entry */
  se_keytable prefixes;
  uint8_t lengths[256];    /* that prefixes have, the longest first */
  size_t length_count;
  int has_host;            /* some function is the program's own */
};

typedef struct {
  se_key key;
  se_rule *rule;
} se_rule_entry;

/* NULL: no memory. Without rules. */
se_rule_set *se_rule_set_new(void);
/* Another rule: all zero, but for what an absent key of a description means. NULL: no memory. Good
 * until the next one is added. */
se_rule *se_rule_set_add(se_rule_set *set);
/* Memory of the set, all zero, freed with it; NULL: none. 'count' may be 0. */
void *se_rule_set_alloc(se_rule_set *set, size_t count, size_t size);
/* A copy with a zero behind it. SE_OK, SE_ERR_MEMORY. */
int se_rule_set_copy(se_rule_set *set, const char *text, size_t len, se_slice *out);
/* Gives the rates of a rule their keys, when all else is known of it. SE_OK, SE_ERR_MEMORY. */
int se_rule_set_name_rates(se_rule_set *set, se_rule *rule);
/* What follows from the rules, when all of them are there. SE_OK, SE_ERR_MEMORY, SE_ERR_ARGUMENT: a
 * name that comes twice. */
int se_rule_set_finish(se_rule_set *set);

/* Orders names; fields, where not NULL, move along. */
void se_rule_names_sort(se_rule_names *names, se_rule_field **fields);
void se_rule_numbers_sort(se_rule_number *numbers, size_t count); /* rule_value.c */

static inline int se_slice_is(se_slice slice, const char *text, size_t len) {
  return slice.len == len && memcmp(slice.at, text, len) == 0;
}

/* The index of a string, or -1. */
static inline int se_rule_names_find(const se_rule_names *names, const char *text, size_t len) {
  size_t low = 0, high = names->count;
  if ((names->lengths >> (len & 63) & 1) == 0)
    return -1; /* most that is looked for is no name at all */
  while (high - low > 6) {
    size_t middle = low + (high - low) / 2;
    const se_slice *it = &names->at[middle];
    int order = it->len != len ? (it->len < len ? -1 : 1) : memcmp(it->at, text, len);
    if (order <= 0)
      low = middle;
    else
      high = middle;
  }
  for (; low < high; low++)
    if (se_slice_is(names->at[low], text, len))
      return (int)low;
  return -1;
}

#endif
