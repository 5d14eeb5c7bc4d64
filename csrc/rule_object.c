/* rule_object.c -- compares objects and arrays with what a rule declares, and takes out of the
 * text what it strips.
 *
 * The scan has found the text good to its last byte, so nothing can go wrong in reading it. Where
 * a nested object repeats a key the decoder takes the last one: here every one of them must fit,
 * and one that the rule names may not be repeated at all. */
#include <stdint.h>

#include "rule_text.h"
#include "rule_value.h"
#include "status.h"

typedef struct {
  uint32_t from, to; /* offsets into the event's text */
} cut;

/* --- what is stripped ------------------------------------------------------------------------- */

static int add_cut(const se_check *c, const char *from, const char *to) {
  se_buffer *cuts = &c->space->cuts;
  cut it = {(uint32_t)(from - c->start), (uint32_t)(to - c->start)};
  return se_buffer_append(cuts, (const char *)&it, sizeof it) == SE_OK;
}

int se_strip_keep(const se_check *c, se_stripper *s, const char *from) {
  int good = s->cut == NULL || add_cut(c, s->open, from);
  s->cut = NULL;
  return good;
}

int se_strip_cut(const se_check *c, se_stripper *s, const char *to) {
  int good = 1;
  if (s->end == NULL)
    s->cut = to;
  else
    good = add_cut(c, s->end, to);
  if (s->end != NULL)
    s->end = to;
  return good;
}

/* At the closing brace. */
static int strip_end(const se_check *c, const se_stripper *s) {
  return s->cut == NULL || add_cut(c, s->open, s->cut);
}

int se_check_has_cuts(const se_check_space *space) {
  return se_buffer_length(&space->cuts) > 0;
}

int se_check_strip(const se_check_space *space, const char *text, size_t len, se_buffer *out) {
  const char *cuts = se_buffer_bytes(&space->cuts);
  size_t count = se_buffer_length(&space->cuts) / sizeof(cut), at = 0;
  char *to = se_buffer_reserve(out, len);
  if (to == NULL)
    return se_buffer_fits(out, len) ? SE_ERR_MEMORY : SE_ERR_FULL;
  size_t used = 0;
  for (size_t i = 0; i < count; i++) {
    cut it;
    memcpy(&it, cuts + i * sizeof it, sizeof it);
    memcpy(to + used, text + at, it.from - at);
    used += it.from - at;
    at = it.to;
  }
  memcpy(to + used, text + at, len - at);
  se_buffer_commit(out, used + len - at);
  return SE_OK;
}

/* --- containers ------------------------------------------------------------------------------- */

static int check_count(const se_check *c, const se_rule_field *field, const se_path *at,
                       size_t count, const char *unit) {
  if (field->has_min && count < field->least)
    return se_value_refuse_length(c, at, field->least, " must have at least ", unit);
  if (field->has_max && count > field->most)
    return se_value_refuse_length(c, at, field->most, " must have at most ", unit);
  return SE_REASON_NONE;
}

static int check_array(const se_check *c, const se_rule_field *field, const se_path *at,
                       se_json *json) {
  se_path inner = {at, {NULL, 0}, 0};
  size_t count = 0;
  while (se_json_element(json, count == 0) == SE_JSON_ARRAY) {
    inner.index = ++count;
    if (field->has_max && count > field->most)
      break; /* no need to look any further */
    int reason = SE_REASON_NONE;
    if (field->items == NULL)
      se_json_skip(json, NULL);
    else
      reason = se_value_check(c, field->items, &inner, json);
    if (reason != SE_REASON_NONE)
      return reason;
  }
  return check_count(c, field, at, count, " element");
}

int se_value_check_missing(const se_check *c, const se_rule_object *object, const se_path *outer,
                           const se_seen *s) {
  for (size_t i = 0; i < object->names.count; i++) {
    if ((s->bits[i >> 6] >> (i & 63) & 1) != 0 || object->fields[i]->is_optional)
      continue;
    se_path at = {outer, object->names.at[i], 0};
    return se_value_refuse(c, &at, SE_REASON_FIELD_MISSING, " is missing");
  }
  return SE_REASON_NONE;
}

/* Keys of an object whose least number of keys is declared. The decoder keeps one of those that
 * are repeated: a sender could else make an object look larger than it will be. They are noted as
 * hashes behind each other; objects within this one note theirs behind these, and take them away
 * again. */
static int note_key(se_check_space *space, const se_slice *key) {
  uint64_t hash = se_key_hash(space->seed, key->at, key->len);
  hash += hash == 0; /* 0 is an empty place, below */
  return se_buffer_append(&space->keys, (const char *)&hash, sizeof hash) == SE_OK;
}

static uint64_t *noted_from(se_check_space *space, size_t from) {
  return (uint64_t *)(void *)(space->keys.data + space->keys.start + from);
}

