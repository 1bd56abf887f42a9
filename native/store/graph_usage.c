/* graph_usage.c - how many bytes images have, and which they share. */
#include "base/vector.h"
#include "store/graph_walk.h"

#include <stdlib.h>
#include <string.h>

/* The last walk that visited a node, and the last group that had it, both from 1. */
struct seen {
    uint32_t walk;
    uint32_t group;
};

/* The nodes of a group are those of its walks; `groups_of` counts, up to 2, the groups that have a node. */
struct census {
    const ocigc_store *store;
    struct ocigc_visits stack;
    struct seen *seen; /* by node */
    uint32_t walk;
    uint8_t *groups_of;
    const uint8_t *flags;
};

/* The next node that the current walk has not visited yet. false: there is none. */
static bool next_visit(struct census *census, struct ocigc_visit *visit)
{
    while (census->stack.count > 0) {
        *visit = census->stack.items[--census->stack.count];
        if (census->seen[visit->node].walk != census->walk) {
            census->seen[visit->node].walk = census->walk;
            return true;
        }
    }
    return false;
}

static bool start_walk(struct census *census, uint32_t node, int32_t media)
{
    census->stack.count = 0;
    if (++census->walk == 0) { /* as many walks as numbers */
        for (uint32_t each = 0; each < census->store->count; each++)
            census->seen[each].walk = 0;
        census->walk = 1;
    }
    return ocigc_visits_push(&census->stack, (struct ocigc_visit){node, media});
}

static bool push_children(struct census *census, struct ocigc_visit visit)
{
    uint32_t before = census->stack.count;
    if (!ocigc_visits_push_children(&census->stack, census->store->graph, visit))
        return false;
    for (uint32_t i = before; i < census->stack.count; i++)
        __builtin_prefetch(&census->seen[census->stack.items[i].node], 1);
    return true;
}

static void count_node(struct census *census, uint32_t node)
{
    census->groups_of[node] += census->groups_of[node] < 2;
}

static void add_node(struct census *census, uint32_t node, struct ocigc_usage *usage)
{
    uint64_t size = ocigc_store_size(census->store, node);
    uint32_t flags = census->flags == NULL ? 0 : census->flags[node];
    usage->size += size;
    usage->shared += census->groups_of[node] > 1 ? size : 0;
    usage->flagged += (flags & 1) != 0 ? size : 0;
    usage->flags |= flags;
}

/* The walks of nodes, or, with `medias` NULL, the nodes themselves. */
struct members {
    const uint32_t *nodes;
    const uint8_t *medias;
    const uint32_t *ends;
    size_t groups;
};

static void see(struct census *census, uint32_t node, uint32_t group, struct ocigc_usage *out)
{
    if (census->seen[node].group == group + 1)
        return;
    census->seen[node].group = group + 1;
    if (out == NULL)
        count_node(census, node);
    else
        add_node(census, node, &out[group]);
}

static bool see_walk(struct census *census, uint32_t node, int32_t media, uint32_t group, struct ocigc_usage *out)
{
    struct ocigc_visit visit;
    if (!start_walk(census, node, media))
        return false;
    while (next_visit(census, &visit)) {
        see(census, visit.node, group, out);
        if (!push_children(census, visit))
            return false;
    }
    return true;
}

/* Looks at every node of every group once: counts it, or with `out` adds it up. false: no memory. */
static bool take_census(struct census *census, const struct members *members, struct ocigc_usage *out)
{
    const struct ocigc_graph *graph = census->store->graph;
    uint32_t next = 0, count = members->groups > 0 ? members->ends[members->groups - 1] : 0;
    for (uint32_t node = 0; node < census->store->count; node++)
        census->seen[node].group = 0;
    for (uint32_t group = 0; group < members->groups; group++) {
        if (out != NULL)
            out[group] = (struct ocigc_usage){0};
        for (; next < members->ends[group]; next++) {
            uint32_t node = members->nodes[next];
            ocigc_walk_prefetch(graph, members->nodes, next, count);
            if (node == UINT32_MAX)
                continue;
            if (members->medias == NULL)
                see(census, node, group, out);
            else if (!see_walk(census, node, members->medias[next], group, out))
                return false;
        }
    }
    return true;
}

