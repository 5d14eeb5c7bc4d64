/* rule_check.c -- compares an event with what its rule declares: where it comes from, its size, and
 * its data, as far as that is the top level's. */
#include "rule_check.h"

#include <stdint.h>

#include "json.h"
#include "rule_text.h"
#include "rule_value.h"

#define KEEP 16384 /* bytes of working memory that are kept for the next event */

void se_check_space_init(se_check_space *space) {
  space->seed = se_keytable_seed();
  space->work = 0;
  se_buffer_init(&space->plain, SIZE_MAX / 2);
  se_buffer_init(&space->cuts, SIZE_MAX / 2);
  se_buffer_init(&space->keys, SIZE_MAX / 2);
  space->rewritten = NULL;
}

void se_check_space_free(se_check_space *space) {
  se_buffer_free(&space->plain);
  se_buffer_free(&space->cuts);
  se_buffer_free(&space->keys);
}

static void trim(se_buffer *buffer) {
  if (buffer->capacity > KEEP)
    se_buffer_free(buffer);
}

void se_check_space_trim(se_check_space *space) {
  trim(&space->plain);
  trim(&space->cuts);
  trim(&space->keys);
}

/* --- the event -------------------------------------------------------------------------------- */

static int is_name(const char *key, size_t len, const char *name) {
  return strlen(name) == len && memcmp(key, name, len) == 0;
}

/* Names that only the envelope can have, whatever their value; and those that it has where they say
 * what the service would. */
enum { NOT_RESERVED, ALWAYS, WATCHER_COUNT, USER_ID, RECEIVED_AT };

static int reserved_name(const char *key, size_t len) {
  switch (len) {
  case 3:
    return is_name(key, len, "cid") ? ALWAYS : NOT_RESERVED;
  case 4:
    return is_name(key, len, "type") || is_name(key, len, "user") ? ALWAYS : NOT_RESERVED;
  case 7:
    return is_name(key, len, "user_id") ? USER_ID : NOT_RESERVED;
  case 10:
    return is_name(key, len, "channel_id") || is_name(key, len, "created_at") ? ALWAYS
                                                                              : NOT_RESERVED;
  case 11:
    return is_name(key, len, "received_at") ? RECEIVED_AT : NOT_RESERVED;
  case 12:
    return is_name(key, len, "channel_type") ? ALWAYS : NOT_RESERVED;
  case 13:
    return is_name(key, len, "watcher_count") ? WATCHER_COUNT : NOT_RESERVED;
  default:
    return NOT_RESERVED;
  }
}

int se_check_is_reserved(const char *name, size_t len) {
  return reserved_name(name, len) != NOT_RESERVED || is_name(name, len, "trust") ||
         is_name(name, len, "verdict") || is_name(name, len, "raw_data");
}

/* A top-level value as a token; of a container only its kind. */
static int member_value(const char *text, const se_scan_member *member, se_json_token *token) {
  const char *at = text + member->value;
  size_t len = member->value_len;
  token->at = at;
  token->len = len;
  token->escaped = 0;
  switch (*at) {
  case '"':
    token->at = at + 1;
    token->len = len - 2;
    token->escaped = memchr(at + 1, '\\', len - 2) != NULL;
    return SE_JSON_STRING;
  case '{':
    return SE_JSON_OBJECT;
  case '[':
    return SE_JSON_ARRAY;
  case 't':
    return SE_JSON_TRUE;
  case 'f':
    return SE_JSON_FALSE;
  case 'n':
    return SE_JSON_NULL;
  default:
    return SE_JSON_NUMBER;
  }
}

/* The names whose value matters, by what that is. */
static int is_envelope_value(int name, const char *text, const se_scan_member *member,
                             se_slice sender) {
  se_json_token value;
  if (name == ALWAYS)
    return 1;
  int kind = member_value(text, member, &value);
  switch (name) {
  case WATCHER_COUNT: {
    se_rule_number number = {0, 0, 0};
    if (kind == SE_JSON_NUMBER)
      number = se_value_number(&value);
    return number.is_integer;
  }
  case USER_ID:
    return kind == SE_JSON_STRING && sender.at != NULL && se_json_is(&value, sender.at, sender.len);
  case RECEIVED_AT:
    return kind == SE_JSON_STRING || kind == SE_JSON_NUMBER;
  default:
    return 0;
  }
}

