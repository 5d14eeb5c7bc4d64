/* status.c -- names of the shared results. */
#include "status.h"

const char *se_status_kind(int status) {
  switch (status) {
    case SE_OK: return "ok";
    case SE_AGAIN: return "again";
    case SE_ERR_MEMORY: return "memory";
    case SE_ERR_FULL: return "full";
    case SE_ERR_CLOSED: return "closed";
    case SE_ERR_NETWORK: return "network";
    case SE_ERR_TLS: return "tls";
    case SE_ERR_CERTIFICATE: return "certificate";
    case SE_ERR_TRUST: return "trust";
    case SE_ERR_PROXY: return "proxy";
    case SE_ERR_TIMEOUT: return "timeout";
    case SE_ERR_ARGUMENT: return "argument";
    default: return "protocol";
  }
}
