/* lconnection.c -- Lua binding of a WebSocket connection.
 *
 * Its user value keeps the transport and the router alive. Whichever of them is collected first,
 * the object stays valid: its transport has then closed it. */
#include "lconnection.h"

#include <string.h>

#include "lcore.h"
#include "lrouter.h"
#include "lrules.h"
#include "status.h"
#include "ws.h"

#define CONNECTION_MT "stream_events.connection"
#define EXCERPT 200 /* bytes shown of a text that is no event */
#define DEFAULT_LIMIT (1024.0 * 1024)
#define MOST_BYTES (1024.0 * 1024 * 1024)
#define MOST_SECONDS 1e6
#define MOST_JUDGING 0.005 /* seconds in functions of rules, after which a call gives up looking */

#define POSITION 40 /* bytes of a created_at that is noted; longer ones are none of a server's */

/* What the user value holds. */
enum { TRANSPORT = 1, ROUTER, TEXTS };

typedef struct {
  se_connection *connection; /* NULL only while it is being made, and after __gc */
  const lrouter *router;     /* NULL: none */
  /* Texts that are given out before what comes in: the list is at TEXTS of the user value, the next
   * one at 'replay_at' of it; 0: there are none. */
  int replay_at, replay_count;
  int tracks; /* notes the created_at of each event that is given out */
  int plain;  /* neither of the two: the way of most events */
  size_t position_len;
  char position[POSITION];
  size_t self_len;
  char self[]; /* the id of the connected user */
} lconnection;

/* --- fields of option tables ------------------------------------------------------------------ */

double se_number_field(lua_State *L, int index, const char *name, double otherwise, double least,
                       double most) {
  lua_getfield(L, index, name);
  if (!lua_isnil(L, -1)) {
    if (lua_type(L, -1) != LUA_TNUMBER)
      luaL_error(L, "'%s' must be a number", name);
    otherwise = lua_tonumber(L, -1);
    if (!(otherwise >= least && otherwise <= most))
      luaL_error(L, "'%s' must be between %f and %f", name, least, most);
  }
  lua_pop(L, 1);
  return otherwise;
}

const char *se_string_field(lua_State *L, int index, const char *name) {
  size_t len;
  lua_getfield(L, index, name);
  if (lua_isnil(L, -1))
    return NULL;
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "'%s' must be a string", name);
  const char *text = lua_tolstring(L, -1, &len);
  if (strlen(text) != len)
    luaL_error(L, "'%s' holds a zero byte", name);
  return text;
}

/* Pushes the header lines of the options at 2 as one string, "" for none. */
static const char *push_headers(lua_State *L) {
  luaL_Buffer joined;
  lua_getfield(L, 2, "headers");
  int list = lua_gettop(L), count = 0;
  if (!lua_isnil(L, list)) {
    luaL_argcheck(L, lua_istable(L, list), 2, "'headers' must be a list of strings");
    count = (int)lua_rawlen(L, list);
  }
  luaL_buffinit(L, &joined);
  for (int i = 1; i <= count; i++) {
    size_t len;
    lua_rawgeti(L, list, i);
    const char *line = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    if (line == NULL || strlen(line) != len || strpbrk(line, "\r\n") != NULL)
      luaL_argerror(L, 2, "'headers' must be a list of lines");
    luaL_addvalue(&joined);
    luaL_addstring(&joined, "\r\n");
  }
  luaL_pushresult(&joined);
  return lua_tostring(L, -1);
}

/* --- making ----------------------------------------------------------------------------------- */

/* The field of the options at 2, or else of the defaults; pushes it. */
static const char *field_or_default(lua_State *L, const char *name, int defaults) {
  const char *text = se_string_field(L, 2, name);
  return text != NULL ? text : se_string_field(L, defaults, name);
}

