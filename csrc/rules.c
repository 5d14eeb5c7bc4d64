/* rules.c -- the rules of one receiver: which rule speaks, what it says, and what was decided how
 * often.
 *
 * The steps go from cheap to dear, and from what no sender can help to what it wrote: type, trust,
 * marks, sender, size, fields, rates, functions. Rates come after the fields, so that what is
 * dropped anyway uses up nobody's tokens. */
#include "rules.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rule_text.h"
#include "rules_parts.h"
#include "status.h"
#include "type_class.h"

#define DEFAULT_BREACHES 5
#define FORGIVEN_AFTER 3600 /* seconds without another one, and broken budgets are forgotten */

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
  se_rule_breaches *breaches = NULL;
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
  return rule->set == rules->set && rules->breaches[rule->index].count >= rules->breaches_allowed;
}

static void set_route(se_rule_route *out, int route, int reason, const se_rule *rule, int audit) {
  out->route = route;
  out->reason = reason;
  out->rule = rule;
  out->audit = route != SE_RULE_PASS && route != SE_RULE_ASK && audit;
}

static void route_by_rule(const se_rules *rules, const se_rule *rule, se_rule_route *out) {
  if (rule->kind == SE_RULE_REFUSED)
    set_route(out, SE_RULE_REFUSE, SE_REASON_REFUSED, rule, rule->is_audit);
  else if (rule->kind == SE_RULE_HONEYPOT)
    set_route(out, SE_RULE_TRAP, SE_REASON_HONEYPOT, rule, rule->is_audit);
  else if (se_rules_is_tripped(rules, rule))
    set_route(out, SE_RULE_REFUSE, SE_REASON_TRIPPED, rule, rule->is_audit);
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

static void say_type(const se_judging *j, int reason) {
  switch (reason) {
  case SE_REASON_UNDECLARED_TYPE:
    se_judging_say(j, "no rule declares this type");
    break;
  case SE_REASON_REFUSED:
    se_judging_say(j, "the rules refuse this type");
    break;
  case SE_REASON_HONEYPOT:
    se_judging_say(j, "this type is a trap: nobody has reason to send it");
    break;
  case SE_REASON_TRIPPED:
    se_judging_say(j, "the rule is off, because its functions broke their budgets too often");
    break;
  default:
    se_judging_say(j, "only the client itself makes events of this type");
  }
}

/* Who sends what only an attacker would is known from then on; not so who only tried the receiver's
 * own rules, or whom a server speaks for. */
static void mark_sender(const se_judging *j, const se_rule *trap, int audit) {
  const se_rule_event *event = j->event;
  if (audit || event->direction != SE_DIRECTION_IN || (event->trust & SE_TRUST_USER) == 0 ||
      event->sender.at == NULL)
    return;
  se_rule_memory_mark(j->rules->memory, event->sender.at, event->sender.len, trap->mark.at,
                      trap->mark.len, trap->seconds, event->now);
}

static int judge_type(const se_judging *j, const se_rule_route *route) {
  if (route->reason != SE_REASON_NONE)
    say_type(j, route->reason);
  if (route->route == SE_RULE_TRAP)
    mark_sender(j, route->rule, route->audit);
  if (route->reason != SE_REASON_NONE || j->step == NULL)
    return se_judging_tell(j, "type", route->reason);
  char text[SE_RULE_TEXT];
  se_words words = se_words_in(text);
  se_words_add(&words, route->rule == NULL ? "no rule speaks about it" : "rule ");
  if (route->rule != NULL)
    se_words_add_part(&words, route->rule->name.at, route->rule->name.len);
  j->step(j->user, "type", SE_REASON_NONE, text);
  return SE_REASON_NONE;
}

static int judge_marks(const se_judging *j) {
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
    se_judging_say(j, "the sender fell into a trap before");
  return se_judging_tell(j, "marked", reason);
}

/* The key of the bucket for one rate, in 'out', which has room for SE_MEMORY_KEY bytes and one. A
 * key that is too long finds no bucket. */
static size_t bucket_key(const se_judging *j, const se_rule_rate *rate, char *out) {
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

static int refuse_rate(const se_judging *j, const se_rule_rate *rate) {
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

static int judge_rates(const se_judging *j, const se_rule *rule) {
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
  return se_judging_tell(
      j, "rate", refused < 0 ? SE_REASON_NONE : refuse_rate(j, &rule->rates[refused]));
}

/* --- decisions -------------------------------------------------------------------------------- */

static int judge_rule(const se_judging *j, const se_rule *rule) {
  int reason = se_judging_tell(j, "trust", se_check_trust(rule, j->event, j->out->text));
  if (reason == SE_REASON_NONE)
    reason = judge_marks(j);
  if (reason == SE_REASON_NONE && rule->has_from)
    reason = se_judging_tell(
        j, "from", se_check_from(&j->rules->space, rule, j->event, j->out->text));
  if (reason == SE_REASON_NONE && rule->size != SIZE_MAX)
    reason = se_judging_tell(j, "size", se_check_size(rule, j->event->len, j->out->text));
  if (reason == SE_REASON_NONE)
    reason = se_judge_fields(j, rule);
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
  if (rule != NULL)
    return rule->is_audit;
  return rules->set != NULL && rules->set->is_audit;
}

int se_rules_judge(se_rules *rules, const se_rule_event *event, se_decision *out,
                   se_rules_step step, void *user) {
  const se_judging j = {rules, event, out, step, user};
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

/* A rule whose functions break their budgets again and again is more likely wrong than unlucky; one
 * that does so now and then may run on a machine that stands still now and then. */
static void note_breach(se_rules *rules, const se_rule *rule, double now, se_decision *out) {
  if (rule->set != rules->set || se_rules_is_tripped(rules, rule))
    return;
  se_rule_breaches *breaches = &rules->breaches[rule->index];
  if (now - breaches->last > FORGIVEN_AFTER)
    breaches->count = 0;
  breaches->last = now;
  if (++breaches->count == rules->breaches_allowed) {
    out->has_tripped = 1;
    rules->generation++;
  }
}

int se_rules_answer(se_rules *rules, const se_rule_event *event, int which,
                    const se_rule_answer *answer, se_decision *out, se_rules_step step,
                    void *user) {
  const se_judging j = {rules, event, out, step, user};
  out->instructions += answer->instructions;
  out->seconds += answer->seconds;
  if (answer->bytes > out->bytes)
    out->bytes = answer->bytes;
  if (answer->verdict != SE_VERDICT_ALLOW) {
    if (answer->text[0] != '\0' || answer->verdict != SE_VERDICT_REWRITE)
      se_judging_say(&j, answer->text);
    out->verdict = answer->verdict;
    out->reason = answer->reason;
  }
  if (step != NULL)
    step(user, which == SE_RULE_CHECK ? "check" : "rewrite",
         answer->verdict == SE_VERDICT_ALLOW ? SE_REASON_NONE : answer->reason, answer->text);
  if (answer->reason == SE_REASON_BUDGET_INSTRUCTIONS ||
      answer->reason == SE_REASON_BUDGET_TIME || answer->reason == SE_REASON_BUDGET_MEMORY)
    note_breach(rules, out->rule, event->now, out);
  if (answer->verdict == SE_VERDICT_REWRITE)
    se_judge_rewrite(&j, out->rule, &answer->data);
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
