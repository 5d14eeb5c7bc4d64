/* certificate.c -- notes subject, issuer, dates and names of certificates that OpenSSL checks. */
#include "certificate.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "status.h"
#include "trust.h"

/* --- texts ------------------------------------------------------------------------------------ */

/* What was written to 'from', as far as it fits; what is not printable ASCII as '?'. */
static void take_text(BIO *from, char *out, size_t size) {
  int got = BIO_read(from, out, (int)size - 1);
  size_t len = got > 0 ? (size_t)got : 0;
  if (BIO_pending(from) > 0)
    memcpy(out + size - 4, "...", 3);
  out[len] = '\0';
  for (size_t i = 0; i < len; i++) {
    if (out[i] < ' ' || out[i] > '~')
      out[i] = '?';
  }
}

static void write_name(const X509_NAME *name, char *out, size_t size) {
  BIO *text = BIO_new(BIO_s_mem());
  out[0] = '\0';
  if (text == NULL)
    return;
  X509_NAME_print_ex(text, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)XN_FLAG_DN_REV);
  take_text(text, out, size);
  BIO_free(text);
}

static void write_date(const ASN1_TIME *date, char out[24]) {
  struct tm at;
  out[0] = '\0';
  if (ASN1_TIME_to_tm(date, &at) == 1)
    strftime(out, 24, "%Y-%m-%d %H:%M UTC", &at);
}

static void write_address(BIO *to, const ASN1_OCTET_STRING *address) {
  const unsigned char *bytes = ASN1_STRING_get0_data(address);
  int len = ASN1_STRING_length(address);
  if (len == 4)
    BIO_printf(to, "%d.%d.%d.%d", bytes[0], bytes[1], bytes[2], bytes[3]);
  for (int i = 0; len == 16 && i < 16; i += 2)
    BIO_printf(to, "%s%x", i == 0 ? "" : ":", bytes[i] << 8 | bytes[i + 1]);
}

/* The names and addresses that a certificate is for. */
static void write_names(X509 *certificate, char *out, size_t size) {
  GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
  BIO *text = BIO_new(BIO_s_mem());
  int count = names == NULL ? 0 : sk_GENERAL_NAME_num(names);
  out[0] = '\0';
  for (int i = 0, written = 0; text != NULL && i < count; i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS && name->type != GEN_IPADD)
      continue;
    if (written++ > 0)
      BIO_puts(text, ", ");
    if (name->type == GEN_DNS)
      BIO_write(text, ASN1_STRING_get0_data(name->d.dNSName),
                ASN1_STRING_length(name->d.dNSName));
    else
      write_address(text, name->d.iPAddress);
  }
  if (text != NULL)
    take_text(text, out, size);
  BIO_free(text);
  GENERAL_NAMES_free(names);
}

/* --- the handshake ---------------------------------------------------------------------------- */

static void write_note(se_certificate *note, X509 *certificate) {
  note->is_known = 1;
  write_name(X509_get_subject_name(certificate), note->subject, sizeof note->subject);
  write_name(X509_get_issuer_name(certificate), note->issuer, sizeof note->issuer);
  write_names(certificate, note->names, sizeof note->names);
  write_date(X509_get0_notBefore(certificate), note->from);
  write_date(X509_get0_notAfter(certificate), note->until);
}

static int on_verify(X509_STORE_CTX *context, void *user) {
  se_certificate *note = user;
  int is_good = X509_verify_cert(context);
  X509 *certificate =
      is_good > 0 ? X509_STORE_CTX_get0_cert(context) : X509_STORE_CTX_get_current_cert(context);
  if (certificate == NULL)
    certificate = X509_STORE_CTX_get0_cert(context);
  note->problem = is_good > 0 ? 0 : X509_STORE_CTX_get_error(context);
  note->depth = is_good > 0 ? 0 : X509_STORE_CTX_get_error_depth(context);
  if (certificate != NULL)
    write_note(note, certificate);
  return is_good;
}

static CURLcode on_context(CURL *easy, void *context, void *user) {
  se_certificate *note = user;
  int trusts_system = note->trusts_system;
  (void)easy;
  memset(note, 0, sizeof *note);
  note->trusts_system = trusts_system;
  if (trusts_system)
    se_trust_use(context);
  SSL_CTX_set_cert_verify_callback(context, on_verify, note);
  return CURLE_OK;
}

static int is_ours = 0;

/* A context of another library, or of another version of this one, is not to be touched. */
static void look_at_library(void) {
  const char *theirs = curl_version_info(CURLVERSION_NOW)->ssl_version, *at;
  char ours[32];
  unsigned long version = OpenSSL_version_num();
  snprintf(ours, sizeof ours, "OpenSSL/%lu.%lu.", version >> 28, version >> 20 & 0xff);
  at = theirs == NULL ? NULL : strstr(theirs, ours);
  is_ours = at == theirs && at != NULL;
}

int se_certificate_is_watched(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, look_at_library);
  return is_ours;
}

CURLcode se_certificate_watch(CURL *easy, se_certificate *note) {
  memset(note, 0, sizeof *note);
  if (!se_certificate_is_watched())
    return CURLE_OK;
  CURLcode result = curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context);
  return result == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, note) : result;
}

/* --- the sentence ----------------------------------------------------------------------------- */

static int is_of_trust(int problem) {
  switch (problem) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED: return 1;
    default: return 0;
  }
}

int se_certificate_describe(const se_certificate *note, const char *host, char *out, size_t size) {
  if (!note->is_known)
    return SE_OK;
  const char *whose = note->depth == 0 ? "the certificate" : "a certificate in the chain of";
  char which[2 * SE_CERTIFICATE_NAME + 64];
  snprintf(which, sizeof which, "%s%s%s (subject %s, issuer %s)", whose,
           note->depth == 0 ? " of " : " ", host, note->subject, note->issuer);
  switch (note->problem) {
    case 0:
      snprintf(out, size, "%s is for other names: %s", which,
               note->names[0] != '\0' ? note->names : "none are in it");
      break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      snprintf(out, size, "%s has expired: it was valid until %s", which, note->until);
      break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      snprintf(out, size, "%s is not valid yet: it will be from %s on", which, note->from);
      break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      snprintf(out, size, "%s is self-signed: nobody else vouches for it", which);
      break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      snprintf(out, size, "%s is that of an authority which is not trusted here", which);
      break;
    default:
      if (is_of_trust(note->problem))
        snprintf(out, size, "%s comes from an issuer that is not known here", which);
      else
        snprintf(out, size, "%s is refused: %s", which,
                 X509_verify_cert_error_string(note->problem));
  }
  return is_of_trust(note->problem) ? SE_ERR_TRUST : SE_ERR_CERTIFICATE;
}
