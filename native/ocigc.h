/* ocigc.h - the public header of the native core.
 *
 * The binding reads this file itself, so it contains plain declarations only: no macros, no static inline, no function
 * pointers. Python takes every constant and every struct layout from here.
 *
 * Conventions
 *   - A call that can fail returns an enum ocigc_code. If that is not OCIGC_OK, it has filled the caller's struct
 *     ocigc_error (which may be NULL), and its results are undefined. Results are written through pointers.
 *   - A call that cannot fail returns its answer.
 *   - A handle is opaque. Its creator frees it once, with the function of that name; freeing NULL is allowed.
 *   - No path crosses this boundary: directories are open descriptors, blobs are digests.
 *   - A long call reports through a struct ocigc_progress (which may be NULL) that another thread may read. It stops
 *     with OCIGC_CANCELLED soon after `cancel` is set.
 *   - A node is the number of a present blob in the tables that ocigc_store_scan made: 0 .. count - 1.
 *   - An instant is in nanoseconds since 1970 (UTC). A size is in bytes.
 *   - `threads` 0 means one thread per core that this process may use.
 *   - A call that lists nodes returns how many there are and writes at most `capacity`.
 */
#ifndef OCIGC_H
#define OCIGC_H

#include <stddef.h>
#include <stdint.h>

/* ------------------------------------------------------------------ errors */

enum ocigc_code {
    OCIGC_OK = 0,
    OCIGC_NO_MEMORY = 1,
    OCIGC_SYSTEM = 2,          /* a system call failed; os_errno says why */
    OCIGC_MALFORMED = 3,       /* invalid JSON, descriptor, digest or label */
    OCIGC_CORRUPT = 4,         /* content that does not match its digest */
    OCIGC_UNEXPECTED_FILE = 5, /* a symlink, fifo, socket or device where a regular file or a directory belongs */
    OCIGC_CANCELLED = 6,
    OCIGC_CHANGED = 7,     /* a file changed while it was read */
    OCIGC_UNVERIFIABLE = 8 /* a digest of an algorithm that this core cannot compute */
};

struct ocigc_error {
    int32_t code;
    int32_t os_errno;  /* 0 if no system call failed */
    uint64_t offset;   /* byte offset of a JSON error in its document, else 0 */
    char message[512]; /* one line of printable ASCII; other bytes are escaped as \xNN */
};

struct ocigc_progress {
    uint64_t items; /* done so far */
    uint64_t bytes;
    uint64_t total_items; /* 0 until known */
    uint64_t total_bytes;
    int32_t cancel; /* set by the caller: stop soon */
};

/* ----------------------------------------------------------------- digests */

enum ocigc_algorithm {
    OCIGC_ALGORITHM_OTHER = 0, /* unregistered: never verified and never deleted */
    OCIGC_SHA256 = 1,
    OCIGC_SHA512 = 2,
    OCIGC_BLAKE3 = 3 /* registered, but computed outside of this core */
};

/* The implementations of an algorithm that this machine can run, best first. Index 0 is the one in use; the environment
 * variables OCIGC_SHA256 and OCIGC_SHA512 choose another. NULL past the last. */
const char *ocigc_digest_implementation(int32_t algorithm, uint32_t index);

/* Hashes `count` messages, as many at once as the implementation has lanes. `implementation` NULL means the one in use.
 * `out` receives count * (32 or 64) bytes. OCIGC_UNVERIFIABLE if this core lacks the algorithm or implementation. */
int32_t ocigc_digest_many(int32_t algorithm, const char *implementation, size_t count, const uint8_t *const *messages,
                          const size_t *lengths, uint8_t *out, struct ocigc_error *error);

/* Hashes one message in pieces whose lengths add up to it. For tests of every way to split a message. */
int32_t ocigc_digest_pieces(int32_t algorithm, const char *implementation, const uint8_t *message,
                            const size_t *piece_lengths, size_t pieces, uint8_t *out, struct ocigc_error *error);

/* The enum ocigc_algorithm of a digest; -1 if `text` does not follow the image-spec's grammar, or if its encoded part
 * is not what its registered algorithm demands. */
int32_t ocigc_digest_grammar(const char *text, size_t length);

/* -------------------------------------------------------------------- JSON */

enum ocigc_media {
    OCIGC_MEDIA_UNKNOWN = 0,  /* a layer, or a type that does not tell its form */
    OCIGC_MEDIA_MANIFEST = 1, /* OCI image manifest, Docker schema 2 manifest */
    OCIGC_MEDIA_INDEX = 2,    /* OCI image index, Docker manifest list */
    OCIGC_MEDIA_CONFIG = 3,   /* OCI image config, Docker container image config */
    OCIGC_MEDIA_JSON = 4,     /* another type that ends in +json, or a Docker schema 1 manifest */
    OCIGC_MEDIA_NONE = 5,     /* no media type is given, as in a label or a lease */
    OCIGC_MEDIA_LAYER = 6     /* no media type means this: a layer of an embedded manifest, never read */
};

