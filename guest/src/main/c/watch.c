/* Watches on directories: one inotify instance for each. Events are told as E2B's envd tells them. */
#include "agent.h"
#include <dirent.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include "wire.h"

enum { FLAG_RECURSIVE = 1, FLAG_ENTRIES = 2, FLAG_NETWORK_MOUNTS = 4 };
enum { MAX_WATCHERS = 64, MAX_DIRECTORIES = 16384, MAX_ANNOUNCED = 16384, BUCKETS = 1024, STEP_EVENTS = 64 };
/* Credit without which no event is begun: a name, and a file with its path, target and metadata. */
enum { EVENT_ROOM = FILE_INFO_MOST + PATH_MAX + 64 };
enum { SMB_MAGIC = 0x517B };            /* smbfs, which left the kernel, and its headers */

enum operation { NONE, CREATE, WRITE, REMOVE, RENAME, CHMOD };

static const uint32_t EVENTS = IN_CREATE | IN_MODIFY | IN_DELETE | IN_DELETE_SELF | IN_MOVED_TO | IN_MOVED_FROM
                               | IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR;

/* A watched directory. */
struct node {
    struct node *next;                  /* in its bucket */
    struct node *parent, *children, *sibling;
    struct node *next_scan;
    int wd;
    bool adrift;                        /* moved away, and not yet seen to arrive anywhere */
    bool announce;                      /* what a scan of it finds is news */
    char *name;
};

/* An entry that a scan told of; the kernel may have an event that it was created waiting for us too. */
struct announced {
    struct announced *next;
    int wd;
    char name[];
};

struct watcher {
    struct object object;
    struct task task;
    struct watch watch;
    struct channel *channel;
    uint8_t flags;
    bool opened;
    char root_path[PATH_MAX];

    struct node *root, *nodes[BUCKETS];
    int node_count;
    bool any_adrift;
    struct announced *announced[BUCKETS];
    int announced_count;

    struct node *to_scan, **to_scan_end;
    int scanned_fd;                     /* the first of to_scan, while it is being read; -1 */
    long scan_at, scan_length;
    char scan_buffer[4096] __attribute__((aligned(8)));

    enum operation operations[3];       /* to be told of name, from operation_at on */
    int operation_at, operation_count;
    char name[PATH_MAX];                /* relative to the root */

    uint32_t commit_cookie;             /* of the agent's own upload that is about to take its name */
    bool commit_replaces;
    long event_at, event_length;
    char events[4096] __attribute__((aligned(8)));
};

static int watcher_count;

/* ---- the tree of directories ---- */

static struct node *find(struct watcher *w, int wd)
{
    struct node *n = w->nodes[(unsigned)wd % BUCKETS];
    while (n && n->wd != wd)
        n = n->next;
    return n;
}

static void unlink_from_parent(struct node *n)
{
    if (!n->parent)
        return;
    struct node **link = &n->parent->children;
    while (*link != n)
        link = &(*link)->sibling;
    *link = n->sibling;
    n->parent = NULL;
}

static void link_to_parent(struct node *n, struct node *parent)
{
    n->parent = parent;
    n->sibling = parent->children;
    parent->children = n;
}

/* Forgets a directory and all below it. */
static void drop(struct watcher *w, struct node *n)
{
    while (n->children)
        drop(w, n->children);
    unlink_from_parent(n);
    inotify_rm_watch(w->watch.fd, n->wd);       /* fails where the kernel has done it already */
    struct node **link = &w->nodes[(unsigned)n->wd % BUCKETS];
    while (*link != n)
        link = &(*link)->next;
    *link = n->next;
    w->node_count--;
    if (w->root == n)
        w->root = NULL;
    free(n->name);
    free(n);
}