int se_check_is_envelope(const char *text, const se_scan_member *member, se_slice sender) {
  const char *key = text + member->key;
  char plain[13 * 6];
  size_t len = member->key_len;
  if (member->key_escaped) {
    se_json_token token = {key, len, 1};
    if (len > sizeof plain) /* the longest name has 13 letters, each of six bytes at most */
      return 0;
    len = se_json_unescape(&token, plain);
    key = plain;
  }
  int name = reserved_name(key, len);
  return name != NOT_RESERVED && is_envelope_value(name, text, member, sender);
}

static int check_member(const se_check *c, const se_rule_field *field, const se_path *at,
                        const se_scan_member *member) {
  se_json_token value;
  int kind = member_value(c->start, member, &value);
  if (kind == SE_JSON_OBJECT && field->kind == SE_FIELD_ARRAY &&
      se_value_makes_list(c, c->start + member->value))
    kind = SE_JSON_ARRAY;
  if ((kind == SE_JSON_OBJECT && field->kind == SE_FIELD_OBJECT) ||
      (kind == SE_JSON_ARRAY && field->kind == SE_FIELD_ARRAY)) {
    se_json json;
    se_json_init(&json, c->start + member->value, member->value_len);
    return se_value_check(c, field, at, &json);
  }
  return se_value_check_scalar(c, field, at, kind, &value);
}

/* The declared field that a member is, or -1; -2: no memory. */
static inline int find_field(const se_check *c, const se_rule_object *data,
                             const se_scan_member *member) {
  se_slice name = {c->start + member->key, member->key_len};
  if (member->key_escaped) {
    se_json_token key = {name.at, name.len, 1};
    if (!se_value_plain(c, &key, &name))
      return -2;
  }
  return se_rule_names_find(&data->names, name.at, name.len);
}

/* Whether a member that is no declared field may stay. *reason: it makes the event unacceptable. */
static int is_kept(const se_check *c, const se_rule_object *data, const se_scan_member *member,
                   se_slice sender, int *reason) {
  if (data->extra == SE_EXTRA_KEEP || se_check_is_envelope(c->start, member, sender))
    return 1;
  if (data->extra == SE_EXTRA_REFUSE) {
    se_json_token key = {c->start + member->key, member->key_len, (int)member->key_escaped};
    *reason = se_value_refuse_extra(c, NULL, &key);
  }
  return data->extra == SE_EXTRA_REFUSE;
}

/* The stripper is only there where keys are stripped. 0: no memory. */
static int may_stay(const se_check *c, se_stripper *strip, const se_scan_member *member) {
  return strip == NULL || se_strip_keep(c, strip, c->start + member->key - 1);
}

static const char *member_end(const se_check *c, const se_scan_member *member) {
  return c->start + member->value + member->value_len;
}

static int check_members(const se_check *c, const se_rule_object *data,
                         const se_rule_event *event, se_stripper *strip, se_seen *fields) {
  const se_envelope *envelope = event->envelope;
  for (size_t i = 0; i < envelope->member_count; i++) {
    const se_scan_member *member = &envelope->members[i];
    int index = find_field(c, data, member), reason = SE_REASON_NONE;
    if (index == -2)
      return se_value_no_memory(c);
    if (index < 0 && !is_kept(c, data, member, event->sender, &reason)) {
      if (!se_strip_cut(c, strip, member_end(c, member)))
        return se_value_no_memory(c);
      continue;
    }
    if (!may_stay(c, strip, member))
      return se_value_no_memory(c);
    if (index >= 0) {
      se_path at = {NULL, data->names.at[index], 0};
      se_see(fields, index);
      reason = check_member(c, data->fields[index], &at, member);
    }
    if (reason != SE_REASON_NONE)
      return reason;
    if (strip != NULL)
      strip->end = member_end(c, member);
  }
  return SE_REASON_NONE;
}

