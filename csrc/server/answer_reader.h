/* answer_reader.h -- reads HTTP/1 answers out of a stream of bytes, one after another, through
 * http-parser. Of an answer it keeps what a sender of webhooks wants to know; the body is counted and
 * forgotten. */
#ifndef SE_ANSWER_READER_H
#define SE_ANSWER_READER_H

#include <stddef.h>

#define SE_ANSWER_VALUE 64 /* bytes of a header's value that are kept; a longer one is none */

typedef struct {
  int status;     /* never 1xx, but 101 */
  int keep_alive; /* the server lets the connection be used again */
  char retry_after[SE_ANSWER_VALUE], date[SE_ANSWER_VALUE]; /* of what is no 2xx; "": there is none */
  int failure; /* SE_ANSWER_BROKEN: SE_ERR_PROTOCOL, SE_ERR_NETWORK (it ends too early), SE_ERR_FULL */
  const char *reason; /* and why: constant text */
} se_answer;

typedef struct se_answer_reader se_answer_reader;

/* NULL: no memory. Bodies may have 'max_body' bytes; a head, or trailers, what http-parser allows; and all
 * that is no body together half a MiB. */
se_answer_reader *se_answer_reader_new(size_t max_body);
void se_answer_reader_free(se_answer_reader *reader); /* accepts NULL */

/* Forgets what was read: the next bytes begin an answer. */
void se_answer_reader_begin(se_answer_reader *reader);

enum {
  SE_ANSWER_MORE,     /* all bytes are taken, the answer is not complete */
  SE_ANSWER_COMPLETE, /* bytes after *taken do not belong to it */
  SE_ANSWER_BROKEN    /* see failure and reason; nothing more can be read from this server */
};
/* With len 0 the stream has ended, which completes some answers. */
int se_answer_reader_read(se_answer_reader *reader, const char *data, size_t len, size_t *taken);
/* Good until the next call. */
const se_answer *se_answer_reader_answer(const se_answer_reader *reader);

#endif
