/* number.c -- JSON numbers to and from C, the same in every locale.
 *
 * strtod and snprintf do the hard conversions. Both speak the locale's decimal point, so the first
 * is only ever shown digits and an exponent ("15e-1"), and of the second's output only the digits
 * and the exponent are used. */
#include "number.h"

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A float lies between two neighbours whose midpoints have at most 767 significant digits: digits
 * after that matter only as "there is more". */
#define SIGNIFICANT 780

/* Powers of ten that a double holds exactly. */
static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* A number taken apart: digits * 10^exponent, where 'digits' are the first 19 significant ones. */
typedef struct {
  uint64_t digits;
  int64_t exponent;
  int negative, whole; /* whole: neither fraction nor exponent */
  int more;            /* there were more digits than 19 */
} parts;

static int64_t read_exponent(const char *p, const char *end) {
  int negative = *p == '-';
  if (*p == '-' || *p == '+')
    p++;
  int64_t value = 0;
  for (; p < end; p++)
    if (value < INT64_MAX / 100) /* far beyond what any number of digits could make up for */
      value = value * 10 + (*p - '0');
  return negative ? -value : value;
}

static parts take_apart(const char *p, const char *end) {
  parts n = {0, 0, *p == '-', 1, 0};
  int count = 0, point = 0;
  for (p += n.negative; p < end; p++) {
    unsigned digit = (unsigned)(*p - '0');
    if (digit > 9) {
      n.whole = 0;
      if (*p != '.') {
        n.exponent += read_exponent(p + 1, end);
        break;
      }
      point = 1;
    } else if (count < 19) {
      n.digits = n.digits * 10 + digit;
      count += n.digits != 0; /* leading zeros are not significant */
      n.exponent -= point;
    } else {
      n.more = 1;
      n.exponent += !point;
    }
  }
  return n;
}

/* The conversion that always works: all significant digits, no point, to strtod. */
static double convert(const char *p, const char *end, const parts *n) {
  char text[SIGNIFICANT + 40];
  int used = 0, dropped = 0;
  int64_t exponent = n->exponent;
  for (; p < end && *p != 'e' && *p != 'E'; p++) {
    if (*p < '0' || *p > '9' || (used == 0 && *p == '0'))
      continue;
    if (used < SIGNIFICANT)
      text[used++] = *p;
    else
      dropped |= *p != '0';
  }
  /* n->exponent belongs to the first 19 digits; each further one that was kept moves it. */
  int extra = used > 19 ? used - 19 : 0;
  exponent -= extra;
  if (dropped) {
    text[used++] = '1';
    exponent--;
  }
  if (exponent > 99999)
    exponent = 99999;
  else if (exponent < -99999)
    exponent = -99999;
  snprintf(text + used, sizeof text - (size_t)used, "e%d", (int)exponent);
  int saved = errno;
  double value = strtod(text, NULL);
  errno = saved;
  return value;
}

/* Most numbers are whole and short. 0: not this one. */
static int parse_short(const char *text, size_t len, int64_t *integer) {
  size_t at = *text == '-';
  int64_t value = 0;
  if (len - at > 18) /* so many digits surely fit */
    return 0;
  for (; at < len; at++) {
    unsigned digit = (unsigned)(unsigned char)text[at] - '0';
    if (digit > 9)
      return 0;
    value = value * 10 + (int64_t)digit;
  }
  *integer = *text == '-' ? -value : value;
  return value != 0 || *text != '-';
}

int se_number_parse(const char *text, size_t len, int64_t *integer, double *real) {
  if (parse_short(text, len, integer))
    return SE_NUMBER_INTEGER;
  parts n = take_apart(text, text + len);
  uint64_t limit = (uint64_t)INT64_MAX + (uint64_t)n.negative;
  if (n.whole && !n.more && n.digits <= limit && !(n.negative && n.digits == 0)) {
    *integer = n.negative ? (int64_t)(0 - n.digits) : (int64_t)n.digits;
    return SE_NUMBER_INTEGER;
  }
  double value;
  if (n.digits == 0) {
    value = 0;
#if FLT_EVAL_METHOD == 0
  } else if (!n.more && n.digits <= (UINT64_C(1) << 53) && n.exponent >= -22 &&
             n.exponent <= 22) {
    /* Both operands are exact, so the one operation rounds correctly. */
    value = (double)n.digits;
    if (n.exponent < 0)
      value /= powers[-n.exponent];
    else
      value *= powers[n.exponent];
#endif
  } else {
    value = convert(text, text + len, &n);
    if (value > DBL_MAX)
      return SE_NUMBER_TOO_LARGE;
  }
  *real = n.negative ? -value : value;
  return SE_NUMBER_FLOAT;
}

