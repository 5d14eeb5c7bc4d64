/* lcore.h -- what the Lua bindings share: results, protected calls, and the parts of the module.
 *
 * Expected failures are returned as nil, kind, message; misuse raises (luaL_argcheck). */
#ifndef SE_LCORE_H
#define SE_LCORE_H

#include "compat.h"
#include "rule_verdict.h"
#include "scan.h"

/* Pushes nil, the kind of 'status' and the formatted message (as lua_pushfstring); returns 3. */
int se_fail(lua_State *L, int status, const char *format, ...);

/* As lua_pushlstring, for a text that may be gone once the finalizer of a program's object has run:
 * before 5.3 Lua runs them first and looks at the text afterwards. */
void se_push_fleeting(lua_State *L, const char *text, size_t len);

/* Makes the metatable of a kind of userdata, the first time in a Lua state. 'meta' and 'methods'
 * may be NULL. A program does not get at it: it could call __gc on what is in use. */
void se_define_class(lua_State *L, const char *name, const luaL_Reg *meta, const luaL_Reg *methods);
/* The object that one of these methods is called on, as luaL_checkudata gives it for argument 1, and
 * faster. */
void *se_check_self(lua_State *L, const char *name);

/* Each pushes one new table of functions. */
void se_open_json(lua_State *L);   /* ljson.c */
void se_open_event(lua_State *L);  /* levent.c */
void se_open_crypto(lua_State *L); /* lcrypto.c */
/* Each adds its constructors to the table on top of the stack, which stays there. */
void se_open_ws(lua_State *L);        /* ws, upgrade_accept, upgrade_response (lws.c) */
void se_open_router(lua_State *L);    /* router (lrouter.c) */
void se_open_transport(lua_State *L); /* transport (ltransport.c) */
void se_open_gzip(lua_State *L);      /* gzip, gunzip (lgzip.c) */
void se_open_alarm(lua_State *L);     /* alarm (lalarm.c) */
void se_open_libraries(lua_State *L); /* libraries (llibraries.c) */
/* Likewise, to the functions of JSON. */
void se_open_json_split(lua_State *L); /* splitter, split (ljson_split.c) */
void se_open_json_list(lua_State *L);  /* list (ljson_list.c) */

/* The value of one JSON text that a scan or an earlier decode has found good; pushes it and
 * returns 1, or pushes nothing and returns 0 with *reason (constant text) and *position set. Raises
 * only for lack of memory. (ljson.c) */
int se_json_push(lua_State *L, const char *text, size_t len, const char **reason,
                 size_t *position);

/* Writes the JSON of the value on top of the stack, which is popped, to the end of 'out', without
 * running metamethods. 'tick', where not NULL, is called at each table, and may raise. SE_OK; what
 * se_buffer_append gives; SE_ERR_ARGUMENT: it cannot be written, and the reason takes the place of
 * the value. Raises for lack of memory. (ljson.c) */
int se_json_encode(lua_State *L, void (*tick)(lua_State *L), se_buffer *out);

/* Pushes what will be the event object of a text of 'len' bytes with this envelope. Raises for lack
 * of memory. As with every allocation, the finalizers of a program's objects may run in it: the
 * caller sees to it that text and envelope are still there afterwards. (levent.c) */
void *se_event_reserve(lua_State *L, size_t len, const se_envelope *envelope);
/* Makes the event object of it, which must be on top of the stack: a copy of 'text', of which
 * 'envelope' is the envelope. 'self' is the id of the user that is connected, or NULL: it decides
 * the trust. 'received_at' is seconds since 1970. Never raises. (levent.c) */
void se_event_fill(lua_State *L, void *reserved, const char *text, size_t len,
                   const se_envelope *envelope, const char *self, size_t self_len,
                   double received_at);
/* Pushes a frozen event object of an event that a rule looks at. What the transport knows of channel
 * and sender stands in it, whatever its text says. Raises for lack of memory. (levent.c) */
void se_event_push_judged(lua_State *L, const se_rule_event *judged);
/* Pops the table on top of the stack, which becomes event.verdict of the event object at 'index'.
 * Raises for lack of memory. (levent.c) */
void se_event_set_verdict(lua_State *L, int index);
/* Pushes type and cid (or nil) of an event object, which must be on the stack. (levent.c) */
void se_event_push_names(lua_State *L, const void *event);

/* The JSON text of the event object at 'index', which keeps it; NULL when it is none. Never
 * raises. (levent.c) */
const char *se_event_text(lua_State *L, int index, size_t *len);

#endif
