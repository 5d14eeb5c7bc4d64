/* fanout.c -- groups, turns, and the one loop that every delivery goes through. */
#include "fanout.h"

#include <stdlib.h>
#include <string.h>

#include "status.h"
#include "ws.h"

#define SPARE_BATCHES 16  /* kept for the next turn, ... */
#define SPARE_BLOCK 65536 /* ...unless their block has become larger than this */

/* Where a frame begins in its group's block, and when it was broadcast. */
typedef struct {
  uint64_t order;
  size_t at;
} frame;

/* What one turn has for one group. */
typedef struct batch {
  se_block *block;
  frame *frames;
  uint32_t count, capacity;
  struct batch *next_spare;
} batch;

typedef struct group {
  int64_t id;
  struct group *next;      /* in its hash bucket */
  se_member **members;
  uint32_t count, capacity;
  batch *now;              /* of this turn, or NULL */
} group;

struct se_member {
  se_receiver *receiver;
  group *in;
  uint32_t in_group, in_receiver; /* where this stands in the two lists */
  uint64_t turn;           /* 'first' counts in this turn only; in a later one it is 0 */
  uint32_t first;          /* the first frame of the turn that it has not got and shall get */
};

/* A piece with its place in the order of this turn. */
typedef struct {
  uint64_t order;
  se_piece piece;
} ordered;

struct se_own {
  se_receiver *receiver;
  uint32_t index;          /* in the list of those that have something of their own */
  se_block *block;         /* frames sent to this one alone */
  ordered *pieces;         /* of it, and of groups that were left; each holds a reference */
  uint32_t count, capacity;
};

/* What a flush does for one receiver. 'from' is meant for the usual case of one group. */
typedef struct {
  se_receiver *receiver;
  group *from_group;
  size_t from;
} delivery;

struct se_fanout {
  group **buckets;
  uint32_t bucket_count, group_count;
  group **dirty;           /* those with a batch */
  uint32_t dirty_count, dirty_capacity;
  batch *spare;
  uint32_t spare_count;
  se_own **owners;
  uint32_t owner_count, owner_capacity;
  delivery *deliveries;    /* room for every receiver, so that a flush cannot fail */
  uint32_t delivery_capacity, receiver_count;
  ordered *merge;
  uint32_t merge_count, merge_capacity;
  uint64_t turn, order;
  size_t waiting;
};

/* Makes room for one more element of the array that the pointer at 'items' points to; without
 * memory nothing changes. */
static int room(void *items, uint32_t count, uint32_t *capacity, size_t size) {
  void *old, *grown;
  uint32_t wanted = *capacity == 0 ? 4 : *capacity * 2;
  if (count < *capacity)
    return SE_OK;
  memcpy(&old, items, sizeof old); /* the pointer's own type is not known here */
  grown = realloc(old, wanted * size);
  if (grown == NULL)
    return SE_ERR_MEMORY;
  memcpy(items, &grown, sizeof grown);
  *capacity = wanted;
  /* cppcheck-suppress memleak -- the array's owner has it now */
  return SE_OK;
}

/* ---- groups by their number ---- */

static uint32_t bucket_of(const se_fanout *fanout, int64_t id) {
  uint64_t mixed = (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15);
  return (uint32_t)(mixed >> 32) & (fanout->bucket_count - 1);
}

static group *find_group(const se_fanout *fanout, int64_t id) {
  group *g;
  for (g = fanout->buckets[bucket_of(fanout, id)]; g != NULL && g->id != id; g = g->next) {
  }
  return g;
}

static void grow_buckets(se_fanout *fanout) {
  uint32_t i, old_count = fanout->bucket_count;
  group **old = fanout->buckets, **grown = calloc((size_t)old_count * 2, sizeof *grown);
  if (grown == NULL)
    return; /* slower, not wrong */
  fanout->buckets = grown;
  fanout->bucket_count = old_count * 2;
  for (i = 0; i < old_count; i++) {
    while (old[i] != NULL) {
      group *g = old[i];
      uint32_t bucket = bucket_of(fanout, g->id);
      old[i] = g->next;
      g->next = grown[bucket];
      grown[bucket] = g;
    }
  }
  free(old);
}