enum ocigc_role {
    OCIGC_ROLE_CONFIG = 0,
    OCIGC_ROLE_LAYER = 1,
    OCIGC_ROLE_BLOB = 2,
    OCIGC_ROLE_MANIFEST = 3,
    OCIGC_ROLE_SUBJECT = 4,
    OCIGC_ROLE_FOUND = 5,   /* a descriptor anywhere in a document of unknown form */
    OCIGC_ROLE_LABEL = 6,   /* a gc.ref.content label */
    OCIGC_ROLE_BACK = 7,    /* a gc.bref.content label: the target keeps this blob */
    OCIGC_ROLE_EMBEDDED = 8 /* a descriptor of a manifest that is embedded as the `data` of an absent blob */
};

enum ocigc_shape {
    OCIGC_SHAPE_NONE = 0, /* neither config, layers, blobs nor manifests */
    OCIGC_SHAPE_MANIFEST = 1,
    OCIGC_SHAPE_INDEX = 2
};

struct ocigc_span {
    uint32_t start;
    uint32_t length;
};

struct ocigc_descriptor {
    int32_t role;                 /* enum ocigc_role */
    int32_t media;                /* enum ocigc_media */
    int64_t size;                 /* -1 if not given (only in documents of unknown form) */
    struct ocigc_span object;     /* its { ... } in the document's bytes */
    struct ocigc_span media_type; /* in the document's text, decoded */
    struct ocigc_span digest;     /* in the document's text */
};

struct ocigc_document {
    const struct ocigc_descriptor *descriptors; /* by role, then in document order */
    uint32_t count;
    int32_t shape; /* enum ocigc_shape */
    const char *text;
    uint32_t text_length;
};

/* The enum ocigc_media of a media type. Parameters (";...") are ignored, case is not. */
int32_t ocigc_media_of(const char *media_type, size_t length);

/* Checks a document against RFC 8259. OCIGC_MALFORMED with the offset; nesting deeper than 512 is malformed. */
int32_t ocigc_json_check(const char *bytes, size_t length, struct ocigc_error *error);

/* A member of an object, or an element of an array. */
struct ocigc_member {
    struct ocigc_span key; /* with its quotes; empty for an element */
    struct ocigc_span value;
};

/* Where the members of the document are, which is an object, or its elements, if it is an array. Writes at most
 * `capacity`, and to `count` how many there are. */
int32_t ocigc_json_members(const char *bytes, size_t length, struct ocigc_member *out, size_t capacity, size_t *count,
                           struct ocigc_error *error);

/* Reads the descriptors of a document. A MANIFEST or INDEX is read strictly (form, duplicate keys, never both at once),
 * any other media leniently (valid JSON; every object with a valid "digest", and every "blobSum"). The document keeps
 * no reference to `bytes`. */
int32_t ocigc_document_parse(const char *bytes, size_t length, int32_t media, struct ocigc_document **document,
                             struct ocigc_error *error);
void ocigc_document_free(struct ocigc_document *document);

/* Whether an entry's `data` is the content of its target. */
enum ocigc_data {
    OCIGC_DATA_NONE = 0,
    OCIGC_DATA_SOUND = 1,
    OCIGC_DATA_CORRUPT = 2 /* it does not match the digest or the size, or is malformed */
};

/* An entry of `manifests` in an index.json. The index's text has its digest, its name (empty if none) and its time of
 * creation (empty if none), one after the other, decoded to UTF-8. A digest of a registered algorithm is stored as one
 * byte, the enum ocigc_algorithm, and the binary digest. */
struct ocigc_entry {
    int64_t size;
    struct ocigc_span object; /* its { ... } in the file */
    uint32_t text;
    uint32_t name_length;
    uint32_t created_length;
    uint32_t media_type; /* number of its media type */
    uint16_t digest_length;
    uint8_t media;
    uint8_t data; /* enum ocigc_data */
};

/* What an entry refers to besides its target. */
enum ocigc_reference_kind {
    OCIGC_REFERENCE_CONTENT = 0, /* a digest: of a gc.ref.content annotation, or of a descriptor in its `data` */
    OCIGC_REFERENCE_IMAGE = 1,   /* the name of an image: of a gc.ref.image annotation */
    OCIGC_REFERENCE_SUBJECT = 2, /* a digest: of an io.containerd.manifest.subject annotation, or in its `data` */
    OCIGC_REFERENCE_KIND = 3     /* what it is, as cosign saves it: the `kind` annotation */
};

struct ocigc_reference {
    uint32_t entry;
    struct ocigc_span value; /* in the index's text */
    uint8_t kind;            /* enum ocigc_reference_kind */
    uint8_t media;           /* enum ocigc_media of the content */
};

struct ocigc_index {
    const struct ocigc_entry *entries;
    uint32_t count;
    uint32_t reference_count;
    const struct ocigc_reference *references; /* in the order of entries */
    const struct ocigc_span *media_types;     /* in the text; some may occur twice */
    uint32_t media_type_count;
    uint32_t text_length;
    const char *text;
};

/* Reads an index.json as strictly as any index; annotations must be strings. It keeps no reference to `bytes`. */
int32_t ocigc_index_parse(const char *bytes, size_t length, struct ocigc_index **index, struct ocigc_error *error);
void ocigc_index_free(struct ocigc_index *index);

/* What the name of an entry looks like: a sum of these. */
enum ocigc_name_form {
    OCIGC_NAME_GIVEN = 1, /* it has one */
    OCIGC_NAME_TAG = 2,   /* it is only a tag */
    OCIGC_NAME_LIST = 4,  /* it has a comma */
    OCIGC_NAME_ODD = 8    /* it may be the name of a dangling image, or a fallback tag */
};

