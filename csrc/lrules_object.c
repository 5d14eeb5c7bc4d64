/* lrules_object.c -- Lua binding of the rules' engine: the object that decides about texts, and
 * says what was decided. */
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "json.h"
#include "lcore.h"
#include "lrule_set.h"
#include "lrules.h"
#include "lrules_parts.h"
#include "rule_set_private.h"
#include "status.h"

#define RULES_MT "stream_events.rules"

struct lrules *se_check_rules(lua_State *L, int index) {
  struct lrules *box = luaL_checkudata(L, index, RULES_MT);
  luaL_argcheck(L, box->rules != NULL, index, "rules are collected");
  return box;
}

/* --- rules:decide ----------------------------------------------------------------------------- */

/* The steps of one decision. They become tables afterwards: in between nothing may raise. */
#define STEPS 24
typedef struct {
  int count;
  struct {
    const char *step;
    int reason;
    char text[SE_RULE_TEXT];
  } at[STEPS];
} trace;

static void note_step(void *user, const char *step, int reason, const char *text) {
  trace *steps = user;
  if (steps->count == STEPS)
    return;
  steps->at[steps->count].step = step;
  steps->at[steps->count].reason = reason;
  strncpy(steps->at[steps->count].text, text, SE_RULE_TEXT - 1);
  steps->at[steps->count++].text[SE_RULE_TEXT - 1] = '\0';
}

/* Into the table on top of the stack. */
static void set_steps(lua_State *L, const trace *steps) {
  lua_createtable(L, steps->count, 0);
  for (int i = 0; i < steps->count; i++) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, steps->at[i].text);
    lua_setfield(L, -2, "text");
    se_set_string(L, "step", steps->at[i].step);
    se_set_string(L, "reason", se_reason_code(steps->at[i].reason));
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "steps");
}

/* What the third argument says; its strings stay on the stack. */
typedef struct {
  se_slice member, self, sender, role, cid, channel_type;
  const char *direction, *trust;
  double now;
  int has_now, is_traced;
} input;

static se_slice option(lua_State *L, const char *key) {
  se_slice out = {NULL, 0};
  lua_getfield(L, 3, key);
  if (!lua_isnil(L, -1)) {
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "'%s' must be a string", key);
    out.at = lua_tolstring(L, -1, &out.len);
  }
  return out;
}

static void read_input(lua_State *L, input *in) {
  memset(in, 0, sizeof *in);
  if (lua_isnil(L, 3))
    return;
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checkstack(L, 12, "rules");
  in->member = option(L, "member");
  in->self = option(L, "self");
  in->sender = option(L, "sender");
  in->role = option(L, "role");
  in->cid = option(L, "cid");
  in->channel_type = option(L, "channel_type");
  in->direction = option(L, "direction").at;
  in->trust = option(L, "trust").at;
  lua_getfield(L, 3, "now");
  in->has_now = !lua_isnil(L, -1);
  in->now = in->has_now ? (double)luaL_checknumber(L, -1) : 0;
  lua_getfield(L, 3, "trace");
  in->is_traced = lua_toboolean(L, -1);
}

static void set_direction(lua_State *L, const input *in, se_rule_event *event) {
  if (in->direction == NULL || strcmp(in->direction, "in") == 0)
    return;
  if (strcmp(in->direction, "out") != 0)
    luaL_error(L, "'direction' must be in or out");
  event->direction = SE_DIRECTION_OUT;
}

static void set_trust(lua_State *L, const input *in, se_rule_event *event) {
  static const struct {
    const char *word;
    unsigned trust;
  } words[] = {{"server", SE_TRUST_SERVER},
               {"self", SE_TRUST_SELF},
               {"user", SE_TRUST_USER},
               {"any", SE_TRUST_SELF | SE_TRUST_USER}};
  if (in->trust == NULL)
    return;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (strcmp(words[i].word, in->trust) == 0) {
      event->trust = words[i].trust;
      return;
    }
  }
  luaL_error(L, "'trust' must be server, self, user or any");
}

