/* rules.c -- the rules of one receiver: which rule speaks, what it says, and what was decided how
 * often.
 *
 * The steps go from cheap to dear, and from what no sender can help to what it wrote: type, trust,
 * marks, sender, size, fields, rates, functions. Rates come after the fields, so that what is dropped
 * anyway uses up nobody's tokens. */
#include "rules.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "router.h"
#include "rule_check.h"
#include "rule_text.h"
#include "rules_count.h"
#include "status.h"

#define KEEP 16384 /* bytes of texts that are kept for the next event */
#define DEFAULT_BREACHES 5

struct se_rules {
  size_t references;
  se_rule_set *set;
  se_rule_memory *memory;
  int breaches_allowed;
  int *breaches;           /* of each rule of the set */
  uint64_t generation, serial;
  se_check_space space;
  se_rule_counts *counts;
  se_buffer texts[2];      /* of a changed event: the new one, and the one it was made from */
  int current;
  se_envelope *envelope;   /* of the changed event; NULL: there was none so far */
};

/* --- the object ------------------------------------------------------------------------------- */

se_rules *se_rules_new(const se_rules_limits *limits) {
  se_rules *rules = calloc(1, sizeof *rules);
  if (rules == NULL)
    return NULL;
  rules->references = 1;
  rules->generation = 1;
  rules->breaches_allowed = limits->breaches > 0 ? limits->breaches : DEFAULT_BREACHES;
  se_check_space_init(&rules->space);
  se_buffer_init(&rules->texts[0], SIZE_MAX / 2);
  se_buffer_init(&rules->texts[1], SIZE_MAX / 2);
  rules->memory = se_rule_memory_new(limits->buckets, limits->marks, limits->counts);
  rules->counts = se_rule_counts_new();
  if (rules->memory == NULL || rules->counts == NULL) {
    se_rules_free(rules);
    return NULL;
  }
  return rules;
}

void se_rules_keep(se_rules *rules) {
  rules->references++;
}

void se_rules_free(se_rules *rules) {
  if (rules == NULL || --rules->references > 0)
    return;
  se_rule_set_drop(rules->set);
  se_rule_memory_free(rules->memory);
  se_rule_counts_free(rules->counts);
  se_check_space_free(&rules->space);
  se_buffer_free(&rules->texts[0]);
  se_buffer_free(&rules->texts[1]);
  free(rules->envelope);
  free(rules->breaches);
  free(rules);
}

int se_rules_use(se_rules *rules, se_rule_set *set) {
  int *breaches = NULL;
  if (set != NULL) {
    breaches = calloc(set->count + 1, sizeof *breaches);
    if (breaches == NULL)
      return SE_ERR_MEMORY;
    se_rule_set_keep(set);
  }
  se_rule_set_drop(rules->set);
  free(rules->breaches);
  rules->set = set;
  rules->breaches = breaches;
  rules->generation++;
  rules->serial++;
  return SE_OK;
}

const se_rule_set *se_rules_set(const se_rules *rules) {
  return rules->set;
}

se_rule_memory *se_rules_memory(se_rules *rules) {
  return rules->memory;
}

uint64_t se_rules_generation(const se_rules *rules) {
  return rules->generation;
}

uint64_t se_rules_serial(const se_rules *rules) {
  return rules->serial;
}

void se_rules_count(se_rules *rules, const char *type, size_t len, int verdict, int reason) {
  ++*se_rules_counter(rules, type, len, verdict, reason);
}

uint64_t *se_rules_counter(se_rules *rules, const char *type, size_t len, int verdict,
                           int reason) {
  return se_rule_counts_of(rules->counts, se_rule_counts_type(rules->counts, type, len), verdict,
                           reason);
}

void se_rules_each(const se_rules *rules,
                   void (*each)(void *user, const char *type, size_t len, const char *verdict,
                                const char *reason, uint64_t count),
                   void *user) {
  se_rule_counts_each(rules->counts, each, user);
}

/* --- the type --------------------------------------------------------------------------------- */

int se_rules_is_tripped(const se_rules *rules, const se_rule *rule) {
  return rule->set == rules->set && rules->breaches[rule->index] >= rules->breaches_allowed;
}