/* Writes the form of each entry's name, and the position of the first entry with the same name and target. */
int32_t ocigc_index_names(const struct ocigc_index *index, uint8_t *forms, uint32_t *firsts, struct ocigc_error *error);

/* The name of an entry for sorting. Without a name of its own it is `nameless` and the digest. If its flag in
 * `prefixed` is set (NULL: no flag is) it is `prefix` and the name. Otherwise it is the name. */
struct ocigc_naming {
    const char *nameless;
    const char *prefix;
    const uint8_t *prefixed;
};

/* Sorts positions of entries by those names, then by digests, both as text, bytewise; nameless ones come last. */
void ocigc_index_sort(const struct ocigc_index *index, uint32_t *positions, size_t count,
                      const struct ocigc_naming *naming);

struct ocigc_config_label {
    struct ocigc_span key; /* both in the config's text, decoded to UTF-8 */
    struct ocigc_span value;
};

struct ocigc_config {
    const char *text;
    struct ocigc_span created; /* length 0 if none */
    const struct ocigc_config_label *labels;
    const struct ocigc_span *diff_ids;
    uint32_t label_count;
    uint32_t diff_id_count;
};

/* Reads `created`, `config.Labels` and `rootfs.diff_ids` of an image config. Keys match as in Go's encoding/json (ASCII
 * case-insensitively, the last of duplicates wins, maps merge, null is absent). */
int32_t ocigc_config_parse(const char *bytes, size_t length, struct ocigc_config **config, struct ocigc_error *error);
void ocigc_config_free(struct ocigc_config *config);

/* ------------------------------------------------------------------- store */

typedef struct ocigc_store ocigc_store;

/* What a scan reads of each blob. Over a network, each status is a round trip. */
enum ocigc_scan_detail {
    OCIGC_SCAN_NAMES = 0,
    OCIGC_SCAN_STATUS = 1,  /* also what ocigc_store_stat reads, while names are listed */
    OCIGC_SCAN_IDENTITY = 2 /* also what a ledger compares: device, inode, mtime, ctime; 32 bytes per blob */
};

/* Lists blobs/ below the open directory `layout` into tables sorted by algorithm and digest. A file whose name is a
 * digest of a registered algorithm becomes a node. So does a regular file under an unregistered algorithm, which is
 * never verified or deleted. Other regular files and directories are foreign. OCIGC_UNEXPECTED_FILE for anything else,
 * and for a directory or symlink where a blob must be. A missing blobs/ is an empty store. The descriptor is
 * duplicated. */
int32_t ocigc_store_scan(int32_t layout, int32_t detail, uint32_t threads, ocigc_store **store,
                         struct ocigc_progress *progress, struct ocigc_error *error);
/* The same, with those blobs of `wanted` that blobs/ lacks and the open directory `shared` has as <alg>/<encoded>.
 * `wanted` has digests of registered algorithms in `length` bytes of text, each with a newline after it. A wanted blob
 * that is in neither is absent. Such a store can be read and verified, but not swept. */
int32_t ocigc_store_scan_shared(int32_t layout, int32_t shared, const char *wanted, size_t length, int32_t detail,
                                uint32_t threads, ocigc_store **store, struct ocigc_progress *progress,
                                struct ocigc_error *error);
enum ocigc_archive_kind {
    OCIGC_ARCHIVE_BLOB = 0,
    OCIGC_ARCHIVE_LABEL = 1,  /* the label file of a blob */
    OCIGC_ARCHIVE_FOREIGN = 2 /* another file or directory below blobs/ */
};

/* A member of an archive. Its name is in the text that comes with the members: the digest "alg:encoded" of the blob, or
 * "alg/name" of a foreign file. */
struct ocigc_archive_member {
    uint64_t start; /* of its content in the archive; UINT64_MAX: the content is gone */
    uint64_t size;
    int64_t modified; /* its mtime, an instant */
    struct ocigc_span name;
    uint32_t links; /* names that its content has in the archive */
    int32_t kind;   /* enum ocigc_archive_kind */
};

/* Makes a store of the members of an archive, an open file; its descriptor is duplicated. Each digest has at most one
 * blob and one label file. The store knows every status: the ctime of each blob is that of the archive. It can neither
 * be swept nor have a ledger. A blob whose content is gone is a leaf. OCIGC_MALFORMED for a name that is not a digest.
 */
int32_t ocigc_store_of_archive(int32_t file, const char *names, const struct ocigc_archive_member *members,
                               uint32_t count, ocigc_store **store, struct ocigc_error *error);
/* A store of `count` blobs of one registered algorithm, given by their binary digests, one after the other. Duplicates
 * are dropped; no file is touched. */
int32_t ocigc_store_list(int32_t layout, int32_t algorithm, const uint8_t *digests, uint32_t count, ocigc_store **store,
                         struct ocigc_error *error);
void ocigc_store_free(ocigc_store *store);

