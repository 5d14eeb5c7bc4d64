/* router.c -- decides, on the type of an event alone, whether it goes any further.
 *
 * Asked for every event, so a decision is made once per type and remembered beside the type's
 * counters: what an event then costs is one look into a hash table. What is remembered is bounded;
 * types beyond that are decided anew each time and counted together. */
#include "router.h"

#include <stdlib.h>
#include <string.h>

#include "keytable.h"
#include "status.h"

#define MAX_NAMES 4096  /* wanted and refused names: more is no subscription but a mistake */
#define MAX_TYPES 1024  /* types remembered: whoever may send chooses them, and may invent many */
#define MAX_REASONS 64  /* different words for a refusal */

/* The one name among the local ones that does come over the wire, from the server. */
static const char connection_error[] = "connection.error";

static int compare(const char *a, size_t a_len, const char *b, size_t b_len) {
  int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
  if (order != 0)
    return order;
  return a_len < b_len ? -1 : a_len > b_len;
}

static int is_same(const char *a, size_t a_len, const char *b, size_t b_len) {
  return a_len == b_len && memcmp(a, b, a_len) == 0;
}

/* How often events of one type went nowhere for one reason. */
typedef struct counter {
  struct counter *next;
  const char *reason;
  uint64_t count;
} counter;

typedef struct {
  se_key key;
  /* A wanted or refused name: */
  const char *refused; /* why, or NULL */
  int wanted;
  /* A type that was seen: */
  uint32_t generation; /* the decision below was made in this generation of wants and rules */
  int decision;
  uint64_t *count;     /* what the decision counts in besides the totals, or NULL */
  uint64_t *ruled;     /* likewise among the counters of the rules */
  counter *counters;
} entry;

/* Prefixes in order of bytes, none of which begins with another one of the list. So the only one
 * that a name can begin with is the last that does not come after the name. */
typedef struct {
  char **at;
  size_t *len;
  size_t used, room;
} prefixes;

struct se_router {
  uint64_t seed;
  uint32_t generation;
  int custom;
  size_t names_used;   /* counts against MAX_NAMES, prefixes included */
  se_keytable names;   /* wanted and refused: forgotten by se_router_clear */
  se_keytable seen;    /* decisions and counters */
  prefixes custom_prefixes, builtin_prefixes;
  char *reasons[MAX_REASONS];
  size_t reasons_used;
  counter *others;     /* of types beyond MAX_TYPES */
  se_rules *rules;     /* kept; or NULL */
  uint64_t rules_generation;
  int observing;
  uint64_t uncounted;  /* stands in for a counter there was no memory for */
  se_router_totals totals;
};

static const char reason_unwanted[] = "unwanted";
static const char reason_reserved[] = "reserved-type";
static const char reason_other[] = "refused"; /* for reasons beyond MAX_REASONS */

static void counters_free(counter *list) {
  while (list != NULL) {
    counter *next = list->next;
    free(list);
    list = next;
  }
}

/* --- prefixes --------------------------------------------------------------------------------- */

