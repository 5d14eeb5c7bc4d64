/* rule_verdict.c -- the words of the rules, as they are counted, reported and sent. */
#include "rule_verdict.h"

#include <string.h>

static const char *const verdicts[] = {
    [SE_VERDICT_ALLOW] = "allow",           [SE_VERDICT_FLAG] = "flag",
    [SE_VERDICT_REWRITE] = "rewrite",       [SE_VERDICT_QUARANTINE] = "quarantine",
    [SE_VERDICT_DROP] = "drop",
};

static const char *const reasons[SE_REASONS] = {
    [SE_REASON_NONE] = "",
    [SE_REASON_UNDECLARED_TYPE] = "undeclared-type",
    [SE_REASON_REFUSED] = "refused",
    [SE_REASON_HONEYPOT] = "honeypot",
    [SE_REASON_MARKED] = "marked",
    [SE_REASON_MALFORMED] = "malformed",
    [SE_REASON_TOO_LARGE] = "too-large",
    [SE_REASON_RESERVED_TYPE] = "reserved-type",
    [SE_REASON_TRUST] = "trust",
    [SE_REASON_FROM] = "from",
    [SE_REASON_RATE] = "rate",
    [SE_REASON_FIELD_MISSING] = "field-missing",
    [SE_REASON_FIELD_TYPE] = "field-type",
    [SE_REASON_FIELD_RANGE] = "field-range",
    [SE_REASON_FIELD_LENGTH] = "field-length",
    [SE_REASON_FIELD_VALUE] = "field-value",
    [SE_REASON_EXTRA_FIELD] = "extra-field",
    [SE_REASON_CHECK] = "check",
    [SE_REASON_CHECK_ERROR] = "check-error",
    [SE_REASON_BAD_VERDICT] = "bad-verdict",
    [SE_REASON_BUDGET_INSTRUCTIONS] = "budget-instructions",
    [SE_REASON_BUDGET_TIME] = "budget-time",
    [SE_REASON_BUDGET_MEMORY] = "budget-memory",
    [SE_REASON_TRIPPED] = "tripped",
};

const char *se_verdict_name(int verdict) {
  return verdicts[verdict];
}

const char *se_reason_code(int reason) {
  return reasons[reason];
}

unsigned se_trust_of(const se_envelope *envelope, const char *self, size_t self_len) {
  const se_slice sender = envelope->user_id;
  if (envelope->cid.at == NULL)
    return SE_TRUST_SERVER;
  if (self != NULL && sender.at != NULL && sender.len == self_len &&
      memcmp(sender.at, self, self_len) == 0)
    return SE_TRUST_SELF;
  return SE_TRUST_USER;
}

const char *se_trust_name(unsigned trust) {
  return trust == SE_TRUST_SERVER ? "server" : trust == SE_TRUST_SELF ? "self" : "user";
}

void se_rule_event_init(se_rule_event *event, const char *text, size_t len,
                        const se_envelope *envelope, const char *self, size_t self_len,
                        double received_at) {
  memset(event, 0, sizeof *event);
  event->text = text;
  event->len = len;
  event->envelope = envelope;
  event->trust = se_trust_of(envelope, self, self_len);
  event->direction = SE_DIRECTION_IN;
  event->now = received_at;
  if (envelope->cid.at != NULL) /* else that is whom a server sent it to */
    event->sender = envelope->user_id;
  event->cid = envelope->cid;
  event->channel_type = envelope->channel_type;
  if (event->channel_type.at == NULL && event->cid.at != NULL) {
    /* A cid of two halves names the type, whether or not the service repeats it. */
    const char *colon = memchr(event->cid.at, ':', event->cid.len);
    if (colon != NULL) {
      event->channel_type.at = event->cid.at;
      event->channel_type.len = (size_t)(colon - event->cid.at);
    }
  }
}
