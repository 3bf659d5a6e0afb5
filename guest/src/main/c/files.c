/* File operations, done as root; new files belong to the user named. */
#include "agent.h"
#include <dirent.h>
#include <limits.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

enum { LIST_DEPTH = 256, REMOVE_DEPTH = 4096, STEP_ENTRIES = 64, ENTRY_BUFFER = 8 * 1024 };

/* What E2B's envd keeps of a file's metadata, and where. */
static const char METADATA_PREFIX[] = "user.e2b.";
enum { METADATA_ENTRIES = 128, METADATA_BYTES = 4096, NAME_MOST = 256 };

const char *file_read_path(struct channel *c, struct reader *r)
{
    const char *path = read_string(r);
    if (r->failed) {
        channel_fail(c, INVALID_ARGUMENT, "malformed request");
        return NULL;
    }
    if (path[0] != '/') {
        channel_fail(c, INVALID_ARGUMENT, "path '%s' must be absolute", path);
        return NULL;
    }
    if (strlen(path) >= PATH_MAX) {
        channel_fail(c, INVALID_ARGUMENT, "path is longer than %d bytes", PATH_MAX - 1);
        return NULL;
    }
    return path;
}

static const struct user *read_user(struct channel *c, struct reader *r)
{
    const char *name = read_string(r);
    const struct user *u = r->failed ? NULL : user_find(name);
    if (!u)
        channel_fail(c, UNKNOWN_USER, "no user '%s' in this sandbox", name);
    return u;
}

static void fail_path(struct channel *c, const char *path, int error)
{
    channel_fail(c, kind_of(error), "%s: %s", path, strerror(error));
}

static void patch_u32(uint8_t *at, uint32_t v)
{
    memcpy(at, &v, sizeof v);
}

/* A link has the metadata of what it leads to. */
static void put_metadata(struct writer *w, const char *path)
{
    static char names[64 * 1024];       /* XATTR_LIST_MAX */
    uint8_t *count_at = w->at;
    uint32_t count = 0;
    size_t bytes = 0, prefix = sizeof METADATA_PREFIX - 1;
    put_u32(w, 0);
    ssize_t length = listxattr(path, names, sizeof names);
    for (char *name = names; length > 0 && name < names + length && count < METADATA_ENTRIES; name += strlen(name) + 1) {
        if (strncmp(name, METADATA_PREFIX, prefix))
            continue;
        char value[METADATA_BYTES + 1];
        ssize_t n = getxattr(path, name, value, METADATA_BYTES);
        if (n < 0 || bytes + strlen(name + prefix) + n > METADATA_BYTES)
            continue;
        value[n] = 0;
        bytes += strlen(name + prefix) + n;
        put_string(w, name + prefix);
        put_string(w, value);
        count++;
    }
    patch_u32(count_at, count);
}

static uint8_t type_of(const struct stat *s)
{
    return S_ISREG(s->st_mode) ? 0 : S_ISDIR(s->st_mode) ? 1 : S_ISLNK(s->st_mode) ? 2 : 3;
}

/* What a link says, and what it leads to: a type, mode and path; 4: nothing, 5: a circle. */
static void put_link(struct writer *w, int directory, const char *name, const char *path)
{
    enum { NOTHING = 4, CIRCLE = 5 };
    char target[PATH_MAX], resolved[PATH_MAX];
    struct stat end;
    ssize_t n = readlinkat(directory, name, target, sizeof target - 1);
    target[n > 0 ? n : 0] = 0;
    put_string(w, target);
    if (realpath(path, resolved) && !stat(resolved, &end)) {
        put_u8(w, type_of(&end));
        put_u32(w, end.st_mode & 07777);
        put_string(w, resolved);
    } else {
        put_u8(w, errno == ELOOP ? CIRCLE : NOTHING);
    }
}

void file_put_info(struct writer *w, int directory, const char *name, const char *path, const struct stat *s)
{
    put_u8(w, type_of(s));
    put_u32(w, s->st_mode & 07777);
    put_u64(w, s->st_size);
    put_u64(w, s->st_mtim.tv_sec);
    put_u32(w, s->st_mtim.tv_nsec);
    put_string(w, user_name(s->st_uid));
    put_string(w, group_name(s->st_gid));
    put_string(w, path);
    if (S_ISLNK(s->st_mode))
        put_link(w, directory, name, path);
    /* No other file can have any, and looking at a device may start something. */
    if (S_ISREG(s->st_mode) || S_ISDIR(s->st_mode) || S_ISLNK(s->st_mode))
        put_metadata(w, path);
    else
        put_u32(w, 0);
}