/* The path of an entry of a directory below the root, "." for the root itself. False: it is too long. */
static bool relative_path(const struct node *n, const char *entry, char path[PATH_MAX])
{
    char *at = path + PATH_MAX - 1;
    *at = 0;
    const char *part = entry;
    for (; part; part = n->parent ? n->name : NULL, n = n->parent ? n->parent : n) {
        size_t length = strlen(part);
        if ((size_t)(at - path) < length + 1)
            return false;
        if (*at)
            *--at = '/';
        at -= length;
        memcpy(at, part, length);
    }
    if (!*at)
        *--at = '.';
    memmove(path, at, strlen(at) + 1);
    return true;
}

static bool full_path(const struct watcher *w, const char *relative, char path[PATH_MAX])
{
    const char *root = strcmp(w->root_path, "/") ? w->root_path : "";
    int n = strcmp(relative, ".") ? snprintf(path, PATH_MAX, "%s/%s", root, relative)
                                  : snprintf(path, PATH_MAX, "%s", w->root_path);
    return n < PATH_MAX;
}

/* Watches a directory, or finds that it is one that was moved here. *added: it is new. 0 or an error. */
static int watch_directory(struct watcher *w, struct node *parent, const char *name, struct node **added)
{
    char relative[PATH_MAX], path[PATH_MAX];
    *added = NULL;
    if (parent ? !relative_path(parent, name, relative) || !full_path(w, relative, path)
               : !full_path(w, ".", path))
        return 0;
    int wd = inotify_add_watch(w->watch.fd, path, EVENTS | (parent ? IN_DONT_FOLLOW : 0));
    if (wd < 0)
        return errno == ENOSPC || errno == ENOMEM || !parent ? errno : 0;   /* otherwise it has gone meanwhile */
    struct node *n = find(w, wd);
    if (n == w->root && n)
        return 0;
    if (!n) {
        n = w->node_count < MAX_DIRECTORIES ? calloc(1, sizeof *n) : NULL;
        if (!n) {
            inotify_rm_watch(w->watch.fd, wd);
            return w->node_count < MAX_DIRECTORIES ? ENOMEM : ENOSPC;
        }
        n->wd = wd;
        n->next = w->nodes[(unsigned)wd % BUCKETS];
        w->nodes[(unsigned)wd % BUCKETS] = n;
        w->node_count++;
        *added = n;
    } else {
        for (struct node *above = parent; above; above = above->parent)
            if (above == n)
                return 0;               /* mounted below itself */
        unlink_from_parent(n);
        free(n->name);
        n->adrift = false;
    }
    if (parent)
        link_to_parent(n, parent);
    n->name = strdup(parent ? name : "");
    return n->name ? 0 : ENOMEM;
}

static void scan_later(struct watcher *w, struct node *n, bool announce)
{
    n->announce = announce;
    n->next_scan = NULL;
    *w->to_scan_end = n;
    w->to_scan_end = &n->next_scan;
}

static struct node *child_named(struct node *n, const char *name)
{
    struct node *child = n->children;
    while (child && strcmp(child->name, name))
        child = child->sibling;
    return child;
}

/* ---- what scans told of ---- */

static struct announced **announced_bucket(struct watcher *w, int wd, const char *name)
{
    unsigned hash = wd;
    for (; *name; name++)
        hash = hash * 31 + (uint8_t)*name;
    return &w->announced[hash % BUCKETS];
}

static void remember(struct watcher *w, int wd, const char *name)
{
    size_t size = strlen(name) + 1;
    struct announced *a = w->announced_count < MAX_ANNOUNCED ? malloc(sizeof *a + size) : NULL;
    if (!a)
        return;                         /* it may be told of twice */
    a->wd = wd;
    memcpy(a->name, name, size);
    struct announced **bucket = announced_bucket(w, wd, name);
    a->next = *bucket;
    *bucket = a;
    w->announced_count++;
}

/* Whether a scan told of this entry; if so, no longer. */
static bool was_announced(struct watcher *w, int wd, const char *name)
{
    for (struct announced **link = announced_bucket(w, wd, name); *link; link = &(*link)->next) {
        struct announced *a = *link;
        if (a->wd == wd && !strcmp(a->name, name)) {
            *link = a->next;
            free(a);
            w->announced_count--;
            return true;
        }
    }
    return false;
}

