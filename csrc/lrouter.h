/* lrouter.h -- what the binding of connections needs of the binding of the router. */
#ifndef SE_LROUTER_H
#define SE_LROUTER_H

#include "compat.h"
#include "lrules.h"
#include "router.h"

/* Its user value is a table that holds the rules at [1], or nil. */
typedef struct {
  se_router *router;          /* NULL only while it is being made, and after __gc */
  const struct lrules *rules; /* NULL: none */
} lrouter;

/* The router at 'index'; raises when it is none. */
lrouter *se_check_router(lua_State *L, int index);
/* Pushes the rules of the router at 'index', or nil. Never raises. */
void se_router_push_rules(lua_State *L, int index);

#endif