uint32_t ocigc_store_count(const ocigc_store *store);
/* The node of a digest; UINT32_MAX if the blob is absent. */
uint32_t ocigc_store_find(const ocigc_store *store, const char *digest, size_t length);
/* The same for the target of every entry of an index. */
void ocigc_store_find_targets(const ocigc_store *store, const struct ocigc_index *index, uint32_t *nodes);
/* The nodes at some places of an array of `count` nodes; UINT32_MAX where it has no such place. */
void ocigc_nodes_at(const uint32_t *nodes, size_t count, const uint32_t *places, size_t place_count, uint32_t *out);
/* Those of the places below `count` that have a flag; returns how many. */
size_t ocigc_places_flagged(const uint8_t *flags, size_t count, const uint32_t *places, size_t place_count,
                            uint32_t *out);
/* Those of `count` nodes whose algorithm is registered; returns how many. */
size_t ocigc_store_sweepable(const ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t *out);
/* Lists the nodes whose blobs an earlier scan of the same layout did not find. */
size_t ocigc_store_added(const ocigc_store *store, const ocigc_store *earlier, uint32_t *out, size_t capacity);
/* Writes the digests of `count` nodes, each followed by '\n'; returns the bytes written. `out` has room for 256 bytes
 * per node. */
size_t ocigc_store_digests(const ocigc_store *store, const uint32_t *nodes, size_t count, char *out);

/* Reads size, times and links of the files of `nodes` (NULL: of all), if they are not known yet. A node must have a
 * status before anything below, verification, the sweep or a recording expansion uses it. A file that is gone has no
 * bytes and the earliest stamp. OCIGC_UNEXPECTED_FILE if it is no longer a regular file. */
int32_t ocigc_store_stat(ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t threads,
                         struct ocigc_progress *progress, struct ocigc_error *error);
/* Makes room for the statuses of all files. From now on, those of files that an expansion opens are kept, and
 * ocigc_store_stat reads only the others. */
int32_t ocigc_store_keep_statuses(ocigc_store *store, struct ocigc_error *error);
int32_t ocigc_store_has_status(const ocigc_store *store, uint32_t node);

uint64_t ocigc_store_size(const ocigc_store *store, uint32_t node);
int64_t ocigc_store_stamp(const ocigc_store *store, uint32_t node); /* the newer of mtime and ctime */
/* The sizes of all nodes. Every node has a status. */
void ocigc_store_sizes(const ocigc_store *store, uint64_t *out);
/* The nodes whose files have no bytes, ascending. Every node has a status. */
size_t ocigc_store_empty(const ocigc_store *store, uint32_t *out, size_t capacity);
/* Those of `count` nodes whose stamp is after an instant; returns how many. */
size_t ocigc_store_newer(const ocigc_store *store, const uint32_t *nodes, size_t count, int64_t instant, uint32_t *out);
/* Foreign files as "alg/name", raw bytes; NULL past the last. The first 1000 are kept by name, all are counted. */
uint64_t ocigc_store_foreign_count(const ocigc_store *store);
const char *ocigc_store_foreign(const ocigc_store *store, uint32_t index);
/* The bytes of the files of nodes. */
struct ocigc_file_bytes {
    uint64_t alone; /* those with one link */
    uint64_t size;  /* every link counts */
    uint64_t disk;  /* a file counts once, even if several of its links are among the nodes */
    uint64_t freed; /* as ocigc_store_freed */
};
/* Every node has a status. */
int32_t ocigc_store_file_bytes(const ocigc_store *store, const uint32_t *nodes, size_t count,
                               struct ocigc_file_bytes *bytes, struct ocigc_error *error);

/* The bytes that are freed when `nodes` are deleted. An inode with links outside of them frees nothing; no inode counts
 * twice. */
int32_t ocigc_store_freed(const ocigc_store *store, const uint32_t *nodes, size_t count, uint64_t *bytes,
                          struct ocigc_error *error);
/* The same for each of many groups: group i has the nodes up to ends[i], from where the group before it ended. */
int32_t ocigc_store_freed_each(const ocigc_store *store, const uint32_t *nodes, const uint32_t *ends, size_t groups,
                               uint64_t *bytes, struct ocigc_error *error);

/* One hard link of a file that has `links` of them. */
struct ocigc_hard_link {
    uint64_t device, inode, links, size;
    int64_t stamp, modified; /* the newer of mtime and ctime; mtime alone */
};
/* The file of a node as it is at this moment, whether or not it has several links. */
int32_t ocigc_store_stat_now(const ocigc_store *store, uint32_t node, struct ocigc_hard_link *out,
                             struct ocigc_error *error);
/* The files among `nodes` that have several links. */
size_t ocigc_store_hard_links(const ocigc_store *store, const uint32_t *nodes, size_t count,
                              struct ocigc_hard_link *out, size_t capacity);

/* Reads a blob of at most `limit` bytes into memory that ocigc_bytes_free frees. Verifies it if `verify` is not 0 and
 * this core can compute its digest. */
int32_t ocigc_store_read(const ocigc_store *store, uint32_t node, uint64_t limit, int32_t verify, char **bytes,
                         size_t *length, struct ocigc_error *error);
void ocigc_bytes_free(char *bytes);

/* ------------------------------------------------------------------- graph */

