/* TCP connections to ports on the guest's localhost. */
#include "agent.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct connection {
    struct object object;
    struct task task;
    struct watch watch;
    struct sink out;
    struct channel *channel;
    uint16_t port;
    bool established, ipv6, guest_ended, shut;
};

static void on_socket(struct watch *watch, uint32_t events);

static void release(struct connection *t)
{
    task_remove(&t->task);
    watch_close(&t->watch);
    sink_free(&t->out);
    object_free(&t->object);
}

static void dropped(struct channel *c)
{
    release(c->owner);
}

static int begin(struct connection *t)
{
    int fd = socket(t->ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    t->watch.on_event = on_socket;
    t->out.fd = fd;
    if (!watch_open(&t->watch, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP)) {
        close(fd);
        t->watch.fd = -1;
        return errno;
    }
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(t->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(t->port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int result = t->ipv6 ? connect(fd, (struct sockaddr *)&v6, sizeof v6)
                         : connect(fd, (struct sockaddr *)&v4, sizeof v4);
    return result && errno != EINPROGRESS ? errno : 0;
}

static void failed(struct connection *t, int error)
{
    struct channel *c = t->channel;
    uint16_t port = t->port;
    bool established = t->established;
    release(t);
    if (established)
        channel_fail(c, INTERNAL, "connection to port %d: %s", port, strerror(error));
    else if (error == ECONNREFUSED || error == EADDRNOTAVAIL || error == EAFNOSUPPORT || error == ENETUNREACH)
        channel_fail(c, CONNECTION_REFUSED, "nothing listens on port %d", port);
    else
        channel_fail_errno(c, "connect", error);
}

/* Whether the connection is still there. */
static bool attempt_over(struct connection *t, int error)
{
    while (error) {
        if (t->ipv6 || error != ECONNREFUSED) {
            failed(t, error);
            return false;
        }
        t->ipv6 = true;
        watch_close(&t->watch);
        error = begin(t);
    }
    return true;
}

static bool maybe_over(struct connection *t)
{
    if (!t->guest_ended || !t->shut)
        return false;
    struct channel *c = t->channel;
    release(t);
    channel_done(c);
    return true;
}

/* False: the connection is gone. */
static bool settle_output(struct connection *t)
{
    if (t->established && sink_flush(&t->out, t->channel) && t->out.ending && !t->shut) {
        shutdown(t->out.fd, SHUT_WR);
        t->shut = true;
        return !maybe_over(t);
    }
    return true;
}

static void on_socket(struct watch *watch, uint32_t events)
{
    struct connection *t = (struct connection *)((char *)watch - offsetof(struct connection, watch));
    if (!t->established) {
        if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
            return;
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        if (error) {
            attempt_over(t, error);
            return;
        }
        /* A socket that is not yet connecting reports HUP. */
        if (!(events & EPOLLOUT) || (events & EPOLLHUP && !(events & EPOLLIN)))
            return;
        t->established = true;
        channel_opened(t->channel, (frame_begin(), 0));
    }
    if (events & EPOLLOUT && !settle_output(t))
        return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP | EPOLLERR))
        task_queue(&t->task);
}

static bool step(struct task *task)
{
    struct connection *t = (struct connection *)((char *)task - offsetof(struct connection, task));
    if (!t->established || t->guest_ended)
        return false;
    size_t room = credit_for_data(t->channel);
    if (!room)
        return false;
    ssize_t n = read(t->watch.fd, frame_begin(), room);
    if (n > 0) {
        channel_data(t->channel, 0, n);
        return true;
    }
    if (n < 0) {
        if (errno == EAGAIN)
            return false;
        if (errno == EINTR)
            return true;
        failed(t, errno);
        return false;
    }
    t->guest_ended = true;
    frame_begin();
    frame_end(T_EOF, 0, t->channel->id, 0);
    maybe_over(t);
    return false;
}

static void on_data(struct channel *c, const uint8_t *data, size_t length)
{
    struct connection *t = c->owner;
    sink_data(&t->out, c, data, length);
}

static void on_end(struct channel *c)
{
    struct connection *t = c->owner;
    t->out.ending = true;
    settle_output(t);
}

static void on_credit(struct channel *c)
{
    struct connection *t = c->owner;
    task_queue(&t->task);
}

void tcp_connect(struct channel *c, struct reader *r)
{
    uint16_t port = read_u16(r);
    struct connection *t = r->failed ? NULL : calloc(1, sizeof *t);
    if (!t) {
        channel_fail(c, r->failed ? INVALID_ARGUMENT : RESOURCE_EXHAUSTED, "cannot connect to port %d", port);
        return;
    }
    t->channel = c;
    t->port = port;
    t->watch.fd = -1;
    t->task.step = step;
    c->owner = t;
    c->on_data = on_data;
    c->on_end = on_end;
    c->on_credit = on_credit;
    c->on_drop = dropped;
    attempt_over(t, begin(t));
}
