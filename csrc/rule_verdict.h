/* rule_verdict.h -- the words of the rules: what they are asked about, what they can answer, and
 * why.
 *
 * Shared by all parts that decide (type, declarations, functions), so that each reason has one
 * code and one spelling wherever it is counted, reported or sent. */
#ifndef SE_RULE_VERDICT_H
#define SE_RULE_VERDICT_H

#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "scan.h"

enum {
  SE_VERDICT_ALLOW,
  SE_VERDICT_FLAG,       /* allowed, and marked for the handlers */
  SE_VERDICT_REWRITE,    /* allowed with other data */
  SE_VERDICT_QUARANTINE, /* kept aside for a person to look at */
  SE_VERDICT_DROP
};
const char *se_verdict_name(int verdict); /* "allow" "flag" "rewrite" "quarantine" "drop" */

/* Why an event was not simply allowed. */
enum {
  SE_REASON_NONE,
  SE_REASON_UNDECLARED_TYPE, /* no rule names it, and the default is to drop */
  SE_REASON_REFUSED,         /* refuse NAME */
  SE_REASON_HONEYPOT,
  SE_REASON_MARKED,          /* its sender fell into a honeypot before */
  SE_REASON_MALFORMED,       /* the text is no event */
  SE_REASON_TOO_LARGE,
  SE_REASON_RESERVED_TYPE,   /* a name only the client itself may use */
  SE_REASON_TRUST,
  SE_REASON_FROM,
  SE_REASON_RATE,
  SE_REASON_FIELD_MISSING,
  SE_REASON_FIELD_TYPE,
  SE_REASON_FIELD_RANGE,
  SE_REASON_FIELD_LENGTH,
  SE_REASON_FIELD_VALUE,
  SE_REASON_EXTRA_FIELD,
  SE_REASON_CHECK,           /* the rule's own function said so */
  SE_REASON_CHECK_ERROR,     /* ... or raised */
  SE_REASON_BAD_VERDICT,     /* ... or gave something that is no verdict */
  SE_REASON_BUDGET_INSTRUCTIONS,
  SE_REASON_BUDGET_TIME,
  SE_REASON_BUDGET_MEMORY,
  SE_REASON_TRIPPED,         /* a function broke its budgets too often: off until reload */
  SE_REASONS
};
const char *se_reason_code(int reason); /* "undeclared-type", ...; "" for SE_REASON_NONE */

/* Who an event comes from, as the transport shows it. In an event to be judged several bits may be
 * set: what a client sends is "self" to itself and "user" to everyone else. */
enum { SE_TRUST_SERVER = 1, SE_TRUST_SELF = 2, SE_TRUST_USER = 4, SE_TRUST_ANY = 7 };

/* Of an event that came in: one of the three. Only a backend can send what belongs to no channel.
 * 'self' is the id of the user that is connected, or NULL. */
unsigned se_trust_of(const se_envelope *envelope, const char *self, size_t self_len);
const char *se_trust_name(unsigned trust); /* of one of the three: "server" "self" "user" */

enum { SE_DIRECTION_IN, SE_DIRECTION_OUT };

/* An event as it is judged. Owns nothing. */
typedef struct {
  const char *text;             /* the JSON object */
  size_t len;
  const se_envelope *envelope;  /* of its scan */
  unsigned trust;               /* SE_TRUST_* */
  int direction;                /* SE_DIRECTION_* */
  double now;                   /* seconds since 1970: received, or about to be sent */
  se_slice sender;              /* user id; absent for what only a server can have sent */
  se_slice role;                /* of the sender; absent: the "role" in envelope->user, which is
                                   looked for only where a rule asks for it */
  se_slice cid, channel_type;   /* absent: a user event */
} se_rule_event;

/* An event that came in, with all that its envelope says. */
void se_rule_event_init(se_rule_event *event, const char *text, size_t len,
                        const se_envelope *envelope, const char *self, size_t self_len,
                        double received_at);

#define SE_RULE_TEXT 240 /* bytes of a decision's text for people, with its zero */

/* What a function of a rule answered. */
typedef struct {
  int verdict, reason;
  char text[SE_RULE_TEXT];     /* UTF-8, cut at a character; may be empty */
  se_buffer data;              /* SE_VERDICT_REWRITE: the new data, a JSON object; freed by whoever
                                  called, any number of times */
  uint64_t instructions;
  double seconds;
  size_t bytes;                /* memory taken at most beyond what was in use before */
} se_rule_answer;

#endif
