/* addresses.c -- a hash table of counts, and a short list of networks. */
#include "addresses.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "status.h"

#define FIRST_BUCKETS 64

typedef struct entry {
  struct entry *next; /* in its bucket */
  uint64_t key;
  uint32_t count;
} entry;

typedef struct {
  se_address address;
  unsigned bits;
} network;

struct se_addresses {
  entry **buckets;
  uint32_t bucket_count, entry_count;
  uint64_t seed; /* nobody outside can choose addresses that share a bucket */
  network *exempt;
  uint32_t exempt_count;
};

void se_address_from(se_address *address, const struct sockaddr_storage *peer) {
  static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  *address = (se_address){0};
  if (peer->ss_family != AF_INET6) {
    memcpy(address->bytes, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    return;
  }
  memcpy(address->bytes, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, 16);
  address->ipv6 = memcmp(address->bytes, mapped, sizeof mapped) != 0;
  if (!address->ipv6) {
    memmove(address->bytes, address->bytes + 12, 4);
    memset(address->bytes + 4, 0, 12);
  }
}

/* No IPv6 network in use begins with 32 zero bits, so the two kinds do not meet. */
static uint64_t key_of(const se_address *address) {
  uint64_t key = 0;
  int i;
  for (i = 0; i < (address->ipv6 ? 8 : 4); i++)
    key = key << 8 | address->bytes[i];
  return key;
}

se_addresses *se_addresses_new(void) {
  se_addresses *addresses = calloc(1, sizeof *addresses);
  if (addresses == NULL)
    return NULL;
  addresses->bucket_count = FIRST_BUCKETS;
  addresses->buckets = calloc(FIRST_BUCKETS, sizeof *addresses->buckets);
  if (addresses->buckets == NULL || se_random(&addresses->seed, sizeof addresses->seed) != 0) {
    se_addresses_free(addresses);
    return NULL;
  }
  return addresses;
}

void se_addresses_free(se_addresses *addresses) {
  uint32_t i;
  if (addresses == NULL)
    return;
  for (i = 0; addresses->buckets != NULL && i < addresses->bucket_count; i++) {
    while (addresses->buckets[i] != NULL) {
      entry *e = addresses->buckets[i];
      addresses->buckets[i] = e->next;
      free(e);
    }
  }
  free(addresses->buckets);
  free(addresses->exempt);
  free(addresses);
}

/* ---- networks ---- */

/* The number of bits behind the slash, or -1. */
static int read_bits(const char *text, int most) {
  int bits = 0;
  if (*text == '\0')
    return -1;
  for (; *text != '\0'; text++) {
    if (*text < '0' || *text > '9')
      return -1;
    bits = bits * 10 + (*text - '0');
    if (bits > most)
      return -1;
  }
  return bits;
}

static int read_network(const char *text, network *found) {
  const char *slash = strchr(text, '/');
  size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);
  char host[INET6_ADDRSTRLEN];
  int bits;
  *found = (network){0};
  if (len >= sizeof host)
    return 0;
  memcpy(host, text, len);
  host[len] = '\0';
  found->address.ipv6 = strchr(host, ':') != NULL;
  if (inet_pton(found->address.ipv6 ? AF_INET6 : AF_INET, host, found->address.bytes) != 1)
    return 0;
  bits = found->address.ipv6 ? 128 : 32;
  if (slash != NULL)
    bits = read_bits(slash + 1, bits);
  found->bits = bits < 0 ? 0 : (unsigned)bits;
  return bits >= 0;
}

int se_addresses_is_network(const char *text) {
  network found;
  return read_network(text, &found);
}

int se_addresses_exempt(se_addresses *addresses, const char *text) {
  network found, *grown;
  if (!read_network(text, &found))
    return SE_ERR_ARGUMENT;
  grown = realloc(addresses->exempt, (addresses->exempt_count + 1) * sizeof *grown);
  if (grown == NULL)
    return SE_ERR_MEMORY;
  addresses->exempt = grown;
  grown[addresses->exempt_count++] = found;
  return SE_OK;
}

void se_addresses_exempt_none(se_addresses *addresses) {
  addresses->exempt_count = 0;
}

static int is_within(const se_address *address, const network *net) {
  unsigned whole = net->bits / 8, rest = net->bits % 8;
  if (address->ipv6 != net->address.ipv6 ||
      memcmp(address->bytes, net->address.bytes, whole) != 0)
    return 0;
  return rest == 0 ||
         ((unsigned)(address->bytes[whole] ^ net->address.bytes[whole]) & 0xffu) >> (8 - rest) == 0;
}

int se_addresses_is_exempt(const se_addresses *addresses, const se_address *address) {
  uint32_t i;
  for (i = 0; i < addresses->exempt_count; i++) {
    if (is_within(address, &addresses->exempt[i]))
      return 1;
  }
  return 0;
}

/* ---- counts ---- */

static entry **place_of(const se_addresses *addresses, uint64_t key) {
  uint64_t mixed = (key ^ addresses->seed) * UINT64_C(0x9e3779b97f4a7c15);
  mixed = (mixed ^ mixed >> 32) * UINT64_C(0xd6e8feb86659fd93);
  entry **place = &addresses->buckets[(uint32_t)(mixed >> 32) & (addresses->bucket_count - 1)];
  while (*place != NULL && (*place)->key != key)
    place = &(*place)->next;
  return place;
}

static void grow(se_addresses *addresses) {
  uint32_t i, count = addresses->bucket_count;
  entry **old = addresses->buckets, **grown = calloc((size_t)count * 2, sizeof *grown);
  if (grown == NULL)
    return; /* slower, not wrong */
  addresses->buckets = grown;
  addresses->bucket_count = count * 2;
  for (i = 0; i < count; i++) {
    while (old[i] != NULL) {
      entry *e = old[i], **place;
      old[i] = e->next;
      place = place_of(addresses, e->key);
      e->next = *place;
      *place = e;
    }
  }
  free(old);
}

int se_addresses_take(se_addresses *addresses, const se_address *address, uint32_t most) {
  uint64_t key = key_of(address);
  entry **place = place_of(addresses, key), *e = *place;
  if (e != NULL) {
    if (e->count >= most)
      return SE_ERR_FULL;
    e->count++;
    return SE_OK;
  }
  if (most == 0)
    return SE_ERR_FULL;
  if (addresses->entry_count >= addresses->bucket_count) {
    grow(addresses);
    place = place_of(addresses, key);
  }
  e = malloc(sizeof *e);
  if (e == NULL)
    return SE_ERR_MEMORY;
  *e = (entry){*place, key, 1};
  *place = e;
  addresses->entry_count++;
  return SE_OK;
}

void se_addresses_give(se_addresses *addresses, const se_address *address) {
  entry **place = place_of(addresses, key_of(address)), *e = *place;
  if (e == NULL || --e->count > 0)
    return;
  *place = e->next;
  free(e);
  addresses->entry_count--;
}
