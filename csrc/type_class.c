/* type_class.c -- the event types that are not custom, and how they are told from custom ones. */
#include "type_class.h"

#include <stdlib.h>
#include <string.h>

/* Both lists are sorted by bytes: they are searched by halves. */
static const char *const builtin_types[] = {
    "ai_indicator.clear", "ai_indicator.stop", "ai_indicator.update", "app.updated",
    "channel.created", "channel.deleted", "channel.frozen", "channel.hidden", "channel.kicked",
    "channel.max_streak_changed", "channel.muted", "channel.truncated", "channel.unfrozen",
    "channel.unmuted", "channel.updated", "channel.visible", "draft.deleted", "draft.updated",
    "health.check", "member.added", "member.removed", "member.updated", "message.deleted",
    "message.delivered", "message.new", "message.pending", "message.read", "message.undeleted",
    "message.updated", "notification.added_to_channel", "notification.channel_deleted",
    "notification.channel_mutes_updated", "notification.channel_truncated",
    "notification.invite_accepted", "notification.invite_rejected", "notification.invited",
    "notification.mark_read", "notification.mark_unread", "notification.message_new",
    "notification.mutes_updated", "notification.reminder_due",
    "notification.removed_from_channel", "notification.thread_message_new", "poll.closed",
    "poll.deleted", "poll.updated", "poll.vote_casted", "poll.vote_changed", "poll.vote_removed",
    "reaction.deleted", "reaction.new", "reaction.updated", "reminder.created",
    "reminder.deleted", "reminder.updated", "thread.updated", "typing.start", "typing.stop",
    "user.banned", "user.deactivated", "user.deleted", "user.messages.deleted", "user.muted",
    "user.presence.changed", "user.reactivated", "user.unbanned", "user.unmuted",
    "user.unread_message_reminder", "user.updated", "user.watching.start", "user.watching.stop",
    "user_group.created", "user_group.deleted", "user_group.member_added",
    "user_group.member_removed", "user_group.updated"};

static const char *const local_types[] = {
    "capabilities.changed", "channels.queried", "connection.changed", "connection.error",
    "connection.recovered", "live_location_sharing.started", "live_location_sharing.stopped",
    "offline_reactions.queried", "transport.changed"};

typedef struct {
  const char *text;
  size_t len;
} type_name;

static int compare(const void *key, const void *listed) {
  const type_name *name = key;
  const char *other = *(const char *const *)listed;
  size_t len = strlen(other);
  int order = memcmp(name->text, other, name->len < len ? name->len : len);
  if (order != 0)
    return order;
  return name->len < len ? -1 : name->len > len;
}

static int is_listed(const char *const *list, size_t count, const type_name *name) {
  return bsearch(name, list, count, sizeof *list, compare) != NULL;
}

int se_type_class(const char *type, size_t len) {
  /* Every name in the lists has a dot, and few custom ones have. */
  if (len == 0 || memchr(type, '.', len) == NULL)
    return SE_TYPE_CUSTOM;
  const type_name name = {type, len};
  if (is_listed(builtin_types, sizeof builtin_types / sizeof *builtin_types, &name))
    return SE_TYPE_BUILTIN;
  if (is_listed(local_types, sizeof local_types / sizeof *local_types, &name))
    return SE_TYPE_LOCAL;
  return SE_TYPE_CUSTOM;
}
