/* lrule_set.c -- Lua binding of rule sets: makes one of a description, as rules.compile gives it.
 *
 * The description has been checked where its file and line were known. What is wrong with it here
 * is a mistake of the caller's, and raises. The set hangs on its userdata from the first piece on:
 * it is freed wherever reading the description ends. */
#include "lrule_set.h"

#include <stdint.h>

#include "lrules.h"
#include "rule_set_private.h"
#include "status.h"

#define RULE_SET_MT "stream_events.rule_set"
#define BUILDER_MT "stream_events.rule_set_builder"

typedef struct {
  lua_State *L;
  se_rule_set *set;
  int functions;      /* where on the stack their list is */
  int function_count;
  int has_sandbox;
} builder;

lrule_set *se_check_lrule_set(lua_State *L, int index) {
  lrule_set *box = luaL_checkudata(L, index, RULE_SET_MT);
  luaL_argcheck(L, box->set != NULL, index, "rule set is collected");
  return box;
}

se_rule_set *se_check_rule_set(lua_State *L, int index) {
  return se_check_lrule_set(L, index)->set;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Pushes a field of the table on top of the stack; its type. */
static int get(const builder *b, const char *key) {
  lua_pushstring(b->L, key);
  return lua_rawget(b->L, -2);
}

static void wrong(const builder *b, const char *key, const char *what) {
  luaL_error(b->L, "rule set: '%s' must be %s", key, what);
}

static void *room(const builder *b, size_t count, size_t size) {
  void *memory = se_rule_set_alloc(b->set, count, size);
  if (memory == NULL)
    luaL_error(b->L, "not enough memory");
  return memory;
}

/* Copies the string on top of the stack, which stays. */
static se_slice copy(const builder *b, const char *key) {
  se_slice out = {NULL, 0};
  size_t len;
  if (lua_type(b->L, -1) != LUA_TSTRING)
    wrong(b, key, "a string");
  const char *text = lua_tolstring(b->L, -1, &len);
  if (se_rule_set_copy(b->set, text, len, &out) != SE_OK)
    luaL_error(b->L, "not enough memory");
  return out;
}

/* A string, or nil: then NULL. */
static se_slice get_string(const builder *b, const char *key) {
  se_slice out = {NULL, 0};
  if (get(b, key) != LUA_TNIL)
    out = copy(b, key);
  lua_pop(b->L, 1);
  return out;
}

/* The index of a word in a list; 'otherwise' for nil. */
static int get_word(const builder *b, const char *key, const char *const *words, int otherwise) {
  int found = otherwise;
  if (get(b, key) != LUA_TNIL) {
    const char *word = lua_type(b->L, -1) == LUA_TSTRING ? lua_tostring(b->L, -1) : "";
    for (found = 0; words[found] != NULL && strcmp(words[found], word) != 0; found++) {}
    if (words[found] == NULL)
      wrong(b, key, "one of its words");
  }
  lua_pop(b->L, 1);
  return found;
}

static int get_flag(const builder *b, const char *key) {
  get(b, key);
  int yes = lua_toboolean(b->L, -1);
  lua_pop(b->L, 1);
  return yes;
}

/* The number on top of the stack. */
static se_rule_number number(const builder *b, const char *key) {
  se_rule_number out = {0, 0, 0};
  if (lua_type(b->L, -1) != LUA_TNUMBER)
    wrong(b, key, "a number");
  out.is_integer = lua_isinteger(b->L, -1);
  if (out.is_integer)
    out.integer = se_to_int64(b->L, -1);
  else
    out.real = (double)lua_tonumber(b->L, -1);
  if (isnan(out.real))
    wrong(b, key, "a number");
  return out;
}

/* Whether there is one. */
static int get_number(const builder *b, const char *key, se_rule_number *out) {
  int given = get(b, key) != LUA_TNIL;
  if (given)
    *out = number(b, key);
  lua_pop(b->L, 1);
  return given;
}

static double as_double(const se_rule_number *n) {
  return n->is_integer ? (double)n->integer : n->real;
}

/* A bound of what is counted. */
static size_t as_size(const se_rule_number *n, int up) {
  double real = as_double(n);
  if (real <= 0)
    return 0;
  if (real >= 9e15)
    return SIZE_MAX;
  return (size_t)(up ? ceil(real) : floor(real));
}

/* The length of the list in a field, which is pushed (nil: 0). */
static size_t push_list(const builder *b, const char *key) {
  int type = get(b, key);
  if (type != LUA_TNIL && type != LUA_TTABLE)
    wrong(b, key, "a list");
  return type == LUA_TNIL ? 0 : (size_t)lua_rawlen(b->L, -1);
}

static se_rule_names get_names(const builder *b, const char *key) {
  se_rule_names names = {NULL, 0};
  size_t count = push_list(b, key);
  names.at = room(b, count, sizeof *names.at);
  for (size_t i = 1; i <= count; i++) {
    lua_rawgeti(b->L, -1, (lua_Integer)i);
    names.at[names.count++] = copy(b, key);
    lua_pop(b->L, 1);
  }
  lua_pop(b->L, 1);
  se_rule_names_sort(&names, NULL);
  return names;
}

/* --- fields ----------------------------------------------------------------------------------- */

static void get_choice(const builder *b, se_rule_choice *choice) {
  size_t count = push_list(b, "one_of");
  choice->is_given = !lua_isnil(b->L, -1);
  choice->strings.at = room(b, count, sizeof *choice->strings.at);
  choice->numbers = room(b, count, sizeof *choice->numbers);
  for (size_t i = 1; i <= count; i++) {
    int type = lua_rawgeti(b->L, -1, (lua_Integer)i);
    if (type == LUA_TSTRING)
      choice->strings.at[choice->strings.count++] = copy(b, "one_of");
    else if (type == LUA_TNUMBER)
      choice->numbers[choice->number_count++] = number(b, "one_of");
    else if (type != LUA_TBOOLEAN)
      wrong(b, "one_of", "a list of strings, numbers and booleans");
    else if (lua_toboolean(b->L, -1))
      choice->has_true = 1;
    else
      choice->has_false = 1;
    lua_pop(b->L, 1);
  }
  lua_pop(b->L, 1);
  se_rule_names_sort(&choice->strings, NULL);
  se_rule_numbers_sort(choice->numbers, choice->number_count);
}

static void read_field(const builder *b, se_rule_field *field, int depth);

/* A field in a field of the table on top; NULL: there is none. */
static const se_rule_field *get_field(const builder *b, const char *key, int depth) {
  se_rule_field *field = NULL;
  if (get(b, key) != LUA_TNIL) {
    field = room(b, 1, sizeof *field);
    read_field(b, field, depth);
  }
  lua_pop(b->L, 1);
  return field;
}

static size_t count_pairs(lua_State *L) {
  size_t count = 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    count++;
  return count;
}

/* The fields named in the table on top. */
static void read_fields(const builder *b, se_rule_object *object, int depth) {
  lua_State *L = b->L;
  size_t count = count_pairs(L);
  if (count > SE_RULE_FIELDS)
    wrong(b, "fields", "a table of at most 256 fields");
  object->names.at = room(b, count, sizeof *object->names.at);
  object->fields = room(b, count, sizeof(se_rule_field *));
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    se_rule_field *field = room(b, 1, sizeof *field);
    size_t at = object->names.count;
    lua_pushvalue(L, -2);
    object->names.at[at] = copy(b, "fields");
    lua_pop(L, 1);
    read_field(b, field, depth);
    object->fields[at] = field;
    object->names.count++;
  }
  se_rule_names_sort(&object->names, object->fields);
}