static group *make_group(se_fanout *fanout, int64_t id) {
  group *g = calloc(1, sizeof *g);
  uint32_t bucket;
  if (g == NULL)
    return NULL;
  if (fanout->group_count >= fanout->bucket_count)
    grow_buckets(fanout);
  bucket = bucket_of(fanout, id);
  g->id = id;
  g->next = fanout->buckets[bucket];
  fanout->buckets[bucket] = g;
  fanout->group_count++;
  return g;
}

/* A group lives as long as it has members, or frames that somebody may still get. */
static void drop_if_unused(se_fanout *fanout, group *g) {
  group **link;
  if (g->count > 0 || g->now != NULL)
    return;
  link = &fanout->buckets[bucket_of(fanout, g->id)];
  while (*link != g)
    link = &(*link)->next;
  *link = g->next;
  fanout->group_count--;
  free(g->members);
  free(g);
}

/* ---- batches ---- */

static void free_batch(batch *b) {
  se_block_release(b->block);
  free(b->frames);
  free(b);
}

static batch *new_batch(se_fanout *fanout) {
  batch *b = fanout->spare;
  if (b != NULL) {
    fanout->spare = b->next_spare;
    fanout->spare_count--;
    return b;
  }
  b = calloc(1, sizeof *b);
  if (b != NULL && (b->block = se_block_new(1)) == NULL) {
    free(b);
    b = NULL;
  }
  return b;
}

/* Ends a batch; what others queued of its block stays theirs. */
static void end_batch(se_fanout *fanout, batch *b) {
  if (b->block->refs > 1)
    se_block_shrink(b->block);
  if (b->block->refs > 1 || b->block->capacity > SPARE_BLOCK ||
      fanout->spare_count == SPARE_BATCHES) {
    free_batch(b);
    return;
  }
  b->block->len = 0;
  b->count = 0;
  b->next_spare = fanout->spare;
  fanout->spare = b;
  fanout->spare_count++;
}

static uint32_t frame_count(const group *g) {
  return g->now == NULL ? 0 : g->now->count;
}

/* Where a frame of this turn begins; past the last one: where that ends. */
static size_t frame_at(const group *g, uint32_t index) {
  return index < g->now->count ? g->now->frames[index].at : g->now->block->len;
}

static uint32_t first_frame(const se_fanout *fanout, const se_member *member) {
  return member->turn == fanout->turn ? member->first : 0;
}

/* ---- what one receiver has for itself ---- */

static se_own *own_of(se_fanout *fanout, se_receiver *receiver) {
  se_own *own = receiver->own;
  if (own != NULL)
    return own;
  if (room(&fanout->owners, fanout->owner_count, &fanout->owner_capacity,
           sizeof *fanout->owners) != SE_OK)
    return NULL;
  own = calloc(1, sizeof *own);
  if (own == NULL)
    return NULL;
  own->receiver = receiver;
  own->index = fanout->owner_count;
  fanout->owners[fanout->owner_count++] = own;
  receiver->own = own;
  return own;
}

static void free_own(se_fanout *fanout, se_receiver *receiver) {
  se_own *own = receiver->own, *last;
  uint32_t i;
  if (own == NULL)
    return;
  last = fanout->owners[--fanout->owner_count];
  last->index = own->index;
  fanout->owners[own->index] = last;
  for (i = 0; i < own->count; i++)
    se_block_release(own->pieces[i].piece.block);
  se_block_release(own->block);
  free(own->pieces);
  free(own);
  receiver->own = NULL;
}

static int add_own(se_own *own, uint64_t order, se_block *block, size_t from, size_t to) {
  if (room(&own->pieces, own->count, &own->capacity, sizeof *own->pieces) != SE_OK)
    return SE_ERR_MEMORY;
  own->pieces[own->count++] = (ordered){order, {block, from, to}};
  block->refs++;
  return SE_OK;
}