int32_t ocigc_graph_usage(const ocigc_store *store, const uint32_t *nodes, const uint8_t *medias, const uint32_t *ends,
                          size_t groups, const uint8_t *flags, struct ocigc_usage *out, struct ocigc_error *error)
{
    struct members members = {nodes, medias, ends, groups};
    struct census census = {
        .store = store,
        .seen = calloc(store->count + 1, sizeof *census.seen),
        .groups_of = calloc(store->count + 1, sizeof *census.groups_of),
        .flags = flags,
    };
    bool ok = census.seen != NULL && census.groups_of != NULL && take_census(&census, &members, NULL) &&
              take_census(&census, &members, out);
    free(census.stack.items);
    free(census.seen);
    free(census.groups_of);
    return ok ? OCIGC_OK : ocigc_fail_memory(error);
}

/* Whether the walk from a node visits one that has flags. false in `ok`: no memory. */
static bool visits_flagged(struct census *census, uint32_t node, int32_t media, bool *ok)
{
    struct ocigc_visit visit;
    *ok = start_walk(census, node, media);
    while (*ok && next_visit(census, &visit)) {
        if (census->flags[visit.node] != 0)
            return true;
        *ok = push_children(census, visit);
    }
    return false;
}

int32_t ocigc_graph_visiting(const ocigc_store *store, const uint32_t *nodes, const uint8_t *medias, size_t count,
                             const uint8_t *flags, uint8_t *out, struct ocigc_error *error)
{
    struct census census = {
        .store = store,
        .seen = calloc(store->count + 1, sizeof *census.seen),
        .flags = flags,
    };
    bool ok = census.seen != NULL;
    for (size_t i = 0; ok && i < count; i++)
        out[i] = nodes[i] != UINT32_MAX && visits_flagged(&census, nodes[i], medias[i], &ok);
    free(census.stack.items);
    free(census.seen);
    return ok ? OCIGC_OK : ocigc_fail_memory(error);
}

/* ----------------------------------------------------------------- sharing */

struct sharing {
    const ocigc_store *store;
    const uint8_t *is_root; /* per node */
    struct ocigc_sharing *out;
    uint64_t *sums;
    struct ocigc_walk walk;
    struct ocigc_node_set seen; /* of the unit at hand */
    uint32_t *waiting;          /* referrers */
    uint32_t waiting_count;
    uint32_t waiting_capacity;
    uint32_t node_capacity;
    uint32_t media_capacity;
};

static bool add_visit(struct sharing *sharing, uint32_t node, int32_t media)
{
    struct ocigc_sharing *out = sharing->out;
    if (!ocigc_reserve(&out->nodes, &sharing->node_capacity, out->count, 1, sizeof *out->nodes) ||
        !ocigc_reserve(&out->medias, &sharing->media_capacity, out->count, 1, sizeof *out->medias))
        return false;
    out->nodes[out->count] = node;
    out->medias[out->count++] = (uint8_t)media;
    return true;
}

/* Puts the referrers of a node on the stack, the last first to be taken. */
static bool add_referrers(struct sharing *sharing, uint32_t node)
{
    size_t count = ocigc_graph_referrers(sharing->store, node, NULL, 0);
    if (count == 0)
        return true;
    if (!ocigc_reserve(&sharing->waiting, &sharing->waiting_capacity, sharing->waiting_count, (uint32_t)count,
                       sizeof *sharing->waiting))
        return false;
    uint32_t *found = sharing->waiting + sharing->waiting_count;
    ocigc_graph_referrers(sharing->store, node, found, count);
    qsort(found, count, sizeof *found, ocigc_by_number);
    uint32_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_new = (i == 0 || found[i] != found[i - 1]) && sharing->is_root[found[i]] == 0 &&
                      ocigc_node_set_find(&sharing->seen, found[i]) == UINT32_MAX;
        if (is_new)
            found[kept++] = found[i];
    }
    sharing->waiting_count += kept;
    return true;
}

static bool add_walk(struct sharing *sharing, uint32_t unit, uint64_t number)
{
    for (uint32_t i = 0; i < sharing->walk.seen.count; i++) {
        uint32_t node = sharing->walk.seen.nodes[i];
        int32_t media = sharing->walk.medias[i];
        int new = ocigc_node_set_add(&sharing->seen, node);
        if (new == 0)
            continue;
        if (new < 0 || !add_visit(sharing, node, media))
            return false;
        int32_t *owner = &sharing->out->owners[node];
        *owner = *owner == INT32_MIN ? (int32_t)unit : -1;
        sharing->sums[node] += number;
        if ((media == OCIGC_MEDIA_MANIFEST || media == OCIGC_MEDIA_INDEX) && !add_referrers(sharing, node))
            return false;
    }
    return true;
}