size_t se_number_format_integer(int64_t value, char *out) {
  char reversed[20];
  size_t count = 0, used = 0;
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  do {
    reversed[count++] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (value < 0)
    out[used++] = '-';
  while (count > 0)
    out[used++] = reversed[--count];
  return used;
}

/* The significant digits of a positive float: 0.D1D2D3... * 10^point. */
typedef struct {
  char digit[18];
  int count, point;
} decimal;

static decimal round_to(double value, int count) {
  char text[48];
  decimal d = {{0}, 0, 0};
  snprintf(text, sizeof text, "%.*e", count - 1, value);
  const char *p = text;
  for (; *p != 'e'; p++)
    if (*p >= '0' && *p <= '9')
      d.digit[d.count++] = *p;
  d.point = atoi(p + 1) + 1;
  return d;
}

/* One unit more in the last place. */
static decimal step_up(decimal d) {
  int i = d.count - 1;
  while (i >= 0 && d.digit[i] == '9')
    d.digit[i--] = '0';
  if (i >= 0) {
    d.digit[i]++;
  } else {
    d.digit[0] = '1';
    d.point++;
  }
  return d;
}

static int reads_back(const decimal *d, double value) {
  char text[48];
  int64_t integer;
  double real = 0;
  int len = snprintf(text, sizeof text, "%.*se%d", d->count, d->digit, d->point - d->count);
  return se_number_parse(text, (size_t)len, &integer, &real) == SE_NUMBER_FLOAT && real == value;
}

static int is_power_of_two(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return (bits & ((UINT64_C(1) << (DBL_MANT_DIG - 1)) - 1)) == 0;
}

/* The fewest digits that read back, and perhaps zeros behind them. A normal float that came from
 * up to 15 digits gives these back when rounded to 15, so nothing shorter need be tried;
 * subnormals have less precision. */
static decimal shortest(double value) {
  for (int count = value < DBL_MIN ? 1 : 15; count < 17; count++) {
    decimal d = round_to(value, count);
    if (reads_back(&d, value))
      return d;
    /* Above a power of two floats lie twice as far apart as below it: there the second nearest
     * decimal may read back where the nearest does not. */
    if (is_power_of_two(value)) {
      d = step_up(d);
      if (reads_back(&d, value))
        return d;
    }
  }
  return round_to(value, 17);
}

static size_t put(char *out, const char *text, int count) {
  memcpy(out, text, (size_t)count);
  return (size_t)count;
}

static size_t zeros(char *out, int count) {
  memset(out, '0', (size_t)count);
  return (size_t)count;
}

/* 1 digit or more with an exponent: "1e300", "1.25e-7". */
static size_t write_scientific(const decimal *d, char *out) {
  size_t used = put(out, d->digit, 1);
  if (d->count > 1) {
    out[used++] = '.';
    used += put(out + used, d->digit + 1, d->count - 1);
  }
  out[used++] = 'e';
  return used + se_number_format_integer(d->point - 1, out + used);
}

size_t se_number_format_float(double value, char *out) {
  size_t used = 0;
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (bits >> 63 != 0) { /* -0.0 too */
    out[used++] = '-';
    value = -value;
  }
  if (value == 0)
    return used + put(out + used, "0.0", 3);
  decimal d = shortest(value);
  while (d.count > 1 && d.digit[d.count - 1] == '0')
    d.count--;
  char *at = out + used;
  size_t n = 0;
  if (d.point < -4 || d.point > 17)
    return used + write_scientific(&d, at);
  if (d.point <= 0) { /* 0.00ddd */
    n += put(at, "0.", 2);
    n += zeros(at + n, -d.point);
    n += put(at + n, d.digit, d.count);
  } else if (d.count <= d.point) { /* ddd00.0 */
    n += put(at, d.digit, d.count);
    n += zeros(at + n, d.point - d.count);
    n += put(at + n, ".0", 2);
  } else { /* dd.ddd */
    n += put(at, d.digit, d.point);
    at[n++] = '.';
    n += put(at + n, d.digit + d.point, d.count - d.point);
  }
  return used + n;
}
