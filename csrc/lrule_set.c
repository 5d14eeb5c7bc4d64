/* lrule_set.c -- Lua binding of rule sets: makes one of a description, as rules.compile gives it.
 *
 * The description has been checked where its file and line were known. What is wrong with it here
 * is a mistake of the caller's, and raises. The set hangs on its userdata from the first piece on:
 * it is freed wherever reading the description ends. */
#include "lrule_set.h"

#include "lrule_read.h"
#include "lrules.h"
#include "status.h"

#define RULE_SET_MT "stream_events.rule_set"
#define BUILDER_MT "stream_events.rule_set_builder"

lrule_set *se_check_lrule_set(lua_State *L, int index) {
  lrule_set *box = luaL_checkudata(L, index, RULE_SET_MT);
  luaL_argcheck(L, box->set != NULL, index, "rule set is collected");
  return box;
}

se_rule_set *se_check_rule_set(lua_State *L, int index) {
  return se_check_lrule_set(L, index)->set;
}

/* --- rules ------------------------------------------------------------------------------------ */

static void read_source(const se_reader *r, const char *key, se_rule_source *source) {
  if (se_reader_get(r, key) == LUA_TTABLE) {
    source->is_given = 1;
    source->is_none = se_reader_flag(r, "none");
    source->list = se_reader_names(r, "list");
  } else if (!lua_isnil(r->L, -1)) {
    se_reader_wrong(r, key, "a table");
  }
  lua_pop(r->L, 1);
}

static void read_from(const se_reader *r, se_rule *rule) {
  static const char *const keys[SE_FROMS] = {
      [SE_FROM_USER] = "user", [SE_FROM_ROLE] = "role", [SE_FROM_CHANNEL_TYPE] = "channel_type",
      [SE_FROM_CID] = "cid"};
  if (se_reader_get(r, "from") == LUA_TTABLE) {
    for (int i = 0; i < SE_FROMS; i++) {
      read_source(r, keys[i], &rule->from[i]);
      rule->has_from |= rule->from[i].is_given;
    }
  } else if (!lua_isnil(r->L, -1)) {
    se_reader_wrong(r, "from", "a table");
  }
  lua_pop(r->L, 1);
}

static void read_trust(const se_reader *r, se_rule *rule) {
  se_rule_names names = se_reader_names(r, "trust");
  static const struct {
    const char *word;
    unsigned bit;
  } words[] = {{"server", SE_TRUST_SERVER}, {"self", SE_TRUST_SELF}, {"user", SE_TRUST_USER}};
  if (names.count == 0)
    return;
  rule->trust = 0;
  for (size_t i = 0; i < names.count; i++)
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
      if (strcmp(names.at[i].at, words[w].word) == 0)
        rule->trust |= words[w].bit;
}

static double positive(const se_reader *r, const char *key) {
  se_rule_number n = {0, 0, 0};
  if (!se_reader_number(r, key, &n) || !(se_reader_double(&n) > 0) || !isfinite(se_reader_double(&n)))
    se_reader_wrong(r, key, "a positive number");
  return se_reader_double(&n);
}

static void read_rates(const se_reader *r, se_rule *rule) {
  static const char *const per[] = {[SE_PER_SENDER] = "sender", [SE_PER_CHANNEL] = "channel",
                                    [SE_PER_ALL] = "all", NULL};
  size_t count = se_reader_list(r, "rates");
  if (count > SE_RULE_RATES)
    se_reader_wrong(r, "rates", "a list of at most 16");
  rule->rates = se_reader_room(r, count, sizeof *rule->rates);
  for (size_t i = 1; i <= count; i++) {
    se_rule_rate *rate = &rule->rates[rule->rate_count++];
    if (lua_rawgeti(r->L, -1, (lua_Integer)i) != LUA_TTABLE)
      se_reader_wrong(r, "rates", "a list of tables");
    rate->count = positive(r, "count");
    rate->seconds = positive(r, "seconds");
    rate->per = se_reader_word(r, "per", per, SE_PER_SENDER);
    lua_pop(r->L, 1);
  }
  lua_pop(r->L, 1);
}

/* A reference of the rule state, or a function of the program's own, which is put into the list. */
static int get_function(se_reader *r, const char *key) {
  int reference = 0, type = se_reader_get(r, key);
  if (type == LUA_TFUNCTION) {
    lua_pushvalue(r->L, -1);
    lua_rawseti(r->L, r->functions, ++r->function_count);
    reference = -r->function_count;
    r->set->has_host = 1;
  } else if (type == LUA_TNUMBER) {
    lua_Number given = lua_tonumber(r->L, -1);
    if (!r->has_sandbox || !(given >= 1 && given < INT_MAX))
      se_reader_wrong(r, key, "a reference of the rule state");
    reference = (int)given;
  } else if (type != LUA_TNIL) {
    se_reader_wrong(r, key, "a function");
  }
  lua_pop(r->L, 1);
  return reference;
}