int se_push_connection(lua_State *L, se_transport *const *transport, int defaults) {
  se_connection_options options;
  size_t self_len = 0;
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checkstack(L, 20, NULL);
  options.url = se_string_field(L, 2, "url");
  luaL_argcheck(L, options.url != NULL, 2, "'url' is missing");
  options.headers = push_headers(L);
  options.ca_file = field_or_default(L, "ca_file", defaults);
  options.proxy = field_or_default(L, "proxy", defaults);
  options.max_message =
      (size_t)se_number_field(L, 2, "max_message", DEFAULT_LIMIT, 1, MOST_BYTES);
  options.max_output = (size_t)se_number_field(L, 2, "max_output", DEFAULT_LIMIT, 1, MOST_BYTES);
  options.timeout = se_number_field(L, 2, "timeout", 15, 0, MOST_SECONDS);
  lua_getfield(L, 2, "self");
  const char *self = lua_isnil(L, -1) ? NULL : luaL_checklstring(L, -1, &self_len);
  lua_getfield(L, 2, "router");
  const lrouter *router_box = lua_isnil(L, -1) ? NULL : se_check_router(L, lua_gettop(L));
  options.router = router_box == NULL ? NULL : router_box->router;
  int router = lua_gettop(L);

  lconnection *box = lua_newuserdatauv(L, sizeof *box + self_len, 1);
  box->connection = NULL;
  box->router = router_box;
  box->replay_at = box->replay_count = 0;
  box->tracks = 0;
  box->plain = 1;
  box->position_len = 0;
  box->self_len = self_len;
  if (self_len > 0)
    memcpy(box->self, self, self_len);
  luaL_setmetatable(L, CONNECTION_MT);
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, TRANSPORT);
  lua_pushvalue(L, router);
  lua_rawseti(L, -2, ROUTER);
  lua_setiuservalue(L, -2, 1);

  if (*transport == NULL)
    return se_fail(L, SE_ERR_CLOSED, "the transport is closed");
  const char *reason = "";
  int status = se_connection_new(se_transport_connections(*transport), &options, &box->connection,
                                 &reason);
  if (status == SE_ERR_ARGUMENT)
    return se_fail(L, status, "%s", reason);
  if (status != SE_OK)
    return se_fail(L, status, "not enough memory for a connection");
  return 1;
}

static lconnection *check_box(lua_State *L) {
  lconnection *box = se_check_self(L, CONNECTION_MT);
  luaL_argcheck(L, box->connection != NULL, 1, "connection is collected");
  return box;
}

/* --- methods ---------------------------------------------------------------------------------- */

/* connection:state() -> "connecting" | "open" | "closing"
 *   | "closed", kind, message, code [, retry_after, date] */
static int connection_state(lua_State *L) {
  static const char *const names[] = {[SE_CONNECTING] = "connecting", [SE_OPEN] = "open",
                                      [SE_CLOSING] = "closing", [SE_CLOSED] = "closed"};
  lconnection *box = check_box(L);
  se_connection_end end;
  int state = se_connection_state(box->connection);
  lua_pushstring(L, names[state]);
  if (state != SE_CLOSED)
    return 1;
  se_connection_ended(box->connection, &end);
  lua_pushstring(L, end.kind);
  lua_pushstring(L, end.message);
  lua_pushinteger(L, end.code);
  if (end.retry_after[0] == '\0')
    return 4;
  lua_pushstring(L, end.retry_after);
  lua_pushstring(L, end.date);
  return 6;
}

/* Pushes event, type and cid. The allocation may run the finalizer of a program's object, and that
 * may use or end the connection: then the message is gone. */
static int push_event(lua_State *L, const lconnection *box, const se_received *got) {
  uint64_t serial = se_connection_serial(box->connection);
  void *event = se_event_reserve(L, got->len, got->envelope);
  if (se_connection_serial(box->connection) != serial)
    return 0;
  se_event_fill(L, event, got->data, got->len, got->envelope,
                box->self_len > 0 ? box->self : NULL, box->self_len, got->received_at);
  se_event_push_names(L, event);
  return 3;
}

/* --- what the rules judge --------------------------------------------------------------------- */

enum { RULES = 2 }; /* where they are on the stack, when they are needed */

/* An event on its way through the rules. */
typedef struct {
  const lconnection *box;
  const se_received *got;
  se_rules *rules;
  se_rule_event event;
  se_decision decision;
  int is_copy;     /* 'event' points to a copy of its own, which nothing can take away */
  uint64_t serial; /* as long as this is the connection's, 'got' is there */
} judging;

static int is_there(const judging *it) {
  return it->is_copy || se_connection_serial(it->box->connection) == it->serial;
}