static void set_route(se_rule_route *out, int route, int reason, const se_rule *rule, int audit) {
  out->route = route;
  out->reason = reason;
  out->rule = rule;
  out->audit = route != SE_RULE_PASS && route != SE_RULE_ASK && audit;
}

static void route_by_rule(const se_rules *rules, const se_rule *rule, se_rule_route *out) {
  int audit = rules->set->is_audit;
  if (rule->kind == SE_RULE_REFUSED)
    set_route(out, SE_RULE_REFUSE, SE_REASON_REFUSED, rule, audit);
  else if (rule->kind == SE_RULE_HONEYPOT)
    set_route(out, SE_RULE_TRAP, SE_REASON_HONEYPOT, rule, audit);
  else if (se_rules_is_tripped(rules, rule))
    set_route(out, SE_RULE_REFUSE, SE_REASON_TRIPPED, rule, audit || rule->is_audit);
  else
    set_route(out, SE_RULE_ASK, SE_REASON_NONE, rule, 0);
}

void se_rules_route(const se_rules *rules, const char *type, size_t len, se_rule_route *out) {
  static const char from_server[] = "connection.error";
  set_route(out, SE_RULE_PASS, SE_REASON_NONE, NULL, 0);
  if (rules->set == NULL)
    return;
  const se_rule *rule = se_rule_set_find(rules->set, type, len);
  if (rule != NULL) {
    route_by_rule(rules, rule, out);
    return;
  }
  int class = se_type_class(type, len);
  if (class == SE_TYPE_CUSTOM && !rules->set->is_allowed)
    set_route(out, SE_RULE_REFUSE, SE_REASON_UNDECLARED_TYPE, NULL, rules->set->is_audit);
  else if (class == SE_TYPE_LOCAL &&
           !(len == sizeof from_server - 1 && memcmp(type, from_server, len) == 0))
    set_route(out, SE_RULE_REFUSE, SE_REASON_RESERVED_TYPE, NULL, 0);
}

/* The same, remembered beside the counters of the type. */
static const se_rule_route *route_of(se_rules *rules, se_rule_type *type, const se_slice *name,
                                     se_rule_route *space) {
  se_rule_route *route = type == NULL ? space : &type->route;
  if (type == NULL || type->generation != rules->generation) {
    se_rules_route(rules, name->at, name->len, route);
    if (type != NULL)
      type->generation = rules->generation;
  }
  return route;
}

/* --- the steps -------------------------------------------------------------------------------- */

/* A decision while it is made. */
typedef struct {
  se_rules *rules;
  const se_rule_event *event;
  se_decision *out;
  se_rules_step step;
  void *user;
} judging;

static int tell(const judging *j, const char *step, int reason) {
  if (j->step != NULL)
    j->step(j->user, step, reason, reason == SE_REASON_NONE ? "" : j->out->text);
  if (reason != SE_REASON_NONE) {
    j->out->verdict = SE_VERDICT_DROP;
    j->out->reason = reason;
  }
  return reason;
}

static void say(const judging *j, const char *text) {
  se_words words = se_words_in(j->out->text);
  se_words_add(&words, text);
}

static void say_type(const judging *j, int reason) {
  switch (reason) {
  case SE_REASON_UNDECLARED_TYPE:
    say(j, "no rule declares this type");
    break;
  case SE_REASON_REFUSED:
    say(j, "the rules refuse this type");
    break;
  case SE_REASON_HONEYPOT:
    say(j, "this type is a trap: nobody has reason to send it");
    break;
  case SE_REASON_TRIPPED:
    say(j, "the rule is off, because its functions broke their budgets too often");
    break;
  default:
    say(j, "only the client itself makes events of this type");
  }
}

/* Who sends what only an attacker would is known from then on; not so who only tried the receiver's
 * own rules, or whom a server speaks for. */
static void mark_sender(const judging *j, const se_rule *trap, int audit) {
  const se_rule_event *event = j->event;
  if (audit || event->direction != SE_DIRECTION_IN || (event->trust & SE_TRUST_USER) == 0 ||
      event->sender.at == NULL)
    return;
  se_rule_memory_mark(j->rules->memory, event->sender.at, event->sender.len, trap->mark.at,
                      trap->mark.len, trap->seconds, event->now);
}