/* The keys of an object, or of an event's data, in the table on top. */
static void read_object(const builder *b, se_rule_object *object, int depth, int otherwise) {
  static const char *const words[] = {[SE_EXTRA_REFUSE] = "refuse", [SE_EXTRA_KEEP] = "keep",
                                      [SE_EXTRA_STRIP] = "strip", NULL};
  static const se_rule_field any = {.kind = SE_FIELD_ANY};
  if (get(b, "fields") == LUA_TTABLE) {
    read_fields(b, object, depth);
    otherwise = SE_EXTRA_REFUSE;
  } else if (!lua_isnil(b->L, -1)) {
    wrong(b, "fields", "a table");
  }
  lua_pop(b->L, 1);
  object->keys = get_field(b, "keys", depth);
  object->each = get_field(b, "each", depth);
  if (object->keys != NULL && object->each == NULL)
    object->each = &any; /* who says how they are called, accepts them */
  object->extra = get_word(b, "extra", words, otherwise);
}

static void read_matches(const builder *b, se_rule_field *field) {
  static const char *const keys[SE_MATCHES] = {
      [SE_MATCH_STARTS] = "starts_with", [SE_MATCH_ENDS] = "ends_with",
      [SE_MATCH_CONTAINS] = "contains", [SE_MATCH_GLOB] = "glob"};
  for (int i = 0; i < SE_MATCHES; i++) {
    field->matches[i] = get_names(b, keys[i]);
    field->has_matches |= field->matches[i].count > 0;
  }
}