/* What the text does not say itself. */
static void fill_event(lua_State *L, const input *in, se_rule_event *event) {
  if (in->cid.at != NULL)
    event->sender = event->envelope->user_id;
  if (event->sender.at == NULL)
    event->sender = in->sender;
  if (event->role.at == NULL)
    event->role = in->role;
  if (event->cid.at == NULL && in->cid.at != NULL) {
    event->cid = in->cid;
    event->trust = in->self.at != NULL && event->sender.at != NULL &&
                           event->sender.len == in->self.len &&
                           memcmp(event->sender.at, in->self.at, in->self.len) == 0
                       ? SE_TRUST_SELF
                       : SE_TRUST_USER;
  }
  if (event->channel_type.at == NULL)
    event->channel_type = in->channel_type;
  if (event->channel_type.at == NULL && event->cid.at != NULL) {
    const char *colon = memchr(event->cid.at, ':', event->cid.len);
    if (colon != NULL) {
      event->channel_type.at = event->cid.at;
      event->channel_type.len = (size_t)(colon - event->cid.at);
    }
  }
  set_direction(L, in, event);
  set_trust(L, in, event);
}

/* A text that is no event; *position counts from the start of the whole text. */
static int drop_malformed(lua_State *L, se_rules *rules, const char *reason, size_t position) {
  se_decision decision;
  memset(&decision, 0, sizeof decision);
  decision.verdict = decision.judged = SE_VERDICT_DROP;
  decision.reason = SE_REASON_MALFORMED;
  lua_pushfstring(L, "%s at byte %d", reason, se_small(position + 1));
  strncpy(decision.text, lua_tostring(L, -1), sizeof decision.text - 1);
  se_rules_count(rules, "*", 1, SE_VERDICT_DROP, SE_REASON_MALFORMED);
  lua_pushliteral(L, "drop");
  se_rules_push_decision(L, rules, &decision);
  return 2;
}

/* rules:decide(text, input?) -> verdict, decision? */
static int rules_decide(lua_State *L) {
  struct lrules *box = se_check_rules(L, 1);
  size_t len, position;
  const char *text = luaL_checklstring(L, 2, &len), *whole = text, *reason;
  se_envelope envelope; /* some KiB: on the stack it costs nothing */
  se_rule_event event;
  se_decision decision = {0};
  trace steps;
  input in;
  lua_settop(L, 3);
  read_input(L, &in);
  if (in.member.at != NULL) {
    int found = se_json_member(in.member.at, in.member.len, &text, &len, &reason, &position);
    if (found <= 0)
      return drop_malformed(L, box->rules, found < 0 ? reason : "the event is missing",
                            found < 0 ? position : len);
  }
  if (se_scan(text, len, 0, NULL, NULL, &envelope) != SE_SCAN_EVENT)
    return drop_malformed(L, box->rules, envelope.reason,
                          (size_t)(text - whole) + envelope.position);
  se_rule_event_init(&event, text, len, &envelope, in.self.at, in.self.len,
                     in.has_now ? in.now : se_date());
  fill_event(L, &in, &event);
  steps.count = 0;
  se_rules_decide(L, 1, &event, &decision, in.is_traced ? note_step : NULL, &steps);
  lua_pushstring(L, se_verdict_name(decision.verdict));
  if (decision.judged == SE_VERDICT_ALLOW && decision.changed == NULL && !in.is_traced)
    return 1;
  se_rules_push_decision(L, box->rules, &decision);
  if (in.is_traced)
    set_steps(L, &steps);
  return 2;
}

/* --- all the rest ----------------------------------------------------------------------------- */

/* rules:use(set?) */
static int rules_use(lua_State *L) {
  struct lrules *box = se_check_rules(L, 1);
  lua_settop(L, 2);
  se_rule_set *set = lua_isnil(L, 2) ? NULL : se_check_rule_set(L, 2);
  lua_getiuservalue(L, 1, 1);
  if (se_rules_use(box->rules, set) != SE_OK)
    return luaL_error(L, "not enough memory");
  if (set == NULL)
    lua_pushboolean(L, 0);
  else
    lua_pushvalue(L, 2);
  lua_rawseti(L, 3, 1); /* the place is there: this cannot fail */
  return 0;
}

