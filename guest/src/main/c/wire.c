#include "wire.h"
#include "agent.h"
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static const uint8_t HOST_MAGIC[MAGIC_LENGTH] = "\xC3" "CUBE-HOST-HELLO";
static const uint8_t GUEST_MAGIC[MAGIC_LENGTH] = "\xC3" "CUBE-GUEST-ACK!";

enum {
    OUTPUT_CAPACITY = 192 * 1024,
    OUTPUT_RESERVE = 2 * (MAX_FRAME_OUT + HEADER_LENGTH + 1),
};

enum parser { SCANNING, EXPECTING_HELLO, IN_SESSION };

static struct watch port = {.fd = -1};
static struct watch listener = {.fd = -1};
static enum parser parser = SCANNING;
static size_t magic_matched;
static bool readable, writable, host_present;
/* A host was seen to come that has not said HELLO yet; one has said HELLO that was not seen to come yet. */
static bool unheard, unseen;
static uint64_t hello_taken;
/* Longer than a work item waits: whoever is seen to leave later than this is the host that said HELLO. */
#define UNSEEN_MILLISECONDS 2000

static uint8_t input[4 * (MAX_FRAME_IN + HEADER_LENGTH + 1)];
static size_t input_length;
static uint8_t output[OUTPUT_CAPACITY];
static size_t output_head, output_tail;

static struct channel *channels[CHANNELS];
static uint8_t *hello;
static size_t hello_length;

/* ---- output ---- */

bool output_room(void)
{
    return OUTPUT_CAPACITY - (output_tail - output_head) >= 2 * OUTPUT_RESERVE;
}

/* Requests are taken only when their answer has room beside what tasks may add. */
static bool answer_room(void)
{
    return OUTPUT_CAPACITY - (output_tail - output_head) >= OUTPUT_RESERVE;
}

uint8_t *frame_begin(void)
{
    if (OUTPUT_CAPACITY - output_tail < MAX_FRAME_OUT + HEADER_LENGTH + 1) {
        memmove(output, output + output_head, output_tail - output_head);
        output_tail -= output_head;
        output_head = 0;
    }
    return output + output_tail + HEADER_LENGTH;
}

void frame_end(uint8_t type, uint8_t flags, uint32_t channel, size_t length)
{
    uint8_t *frame = output + output_tail;
    uint16_t l = length;
    frame[0] = type;
    frame[1] = flags;
    memcpy(frame + 2, &l, 2);
    memcpy(frame + 4, &channel, 4);
    frame[HEADER_LENGTH + length] = MARKER;
    output_tail += HEADER_LENGTH + length + 1;
    /* Answers to one request may be several frames; keep ahead of the buffer's end. */
    if (OUTPUT_CAPACITY - (output_tail - output_head) < OUTPUT_RESERVE)
        wire_flush();
}

void wire_flush(void)
{
    while (writable && host_present && output_head < output_tail) {
        size_t n = output_tail - output_head;
        ssize_t written = write(port.fd, output + output_head, n < 32 * 1024 ? n : 32 * 1024);
        if (written <= 0) {
            if (written < 0 && errno == EINTR)
                continue;
            writable = false;
            break;
        }
        output_head += written;
    }
    if (output_head == output_tail)
        output_head = output_tail = 0;
}

/* ---- channels ---- */

static struct channel *channel_find(uint32_t id)
{
    struct channel *c = channels[id % CHANNELS];
    return c && c->id == id ? c : NULL;
}

static void channel_free(struct channel *c)
{
    channels[c->id % CHANNELS] = NULL;
    free(c->body);
    free(c);
}

void channel_data(struct channel *c, uint8_t stream, size_t length)
{
    c->credit -= length + DATA_OVERHEAD;
    frame_end(T_OUT, stream, c->id, length);
}

void channel_opened(struct channel *c, size_t length)
{
    frame_end(T_OPENED, 0, c->id, length);
}

void channel_finish(struct channel *c, size_t length)
{
    frame_end(T_CLOSED, 0, c->id, length);
    channel_free(c);
}

