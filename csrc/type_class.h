/* type_class.h -- what the protocol says a type is: custom, or made by the service or a client. */
#ifndef SE_TYPE_CLASS_H
#define SE_TYPE_CLASS_H

#include <stddef.h>

/* Protocol §5.8, §3.9. */
enum {
  SE_TYPE_CUSTOM,
  SE_TYPE_BUILTIN, /* made by the service: message.new, health.check, ... */
  SE_TYPE_LOCAL    /* made by a client, never on the wire: connection.changed, ...; and
                      connection.error, which only a server may send */
};
int se_type_class(const char *type, size_t len);

#endif
