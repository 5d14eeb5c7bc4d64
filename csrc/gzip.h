/* gzip.h -- whole texts in the form of RFC 1952, made and undone in one go.
 *
 * What comes out is bounded by the limit of the buffer that takes it, so a few bytes that would
 * unfold to gigabytes show up as SE_ERR_FULL and not as memory. */
#ifndef SE_GZIP_H
#define SE_GZIP_H

#include "buffer.h"

/* Appends the compressed form of 'data'. SE_OK, SE_ERR_FULL or SE_ERR_MEMORY; after a failure the
 * buffer holds a part of it. */
int se_gzip(const char *data, size_t len, se_buffer *out);

/* Appends what 'data' was before: exactly one member, its check sum right, with nothing behind it.
 * As se_gzip, and SE_ERR_PROTOCOL for everything else. */
int se_gunzip(const char *data, size_t len, se_buffer *out);

#endif
