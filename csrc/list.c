/* list.c -- items chained both ways, through links of their own. */
#include "list.h"

/* NULL: there is no item on that side. */
static void put_between(se_list *list, se_link *before, se_link *added, se_link *behind) {
  added->previous = before;
  added->next = behind;
  *(before == NULL ? &list->first : &before->next) = added;
  *(behind == NULL ? &list->last : &behind->previous) = added;
  list->count++;
}

void se_list_append(se_list *list, se_link *added) {
  put_between(list, list->last, added, NULL);
}

void se_list_prepend(se_list *list, se_link *added) {
  put_between(list, NULL, added, list->first);
}

void se_list_remove(se_list *list, se_link *gone) {
  *(gone->previous == NULL ? &list->first : &gone->previous->next) = gone->next;
  *(gone->next == NULL ? &list->last : &gone->next->previous) = gone->previous;
  list->count--;
}
