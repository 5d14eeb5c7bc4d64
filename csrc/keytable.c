/* keytable.c -- a hash table from keys of bytes to records of one kind. */
#include "keytable.h"

#include <stdlib.h>

#include "crypto.h"

#define FIRST_SLOTS 64

uint64_t se_keytable_seed(void) {
  uint64_t seed;
  /* Without randomness the tables still work: they are bounded, so collisions cost little. */
  if (se_random(&seed, sizeof seed) != 0)
    seed = (uint64_t)(uintptr_t)&seed;
  return seed;
}

static void place(se_key **slots, size_t count, se_key *record) {
  size_t at = (size_t)record->hash & (count - 1);
  while (slots[at] != NULL)
    at = (at + 1) & (count - 1);
  slots[at] = record;
}

static int grow(se_keytable *table) {
  size_t slots = table->slots == 0 ? FIRST_SLOTS : table->slots * 2;
  se_key **grown = calloc(slots, sizeof *grown);
  if (grown == NULL)
    return 0;
  for (size_t i = 0; i < table->slots; i++) {
    if (table->at[i] != NULL)
      place(grown, slots, table->at[i]);
  }
  free(table->at);
  table->at = grown;
  table->slots = slots;
  return 1;
}

void *se_keytable_add(se_keytable *table, uint64_t hash, const char *key, size_t len, size_t size) {
  if (table->used * 2 >= table->slots && !grow(table))
    return NULL;
  char *block = calloc(1, size + len);
  if (block == NULL)
    return NULL;
  se_key *record = (se_key *)(void *)block;
  if (len > 0)
    memcpy(block + size, key, len);
  record->hash = hash;
  record->len = len;
  record->bytes = block + size;
  place(table->at, table->slots, record);
  table->used++;
  return record;
}

void se_keytable_remove(se_keytable *table, void *record) {
  size_t mask = table->slots - 1, hole = (size_t)((se_key *)record)->hash & mask;
  while (table->at[hole] != record)
    hole = (hole + 1) & mask;
  /* Whatever follows without a gap, and may stand in the hole, moves there: so no search ends
   * early. */
  for (size_t at = (hole + 1) & mask; table->at[at] != NULL; at = (at + 1) & mask) {
    size_t home = (size_t)table->at[at]->hash & mask;
    if (((at - home) & mask) >= ((at - hole) & mask)) {
      table->at[hole] = table->at[at];
      hole = at;
    }
  }
  table->at[hole] = NULL;
  table->used--;
  free(record);
}

void se_keytable_free(se_keytable *table) {
  for (size_t i = 0; i < table->slots; i++)
    free(table->at[i]);
  free(table->at);
  memset(table, 0, sizeof *table);
}