/* What a label of a blob means, if it is more than an edge of the graph. */
enum ocigc_label_kind {
    OCIGC_LABEL_ROOT = 0,      /* gc.root: the blob is a root; no value */
    OCIGC_LABEL_UNKNOWN = 1,   /* a gc label that is not understood: the blob is a root; the value is the label's key */
    OCIGC_LABEL_IMAGE = 2,     /* gc.ref.image: the blob keeps the image whose name is the value */
    OCIGC_LABEL_IMAGE_BACK = 3 /* gc.bref.image: the image whose name is the value keeps the blob */
};

struct ocigc_label {
    uint32_t node;
    int32_t kind; /* enum ocigc_label_kind */
    struct ocigc_span value;
};

/* Reads the label files below labels/ of all present blobs. gc.ref.content and gc.bref.content labels become edges.
 * OCIGC_MALFORMED for a file that is not a JSON object from string to string, or is over 1 MiB; OCIGC_UNEXPECTED_FILE
 * for one that is not a regular file. */
int32_t ocigc_graph_read_labels(ocigc_store *store, struct ocigc_progress *progress, struct ocigc_error *error);
/* The other labels, by node, kind and value; the values are in *text. */
const struct ocigc_label *ocigc_graph_labels(const ocigc_store *store, uint32_t *count, const char **text);

/* Expands all that `nodes` (UINT32_MAX: none) reach; media[i] is the enum ocigc_media of nodes[i]. Reads, verifies and
 * parses, level by level:
 *   - what its media type says is a manifest or an index;
 *   - whatever their media type says, the nodes given, and the targets of `manifests` and of labels: the content tells
 *     what they are. A blob over 16 MiB is a leaf unless its media type says JSON. So are layers and blobs of
 * manifests;
 *   - other blobs whose media type ends in +json: each object with a digest in them is a descriptor;
 *   - the `data` of a descriptor, if its blob is absent.
 * May be called again with further roots. Stops at the first of them that cannot be read, verified or, if it is a
 * manifest or an index, parsed, and names it by digest. */
int32_t ocigc_graph_expand(ocigc_store *store, const uint32_t *nodes, const uint8_t *media, size_t count,
                           uint32_t threads, struct ocigc_progress *progress, struct ocigc_error *error);

/* Takes contents of `count` nodes that somebody has read already. They are one after another in `bytes`; that of
 * nodes[i] ends at ends[i]. Until ocigc_store_ahead_end, an expansion uses each as the content of the file if it has
 * the digest of the node, and otherwise reads the file. `ends` and `bytes` must stay valid until then. OCIGC_MALFORMED
 * if they are not consistent. */
int32_t ocigc_store_ahead(ocigc_store *store, const uint32_t *nodes, const uint64_t *ends, size_t count,
                          const char *bytes, struct ocigc_error *error);
void ocigc_store_ahead_end(ocigc_store *store);

/* A blob that only the caller can verify (OCIGC_BLAKE3): an expansion returns OCIGC_UNVERIFIABLE unless the caller has
 * verified its node. `unverified` lists the manifests and indexes that wait for that after a failed expansion. */
size_t ocigc_graph_unverified(const ocigc_store *store, uint32_t *out, size_t capacity);
void ocigc_graph_set_verified(ocigc_store *store, uint32_t node);

/* Frees the memory of the graph: from now on, no blob refers to any other. */
int32_t ocigc_graph_clear(ocigc_store *store, struct ocigc_error *error);

enum ocigc_record {
    OCIGC_RECORD_FAULTS = 1,     /* bad blobs, at which an expansion would stop */
    OCIGC_RECORD_DESCRIPTORS = 2 /* descriptors whose blob is absent or has another size; every node has a status */
};

/* A descriptor whose blob is absent. */
struct ocigc_missing {
    uint32_t node;            /* the manifest, index or labelled blob that names it */
    struct ocigc_span digest; /* in the text */
    int8_t role;              /* enum ocigc_role; in an embedded manifest, the role there */
    int8_t media;             /* enum ocigc_media */
    uint8_t is_foreign;       /* a layer that need not be distributed, by its media type */
};

/* From now on, ocigc_graph_expand does not stop at what it records: `what`, a sum of enum ocigc_record. A node with a
 * fault has no edges. */
void ocigc_graph_record(ocigc_store *store, int32_t what);
size_t ocigc_graph_fault_count(const ocigc_store *store);
/* Why; returns its node. In the order of nodes. */
uint32_t ocigc_graph_fault(const ocigc_store *store, size_t index, struct ocigc_error *out);
/* By digest, node and role, each once; the digests are in *text. */
const struct ocigc_missing *ocigc_graph_missing(const ocigc_store *store, uint32_t *count, const char **text);
/* Nodes whose size is not what a descriptor says, ascending. */
size_t ocigc_graph_wrong_sizes(const ocigc_store *store, uint32_t *out, size_t capacity);

/* Searches every blob that no expansion has reached (JSON of at most 16 MiB) for a `subject` that is present, and
 * expands those whose subject is reached, until nothing new is reached. A blob that is not a valid JSON object is a
 * leaf. JSON whose stamp is after `newer_than` is expanded too, leniently and whether or not it is sound: a writer may
 * be about to name it. */
int32_t ocigc_graph_find_referrers(ocigc_store *store, int64_t newer_than, uint32_t threads,
                                   struct ocigc_progress *progress, struct ocigc_error *error);