/* Puts a copy of the event, on the stack, in its place. 0: the event is gone. */
static int copy_event(lua_State *L, judging *it) {
  void *room = se_rule_event_reserve(L, &it->event);
  if (!is_there(it))
    return 0;
  se_rule_event copy;
  se_rule_event_fill(room, &it->event, &copy);
  it->event = copy;
  it->is_copy = 1;
  return 1;
}

static void set_slice(lua_State *L, const char *name, se_slice slice) {
  if (slice.at == NULL)
    return;
  lua_pushlstring(L, slice.at, slice.len);
  lua_setfield(L, -2, name);
}

/* Pushes false, "dropped" or "quarantined" or "fault", and the report. */
static int push_report(lua_State *L, judging *it, const char *kind) {
  const se_rule_event *event = &it->event;
  if (!it->is_copy && !copy_event(L, it))
    return 0;
  lua_pushboolean(L, 0);
  lua_pushstring(L, kind);
  se_rules_push_decision(L, it->rules, &it->decision);
  set_slice(L, "type", event->envelope->type);
  set_slice(L, "cid", event->cid);
  set_slice(L, "user_id", event->sender);
  set_slice(L, "created_at", event->envelope->created_at);
  lua_pushstring(L, se_trust_name(event->trust));
  lua_setfield(L, -2, "trust");
  se_push_int64(L, (int64_t)event->len);
  lua_setfield(L, -2, "size");
  lua_pushnumber(L, event->now);
  lua_setfield(L, -2, "received_at");
  if (it->decision.verdict == SE_VERDICT_QUARANTINE) {
    void *object = se_event_reserve(L, event->len, event->envelope);
    se_event_fill(L, object, event->text, event->len, event->envelope,
                  it->box->self_len > 0 ? it->box->self : NULL, it->box->self_len, event->now);
    lua_setfield(L, -2, "event");
  }
  return 3;
}

/* Pushes the object of an event that may be delivered, of the changed text where there is one,
 * which the decision keeps. NULL: the event is gone. */
static void *push_allowed(lua_State *L, const judging *it) {
  const se_decision *decision = &it->decision;
  const se_rule_event *event = &it->event;
  int is_changed = decision->changed != NULL;
  const char *text = is_changed ? decision->changed : event->text;
  size_t len = is_changed ? decision->changed_len : event->len;
  const se_envelope *envelope = is_changed ? decision->changed_envelope : event->envelope;
  void *object = se_event_reserve(L, len, envelope);
  if (!is_changed && !is_there(it))
    return NULL;
  se_event_fill(L, object, text, len, envelope, it->box->self_len > 0 ? it->box->self : NULL,
                it->box->self_len, event->now);
  return object;
}

/* Pushes the event with its verdict, its type and cid. */
static int push_judged(lua_State *L, judging *it) {
  const se_decision *decision = &it->decision;
  void *object = push_allowed(L, it);
  if (object == NULL)
    return 0;
  if (decision->judged != SE_VERDICT_ALLOW || decision->reason != SE_REASON_NONE) {
    it->decision.changed = NULL; /* it is the event itself */
    se_rules_push_decision(L, it->rules, decision);
    if (decision->judged != decision->verdict) {
      lua_pushliteral(L, "audit");
      lua_setfield(L, -2, "verdict");
    }
    se_event_set_verdict(L, -2);
  }
  se_event_push_names(L, object);
  return 3;
}

/* What a rule quarantines without a function's word has no other reason. */
static const char *why(const se_decision *decision) {
  return decision->reason != SE_REASON_NONE ? se_reason_code(decision->reason)
                                            : se_verdict_name(decision->verdict);
}

static int is_fault(int reason) {
  return reason >= SE_REASON_CHECK_ERROR && reason <= SE_REASON_BUDGET_MEMORY;
}

static int passes(const se_decision *decision) {
  return decision->verdict < SE_VERDICT_QUARANTINE;
}

static int is_observed(const judging *it) {
  const struct lrules *rules = it->box->router->rules;
  return rules != NULL && se_rules_observed(rules);
}

/* An event that is delivered as it is, or dropped without a word. */
static int is_plain(const judging *it) {
  const se_decision *decision = &it->decision;
  if (decision->verdict == SE_VERDICT_ALLOW)
    return decision->judged == SE_VERDICT_ALLOW && decision->changed == NULL &&
           it->got->route == SE_ROUTE_JUDGE;
  return decision->verdict == SE_VERDICT_DROP && !is_fault(decision->reason) && !is_observed(it);
}