/* Appends one frame, or nothing. */
static int append_frame(se_block *block, int opcode, const char *data, size_t len) {
  uint8_t header[10];
  size_t before = block->len;
  int status = se_block_append(block, header, se_ws_header(header, opcode, len));
  if (status == SE_OK)
    status = se_block_append(block, data, len);
  if (status != SE_OK)
    block->len = before;
  return status;
}

int se_fanout_send(se_fanout *fanout, se_receiver *receiver, int opcode, const char *data,
                   size_t len) {
  se_own *own = own_of(fanout, receiver);
  size_t before;
  if (own == NULL || (own->block == NULL && (own->block = se_block_new(1)) == NULL))
    return SE_ERR_MEMORY;
  before = own->block->len;
  if (append_frame(own->block, opcode, data, len) != SE_OK)
    return SE_ERR_MEMORY;
  if (add_own(own, fanout->order++, own->block, before, own->block->len) != SE_OK) {
    own->block->len = before;
    return SE_ERR_MEMORY;
  }
  fanout->waiting += own->block->len - before;
  return SE_OK;
}

/* ---- membership ---- */

/* Walks the shorter of the two lists. */
static se_member *find_member(const group *g, const se_receiver *receiver) {
  uint32_t i;
  if (g->count < receiver->member_count) {
    for (i = 0; i < g->count; i++) {
      if (g->members[i]->receiver == receiver)
        return g->members[i];
    }
  } else {
    for (i = 0; i < receiver->member_count; i++) {
      if (receiver->members[i]->in == g)
        return receiver->members[i];
    }
  }
  return NULL;
}

int se_fanout_join(se_fanout *fanout, int64_t id, se_receiver *receiver) {
  group *g = find_group(fanout, id);
  se_member *member;
  if (g != NULL && find_member(g, receiver) != NULL)
    return 0;
  if (g == NULL && (g = make_group(fanout, id)) == NULL)
    return -1;
  member = malloc(sizeof *member);
  if (member == NULL ||
      room(&g->members, g->count, &g->capacity, sizeof *g->members) != SE_OK ||
      room(&receiver->members, receiver->member_count, &receiver->member_capacity,
           sizeof *receiver->members) != SE_OK) {
    free(member);
    drop_if_unused(fanout, g);
    return -1;
  }
  /* It gets nothing that was broadcast before. */
  *member = (se_member){receiver, g, g->count, receiver->member_count, fanout->turn,
                        frame_count(g)};
  g->members[g->count++] = member;
  receiver->members[receiver->member_count++] = member;
  return 1;
}

static void unlink_member(se_fanout *fanout, se_member *member) {
  group *g = member->in;
  se_receiver *receiver = member->receiver;
  se_member *last = g->members[--g->count];
  last->in_group = member->in_group;
  g->members[member->in_group] = last;
  last = receiver->members[--receiver->member_count];
  last->in_receiver = member->in_receiver;
  receiver->members[member->in_receiver] = last;
  if (receiver->member_count == 0) {
    free(receiver->members);
    receiver->members = NULL;
    receiver->member_capacity = 0;
  }
  free(member);
  drop_if_unused(fanout, g);
}

int se_fanout_leave(se_fanout *fanout, int64_t id, se_receiver *receiver) {
  group *g = find_group(fanout, id);
  se_member *member = g == NULL ? NULL : find_member(g, receiver);
  uint32_t i;
  if (member == NULL)
    return 0;
  /* What was broadcast while it was a member is its own from now on. */
  for (i = first_frame(fanout, member); i < frame_count(g); i++) {
    se_own *own = own_of(fanout, receiver);
    if (own == NULL || add_own(own, g->now->frames[i].order, g->now->block, frame_at(g, i),
                               frame_at(g, i + 1)) != SE_OK) {
      /* It stays a member; what it owns already it must not get again. */
      member->turn = fanout->turn;
      member->first = i;
      return -1;
    }
  }
  unlink_member(fanout, member);
  return 1;
}

size_t se_fanout_size(const se_fanout *fanout, int64_t id) {
  const group *g = find_group(fanout, id);
  return g == NULL ? 0 : g->count;
}

