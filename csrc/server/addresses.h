/* addresses.h -- how many connections each client address has, and which addresses are not counted.
 *
 * An address is counted as what one client can have for itself: of IPv4 all of it, of IPv6 the first
 * 64 bits, since whoever has one of those addresses has them all. An address without connections is
 * forgotten, so there are never more entries than connections. */
#ifndef SE_ADDRESSES_H
#define SE_ADDRESSES_H

#include <stdint.h>
#include <sys/socket.h>

typedef struct {
  uint8_t bytes[16];
  uint8_t ipv6;
} se_address;

/* IPv4 that came through an IPv6 socket (::ffff:1.2.3.4) is IPv4. */
void se_address_from(se_address *address, const struct sockaddr_storage *peer);

typedef struct se_addresses se_addresses;
se_addresses *se_addresses_new(void); /* NULL: no memory */
void se_addresses_free(se_addresses *addresses); /* accepts NULL */

/* Leaves a network out of the counting: "10.0.0.0/8", "fd00::/8", or one address.
 * SE_OK, SE_ERR_MEMORY, or SE_ERR_ARGUMENT: that is no network. */
int se_addresses_is_network(const char *network);
int se_addresses_exempt(se_addresses *addresses, const char *network);
void se_addresses_exempt_none(se_addresses *addresses);
int se_addresses_is_exempt(const se_addresses *addresses, const se_address *address);

/* One connection more, unless there are 'most' already. SE_OK, SE_ERR_FULL or SE_ERR_MEMORY. */
int se_addresses_take(se_addresses *addresses, const se_address *address, uint32_t most);
/* One that was taken is gone. */
void se_addresses_give(se_addresses *addresses, const se_address *address);

#endif