/* Adds an edge from `subject` to its `referrer`, as a fallback tag does. */
int32_t ocigc_graph_add_referrer(ocigc_store *store, uint32_t subject, uint32_t referrer, struct ocigc_error *error);
/* Removes such an edge if there is one, even one from the referrer's own `subject`. UINT32_MAX has none. */
void ocigc_graph_remove_referrer(ocigc_store *store, uint32_t subject, uint32_t referrer);
/* The present subject of an expanded manifest, or UINT32_MAX. */
uint32_t ocigc_graph_subject(const ocigc_store *store, uint32_t node);
/* The same for `count` nodes (UINT32_MAX: none): out[i] is UINT32_MAX - 1 if nodes[i] has a subject that is absent.
 * Returns how many have a subject. */
size_t ocigc_graph_subjects(const ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t *out);

/* Those of `count` nodes (UINT32_MAX: none) to which an edge leads forward, or a subject leads backward. `found`
 * receives how many. */
int32_t ocigc_graph_referred(const ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t *out,
                             size_t *found, struct ocigc_error *error);

enum ocigc_reach {
    OCIGC_REACH_ALL = 0,    /* edges forward, subjects backward */
    OCIGC_REACH_FLAT = 1,   /* only the roots, and their referrers in full; later groups go on from the roots */
    OCIGC_REACH_FORWARD = 2 /* only edges forward */
};

/* Marks, group after group, what the roots of each group reach and no group before reached. Group i has the roots up to
 * roots[ends[i]], from where the group before it ended, reaches as far as reach[i] says, and owns what it marks under
 * the number `first` + i (`first` is not 0). ocigc_graph_unmark removes all marks. */
int32_t ocigc_graph_mark(ocigc_store *store, const uint32_t *roots, const uint32_t *ends, const uint8_t *reach,
                         size_t groups, uint32_t first, struct ocigc_error *error);
void ocigc_graph_unmark(ocigc_store *store);
/* The owner of every node; 0 if it is unreachable. */
const uint32_t *ocigc_graph_owners(const ocigc_store *store);
/* The nodes with an owner in low..high (0..0: the unreachable ones), ascending. */
size_t ocigc_graph_owned(const ocigc_store *store, uint32_t low, uint32_t high, uint32_t *out, size_t capacity);

/* Visits present blobs as moby's walkPresentChildren does: in preorder (config, layers; manifests), by each
 * descriptor's own media type, every node once. Writes at most `capacity` nodes and medias, and to `count` how many
 * there are. */
int32_t ocigc_graph_walk(const ocigc_store *store, uint32_t node, int32_t media, uint32_t *nodes, int32_t *medias,
                         size_t capacity, size_t *count, struct ocigc_error *error);

/* Walks from each of `count` nodes (UINT32_MAX: none), read as the enum ocigc_media in medias[i]. For walk i, `out`
 * has, from where the walk before it ended up to ends[i], the nodes that owners[i] owns and that have a flag in
 * `among`, a byte per node; `as` has the media with which each was visited. No two walks have the same owner, so `out`
 * and `as` need room for as many nodes as have a flag. */
int32_t ocigc_graph_walk_owned(const ocigc_store *store, const uint32_t *nodes, const uint8_t *medias,
                               const uint32_t *owners, size_t count, const uint8_t *among, uint32_t *out, uint8_t *as,
                               uint32_t *ends, struct ocigc_error *error);
/* Sets a byte of `flags` for every node that one of these walks visits as `media`. */
int32_t ocigc_graph_walked_as(const ocigc_store *store, const uint32_t *nodes, const uint8_t *medias, size_t count,
                              int32_t media, uint8_t *flags, struct ocigc_error *error);

/* The bytes of the nodes of a group; each node counts once. */
struct ocigc_usage {
    uint64_t size;
    uint64_t shared;  /* of nodes that other groups have too */
    uint64_t flagged; /* of nodes whose flags have the lowest bit set */
    uint32_t flags;   /* all that its nodes have */
};

/* Group i has nodes[n] (UINT32_MAX: none) up to n = ends[i], from where the group before it ended. It consists of what
 * they walk, read as the enum ocigc_media in medias[n], or, with `medias` NULL, of the nodes themselves. `flags` has a
 * byte per node, or is NULL. Every node has a status. */
int32_t ocigc_graph_usage(const ocigc_store *store, const uint32_t *nodes, const uint8_t *medias, const uint32_t *ends,
                          size_t groups, const uint8_t *flags, struct ocigc_usage *out, struct ocigc_error *error);

/* out[i]: whether what nodes[i] (UINT32_MAX: none) walks, read as medias[i], has a node with flags. */
int32_t ocigc_graph_visiting(const ocigc_store *store, const uint32_t *nodes, const uint8_t *medias, size_t count,
                             const uint8_t *flags, uint8_t *out, struct ocigc_error *error);

/* Which images have a blob. A unit is an image; it has what it walks, and those referrers of it that are not roots. */
struct ocigc_sharing {
    int32_t *owners; /* per node: the only unit that has it, or -1 - g if group g has it; INT32_MIN if none has */
    uint32_t groups; /* sets of several units that have the same nodes, in the order of their first nodes */
    uint32_t count;
    uint32_t *nodes; /* those of unit u, in the order of its walk, end before ends[u] */
    uint8_t *medias; /* the enum ocigc_media of each */
    uint32_t *ends;
    uint32_t *unit_groups; /* those of unit u, ascending, end before group_ends[u] */
    uint32_t *group_ends;
};