void channel_done(struct channel *c)
{
    *frame_begin() = OK;
    channel_finish(c, 1);
}

void channel_fail(struct channel *c, enum kind kind, const char *format, ...)
{
    uint8_t *p = frame_begin();
    p[0] = kind;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf((char *)p + 1, 1024, format, arguments);
    va_end(arguments);
    channel_finish(c, 1 + (n < 0 ? 0 : n > 1023 ? 1023 : n));
}

enum kind kind_of(int error)
{
    switch (error) {
    case ENOENT: return NOT_FOUND;
    case EEXIST: return ALREADY_EXISTS;
    case EACCES: case EPERM: case EROFS: return PERMISSION_DENIED;
    case EINVAL: case ENAMETOOLONG: case ELOOP: case EXDEV: case ENOTEMPTY: case EBUSY: case ETXTBSY: case ENXIO:
    case E2BIG: case ENOEXEC: return INVALID_ARGUMENT;
    case ENOTDIR: return NOT_A_DIRECTORY;
    case EISDIR: return IS_A_DIRECTORY;
    case ENOSPC: case EDQUOT: return NO_SPACE;
    case ECONNREFUSED: return CONNECTION_REFUSED;
    case EAGAIN: case ENOMEM: case EMFILE: case ENFILE: return RESOURCE_EXHAUSTED;
    default: return INTERNAL;
    }
}

void channel_fail_errno(struct channel *c, const char *what, int error)
{
    channel_fail(c, kind_of(error), "%s: %s", what, strerror(error));
}

void channel_consumed(struct channel *c, uint32_t cost)
{
    c->consumed += cost;
    if (c->consumed >= WINDOW / 4) {
        memcpy(frame_begin(), &c->consumed, 4);
        frame_end(T_GRANT, 0, c->id, 4);
        c->consumed = 0;
    }
}

static void drop_all_channels(void)
{
    for (int i = 0; i < CHANNELS; i++) {
        struct channel *c = channels[i];
        if (c) {
            if (c->on_drop)
                c->on_drop(c);
            channel_free(c);
        }
    }
}

/* ---- sinks ---- */

static size_t sink_write(struct sink *sink, const uint8_t *data, size_t length)
{
    size_t done = 0;
    while (done < length && !sink->broken) {
        ssize_t n = write(sink->fd, data + done, length - done);
        if (n > 0)
            done += n;
        else if (n < 0 && errno == EINTR)
            continue;
        else if (n < 0 && errno == EAGAIN)
            break;
        else
            sink->broken = true;
    }
    return sink->broken ? length : done;
}

void sink_data(struct sink *sink, struct channel *c, const uint8_t *data, size_t length)
{
    if (sink->ending || sink->broken) {
        /* Nobody will read it. The credit goes back, so that the writer does not wait for ever. */
        channel_consumed(c, sink->length + length + DATA_OVERHEAD);
        sink_free(sink);
        return;
    }
    size_t done = sink->length ? 0 : sink_write(sink, data, length);
    size_t rest = length - done;
    if (rest) {
        if (!sink->buffer)
            sink->buffer = malloc(WINDOW);
        if (!sink->buffer || rest > WINDOW - sink->length) {
            sink->broken = true;        /* a host that does not keep to its credit, or no memory at all */
            return;
        }
        if (WINDOW - sink->head - sink->length < rest) {
            memmove(sink->buffer, sink->buffer + sink->head, sink->length);
            sink->head = 0;
        }
        memcpy(sink->buffer + sink->head + sink->length, data + done, rest);
        sink->length += rest;
    }
    channel_consumed(c, done + DATA_OVERHEAD);
}

bool sink_flush(struct sink *sink, struct channel *c)
{
    if (sink->length) {
        size_t done = sink_write(sink, sink->buffer + sink->head, sink->length);
        sink->head += done;
        sink->length -= done;
        if (!sink->length)
            sink->head = 0;
        if (c && done)
            channel_consumed(c, done);
    }
    return !sink->length;
}

