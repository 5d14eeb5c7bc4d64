/* rule_value.c -- compares single values with what a rule declares, and finds the words for what
 * is wrong with them.
 *
 * Read with the tokenizer and the number reader that the decoder uses, so that what is found here
 * is what a handler will see. All of it is linear in the length of the text, times what the rule
 * lists. */
#include "rule_value.h"

#include <stdint.h>
#include <stdlib.h>

#include "glob.h"
#include "number.h"
#include "rule_match.h"
#include "rule_text.h"

/* --- words ------------------------------------------------------------------------------------ */

static void add_path(se_words *words, const se_path *at) {
  if (at->outer != NULL) {
    add_path(words, at->outer);
    if (at->index == 0)
      se_words_add(words, ".");
  }
  if (at->index > 0) {
    se_words_add(words, "[");
    se_words_add_size(words, at->index);
    se_words_add(words, "]");
  } else {
    se_words_add_part(words, at->name.at, at->name.len);
  }
}

/* "field a.b", to be gone on with. */
static se_words about(const se_check *c, const se_path *at) {
  se_words words = se_words_in(c->text);
  if (at == NULL) {
    se_words_add(&words, "the event");
  } else {
    se_words_add(&words, "field ");
    add_path(&words, at);
  }
  return words;
}

int se_value_refuse(const se_check *c, const se_path *at, int reason, const char *text) {
  se_words words = about(c, at);
  se_words_add(&words, text);
  return reason;
}

int se_value_refuse_length(const se_check *c, const se_path *at, size_t bound, const char *before,
                         const char *unit) {
  se_words words = about(c, at);
  se_words_add(&words, before);
  se_words_add_size(&words, bound);
  se_words_add(&words, unit);
  if (bound != 1)
    se_words_add(&words, "s");
  return SE_REASON_FIELD_LENGTH;
}

static int refuse_number(const se_check *c, const se_path *at, const se_rule_number *bound,
                         const char *before) {
  se_words words = about(c, at);
  se_words_add(&words, before);
  se_words_add_number(&words, bound);
  return SE_REASON_FIELD_RANGE;
}

int se_value_no_memory(const se_check *c) {
  se_words words = se_words_in(c->text);
  se_words_add(&words, "not enough memory to look at the event");
  return SE_REASON_BUDGET_MEMORY;
}

/* Whether a key may be shown: plain letters, of which there are some. */
static int is_clean(const se_json_token *key) {
  if (key->escaped || key->len == 0)
    return 0;
  for (size_t i = 0; i < key->len && i < 32; i++)
    if (key->at[i] < 0x21 || key->at[i] > 0x7E)
      return 0;
  return 1;
}

int se_value_refuse_extra(const se_check *c, const se_path *outer, const se_json_token *key) {
  se_words words = about(c, outer);
  se_words_add(&words, " has a field that the rule does not name");
  if (is_clean(key)) {
    se_words_add(&words, ": ");
    se_words_add_part(&words, key->at, key->len < 32 ? key->len : 32);
    if (key->len > 32)
      se_words_add(&words, "...");
  }
  return SE_REASON_EXTRA_FIELD;
}

static int refuse_choice(const se_check *c, const se_path *at) {
  return se_value_refuse(c, at, SE_REASON_FIELD_VALUE,
                         " is none of the values that the rule lists");
}

/* --- scalars ---------------------------------------------------------------------------------- */

/* Below 0, 0, or above 0, as exactly as the two are given. */
static int compare(const se_rule_number *a, const se_rule_number *b) {
  if (a->is_integer && b->is_integer)
    return (a->integer > b->integer) - (a->integer < b->integer);
  if (!a->is_integer && !b->is_integer)
    return (a->real > b->real) - (a->real < b->real);
  if (!a->is_integer)
    return -compare(b, a);
  if (b->real >= 9223372036854775808.0)
    return -1;
  if (b->real < -9223372036854775808.0)
    return 1;
  int64_t whole = (int64_t)b->real;
  double rest = b->real - (double)whole;
  if (a->integer != whole)
    return a->integer < whole ? -1 : 1;
  return (rest < 0) - (rest > 0);
}