static int judge_type(const judging *j, const se_rule_route *route) {
  if (route->reason != SE_REASON_NONE)
    say_type(j, route->reason);
  if (route->route == SE_RULE_TRAP)
    mark_sender(j, route->rule, route->audit);
  return tell(j, "type", route->reason);
}

static int judge_marks(const judging *j) {
  const se_rule_set *set = j->rules->set;
  const se_rule_event *event = j->event;
  int reason = SE_REASON_NONE;
  if (set->marks.count == 0 || event->sender.at == NULL)
    return SE_REASON_NONE;
  for (size_t i = 0; i < set->marks.count && reason == SE_REASON_NONE; i++)
    if (se_rule_memory_marked(j->rules->memory, event->sender.at, event->sender.len,
                              set->marks.at[i].at, set->marks.at[i].len, event->now))
      reason = SE_REASON_MARKED;
  if (reason != SE_REASON_NONE)
    say(j, "the sender fell into a trap before");
  return tell(j, "marked", reason);
}

/* The key of the bucket for one rate, in 'out', which has room for SE_MEMORY_KEY bytes and one. A key
 * that is too long finds no bucket. */
static size_t bucket_key(const judging *j, const se_rule_rate *rate, char *out) {
  const se_rule_event *event = j->event;
  se_slice who = {NULL, 0};
  if (rate->per == SE_PER_SENDER)
    who = event->sender;
  else if (rate->per == SE_PER_CHANNEL)
    who = event->cid;
  size_t len = rate->key.len;
  memcpy(out, rate->key.at, len);
  out[len++] = (char)('0' + event->direction * 2 + (who.at != NULL));
  if (who.len > SE_MEMORY_KEY - len)
    return SE_MEMORY_KEY + 1;
  if (who.len > 0)
    memcpy(out + len, who.at, who.len);
  return len + who.len;
}

static int refuse_rate(const judging *j, const se_rule_rate *rate) {
  static const char *const per[] = {[SE_PER_SENDER] = " seconds from one sender",
                                    [SE_PER_CHANNEL] = " seconds in one channel",
                                    [SE_PER_ALL] = " seconds from all together"};
  se_words words = se_words_in(j->out->text);
  se_rule_number count = {rate->count < 1e15, 0, rate->count}, seconds = {0, 0, rate->seconds};
  if (count.is_integer)
    count.integer = (int64_t)rate->count;
  if (rate->seconds < 1e15 && (double)(int64_t)rate->seconds == rate->seconds) {
    seconds.is_integer = 1;
    seconds.integer = (int64_t)rate->seconds;
  }
  se_words_add(&words, "more than ");
  se_words_add_number(&words, &count);
  se_words_add(&words, " in ");
  se_words_add_number(&words, &seconds);
  se_words_add(&words, per[rate->per]);
  return SE_REASON_RATE;
}

static int judge_rates(const judging *j, const se_rule *rule) {
  char keys[SE_RULE_RATES][SE_MEMORY_KEY + 1];
  se_bucket buckets[SE_RULE_RATES];
  int count = (int)rule->rate_count, refused;
  if (count == 0)
    return SE_REASON_NONE;
  for (int i = 0; i < count; i++) {
    buckets[i].key = keys[i];
    buckets[i].key_len = bucket_key(j, &rule->rates[i], keys[i]);
    buckets[i].count = rule->rates[i].count;
    buckets[i].seconds = rule->rates[i].seconds;
  }
  refused = se_rule_memory_take(j->rules->memory, buckets, count, j->event->now);
  return tell(j, "rate", refused < 0 ? SE_REASON_NONE : refuse_rate(j, &rule->rates[refused]));
}

/* --- changed events --------------------------------------------------------------------------- */

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

static int no_memory(const judging *j) {
  say(j, "not enough memory to change the event");
  return SE_REASON_BUDGET_MEMORY;
}

