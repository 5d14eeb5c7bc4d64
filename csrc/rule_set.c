/* rule_set.c -- a compiled rule set: where its memory is, and which rule speaks about a type. */
#include "rule_set.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "rule_memory.h"
#include "rule_set_private.h"
#include "status.h"
#include "type_class.h"

/* A set is made of many small pieces, all freed at once. */
struct se_rule_block {
  se_rule_block *next;
  size_t used, size;
  max_align_t bytes[];
};

#define BLOCK 4096

void *se_rule_set_alloc(se_rule_set *set, size_t count, size_t size) {
  const size_t unit = sizeof(max_align_t);
  if (count == 0)
    count = 1;
  if (size > (SIZE_MAX - BLOCK) / count)
    return NULL;
  size_t need = (count * size + unit - 1) / unit * unit;
  se_rule_block *block = set->blocks;
  if (block == NULL || block->size - block->used < need) {
    size_t room = need > BLOCK ? need : BLOCK;
    block = calloc(1, sizeof *block + room);
    if (block == NULL)
      return NULL;
    block->size = room;
    block->next = set->blocks;
    set->blocks = block;
  }
  void *at = (char *)block->bytes + block->used;
  block->used += need;
  return at;
}

int se_rule_set_copy(se_rule_set *set, const char *text, size_t len, se_slice *out) {
  char *copy = se_rule_set_alloc(set, len + 1, 1);
  if (copy == NULL)
    return SE_ERR_MEMORY;
  if (len > 0)
    memcpy(copy, text, len);
  out->at = copy;
  out->len = len;
  return SE_OK;
}

se_rule_set *se_rule_set_new(void) {
  se_rule_set *set = calloc(1, sizeof *set);
  if (set == NULL)
    return NULL;
  set->references = 1;
  set->seed = se_keytable_seed();
  set->hash.at = "";
  return set;
}

se_rule *se_rule_set_add(se_rule_set *set) {
  if (set->count == set->room) {
    size_t room = set->room == 0 ? 8 : set->room * 2;
    se_rule *rules = se_rule_set_alloc(set, room, sizeof *rules);
    if (rules == NULL)
      return NULL;
    if (set->count > 0)
      memcpy(rules, set->rules, set->count * sizeof *rules);
    set->rules = rules; /* the ones before are freed with the set */
    set->room = room;
  }
  se_rule *rule = &set->rules[set->count];
  memset(rule, 0, sizeof *rule);
  rule->set = set;
  rule->index = set->count++;
  rule->is_audit = -1;
  rule->trust = SE_TRUST_ANY;
  rule->size = SIZE_MAX;
  return rule;
}

void se_rule_set_keep(se_rule_set *set) {
  set->references++;
}

void se_rule_set_drop(se_rule_set *set) {
  if (set == NULL || --set->references > 0)
    return;
  se_keytable_free(&set->types);
  se_keytable_free(&set->prefixes);
  while (set->blocks != NULL) {
    se_rule_block *next = set->blocks->next;
    free(set->blocks);
    set->blocks = next;
  }
  free(set);
}

/* --- names ------------------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b) {
  const se_slice *left = a, *right = b;
  if (left->len != right->len)
    return left->len < right->len ? -1 : 1;
  return memcmp(left->at, right->at, left->len);
}

static void swap(se_rule_names *names, se_rule_field **fields, size_t a, size_t b) {
  se_slice name = names->at[a];
  names->at[a] = names->at[b];
  names->at[b] = name;
  if (fields != NULL) {
    se_rule_field *field = fields[a];
    fields[a] = fields[b];
    fields[b] = field;
  }
}

/* A heap sort: lists may be long, and two arrays move together. */
static void sink(se_rule_names *names, se_rule_field **fields, size_t at, size_t count) {
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && compare_names(&names->at[child], &names->at[child + 1]) < 0)
      child++;
    if (compare_names(&names->at[at], &names->at[child]) >= 0)
      return;
    swap(names, fields, at, child);
  }
}

void se_rule_names_sort(se_rule_names *names, se_rule_field **fields) {
  names->lengths = 0;
  for (size_t i = 0; i < names->count; i++)
    names->lengths |= UINT64_C(1) << (names->at[i].len & 63);
  for (size_t i = names->count / 2; i-- > 0;)
    sink(names, fields, i, names->count);
  for (size_t count = names->count; count > 1; count--) {
    swap(names, fields, 0, count - 1);
    sink(names, fields, 0, count - 1);
  }
}

/* --- what follows from the rules -------------------------------------------------------------- */

