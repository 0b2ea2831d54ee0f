#include "common/rpc/rpc.h"

int rpc_inbox_accept(struct rpc_inbox *inbox, const Weir__Batch *batch, struct error *err)
{
    if (batch->session != inbox->session)
        return error_set(err, WEIR_E_FENCED, "batch %llu is of session %016llx, the present one is %016llx",
                         (unsigned long long)batch->seq, (unsigned long long)batch->session,
                         (unsigned long long)inbox->session);
    if (batch->seq == 0 || batch->seq > inbox->last_seq + 1)
        return error_set(err, WEIR_E_FENCED,
                         "batch %llu of session %016llx follows batch %llu: there is a gap",
                         (unsigned long long)batch->seq, (unsigned long long)batch->session,
                         (unsigned long long)inbox->last_seq);
    if (batch->seq <= inbox->last_seq)
        return 0;
    inbox->last_seq = batch->seq;
    return 1;
}
