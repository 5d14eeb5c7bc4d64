/* list.h -- a list whose items carry their own links: to put one in or take it out costs no memory,
 * takes the same time wherever it stands, and never fails. Owns nothing.
 *
 * What goes into lists has a member 'link' and is in one list at a time. All zero is an empty list. */
#ifndef SE_LIST_H
#define SE_LIST_H

#include <stddef.h>

typedef struct se_link {
  struct se_link *previous, *next; /* NULL: there is none */
} se_link;

typedef struct {
  se_link *first, *last; /* NULL: the list is empty */
  size_t count;
} se_list;

/* The item of that type that a link, which is not NULL, is the member of. */
#define SE_ITEM(of, type) ((type *)(void *)((char *)(of)-offsetof(type, link)))

void se_list_append(se_list *list, se_link *added);
void se_list_prepend(se_list *list, se_link *added);
/* It must be in this list. */
void se_list_remove(se_list *list, se_link *gone);

#endif