static void finish_with_info(struct channel *c, const char *path)
{
    struct stat s;
    if (lstat(path, &s)) {
        fail_path(c, path, errno);
        return;
    }
    uint8_t *payload = frame_begin();
    struct writer w = {payload, payload + MAX_FRAME_OUT};
    put_u8(&w, OK);
    file_put_info(&w, AT_FDCWD, path, path, &s);
    channel_finish(c, w.at - payload);
}

void file_stat(struct channel *c, struct reader *r)
{
    const char *path = file_read_path(c, r);
    if (path)
        finish_with_info(c, path);
}

/* Makes the directories above the last '/' of path that are missing. 0 or an error. */
static int make_parents(const char *path, const struct user *u)
{
    char part[PATH_MAX];
    size_t length = strlen(path);
    memcpy(part, path, length + 1);
    char *last = strrchr(part, '/');
    if (last == part)
        return 0;
    *last = 0;
    struct stat s;
    if (!stat(part, &s))
        return S_ISDIR(s.st_mode) ? 0 : ENOTDIR;
    *last = '/';
    for (char *slash = part + 1; slash <= last; slash++) {
        if (*slash != '/' || slash[-1] == '/')
            continue;
        *slash = 0;
        if (!mkdir(part, 0755)) {
            if (is_guest && lchown(part, u->uid, u->gid))
                return errno;
        } else if (errno != EEXIST) {
            return errno;
        } else if (stat(part, &s) || !S_ISDIR(s.st_mode)) {
            return ENOTDIR;
        }
        *slash = '/';
    }
    return 0;
}

void file_strip_slashes(char *to, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    memcpy(to, path, n);
    to[n] = 0;
}

void file_mkdir(struct channel *c, struct reader *r)
{
    char path[PATH_MAX];
    const char *given = file_read_path(c, r);
    const struct user *u = given ? read_user(c, r) : NULL;
    if (!u)
        return;
    file_strip_slashes(path, given);
    int error = make_parents(path, u);
    if (!error && mkdir(path, 0755))
        error = errno;
    else if (!error && is_guest && lchown(path, u->uid, u->gid))
        error = errno;
    if (error)
        fail_path(c, path, error);
    else
        finish_with_info(c, path);
}

void file_move(struct channel *c, struct reader *r)
{
    char to[PATH_MAX];
    const char *from = file_read_path(c, r);
    const char *given = from ? file_read_path(c, r) : NULL;
    const struct user *u = given ? read_user(c, r) : NULL;
    if (!u)
        return;
    file_strip_slashes(to, given);
    struct stat s;
    int error = lstat(from, &s) ? errno : make_parents(to, u);
    if (!error && rename(from, to))
        error = errno;
    if (error)
        fail_path(c, from, error);
    else
        finish_with_info(c, to);
}

/* ---- removal ---- */

/*
 * Depth first, a few entries at a turn. Only the directory at hand is open; the way back up is "..", and is taken only
 * when it leads to the directory we came from, so that moving a directory meanwhile cannot lead us astray.
 */
struct removal {
    struct object object;
    struct task task;
    struct channel *channel;
    int directory;
    int depth;
    struct { dev_t device; ino_t inode; } *way;
    char path[PATH_MAX];
};

static void removal_end(struct channel *c)
{
    struct removal *m = c->owner;
    task_remove(&m->task);
    if (m->directory >= 0)
        close(m->directory);
    free(m->way);
    object_free(&m->object);
}

static bool removal_failed(struct removal *m, int error)
{
    struct channel *c = m->channel;
    fail_path(c, m->path, error);       /* frees the channel, not the removal */
    struct channel stub = {.owner = m};
    removal_end(&stub);
    return false;
}

