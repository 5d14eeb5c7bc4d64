/* router.h -- decides, on the type of an event alone, whether it goes any further.
 *
 * Filled from Lua whenever subscriptions change, asked in C for every event: one that nobody wants,
 * or whose type is refused, is counted here and never becomes a Lua value. */
#ifndef SE_ROUTER_H
#define SE_ROUTER_H

#include <stddef.h>
#include <stdint.h>

#include "rules.h"
#include "type_class.h"

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

/* Asks these rules about each type, and keeps them (NULL: none): a type that they refuse goes
 * nowhere even if wanted, and one they have more to say about is to be judged. */
void se_router_rules(se_router *router, se_rules *rules);
/* Whether somebody wants to hear of each event that is refused: then the type alone decides about
 * none, because who sent it stands further back. */
void se_router_observe(se_router *router, int yes);

enum {
  SE_ROUTE_DELIVER,
  SE_ROUTE_UNWANTED,
  SE_ROUTE_REFUSED,
  SE_ROUTE_JUDGE,   /* wanted: by the rules' word it is delivered or not */
  SE_ROUTE_WITNESS  /* not to be delivered, but to be judged: a trap, or what somebody observes */
};
/* The decision for one event, which it counts, all but those that are to be judged. Local types are
 * refused ("reserved-type"), wanted or not; only connection.error, which a server does send, goes
 * through where it is wanted by name. */
int se_router_decide(se_router *router, const char *type, size_t len);
/* Counts an event that was judged: 'route' is what se_router_decide said about it, 'reason' (a
 * constant text) why it is not delivered, NULL if the rules allow it. */
void se_router_judged(se_router *router, const char *type, size_t len, int route,
                      const char *reason);

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
