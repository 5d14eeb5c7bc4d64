/* fanout.h -- the same WebSocket frames to many connections.
 *
 * What is broadcast to a group during a turn lies in one block, whole frames one behind the other.
 * A flush hands each member the part that was broadcast while it was one: a single send of that
 * block in the usual case, without allocating or copying per delivery. What the socket does not
 * take is queued as a reference to the block. Several groups, and what was sent to one connection
 * alone, arrive in the order of the calls. */
#ifndef SE_FANOUT_H
#define SE_FANOUT_H

#include <stddef.h>
#include <stdint.h>

#include "output.h"

typedef struct se_fanout se_fanout;
typedef struct se_member se_member;
typedef struct se_own se_own;

/* The part of a connection that takes part; embed it. The fields but 'fd' and 'output' are the
 * fan-out's own. */
typedef struct {
  int fd;
  uint32_t sources;      /* during a flush: how many groups have something for it */
  se_output output;      /* what the socket did not take */
  se_member **members;   /* one for each group it is in */
  uint32_t member_count, member_capacity;
  se_own *own;           /* what this turn has for it alone */
} se_receiver;

se_fanout *se_fanout_new(void); /* NULL: no memory */
void se_fanout_free(se_fanout *fanout); /* accepts NULL; all receivers must have been removed */

/* SE_OK or SE_ERR_MEMORY. 'fd' is a non-blocking socket. */
int se_fanout_add(se_fanout *fanout, se_receiver *receiver, int fd);
/* Leaves all groups and forgets what was queued. The socket stays open. */
void se_fanout_remove(se_fanout *fanout, se_receiver *receiver);
/* Leaves all groups and forgets what this turn has for it; keeps 'output'. */
void se_fanout_detach(se_fanout *fanout, se_receiver *receiver);

/* 1: done; 0: it was so already; -1: no memory, nothing changed. */
int se_fanout_join(se_fanout *fanout, int64_t group, se_receiver *receiver);
int se_fanout_leave(se_fanout *fanout, int64_t group, se_receiver *receiver);
size_t se_fanout_size(const se_fanout *fanout, int64_t group);

/* How many will receive it, or -1: no memory. Nothing is copied for a group without members. */
ptrdiff_t se_fanout_broadcast(se_fanout *fanout, int64_t group, int opcode, const char *data,
                              size_t len);
/* To one connection alone. SE_OK or SE_ERR_MEMORY. */
int se_fanout_send(se_fanout *fanout, se_receiver *receiver, int opcode, const char *data,
                   size_t len);
/* Bytes of frames that this turn has gathered. */
size_t se_fanout_waiting(const se_fanout *fanout);

/* Hands out what this turn has gathered, and begins the next one. 'report' is called, after its
 * socket was tried, for each receiver whose status is not SE_OK: SE_AGAIN (something is queued now,
 * or more than before), SE_ERR_NETWORK, SE_ERR_MEMORY. It may remove that receiver and no other. */
typedef void (*se_fanout_report)(void *user, se_receiver *receiver, int status);
void se_fanout_flush(se_fanout *fanout, se_fanout_report report, void *user);
/* The same for one receiver; the rest of the turn goes on. */
int se_fanout_flush_one(se_fanout *fanout, se_receiver *receiver);

#endif