void sink_free(struct sink *sink)
{
    free(sink->buffer);
    sink->buffer = NULL;
    sink->length = sink->head = 0;
}

/* ---- reading and writing values ---- */

static const uint8_t *take(struct reader *r, size_t n)
{
    if (r->failed || (size_t)(r->end - r->at) < n) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += n;
    return p;
}

#define DEFINE_READ(name, type)                                                                                        \
    type name(struct reader *r)                                                                                        \
    {                                                                                                                  \
        type v = 0;                                                                                                    \
        const uint8_t *p = take(r, sizeof v);                                                                          \
        if (p)                                                                                                         \
            memcpy(&v, p, sizeof v);                                                                                   \
        return v;                                                                                                      \
    }
DEFINE_READ(read_u8, uint8_t)
DEFINE_READ(read_u16, uint16_t)
DEFINE_READ(read_u32, uint32_t)
DEFINE_READ(read_u64, uint64_t)

const char *read_string(struct reader *r)
{
    uint32_t length = read_u32(r);
    if (length > MAX_BODY)
        r->failed = true;
    const uint8_t *p = take(r, (size_t)length + 1);
    if (!p)
        return "";
    if (p[length] || memchr(p, 0, length)) {
        r->failed = true;
        return "";
    }
    return (const char *)p;
}

static void put(struct writer *w, const void *p, size_t n)
{
    if ((size_t)(w->end - w->at) >= n) {
        memcpy(w->at, p, n);
        w->at += n;
    } else {
        w->at = w->end;
    }
}

void put_u8(struct writer *w, uint8_t v) { put(w, &v, 1); }
void put_u16(struct writer *w, uint16_t v) { put(w, &v, 2); }
void put_u32(struct writer *w, uint32_t v) { put(w, &v, 4); }
void put_u64(struct writer *w, uint64_t v) { put(w, &v, 8); }

void put_string(struct writer *w, const char *s)
{
    size_t n = strlen(s);
    put_u32(w, n);
    put(w, s, n);
}

/* ---- sessions ---- */

static void answer_hello(const uint8_t *nonce)
{
    /* What was on its way to the host that is gone is dropped; the new one looks for the magic and its own nonce. */
    output_head = output_tail = 0;
    memcpy(output, GUEST_MAGIC, MAGIC_LENGTH);
    output_tail = MAGIC_LENGTH;
    uint8_t *p = frame_begin();
    struct writer w = {p + NONCE_LENGTH, p + MAX_FRAME_OUT};
    memcpy(p, nonce, NONCE_LENGTH);
    put_u16(&w, PROTOCOL_VERSION);
    put_u32(&w, WINDOW);
    put_u32(&w, CHANNELS);
    frame_end(T_HELLO_ACK, 0, 0, w.at - p);
    wire_flush();
}

static bool take_hello(void)
{
    struct reader r = {hello, hello + hello_length, false};
    uint16_t version = read_u16(&r);
    uint8_t restored = read_u8(&r);
    const uint8_t *nonce = take(&r, NONCE_LENGTH);
    uint64_t wall = read_u64(&r);
    const uint8_t *entropy = take(&r, 64);
    const char *hostname = read_string(&r);
    if (r.failed)
        return false;
    drop_all_channels();
    process_host_changed();
    if (version != PROTOCOL_VERSION) {
        answer_hello(nonce);            /* tells the host our version; the session does not begin */
        return false;
    }
    if (restored) {
        if (!identity_set_environment(&r))
            return false;
        identity_take_first(wall, entropy, hostname);
    }
    answer_hello(nonce);
    if (restored)
        identity_take_rest(hostname);
    return true;
}