static void forget_announced(struct watcher *w)
{
    for (int i = 0; i < BUCKETS && w->announced_count; i++)
        while (w->announced[i]) {
            struct announced *a = w->announced[i];
            w->announced[i] = a->next;
            free(a);
            w->announced_count--;
        }
}

/* ---- telling ---- */

static void end(struct watcher *w)
{
    task_remove(&w->task);
    for (int i = 0; i < BUCKETS; i++)
        while (w->nodes[i]) {
            struct node *n = w->nodes[i];
            w->nodes[i] = n->next;
            free(n->name);
            free(n);
        }
    forget_announced(w);
    if (w->scanned_fd >= 0)
        close(w->scanned_fd);
    watch_close(&w->watch);             /* the kernel drops the instance's watches with it */
    watcher_count--;
    object_free(&w->object);
}

static void dropped(struct channel *c)
{
    end(c->owner);
}

static bool failed(struct watcher *w, const char *why)
{
    struct channel *c = w->channel;
    end(w);
    channel_fail(c, INTERNAL, "watcher error: %s", why);
    return false;
}

static bool failed_to_add(struct watcher *w, int error)
{
    return failed(w, error == ENOSPC ? "more directories than can be watched" : strerror(error));
}

static void tell(struct watcher *w, enum operation operation)
{
    w->operations[w->operation_count++] = operation;
}

static void tell_next(struct watcher *w)
{
    enum operation operation = w->operations[w->operation_at++];
    uint8_t *payload = frame_begin();
    struct writer out = {payload, payload + MAX_FRAME_OUT};
    put_u8(&out, operation);
    put_string(&out, w->name);
    char path[PATH_MAX];
    struct stat s;
    /* What was removed or renamed is not there any more, and another may be in its place. */
    bool has_entry = w->flags & FLAG_ENTRIES && operation != REMOVE && operation != RENAME
                     && full_path(w, w->name, path) && !lstat(path, &s);
    put_u8(&out, has_entry);
    if (has_entry)
        file_put_info(&out, AT_FDCWD, path, path, &s);
    channel_data(w->channel, 0, out.at - payload);
    if (w->operation_at == w->operation_count)
        w->operation_at = w->operation_count = 0;
}

/* ---- scanning ---- */

static int scan_entry(struct watcher *w, struct node *n, const struct directory_entry *e)
{
    bool replaces;
    if (!strcmp(e->name, ".") || !strcmp(e->name, "..") || file_is_temporary(e->name, &replaces))
        return 0;
    struct stat s;
    bool directory = e->type == DT_DIR
                     || (e->type == DT_UNKNOWN && !fstatat(w->scanned_fd, e->name, &s, AT_SYMLINK_NOFOLLOW)
                         && S_ISDIR(s.st_mode));
    if (n->announce && relative_path(n, e->name, w->name)) {
        remember(w, n->wd, e->name);
        tell(w, CREATE);
    }
    struct node *added = NULL;
    int error = directory ? watch_directory(w, n, e->name, &added) : 0;
    if (added)
        scan_later(w, added, n->announce);
    return error;
}