static int remove_one(int directory, const char *name)
{
    if (!unlinkat(directory, name, 0))
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return errno;
    int first = errno;
    if (!unlinkat(directory, name, AT_REMOVEDIR))
        return 0;
    return errno == ENOTDIR ? first : errno;
}

static int descend(struct removal *m, const char *name)
{
    if (m->depth >= REMOVE_DEPTH)
        return ELOOP;
    int fd = openat(m->directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat s;
    if (fd < 0)
        return errno;
    if (fstat(m->directory, &s)) {
        close(fd);
        return errno;
    }
    m->way[m->depth].device = s.st_dev;
    m->way[m->depth++].inode = s.st_ino;
    close(m->directory);
    m->directory = fd;
    return 0;
}

static int ascend(struct removal *m)
{
    int fd = openat(m->directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat s;
    if (fd < 0)
        return errno;
    m->depth--;
    if (fstat(fd, &s) || s.st_dev != m->way[m->depth].device || s.st_ino != m->way[m->depth].inode) {
        close(fd);
        return EBUSY;
    }
    close(m->directory);
    m->directory = fd;
    return 0;
}

static bool removal_step(struct task *task)
{
    struct removal *m = (struct removal *)((char *)task - offsetof(struct removal, task));
    static char buffer[4096] __attribute__((aligned(8)));
    lseek(m->directory, 0, SEEK_SET);
    bool any = false;
    long n;
    while ((n = syscall(SYS_getdents64, m->directory, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < n;) {
            struct directory_entry *e = (struct directory_entry *)(buffer + at);
            at += e->length;
            if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
                continue;
            any = true;
            int error = remove_one(m->directory, e->name);
            if (error == ENOTEMPTY || error == EEXIST) {
                error = descend(m, e->name);
                if (!error)
                    return true;
            }
            if (error && error != ENOENT)
                return removal_failed(m, error);
        }
        if (any)
            return true;                /* this directory's next entries at the next turn */
    }
    if (n < 0)
        return removal_failed(m, errno);
    if (m->depth) {
        int error = ascend(m);
        return error ? removal_failed(m, error) : true;
    }
    if (rmdir(m->path) && errno != ENOENT)
        return errno == ENOTEMPTY ? true : removal_failed(m, errno);
    struct channel *c = m->channel;
    removal_end(c);
    channel_done(c);
    return false;
}

void file_remove(struct channel *c, struct reader *r)
{
    char path[PATH_MAX];
    const char *given = file_read_path(c, r);
    if (!given)
        return;
    file_strip_slashes(path, given);
    int error = remove_one(AT_FDCWD, path);
    if (!error) {
        channel_done(c);
        return;
    }
    if (error != ENOTEMPTY && error != EEXIST) {
        fail_path(c, path, error);
        return;
    }
    struct removal *m = calloc(1, sizeof *m);
    void *way = calloc(REMOVE_DEPTH, sizeof *m->way);
    if (!m || !way) {
        free(m);
        free(way);
        channel_fail(c, RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    m->way = way;
    m->channel = c;
    m->task.step = removal_step;
    strcpy(m->path, path);
    c->owner = m;
    c->on_drop = removal_end;
    m->directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (m->directory < 0)
        removal_failed(m, errno);
    else
        task_queue(&m->task);
}

/* ---- list ---- */

struct level {
    int directory;
    long at, length;
    size_t path_length;
    char buffer[ENTRY_BUFFER] __attribute__((aligned(8)));
};

struct walk {
    struct object object;
    struct task task;
    struct channel *channel;
    int depth, most;
    struct level *levels[LIST_DEPTH];
    char path[PATH_MAX];
};

static void walk_leave(struct walk *k)
{
    struct level *l = k->levels[--k->depth];
    close(l->directory);
    free(l);
}

static void walk_end(struct channel *c)
{
    struct walk *k = c->owner;
    task_remove(&k->task);
    while (k->depth)
        walk_leave(k);
    object_free(&k->object);
}

static int walk_enter(struct walk *k, int at, const char *name, int flags)
{
    struct level *l = malloc(sizeof *l);
    if (!l)
        return ENOMEM;
    l->directory = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
    if (l->directory < 0) {
        int error = errno;
        free(l);
        return error;
    }
    l->at = l->length = 0;
    l->path_length = strlen(k->path);
    k->levels[k->depth++] = l;
    return 0;
}

/* One entry. False: the credit is used up, and the entry stays. */
static bool walk_entry(struct walk *k, struct level *l, struct directory_entry *e)
{
    struct channel *c = k->channel;
    size_t room = credit_for_data(c);
    size_t name_length = strlen(e->name);
    if (l->path_length + name_length + 2 > sizeof k->path)
        return true;
    if (room < FILE_INFO_MOST)
        return false;
    char *end = k->path + l->path_length;
    if (end > k->path + 1)
        *end++ = '/';
    memcpy(end, e->name, name_length + 1);
    struct stat s;
    if (!fstatat(l->directory, e->name, &s, AT_SYMLINK_NOFOLLOW)) {
        uint8_t *payload = frame_begin();
        struct writer w = {payload, payload + room};
        file_put_info(&w, l->directory, e->name, k->path, &s);
        channel_data(c, 0, w.at - payload);
        if (S_ISDIR(s.st_mode) && k->depth < k->most) {
            /* A directory that goes away meanwhile, or cannot be read, is listed without its content. */
            if (!walk_enter(k, l->directory, e->name, O_NOFOLLOW))
                return true;
        }
    }
    k->path[l->path_length] = 0;
    return true;
}

static bool walk_step(struct task *task)
{
    struct walk *k = (struct walk *)((char *)task - offsetof(struct walk, task));
    struct channel *c = k->channel;
    for (int i = 0; i < STEP_ENTRIES && output_room(); i++) {
        if (!k->depth) {
            walk_end(c);
            channel_done(c);
            return false;
        }
        struct level *l = k->levels[k->depth - 1];
        if (l->at >= l->length) {
            l->at = 0;
            l->length = syscall(SYS_getdents64, l->directory, l->buffer, sizeof l->buffer);
            if (l->length <= 0) {
                walk_leave(k);
                if (k->depth)
                    k->path[k->levels[k->depth - 1]->path_length] = 0;
                continue;
            }
        }
        struct directory_entry *e = (struct directory_entry *)(l->buffer + l->at);
        if (strcmp(e->name, ".") && strcmp(e->name, "..") && !walk_entry(k, l, e))
            return false;
        l->at += e->length;
    }
    return true;
}

static void walk_credit(struct channel *c)
{
    struct walk *k = c->owner;
    task_queue(&k->task);
}

void file_list(struct channel *c, struct reader *r)
{
    const char *path = file_read_path(c, r);
    if (!path)
        return;
    uint32_t depth = read_u32(r);
    if (r->failed || depth < 1) {
        channel_fail(c, INVALID_ARGUMENT, "depth must be at least 1");
        return;
    }
    struct walk *k = calloc(1, sizeof *k);
    if (!k) {
        channel_fail(c, RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    file_strip_slashes(k->path, path);
    k->most = depth < LIST_DEPTH ? depth : LIST_DEPTH;
    int error = walk_enter(k, AT_FDCWD, k->path, 0);
    if (error) {
        fail_path(c, path, error);
        free(k);
        return;
    }
    k->channel = c;
    k->task.step = walk_step;
    c->owner = k;
    c->on_credit = walk_credit;
    c->on_drop = walk_end;
    task_queue(&k->task);
}

/* ---- read ---- */

struct source {
    struct object object;
    struct task task;
    struct channel *channel;
    int fd;
};

static void source_end(struct channel *c)
{
    struct source *s = c->owner;
    task_remove(&s->task);
    close(s->fd);
    object_free(&s->object);
}

static bool source_step(struct task *task)
{
    struct source *s = (struct source *)((char *)task - offsetof(struct source, task));
    struct channel *c = s->channel;
    size_t room = credit_for_data(c);
    if (!room)
        return false;
    ssize_t n = read(s->fd, frame_begin(), room);
    if (n > 0) {
        channel_data(c, 0, n);
        return true;
    }
    int error = errno;
    source_end(c);
    if (n)
        channel_fail_errno(c, "read", error);
    else
        channel_done(c);
    return false;
}

static void source_credit(struct channel *c)
{
    struct source *s = c->owner;
    task_queue(&s->task);
}

void file_read(struct channel *c, struct reader *r)
{
    const char *path = file_read_path(c, r);
    if (!path)
        return;
    /* O_NONBLOCK: opening a FIFO or a device must not hold the agent up. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat s;
    if (fd < 0 || fstat(fd, &s)) {
        fail_path(c, path, errno);
        if (fd >= 0)
            close(fd);
        return;
    }
    struct source *source = calloc(1, sizeof *source);
    if (!source || !S_ISREG(s.st_mode)) {
        if (!source)
            channel_fail(c, RESOURCE_EXHAUSTED, "out of memory");
        else if (S_ISDIR(s.st_mode))
            fail_path(c, path, EISDIR);
        else
            channel_fail(c, INVALID_ARGUMENT, "%s: not a regular file", path);
        free(source);
        close(fd);
        return;
    }
    source->channel = c;
    source->fd = fd;
    source->task.step = source_step;
    c->owner = source;
    c->on_credit = source_credit;
    c->on_drop = source_end;
    uint8_t *payload = frame_begin();
    struct writer w = {payload, payload + MAX_FRAME_OUT};
    file_put_info(&w, AT_FDCWD, path, path, &s);
    channel_opened(c, w.at - payload);
    task_queue(&source->task);
}

/* ---- write ---- */

/* The name of an unfinished upload tells those who watch its directory whether it will be a new file. */
enum { IS_NEW = 'n', REPLACES = 'r' };

bool file_is_temporary(const char *name, bool *replaces)
{
    static const char before[] = ".cube-", digits[] = "0123456789abcdef", after[] = ".tmp";
    enum { DIGITS = 16 };
    if (strncmp(name, before, sizeof before - 1))
        return false;
    const char *kind = name + sizeof before - 1;
    *replaces = *kind == REPLACES;
    return (*replaces || *kind == IS_NEW) && strspn(kind + 1, digits) == DIGITS && !strcmp(kind + 1 + DIGITS, after);
}

struct target {
    struct object object;
    struct channel *channel;
    int fd;
    bool in_place;
    char path[PATH_MAX], temporary[PATH_MAX + 32];
};

static void target_end(struct channel *c)
{
    struct target *t = c->owner;
    close(t->fd);
    if (!t->in_place)
        unlink(t->temporary);
    object_free(&t->object);
}

static void target_failed(struct channel *c, int error)
{
    struct target *t = c->owner;
    target_end(c);
    fail_path(c, t->path, error);       /* the object lives to the end of the turn */
}

static void target_data(struct channel *c, const uint8_t *data, size_t length)
{
    struct target *t = c->owner;
    for (size_t done = 0; done < length;) {
        ssize_t n = write(t->fd, data + done, length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            target_failed(c, n ? errno : ENOSPC);
            return;
        }
        done += n;
    }
    channel_consumed(c, length + DATA_OVERHEAD);
}

static void target_commit(struct channel *c)
{
    struct target *t = c->owner;
    if (!t->in_place && rename(t->temporary, t->path)) {
        target_failed(c, errno);
        return;
    }
    t->in_place = true;                 /* nothing to remove any more */
    target_end(c);
    finish_with_info(c, t->path);
}

/* Follows symbolic links at the end of the path, as opening it would: what they lead to is replaced, not the link. */
static int resolve(char path[PATH_MAX], struct stat *s, bool *exists)
{
    for (int links = 0; links < 40; links++) {
        *exists = !lstat(path, s);
        if (!*exists)
            return errno == ENOENT ? 0 : errno;
        if (!S_ISLNK(s->st_mode))
            return 0;
        char link[PATH_MAX], joined[2 * PATH_MAX];
        ssize_t n = readlink(path, link, sizeof link - 1);
        if (n < 0)
            return errno;
        link[n] = 0;
        if (link[0] == '/')
            strcpy(joined, link);
        else
            snprintf(joined, sizeof joined, "%.*s%s", (int)(strrchr(path, '/') + 1 - path), path, link);
        if (strlen(joined) >= PATH_MAX)
            return ENAMETOOLONG;
        strcpy(path, joined);
    }
    return ELOOP;
}

/* Gives an open file the metadata of a request, and no other. 0 or an error. */
static int set_metadata(int fd, struct reader *metadata)
{
    static char names[64 * 1024];
    size_t prefix = sizeof METADATA_PREFIX - 1;
    ssize_t length = flistxattr(fd, names, sizeof names);
    for (char *name = names; length > 0 && name < names + length; name += strlen(name) + 1)
        if (!strncmp(name, METADATA_PREFIX, prefix) && fremovexattr(fd, name) && errno != ENODATA)
            return errno;
    for (uint32_t count = read_u32(metadata); count && !metadata->failed; count--) {
        const char *key = read_string(metadata), *value = read_string(metadata);
        char name[NAME_MOST];
        if (metadata->failed || snprintf(name, sizeof name, "%s%s", METADATA_PREFIX, key) >= (int)sizeof name)
            return EINVAL;
        /* What cannot have any, as in /proc, is written without. */
        if (fsetxattr(fd, name, value, strlen(value), 0) && errno != ENOTSUP)
            return errno == E2BIG || errno == ERANGE ? ENOSPC : errno;
    }
    return metadata->failed ? EINVAL : 0;
}

static int target_open(struct target *t, const struct user *u, uint32_t mode, struct reader *metadata)
{
    enum { MODE_OF_OLD = 0xFFFFFFFF };
    struct stat s;
    bool exists;
    int error = resolve(t->path, &s, &exists);
    if (!error && !exists)
        error = make_parents(t->path, u);
    if (error)
        return error;
    if (exists && S_ISDIR(s.st_mode))
        return EISDIR;
    /* A device, a FIFO, or a file with other names can only be written as it is. */
    t->in_place = exists && (!S_ISREG(s.st_mode) || s.st_nlink > 1);
    if (!t->in_place) {
        uint64_t random = 0;
        if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
            random = monotonic_milliseconds();
        int directory = strrchr(t->path, '/') + 1 - t->path;
        snprintf(t->temporary, sizeof t->temporary, "%.*s.cube-%c%016llx.tmp", directory, t->path,
                 exists ? REPLACES : IS_NEW, (unsigned long long)random);
        t->fd = open(t->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (t->fd < 0 && !exists)
            return errno;
        t->in_place = t->fd < 0;        /* as in /proc and /sys */
    }
    if (t->in_place) {
        t->fd = open(t->path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (t->fd < 0)
            return errno;
        if (!S_ISREG(s.st_mode))
            return 0;
    }
    if (mode == MODE_OF_OLD)
        mode = exists ? s.st_mode & 07777 : 0644;
    if (is_guest && fchown(t->fd, u->uid, u->gid))
        error = errno;
    if (!error && fchmod(t->fd, mode & 07777))
        error = errno;
    if (!error)
        error = set_metadata(t->fd, metadata);
    /* What is written in place may be of a file system that knows no owners. */
    if (error && (!t->in_place || error == EINVAL || error == ENOSPC)) {
        close(t->fd);
        if (!t->in_place)
            unlink(t->temporary);
        return error;
    }
    return 0;
}

void file_write(struct channel *c, struct reader *r)
{
    const char *path = file_read_path(c, r);
    const struct user *u = path ? read_user(c, r) : NULL;
    if (!u)
        return;
    uint32_t mode = read_u32(r);
    size_t length = strlen(path);
    if (r->failed || path[length - 1] == '/') {
        fail_path(c, path, r->failed ? EINVAL : EISDIR);
        return;
    }
    struct target *t = calloc(1, sizeof *t);
    if (!t) {
        channel_fail(c, RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    strcpy(t->path, path);
    int error = target_open(t, u, mode, r);
    if (error) {
        fail_path(c, path, error);
        free(t);
        return;
    }
    t->channel = c;
    c->owner = t;
    c->on_data = target_data;
    c->on_end = target_commit;
    c->on_drop = target_end;
    frame_begin();
    channel_opened(c, 0);
}

/* ---- compose ---- */

enum { COMPOSE_SOURCES = 10000, COMPOSE_STEP = 256 * 1024 };

/* Files that become one, in their order, and are then removed. */
struct composition {
    struct target target;
    struct task task;
    char **sources;                     /* in one allocation with what they point to */
    size_t count, at;
    int fd;                             /* the source at hand; -1 */
};

static void composition_end(struct channel *c)
{
    struct composition *m = c->owner;
    task_remove(&m->task);
    if (m->fd >= 0)
        close(m->fd);
    free(m->sources);
    target_end(c);
}

static bool composition_failed(struct channel *c, const char *path, int error)
{
    char failed[PATH_MAX];
    snprintf(failed, sizeof failed, "%s", path);
    composition_end(c);
    fail_path(c, failed, error);
    return false;
}

static bool composition_step(struct task *task)
{
    struct composition *m = (struct composition *)((char *)task - offsetof(struct composition, task));
    struct target *t = &m->target;
    struct channel *c = t->channel;
    if (m->at < m->count) {
        const char *source = m->sources[m->at];
        if (m->fd < 0 && (m->fd = open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) < 0)
            return composition_failed(c, source, errno);
        ssize_t n = sendfile(t->fd, m->fd, NULL, COMPOSE_STEP);
        if (n < 0 && errno != EINTR)
            return composition_failed(c, source, errno);
        if (!n) {
            close(m->fd);
            m->fd = -1;
            m->at++;
        }
        return true;
    }
    if (!t->in_place && rename(t->temporary, t->path))
        return composition_failed(c, t->path, errno);
    t->in_place = true;                 /* nothing to remove any more */
    for (size_t i = 0; i < m->count; i++)
        unlink(m->sources[i]);
    composition_end(c);
    finish_with_info(c, t->path);
    return false;
}

/* Fails the channel unless every source is a file, and another than the destination. */
static bool check_sources(struct channel *c, char **sources, size_t count, const char *destination)
{
    struct stat s, old;
    bool exists = !stat(destination, &old);
    for (size_t i = 0; i < count; i++) {
        if (stat(sources[i], &s))
            fail_path(c, sources[i], errno);
        else if (!S_ISREG(s.st_mode))
            channel_fail(c, INVALID_ARGUMENT, "source path is not a regular file: %s", sources[i]);
        else if (!strcmp(sources[i], destination) || (exists && s.st_dev == old.st_dev && s.st_ino == old.st_ino))
            channel_fail(c, INVALID_ARGUMENT, "source path %s cannot be the same as destination", sources[i]);
        else
            continue;
        return false;
    }
    return true;
}

/* The paths of a request, in one allocation; NULL: the channel has failed. */
static char **read_sources(struct channel *c, struct reader *r, size_t *count)
{
    size_t room = r->end - r->at;
    *count = read_u32(r);
    if (r->failed || !*count || *count > COMPOSE_SOURCES) {
        channel_fail(c, INVALID_ARGUMENT, "1 to %d sources can become one file", COMPOSE_SOURCES);
        return NULL;
    }
    char **sources = malloc(*count * sizeof *sources + room);
    if (!sources) {
        channel_fail(c, RESOURCE_EXHAUSTED, "out of memory");
        return NULL;
    }
    char *text = (char *)(sources + *count);
    for (size_t i = 0; i < *count; i++) {
        const char *path = file_read_path(c, r);
        if (!path) {
            free(sources);
            return NULL;
        }
        sources[i] = strcpy(text, path);
        text += strlen(path) + 1;
    }
    return sources;
}

void file_compose(struct channel *c, struct reader *r)
{
    size_t count;
    char **sources = read_sources(c, r, &count);
    const char *path = sources ? file_read_path(c, r) : NULL;
    const struct user *u = path ? read_user(c, r) : NULL;
    struct composition *m = NULL;
    if (!u || !check_sources(c, sources, count, path)) {
        free(sources);
        return;
    }
    m = calloc(1, sizeof *m);
    if (!m) {
        free(sources);
        channel_fail(c, RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    static const uint8_t no_metadata[4];
    struct reader none = {no_metadata, no_metadata + sizeof no_metadata, false};
    strcpy(m->target.path, path);
    int error = target_open(&m->target, u, 0644, &none);
    if (error) {
        fail_path(c, path, error);
        free(sources);
        free(m);
        return;
    }
    m->target.channel = c;
    m->sources = sources;
    m->count = count;
    m->fd = -1;
    m->task.step = composition_step;
    c->owner = m;
    c->on_drop = composition_end;
    task_queue(&m->task);
}