static bool add_unit(struct sharing *sharing, uint32_t unit, uint32_t root, int32_t media, uint64_t number)
{
    const struct ocigc_graph *graph = sharing->store->graph;
    ocigc_node_set_clear(&sharing->seen);
    bool ok =
        root == UINT32_MAX || (ocigc_walk_from(&sharing->walk, graph, root, media) && add_walk(sharing, unit, number));
    while (ok && sharing->waiting_count > 0) {
        uint32_t referrer = sharing->waiting[--sharing->waiting_count];
        ok = ocigc_walk_from(&sharing->walk, graph, referrer, OCIGC_MEDIA_MANIFEST) && add_walk(sharing, unit, number);
    }
    sharing->out->ends[unit] = sharing->out->count;
    return ok;
}

/* Numbers the groups in the order of their first nodes. Nodes with the same sum have the same group. */
static bool number_groups(struct sharing *sharing)
{
    struct ocigc_sharing *out = sharing->out;
    uint32_t nodes = sharing->store->count, shared = 0, size = 64;
    for (uint32_t node = 0; node < nodes; node++)
        shared += out->owners[node] == -1;
    while (size < 2 * (uint64_t)shared)
        size *= 2;
    uint64_t *sums = malloc(size * sizeof *sums);
    uint32_t *numbers = calloc(size, sizeof *numbers); /* + 1; 0 is free */
    bool ok = sums != NULL && numbers != NULL;
    for (uint32_t node = 0; ok && node < nodes; node++) {
        if (out->owners[node] != -1)
            continue;
        uint32_t slot = (uint32_t)(sharing->sums[node] >> 32) & (size - 1);
        while (numbers[slot] != 0 && sums[slot] != sharing->sums[node])
            slot = (slot + 1) & (size - 1);
        if (numbers[slot] == 0) {
            sums[slot] = sharing->sums[node];
            numbers[slot] = ++out->groups;
        }
        out->owners[node] = -(int32_t)numbers[slot];
    }
    free(sums);
    free(numbers);
    return ok;
}

/* Lists the groups of each unit, ascending, each once. false: no memory. */
static bool list_groups(struct ocigc_sharing *out, size_t units)
{
    uint32_t *last =
        calloc((size_t)out->groups + 1, sizeof *last); /* the last unit, from 1, that was seen to have it */
    uint32_t count = 0, capacity = 0, next = 0;
    bool ok = last != NULL;
    for (uint32_t unit = 0; ok && unit < units; unit++) {
        uint32_t first = count;
        for (; ok && next < out->ends[unit]; next++) {
            int32_t owner = out->owners[out->nodes[next]];
            if (owner >= 0 || last[~owner] == unit + 1)
                continue;
            last[~owner] = unit + 1;
            ok = ocigc_reserve(&out->unit_groups, &capacity, count, 1, sizeof *out->unit_groups);
            if (ok)
                out->unit_groups[count++] = (uint32_t)~owner;
        }
        if (count > first)
            qsort(out->unit_groups + first, count - first, sizeof *out->unit_groups, ocigc_by_number);
        out->group_ends[unit] = count;
    }
    free(last);
    return ok;
}

void ocigc_sharing_free(struct ocigc_sharing *sharing)
{
    if (sharing == NULL)
        return;
    free(sharing->unit_groups);
    free(sharing->group_ends);
    free(sharing->owners);
    free(sharing->nodes);
    free(sharing->medias);
    free(sharing->ends);
    free(sharing);
}

