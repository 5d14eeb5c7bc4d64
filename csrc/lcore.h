/* lcore.h -- what the Lua bindings share: results, protected calls, and the parts of the module.
 *
 * Expected failures are returned as nil, kind, message; misuse raises (luaL_argcheck). */
#ifndef SE_LCORE_H
#define SE_LCORE_H

#include <lauxlib.h>
#include <lua.h>

#include "scan.h"

/* Pushes nil, the kind of 'status' and the formatted message (as lua_pushfstring); returns 3. */
int se_fail(lua_State *L, int status, const char *format, ...);

/* Each pushes one new table of functions. */
void se_open_json(lua_State *L);   /* ljson.c */
void se_open_event(lua_State *L);  /* levent.c */
void se_open_crypto(lua_State *L); /* lcrypto.c */
/* Each adds its constructors to the table on top of the stack, which stays there. */
void se_open_ws(lua_State *L);        /* ws, upgrade_accept, upgrade_response (lws.c) */
void se_open_router(lua_State *L);    /* router (lrouter.c) */
void se_open_transport(lua_State *L); /* transport (ltransport.c) */

/* The value of one JSON text that a scan or an earlier decode has found good; pushes it and
 * returns 1, or pushes nothing and returns 0 with *reason (constant text) and *position set. Raises
 * only for lack of memory. (ljson.c) */
int se_json_push(lua_State *L, const char *text, size_t len, const char **reason,
                 size_t *position);

/* Pushes an event object over a copy of 'text' (whose envelope is 'envelope'; it is only read
 * during the call). 'self' is the id of the user that is connected, or NULL: it decides the trust.
 * 'received_at' is seconds since 1970. Raises only for lack of memory. (levent.c) */
void se_event_push(lua_State *L, const char *text, size_t len, const se_envelope *envelope,
                   const char *self, size_t self_len, double received_at);

/* The JSON text of the event object at 'index', which keeps it; NULL when it is none. Never
 * raises. (levent.c) */
const char *se_event_text(lua_State *L, int index, size_t *len);

struct se_router;
/* The router behind the userdata at 'index'; raises when it is none. (lrouter.c) */
struct se_router *se_check_router(lua_State *L, int index);

#endif
