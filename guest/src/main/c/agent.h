/*
 * Cube's guest agent: PID 1 of every sandbox. One thread, one epoll loop, no threads, no libraries beyond libc.
 * The wire protocol is described in docs/guest-protocol.md; numbers here and in dev.cube.guest.Wire must agree.
 */
#ifndef CUBE_AGENT_H
#define CUBE_AGENT_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum {
    PROTOCOL_VERSION = 2,
    MAGIC_LENGTH = 16,
    NONCE_LENGTH = 16,
    HEADER_LENGTH = 8,
    MARKER = 0xA5,
    FLAG_MORE = 1,
    MAX_FRAME_IN = 4096,                                /* payload; one page of the guest kernel's receive queue */
    MAX_FRAME_OUT = 32 * 1024 - HEADER_LENGTH - 1,      /* the kernel takes at most 32 KiB in one write */
    DATA_OVERHEAD = 64,                                 /* credit that a DATA frame costs beside its length */
    WINDOW = 128 * 1024,                                /* credit that the host has on each new channel */
    CHANNELS = 1024,
    MAX_BODY = 4 << 20,
};

enum {
    T_HELLO = 0x01, T_TIME = 0x02, T_OPEN = 0x10, T_DATA = 0x11, T_END = 0x12, T_CREDIT = 0x13, T_CLOSE = 0x14,
    T_HELLO_ACK = 0x81, T_OPENED = 0x90, T_OUT = 0x91, T_EOF = 0x92, T_GRANT = 0x93, T_CLOSED = 0x94,
};

enum {
    OP_START = 1, OP_ATTACH, OP_PROCESSES, OP_SIGNAL, OP_RESIZE, OP_USER, OP_STAT, OP_LIST, OP_MKDIR, OP_MOVE,
    OP_REMOVE, OP_READ, OP_WRITE, OP_CONNECT, OP_METRICS, OP_WATCH, OP_COMPOSE,
};

enum kind {
    OK = 0, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, INVALID_ARGUMENT, NOT_A_DIRECTORY, IS_A_DIRECTORY, NO_SPACE,
    UNKNOWN_USER, CONNECTION_REFUSED, RESOURCE_EXHAUSTED, INTERNAL, TAKEN_OVER,
};

/* Things that an epoll batch may still point to are freed at the end of the loop's turn. */
struct object {
    struct object *next_dead;
};
void object_free(struct object *object);

/* A file descriptor in the epoll set, always edge-triggered. */
struct watch {
    int fd;
    void (*on_event)(struct watch *watch, uint32_t events);
};
bool watch_open(struct watch *watch, int fd, uint32_t events);
void watch_close(struct watch *watch);

/* Work that may go on now. step() does a little and says whether there is more to do at once. */
struct task {
    struct task *previous, *next;
    bool queued;
    bool (*step)(struct task *task);
};
void task_queue(struct task *task);
void task_remove(struct task *task);

struct channel {
    uint32_t id;
    uint64_t credit;                                    /* what we may still send */
    uint32_t consumed;                                  /* what the host sent and we have not granted again */
    bool assembling;                                    /* the OPEN request is not complete */
    uint8_t *body;
    size_t body_length, body_capacity;
    void *owner;
    void (*on_data)(struct channel *, const uint8_t *, size_t);
    void (*on_end)(struct channel *);
    void (*on_credit)(struct channel *);
    void (*on_drop)(struct channel *);                  /* the host closed the channel, or another host is here */
};

/* Output. frame_begin() always succeeds for up to MAX_FRAME_OUT: the loop keeps enough room. */
uint8_t *frame_begin(void);
void frame_end(uint8_t type, uint8_t flags, uint32_t channel, size_t length);
bool output_room(void);

