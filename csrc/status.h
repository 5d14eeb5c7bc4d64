/* status.h -- the results that every plain C part shares.
 *
 * A function that can fail says so with one of these; what a value means for a certain function
 * stands in that function's header. The bindings turn them into the 'kind' of an error. */
#ifndef SE_STATUS_H
#define SE_STATUS_H

enum {
  SE_OK = 0,
  SE_AGAIN,         /* nothing more can be done until the socket is ready again */
  SE_ERR_MEMORY,    /* malloc failed; the object is as it was before */
  SE_ERR_FULL,      /* a limit was reached; nothing was taken */
  SE_ERR_CLOSED,    /* the object, or its peer, is closed */
  SE_ERR_PROTOCOL,  /* the peer broke the protocol, or sent what cannot be accepted */
  SE_ERR_NETWORK,   /* DNS or TCP */
  SE_ERR_TLS,       /* no handshake */
  SE_ERR_CERTIFICATE, /* the peer's is expired, for another name, ... */
  SE_ERR_TRUST,     /* nobody who is trusted vouches for the peer */
  SE_ERR_PROXY,     /* it is not there, wants credentials, does not connect, ... */
  SE_ERR_TIMEOUT,
  SE_ERR_ARGUMENT   /* the caller's value cannot be used */
};

/* The word that programs branch on: "memory" "full" "closed" "protocol" "network" "timeout"
 * "argument" "tls" "certificate" "trust" "proxy"; "again" for SE_AGAIN, "ok" for SE_OK. Never NULL. */
const char *se_status_kind(int status);

#endif