int32_t ocigc_graph_sharing(const ocigc_store *store, const uint32_t *roots, const uint8_t *medias,
                            const uint64_t *numbers, size_t count, struct ocigc_sharing **found,
                            struct ocigc_error *error)
{
    struct ocigc_sharing *out = calloc(1, sizeof *out);
    uint8_t *is_root = calloc(store->count + 1, 1);
    struct sharing sharing = {.store = store, .is_root = is_root, .out = out};
    sharing.sums = calloc(store->count + 1, sizeof *sharing.sums);
    bool ok = out != NULL && is_root != NULL && sharing.sums != NULL;
    if (ok) {
        out->owners = malloc((store->count + 1) * sizeof *out->owners);
        out->ends = malloc((count + 1) * sizeof *out->ends);
        out->group_ends = malloc((count + 1) * sizeof *out->group_ends);
        ok = out->owners != NULL && out->ends != NULL && out->group_ends != NULL;
    }
    for (uint32_t node = 0; ok && node < store->count; node++)
        out->owners[node] = INT32_MIN;
    for (size_t i = 0; ok && i < count; i++)
        if (roots[i] != UINT32_MAX)
            is_root[roots[i]] = 1;
    for (size_t i = 0; ok && i < count; i++)
        ok = add_unit(&sharing, (uint32_t)i, roots[i], medias[i], numbers[i]);
    ok = ok && number_groups(&sharing) && list_groups(out, count);
    ocigc_walk_free(&sharing.walk);
    ocigc_node_set_free(&sharing.seen);
    free(sharing.waiting);
    free(sharing.sums);
    free(is_root);
    if (!ok) {
        ocigc_sharing_free(out);
        return ocigc_fail_memory(error);
    }
    *found = out;
    return OCIGC_OK;
}

/* ----------------------------------------------------------------- amounts */

void ocigc_amounts_free(struct ocigc_amounts *amounts)
{
    if (amounts == NULL)
        return;
    free(amounts->alone);
    free(amounts->flagged);
    free(amounts->rows);
    free(amounts->ends);
    free(amounts);
}

static bool new_amounts(struct ocigc_amounts *out, size_t owners)
{
    out->alone = calloc(owners + 1, sizeof *out->alone);
    out->flagged = calloc(owners + 1, sizeof *out->flagged);
    out->ends = calloc(owners + 1, sizeof *out->ends);
    return out->alone != NULL && out->flagged != NULL && out->ends != NULL;
}

/* The number of an owner: a unit, or after the units a group. */
static uint32_t owner_number(int32_t owner, uint32_t units)
{
    return owner >= 0 ? (uint32_t)owner : units + (uint32_t)~owner;
}

static void add_row(struct ocigc_amounts *out, uint32_t owner, uint32_t fate, uint64_t size)
{
    struct ocigc_amount *row = out->rows + (owner == 0 ? 0 : out->ends[owner - 1]);
    while (row->count > 0 && row->fate != fate)
        row++;
    row->fate = fate;
    row->count++;
    row->size += size;
}

int32_t ocigc_graph_amounts(const ocigc_store *store, const int32_t *owners, uint32_t units, uint32_t groups,
                            const uint8_t *fates, const uint8_t *skipped, uint8_t flag, struct ocigc_amounts **found,
                            struct ocigc_error *error)
{
    size_t count = (size_t)units + groups;
    struct ocigc_amounts *out = calloc(1, sizeof *out);
    uint8_t *seen = calloc(count + 1, sizeof *seen); /* a bit per fate of an owner */
    bool ok = out != NULL && seen != NULL && new_amounts(out, count);
    for (uint32_t node = 0; ok && node < store->count; node++) {
        if (owners[node] == INT32_MIN)
            continue;
        uint32_t owner = owner_number(owners[node], units);
        uint64_t size = ocigc_store_size(store, node);
        out->alone[owner] += size;
        out->flagged[owner] += (fates[node] & flag) != 0 ? size : 0;
        if (!skipped[node] && (seen[owner] >> (fates[node] & 7) & 1) == 0) {
            seen[owner] |= (uint8_t)(1 << (fates[node] & 7));
            out->ends[owner]++;
        }
    }
    for (size_t owner = 1; ok && owner < count; owner++)
        out->ends[owner] += out->ends[owner - 1];
    if (ok) {
        out->count = count > 0 ? out->ends[count - 1] : 0;
        out->rows = calloc((size_t)out->count + 1, sizeof *out->rows);
        ok = out->rows != NULL;
    }
    for (uint32_t node = 0; ok && node < store->count; node++)
        if (owners[node] != INT32_MIN && !skipped[node])
            add_row(out, owner_number(owners[node], units), fates[node] & 7, ocigc_store_size(store, node));
    free(seen);
    if (!ok) {
        ocigc_amounts_free(out);
        return ocigc_fail_memory(error);
    }
    *found = out;
    return OCIGC_OK;
}