static inline size_t credit_for_data(const struct channel *c)
{
    if (c->credit <= DATA_OVERHEAD)
        return 0;
    uint64_t n = c->credit - DATA_OVERHEAD;
    return n < MAX_FRAME_OUT ? n : MAX_FRAME_OUT;
}
void channel_data(struct channel *c, uint8_t stream, size_t length);    /* payload is at frame_begin() already */
void channel_opened(struct channel *c, size_t length);                  /* the same */
void channel_finish(struct channel *c, size_t length);                  /* the same; byte 0 is the kind; frees c */
void channel_fail(struct channel *c, enum kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
void channel_fail_errno(struct channel *c, const char *what, int error);
void channel_done(struct channel *c);
void channel_consumed(struct channel *c, uint32_t cost);
enum kind kind_of(int error);

/* Bytes from the host on their way to a pipe, a terminal or a socket. */
struct sink {
    int fd;
    uint8_t *buffer;
    size_t head, length;
    bool ending, broken;
};
void sink_data(struct sink *sink, struct channel *c, const uint8_t *data, size_t length);
bool sink_flush(struct sink *sink, struct channel *c);  /* whether all is written */
void sink_free(struct sink *sink);

/* Reading requests. A failed read gives zeros and sets failed. */
struct reader {
    const uint8_t *at, *end;
    bool failed;
};
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
/* A string with its zero byte, in place: strings on the wire are followed by one. */
const char *read_string(struct reader *r);

struct writer {
    uint8_t *at, *end;
};
void put_u8(struct writer *w, uint8_t v);
void put_u16(struct writer *w, uint16_t v);
void put_u32(struct writer *w, uint32_t v);
void put_u64(struct writer *w, uint64_t v);
void put_string(struct writer *w, const char *s);

/* Users of the image, from /etc/passwd and /etc/group. The empty name is "user", or root where there is no such user. */
enum { MAX_GROUPS = 64 };
struct user {
    char name[64], home[256], shell[256];
    uid_t uid;
    gid_t gid, groups[MAX_GROUPS];
    int group_count;
};
const struct user *user_find(const char *name);
const char *user_name(uid_t uid);
const char *group_name(gid_t gid);

/* Identity of the sandbox. */
extern char **sandbox_environment;
void identity_boot(void);
void identity_set_clock(uint64_t wall_nanoseconds);
void identity_take_first(uint64_t wall_nanoseconds, const uint8_t entropy[64], const char *hostname);
void identity_take_rest(const char *hostname);
bool identity_set_environment(struct reader *r);

/* Requests. The body is the request behind its operation and credit; start keeps it. */
void process_start(struct channel *c, struct reader *r, uint8_t *body, size_t length);
void process_attach(struct channel *c, struct reader *r);
void process_list(struct channel *c);
void process_signal(struct channel *c, struct reader *r);
void process_resize(struct channel *c, struct reader *r);
void process_reap(void);
void process_host_changed(void);
int process_timer_milliseconds(bool connected);         /* until process_timers() has work; -1: never */
void process_timers(bool connected);

void file_stat(struct channel *c, struct reader *r);
void file_list(struct channel *c, struct reader *r);
void file_mkdir(struct channel *c, struct reader *r);
void file_move(struct channel *c, struct reader *r);
void file_remove(struct channel *c, struct reader *r);
void file_read(struct channel *c, struct reader *r);
void file_write(struct channel *c, struct reader *r);
void file_compose(struct channel *c, struct reader *r);
void file_watch(struct channel *c, struct reader *r);

enum { FILE_INFO_MOST = 20 * 1024 };                    /* what file_put_info() writes */
void file_put_info(struct writer *w, int directory, const char *name, const char *path, const struct stat *s);
/* An absolute path from a request; NULL: the channel has failed. */
const char *file_read_path(struct channel *c, struct reader *r);
void file_strip_slashes(char *to, const char *path);
/* Whether this is the name of an unfinished upload, and whether that will replace a file. */
bool file_is_temporary(const char *name, bool *replaces);

struct directory_entry {                                /* the kernel's linux_dirent64 */
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

void tcp_connect(struct channel *c, struct reader *r);
void system_metrics(struct channel *c);
void system_user(struct channel *c, struct reader *r);

/* Boot. Returns the agent's port. */
int boot(void);
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

extern bool is_guest;                                   /* PID 1 of a sandbox; otherwise a test on an ordinary host */
extern char run_directory[];                            /* /run/cube */
uint64_t monotonic_milliseconds(void);

#endif