/* The table on top of the stack. */
static void read_field(const builder *b, se_rule_field *field, int depth) {
  static const char *const kinds[] = {
      [SE_FIELD_STRING] = "string",   [SE_FIELD_INTEGER] = "integer",
      [SE_FIELD_NUMBER] = "number",   [SE_FIELD_BOOLEAN] = "boolean",
      [SE_FIELD_ARRAY] = "array",     [SE_FIELD_OBJECT] = "object",
      [SE_FIELD_ONE_OF] = "one_of",   [SE_FIELD_ANY] = "any", NULL};
  luaL_checkstack(b->L, 12, "rule set");
  if (lua_type(b->L, -1) != LUA_TTABLE || depth > SE_RULE_DEPTH)
    wrong(b, "fields", "tables, nested at most 32 deep");
  field->kind = get_word(b, "kind", kinds, -1);
  if (field->kind < 0)
    wrong(b, "kind", "given");
  field->is_optional = get_flag(b, "optional");
  field->has_min = get_number(b, "min", &field->min);
  field->has_max = get_number(b, "max", &field->max);
  field->least = as_size(&field->min, 1);
  field->most = as_size(&field->max, 0);
  read_matches(b, field);
  get_choice(b, &field->one_of);
  field->items = get_field(b, "items", depth + 1);
  if (field->kind == SE_FIELD_OBJECT)
    read_object(b, &field->object, depth + 1, SE_EXTRA_KEEP);
}

/* --- rules ------------------------------------------------------------------------------------ */

static void read_source(const builder *b, const char *key, se_rule_source *source) {
  if (get(b, key) == LUA_TTABLE) {
    source->is_given = 1;
    source->is_none = get_flag(b, "none");
    source->list = get_names(b, "list");
  } else if (!lua_isnil(b->L, -1)) {
    wrong(b, key, "a table");
  }
  lua_pop(b->L, 1);
}

static void read_from(const builder *b, se_rule *rule) {
  static const char *const keys[SE_FROMS] = {
      [SE_FROM_USER] = "user", [SE_FROM_ROLE] = "role", [SE_FROM_CHANNEL_TYPE] = "channel_type",
      [SE_FROM_CID] = "cid"};
  if (get(b, "from") == LUA_TTABLE) {
    for (int i = 0; i < SE_FROMS; i++) {
      read_source(b, keys[i], &rule->from[i]);
      rule->has_from |= rule->from[i].is_given;
    }
  } else if (!lua_isnil(b->L, -1)) {
    wrong(b, "from", "a table");
  }
  lua_pop(b->L, 1);
}

