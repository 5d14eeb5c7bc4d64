/* rules_change.c -- compares the data of an event with its rule, and makes another text of it
 * where the rule strips or a function rewrites. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "rule_text.h"
#include "rules_parts.h"
#include "status.h"

#define KEEP 16384 /* bytes of texts that are kept for the next event */

int se_judging_tell(const se_judging *j, const char *step, int reason) {
  if (j->step != NULL)
    j->step(j->user, step, reason, reason == SE_REASON_NONE ? "" : j->out->text);
  if (reason != SE_REASON_NONE) {
    j->out->verdict = SE_VERDICT_DROP;
    j->out->reason = reason;
  }
  return reason;
}

void se_judging_say(const se_judging *j, const char *text) {
  se_words words = se_words_in(j->out->text);
  se_words_add(&words, text);
}

/* The event as it stands: as it came, or as it was changed. */
static se_rule_event present(const se_rule_event *event, const se_decision *out) {
  se_rule_event it = *event;
  if (out->changed != NULL) {
    it.text = out->changed;
    it.len = out->changed_len;
    it.envelope = out->changed_envelope;
  }
  return it;
}

/* An empty buffer for a text that is made out of the present one, which may be in the other. */
static se_buffer *next_text(se_rules *rules) {
  rules->current = !rules->current;
  se_buffer *text = &rules->texts[rules->current];
  se_buffer_consume(text, se_buffer_length(text), KEEP);
  return text;
}

static int no_memory(const se_judging *j) {
  se_judging_say(j, "not enough memory to change the event");
  return SE_REASON_BUDGET_MEMORY;
}

/* The text in the buffer is what is delivered from now on. */
static int take_text(const se_judging *j, const se_buffer *text) {
  se_rules *rules = j->rules;
  const char *bytes = se_buffer_bytes(text);
  size_t len = se_buffer_length(text);
  if (rules->envelope == NULL && (rules->envelope = malloc(sizeof *rules->envelope)) == NULL)
    return no_memory(j);
  if (se_scan(bytes, len, 0, NULL, NULL, rules->envelope) != SE_SCAN_EVENT) {
    se_judging_say(j, "the changed event is none: ");
    se_words words = {j->out->text, strlen(j->out->text)};
    se_words_add(&words, rules->envelope->reason);
    return SE_REASON_BAD_VERDICT;
  }
  j->out->changed = bytes;
  j->out->changed_len = len;
  j->out->changed_envelope = rules->envelope;
  return SE_REASON_NONE;
}

int se_judge_fields(const se_judging *j, const se_rule *rule) {
  se_rules *rules = j->rules;
  se_rule_event event = present(j->event, j->out);
  int reason = se_check_data(&rules->space, rule, &event, j->out->text);
  if (reason == SE_REASON_NONE && se_check_has_cuts(&rules->space)) {
    se_buffer *text = next_text(rules);
    reason = se_check_strip(&rules->space, event.text, event.len, text) == SE_OK
                 ? take_text(j, text)
                 : no_memory(j);
  }
  se_check_space_trim(&rules->space);
  return se_judging_tell(j, "fields", reason);
}

/* Whether the data of a rewrite leaves the envelope alone. */
static int is_data(const se_judging *j, const se_json_token *key) {
  char plain[96]; /* more than any name of the envelope takes with all its letters escaped */
  se_json_token token = *key;
  if (token.escaped && token.len > sizeof plain)
    return 1;
  size_t len = token.len;
  const char *name = token.at;
  if (token.escaped) {
    len = se_json_unescape(&token, plain);
    name = plain;
  }
  if (!se_check_is_reserved(name, len))
    return 1;
  se_words words = se_words_in(j->out->text);
  se_words_add(&words, "a rewrite cannot set ");
  se_words_add_part(&words, name, len);
  return 0;
}

static int append(se_buffer *out, int *first, const char *text, size_t len) {
  if (!*first && se_buffer_append(out, ",", 1) != SE_OK)
    return 0;
  *first = 0;
  return se_buffer_append(out, text, len) == SE_OK;
}

/* The members of the new data: a text that was encoded, or comes from a check of the program's own.
 * Everything is scanned again afterwards. */
static int append_data(const se_judging *j, const se_buffer *data, se_buffer *out, int *first) {
  se_json json;
  se_json_token key, value;
  int kind;
  se_json_init(&json, se_buffer_bytes(data), se_buffer_length(data));
  if (se_json_value(&json, &value) != SE_JSON_OBJECT) {
    se_judging_say(j, "a rewrite must give a table of fields");
    return SE_REASON_BAD_VERDICT;
  }
  for (int begin = 1; (kind = se_json_key(&json, begin, &key)) == SE_JSON_STRING; begin = 0) {
    const char *from = key.at - 1;
    if (!is_data(j, &key))
      return SE_REASON_EXTRA_FIELD;
    if (se_json_skip(&json, &value) == SE_JSON_BAD)
      break;
    if (!append(out, first, from, (size_t)(json.at - from)))
      return no_memory(j);
  }
  if (kind != SE_JSON_END || !se_json_finish(&json)) {
    se_judging_say(j, "the data of a rewrite cannot be read");
    return SE_REASON_BAD_VERDICT;
  }
  return SE_REASON_NONE;
}

static int put_together(const se_judging *j, const se_buffer *data, se_buffer *out) {
  se_rule_event event = present(j->event, j->out);
  const se_envelope *envelope = event.envelope;
  int first = 1, reason;
  if (se_buffer_append(out, "{", 1) != SE_OK)
    return no_memory(j);
  for (size_t i = 0; i < envelope->member_count; i++) {
    const se_scan_member *member = &envelope->members[i];
    const char *from = event.text + member->key - 1;
    if (se_check_is_envelope(event.text, member, event.sender) &&
        !append(out, &first, from, (size_t)(event.text + member->value + member->value_len - from)))
      return no_memory(j);
  }
  if ((reason = append_data(j, data, out, &first)) != SE_REASON_NONE)
    return reason;
  return se_buffer_append(out, "}", 1) == SE_OK ? SE_REASON_NONE : no_memory(j);
}

int se_judge_rewrite(const se_judging *j, const se_rule *rule, const se_buffer *data) {
  se_buffer *text = next_text(j->rules);
  int reason = put_together(j, data, text);
  if (reason == SE_REASON_NONE)
    reason = take_text(j, text);
  if (reason == SE_REASON_NONE)
    reason = se_check_size(rule, j->out->changed_len, j->out->text);
  if (reason != SE_REASON_NONE)
    return se_judging_tell(j, "rewrite", reason);
  j->rules->space.rewritten = text->data + text->start;
  reason = se_judge_fields(j, rule);
  j->rules->space.rewritten = NULL;
  return reason;
}
