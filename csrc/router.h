/* router.h -- decides, on the type of an event alone, whether it goes any further.
 *
 * Filled from Lua whenever subscriptions (or rules) change, asked in C for every event: one that
 * nobody wants, or whose type is refused, is counted here and never becomes a Lua value. */
#ifndef SE_ROUTER_H
#define SE_ROUTER_H

#include <stddef.h>
#include <stdint.h>

/* What the protocol says a type is (protocol §5.8, §3.9). */
enum {
  SE_TYPE_CUSTOM,
  SE_TYPE_BUILTIN, /* made by the service: message.new, health.check, ... */
  SE_TYPE_LOCAL    /* made by a client, never on the wire: connection.changed, ...; and
                      connection.error, which only a server may send */
};
int se_type_class(const char *type, size_t len);

typedef struct se_router se_router;

/* NULL: no memory. Wants nothing at first. */
se_router *se_router_new(void);
void se_router_free(se_router *router); /* accepts NULL */

/* SE_OK, SE_ERR_MEMORY, SE_ERR_FULL (over 4096 names). Each may be said again. */
int se_router_want(se_router *router, const char *type, size_t len);        /* this type */
/* Types that begin so: custom ones, and built-in ones only if the prefix itself holds a '.'. */
int se_router_want_prefix(se_router *router, const char *prefix, size_t len);
void se_router_want_custom(se_router *router, int yes);                     /* every custom type */
/* A refused type goes nowhere even if wanted. 'reason' is copied and zero-terminated; from the 65th
 * different reason on they are counted together as "refused". */
int se_router_refuse(se_router *router, const char *type, size_t len, const char *reason);
/* Forgets wants and refusals; the counters stay. */
void se_router_clear(se_router *router);

enum { SE_ROUTE_DELIVER, SE_ROUTE_UNWANTED, SE_ROUTE_REFUSED };
/* The decision for one event, which it counts. Local types are refused ("reserved-type"), wanted or
 * not; only connection.error, which a server does send, goes through where it is wanted by name. */
int se_router_decide(se_router *router, const char *type, size_t len);

/* Counters: totals since the start, and by type for at most 1024 types (the rest under "*"). */
typedef struct {
  uint64_t received, delivered, unwanted, refused;
} se_router_totals;
void se_router_count_totals(const se_router *router, se_router_totals *out);
/* Calls 'each' once per type and reason ("unwanted" or the reason of the refusal). */
void se_router_each(const se_router *router,
                    void (*each)(void *user, const char *type, size_t len, const char *reason,
                                 uint64_t count),
                    void *user);

#endif