static int index_rule(se_rule_set *set, se_rule *rule) {
  size_t len = rule->name.len - (size_t)rule->is_prefix;
  se_keytable *table = rule->is_prefix ? &set->prefixes : &set->types;
  uint64_t hash = se_key_hash(set->seed, rule->name.at, len);
  if (se_keytable_find(table, hash, rule->name.at, len) != NULL)
    return SE_ERR_ARGUMENT;
  se_rule_entry *entry = se_keytable_add(table, hash, rule->name.at, len, sizeof *entry);
  if (entry == NULL)
    return SE_ERR_MEMORY;
  entry->rule = rule;
  return SE_OK;
}

/* What tells the buckets of a rate from those of others, also after a reload. Leaves enough of
 * SE_MEMORY_KEY for an id of 255 bytes. */
static int name_rate(se_rule_set *set, const se_rule *rule, size_t i) {
  char key[SE_MEMORY_KEY];
  size_t len = rule->name.len < 200 ? rule->name.len : 200;
  memcpy(key, rule->name.at, len);
  int more = snprintf(key + len, sizeof key - len, "%c%llx%c%d.%d", 0,
                      (unsigned long long)se_key_hash(0, rule->name.at, rule->name.len), 0,
                      (int)i, rule->rates[i].per);
  return se_rule_set_copy(set, key, len + (size_t)more, &rule->rates[i].key);
}

int se_rule_set_name_rates(se_rule_set *set, se_rule *rule) {
  int status = SE_OK;
  for (size_t i = 0; i < rule->rate_count && status == SE_OK; i++)
    status = name_rate(set, rule, i);
  return status;
}

static void note_lengths(se_rule_set *set) {
  char has[256] = {0};
  for (size_t i = 0; i < set->count; i++)
    if (set->rules[i].is_prefix)
      has[set->rules[i].name.len - 1] = 1;
  for (int len = 255; len >= 0; len--)
    if (has[len])
      set->lengths[set->length_count++] = (uint8_t)len;
}

static int note_marks(se_rule_set *set) {
  set->marks.at = se_rule_set_alloc(set, set->count, sizeof *set->marks.at);
  if (set->marks.at == NULL)
    return SE_ERR_MEMORY;
  for (size_t i = 0; i < set->count; i++) {
    const se_rule *rule = &set->rules[i];
    size_t at = 0;
    if (rule->kind != SE_RULE_HONEYPOT)
      continue;
    while (at < set->marks.count && compare_names(&set->marks.at[at], &rule->mark) != 0)
      at++;
    set->marks.at[at] = rule->mark;
    set->marks.count += at == set->marks.count;
  }
  return SE_OK;
}

int se_rule_set_finish(se_rule_set *set) {
  int status = note_marks(set);
  note_lengths(set);
  for (size_t i = 0; i < set->count && status == SE_OK; i++) {
    if (set->rules[i].is_audit < 0)
      set->rules[i].is_audit = set->is_audit;
    status = index_rule(set, &set->rules[i]);
  }
  return status;
}

/* --- questions -------------------------------------------------------------------------------- */

const char *se_rule_set_hash(const se_rule_set *set) {
  return set->hash.at;
}

size_t se_rule_set_count(const se_rule_set *set) {
  return set->count;
}

/* Whether a rule may speak about a type: a prefix covers built-in types only if it holds a '.', and
 * nothing covers what never comes from a sender, or what keeps the connection itself alive. */
static int covers(const se_rule *rule, const char *type, size_t len) {
  static const char alive[] = "health.check";
  int class = se_type_class(type, len);
  if (class != SE_TYPE_BUILTIN)
    return class == SE_TYPE_CUSTOM;
  return (!rule->is_prefix || memchr(rule->name.at, '.', rule->name.len) != NULL) &&
         !(len == sizeof alive - 1 && memcmp(type, alive, len) == 0);
}

int se_rule_set_has_host(const se_rule_set *set) {
  return set->has_host;
}

const se_rule *se_rule_set_find(const se_rule_set *set, const char *type, size_t len) {
  const se_rule_entry *found =
      se_keytable_find(&set->types, se_key_hash(set->seed, type, len), type, len);
  for (size_t i = 0; found == NULL && i < set->length_count; i++) {
    size_t part = set->lengths[i];
    if (part <= len)
      found = se_keytable_find(&set->prefixes, se_key_hash(set->seed, type, part), type, part);
  }
  return found == NULL || !covers(found->rule, type, len) ? NULL : found->rule;
}

const char *se_rule_name(const se_rule *rule) {
  return rule->name.at;
}

int se_rule_function(const se_rule *rule, int which) {
  return rule->functions[which];
}
