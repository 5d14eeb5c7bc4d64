/* keytable.h -- a hash table from keys of bytes to records of one kind.
 *
 * Whoever may send chooses many of the keys (types, users), so the hash is seeded: nobody can
 * choose keys that collide. How many records there may be is up to the owner, which looks at
 * 'used'. */
#ifndef SE_KEYTABLE_H
#define SE_KEYTABLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What a record begins with. Its key lies behind the record, in the same block. */
typedef struct {
  uint64_t hash;
  size_t len;
  const char *bytes;
} se_key;

/* Open addressing, at most half full; 'slots' is a power of two or 0. A table that is all zero is
 * empty. The owner may walk through 'at': each of the slots is a record or NULL. */
typedef struct {
  se_key **at;
  size_t slots, used;
} se_keytable;

/* A seed for the hash of one or more tables. */
uint64_t se_keytable_seed(void);

/* A new record of 'size' bytes, all zero but for its key, under a key that is not there yet. NULL:
 * no memory, nothing changed. */
void *se_keytable_add(se_keytable *table, uint64_t hash, const char *key, size_t len, size_t size);
/* Takes a record out of the table, and frees it. */
void se_keytable_remove(se_keytable *table, void *record);
/* Frees the table and all records; it is empty and usable afterwards. */
void se_keytable_free(se_keytable *table);

/* Both halves of a product, folded: its lower bits alone depend on nothing but the lower bits of
 * its factors, so names that differ in their last letters would crowd together; and what a flipped
 * bit does to them could be foretold. */
static inline uint64_t se_key_stir(uint64_t hash, uint64_t word) {
  const uint64_t factor = UINT64_C(0x9E3779B97F4A7C15);
  uint64_t a = hash ^ word;
#ifdef __SIZEOF_INT128__
  __extension__ typedef unsigned __int128 wide;
  wide product = (wide)a * factor;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
  uint64_t low = (a & 0xFFFFFFFF) * (factor & 0xFFFFFFFF);
  uint64_t middle = (a >> 32) * (factor & 0xFFFFFFFF) + (low >> 32);
  uint64_t other = (a & 0xFFFFFFFF) * (factor >> 32) + (middle & 0xFFFFFFFF);
  uint64_t high = (a >> 32) * (factor >> 32) + (middle >> 32) + (other >> 32);
  return a * factor ^ high;
#endif
}

/* Not cryptographic. */
static inline uint64_t se_key_hash(uint64_t seed, const char *key, size_t len) {
  uint64_t hash = seed ^ len, word = 0;
  if (len >= 8) {
    for (size_t at = 0; at + 8 < len; at += 8) {
      memcpy(&word, key + at, 8);
      hash = se_key_stir(hash, word);
    }
    memcpy(&word, key + len - 8, 8);
  } else if (len >= 4) {
    uint32_t first, last;
    memcpy(&first, key, 4);
    memcpy(&last, key + len - 4, 4);
    word = (uint64_t)first << 32 | last;
  } else {
    for (size_t at = 0; at < len; at++)
      word = word << 8 | (uint8_t)key[at];
  }
  return se_key_stir(hash, word);
}

/* The record, or NULL. Inline, because the router asks for every event. */
static inline void *se_keytable_find(const se_keytable *table, uint64_t hash, const char *key,
                                     size_t len) {
  if (table->slots == 0)
    return NULL;
  size_t mask = table->slots - 1;
  for (size_t at = (size_t)hash & mask;; at = (at + 1) & mask) {
    se_key *found = table->at[at];
    if (found == NULL)
      return NULL;
    if (found->hash == hash && found->len == len && memcmp(found->bytes, key, len) == 0)
      return found;
  }
}

#endif
