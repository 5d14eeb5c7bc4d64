/* rule_memory.c -- what rules remember between events: token buckets, marks and counters.
 *
 * Three tables of one make: records in a hash table, and a heap of them by the time from which
 * each is as good as absent (a bucket that is full again, a mark or a counter that has ended). A
 * record that is used lives longer, but its place in the heap is only corrected when it comes to
 * the top: so use costs nothing there, and room is found without a walk through the table. */
#include "rule_memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "keytable.h"
#include "status.h"

typedef struct {
  se_key key;
  size_t place; /* in the heap */
  double ends;  /* as good as absent from then on */
  double period;
  int pinned;   /* a bucket that is about to be used: must not make room for another one */
  union {
    struct {
      double level, updated;
    } bucket;
    struct {
      double start, now, before; /* of the current step; sums of this and the last one */
    } count;
  } as;
} record;

typedef struct {
  double ends; /* of the record, or an earlier time */
  record *record;
} spot;

typedef struct {
  se_keytable records;
  spot *heap; /* as many as there are records */
  size_t room, limit;
} store;

struct se_rule_memory {
  uint64_t seed;
  double latest; /* the last time that was a number */
  store buckets, marks, counts;
};

/* --- the heap --------------------------------------------------------------------------------- */

static void put(store *in, size_t place, spot it) {
  in->heap[place] = it;
  it.record->place = place;
}

static void sift_up(store *in, size_t place) {
  spot moved = in->heap[place];
  while (place > 0 && in->heap[(place - 1) / 2].ends > moved.ends) {
    put(in, place, in->heap[(place - 1) / 2]);
    place = (place - 1) / 2;
  }
  put(in, place, moved);
}

static void sift_down(store *in, size_t place, size_t count) {
  spot moved = in->heap[place];
  for (size_t child; (child = 2 * place + 1) < count; place = child) {
    if (child + 1 < count && in->heap[child + 1].ends < in->heap[child].ends)
      child++;
    if (in->heap[child].ends >= moved.ends)
      break;
    put(in, place, in->heap[child]);
  }
  put(in, place, moved);
}

/* Puts a record where its time belongs. */
static void settle(store *in, record *it) {
  in->heap[it->place].ends = it->ends;
  sift_up(in, it->place);
  sift_down(in, it->place, in->records.used);
}

/* So many places are corrected at most when room is looked for: more would let whoever sends delay
 * an event. What is left to be corrected is so the next time. */
#define CORRECTIONS 32

/* The record that ends first, or, where too many places are wrong, any one; there is one. */
static record *soonest(store *in) {
  for (int i = 0; i < CORRECTIONS && in->heap[0].record->ends > in->heap[0].ends; i++) {
    in->heap[0].ends = in->heap[0].record->ends;
    sift_down(in, 0, in->records.used);
  }
  return in->heap[0].record;
}

static void forget(store *in, record *it) {
  size_t last = in->records.used - 1, place = it->place;
  if (place != last) {
    put(in, place, in->heap[last]);
    sift_up(in, place);
    sift_down(in, place, last);
  }
  se_keytable_remove(&in->records, it);
}

/* --- records ---------------------------------------------------------------------------------- */

static record *find(const se_rule_memory *memory, const store *in, const char *key, size_t len) {
  if (in->records.used == 0)
    return NULL;
  return se_keytable_find(&in->records, se_key_hash(memory->seed, key, len), key, len);
}

/* Whether nobody would miss it. After a clock has jumped back, records may seem to end later than
 * any of their kind can. */
static int is_over(const record *it, double now) {
  return it->ends <= now || it->ends - now > 2 * it->period;
}

/* A new record, of which only the key is set. NULL: no memory, or (*status) no room. 'evict': the
 * one that ends first makes room, over or not. */
static record *add(se_rule_memory *memory, store *in, const char *key, size_t len, double now,
                   int evict, int *status) {
  *status = SE_ERR_FULL;
  if (in->limit == 0)
    return NULL;
  if (in->records.used >= in->limit) {
    record *first = soonest(in);
    if (first->pinned || !(evict || is_over(first, now)))
      return NULL;
    forget(in, first);
  }
  *status = SE_ERR_MEMORY;
  if (in->records.used == in->room) {
    size_t room = in->room == 0 ? 16 : in->room * 2;
    spot *grown = realloc(in->heap, room * sizeof *grown);
    if (grown == NULL)
      return NULL;
    in->heap = grown;
    in->room = room;
  }
  record *it = se_keytable_add(&in->records, se_key_hash(memory->seed, key, len), key, len,
                               sizeof *it);
  if (it == NULL)
    return NULL;
  it->place = in->records.used - 1;
  spot last = {INFINITY, it}; /* whoever asked for it knows its time, and lets it settle */
  put(in, it->place, last);
  *status = SE_OK;
  return it;
}