/* Unit i is roots[i] (UINT32_MAX: absent), read as medias[i]. Groups are told apart by the sums of the random `numbers`
 * of their units. */
int32_t ocigc_graph_sharing(const ocigc_store *store, const uint32_t *roots, const uint8_t *medias,
                            const uint64_t *numbers, size_t count, struct ocigc_sharing **sharing,
                            struct ocigc_error *error);
void ocigc_sharing_free(struct ocigc_sharing *sharing);

struct ocigc_amount {
    uint64_t size; /* bytes */
    uint32_t count;
    uint32_t fate;
};

/* What owners have. Owner u is unit u, and owner units + g is group g. */
struct ocigc_amounts {
    uint64_t *alone;           /* bytes of all its nodes */
    uint64_t *flagged;         /* of those whose fate has the flag */
    struct ocigc_amount *rows; /* its nodes by fate, in the order of the first nodes, end before ends[i] */
    uint32_t *ends;
    uint32_t count;
};

/* `owners` are those of ocigc_graph_sharing. A fate is below 8. The rows leave out the `skipped` nodes. Every node has
 * a status. */
int32_t ocigc_graph_amounts(const ocigc_store *store, const int32_t *owners, uint32_t units, uint32_t groups,
                            const uint8_t *fates, const uint8_t *skipped, uint8_t flag, struct ocigc_amounts **found,
                            struct ocigc_error *error);
void ocigc_amounts_free(struct ocigc_amounts *amounts);

/* What an expansion has read a node as: OCIGC_MEDIA_MANIFEST, OCIGC_MEDIA_INDEX, or OCIGC_MEDIA_UNKNOWN. */
int32_t ocigc_graph_form(const ocigc_store *store, uint32_t node);

/* The edges of an expanded node, in document order: targets (UINT32_MAX: absent) and roles. */
size_t ocigc_graph_edges(const ocigc_store *store, uint32_t node, uint32_t *targets, int32_t *roles, size_t capacity);

/* A path to `node` from every node that reaches it: next[n] is the node after n, or UINT32_MAX if n does not reach it;
 * roles[n] is the enum ocigc_role of that edge (SUBJECT: next[n] is a referrer of n; BACK: its label refers back to n).
 * next[node] is `node`. Both arrays have room for all nodes. */
void ocigc_graph_paths_to(const ocigc_store *store, uint32_t node, uint32_t *next, uint8_t *roles);
/* The known referrers of a node; some may be listed twice. */
size_t ocigc_graph_referrers(const ocigc_store *store, uint32_t node, uint32_t *out, size_t capacity);
/* The nodes with an edge to an absent blob, ascending. */
size_t ocigc_graph_incomplete(const ocigc_store *store, uint32_t *out, size_t capacity);

/* ------------------------------------------------------------------ verify */

enum ocigc_verdict {
    OCIGC_VERDICT_UNCHECKED = 0,
    OCIGC_VERDICT_SOUND = 1,
    OCIGC_VERDICT_CORRUPT = 2,
    OCIGC_VERDICT_UNSUPPORTED = 3, /* this core cannot compute that algorithm */
    OCIGC_VERDICT_CHANGED = 4,     /* shrank, grew or was replaced while it was read */
    OCIGC_VERDICT_UNREADABLE = 5,
    OCIGC_VERDICT_GONE = 6 /* vanished since the scan */
};

/* The XXH3-128 of a blob's content. */
struct ocigc_checksum {
    uint64_t low, high;
};

struct ocigc_verify_options {
    int64_t deadline;                 /* ns of CLOCK_MONOTONIC: no blob is started after it; the rest stays UNCHECKED */
    int32_t in_order;                 /* in the order of `nodes`, not the largest first */
    struct ocigc_checksum *checksums; /* of SOUND blobs, parallel to `nodes`; may be NULL */
    const int32_t *held;              /* not 0: see ocigc_verify_release; may be NULL */
};

/* From now on, this process maps the blobs that it hashes instead of reading them, which saves a copy. It handles
 * SIGBUS for that: a blob that shrinks meanwhile is CHANGED. Only a program may call this, not a library, which must
 * not take signals from its program. */
int32_t ocigc_map_blobs(struct ocigc_error *error);

/* Hashes the blobs of `nodes`, largest first; verdicts[i] is the enum ocigc_verdict of nodes[i]. A cancel leaves the
 * rest UNCHECKED. `options` NULL: none of them. Without a deadline, what an expansion that records descriptors has
 * found sound is not hashed again. */
int32_t ocigc_verify(const ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t threads,
                     const struct ocigc_verify_options *options, uint8_t *verdicts, struct ocigc_progress *progress,
                     struct ocigc_error *error);
/* A caller may expand the graph while another of its threads verifies the store, whose statuses must be known. It sets
 * *held before; then the large blobs are hashed, and the others wait, because the expansion hashes many of them. This
 * lets them go on: the graph does not change any more. */
void ocigc_verify_release(int32_t *held);

/* Reads the blobs of `nodes` and does nothing with them, to measure how fast that can be; blobs that cannot be read are
 * left out. With `forget`, asks the kernel instead to keep nothing of them in memory. */