static void read_event(se_reader *r, se_rule *rule) {
  se_rule_number size;
  read_trust(r, rule);
  read_from(r, rule);
  if (se_reader_number(r, "size", &size))
    rule->size = se_reader_size(&size, 0);
  read_rates(r, rule);
  se_reader_object(r, &rule->data, 1, SE_EXTRA_REFUSE);
  rule->data.keys = rule->data.each = NULL;
  rule->functions[SE_RULE_CHECK] = get_function(r, "check");
  rule->functions[SE_RULE_REWRITE] = get_function(r, "rewrite");
  rule->quarantine = se_reader_string(r, "quarantine").at;
  rule->flag = se_reader_string(r, "flag").at;
}

static void read_honeypot(const se_reader *r, se_rule *rule) {
  se_rule_number seconds;
  rule->mark = se_reader_string(r, "mark");
  if (rule->mark.at == NULL) {
    rule->mark.at = "honeypot";
    rule->mark.len = strlen(rule->mark.at);
  }
  rule->seconds = se_reader_number(r, "seconds", &seconds) ? se_reader_double(&seconds) : 3600;
}

static const char *const modes[] = {"enforce", "audit", NULL};

/* The table on top of the stack. */
static void read_rule(se_reader *r, se_rule *rule) {
  static const char *const kinds[] = {[SE_RULE_EVENT] = "event", [SE_RULE_REFUSED] = "refuse",
                                      [SE_RULE_HONEYPOT] = "honeypot", NULL};
  if (lua_type(r->L, -1) != LUA_TTABLE)
    se_reader_wrong(r, "rules", "a list of tables");
  rule->name = se_reader_string(r, "name");
  if (rule->name.at == NULL || rule->name.len == 0) {
    se_reader_wrong(r, "name", "an event type");
    return;
  }
  rule->is_prefix = rule->name.at[rule->name.len - 1] == '*';
  if (rule->name.len > 255 + (size_t)rule->is_prefix)
    se_reader_wrong(r, "name", "at most 255 bytes long");
  rule->kind = se_reader_word(r, "kind", kinds, SE_RULE_EVENT);
  rule->is_audit = se_reader_word(r, "mode", modes, -1);
  if (rule->kind == SE_RULE_EVENT)
    read_event(r, rule);
  else if (rule->kind == SE_RULE_HONEYPOT)
    read_honeypot(r, rule);
}

/* What a description says besides its rules. The table is on top of the stack. */
static void read_rest(const se_reader *r) {
  static const char *const defaults[] = {"drop", "allow", NULL};
  r->set->is_allowed = se_reader_word(r, "default", defaults, 0);
  r->set->is_audit = se_reader_word(r, "mode", modes, 0);
  if (se_reader_get(r, "hash") != LUA_TNIL)
    r->set->hash = se_reader_copy(r, "hash");
  lua_pop(r->L, 1);
}

/* Another rule, the table on top of the stack. */
static void add_rule(se_reader *r) {
  se_rule *rule = se_rule_set_add(r->set);
  if (rule == NULL)
    luaL_error(r->L, "not enough memory");
  read_rule(r, rule);
  if (se_rule_set_name_rates(r->set, rule) != SE_OK)
    luaL_error(r->L, "not enough memory");
}

/* --- Lua -------------------------------------------------------------------------------------- */

/* A set that is made rule by rule. The user value is { the set, the list of its functions }. */
typedef struct {
  lrule_set *box;     /* NULL once it is finished, or its making was broken off */
  int function_count;
} lbuilder;

/* Pushes an empty set and the list of its functions; the description or the options are at index 1. */
static void push_set(se_reader *r) {
  lua_State *L = r->L;
  lrule_set *box = lua_newuserdatauv(L, sizeof *box, 1);
  int set = lua_gettop(L);
  box->set = NULL;
  box->sandbox = NULL;
  luaL_setmetatable(L, RULE_SET_MT);
  lua_newtable(L);
  r->functions = lua_gettop(L);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, set, 1);
  lua_pushvalue(L, 1);
  if (se_reader_get(r, "state") != LUA_TNIL) {
    box->sandbox = se_check_sandbox(L, -1);
    se_sandbox_keep(box->sandbox);
    r->has_sandbox = 1;
  }
  lua_pop(L, 2);
  r->set = box->set = se_rule_set_new();
  if (r->set == NULL)
    luaL_error(L, "not enough memory");
}