/* Reads one entry of the first directory to be scanned. 0 or an error. */
static int scan_step(struct watcher *w)
{
    struct node *n = w->to_scan;
    if (w->scanned_fd < 0) {
        char relative[PATH_MAX], path[PATH_MAX];
        bool fits = n->parent ? relative_path(n->parent, n->name, relative) && full_path(w, relative, path)
                              : full_path(w, ".", path);
        w->scanned_fd = fits ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        w->scan_at = w->scan_length = 0;
    }
    if (w->scanned_fd >= 0 && w->scan_at >= w->scan_length) {
        w->scan_at = 0;
        w->scan_length = syscall(SYS_getdents64, w->scanned_fd, w->scan_buffer, sizeof w->scan_buffer);
    }
    if (w->scanned_fd < 0 || w->scan_length <= 0) {
        if (w->scanned_fd >= 0)
            close(w->scanned_fd);
        w->scanned_fd = -1;
        w->to_scan = n->next_scan;
        if (!w->to_scan)
            w->to_scan_end = &w->to_scan;
        return 0;
    }
    struct directory_entry *e = (struct directory_entry *)(w->scan_buffer + w->scan_at);
    w->scan_at += e->length;
    return scan_entry(w, n, e);
}

/* ---- the kernel's events ---- */

/* The kernel has no more to tell for now. */
static void settle(struct watcher *w)
{
    forget_announced(w);
    for (int i = 0; i < BUCKETS && w->any_adrift; i++)
        for (struct node *n = w->nodes[i]; n;) {
            if (n->adrift) {
                drop(w, n);
                n = w->nodes[i];        /* the bucket may have lost others with it */
            } else {
                n = n->next;
            }
        }
    w->any_adrift = false;
}

static void self_event(struct watcher *w, struct node *n, uint32_t mask)
{
    if (n != w->root)
        return;                         /* its parent's watch tells of it */
    strcpy(w->name, ".");
    if (mask & IN_ATTRIB)
        tell(w, CHMOD);
    if (mask & IN_DELETE_SELF)
        tell(w, REMOVE);
    if (mask & IN_MOVE_SELF) {
        tell(w, RENAME);
        drop(w, n);                     /* it is not at its path any more */
    }
}

/* 0 or an error. */
static int entry_event(struct watcher *w, struct node *n, const struct inotify_event *e)
{
    bool replaces;
    if (file_is_temporary(e->name, &replaces)) {
        if (e->mask & IN_MOVED_FROM) {
            w->commit_cookie = e->cookie;
            w->commit_replaces = replaces;
        }
        return 0;
    }
    bool arrived = e->mask & (IN_CREATE | IN_MOVED_TO);
    if ((e->mask & IN_CREATE) && was_announced(w, n->wd, e->name))
        return 0;
    if (!relative_path(n, e->name, w->name))
        return 0;
    if ((e->mask & IN_MOVED_TO) && e->cookie == w->commit_cookie) {
        /* An upload, which a client expects to see as a file that is made, given to its owner and written. */
        if (!w->commit_replaces)
            tell(w, CREATE);
        tell(w, CHMOD);
        tell(w, WRITE);
        w->commit_cookie = 0;
        return 0;
    }
    tell(w, arrived ? CREATE : e->mask & IN_MOVED_FROM ? RENAME : e->mask & IN_ATTRIB ? CHMOD
            : e->mask & IN_MODIFY ? WRITE : REMOVE);
    if (!(w->flags & FLAG_RECURSIVE) || !(e->mask & IN_ISDIR))
        return 0;
    if (e->mask & IN_MOVED_FROM) {
        struct node *child = child_named(n, e->name);
        if (child)
            child->adrift = w->any_adrift = true;
    }
    struct node *added = NULL;
    int error = arrived ? watch_directory(w, n, e->name, &added) : 0;
    /* What was made inside a new directory before it was watched is news; what comes with one that moves is not. */
    if (added)
        scan_later(w, added, e->mask & IN_CREATE);
    return error;
}

static bool next_event(struct watcher *w)
{
    const struct inotify_event *e = (const struct inotify_event *)(w->events + w->event_at);
    w->event_at += sizeof *e + e->len;
    if (e->mask & IN_Q_OVERFLOW)
        return failed(w, "events come faster than they are taken");
    struct node *n = find(w, e->wd);
    if (!n)
        return true;
    if (e->mask & (IN_IGNORED | IN_UNMOUNT)) {
        drop(w, n);
        return true;
    }
    if (!e->len) {
        self_event(w, n, e->mask);
        return true;
    }
    int error = entry_event(w, n, e);
    return error ? failed_to_add(w, error) : true;
}

