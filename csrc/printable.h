/* printable.h -- text of unknown origin made fit for logs, terminals and people. */
#ifndef SE_PRINTABLE_H
#define SE_PRINTABLE_H

#include <stddef.h>

/* Copies a text as UTF-8 without control characters, cut at a character where it does not fit into
 * 'size' bytes (at least 1) with its zero. Returns its length. */
size_t se_printable(const char *text, size_t len, char *out, size_t size);

#endif