int32_t ocigc_read_blobs(const ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t threads,
                         int32_t forget, uint64_t *bytes, struct ocigc_progress *progress, struct ocigc_error *error);

/* ------------------------------------------------------------------ ledger */

/* What earlier verifications have recorded about the blobs of a store: when each was verified, which file it was, its
 * XXH3-128. The store must have been scanned with OCIGC_SCAN_IDENTITY, and must outlive the ledger. */
typedef struct ocigc_ledger ocigc_ledger;

enum ocigc_selection {
    OCIGC_SELECT_CHANGED = 0,  /* new, touched since it was verified, or shortly before */
    OCIGC_SELECT_RECORDED = 1, /* has a checksum to compare with */
    OCIGC_SELECT_UNRECORDED = 2,
    OCIGC_SELECT_OLDER = 3 /* new, touched, or last verified before `instant`; the oldest first */
};

int32_t ocigc_ledger_new(const ocigc_store *store, ocigc_ledger **ledger, struct ocigc_error *error);
void ocigc_ledger_free(ocigc_ledger *ledger);
/* Reads a file from its beginning and keeps the records that are still true of the store. Drops records verified after
 * `now` and counts damaged buckets, which it drops too. OCIGC_MALFORMED if it is not a ledger of this version. */
int32_t ocigc_ledger_read(ocigc_ledger *ledger, int32_t file, int64_t now, uint64_t *damaged,
                          struct ocigc_error *error);
/* Whether it differs from the file that was read. */
int32_t ocigc_ledger_differs(const ocigc_ledger *ledger);
/* Those of `nodes` that an enum ocigc_selection selects, in their order; returns how many. */
size_t ocigc_ledger_select(const ocigc_ledger *ledger, const uint32_t *nodes, size_t count, int32_t selection,
                           int64_t instant, uint32_t *out);
/* Reads the blobs of `nodes` and compares them with the ledger's checksums: SOUND, or CORRUPT where only the digest can
 * tell. Otherwise as ocigc_verify. */
int32_t ocigc_ledger_compare(const ocigc_ledger *ledger, const uint32_t *nodes, size_t count, uint32_t threads,
                             int64_t deadline, uint8_t *verdicts, struct ocigc_progress *progress,
                             struct ocigc_error *error);
/* Records the verdicts of an ocigc_verify. The run began at the instant `began`, before the scan. A blob that is not
 * SOUND loses its record; one that is UNCHECKED keeps it. */
void ocigc_ledger_update(ocigc_ledger *ledger, const uint32_t *nodes, size_t count, const uint8_t *verdicts,
                         const struct ocigc_checksum *checksums, int64_t began);
/* Takes the newer records of another ledger of the same store, except for nodes of `own` that have no record, as these
 * were found not to be sound. */
void ocigc_ledger_take_over(ocigc_ledger *ledger, const ocigc_ledger *other, const uint32_t *own, size_t count);
/* Writes all records to an open, empty file. */
int32_t ocigc_ledger_write(const ocigc_ledger *ledger, int32_t file, struct ocigc_error *error);

/* ------------------------------------------------------------------- sweep */

enum ocigc_sweep_result {
    OCIGC_SWEEP_NOT_TRIED = 0, /* cancelled or failed before its turn */
    OCIGC_SWEEP_MOVED = 1,
    OCIGC_SWEEP_SKIPPED = 2, /* its size, mtime or ctime changed since the scan: it is in use */
    OCIGC_SWEEP_MISSING = 3  /* it was already gone */
};

/* Moves blobs into the open directory `trash` as blobs/<alg>/<encoded>, and their label files as
 * labels/<alg>/<encoded>.json; makes the directories as needed. results[i] is the enum ocigc_sweep_result of nodes[i].
 * With `durable`, they are synced in the trash before they leave the layout. The caller syncs everything else. Stops at
 * the first system call that fails for good. */
int32_t ocigc_sweep(const ocigc_store *store, const uint32_t *nodes, size_t count, int32_t trash, uint8_t durable,
                    uint8_t *results, struct ocigc_progress *progress, struct ocigc_error *error);

/* ------------------------------------------------------------------ system */

/* Removes a directory below `parent` with all that is in it. Follows no symlink. A missing directory is fine. */
int32_t ocigc_purge(int32_t parent, const char *name, struct ocigc_progress *progress, struct ocigc_error *error);

/* Swaps two names atomically (renameat2 with RENAME_EXCHANGE). os_errno is EINVAL or ENOSYS if the file system or the
 * kernel cannot. */
int32_t ocigc_exchange(int32_t first_directory, const char *first, int32_t second_directory, const char *second,
                       struct ocigc_error *error);

/* From now on, large blocks of this process's memory go back to the system once they are freed. */
void ocigc_return_memory(void);

/* This thread, and all that it starts from now on, loses the right to change anything outside of the `count` open
 * directories, and to execute programs. If the kernel is new enough, it also loses the rights to truncate files there
 * (Linux 6.2), to use TCP unless `network` is set (6.7), to control devices (6.10), and to reach other processes by
 * signals or abstract sockets (6.12). OCIGC_SYSTEM if the kernel has no Landlock. */
int32_t ocigc_confine(const int32_t *directories, size_t count, int32_t network, struct ocigc_error *error);

#endif
