/* rule_memory.h -- what rules remember between events: token buckets, marks and counters.
 *
 * It belongs to the receiver, not to a rule set, so that limits and marks survive a reload. Every
 * table is bounded, and what does not fit counts against the sender: a full table of buckets has no
 * token for a newcomer. Time is passed in, in seconds since 1970; a clock that jumps back stops
 * nothing for longer than the period of the limit itself. */
#ifndef SE_RULE_MEMORY_H
#define SE_RULE_MEMORY_H

#include <stddef.h>

#define SE_MEMORY_BUCKETS 65536 /* most of each kind, unless said otherwise */
#define SE_MEMORY_MARKS 65536
#define SE_MEMORY_COUNTS 65536
#define SE_MEMORY_KEY 512       /* bytes of the longest key, parts and separators together */

typedef struct se_rule_memory se_rule_memory;

/* NULL: no memory. */
se_rule_memory *se_rule_memory_new(size_t buckets, size_t marks, size_t counts);
void se_rule_memory_free(se_rule_memory *memory); /* accepts NULL */
void se_rule_memory_forget(se_rule_memory *memory); /* all of it */

/* One token bucket: 'count' tokens at first and at most, 'count' more every 'seconds'. */
typedef struct {
  const char *key; /* whatever tells this bucket from all others */
  size_t key_len;
  double count, seconds;
} se_bucket;
/* Takes a token out of each bucket, or, where one is empty or has no place, out of none. Returns
 * -1, or the index of the bucket that refused. */
int se_rule_memory_take(se_rule_memory *memory, const se_bucket *buckets, int count, double now);

/* Marks a user under a name for so many seconds from now (longer than before: the longer time
 * counts; 0 or less: takes the mark away). When the table is full the mark that would end first
 * makes room. SE_OK, SE_ERR_MEMORY, SE_ERR_FULL (a key over SE_MEMORY_KEY). */
int se_rule_memory_mark(se_rule_memory *memory, const char *user, size_t user_len,
                        const char *name, size_t name_len, double seconds, double now);
int se_rule_memory_marked(const se_rule_memory *memory, const char *user, size_t user_len,
                          const char *name, size_t name_len, double now);

/* Adds to the counter of a key, which forgets after 'seconds' (a window that slides in steps: what
 * is older than 'seconds' is out, and what is younger than half of it is surely in). *total is
 * what it then holds. SE_OK, SE_ERR_MEMORY, SE_ERR_FULL (the table holds only counters that are in
 * use, or the key is over SE_MEMORY_KEY); then *total is infinite, so that a rule that compares it
 * refuses. */
int se_rule_memory_count(se_rule_memory *memory, const char *key, size_t key_len, double n,
                         double seconds, double now, double *total);

/* How many entries there are of each kind, ended ones included. */
typedef struct {
  size_t buckets, marks, counts;
} se_rule_memory_sizes;
void se_rule_memory_size(const se_rule_memory *memory, se_rule_memory_sizes *out);

#endif
