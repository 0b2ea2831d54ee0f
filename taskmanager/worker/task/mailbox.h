/* A task's mailbox: any thread puts mail in, the task takes it out in order. Lock-free. */
#ifndef WEIR_TASK_MAILBOX_H
#define WEIR_TASK_MAILBOX_H

#include <stdatomic.h>

#include "taskmanager/worker/task/task.h"

struct mail_node {
    struct mail_node *next;
    struct task_mail mail;
};

struct mailbox {
    _Atomic(struct mail_node *) posted; /* newest first */
    struct mail_node *taken;            /* owner: oldest first */
};

void mailbox_init(struct mailbox *mailbox);
void mailbox_deinit(struct mailbox *mailbox);
void mailbox_post(struct mailbox *mailbox, const struct task_mail *mail); /* any thread */
bool mailbox_take(struct mailbox *mailbox, struct task_mail *ret_mail);   /* owner */

#endif