static void request(struct channel *c)
{
    struct reader r = {c->body, c->body + c->body_length, false};
    uint8_t op = read_u8(&r);
    c->credit = read_u32(&r);
    c->assembling = false;
    uint8_t *body = c->body;
    size_t length = c->body_length;
    c->body = NULL;
    switch (op) {
    case OP_START: process_start(c, &r, body, length); return;      /* keeps the body */
    case OP_ATTACH: process_attach(c, &r); break;
    case OP_PROCESSES: process_list(c); break;
    case OP_SIGNAL: process_signal(c, &r); break;
    case OP_RESIZE: process_resize(c, &r); break;
    case OP_USER: system_user(c, &r); break;
    case OP_STAT: file_stat(c, &r); break;
    case OP_LIST: file_list(c, &r); break;
    case OP_MKDIR: file_mkdir(c, &r); break;
    case OP_MOVE: file_move(c, &r); break;
    case OP_REMOVE: file_remove(c, &r); break;
    case OP_READ: file_read(c, &r); break;
    case OP_WRITE: file_write(c, &r); break;
    case OP_CONNECT: tcp_connect(c, &r); break;
    case OP_METRICS: system_metrics(c); break;
    case OP_WATCH: file_watch(c, &r); break;
    case OP_COMPOSE: file_compose(c, &r); break;
    default: channel_fail(c, INVALID_ARGUMENT, "the agent does not know operation %d", op);
    }
    free(body);
}

static bool assemble(uint8_t **body, size_t *length, size_t *capacity, const uint8_t *payload, size_t n)
{
    if (*length + n > MAX_BODY)
        return false;
    if (*length + n > *capacity) {
        size_t wanted = *length ? 2 * (*length + n) : n;
        uint8_t *grown = realloc(*body, wanted ? wanted : 1);
        if (!grown)
            return false;
        *body = grown;
        *capacity = wanted;
    }
    memcpy(*body + *length, payload, n);
    *length += n;
    return true;
}

static bool take_open(uint32_t id, uint8_t flags, const uint8_t *payload, size_t n)
{
    struct channel *c = channels[id % CHANNELS];
    if (!c) {
        c = calloc(1, sizeof *c);
        if (!c)
            return false;
        c->id = id;
        c->assembling = true;
        channels[id % CHANNELS] = c;
    } else if (c->id != id || !c->assembling) {
        return false;
    }
    if (!assemble(&c->body, &c->body_length, &c->body_capacity, payload, n)) {
        channel_fail(c, RESOURCE_EXHAUSTED, "the request is larger than the guest can take");
        return true;
    }
    if (!(flags & FLAG_MORE))
        request(c);
    return true;
}

/* False: this is not what a host sends; look for the next HELLO. */
static bool take_frame(uint8_t type, uint8_t flags, uint32_t id, const uint8_t *payload, size_t n)
{
    if (parser == EXPECTING_HELLO) {
        static size_t hello_capacity;
        if (type != T_HELLO || !assemble(&hello, &hello_length, &hello_capacity, payload, n))
            return false;
        if (flags & FLAG_MORE)
            return true;
        bool taken = take_hello();
        free(hello);
        hello = NULL;
        hello_length = hello_capacity = 0;
        if (taken) {
            parser = IN_SESSION;
            unseen = is_guest && !unheard;
            unheard = false;
            hello_taken = monotonic_milliseconds();
        }
        return taken;
    }
    struct channel *c = channel_find(id);
    switch (type) {
    case T_TIME:
        if (n != 8)
            return false;
        uint64_t wall;
        memcpy(&wall, payload, 8);
        identity_set_clock(wall);
        return true;
    case T_OPEN:
        return take_open(id, flags, payload, n);
    case T_DATA:
        if (c && c->on_data)
            c->on_data(c, payload, n);
        return true;
    case T_END:
        if (c && c->on_end)
            c->on_end(c);
        return true;
    case T_CREDIT:
        if (n != 4)
            return false;
        if (c) {
            uint32_t credit;
            memcpy(&credit, payload, 4);
            c->credit += credit;
            if (c->on_credit)
                c->on_credit(c);
        }
        return true;
    case T_CLOSE:
        if (c) {
            if (c->on_drop)
                c->on_drop(c);
            channel_done(c);
        }
        return true;
    default:
        return false;
    }
}