static void read_trust(const builder *b, se_rule *rule) {
  se_rule_names names = get_names(b, "trust");
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

static double positive(const builder *b, const char *key) {
  se_rule_number n = {0, 0, 0};
  if (!get_number(b, key, &n) || !(as_double(&n) > 0) || !isfinite(as_double(&n)))
    wrong(b, key, "a positive number");
  return as_double(&n);
}

static void read_rates(const builder *b, se_rule *rule) {
  static const char *const per[] = {[SE_PER_SENDER] = "sender", [SE_PER_CHANNEL] = "channel",
                                    [SE_PER_ALL] = "all", NULL};
  size_t count = push_list(b, "rates");
  if (count > SE_RULE_RATES)
    wrong(b, "rates", "a list of at most 16");
  rule->rates = room(b, count, sizeof *rule->rates);
  for (size_t i = 1; i <= count; i++) {
    se_rule_rate *rate = &rule->rates[rule->rate_count++];
    if (lua_rawgeti(b->L, -1, (lua_Integer)i) != LUA_TTABLE)
      wrong(b, "rates", "a list of tables");
    rate->count = positive(b, "count");
    rate->seconds = positive(b, "seconds");
    rate->per = get_word(b, "per", per, SE_PER_SENDER);
    lua_pop(b->L, 1);
  }
  lua_pop(b->L, 1);
}

/* A reference of the rule state, or a function of the program's own, which is put into the list. */
static int get_function(builder *b, const char *key) {
  int reference = 0, type = get(b, key);
  if (type == LUA_TFUNCTION) {
    lua_pushvalue(b->L, -1);
    lua_rawseti(b->L, b->functions, ++b->function_count);
    reference = -b->function_count;
    b->set->has_host = 1;
  } else if (type == LUA_TNUMBER) {
    lua_Number given = lua_tonumber(b->L, -1);
    if (!b->has_sandbox || !(given >= 1 && given < INT_MAX))
      wrong(b, key, "a reference of the rule state");
    reference = (int)given;
  } else if (type != LUA_TNIL) {
    wrong(b, key, "a function");
  }
  lua_pop(b->L, 1);
  return reference;
}

static void read_event(builder *b, se_rule *rule) {
  se_rule_number size;
  read_trust(b, rule);
  read_from(b, rule);
  if (get_number(b, "size", &size))
    rule->size = as_size(&size, 0);
  read_rates(b, rule);
  read_object(b, &rule->data, 1, SE_EXTRA_REFUSE);
  rule->data.keys = rule->data.each = NULL;
  rule->functions[SE_RULE_CHECK] = get_function(b, "check");
  rule->functions[SE_RULE_REWRITE] = get_function(b, "rewrite");
  rule->quarantine = get_string(b, "quarantine").at;
  rule->flag = get_string(b, "flag").at;
}

static void read_honeypot(const builder *b, se_rule *rule) {
  se_rule_number seconds;
  rule->mark = get_string(b, "mark");
  if (rule->mark.at == NULL) {
    rule->mark.at = "honeypot";
    rule->mark.len = strlen(rule->mark.at);
  }
  rule->seconds = get_number(b, "seconds", &seconds) ? as_double(&seconds) : 3600;
}

static const char *const modes[] = {"enforce", "audit", NULL};

/* The table on top of the stack. */
static void read_rule(builder *b, se_rule *rule) {
  static const char *const kinds[] = {[SE_RULE_EVENT] = "event", [SE_RULE_REFUSED] = "refuse",
                                      [SE_RULE_HONEYPOT] = "honeypot", NULL};
  if (lua_type(b->L, -1) != LUA_TTABLE)
    wrong(b, "rules", "a list of tables");
  rule->name = get_string(b, "name");
  if (rule->name.at == NULL || rule->name.len == 0) {
    wrong(b, "name", "an event type");
    return;
  }
  rule->is_prefix = rule->name.at[rule->name.len - 1] == '*';
  if (rule->name.len > 255 + (size_t)rule->is_prefix)
    wrong(b, "name", "at most 255 bytes long");
  rule->kind = get_word(b, "kind", kinds, SE_RULE_EVENT);
  rule->is_audit = get_word(b, "mode", modes, -1);
  if (rule->kind == SE_RULE_EVENT)
    read_event(b, rule);
  else if (rule->kind == SE_RULE_HONEYPOT)
    read_honeypot(b, rule);
}

/* What a description says besides its rules. The table is on top of the stack. */
static void read_rest(const builder *b) {
  static const char *const defaults[] = {"drop", "allow", NULL};
  b->set->is_allowed = get_word(b, "default", defaults, 0);
  b->set->is_audit = get_word(b, "mode", modes, 0);
  if (get(b, "hash") != LUA_TNIL)
    b->set->hash = copy(b, "hash");
  lua_pop(b->L, 1);
}

/* Another rule, the table on top of the stack. */
static void add_rule(builder *b) {
  se_rule *rule = se_rule_set_add(b->set);
  if (rule == NULL)
    luaL_error(b->L, "not enough memory");
  read_rule(b, rule);
  if (se_rule_set_name_rates(b->set, rule) != SE_OK)
    luaL_error(b->L, "not enough memory");
}

/* --- Lua -------------------------------------------------------------------------------------- */

/* A set that is made rule by rule. The user value is { the set, the list of its functions }. */
typedef struct {
  lrule_set *box;     /* NULL once it is finished, or its making was broken off */
  int function_count;
} lbuilder;

/* Pushes an empty set and the list of its functions; the description or the options are at index 1. */
static void push_set(builder *b) {
  lua_State *L = b->L;
  lrule_set *box = lua_newuserdatauv(L, sizeof *box, 1);
  int set = lua_gettop(L);
  box->set = NULL;
  box->sandbox = NULL;
  luaL_setmetatable(L, RULE_SET_MT);
  lua_newtable(L);
  b->functions = lua_gettop(L);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, set, 1);
  lua_pushvalue(L, 1);
  if (get(b, "state") != LUA_TNIL) {
    box->sandbox = se_check_sandbox(L, -1);
    se_sandbox_keep(box->sandbox);
    b->has_sandbox = 1;
  }
  lua_pop(L, 2);
  b->set = box->set = se_rule_set_new();
  if (b->set == NULL)
    luaL_error(L, "not enough memory");
}