static void count_judged(const judging *it) {
  const lrouter *router = it->box->router;
  const se_slice type = it->event.envelope->type;
  if (router->router != NULL)
    se_router_judged(router->router, type.at, type.len, it->got->route,
                     passes(&it->decision) ? NULL : why(&it->decision));
}

/* What connection:next gives for an event that was judged; 0 values: look for the next one. */
static int push_outcome(lua_State *L, judging *it) {
  const se_decision *decision = &it->decision;
  if (!is_there(it))
    return 0;
  count_judged(it);
  if (passes(decision))
    return it->got->route == SE_ROUTE_JUDGE ? push_judged(L, it) : 0;
  if (decision->verdict == SE_VERDICT_QUARANTINE)
    return push_report(L, it, "quarantined");
  if (is_fault(decision->reason) || decision->has_tripped)
    return push_report(L, it, "fault");
  return is_observed(it) ? push_report(L, it, "dropped") : 0;
}

/* Puts the rules of the connection's router in their place. Allocates nothing. */
static void push_rules(lua_State *L) {
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, ROUTER);
  se_router_push_rules(L, -1);
  lua_replace(L, RULES);
  lua_pop(L, 2);
}

/* Where a function of the program's own may run, it must not find the event in a buffer. 0: it is
 * gone. */
static int protect_event(lua_State *L, judging *it) {
  const se_slice type = it->got->envelope->type;
  const se_rule_set *set = se_rules_set(it->rules);
  if (set == NULL || !se_rule_set_has_host(set) ||
      !se_rules_has_host_functions(se_rule_set_find(set, type.at, type.len)))
    return 1;
  push_rules(L); /* a finalizer that runs meanwhile may take them from the router */
  return copy_event(L, it);
}

/* Fills in all but the decision. 0: there are no rules; only while a state is closed, and then nobody
 * can decide. */
static int begin_judging(judging *it, const lconnection *box, const se_received *got) {
  const struct lrules *rules = box->router->rules;
  it->box = box;
  it->got = got;
  it->is_copy = 0;
  it->serial = se_connection_serial(box->connection);
  it->rules = rules == NULL ? NULL : se_rules_of(rules);
  se_rule_event_init(&it->event, got->data, got->len, got->envelope,
                     box->self_len > 0 ? box->self : NULL, box->self_len, got->received_at);
  return it->rules != NULL;
}

/* Has the rules decide about an event. As push_outcome. */
static int judge(lua_State *L, const lconnection *box, const se_received *got, double *spent) {
  judging it;
  if (!begin_judging(&it, box, got))
    return 0;
  lua_settop(L, RULES);
  if (!protect_event(L, &it))
    return 0;
  int decided = se_rules_judge(it.rules, &it.event, &it.decision, NULL, NULL);
  if (decided && is_plain(&it)) { /* most events: then nothing of Lua's is needed */
    count_judged(&it);
    return it.decision.verdict == SE_VERDICT_ALLOW ? push_event(L, box, got) : 0;
  }
  if (lua_isnil(L, RULES))
    push_rules(L);
  se_rules_conclude(L, RULES, decided, &it.event, &it.decision, NULL, NULL);
  *spent += it.decision.seconds;
  if (se_connection_state(box->connection) == SE_CLOSED)
    return 0; /* by a function of the program's */
  return push_outcome(L, &it);
}

/* --- receiving -------------------------------------------------------------------------------- */

/* Dates of one server: without the last byte, a "Z", they are in the order of their bytes. */
static int is_later(const char *a, size_t a_len, const char *b, size_t b_len) {
  size_t shorter = a_len < b_len ? a_len : b_len;
  int order = memcmp(a, b, shorter - 1);
  return order > 0 || (order == 0 && a_len > b_len);
}

/* The latest one counts: what the server says by the way may be dated before what it has sent. */
static void note_position(lconnection *box, const se_received *got) {
  const se_slice at = got->envelope->created_at;
  if (at.at == NULL || at.len == 0 || at.len > POSITION)
    return;
  if (box->position_len > 0 && !is_later(at.at, at.len, box->position, box->position_len))
    return;
  memcpy(box->position, at.at, at.len);
  box->position_len = at.len;
}