int se_fanout_add(se_fanout *fanout, se_receiver *receiver, int fd) {
  if (room(&fanout->deliveries, fanout->receiver_count, &fanout->delivery_capacity,
           sizeof *fanout->deliveries) != SE_OK)
    return SE_ERR_MEMORY;
  fanout->receiver_count++;
  *receiver = (se_receiver){0};
  receiver->fd = fd;
  return SE_OK;
}

void se_fanout_detach(se_fanout *fanout, se_receiver *receiver) {
  while (receiver->member_count > 0)
    unlink_member(fanout, receiver->members[receiver->member_count - 1]);
  free_own(fanout, receiver);
}

void se_fanout_remove(se_fanout *fanout, se_receiver *receiver) {
  se_fanout_detach(fanout, receiver);
  se_output_clear(&receiver->output);
  receiver->fd = -1;
  fanout->receiver_count--;
}

/* ---- a turn ---- */

ptrdiff_t se_fanout_broadcast(se_fanout *fanout, int64_t id, int opcode, const char *data,
                              size_t len) {
  group *g = find_group(fanout, id);
  batch *b;
  size_t before;
  if (g == NULL || g->count == 0)
    return 0;
  if (g->now == NULL) {
    if (room(&fanout->dirty, fanout->dirty_count, &fanout->dirty_capacity,
             sizeof *fanout->dirty) != SE_OK ||
        (g->now = new_batch(fanout)) == NULL)
      return -1;
    fanout->dirty[fanout->dirty_count++] = g;
  }
  b = g->now;
  before = b->block->len;
  if (room(&b->frames, b->count, &b->capacity, sizeof *b->frames) != SE_OK ||
      append_frame(b->block, opcode, data, len) != SE_OK)
    return -1;
  b->frames[b->count++] = (frame){fanout->order++, before};
  fanout->waiting += b->block->len - before;
  return (ptrdiff_t)g->count;
}

size_t se_fanout_waiting(const se_fanout *fanout) {
  return fanout->waiting;
}

static int by_order(const void *a, const void *b) {
  uint64_t left = ((const ordered *)a)->order, right = ((const ordered *)b)->order;
  return (left > right) - (left < right);
}

static int add_merge(se_fanout *fanout, uint64_t order, se_block *block, size_t from, size_t to) {
  if (room(&fanout->merge, fanout->merge_count, &fanout->merge_capacity,
           sizeof *fanout->merge) != SE_OK)
    return SE_ERR_MEMORY;
  fanout->merge[fanout->merge_count++] = (ordered){order, {block, from, to}};
  return SE_OK;
}

/* Gathers, in order, everything that this turn has for the receiver. */
static int gather(se_fanout *fanout, const se_receiver *receiver) {
  uint32_t i, f;
  const se_own *own = receiver->own;
  fanout->merge_count = 0;
  for (i = 0; own != NULL && i < own->count; i++) {
    const ordered *o = &own->pieces[i];
    if (add_merge(fanout, o->order, o->piece.block, o->piece.from, o->piece.to) != SE_OK)
      return SE_ERR_MEMORY;
  }
  for (i = 0; i < receiver->member_count; i++) {
    const group *g = receiver->members[i]->in;
    for (f = first_frame(fanout, receiver->members[i]); f < frame_count(g); f++) {
      if (add_merge(fanout, g->now->frames[f].order, g->now->block, frame_at(g, f),
                    frame_at(g, f + 1)) != SE_OK)
        return SE_ERR_MEMORY;
    }
  }
  if (fanout->merge_count > 1)
    qsort(fanout->merge, fanout->merge_count, sizeof *fanout->merge, by_order);
  return SE_OK;
}

/* The general case: several groups, own frames, or a queue that is not empty. The pieces go through
 * the queue; se_output_add joins those that lie side by side. */
static int deliver_merged(se_fanout *fanout, se_receiver *receiver) {
  int was_empty = se_output_empty(&receiver->output);
  uint32_t i;
  if (gather(fanout, receiver) != SE_OK)
    return SE_ERR_MEMORY;
  for (i = 0; i < fanout->merge_count; i++) {
    const se_piece *piece = &fanout->merge[i].piece;
    if (se_output_add(&receiver->output, piece->block, piece->from, piece->to) != SE_OK)
      return SE_ERR_MEMORY;
  }
  return was_empty ? se_output_send(&receiver->output, receiver->fd) : SE_AGAIN;
}

