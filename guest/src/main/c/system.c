/* Users of the image, and the guest's load. */
#include "agent.h"
#include <sys/statvfs.h>

/* ---- /etc/passwd and /etc/group ---- */

struct table {
    const char *path;
    char *text;
    struct stat identity;
};

enum { MAX_TABLE = 4 << 20 };

static struct table passwd = {.path = "/etc/passwd"};
static struct table group = {.path = "/etc/group"};

/* Reads the file again if it is not the one read before. Whether it was. */
static bool refresh(struct table *t)
{
    struct stat s;
    if (stat(t->path, &s) || !S_ISREG(s.st_mode) || s.st_size > MAX_TABLE) {
        free(t->text);
        t->text = NULL;
        memset(&t->identity, 0, sizeof t->identity);
        return true;
    }
    struct stat *old = &t->identity;
    if (t->text && s.st_ino == old->st_ino && s.st_dev == old->st_dev && s.st_size == old->st_size
        && s.st_mtim.tv_sec == old->st_mtim.tv_sec && s.st_mtim.tv_nsec == old->st_mtim.tv_nsec)
        return false;
    free(t->text);
    t->text = malloc(s.st_size + 1);
    int fd = open(t->path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 && t->text ? read(fd, t->text, s.st_size) : -1;
    if (fd >= 0)
        close(fd);
    if (t->text)
        t->text[n > 0 ? n : 0] = 0;
    t->identity = s;
    return true;
}

struct field {
    const char *at;
    size_t length;
};

/* Splits a line at ':'; returns the next line. */
static const char *split(const char *line, struct field *fields, int count)
{
    const char *end = strchrnul(line, '\n');
    for (int i = 0; i < count; i++) {
        const char *stop = line <= end ? memchr(line, ':', end - line) : NULL;
        fields[i].at = line <= end ? line : end;
        fields[i].length = line <= end ? (stop ? stop : end) - line : 0;
        line = stop ? stop + 1 : end + 1;
    }
    return *end ? end + 1 : end;
}

static bool equals(const struct field *f, const char *s)
{
    return strlen(s) == f->length && !memcmp(f->at, s, f->length);
}

static void copy(char *to, size_t size, const struct field *f)
{
    size_t n = f->length < size ? f->length : size - 1;
    memcpy(to, f->at, n);
    to[n] = 0;
}

static bool in_list(const struct field *members, const char *name)
{
    size_t n = strlen(name);
    const char *end = members->at + members->length;
    for (const char *at = members->at; at < end;) {
        const char *comma = memchr(at, ',', end - at);
        size_t length = (comma ? comma : end) - at;
        if (length == n && !memcmp(at, name, n))
            return true;
        at += length + 1;
    }
    return false;
}

static bool load(struct user *u, const char *name)
{
    struct field f[7];
    bool found = false;
    for (const char *line = passwd.text; line && *line && !found;) {
        line = split(line, f, 7);
        found = f[0].length && equals(&f[0], name);
    }
    if (!found && !strcmp(name, "root") && !passwd.text) {
        /* An image without /etc/passwd still has root. */
        *u = (struct user){.name = "root", .home = "/root", .shell = "/bin/sh", .group_count = 1};
        return true;
    }
    if (!found)
        return false;
    copy(u->name, sizeof u->name, &f[0]);
    u->uid = strtoul(f[2].at, NULL, 10);
    u->gid = strtoul(f[3].at, NULL, 10);
    copy(u->home, sizeof u->home, &f[5]);
    copy(u->shell, sizeof u->shell, &f[6]);
    if (!u->home[0])
        strcpy(u->home, "/");
    if (!u->shell[0])
        strcpy(u->shell, "/bin/sh");
    u->groups[0] = u->gid;
    u->group_count = 1;
    for (const char *line = group.text; line && *line && u->group_count < MAX_GROUPS;) {
        line = split(line, f, 4);
        gid_t gid = strtoul(f[2].at, NULL, 10);
        if (gid != u->gid && in_list(&f[3], name))
            u->groups[u->group_count++] = gid;
    }
    return true;
}

const struct user *user_find(const char *name)
{
    enum { CACHED = 4 };
    if (!*name) {
        const struct user *usual = user_find("user");
        return usual ? usual : user_find("root");
    }
    static struct user cache[CACHED];
    static int used, next;
    bool passwd_changed = refresh(&passwd), group_changed = refresh(&group);
    if (passwd_changed || group_changed)
        used = next = 0;
    for (int i = 0; i < used; i++)
        if (!strcmp(cache[i].name, name))
            return &cache[i];
    struct user u = {0};
    if (!load(&u, name) || strcmp(u.name, name))
        return NULL;
    int i = next++ % CACHED;
    if (used < CACHED)
        used++;
    cache[i] = u;
    return &cache[i];
}

static const char *name_of(struct table *t, unsigned id, char buffer[64])
{
    struct field f[3];
    for (const char *line = t->text; line && *line;) {
        line = split(line, f, 3);
        if (f[2].length && strtoul(f[2].at, NULL, 10) == id) {
            copy(buffer, 64, &f[0]);
            return buffer;
        }
    }
    snprintf(buffer, 64, "%u", id);
    return buffer;
}

const char *user_name(uid_t uid)
{
    static char name[64];
    static uid_t last = -1;
    if (refresh(&passwd) || uid != last)
        name_of(&passwd, uid, name);
    last = uid;
    return name;
}

const char *group_name(gid_t gid)
{
    static char name[64];
    static gid_t last = -1;
    if (refresh(&group) || gid != last)
        name_of(&group, gid, name);
    last = gid;
    return name;
}

void system_user(struct channel *c, struct reader *r)
{
    const char *name = read_string(r);
    const struct user *u = r->failed ? NULL : user_find(name);
    if (!u) {
        channel_fail(c, UNKNOWN_USER, "no user '%s' in this sandbox", name);
        return;
    }
    uint8_t *payload = frame_begin();
    struct writer w = {payload, payload + MAX_FRAME_OUT};
    put_u8(&w, OK);
    put_u32(&w, u->uid);
    put_u32(&w, u->gid);
    put_string(&w, u->name);
    put_string(&w, u->home);
    put_string(&w, u->shell);
    channel_finish(c, w.at - payload);
}

/* ---- load ---- */

static size_t slurp(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, buffer, size - 1) : -1;
    if (fd >= 0)
        close(fd);
    buffer[n > 0 ? n : 0] = 0;
    return n > 0 ? n : 0;
}

