/* trust.c -- the certificates that the system trusts, read in a thread. */
#include "trust.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "certificate.h"
#include "clock.h"

#define GOOD_FOR 86400.0 /* seconds after which they are read again, beside what goes on */

/* All of it belongs to the process, as the system's certificates do. */
static struct {
  pthread_mutex_t lock;
  pthread_cond_t done;
  X509_STORE *store; /* NULL: not read, or that has failed */
  int was_read, is_reading;
  pid_t reader; /* the process that reads: a thread does not survive fork() */
  double read_at;
  const char *file, *folder; /* where they lie, by libcurl; NULL: this is none of ours */
} trust = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

static X509_STORE *read_all(void) {
  X509_STORE *store = X509_STORE_new();
  if (store == NULL)
    return NULL;
  /* As libcurl has it. */
  X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
  if (X509_STORE_load_locations(store, trust.file, trust.folder) != 1) {
    X509_STORE_free(store);
    return NULL;
  }
  return store;
}

static void *reader(void *unused) {
  X509_STORE *store = read_all(), *before = NULL;
  (void)unused;
  pthread_mutex_lock(&trust.lock);
  if (store != NULL) {
    before = trust.store; /* handshakes hold their own references */
    trust.store = store;
  }
  pthread_mutex_unlock(&trust.lock);
  X509_STORE_free(before);
  OPENSSL_thread_stop(); /* from here on this thread holds no lock of OpenSSL's */
  pthread_mutex_lock(&trust.lock);
  trust.was_read = 1;
  trust.is_reading = 0;
  trust.read_at = se_now();
  pthread_cond_broadcast(&trust.done);
  pthread_mutex_unlock(&trust.lock);
  return NULL;
}

static void lock_when_read(void) {
  pthread_mutex_lock(&trust.lock);
  while (trust.is_reading && trust.reader == getpid())
    pthread_cond_wait(&trust.done, &trust.lock);
}

static void unlock(void) {
  pthread_mutex_unlock(&trust.lock);
}

/* Before OpenSSL is taken down under the thread: exit handlers run last one first. */
static void wait_for_reader(void) {
  lock_when_read();
  unlock();
}

/* fork() waits as well: in its child nobody would unlock what the thread holds within OpenSSL. */
static int add_handlers(void) {
  static int are_there;
  if (!are_there)
    are_there = atexit(wait_for_reader) == 0 && pthread_atfork(lock_when_read, unlock, unlock) == 0;
  return are_there;
}

/* With the lock held. 0: there is no thread to be had. */
static int start_reader(void) {
  pthread_t thread;
  sigset_t all, before;
  if (!add_handlers())
    return 0;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are for the program's own threads */
  int failed = pthread_create(&thread, NULL, reader, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failed)
    return 0;
  pthread_detach(thread);
  trust.is_reading = 1;
  trust.reader = getpid();
  return 1;
}

/* Once, and not in the thread: libcurl writes down anew what it tells of itself. */
static void look_at_library(void) {
  const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
  if (!se_certificate_is_watched() || info->age < CURLVERSION_SEVENTH)
    return;
  trust.file = info->cainfo;
  trust.folder = info->capath;
}

static int is_possible(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, look_at_library);
  return trust.file != NULL;
}

int se_trust_is_there(void) {
  if (!is_possible())
    return 1;
  pthread_mutex_lock(&trust.lock);
  int is_reading = trust.is_reading && trust.reader == getpid();
  int is_due = !trust.was_read || se_now() - trust.read_at > GOOD_FOR;
  if (is_due && !is_reading && !start_reader()) {
    trust.was_read = 1; /* libcurl has to do it */
    trust.read_at = se_now();
  }
  int is_there = trust.was_read;
  pthread_mutex_unlock(&trust.lock);
  return is_there;
}

void se_trust_prepare(CURL *easy) {
  pthread_mutex_lock(&trust.lock);
  int has_store = trust.store != NULL;
  pthread_mutex_unlock(&trust.lock);
  if (!has_store)
    return;
  curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
  curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
}

void se_trust_use(void *context) {
  pthread_mutex_lock(&trust.lock);
  if (trust.store != NULL)
    SSL_CTX_set1_cert_store(context, trust.store);
  pthread_mutex_unlock(&trust.lock);
}
