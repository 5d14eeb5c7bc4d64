/* rules_count.c -- how often which type was decided how, in bounded memory. */
#include "rules_count.h"

#include <stdlib.h>

struct se_rule_counts {
  uint64_t seed;
  se_keytable types;
  se_rule_counter *others;
  uint64_t uncounted;
};

se_rule_counts *se_rule_counts_new(void) {
  se_rule_counts *counts = calloc(1, sizeof *counts);
  if (counts != NULL)
    counts->seed = se_keytable_seed();
  return counts;
}

static void free_list(se_rule_counter *list) {
  while (list != NULL) {
    se_rule_counter *next = list->next;
    free(list);
    list = next;
  }
}

void se_rule_counts_free(se_rule_counts *counts) {
  if (counts == NULL)
    return;
  for (size_t i = 0; i < counts->types.slots; i++) {
    if (counts->types.at[i] != NULL)
      free_list(((se_rule_type *)(void *)counts->types.at[i])->counters);
  }
  se_keytable_free(&counts->types);
  free_list(counts->others);
  free(counts);
}

se_rule_type *se_rule_counts_type(se_rule_counts *counts, const char *type, size_t len) {
  uint64_t hash = se_key_hash(counts->seed, type, len);
  se_rule_type *found = se_keytable_find(&counts->types, hash, type, len);
  if (found == NULL && counts->types.used < SE_COUNT_TYPES)
    found = se_keytable_add(&counts->types, hash, type, len, sizeof *found);
  return found;
}

uint64_t *se_rule_counts_of(se_rule_counts *counts, se_rule_type *type, int verdict, int reason) {
  se_rule_counter **list = type == NULL ? &counts->others : &type->counters;
  for (se_rule_counter *at = *list; at != NULL; at = at->next)
    if (at->verdict == verdict && at->reason == reason)
      return &at->count;
  se_rule_counter *added = calloc(1, sizeof *added);
  if (added == NULL)
    return &counts->uncounted;
  added->verdict = verdict;
  added->reason = reason;
  added->next = *list;
  *list = added;
  return &added->count;
}

typedef void counter_user(void *user, const char *type, size_t len, const char *verdict,
                          const char *reason, uint64_t count);

static void each_of(const se_rule_counter *list, const char *type, size_t len, counter_user *each,
                    void *user) {
  for (const se_rule_counter *at = list; at != NULL; at = at->next)
    if (at->count > 0)
      each(user, type, len,
           at->verdict == SE_COUNT_AUDIT ? "audit" : se_verdict_name(at->verdict),
           se_reason_code(at->reason), at->count);
}

void se_rule_counts_each(const se_rule_counts *counts, counter_user *each, void *user) {
  for (size_t i = 0; i < counts->types.slots; i++) {
    const se_rule_type *type = (const se_rule_type *)(const void *)counts->types.at[i];
    if (type != NULL)
      each_of(type->counters, type->key.bytes, type->key.len, each, user);
  }
  each_of(counts->others, "*", 1, each, user);
}