static uint64_t memory_value(const char *text, const char *name)
{
    const char *p = strstr(text, name);
    return p ? strtoull(p + strlen(name), NULL, 10) * 1024 : 0;
}

void system_metrics(struct channel *c)
{
    static uint64_t last_busy, last_total;
    char text[4096];
    slurp("/proc/stat", text, sizeof text);
    uint64_t ticks[8] = {0}, total = 0;
    char *at = text + 3;
    for (int i = 0; i < 8; i++) {
        ticks[i] = strtoull(at, &at, 10);
        total += ticks[i];
    }
    uint64_t busy = total - ticks[3] - ticks[4];        /* idle and iowait */
    slurp("/proc/meminfo", text, sizeof text);
    uint64_t memory_total = memory_value(text, "MemTotal:");
    uint64_t memory_available = memory_value(text, "MemAvailable:");
    struct statvfs disk = {0};
    statvfs("/", &disk);

    uint8_t *payload = frame_begin();
    struct writer w = {payload, payload + MAX_FRAME_OUT};
    put_u8(&w, OK);
    put_u32(&w, sysconf(_SC_NPROCESSORS_ONLN));
    put_u64(&w, busy - last_busy);
    put_u64(&w, total - last_total);
    put_u64(&w, memory_total);
    put_u64(&w, memory_total - memory_available);
    put_u64(&w, memory_value(text, "\nCached:"));
    put_u64(&w, (uint64_t)disk.f_blocks * disk.f_frsize);
    put_u64(&w, (uint64_t)(disk.f_blocks - disk.f_bfree) * disk.f_frsize);
    last_busy = busy;
    last_total = total;
    channel_finish(c, w.at - payload);
}