int se_check_data(se_check_space *space, const se_rule *rule, const se_rule_event *event,
                  char *text) {
  const se_check c = {space, event->text, text};
  const se_rule_object *data = &rule->data;
  se_stripper strip = {NULL, NULL, NULL};
  se_seen fields = {{0}};
  space->work = 0;
  if (se_check_has_cuts(space))
    se_buffer_consume(&space->cuts, se_buffer_length(&space->cuts), SIZE_MAX);
  if (se_buffer_length(&space->keys) > 0)
    se_buffer_consume(&space->keys, se_buffer_length(&space->keys), SIZE_MAX);
  if (data->extra == SE_EXTRA_STRIP) /* white space may stand before the brace */
    strip.open = (const char *)memchr(event->text, '{', event->len) + 1;
  /* The type always stays: no cut is left open. */
  int reason = check_members(&c, data, event, data->extra == SE_EXTRA_STRIP ? &strip : NULL,
                             &fields);
  return reason != SE_REASON_NONE ? reason : se_value_check_missing(&c, data, NULL, &fields);
}

/* --- all but the data ------------------------------------------------------------------------- */

int se_check_trust(const se_rule *rule, const se_rule_event *event, char *text) {
  if ((rule->trust & event->trust) != 0)
    return SE_REASON_NONE;
  se_words words = se_words_in(text);
  se_words_add(&words, rule->trust == SE_TRUST_SERVER
                           ? "only the server may send this"
                           : "the rule does not trust where the event comes from");
  return SE_REASON_TRUST;
}

/* The "role" in the text of the user; like the decoder, the last one. 0: no memory. */
static int role_of(se_check_space *space, const se_rule_event *event, se_slice *role) {
  const se_check c = {space, event->text, NULL};
  const se_slice user = event->envelope->user, absent = {NULL, 0};
  se_json json;
  se_json_token key, value, found = {NULL, 0, 0};
  *role = event->role;
  if (role->at != NULL || user.at == NULL || event->sender.at == NULL)
    return 1;
  se_json_init(&json, user.at, user.len);
  se_json_value(&json, &value);
  for (int first = 1; se_json_key(&json, first, &key) == SE_JSON_STRING; first = 0) {
    int kind = se_json_skip(&json, &value);
    if (se_json_is(&key, "role", 4)) {
      found = value;
      if (kind != SE_JSON_STRING)
        found.at = NULL;
    }
  }
  *role = absent;
  return found.at == NULL || se_value_plain(&c, &found, role);
}

int se_check_from(se_check_space *space, const se_rule *rule, const se_rule_event *event,
                  char *text) {
  static const char *const words[SE_FROMS] = {
      [SE_FROM_USER] = "the rule does not accept this sender",
      [SE_FROM_ROLE] = "the rule does not accept the role of the sender",
      [SE_FROM_CHANNEL_TYPE] = "the rule does not accept this type of channel",
      [SE_FROM_CID] = "the rule does not accept this channel"};
  const se_check c = {space, event->text, text};
  se_slice given[SE_FROMS] = {event->sender, event->role, event->channel_type, event->cid};
  if (rule->from[SE_FROM_ROLE].is_given && !role_of(space, event, &given[SE_FROM_ROLE]))
    return se_value_no_memory(&c);
  for (int i = 0; i < SE_FROMS; i++) {
    const se_rule_source *source = &rule->from[i];
    if (!source->is_given)
      continue;
    int listed = given[i].at != NULL &&
                 se_rule_names_find(&source->list, given[i].at, given[i].len) >= 0;
    if (listed != source->is_none)
      continue;
    se_words line = se_words_in(text);
    se_words_add(&line, words[i]);
    return SE_REASON_FROM;
  }
  return SE_REASON_NONE;
}

int se_check_size(const se_rule *rule, size_t len, char *text) {
  if (len <= rule->size)
    return SE_REASON_NONE;
  se_words words = se_words_in(text);
  se_words_add(&words, "the event has ");
  se_words_add_size(&words, len);
  se_words_add(&words, " bytes, and the rule accepts at most ");
  se_words_add_size(&words, rule->size);
  return SE_REASON_TOO_LARGE;
}