/* rules:route(type) -> route, reason | nil, rule | nil, audit */
static int rules_route(lua_State *L) {
  static const char *const names[] = {[SE_RULE_PASS] = "pass", [SE_RULE_ASK] = "ask",
                                      [SE_RULE_TRAP] = "trap", [SE_RULE_REFUSE] = "refuse"};
  size_t len;
  struct lrules *box = se_check_rules(L, 1);
  const char *type = luaL_checklstring(L, 2, &len);
  se_rule_route route;
  se_rules_route(box->rules, type, len, &route);
  const se_rule *rule = route.rule;
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, 1); /* keeps the rule while strings are made */
  lua_pushstring(L, names[route.route]);
  if (route.reason == SE_REASON_NONE)
    lua_pushnil(L);
  else
    lua_pushstring(L, se_reason_code(route.reason));
  if (rule == NULL)
    lua_pushnil(L);
  else
    lua_pushlstring(L, rule->name.at, rule->name.len);
  lua_pushboolean(L, route.audit);
  return 4;
}

/* Pushes the table in a field of the table on top, made if need be. */
static void push_inner(lua_State *L, const char *key, size_t len) {
  lua_pushlstring(L, key, len);
  lua_pushvalue(L, -1);
  lua_rawget(L, -3);
  if (lua_istable(L, -1)) {
    lua_remove(L, -2);
    return;
  }
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_insert(L, -3);
  lua_rawset(L, -4);
}

/* What was counted, copied before Lua's tables are made of it: they may run a finalizer, which may
 * have more counted. */
typedef struct {
  size_t count, room;
  struct counted {
    const char *type; /* as long as the engine */
    size_t len;
    const char *verdict, *reason;
    uint64_t count;
  } at[];
} counted;

static void count_counters(void *user, const char *type, size_t len, const char *verdict,
                           const char *reason, uint64_t count) {
  (void)type, (void)len, (void)verdict, (void)reason, (void)count;
  ++*(size_t *)user;
}

static void note_counter(void *user, const char *type, size_t len, const char *verdict,
                         const char *reason, uint64_t count) {
  counted *all = user;
  if (all->count == all->room)
    return;
  struct counted one = {type, len, verdict, reason, count};
  all->at[all->count++] = one;
}

/* rules:counts() -> { [type] = { [verdict] = { [reason] = count } } } */
static int rules_counts(lua_State *L) {
  struct lrules *box = se_check_rules(L, 1);
  size_t count = 0;
  se_rules_each(box->rules, count_counters, &count);
  counted *all = lua_newuserdatauv(L, sizeof *all + count * sizeof all->at[0], 0);
  all->count = 0;
  all->room = count;
  se_rules_each(box->rules, note_counter, all);
  lua_newtable(L);
  for (size_t i = 0; i < all->count; i++) {
    const struct counted *one = &all->at[i];
    push_inner(L, one->type, one->len);
    push_inner(L, one->verdict, strlen(one->verdict));
    /* An event of the type "*" shares its place with the types that were too many. */
    lua_getfield(L, -1, one->reason);
    int64_t before = se_to_int64(L, -1);
    lua_pop(L, 1);
    se_set_integer(L, one->reason, (uint64_t)before + one->count);
    lua_pop(L, 2);
  }
  return 1;
}

/* rules:tripped() -> names */
static int rules_tripped(lua_State *L) {
  struct lrules *box = se_check_rules(L, 1);
  lua_newtable(L);
  const se_rule_set *set = se_rules_set(box->rules);
  lua_Integer count = 0;
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, 1); /* keeps the set */
  lua_insert(L, -3);
  lua_pop(L, 1);
  for (size_t i = 0; set != NULL && i < set->count; i++) {
    if (!se_rules_is_tripped(box->rules, &set->rules[i]))
      continue;
    lua_pushlstring(L, set->rules[i].name.at, set->rules[i].name.len);
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}

/* rules:observe(yes) */
static int rules_observe(lua_State *L) {
  se_check_rules(L, 1)->is_observed = lua_toboolean(L, 2);
  return 0;
}

