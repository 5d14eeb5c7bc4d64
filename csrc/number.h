/* number.h -- JSON numbers to and from C, the same in every locale.
 *
 * Integers stay exact through all 64 bits; floats are read correctly rounded and written with the
 * fewest digits that read back as the same float. */
#ifndef SE_NUMBER_H
#define SE_NUMBER_H

#include <stddef.h>
#include <stdint.h>

enum { SE_NUMBER_INTEGER, SE_NUMBER_FLOAT, SE_NUMBER_TOO_LARGE };

/* 'text' must be a number by the grammar of RFC 8259 §6 (json.h has checked it).
 * SE_NUMBER_INTEGER: in *integer, for what has neither fraction nor exponent and fits 64 bits;
 * SE_NUMBER_FLOAT: in *real, everything else, "-0" too, which no integer can hold;
 * SE_NUMBER_TOO_LARGE: a float that would be infinite. */
int se_number_parse(const char *text, size_t len, int64_t *integer, double *real);

/* Room for whatever the two functions below write. They add no terminating zero. */
#define SE_NUMBER_SIZE 32

/* Writes an integer; returns the number of bytes. */
size_t se_number_format_integer(int64_t value, char *out);

/* Writes a float, which must be finite, so that it is read back as the same float and not as an
 * integer ("1.0", "0.1", "1e300"); returns the number of bytes. */
size_t se_number_format_float(double value, char *out);

#endif
