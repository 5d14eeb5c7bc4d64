/* lrule_field.c -- reads the fields of a description of rules, and the fields within them. */
#include <math.h>
#include <string.h>

#include "lrule_read.h"
#include "status.h"

static void get_choice(const se_reader *r, se_rule_choice *choice) {
  size_t count = se_reader_list(r, "one_of");
  choice->is_given = !lua_isnil(r->L, -1);
  choice->strings.at = se_reader_room(r, count, sizeof *choice->strings.at);
  choice->numbers = se_reader_room(r, count, sizeof *choice->numbers);
  for (size_t i = 1; i <= count; i++) {
    int type = lua_rawgeti(r->L, -1, (lua_Integer)i);
    if (type == LUA_TSTRING)
      choice->strings.at[choice->strings.count++] = se_reader_copy(r, "one_of");
    else if (type == LUA_TNUMBER)
      choice->numbers[choice->number_count++] = se_reader_top_number(r, "one_of");
    else if (type != LUA_TBOOLEAN)
      se_reader_wrong(r, "one_of", "a list of strings, numbers and booleans");
    else if (lua_toboolean(r->L, -1))
      choice->has_true = 1;
    else
      choice->has_false = 1;
    lua_pop(r->L, 1);
  }
  lua_pop(r->L, 1);
  se_rule_names_sort(&choice->strings, NULL);
  se_rule_numbers_sort(choice->numbers, choice->number_count);
}

static void read_field(const se_reader *r, se_rule_field *field, int depth);

/* A field in a field of the table on top; NULL: there is none. */
static const se_rule_field *get_field(const se_reader *r, const char *key, int depth) {
  se_rule_field *field = NULL;
  if (se_reader_get(r, key) != LUA_TNIL) {
    field = se_reader_room(r, 1, sizeof *field);
    read_field(r, field, depth);
  }
  lua_pop(r->L, 1);
  return field;
}

static size_t count_pairs(lua_State *L) {
  size_t count = 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    count++;
  return count;
}

/* The fields named in the table on top. */
static void read_fields(const se_reader *r, se_rule_object *object, int depth) {
  lua_State *L = r->L;
  size_t count = count_pairs(L);
  if (count > SE_RULE_FIELDS)
    se_reader_wrong(r, "fields", "a table of at most 256 fields");
  object->names.at = se_reader_room(r, count, sizeof *object->names.at);
  object->fields = se_reader_room(r, count, sizeof(se_rule_field *));
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    se_rule_field *field = se_reader_room(r, 1, sizeof *field);
    size_t at = object->names.count;
    lua_pushvalue(L, -2);
    object->names.at[at] = se_reader_copy(r, "fields");
    lua_pop(L, 1);
    read_field(r, field, depth);
    object->fields[at] = field;
    object->names.count++;
  }
  se_rule_names_sort(&object->names, object->fields);
}

/* The keys of an object, or of an event's data, in the table on top. */
void se_reader_object(const se_reader *r, se_rule_object *object, int depth, int otherwise) {
  static const char *const words[] = {[SE_EXTRA_REFUSE] = "refuse", [SE_EXTRA_KEEP] = "keep",
                                      [SE_EXTRA_STRIP] = "strip", NULL};
  static const se_rule_field any = {.kind = SE_FIELD_ANY};
  if (se_reader_get(r, "fields") == LUA_TTABLE) {
    read_fields(r, object, depth);
    otherwise = SE_EXTRA_REFUSE;
  } else if (!lua_isnil(r->L, -1)) {
    se_reader_wrong(r, "fields", "a table");
  }
  lua_pop(r->L, 1);
  object->keys = get_field(r, "keys", depth);
  object->each = get_field(r, "each", depth);
  if (object->keys != NULL && object->each == NULL)
    object->each = &any; /* who says how they are called, accepts them */
  object->extra = se_reader_word(r, "extra", words, otherwise);
}

static void read_matches(const se_reader *r, se_rule_field *field) {
  static const char *const keys[SE_MATCHES] = {
      [SE_MATCH_STARTS] = "starts_with", [SE_MATCH_ENDS] = "ends_with",
      [SE_MATCH_CONTAINS] = "contains", [SE_MATCH_GLOB] = "glob"};
  for (int i = 0; i < SE_MATCHES; i++) {
    field->matches[i] = se_reader_names(r, keys[i]);
    field->has_matches |= field->matches[i].count > 0;
  }
}

/* The table on top of the stack. */
static void read_field(const se_reader *r, se_rule_field *field, int depth) {
  static const char *const kinds[] = {
      [SE_FIELD_STRING] = "string",   [SE_FIELD_INTEGER] = "integer",
      [SE_FIELD_NUMBER] = "number",   [SE_FIELD_BOOLEAN] = "boolean",
      [SE_FIELD_ARRAY] = "array",     [SE_FIELD_OBJECT] = "object",
      [SE_FIELD_ONE_OF] = "one_of",   [SE_FIELD_ANY] = "any", NULL};
  luaL_checkstack(r->L, 12, "rule set");
  if (lua_type(r->L, -1) != LUA_TTABLE || depth > SE_RULE_DEPTH)
    se_reader_wrong(r, "fields", "tables, nested at most 32 deep");
  field->kind = se_reader_word(r, "kind", kinds, -1);
  if (field->kind < 0)
    se_reader_wrong(r, "kind", "given");
  field->is_optional = se_reader_flag(r, "optional");
  field->has_min = se_reader_number(r, "min", &field->min);
  field->has_max = se_reader_number(r, "max", &field->max);
  field->least = se_reader_size(&field->min, 1);
  field->most = se_reader_size(&field->max, 0);
  read_matches(r, field);
  get_choice(r, &field->one_of);
  field->items = get_field(r, "items", depth + 1);
  if (field->kind == SE_FIELD_OBJECT)
    se_reader_object(r, &field->object, depth + 1, SE_EXTRA_KEEP);
}
