/* lrules.c -- decisions with the functions of rules, in a Lua state. The object of Lua's that has
 * the engine is in lrules_object.c: its user value is a table with the rule set in force at [1],
 * which has the functions. */
#include "lrules.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "lcore.h"
#include "lrule_set.h"
#include "lrules_parts.h"
#include "rule_set_private.h"

#define KEEPER_MT "stream_events.rules.changed"

se_rules *se_rules_of(const struct lrules *box) {
  return box->rules;
}

int se_rules_observed(const struct lrules *box) {
  return box->is_observed;
}

int se_rules_has_host_functions(const se_rule *rule) {
  return rule != NULL &&
         (rule->functions[SE_RULE_CHECK] < 0 || rule->functions[SE_RULE_REWRITE] < 0);
}

/* --- copies of events ------------------------------------------------------------------------- */

/* Only as many members as there are stand in the copy of an envelope. */
static size_t envelope_size(const se_envelope *envelope) {
  size_t size = offsetof(se_envelope, members) +
                envelope->member_count * sizeof envelope->members[0];
  return (size + 15) / 16 * 16;
}

static size_t event_size(const se_rule_event *event) {
  return envelope_size(event->envelope) + event->len + event->sender.len + event->role.len +
         event->cid.len + event->channel_type.len;
}

void *se_rule_event_reserve(lua_State *L, const se_rule_event *event) {
  return lua_newuserdatauv(L, event_size(event), 0);
}

/* What pointed into the text, or into what the scan had to unescape, points into the copies. */
static void move(se_slice *slice, const se_rule_event *event, const char *text,
                 se_envelope *envelope) {
  if (slice->at == NULL)
    return;
  if (slice->at >= event->text && slice->at <= event->text + event->len)
    slice->at = text + (slice->at - event->text);
  else
    slice->at = envelope->scratch + (slice->at - event->envelope->scratch);
}

static char *append(char *to, se_slice *slice) {
  if (slice->at != NULL) {
    memcpy(to, slice->at, slice->len);
    slice->at = to;
  }
  return to + slice->len;
}

void se_rule_event_fill(void *reserved, const se_rule_event *event, se_rule_event *out) {
  se_envelope *envelope = reserved;
  char *text = (char *)reserved + envelope_size(event->envelope), *to = text + event->len;
  memcpy(envelope, event->envelope,
         offsetof(se_envelope, members) +
             event->envelope->member_count * sizeof envelope->members[0]);
  memcpy(text, event->text, event->len);
  se_slice *const slices[] = {&envelope->type,    &envelope->cid,        &envelope->channel_type,
                              &envelope->user_id, &envelope->channel_id, &envelope->created_at,
                              &envelope->user};
  for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
    move(slices[i], event, text, envelope);
  *out = *event;
  out->text = text;
  out->envelope = envelope;
  to = append(to, &out->sender);
  to = append(to, &out->role);
  to = append(to, &out->cid);
  append(to, &out->channel_type);
}

/* --- decisions --------------------------------------------------------------------------------
 *
 * A changed text is taken out of the engine and hung on a userdata, the keeper, which was made
 * before: an allocation may run finalizers, and these may have the engine decide about something
 * else. One keeper always lies ready, at [2] of the engine's user value. Its own user value holds
 * the set. */

typedef struct {
  se_buffer text;
  se_envelope *envelope;
} keeper;

static int keeper_gc(lua_State *L) {
  keeper *it = luaL_checkudata(L, 1, KEEPER_MT);
  se_buffer_free(&it->text);
  free(it->envelope);
  it->envelope = NULL;
  return 0;
}

void se_push_keeper(lua_State *L) {
  keeper *it = lua_newuserdatauv(L, sizeof *it, 1);
  se_buffer_init(&it->text, SIZE_MAX / 2);
  it->envelope = NULL;
  luaL_setmetatable(L, KEEPER_MT);
  lua_createtable(L, 1, 0);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, 1);
  lua_setiuservalue(L, -2, 1);
}

/* One decision, and where on the stack what it needs is. */
typedef struct {
  lua_State *L;
  se_rules *rules;
  const se_rule_event *event;
  se_decision *out;
  se_rules_step step;
  void *user;
  int value;  /* the engine's user value; then follow the set and the keeper */
  int is_out; /* the keeper is this decision's alone */
} deciding;
#define SET(d) ((d)->value + 1)
#define KEEPER(d) ((d)->value + 2)

/* Lets the keeper have the changed text, if there is a new one. */
static void keep_changed(deciding *d) {
  lua_State *L = d->L;
  const keeper *has = lua_touserdata(L, KEEPER(d)); /* NULL for false */
  if (d->out->changed == NULL || (has != NULL && d->out->changed_envelope == has->envelope))
    return;
  if (!lua_toboolean(L, KEEPER(d))) {
    /* Code that a function of the program's calls is here before that decision is over. */
    uint64_t serial = se_rules_serial(d->rules);
    se_push_keeper(L);
    lua_replace(L, KEEPER(d));
    if (se_rules_serial(d->rules) != serial) {
      se_rules_lose(d->out);
      return;
    }
  } else if (!d->is_out) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, d->value, 2);
  }
  d->is_out = 1;
  keeper *it = lua_touserdata(L, KEEPER(d));
  se_buffer_free(&it->text);
  free(it->envelope);
  se_rules_detach(d->rules, d->out, &it->text, &it->envelope);
}