/* 0: done; else results of a failure were pushed. */
static int finish(const se_reader *r) {
  int status = se_rule_set_finish(r->set);
  if (status == SE_ERR_ARGUMENT)
    return se_fail(r->L, status, "a name is declared twice");
  if (status != SE_OK)
    return luaL_error(r->L, "not enough memory");
  return 0;
}

/* rule_set { rules=, default=, mode=, hash=, state= } -> set | nil, kind, message */
static int rule_set_new(lua_State *L) {
  se_reader r = {L, NULL, 0, 0, 0};
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  push_set(&r); /* 2, 3 */
  lua_pushvalue(L, 1);
  read_rest(&r);
  size_t count = se_reader_list(&r, "rules");
  for (size_t i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i);
    add_rule(&r);
    lua_pop(L, 1);
  }
  int failed = finish(&r);
  if (failed != 0)
    return failed;
  lua_settop(L, 2);
  return 1;
}

/* rule_set_builder { state= } -> builder */
static int builder_new(lua_State *L) {
  se_reader r = {L, NULL, 0, 0, 0};
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lbuilder *made = lua_newuserdatauv(L, sizeof *made, 1); /* 2 */
  made->box = NULL;
  made->function_count = 0;
  luaL_setmetatable(L, BUILDER_MT);
  push_set(&r); /* 3, 4 */
  lua_createtable(L, 2, 0);
  lua_insert(L, 3);
  lua_rawseti(L, 3, 2);
  made->box = lua_touserdata(L, 4);
  lua_rawseti(L, 3, 1);
  lua_setiuservalue(L, 2, 1);
  return 1;
}

/* The builder that is argument 1. It cannot be used again unless it is put back: what raises in
 * between has left half a rule. Pushes the set and the list of its functions. */
static lbuilder *open_builder(lua_State *L, se_reader *r) {
  lbuilder *made = luaL_checkudata(L, 1, BUILDER_MT);
  lrule_set *box = made->box;
  luaL_argcheck(L, box != NULL, 1, "this rule set is finished");
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, 1); /* 3 */
  lua_rawgeti(L, 3, 1); /* 4 */
  lua_rawgeti(L, 3, 2); /* 5 */
  made->box = NULL;
  r->L = L;
  r->set = box->set;
  r->functions = 5;
  r->function_count = made->function_count;
  r->has_sandbox = box->sandbox != NULL;
  return made;
}

/* builder:add(rule) */
static int builder_add(lua_State *L) {
  se_reader r;
  luaL_checktype(L, 2, LUA_TTABLE);
  lbuilder *made = open_builder(L, &r);
  lua_pushvalue(L, 2);
  add_rule(&r);
  made->box = lua_touserdata(L, 4);
  made->function_count = r.function_count;
  return 0;
}

/* builder:finish { default=, mode=, hash= } -> set | nil, kind, message */
static int builder_finish(lua_State *L) {
  se_reader r;
  luaL_checktype(L, 2, LUA_TTABLE);
  open_builder(L, &r);
  lua_pushvalue(L, 2);
  read_rest(&r);
  int failed = finish(&r);
  if (failed != 0)
    return failed;
  lua_settop(L, 4);
  return 1;
}

/* set:find(type) -> name | nil */
static int rule_set_find(lua_State *L) {
  size_t len;
  const se_rule_set *set = se_check_rule_set(L, 1);
  const char *type = luaL_checklstring(L, 2, &len);
  const se_rule *rule = se_rule_set_find(set, type, len);
  if (rule == NULL)
    lua_pushnil(L);
  else
    lua_pushlstring(L, rule->name.at, rule->name.len);
  return 1;
}

static int rule_set_gc(lua_State *L) {
  lrule_set *box = luaL_checkudata(L, 1, RULE_SET_MT);
  se_rule_set_drop(box->set);
  se_sandbox_free(box->sandbox);
  box->set = NULL;
  box->sandbox = NULL;
  return 0;
}

static const luaL_Reg methods[] = {{"find", rule_set_find}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", rule_set_gc}, {NULL, NULL}};
static const luaL_Reg builder_methods[] = {
    {"add", builder_add}, {"finish", builder_finish}, {NULL, NULL}};
static const luaL_Reg functions[] = {
    {"rule_set", rule_set_new}, {"rule_set_builder", builder_new}, {NULL, NULL}};

void se_open_rule_set(lua_State *L) {
  se_define_class(L, RULE_SET_MT, meta, methods);
  se_define_class(L, BUILDER_MT, NULL, builder_methods);
  luaL_setfuncs(L, functions, 0);
}