/* rules:marked(user, name, now?) -> boolean */
static int rules_marked(lua_State *L) {
  struct lrules *box = se_check_rules(L, 1);
  size_t user_len, name_len;
  const char *user = luaL_checklstring(L, 2, &user_len);
  const char *name = luaL_checklstring(L, 3, &name_len);
  double now = luaL_optnumber(L, 4, se_date());
  lua_pushboolean(L, se_rule_memory_marked(se_rules_memory(box->rules), user, user_len, name,
                                           name_len, now));
  return 1;
}

/* rules:mark(user, name, seconds, now?) */
static int rules_mark(lua_State *L) {
  struct lrules *box = se_check_rules(L, 1);
  size_t user_len, name_len;
  const char *user = luaL_checklstring(L, 2, &user_len);
  const char *name = luaL_checklstring(L, 3, &name_len);
  double seconds = luaL_checknumber(L, 4), now = luaL_optnumber(L, 5, se_date());
  int status = se_rule_memory_mark(se_rules_memory(box->rules), user, user_len, name, name_len,
                                   seconds, now);
  luaL_argcheck(L, status != SE_ERR_FULL, 2, "user and name are too long");
  return status == SE_OK ? 0 : luaL_error(L, "not enough memory");
}

/* rules:sizes() -> { buckets=, marks=, counts= } */
static int rules_sizes(lua_State *L) {
  se_rule_memory_sizes sizes;
  se_rule_memory_size(se_rules_memory(se_check_rules(L, 1)->rules), &sizes);
  lua_createtable(L, 0, 3);
  se_set_integer(L, "buckets", sizes.buckets);
  se_set_integer(L, "marks", sizes.marks);
  se_set_integer(L, "counts", sizes.counts);
  return 1;
}

/* rules:forget() */
static int rules_forget(lua_State *L) {
  se_rule_memory_forget(se_rules_memory(se_check_rules(L, 1)->rules));
  return 0;
}

static int rules_gc(lua_State *L) {
  struct lrules *box = luaL_checkudata(L, 1, RULES_MT);
  se_rules_free(box->rules);
  box->rules = NULL;
  return 0;
}

static size_t limit(lua_State *L, const char *key, size_t otherwise, size_t most) {
  lua_getfield(L, 1, key);
  lua_Number given = luaL_optnumber(L, -1, (lua_Number)otherwise);
  lua_pop(L, 1);
  if (!(given >= 1 && given <= (lua_Number)most))
    luaL_error(L, "'%s' must be between 1 and %d", key, se_small(most));
  return (size_t)given;
}

/* rules(limits?) -> rules */
static int rules_new(lua_State *L) {
  se_rules_limits limits;
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  limits.buckets = limit(L, "buckets", SE_MEMORY_BUCKETS, 1u << 24);
  limits.marks = limit(L, "marks", SE_MEMORY_MARKS, 1u << 24);
  limits.counts = limit(L, "counts", SE_MEMORY_COUNTS, 1u << 24);
  limits.breaches = (int)limit(L, "breaches", 5, 1000000);
  struct lrules *box = lua_newuserdatauv(L, sizeof *box, 1);
  box->rules = NULL;
  box->is_observed = 0;
  luaL_setmetatable(L, RULES_MT);
  lua_createtable(L, 2, 0);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, 1);
  se_push_keeper(L);
  lua_rawseti(L, -2, 2);
  lua_setiuservalue(L, -2, 1);
  box->rules = se_rules_new(&limits);
  if (box->rules == NULL)
    return luaL_error(L, "not enough memory");
  return 1;
}

static const luaL_Reg methods[] = {
    {"use", rules_use},         {"decide", rules_decide}, {"route", rules_route},
    {"counts", rules_counts},   {"tripped", rules_tripped}, {"observe", rules_observe},
    {"marked", rules_marked},   {"mark", rules_mark},     {"sizes", rules_sizes},
    {"forget", rules_forget},
    {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", rules_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"rules", rules_new}, {NULL, NULL}};

void se_open_rules(lua_State *L) {
  se_open_rule_set(L);
  se_open_keeper(L);
  se_define_class(L, RULES_MT, meta, methods);
  luaL_setfuncs(L, functions, 0);
}