/* The usual case: one group, nothing queued. */
static int deliver_block(se_receiver *receiver, se_block *block, size_t from) {
  ptrdiff_t sent = se_socket_send(receiver->fd, block->data + from, block->len - from);
  if (sent < 0)
    return SE_ERR_NETWORK;
  from += (size_t)sent;
  if (from == block->len)
    return SE_OK;
  return se_output_add(&receiver->output, block, from, block->len) == SE_OK ? SE_AGAIN
                                                                            : SE_ERR_MEMORY;
}

static void add_delivery(se_fanout *fanout, uint32_t *count, se_receiver *receiver, group *g,
                         size_t from) {
  if (receiver->sources++ == 0)
    fanout->deliveries[(*count)++] = (delivery){receiver, g, from};
}

static void end_turn(se_fanout *fanout) {
  uint32_t i;
  while (fanout->owner_count > 0)
    free_own(fanout, fanout->owners[fanout->owner_count - 1]->receiver);
  for (i = 0; i < fanout->dirty_count; i++) {
    group *g = fanout->dirty[i];
    end_batch(fanout, g->now);
    g->now = NULL;
    drop_if_unused(fanout, g);
  }
  fanout->dirty_count = 0;
  fanout->waiting = 0;
  fanout->turn++;
}

void se_fanout_flush(se_fanout *fanout, se_fanout_report report, void *user) {
  uint32_t i, m, count = 0;
  if (fanout->dirty_count == 0 && fanout->owner_count == 0)
    return;
  /* First who gets something, then the sending: a report may change the groups. */
  for (i = 0; i < fanout->dirty_count; i++) {
    group *g = fanout->dirty[i];
    for (m = 0; m < g->count; m++) {
      uint32_t first = first_frame(fanout, g->members[m]);
      if (first < frame_count(g))
        add_delivery(fanout, &count, g->members[m]->receiver, g, frame_at(g, first));
    }
  }
  for (i = 0; i < fanout->owner_count; i++)
    add_delivery(fanout, &count, fanout->owners[i]->receiver, NULL, 0);
  for (i = 0; i < count; i++) {
    delivery *d = &fanout->deliveries[i];
    se_receiver *receiver = d->receiver;
    int simple = receiver->sources == 1 && d->from_group != NULL;
    int status;
    receiver->sources = 0;
    if (simple && se_output_empty(&receiver->output))
      status = deliver_block(receiver, d->from_group->now->block, d->from);
    else
      status = deliver_merged(fanout, receiver);
    if (status != SE_OK)
      report(user, receiver, status);
  }
  end_turn(fanout);
}

int se_fanout_flush_one(se_fanout *fanout, se_receiver *receiver) {
  int status = deliver_merged(fanout, receiver);
  uint32_t i;
  for (i = 0; i < receiver->member_count; i++) {
    receiver->members[i]->turn = fanout->turn;
    receiver->members[i]->first = frame_count(receiver->members[i]->in);
  }
  free_own(fanout, receiver);
  return status;
}

se_fanout *se_fanout_new(void) {
  se_fanout *fanout = calloc(1, sizeof *fanout);
  if (fanout == NULL)
    return NULL;
  fanout->turn = 1;
  fanout->bucket_count = 16;
  fanout->buckets = calloc(fanout->bucket_count, sizeof *fanout->buckets);
  if (fanout->buckets == NULL) {
    free(fanout);
    return NULL;
  }
  return fanout;
}

void se_fanout_free(se_fanout *fanout) {
  if (fanout == NULL)
    return;
  end_turn(fanout); /* groups without members live for their frames only */
  while (fanout->spare != NULL) {
    batch *b = fanout->spare;
    fanout->spare = b->next_spare;
    free_batch(b);
  }
  free(fanout->buckets);
  free(fanout->dirty);
  free(fanout->owners);
  free(fanout->deliveries);
  free(fanout->merge);
  free(fanout);
}