/* All texts were given out. What was noted is their position, which says nothing of what comes in. */
static void end_replay(lua_State *L, lconnection *box) {
  lua_getiuservalue(L, 1, 1);
  lua_pushnil(L);
  lua_rawseti(L, -2, TEXTS);
  lua_pop(L, 1);
  se_connection_forget(box->connection);
  box->replay_at = box->replay_count = 0;
  box->position_len = 0;
  box->plain = !box->tracks;
}

/* As se_connection_next, for the texts of a replay: those that nobody wants are passed over. They
 * stay where they are until the end, so that nothing can take away what is at work. */
static int next_replayed(lua_State *L, lconnection *box, se_received *got) {
  int what = SE_NEXT_NOTHING;
  while (what == SE_NEXT_NOTHING && box->replay_at <= box->replay_count &&
         se_connection_state(box->connection) != SE_CLOSED) {
    size_t len;
    lua_getiuservalue(L, 1, 1);
    lua_rawgeti(L, -1, TEXTS);
    lua_rawgeti(L, -1, box->replay_at++);
    const char *text = lua_tolstring(L, -1, &len);
    what = text == NULL ? SE_NEXT_NOTHING : se_connection_judge(box->connection, text, len, got);
    lua_pop(L, 3);
  }
  return what;
}

/* As se_connection_next, where there is more to be done. */
static int next_message(lua_State *L, lconnection *box, se_received *got) {
  int what = SE_NEXT_NOTHING;
  if (box->replay_at > 0) {
    what = next_replayed(L, box, got);
    if (what == SE_NEXT_NOTHING && box->replay_at > box->replay_count)
      end_replay(L, box);
  }
  if (what == SE_NEXT_NOTHING)
    what = se_connection_next(box->connection, got);
  if (box->tracks && (what == SE_NEXT_EVENT || what == SE_NEXT_JUDGE))
    note_position(box, got);
  return what;
}

static int push_malformed(lua_State *L, const se_received *got) {
  lua_settop(L, 1);
  /* while it is there */
  se_push_fleeting(L, got->data, got->len < EXCERPT ? got->len : EXCERPT);
  lua_pushboolean(L, 0);
  lua_pushliteral(L, "malformed");
  lua_pushfstring(L, "%s at byte %d", got->reason, se_small(got->position + 1));
  lua_pushvalue(L, 2);
  return 4;
}

/* connection:next() -> event, type, cid | false, "malformed", reason, excerpt
 *                    | false, "dropped" or "quarantined" or "fault", report
 *                    | data, "text" or "binary" | nothing */
static int connection_next(lua_State *L) {
  lconnection *box = check_box(L);
  se_received got;
  double spent = 0;
  int count = 0;
  if (box->router != NULL && box->router->rules != NULL && box->router->router != NULL)
    se_router_observe(box->router->router, se_rules_observed(box->router->rules));
  while (count == 0 && spent < MOST_JUDGING) {
    int what = box->plain ? se_connection_next(box->connection, &got) : next_message(L, box, &got);
    switch (what) {
      case SE_NEXT_EVENT: return push_event(L, box, &got);
      case SE_NEXT_JUDGE: count = judge(L, box, &got, &spent); break;
      case SE_NEXT_RAW:
        se_push_fleeting(L, got.data, got.len);
        lua_pushstring(L, got.is_binary ? "binary" : "text");
        return 2;
      case SE_NEXT_MALFORMED: return push_malformed(L, &got);
      default: return 0;
    }
    if (box->connection == NULL)
      return 0;
  }
  return count;
}

/* connection:replay(texts). The list is copied: whoever has it may change it, and the texts must stay
 * while they are at work. */
static int connection_replay(lua_State *L) {
  lconnection *box = check_box(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_argcheck(L, box->router != NULL, 1, "connection has no router");
  luaL_argcheck(L, box->replay_at == 0, 1, "connection is replaying already");
  lua_settop(L, 2);
  int count = (int)lua_rawlen(L, 2);
  lua_createtable(L, count, 0);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, 2, i);
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 2, "must be a list of texts");
    lua_rawseti(L, 3, i);
  }
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 3);
  lua_rawseti(L, -2, TEXTS);
  box->replay_at = 1;
  box->replay_count = count;
  box->position_len = 0;
  box->plain = 0;
  return 0;
}