static bool step(struct task *task)
{
    struct watcher *w = (struct watcher *)((char *)task - offsetof(struct watcher, task));
    for (int i = 0; i < STEP_EVENTS && output_room(); i++) {
        if (w->operation_count) {
            if (w->channel->credit < EVENT_ROOM)
                return false;           /* meanwhile, what happens waits in the kernel */
            tell_next(w);
        } else if (w->to_scan) {
            int error = scan_step(w);
            if (error)
                return failed_to_add(w, error);
        } else if (!w->opened) {
            w->opened = true;
            frame_begin();
            channel_opened(w->channel, 0);
        } else if (w->event_at < w->event_length) {
            if (!next_event(w))
                return false;
        } else {
            w->event_at = 0;
            w->event_length = read(w->watch.fd, w->events, sizeof w->events);
            if (w->event_length <= 0) {
                settle(w);
                return false;
            }
        }
    }
    return true;
}

static void on_events(struct watch *watch, uint32_t events)
{
    (void)events;
    struct watcher *w = (struct watcher *)((char *)watch - offsetof(struct watcher, watch));
    /* At once: an answer to a request that the host makes after a change must not overtake what tells of the change. */
    if (!wire_connected() || step(&w->task))
        task_queue(&w->task);
}

static void on_credit(struct channel *c)
{
    struct watcher *w = c->owner;
    task_queue(&w->task);
}

static bool on_network(const char *path)
{
    struct statfs s;
    if (statfs(path, &s))
        return false;
    switch ((uint32_t)s.f_type) {
    case NFS_SUPER_MAGIC: case SMB_MAGIC: case FUSE_SUPER_MAGIC: case CIFS_SUPER_MAGIC: case SMB2_SUPER_MAGIC:
        return true;
    default:
        return false;
    }
}

static int begin(struct watcher *w)
{
    struct stat s;
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return errno;
    w->watch.on_event = on_events;
    if (!watch_open(&w->watch, fd, EPOLLIN)) {
        int error = errno;
        close(fd);
        w->watch.fd = -1;
        return error;
    }
    if (stat(w->root_path, &s))
        return errno;
    if (!S_ISDIR(s.st_mode))
        return ENOTDIR;
    int error = watch_directory(w, NULL, NULL, &w->root);
    if (!error && w->flags & FLAG_RECURSIVE)
        scan_later(w, w->root, false);
    return error;
}

void file_watch(struct channel *c, struct reader *r)
{
    const char *path = file_read_path(c, r);
    if (!path)
        return;
    uint8_t flags = read_u8(r);
    struct watcher *w = NULL;
    if (r->failed) {
        channel_fail(c, INVALID_ARGUMENT, "malformed request");
        return;
    }
    if (!(flags & FLAG_NETWORK_MOUNTS) && on_network(path)) {
        channel_fail(c, INVALID_ARGUMENT, "cannot watch path on network filesystem: %s", path);
        return;
    }
    if (watcher_count >= MAX_WATCHERS || !(w = calloc(1, sizeof *w))) {
        channel_fail(c, RESOURCE_EXHAUSTED, "more than %d directories are watched at once", MAX_WATCHERS);
        return;
    }
    watcher_count++;
    w->channel = c;
    w->flags = flags;
    w->watch.fd = w->scanned_fd = -1;
    w->to_scan_end = &w->to_scan;
    w->task.step = step;
    file_strip_slashes(w->root_path, path);
    c->owner = w;
    c->on_credit = on_credit;
    c->on_drop = dropped;
    int error = begin(w);
    if (error) {
        end(w);
        if (error == ENOSPC)
            channel_fail(c, INTERNAL, "watcher error: more directories than can be watched");
        else
            channel_fail_errno(c, path, error);
        return;
    }
    task_queue(&w->task);
}