/* A time that is no number is taken for the latest that was one. */
static double sane_time(se_rule_memory *memory, double now) {
  if (isfinite(now))
    memory->latest = now;
  return memory->latest;
}

se_rule_memory *se_rule_memory_new(size_t buckets, size_t marks, size_t counts) {
  se_rule_memory *memory = calloc(1, sizeof *memory);
  if (memory == NULL)
    return NULL;
  memory->seed = se_keytable_seed();
  memory->buckets.limit = buckets;
  memory->marks.limit = marks;
  memory->counts.limit = counts;
  return memory;
}

static void store_free(store *in) {
  se_keytable_free(&in->records);
  free(in->heap);
  in->heap = NULL;
  in->room = 0;
}

void se_rule_memory_forget(se_rule_memory *memory) {
  store_free(&memory->buckets);
  store_free(&memory->marks);
  store_free(&memory->counts);
  memory->latest = 0;
}

void se_rule_memory_free(se_rule_memory *memory) {
  if (memory == NULL)
    return;
  store_free(&memory->buckets);
  store_free(&memory->marks);
  store_free(&memory->counts);
  free(memory);
}

void se_rule_memory_size(const se_rule_memory *memory, se_rule_memory_sizes *out) {
  out->buckets = memory->buckets.records.used;
  out->marks = memory->marks.records.used;
  out->counts = memory->counts.records.used;
}

/* --- buckets ---------------------------------------------------------------------------------- */

/* The time passed since a record was used last. A clock that went back by more than the period is
 * believed from now on; until then, none has passed. */
static double elapsed(double *since, double period, double now) {
  double passed = now - *since;
  if (passed < 0) {
    if (-passed > period)
      *since = now;
    return 0;
  }
  return passed;
}

static void refill(record *it, const se_bucket *bucket, double now) {
  double passed = elapsed(&it->as.bucket.updated, bucket->seconds, now);
  if (passed > 0) {
    it->as.bucket.level += passed * bucket->count / bucket->seconds;
    it->as.bucket.updated = now;
  }
  if (!(it->as.bucket.level < bucket->count))
    it->as.bucket.level = bucket->count;
}

/* The bucket as it stands now; NULL: it has no place. */
static record *look_up(se_rule_memory *memory, const se_bucket *bucket, double now, int *is_new) {
  store *in = &memory->buckets;
  int status;
  if (!(bucket->count >= 1) || !(bucket->seconds > 0) || bucket->key_len > SE_MEMORY_KEY)
    return NULL;
  record *it = find(memory, in, bucket->key, bucket->key_len);
  *is_new = it == NULL;
  if (it == NULL) {
    it = add(memory, in, bucket->key, bucket->key_len, now, 0, &status);
    if (it == NULL)
      return NULL;
    it->as.bucket.level = bucket->count;
    it->as.bucket.updated = it->ends = now;
  }
  it->period = bucket->seconds;
  refill(it, bucket, now);
  return it;
}

static void take(record *it, const se_bucket *bucket) {
  double level = it->as.bucket.level - 1;
  it->as.bucket.level = level > 0 ? level : 0;
  it->ends = it->as.bucket.updated +
             (bucket->count - it->as.bucket.level) / bucket->count * bucket->seconds;
}

/* Of more than this many buckets at once there is no use. */
#define MOST_AT_ONCE 16

int se_rule_memory_take(se_rule_memory *memory, const se_bucket *buckets, int count, double now) {
  record *found[MOST_AT_ONCE];
  int is_new[MOST_AT_ONCE], refused = -1, looked = 0;
  now = sane_time(memory, now);
  if (count > MOST_AT_ONCE)
    return MOST_AT_ONCE;
  for (; looked < count && refused < 0; looked++) {
    record *it = found[looked] = look_up(memory, &buckets[looked], now, &is_new[looked]);
    if (it == NULL || it->as.bucket.level < 1 - 1e-9) /* what rounding may have lost */
      refused = looked;
    if (it != NULL)
      it->pinned = 1;
  }
  for (int i = 0; i < looked; i++) {
    if (found[i] == NULL)
      continue;
    found[i]->pinned = 0;
    if (refused < 0)
      take(found[i], &buckets[i]);
    if (is_new[i])
      settle(&memory->buckets, found[i]);
  }
  return refused;
}