static void resynchronise(void)
{
    parser = SCANNING;
    magic_matched = 0;
    free(hello);
    hello = NULL;
    hello_length = 0;
}

/*
 * virtio_console learns in a work item that a host has come or gone, so after a restore what the new host sends is often
 * there first. The session that has begun by then is the new host's: it is not ended by what is learned of late, that the
 * host before has left, or that the port has had none.
 */
static void host_gone(void)
{
    bool earlier = unseen && monotonic_milliseconds() - hello_taken < UNSEEN_MILLISECONDS;
    if (!is_guest || (parser == IN_SESSION && !earlier))
        resynchronise();
    host_present = false;
    unheard = false;
}

static void host_come(void)
{
    if (!host_present) {
        if (parser == IN_SESSION && unseen)
            unseen = false;
        else
            unheard = true;
    }
    host_present = true;
}

/* Consumes what it can from the input; how many bytes. */
static size_t parse(const uint8_t *data, size_t length)
{
    size_t at = 0;
    while (at < length) {
        if (parser == SCANNING) {
            /* The first byte of the magic occurs only there, so a mismatch never hides a later beginning. */
            uint8_t b = data[at++];
            magic_matched = b == HOST_MAGIC[magic_matched] ? magic_matched + 1 : b == HOST_MAGIC[0];
            if (magic_matched == MAGIC_LENGTH)
                parser = EXPECTING_HELLO;
            continue;
        }
        if (length - at < HEADER_LENGTH)
            break;
        uint16_t n;
        uint32_t id;
        memcpy(&n, data + at + 2, 2);
        memcpy(&id, data + at + 4, 4);
        if (data[at] == 0 || n > MAX_FRAME_IN) {
            resynchronise();
            continue;
        }
        if (length - at < (size_t)HEADER_LENGTH + n + 1)
            break;
        if (parser == IN_SESSION && !answer_room())
            break;
        const uint8_t *frame = data + at;
        if (frame[HEADER_LENGTH + n] != MARKER || !take_frame(frame[0], frame[1], id, frame + HEADER_LENGTH, n)) {
            resynchronise();
            at++;       /* the magic may begin inside what looked like a frame */
            continue;
        }
        at += HEADER_LENGTH + n + 1;
    }
    return at;
}

void wire_input(void)
{
    for (;;) {
        size_t used = parse(input, input_length);
        input_length -= used;
        memmove(input, input + used, input_length);
        if (parser == IN_SESSION && !answer_room()) {
            wire_flush();
            if (!answer_room())
                return;         /* until the port takes more, which is an event */
            continue;
        }
        if (!readable)
            return;
        ssize_t n = read(port.fd, input + input_length, sizeof input - input_length);
        if (n > 0) {
            input_length += n;
        } else if (n == 0) {
            /* virtio_console: nothing to read and no host connected */
            readable = false;
            host_gone();
            if (!is_guest) {
                watch_close(&port);
                input_length = 0;
            }
        } else if (errno != EINTR) {
            readable = false;
        }
    }
}

bool wire_connected(void)
{
    return host_present && parser == IN_SESSION;
}

static void on_port(struct watch *watch, uint32_t events)
{
    (void)watch;
    if (events & EPOLLHUP) {
        writable = false;
        host_gone();
    } else {
        host_come();
    }
    if (events & (EPOLLIN | EPOLLHUP))
        readable = true;
    if ((events & EPOLLOUT) && host_present)
        writable = true;
}

void wire_use_port(int fd)
{
    port.on_event = on_port;
    if (!watch_open(&port, fd, EPOLLIN | EPOLLOUT))
        die("cannot wait for the agent's port: %s", strerror(errno));
}

static void on_listener(struct watch *watch, uint32_t events)
{
    (void)events;
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    watch_close(&port);
    input_length = 0;
    readable = writable = false;
    wire_use_port(fd);
}

void wire_use_listener(int fd)
{
    listener.on_event = on_listener;
    if (!watch_open(&listener, fd, EPOLLIN))
        die("cannot wait for connections: %s", strerror(errno));
}