/* The text in the buffer is what is delivered from now on. */
static int take_text(const judging *j, const se_buffer *text) {
  se_rules *rules = j->rules;
  const char *bytes = se_buffer_bytes(text);
  size_t len = se_buffer_length(text);
  if (rules->envelope == NULL && (rules->envelope = malloc(sizeof *rules->envelope)) == NULL)
    return no_memory(j);
  if (se_scan(bytes, len, 0, NULL, NULL, rules->envelope) != SE_SCAN_EVENT) {
    say(j, "the changed event is none: ");
    se_words words = {j->out->text, strlen(j->out->text)};
    se_words_add(&words, rules->envelope->reason);
    return SE_REASON_BAD_VERDICT;
  }
  j->out->changed = bytes;
  j->out->changed_len = len;
  j->out->changed_envelope = rules->envelope;
  return SE_REASON_NONE;
}

static int judge_fields(const judging *j, const se_rule *rule) {
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
  return tell(j, "fields", reason);
}

/* Whether the data of a rewrite leaves the envelope alone. */
static int is_data(const judging *j, const se_json_token *key) {
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
static int append_data(const judging *j, const se_buffer *data, se_buffer *out, int *first) {
  se_json json;
  se_json_token key, value;
  int kind;
  se_json_init(&json, se_buffer_bytes(data), se_buffer_length(data));
  if (se_json_value(&json, &value) != SE_JSON_OBJECT) {
    say(j, "a rewrite must give a table of fields");
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
    say(j, "the data of a rewrite cannot be read");
    return SE_REASON_BAD_VERDICT;
  }
  return SE_REASON_NONE;
}

static int put_together(const judging *j, const se_buffer *data, se_buffer *out) {
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

/* The new data in the place of the old: within the declarations, like any other. */
static int rewrite(const judging *j, const se_rule *rule, const se_buffer *data) {
  se_buffer *text = next_text(j->rules);
  int reason = put_together(j, data, text);
  if (reason == SE_REASON_NONE)
    reason = take_text(j, text);
  if (reason == SE_REASON_NONE)
    reason = se_check_size(rule, j->out->changed_len, j->out->text);
  if (reason != SE_REASON_NONE)
    return tell(j, "rewrite", reason);
  return judge_fields(j, rule);
}

/* --- decisions -------------------------------------------------------------------------------- */

static int judge_rule(const judging *j, const se_rule *rule) {
  int reason = tell(j, "trust", se_check_trust(rule, j->event, j->out->text));
  if (reason == SE_REASON_NONE)
    reason = judge_marks(j);
  if (reason == SE_REASON_NONE && rule->has_from)
    reason = tell(j, "from", se_check_from(&j->rules->space, rule, j->event, j->out->text));
  if (reason == SE_REASON_NONE && rule->size != SIZE_MAX)
    reason = tell(j, "size", se_check_size(rule, j->event->len, j->out->text));
  if (reason == SE_REASON_NONE)
    reason = judge_fields(j, rule);
  if (reason == SE_REASON_NONE)
    reason = judge_rates(j, rule);
  return reason;
}

static void start(se_rules *rules, se_decision *out) {
  memset(out, 0, offsetof(se_decision, text) + 1);
  out->changed = NULL;
  out->changed_len = 0;
  out->changed_envelope = NULL;
  out->instructions = 0;
  out->seconds = 0;
  out->bytes = 0;
  out->has_tripped = 0;
  rules->serial++;
}

static void conclude(se_rules *rules, se_rule_type *type, se_decision *out, int audit) {
  const se_rule *rule = out->rule;
  int verdict;
  if (rule != NULL && out->verdict != SE_VERDICT_DROP && out->verdict != SE_VERDICT_QUARANTINE) {
    const char *text = rule->quarantine != NULL ? rule->quarantine : rule->flag;
    int named = rule->quarantine != NULL ? SE_VERDICT_QUARANTINE : SE_VERDICT_FLAG;
    if (text != NULL && (named == SE_VERDICT_QUARANTINE || out->verdict == SE_VERDICT_ALLOW)) {
      out->verdict = named;
      se_words words = se_words_in(out->text);
      se_words_add(&words, text);
    }
  }
  verdict = out->judged = out->verdict;
  if (audit && verdict != SE_VERDICT_ALLOW) {
    verdict = SE_COUNT_AUDIT;
    out->verdict = SE_VERDICT_ALLOW;
  }
  if (audit || out->verdict == SE_VERDICT_DROP) {
    out->changed = NULL;
    out->changed_len = 0;
    out->changed_envelope = NULL;
  }
  ++*se_rule_counts_of(rules->counts, type, verdict, out->reason);
}

static int is_audit(const se_rules *rules, const se_rule *rule) {
  const se_rule_set *set = rule != NULL ? rule->set : rules->set;
  return (set != NULL && set->is_audit) || (rule != NULL && rule->is_audit);
}

int se_rules_judge(se_rules *rules, const se_rule_event *event, se_decision *out,
                   se_rules_step step, void *user) {
  const judging j = {rules, event, out, step, user};
  const se_slice *name = &event->envelope->type;
  se_rule_type *type = se_rule_counts_type(rules->counts, name->at, name->len);
  se_rule_route space;
  const se_rule_route *route = route_of(rules, type, name, &space);
  const se_rule *rule = route->rule;
  int audit = is_audit(rules, rule), reason;
  start(rules, out);
  out->rule = rule;
  if (route->reason != SE_REASON_NONE)
    audit = route->audit;
  reason = judge_type(&j, route);
  if (reason == SE_REASON_NONE && route->route == SE_RULE_ASK) {
    reason = judge_rule(&j, rule);
    if (reason == SE_REASON_NONE && (rule->functions[0] != 0 || rule->functions[1] != 0))
      return 0;
  } else if (reason == SE_REASON_NONE && rules->set != NULL &&
             se_type_class(name->at, name->len) == SE_TYPE_CUSTOM) {
    judge_marks(&j);
  }
  conclude(rules, type, out, audit);
  return 1;
}

/* A rule whose functions break their budgets again and again is more likely wrong than unlucky. */
static void note_breach(se_rules *rules, const se_rule *rule, se_decision *out) {
  if (rule->set != rules->set || se_rules_is_tripped(rules, rule))
    return;
  if (++rules->breaches[rule->index] == rules->breaches_allowed) {
    out->has_tripped = 1;
    rules->generation++;
  }
}

int se_rules_answer(se_rules *rules, const se_rule_event *event, int which,
                    const se_rule_answer *answer, se_decision *out, se_rules_step step,
                    void *user) {
  const judging j = {rules, event, out, step, user};
  out->instructions += answer->instructions;
  out->seconds += answer->seconds;
  if (answer->bytes > out->bytes)
    out->bytes = answer->bytes;
  if (answer->verdict != SE_VERDICT_ALLOW) {
    if (answer->text[0] != '\0' || answer->verdict != SE_VERDICT_REWRITE)
      say(&j, answer->text);
    out->verdict = answer->verdict;
    out->reason = answer->reason;
  }
  if (step != NULL)
    step(user, which == SE_RULE_CHECK ? "check" : "rewrite",
         answer->verdict == SE_VERDICT_ALLOW ? SE_REASON_NONE : answer->reason, answer->text);
  if (answer->reason == SE_REASON_BUDGET_INSTRUCTIONS ||
      answer->reason == SE_REASON_BUDGET_TIME || answer->reason == SE_REASON_BUDGET_MEMORY)
    note_breach(rules, out->rule, out);
  if (answer->verdict == SE_VERDICT_REWRITE)
    rewrite(&j, out->rule, &answer->data);
  return answer->verdict == SE_VERDICT_ALLOW || answer->verdict == SE_VERDICT_FLAG;
}

void se_rules_detach(se_rules *rules, se_decision *out, se_buffer *text, se_envelope **envelope) {
  *text = rules->texts[rules->current];
  *envelope = rules->envelope;
  se_buffer_init(&rules->texts[rules->current], SIZE_MAX / 2);
  rules->envelope = NULL;
  out->changed = se_buffer_bytes(text);
  out->changed_envelope = *envelope;
}

void se_rules_lose(se_decision *out) {
  se_words words = se_words_in(out->text);
  se_words_add(&words, "the changed event could not be kept");
  out->verdict = SE_VERDICT_DROP;
  out->reason = SE_REASON_BUDGET_MEMORY;
  out->changed = NULL;
  out->changed_len = 0;
  out->changed_envelope = NULL;
}

void se_rules_finish(se_rules *rules, const se_rule_event *event, se_decision *out) {
  const se_slice *name = &event->envelope->type;
  conclude(rules, se_rule_counts_type(rules->counts, name->at, name->len), out,
           is_audit(rules, out->rule));
}