/* --- marks ------------------------------------------------------------------------------------ */

/* One key of two parts, which no other two parts give. 0: too long. */
static size_t join(char *out, const char *user, size_t user_len, const char *name,
                   size_t name_len) {
  uint32_t parted = (uint32_t)user_len;
  if (user_len > SE_MEMORY_KEY || name_len > SE_MEMORY_KEY ||
      user_len + name_len + sizeof parted > SE_MEMORY_KEY)
    return 0;
  memcpy(out, &parted, sizeof parted);
  if (user_len > 0)
    memcpy(out + sizeof parted, user, user_len);
  if (name_len > 0)
    memcpy(out + sizeof parted + user_len, name, name_len);
  return sizeof parted + user_len + name_len;
}

int se_rule_memory_mark(se_rule_memory *memory, const char *user, size_t user_len,
                        const char *name, size_t name_len, double seconds, double now) {
  char key[SE_MEMORY_KEY];
  size_t len = join(key, user, user_len, name, name_len);
  store *in = &memory->marks;
  int status;
  now = sane_time(memory, now);
  if (len == 0)
    return SE_ERR_FULL;
  if (isnan(seconds))
    return SE_OK;
  record *it = find(memory, in, key, len);
  if (seconds <= 0) {
    if (it != NULL)
      forget(in, it);
    return SE_OK;
  }
  if (it == NULL) {
    it = add(memory, in, key, len, now, 1, &status);
    if (it == NULL)
      return status;
    it->ends = now;
  }
  double left = it->ends - now;
  if (left > it->period)
    left = it->period; /* the clock went back */
  if (!(left > seconds)) {
    it->period = seconds;
    left = seconds;
  }
  it->ends = now + left;
  settle(in, it);
  return SE_OK;
}

int se_rule_memory_marked(const se_rule_memory *memory, const char *user, size_t user_len,
                          const char *name, size_t name_len, double now) {
  char key[SE_MEMORY_KEY];
  if (memory->marks.records.used == 0)
    return 0;
  size_t len = join(key, user, user_len, name, name_len);
  record *it = len == 0 ? NULL : find(memory, &memory->marks, key, len);
  if (it == NULL)
    return 0;
  if (!isfinite(now))
    now = memory->latest;
  /* Where the clock went back the mark lasts as long as if it had been made now, and no longer. Its
   * place in the heap is then too late, which matters only if the table is full. */
  if (it->ends - now > it->period)
    it->ends = now + it->period;
  return now < it->ends;
}

/* --- counters --------------------------------------------------------------------------------- */

/* The window moves in steps of half its length: one that is being filled, and the one before. */
static void advance(record *it, double seconds, double now) {
  double passed = elapsed(&it->as.count.start, seconds, now);
  if (passed >= seconds) {
    it->as.count.now = it->as.count.before = 0;
    it->as.count.start = now;
  } else if (passed >= seconds / 2) {
    it->as.count.before = it->as.count.now;
    it->as.count.now = 0;
    it->as.count.start += seconds / 2;
  }
}

static double at_least_zero(double n) {
  return n > 0 ? n : 0;
}

int se_rule_memory_count(se_rule_memory *memory, const char *key, size_t key_len, double n,
                         double seconds, double now, double *total) {
  store *in = &memory->counts;
  int status;
  *total = INFINITY;
  now = sane_time(memory, now);
  if (key_len > SE_MEMORY_KEY || isnan(n) || isnan(seconds))
    return SE_ERR_FULL;
  record *it = find(memory, in, key, key_len);
  if (it == NULL) {
    if (n <= 0 || seconds <= 0) { /* nothing to remember */
      *total = at_least_zero(n);
      return SE_OK;
    }
    it = add(memory, in, key, key_len, now, 0, &status);
    if (it == NULL)
      return status;
    it->as.count.start = now;
    it->ends = now + seconds;
    settle(in, it);
  } else if (seconds <= 0) {
    forget(in, it);
    *total = at_least_zero(n);
    return SE_OK;
  }
  advance(it, seconds, now);
  it->period = seconds;
  it->ends = it->as.count.start + seconds;
  double sum = it->as.count.now + n;
  if (isnan(sum)) /* infinitely many more or fewer than infinitely many */
    sum = INFINITY;
  else if (sum < -it->as.count.before)
    sum = -it->as.count.before;
  it->as.count.now = sum;
  *total = sum + it->as.count.before;
  if (isnan(*total))
    *total = INFINITY;
  return SE_OK;
}