se_rule_number se_value_number(const se_json_token *token) {
  se_rule_number number = {0, 0, 0};
  number.is_integer = se_number_parse(token->at, token->len, &number.integer, &number.real) ==
                      SE_NUMBER_INTEGER;
  return number;
}

static int compare_any(const void *a, const void *b) {
  return compare(a, b);
}

void se_rule_numbers_sort(se_rule_number *numbers, size_t count) {
  if (count > 1)
    qsort(numbers, count, sizeof *numbers, compare_any);
}

/* By halves: an event may hold as many numbers as it has room for, each of them to be looked for. */
static int chooses_number(const se_rule_choice *choice, const se_rule_number *number) {
  size_t low = 0, high = choice->number_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = compare(&choice->numbers[middle], number);
    if (order == 0)
      return 1;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return 0;
}

int se_value_plain(const se_check *c, const se_json_token *token, se_slice *out) {
  out->at = token->at;
  out->len = token->len;
  if (!token->escaped)
    return 1;
  se_buffer *plain = &c->space->plain;
  se_buffer_consume(plain, se_buffer_length(plain), SIZE_MAX);
  char *bytes = se_buffer_reserve(plain, token->len);
  if (bytes == NULL)
    return 0;
  out->len = se_json_unescape(token, bytes);
  out->at = bytes;
  return 1;
}

/* Long texts, many of them and long lists multiply. So what is compared in one event is bounded, in
 * units of about a nanosecond, far beyond what any honest event takes. */
#define MATCH_WORK 33554432

static int fits_glob(se_check_space *space, const se_slice *text, const se_slice *pattern) {
  size_t steps = SE_GLOB_STEPS;
  int fits = se_glob(pattern->at, pattern->len, text->at, text->len, &steps);
  space->work += SE_GLOB_STEPS - steps;
  return fits == 1;
}

static int fits_one(se_check_space *space, int way, const se_slice *text,
                    const se_slice *pattern) {
  space->work += 4;
  switch (way) {
  case SE_MATCH_STARTS:
    return se_match_starts(text->at, text->len, pattern->at, pattern->len);
  case SE_MATCH_ENDS:
    return se_match_ends(text->at, text->len, pattern->at, pattern->len);
  case SE_MATCH_CONTAINS:
    space->work += text->len;
    return se_match_find(text->at, text->len, pattern->at, pattern->len) != NULL;
  default:
    return fits_glob(space, text, pattern);
  }
}

static int check_matches(const se_check *c, const se_rule_field *field, const se_path *at,
                         const se_slice *text) {
  static const char *const words[SE_MATCHES] = {
      [SE_MATCH_STARTS] = " does not begin with what the rule asks for",
      [SE_MATCH_ENDS] = " does not end with what the rule asks for",
      [SE_MATCH_CONTAINS] = " does not contain what the rule asks for",
      [SE_MATCH_GLOB] = " does not fit what the rule asks for"};
  for (int way = 0; way < SE_MATCHES; way++) {
    const se_rule_names *list = &field->matches[way];
    size_t i = 0;
    for (; i < list->count; i++) {
      if (c->space->work > MATCH_WORK)
        return se_value_refuse(c, at, SE_REASON_FIELD_VALUE,
                               " takes too long to compare with what the rule lists");
      if (fits_one(c->space, way, text, &list->at[i]))
        break;
    }
    if (list->count > 0 && i == list->count)
      return se_value_refuse(c, at, SE_REASON_FIELD_VALUE, words[way]);
  }
  return SE_REASON_NONE;
}

