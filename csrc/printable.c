/* printable.c -- see printable.h. Controls become spaces, bytes that are no UTF-8 question marks. */
#include "printable.h"

#include <string.h>

#include "utf8.h"

/* Bytes of the character at 'text', 0: none. */
static size_t character(const char *text, size_t len) {
  unsigned char lead = (unsigned char)text[0];
  size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  return size <= len && se_utf8_valid(text, size) == size ? size : 0;
}

/* C0, DEL, C1 (U+0080 to U+009F), and what turns the direction of writing around. */
static int is_control(const char *text, size_t size) {
  unsigned char a = (unsigned char)text[0], b = size > 1 ? (unsigned char)text[1] : 0,
                c = size > 2 ? (unsigned char)text[2] : 0;
  if (size == 1)
    return a < 0x20 || a == 0x7f;
  if (size == 2)
    return a == 0xc2 && b < 0xa0;
  return size == 3 && a == 0xe2 &&
         ((b == 0x80 && c >= 0xa8 && c <= 0xae) || (b == 0x81 && c >= 0xa6 && c <= 0xa9));
}

size_t se_printable(const char *text, size_t len, char *out, size_t size) {
  size_t used = 0;
  for (size_t at = 0; at < len;) {
    size_t found = character(text + at, len - at), width = found;
    const char *from = text + at;
    if (found == 0) {
      from = "?";
      width = 1;
    } else if (is_control(from, found)) {
      from = " ";
      width = 1;
    }
    if (used + width >= size)
      break;
    memcpy(out + used, from, width);
    used += width;
    at += found == 0 ? 1 : found;
  }
  out[used] = '\0';
  return used;
}