/* How many different ones were noted since 'from'. 0: no memory. */
static int count_keys(se_check_space *space, size_t from, size_t *distinct) {
  size_t count = (se_buffer_length(&space->keys) - from) / sizeof(uint64_t), slots = 16;
  *distinct = 0;
  if (count == 0)
    return 1;
  while (slots < 2 * count)
    slots *= 2;
  if (se_buffer_reserve(&space->keys, slots * sizeof(uint64_t)) == NULL)
    return 0;
  const uint64_t *noted = noted_from(space, from);
  uint64_t *places = noted_from(space, from + count * sizeof(uint64_t));
  memset(places, 0, slots * sizeof *places);
  for (size_t i = 0; i < count; i++) {
    size_t at = noted[i] & (slots - 1);
    while (places[at] != 0 && places[at] != noted[i])
      at = (at + 1) & (slots - 1);
    *distinct += places[at] == 0;
    places[at] = noted[i];
  }
  return 1;
}

/* A key that the rule does not name. *stays: it is not to be stripped. */
static int check_other(const se_check *c, const se_rule_object *object, const se_path *outer,
                       const se_json_token *key, se_json *json, int *stays) {
  static const se_slice any = {"*", 1};
  se_path at = {outer, any, 0};
  *stays = 1;
  if (object->keys != NULL) {
    int reason = se_value_check_scalar(c, object->keys, &at, SE_JSON_STRING, key);
    if (reason != SE_REASON_NONE) {
      char why[SE_RULE_TEXT];
      se_words words = se_words_in(why);
      se_words_add(&words, "the key of ");
      se_words_add(&words, c->text);
      memcpy(c->text, why, sizeof why);
      return reason;
    }
  }
  if (object->each != NULL)
    return se_value_check(c, object->each, &at, json);
  se_json_skip(json, NULL);
  if (object->extra == SE_EXTRA_REFUSE)
    return se_value_refuse_extra(c, outer, key);
  *stays = object->extra == SE_EXTRA_KEEP;
  return SE_REASON_NONE;
}

static int check_object(const se_check *c, const se_rule_field *field, const se_path *at,
                        se_json *json) {
  const se_rule_object *object = &field->object;
  se_check_space *space = c->space;
  se_stripper strip = {json->at, NULL, NULL};
  se_seen fields = {{0}};
  se_json_token key;
  size_t count = 0, noted = se_buffer_length(&space->keys);
  int reason = SE_REASON_NONE, first = 1;
  while (reason == SE_REASON_NONE && se_json_key(json, first, &key) == SE_JSON_STRING) {
    se_slice name;
    int stays = 1;
    first = 0;
    if (!se_value_plain(c, &key, &name))
      return se_value_no_memory(c);
    int index = se_rule_names_find(&object->names, name.at, name.len);
    if (field->has_min && index < 0 && object->extra != SE_EXTRA_STRIP && !note_key(space, &name))
      return se_value_no_memory(c);
    if (index >= 0) {
      se_path inner = {at, object->names.at[index], 0};
      if (se_see(&fields, index))
        return se_value_refuse(c, &inner, SE_REASON_EXTRA_FIELD, " is there more than once");
      if (!se_strip_keep(c, &strip, key.at - 1))
        return se_value_no_memory(c);
      reason = se_value_check(c, object->fields[index], &inner, json);
      strip.end = json->at;
    } else {
      reason = check_other(c, object, at, &key, json, &stays);
    }
    count += (size_t)stays;
    if (!stays && !se_strip_cut(c, &strip, json->at))
      return se_value_no_memory(c);
  }
  if (reason != SE_REASON_NONE || (reason = se_value_check_missing(c, object, at, &fields)) != 0)
    return reason;
  if (!strip_end(c, &strip))
    return se_value_no_memory(c);
  if (field->has_min && se_buffer_length(&space->keys) > noted) {
    size_t others = (se_buffer_length(&space->keys) - noted) / sizeof(uint64_t), distinct;
    if (!count_keys(space, noted, &distinct))
      return se_value_no_memory(c);
    count -= others - distinct;
    space->keys.end = space->keys.start + noted;
  }
  return check_count(c, field, at, count, " key");
}

int se_value_makes_list(const se_check *c, const char *brace) {
  if (c->space->rewritten == NULL || brace[1] != '}')
    return 0;
  char *at = c->space->rewritten + (brace - c->start);
  at[0] = '[';
  at[1] = ']';
  return 1;
}

int se_value_check(const se_check *c, const se_rule_field *field, const se_path *at,
                   se_json *json) {
  se_json_token token;
  if (field->kind == SE_FIELD_ANY) {
    se_json_skip(json, NULL);
    return SE_REASON_NONE;
  }
  int kind = se_json_value(json, &token);
  if (kind == SE_JSON_OBJECT && field->kind == SE_FIELD_OBJECT)
    return check_object(c, field, at, json);
  if (kind == SE_JSON_OBJECT && field->kind == SE_FIELD_ARRAY &&
      se_value_makes_list(c, json->at - 1))
    kind = SE_JSON_ARRAY;
  if (kind == SE_JSON_ARRAY && field->kind == SE_FIELD_ARRAY)
    return check_array(c, field, at, json);
  return se_value_check_scalar(c, field, at, kind, &token);
}