static void ask(deciding *d, int which, int reference, const se_rule_event *event,
                se_rule_answer *answer) {
  lua_State *L = d->L;
  const lrule_set *set = lua_touserdata(L, SET(d));
  if (reference > 0) {
    se_sandbox_exact(set->sandbox, d->step != NULL);
    se_sandbox_call(set->sandbox, reference, which, event, se_rules_memory(d->rules), answer);
    return;
  }
  lua_getiuservalue(L, SET(d), 1);
  lua_rawgeti(L, -1, -reference);
  lua_remove(L, -2);
  se_host_call(L, which, event, se_rules_memory(d->rules), answer);
}

/* The functions of the rule, in turn. */
static void ask_functions(deciding *d) {
  se_decision *out = d->out;
  int more = 1;
  for (int which = SE_RULE_CHECK; which <= SE_RULE_REWRITE && more; which++) {
    int reference = se_rule_function(out->rule, which);
    se_rule_answer answer;
    if (reference == 0)
      continue;
    if (reference < 0)
      keep_changed(d);
    if (out->verdict == SE_VERDICT_DROP)
      break; /* what it was changed to is lost */
    se_rule_event present = *d->event;
    if (out->changed != NULL) {
      present.text = out->changed;
      present.len = out->changed_len;
      present.envelope = out->changed_envelope;
    }
    ask(d, which, reference, &present, &answer);
    more = se_rules_answer(d->rules, d->event, which, &answer, out, d->step, d->user);
    se_buffer_free(&answer.data);
  }
  se_rules_finish(d->rules, d->event, out);
}

/* Leaves on the stack what keeps the decision alive: the keeper, and in it the set; or the set. */
static void leave_anchor(deciding *d) {
  lua_State *L = d->L;
  if (d->is_out) {
    lua_getiuservalue(L, KEEPER(d), 1);
    lua_pushvalue(L, SET(d));
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
    se_push_keeper(L); /* for the next one */
    lua_rawseti(L, d->value, 2);
    lua_pushvalue(L, KEEPER(d));
  } else {
    lua_pushvalue(L, SET(d));
  }
  lua_replace(L, d->value);
  lua_settop(L, d->value);
}

void se_rules_conclude(lua_State *L, int index, int decided, const se_rule_event *event,
                       se_decision *out, se_rules_step step, void *user) {
  const struct lrules *box = lua_touserdata(L, index);
  deciding d = {L, box->rules, event, out, step, user, 0, 0};
  luaL_checkstack(L, 10, "rules");
  lua_getiuservalue(L, index, 1); /* nothing is allocated here: the engine holds what was changed */
  d.value = lua_gettop(L);
  lua_rawgeti(L, d.value, 1);
  lua_rawgeti(L, d.value, 2);
  if (!decided)
    ask_functions(&d);
  keep_changed(&d);
  leave_anchor(&d);
}

void se_rules_decide(lua_State *L, int index, const se_rule_event *event, se_decision *out,
                     se_rules_step step, void *user) {
  const struct lrules *box = lua_touserdata(L, index);
  int decided = se_rules_judge(box->rules, event, out, step, user);
  se_rules_conclude(L, index, decided, event, out, step, user);
}

/* --- what was decided, as a table ------------------------------------------------------------- */

void se_rules_push_decision(lua_State *L, const se_rules *rules, const se_decision *decision) {
  const se_rule *rule = decision->rule;
  luaL_checkstack(L, 6, "rules");
  lua_createtable(L, 0, 10);
  if (decision->changed != NULL) {
    lua_pushlstring(L, decision->changed, decision->changed_len);
    lua_setfield(L, -2, "changed");
  }
  se_set_string(L, "verdict", se_verdict_name(decision->verdict));
  se_set_string(L, "judged", se_verdict_name(decision->judged));
  se_set_string(L, "reason", se_reason_code(decision->reason));
  se_set_string(L, "text", decision->text);
  if (rule != NULL) {
    lua_pushlstring(L, rule->name.at, rule->name.len);
    lua_setfield(L, -2, "rule");
    se_set_string(L, "hash", se_rule_set_hash(rule->set));
  } else if (se_rules_set(rules) != NULL) {
    se_set_string(L, "hash", se_rule_set_hash(se_rules_set(rules)));
  }
  se_set_integer(L, "instructions", decision->instructions);
  se_set_number(L, "seconds", decision->seconds);
  se_set_integer(L, "bytes", decision->bytes);
  if (decision->has_tripped) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "tripped");
  }
}

void se_open_keeper(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", keeper_gc}, {NULL, NULL}};
  se_define_class(L, KEEPER_MT, meta, NULL);
}