/* connection:track(yes) */
static int connection_track(lua_State *L) {
  lconnection *box = check_box(L);
  luaL_checktype(L, 2, LUA_TBOOLEAN);
  box->tracks = lua_toboolean(L, 2);
  box->plain = !box->tracks && box->replay_at == 0;
  if (!box->tracks)
    box->position_len = 0;
  return 0;
}

/* connection:position() -> created_at or nil, replaying */
static int connection_position(lua_State *L) {
  const lconnection *box = check_box(L);
  if (box->position_len > 0)
    lua_pushlstring(L, box->position, box->position_len);
  else
    lua_pushnil(L);
  lua_pushboolean(L, box->replay_at > 0);
  return 2;
}

/* connection:heard() -> monotonic seconds */
static int connection_heard(lua_State *L) {
  lua_pushnumber(L, se_connection_heard(check_box(L)->connection));
  return 1;
}

/* connection:pause(yes) */
static int connection_pause(lua_State *L) {
  lconnection *box = check_box(L);
  luaL_checktype(L, 2, LUA_TBOOLEAN);
  se_connection_pause(box->connection, lua_toboolean(L, 2));
  return 0;
}

/* connection:send(data [, kind]) -> true | nil, kind, message */
static int connection_send(lua_State *L) {
  static const char *const names[] = {"text", "binary", "ping", "pong", NULL};
  static const int opcodes[] = {SE_WS_TEXT, SE_WS_BINARY, SE_WS_PING, SE_WS_PONG};
  lconnection *box = check_box(L);
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  int kind = luaL_checkoption(L, 3, "text", names);
  int status = se_connection_send(box->connection, opcodes[kind], data, len);
  switch (status) {
    case SE_OK:
      lua_pushboolean(L, 1);
      return 1;
    case SE_ERR_FULL:
      return se_fail(L, status, "no room for %d more bytes to be sent", se_small(len));
    case SE_ERR_CLOSED:
      return se_fail(L, status, "the connection is not open");
    case SE_ERR_ARGUMENT:
      return se_fail(L, status, kind == 0 ? "the text is not UTF-8" : "more than 125 bytes");
    default:
      return se_fail(L, status, "not enough memory for %d bytes", se_small(len));
  }
}

/* connection:close([code [, reason [, seconds]]]) */
static int connection_close(lua_State *L) {
  lconnection *box = check_box(L);
  size_t len;
  lua_Integer code = luaL_optinteger(L, 2, 1000);
  const char *reason = luaL_optlstring(L, 3, "", &len);
  lua_Number seconds = luaL_optnumber(L, 4, 1);
  luaL_argcheck(L, code > 0 && code < 5000, 2, "no close code");
  luaL_argcheck(L, seconds >= 0 && seconds <= MOST_SECONDS, 4, "no number of seconds");
  if (se_connection_close(box->connection, (uint16_t)code, reason, len, seconds) != SE_OK)
    return luaL_error(L, "a close code or reason that may not be sent");
  return 0;
}

/* connection:abort() */
static int connection_abort(lua_State *L) {
  lconnection *box = luaL_checkudata(L, 1, CONNECTION_MT);
  if (box->connection != NULL)
    se_connection_abort(box->connection);
  return 0;
}

static int connection_gc(lua_State *L) {
  lconnection *box = luaL_checkudata(L, 1, CONNECTION_MT);
  se_connection_free(box->connection);
  box->connection = NULL;
  return 0;
}

static const luaL_Reg methods[] = {
    {"state", connection_state}, {"next", connection_next},   {"heard", connection_heard},
    {"pause", connection_pause}, {"send", connection_send},   {"close", connection_close},
    {"abort", connection_abort}, {"replay", connection_replay}, {"track", connection_track},
    {"position", connection_position}, {NULL, NULL}};
static const luaL_Reg meta[] = {
    {"__gc", connection_gc}, {"__close", connection_abort}, {NULL, NULL}};

void se_open_connection(lua_State *L) {
  se_define_class(L, CONNECTION_MT, meta, methods);
}