/* 0: done; else results of a failure were pushed. */
static int finish(const builder *b) {
  int status = se_rule_set_finish(b->set);
  if (status == SE_ERR_ARGUMENT)
    return se_fail(b->L, status, "a name is declared twice");
  if (status != SE_OK)
    return luaL_error(b->L, "not enough memory");
  return 0;
}

/* rule_set { rules=, default=, mode=, hash=, state= } -> set | nil, kind, message */
static int rule_set_new(lua_State *L) {
  builder b = {L, NULL, 0, 0, 0};
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  push_set(&b); /* 2, 3 */
  lua_pushvalue(L, 1);
  read_rest(&b);
  size_t count = push_list(&b, "rules");
  for (size_t i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i);
    add_rule(&b);
    lua_pop(L, 1);
  }
  int failed = finish(&b);
  if (failed != 0)
    return failed;
  lua_settop(L, 2);
  return 1;
}

/* rule_set_builder { state= } -> builder */
static int builder_new(lua_State *L) {
  builder b = {L, NULL, 0, 0, 0};
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lbuilder *made = lua_newuserdatauv(L, sizeof *made, 1); /* 2 */
  made->box = NULL;
  made->function_count = 0;
  luaL_setmetatable(L, BUILDER_MT);
  push_set(&b); /* 3, 4 */
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
static lbuilder *open_builder(lua_State *L, builder *b) {
  lbuilder *made = luaL_checkudata(L, 1, BUILDER_MT);
  lrule_set *box = made->box;
  luaL_argcheck(L, box != NULL, 1, "this rule set is finished");
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, 1); /* 3 */
  lua_rawgeti(L, 3, 1); /* 4 */
  lua_rawgeti(L, 3, 2); /* 5 */
  made->box = NULL;
  b->L = L;
  b->set = box->set;
  b->functions = 5;
  b->function_count = made->function_count;
  b->has_sandbox = box->sandbox != NULL;
  return made;
}

/* builder:add(rule) */
static int builder_add(lua_State *L) {
  builder b;
  luaL_checktype(L, 2, LUA_TTABLE);
  lbuilder *made = open_builder(L, &b);
  lua_pushvalue(L, 2);
  add_rule(&b);
  made->box = lua_touserdata(L, 4);
  made->function_count = b.function_count;
  return 0;
}

/* builder:finish { default=, mode=, hash= } -> set | nil, kind, message */
static int builder_finish(lua_State *L) {
  builder b;
  luaL_checktype(L, 2, LUA_TTABLE);
  open_builder(L, &b);
  lua_pushvalue(L, 2);
  read_rest(&b);
  int failed = finish(&b);
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
  if (luaL_newmetatable(L, RULE_SET_MT)) {
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0); /* or __gc could be called while an engine uses the functions */
    lua_setfield(L, -2, "__metatable");
  }
  if (luaL_newmetatable(L, BUILDER_MT)) {
    luaL_newlib(L, builder_methods);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
  }
  lua_pop(L, 2);
  luaL_setfuncs(L, functions, 0);
}
