#include "taskmanager/worker/task/mailbox.h"

#include <stdlib.h>

#include "common/base/memory.h"

void mailbox_init(struct mailbox *mailbox)
{
    atomic_init(&mailbox->posted, NULL);
    mailbox->taken = NULL;
}

void mailbox_deinit(struct mailbox *mailbox)
{
    struct task_mail mail;
    while (mailbox_take(mailbox, &mail))
        ;
}

void mailbox_post(struct mailbox *mailbox, const struct task_mail *mail)
{
    struct mail_node *node = xmalloc(sizeof *node);
    node->mail = *mail;
    node->next = atomic_load_explicit(&mailbox->posted, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&mailbox->posted, &node->next, node, memory_order_release,
                                                  memory_order_relaxed))
        ;
}

bool mailbox_take(struct mailbox *mailbox, struct task_mail *ret_mail)
{
    if (!mailbox->taken) {
        if (!atomic_load_explicit(&mailbox->posted, memory_order_relaxed))
            return false;
        struct mail_node *newest = atomic_exchange_explicit(&mailbox->posted, NULL, memory_order_acquire);
        while (newest) { /* turn it round */
            struct mail_node *next = newest->next;
            newest->next = mailbox->taken;
            mailbox->taken = newest;
            newest = next;
        }
    }
    struct mail_node *node = mailbox->taken;
    mailbox->taken = node->next;
    *ret_mail = node->mail;
    free(node);
    return true;
}