/* Where 'name' belongs in the order: the index of the first prefix that comes after it. */
static size_t prefixes_after(const prefixes *list, const char *name, size_t len) {
  size_t low = 0, high = list->used;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (compare(list->at[middle], list->len[middle], name, len) <= 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static int prefixes_match(const prefixes *list, const char *name, size_t len) {
  size_t at = prefixes_after(list, name, len);
  return at > 0 && list->len[at - 1] <= len &&
         memcmp(list->at[at - 1], name, list->len[at - 1]) == 0;
}

static void prefixes_free(prefixes *list) {
  for (size_t i = 0; i < list->used; i++)
    free(list->at[i]);
  free(list->at);
  free(list->len);
  memset(list, 0, sizeof *list);
}

static int prefixes_add(prefixes *list, const char *prefix, size_t len) {
  if (prefixes_match(list, prefix, len))
    return SE_OK; /* a shorter one covers it */
  if (list->used == list->room) {
    size_t room = list->room == 0 ? 16 : list->room * 2;
    char **at = realloc(list->at, room * sizeof *at);
    if (at == NULL)
      return SE_ERR_MEMORY;
    list->at = at;
    size_t *lens = realloc(list->len, room * sizeof *lens);
    if (lens == NULL)
      return SE_ERR_MEMORY;
    list->len = lens;
    list->room = room;
  }
  char *copy = malloc(len + 1);
  if (copy == NULL)
    return SE_ERR_MEMORY;
  memcpy(copy, prefix, len);
  copy[len] = '\0';
  size_t at = prefixes_after(list, prefix, len), covered = at;
  while (covered < list->used && list->len[covered] >= len &&
         memcmp(list->at[covered], prefix, len) == 0)
    free(list->at[covered++]);
  memmove(list->at + at + 1, list->at + covered, (list->used - covered) * sizeof *list->at);
  memmove(list->len + at + 1, list->len + covered, (list->used - covered) * sizeof *list->len);
  list->at[at] = copy;
  list->len[at] = len;
  list->used += 1 + at - covered;
  return SE_OK;
}

/* --- what is wanted --------------------------------------------------------------------------- */

se_router *se_router_new(void) {
  se_router *router = calloc(1, sizeof *router);
  if (router == NULL)
    return NULL;
  router->seed = se_keytable_seed();
  router->generation = 1;
  return router;
}

void se_router_free(se_router *router) {
  if (router == NULL)
    return;
  se_router_clear(router);
  for (size_t i = 0; i < router->seen.slots; i++) {
    if (router->seen.at[i] != NULL)
      counters_free(((entry *)(void *)router->seen.at[i])->counters);
  }
  se_keytable_free(&router->seen);
  counters_free(router->others);
  for (size_t i = 0; i < router->reasons_used; i++)
    free(router->reasons[i]);
  se_rules_free(router->rules);
  free(router);
}

/* Remembered decisions are stale from now on. */
static void changed(se_router *router) {
  router->generation++;
}

void se_router_rules(se_router *router, se_rules *rules) {
  if (rules != NULL)
    se_rules_keep(rules);
  se_rules_free(router->rules);
  router->rules = rules;
  router->rules_generation = rules == NULL ? 0 : se_rules_generation(rules);
  changed(router);
}

void se_router_observe(se_router *router, int yes) {
  if (router->observing == yes)
    return;
  router->observing = yes;
  changed(router);
}

static int name_entry(se_router *router, const char *name, size_t len, entry **out) {
  uint64_t hash = se_key_hash(router->seed, name, len);
  *out = se_keytable_find(&router->names, hash, name, len);
  if (*out != NULL)
    return SE_OK;
  if (router->names_used >= MAX_NAMES)
    return SE_ERR_FULL;
  *out = se_keytable_add(&router->names, hash, name, len, sizeof **out);
  if (*out == NULL)
    return SE_ERR_MEMORY;
  router->names_used++;
  return SE_OK;
}

int se_router_want(se_router *router, const char *type, size_t len) {
  entry *found;
  int status = name_entry(router, type, len, &found);
  if (status != SE_OK)
    return status;
  found->wanted = 1;
  changed(router);
  return SE_OK;
}

int se_router_want_prefix(se_router *router, const char *prefix, size_t len) {
  if (router->names_used >= MAX_NAMES)
    return SE_ERR_FULL;
  int status = prefixes_add(&router->custom_prefixes, prefix, len);
  if (status == SE_OK && len > 0 && memchr(prefix, '.', len) != NULL)
    status = prefixes_add(&router->builtin_prefixes, prefix, len);
  router->names_used++;
  changed(router);
  return status;
}

void se_router_want_custom(se_router *router, int yes) {
  router->custom = yes;
  changed(router);
}

/* Reasons outlive the rules that gave them, because counters are kept under them. */
static const char *keep_reason(se_router *router, const char *reason) {
  for (size_t i = 0; i < router->reasons_used; i++) {
    if (strcmp(router->reasons[i], reason) == 0)
      return router->reasons[i];
  }
  if (router->reasons_used == MAX_REASONS)
    return reason_other;
  size_t size = strlen(reason) + 1;
  char *copy = malloc(size);
  if (copy == NULL)
    return NULL;
  memcpy(copy, reason, size);
  router->reasons[router->reasons_used++] = copy;
  return copy;
}

int se_router_refuse(se_router *router, const char *type, size_t len, const char *reason) {
  const char *kept = keep_reason(router, reason);
  if (kept == NULL)
    return SE_ERR_MEMORY;
  entry *found;
  int status = name_entry(router, type, len, &found);
  if (status != SE_OK)
    return status;
  found->refused = kept;
  changed(router);
  return SE_OK;
}

void se_router_clear(se_router *router) {
  se_keytable_free(&router->names);
  prefixes_free(&router->custom_prefixes);
  prefixes_free(&router->builtin_prefixes);
  router->names_used = 0;
  router->custom = 0;
  changed(router);
}

/* --- decisions -------------------------------------------------------------------------------- */

/* A decision about a type, and what it is counted under. */
typedef struct {
  int route;
  const char *reason; /* NULL for what is delivered, or is still to be judged */
  int ruled;          /* the SE_REASON_* of a refusal by the rules */
} choice;

static int is_wanted(const se_router *router, const entry *named, int class, const char *type,
                     size_t len) {
  if (named != NULL && named->wanted)
    return 1;
  if (class == SE_TYPE_CUSTOM)
    return router->custom || prefixes_match(&router->custom_prefixes, type, len);
  return class == SE_TYPE_BUILTIN && prefixes_match(&router->builtin_prefixes, type, len);
}

static choice by_wants(int wanted) {
  choice made = {wanted ? SE_ROUTE_DELIVER : SE_ROUTE_UNWANTED, wanted ? NULL : reason_unwanted,
                 SE_REASON_NONE};
  return made;
}

static choice to_be_judged(int wanted) {
  choice made = {wanted ? SE_ROUTE_JUDGE : SE_ROUTE_WITNESS, NULL, SE_REASON_NONE};
  return made;
}

/* What the rules say of a type, where there are some. */
static choice by_rules(const se_router *router, int class, const char *type, size_t len,
                       int wanted) {
  se_rule_route found;
  se_rules_route(router->rules, type, len, &found);
  if (found.route == SE_RULE_TRAP)
    return to_be_judged(wanted);
  if (found.route == SE_RULE_REFUSE && !found.audit) {
    if (router->observing)
      return to_be_judged(wanted);
    choice refused = {SE_ROUTE_REFUSED, se_reason_code(found.reason), found.reason};
    return refused;
  }
  /* A custom type that no rule speaks about is still refused to a sender who is marked. */
  if (wanted && (found.route != SE_RULE_PASS || class == SE_TYPE_CUSTOM))
    return to_be_judged(1);
  return by_wants(wanted);
}

static choice decide(const se_router *router, uint64_t hash, const char *type, size_t len) {
  int class = se_type_class(type, len);
  const entry *named = se_keytable_find(&router->names, hash, type, len);
  int is_error = is_same(type, len, connection_error, sizeof connection_error - 1);
  int is_reserved = class == SE_TYPE_LOCAL && !is_error;
  int has_rules = router->rules != NULL && se_rules_set(router->rules) != NULL;
  choice refused = {SE_ROUTE_REFUSED, NULL, SE_REASON_NONE};
  if (is_reserved && !has_rules)
    refused.reason = reason_reserved;
  else if (named != NULL)
    refused.reason = named->refused;
  if (refused.reason != NULL)
    return refused;
  int wanted = !is_reserved && is_wanted(router, named, class, type, len);
  return has_rules && !is_error ? by_rules(router, class, type, len, wanted) : by_wants(wanted);
}

static uint64_t *find_count(se_router *router, counter **list, const char *reason) {
  for (counter *at = *list; at != NULL; at = at->next) {
    if (at->reason == reason || strcmp(at->reason, reason) == 0)
      return &at->count;
  }
  counter *added = malloc(sizeof *added);
  if (added == NULL)
    return &router->uncounted; /* the totals still have it */
  added->next = *list;
  added->reason = reason;
  added->count = 0;
  *list = added;
  return &added->count;
}

static int count(se_router *router, const entry *type) {
  router->totals.received++;
  switch (type->decision) {
    case SE_ROUTE_DELIVER: router->totals.delivered++; break;
    case SE_ROUTE_UNWANTED: router->totals.unwanted++; break;
    case SE_ROUTE_REFUSED: router->totals.refused++; break;
    default: break; /* not known before it is judged */
  }
  if (type->count != NULL)
    ++*type->count;
  if (type->ruled != NULL)
    ++*type->ruled;
  return type->decision;
}

int se_router_decide(se_router *router, const char *type, size_t len) {
  if (router->rules != NULL && se_rules_generation(router->rules) != router->rules_generation) {
    router->rules_generation = se_rules_generation(router->rules);
    changed(router);
  }
  uint64_t hash = se_key_hash(router->seed, type, len);
  entry passing, *known = se_keytable_find(&router->seen, hash, type, len);
  if (known != NULL && known->generation == router->generation)
    return count(router, known);

  choice made = decide(router, hash, type, len);
  counter **counters = known == NULL ? &router->others : &known->counters;
  if (known == NULL && router->seen.used < MAX_TYPES) {
    known = se_keytable_add(&router->seen, hash, type, len, sizeof *known);
    counters = known == NULL ? &router->others : &known->counters;
  }
  if (known == NULL)
    known = &passing;
  known->generation = router->generation;
  known->decision = made.route;
  known->count = made.reason == NULL ? NULL : find_count(router, counters, made.reason);
  known->ruled = made.ruled == SE_REASON_NONE
                     ? NULL
                     : se_rules_counter(router->rules, type, len, SE_VERDICT_DROP, made.ruled);
  return count(router, known);
}

void se_router_judged(se_router *router, const char *type, size_t len, int route,
                      const char *reason) {
  if (reason == NULL && route == SE_ROUTE_JUDGE) {
    router->totals.delivered++;
    return;
  }
  entry *known =
      se_keytable_find(&router->seen, se_key_hash(router->seed, type, len), type, len);
  counter **counters = known == NULL ? &router->others : &known->counters;
  ++*find_count(router, counters, reason == NULL ? reason_unwanted : reason);
  if (reason == NULL)
    router->totals.unwanted++;
  else
    router->totals.refused++;
}

void se_router_count_totals(const se_router *router, se_router_totals *out) {
  *out = router->totals;
}

void se_router_each(const se_router *router,
                    void (*each)(void *user, const char *type, size_t len, const char *reason,
                                 uint64_t count),
                    void *user) {
  for (size_t i = 0; i < router->seen.slots; i++) {
    const entry *type = (const entry *)(const void *)router->seen.at[i];
    for (const counter *at = type == NULL ? NULL : type->counters; at != NULL; at = at->next)
      each(user, type->key.bytes, type->key.len, at->reason, at->count);
  }
  for (const counter *at = router->others; at != NULL; at = at->next)
    each(user, "*", 1, at->reason, at->count);
}