static int check_string(const se_check *c, const se_rule_field *field, const se_path *at,
                        const se_json_token *token) {
  se_slice text;
  if (!se_value_plain(c, token, &text))
    return se_value_no_memory(c);
  /* No text has more characters than bytes, and few are anywhere near the limit. */
  if (field->has_min || (field->has_max && text.len > field->most)) {
    size_t length = se_match_length(text.at, text.len);
    if (field->has_min && length < field->least)
      return se_value_refuse_length(c, at, field->least, " must have at least ", " character");
    if (field->has_max && length > field->most)
      return se_value_refuse_length(c, at, field->most, " must have at most ", " character");
  }
  if (field->one_of.is_given && se_rule_names_find(&field->one_of.strings, text.at, text.len) < 0)
    return refuse_choice(c, at);
  return field->has_matches ? check_matches(c, field, at, &text) : SE_REASON_NONE;
}

static int check_number(const se_check *c, const se_rule_field *field, const se_path *at,
                        const se_json_token *token) {
  se_rule_number number = se_value_number(token);
  if (field->kind == SE_FIELD_INTEGER && !number.is_integer)
    return se_value_refuse(c, at, SE_REASON_FIELD_TYPE, " must be an integer");
  if (field->has_min && compare(&number, &field->min) < 0)
    return refuse_number(c, at, &field->min, " must be at least ");
  if (field->has_max && compare(&number, &field->max) > 0)
    return refuse_number(c, at, &field->max, " must be at most ");
  if (field->one_of.is_given && !chooses_number(&field->one_of, &number))
    return refuse_choice(c, at);
  return SE_REASON_NONE;
}

static int check_choice(const se_check *c, const se_rule_field *field, const se_path *at, int kind,
                        const se_json_token *token) {
  const se_rule_choice *choice = &field->one_of;
  se_rule_number number;
  se_slice text;
  int fits = 0;
  if (kind == SE_JSON_STRING) {
    if (!se_value_plain(c, token, &text))
      return se_value_no_memory(c);
    fits = se_rule_names_find(&choice->strings, text.at, text.len) >= 0;
  } else if (kind == SE_JSON_NUMBER) {
    number = se_value_number(token);
    fits = chooses_number(choice, &number);
  } else if (kind == SE_JSON_TRUE || kind == SE_JSON_FALSE) {
    fits = kind == SE_JSON_TRUE ? choice->has_true : choice->has_false;
  }
  return fits ? SE_REASON_NONE : refuse_choice(c, at);
}

int se_value_check_scalar(const se_check *c, const se_rule_field *field, const se_path *at,
                          int kind, const se_json_token *token) {
  static const char *const words[] = {
      [SE_FIELD_STRING] = " must be a string",   [SE_FIELD_INTEGER] = " must be an integer",
      [SE_FIELD_NUMBER] = " must be a number",   [SE_FIELD_BOOLEAN] = " must be true or false",
      [SE_FIELD_ARRAY] = " must be an array",    [SE_FIELD_OBJECT] = " must be an object",
      [SE_FIELD_ONE_OF] = " cannot be a table",  [SE_FIELD_ANY] = ""};
  switch (field->kind) {
  case SE_FIELD_STRING:
    if (kind == SE_JSON_STRING)
      return check_string(c, field, at, token);
    break;
  case SE_FIELD_INTEGER:
  case SE_FIELD_NUMBER:
    if (kind == SE_JSON_NUMBER)
      return check_number(c, field, at, token);
    break;
  case SE_FIELD_BOOLEAN:
    if (kind == SE_JSON_TRUE || kind == SE_JSON_FALSE)
      return SE_REASON_NONE;
    break;
  case SE_FIELD_ONE_OF:
    return check_choice(c, field, at, kind, token);
  case SE_FIELD_ANY:
    return SE_REASON_NONE;
  default:
    break;
  }
  return se_value_refuse(c, at, SE_REASON_FIELD_TYPE, words[field->kind]);
}
