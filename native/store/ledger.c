/* ledger.c - what a ledger has recorded, and which blobs are left to verify. Records are kept by node; reading a file
 * drops those that are not true of this store. */
#include "store/ledger.h"

#include <stdlib.h>

/* A file system may count time in steps of two seconds (FAT does). A blob that was touched within one step before its
 * verification may be touched again without a trace. */
#define STEP INT64_C(2000000000)

int32_t ocigc_ledger_new(const ocigc_store *store, ocigc_ledger **ledger, struct ocigc_error *error)
{
    if (store->detail != OCIGC_SCAN_IDENTITY)
        return ocigc_fail(error, OCIGC_UNVERIFIABLE, "a ledger needs a store that was scanned with identities");
    ocigc_ledger *made = calloc(1, sizeof *made);
    struct ocigc_known *known = calloc((size_t)store->count + 1, sizeof *known);
    if (made == NULL || known == NULL) {
        free(made);
        free(known);
        return ocigc_fail_memory(error);
    }
    *made = (ocigc_ledger){.store = store, .known = known};
    *ledger = made;
    return OCIGC_OK;
}

void ocigc_ledger_free(ocigc_ledger *ledger)
{
    if (ledger == NULL)
        return;
    free(ledger->known);
    free(ledger);
}

int32_t ocigc_ledger_differs(const ocigc_ledger *ledger)
{
    return ledger->differs;
}

static bool is_trusted(const ocigc_ledger *ledger, uint32_t node)
{
    int64_t stamp = ocigc_store_stamp(ledger->store, node);
    int64_t verified = ledger->known[node].verified;
    return verified > STEP && stamp < verified - STEP;
}

static bool is_selected(const ocigc_ledger *ledger, uint32_t node, int32_t selection, int64_t instant)
{
    switch (selection) {
    case OCIGC_SELECT_CHANGED:
        return !is_trusted(ledger, node);
    case OCIGC_SELECT_RECORDED:
        return ledger->known[node].verified != 0;
    case OCIGC_SELECT_UNRECORDED:
        return ledger->known[node].verified == 0;
    default:
        return ledger->known[node].verified <= 0 || ledger->known[node].verified < instant;
    }
}

static int oldest_first(const void *left, const void *right, void *context)
{
    const ocigc_ledger *ledger = context;
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    int64_t verified_a = ledger->known[a].verified > 0 ? ledger->known[a].verified : 0;
    int64_t verified_b = ledger->known[b].verified > 0 ? ledger->known[b].verified : 0;
    if (verified_a != verified_b)
        return verified_a < verified_b ? -1 : 1;
    return (a > b) - (a < b);
}

size_t ocigc_ledger_select(const ocigc_ledger *ledger, const uint32_t *nodes, size_t count, int32_t selection,
                           int64_t instant, uint32_t *out)
{
    size_t selected = 0;
    for (size_t i = 0; i < count; i++)
        if (is_selected(ledger, nodes[i], selection, instant))
            out[selected++] = nodes[i];
    if (selection == OCIGC_SELECT_OLDER && selected > 0)
        qsort_r(out, selected, sizeof *out, oldest_first, (void *)ledger);
    return selected;
}

void ocigc_ledger_update(ocigc_ledger *ledger, const uint32_t *nodes, size_t count, const uint8_t *verdicts,
                         const struct ocigc_checksum *checksums, int64_t began)
{
    for (size_t i = 0; i < count; i++) {
        struct ocigc_known *known = &ledger->known[nodes[i]];
        if (verdicts[i] == OCIGC_VERDICT_UNCHECKED || verdicts[i] == OCIGC_VERDICT_UNSUPPORTED)
            continue;
        if (verdicts[i] == OCIGC_VERDICT_SOUND) {
            *known = (struct ocigc_known){began, checksums[i]};
            ledger->differs = true;
        } else if (known->verified != 0) {
            *known = (struct ocigc_known){0};
            ledger->differs = true;
        }
    }
}

void ocigc_ledger_take_over(ocigc_ledger *ledger, const ocigc_ledger *other, const uint32_t *own, size_t count)
{
    /* Until the end, a blob that was found not to be sound has a time that no other record can be after. */
    for (size_t i = 0; i < count; i++)
        if (ledger->known[own[i]].verified == 0)
            ledger->known[own[i]].verified = INT64_MAX;
    for (uint32_t node = 0; node < ledger->store->count; node++)
        if (other->known[node].verified > 0 && other->known[node].verified > ledger->known[node].verified)
            ledger->known[node] = other->known[node];
    for (size_t i = 0; i < count; i++)
        if (ledger->known[own[i]].verified == INT64_MAX)
            ledger->known[own[i]].verified = 0;
}
