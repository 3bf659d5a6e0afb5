/* Processes: start, output, input, exit. */
#include "agent.h"
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

enum { FLAG_STDIN = 1, FLAG_PTY = 2 };
enum { STREAM_STDOUT = 0, STREAM_STDERR = 1, STREAM_PTY = 2 };

/*
 * How long processes that lost their holder because a new host came keep their output: that host may be about to attach
 * to them. After it, output that nobody holds is dropped, as E2B's envd does.
 */
enum { GRACE_MILLISECONDS = 2000 };

enum { MAX_PROCESSES = 4096 };

struct process;

struct outlet {
    struct task task;
    struct watch watch;
    struct process *process;
    bool hung_up;
};

struct process {
    struct object object;
    struct process *next;
    pid_t pid;
    bool pty, exited, killed;
    int status;
    struct outlet out[2];               /* a terminal has only the first */
    struct watch in_watch;
    struct sink in;
    struct channel *channel;
    uint8_t *body;                      /* the request that started it, for the list of processes */
    size_t body_length;
    uint64_t deadline;                  /* when it is killed, on the monotonic clock in milliseconds; 0: never */
};

static struct process *processes;
static int process_count;
static uint64_t grace_end;
/* No deadline of a process is before this one; 0: there is none. */
static uint64_t nearest_deadline;

static void maybe_finished(struct process *p)
{
    if (!p->exited || p->out[0].watch.fd >= 0 || p->out[1].watch.fd >= 0)
        return;
    struct channel *c = p->channel;
    if (c) {
        uint8_t *payload = frame_begin();
        struct writer w = {payload, payload + 16};
        put_u8(&w, OK);
        put_u32(&w, WIFEXITED(p->status) ? WEXITSTATUS(p->status) : 0);
        put_u32(&w, WIFSIGNALED(p->status) ? WTERMSIG(p->status) : 0);
        channel_finish(c, w.at - payload);
    }
    struct process **link = &processes;
    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    process_count--;
    watch_close(&p->in_watch);
    sink_free(&p->in);
    free(p->body);
    object_free(&p->object);
}

static void outlet_close(struct outlet *o)
{
    task_remove(&o->task);
    watch_close(&o->watch);
    if (o->process->pty)
        o->process->in.broken = true;
}

static bool outlet_step(struct task *task)
{
    static uint8_t discarded[64 * 1024];
    struct outlet *o = (struct outlet *)((char *)task - offsetof(struct outlet, task));
    struct process *p = o->process;
    struct channel *c = p->channel;
    uint8_t *to = discarded;
    size_t room = sizeof discarded;
    if (c) {
        room = credit_for_data(c);
        if (!room)
            return false;
        to = frame_begin();
    } else if (grace_end) {
        return false;
    }
    ssize_t n = read(o->watch.fd, to, room);
    if (n > 0) {
        if (c)
            channel_data(c, p->pty ? STREAM_PTY : o == &p->out[0] ? STREAM_STDOUT : STREAM_STDERR, n);
        /* A short read has emptied a pipe, and what is written later is a new event; a terminal reads in lines. */
        return (size_t)n == room || o->hung_up || p->pty || p->killed;
    }
    if (n < 0 && errno == EINTR)
        return true;
    /* A killed process's pipe may be held by what it left behind; that is not waited for. */
    if (n < 0 && errno == EAGAIN && !(p->exited && p->killed))
        return false;
    outlet_close(o);
    maybe_finished(p);
    return false;
}

static void on_outlet(struct watch *watch, uint32_t events)
{
    struct outlet *o = (struct outlet *)((char *)watch - offsetof(struct outlet, watch));
    struct process *p = o->process;
    if (events & (EPOLLHUP | EPOLLERR))
        o->hung_up = true;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        task_queue(&o->task);
    if (p->pty && (events & EPOLLOUT))
        sink_flush(&p->in, p->channel);
}

static void stdin_settle(struct process *p)
{
    if (sink_flush(&p->in, p->channel) && p->in.ending && !p->pty)
        watch_close(&p->in_watch);
}

static void on_stdin(struct watch *watch, uint32_t events)
{
    struct process *p = (struct process *)((char *)watch - offsetof(struct process, in_watch));
    if (events & (EPOLLERR | EPOLLHUP))
        p->in.broken = true;
    stdin_settle(p);
}

static void on_data(struct channel *c, const uint8_t *data, size_t length)
{
    struct process *p = c->owner;
    sink_data(&p->in, c, data, length);
}

static void on_end(struct channel *c)
{
    struct process *p = c->owner;
    if (p->in.ending)
        return;
    if (p->pty) {
        const uint8_t end_of_file = 4;  /* VEOF of a terminal that nobody changed */
        sink_data(&p->in, c, &end_of_file, 1);
        return;
    }
    p->in.ending = true;
    stdin_settle(p);
}

static void queue_output(struct process *p)
{
    for (int i = 0; i < 2; i++)
        if (p->out[i].watch.fd >= 0)
            task_queue(&p->out[i].task);
}

static void on_credit(struct channel *c)
{
    queue_output(c->owner);
}

static void on_drop(struct channel *c)
{
    struct process *p = c->owner;
    p->channel = NULL;
    queue_output(p);
}

static void hold(struct process *p, struct channel *c)
{
    p->channel = c;
    c->owner = p;
    c->on_data = on_data;
    c->on_end = on_end;
    c->on_credit = on_credit;
    c->on_drop = on_drop;
    uint8_t *payload = frame_begin();
    struct writer w = {payload, payload + 8};
    put_u32(&w, p->pid);
    put_u8(&w, p->pty);
    channel_opened(c, w.at - payload);
    queue_output(p);
}

/* ---- starting ---- */

struct launch {
    char **argv, **envp;
    const char *path;                   /* PATH of the process */
    const char *cwd;                    /* NULL: home, or / */
    const struct user *user;
    int stdio[3];
    bool pty;
    const char *failed_at;              /* out: what the child could not do */
    int error;
};

static void child_fails(struct launch *l, const char *what)
{
    l->error = errno;
    l->failed_at = what;
    _exit(127);
}

static void child_exec(struct launch *l)
{
    const char *command = l->argv[0];
    if (strchr(command, '/')) {
        execve(command, l->argv, l->envp);
        child_fails(l, "exec");
    }
    int error = ENOENT;
    size_t length = strlen(command);
    for (const char *at = l->path; ; ) {
        const char *colon = strchrnul(at, ':');
        char candidate[4096];
        size_t n = colon - at;
        if (n + length + 2 <= sizeof candidate) {
            memcpy(candidate, at, n);
            candidate[n] = '/';
            memcpy(candidate + n + (n > 0), command, length + 1);
            execve(candidate, l->argv, l->envp);
            if (errno == EACCES)
                error = EACCES;
            else if (errno != ENOENT && errno != ENOTDIR) {
                error = errno;
                break;
            }
        }
        if (!*colon)
            break;
        at = colon + 1;
    }
    errno = error;
    child_fails(l, "exec");
}

/*
 * Runs in the child, which shares all memory with the agent until it calls exec or _exit, while the agent waits
 * (CLONE_VM | CLONE_VFORK): no page tables are copied. It may only make system calls and write to *l and its own stack.
 * Setting the user ID makes the shared memory undumpable, so the new user cannot trace the child before exec.
 */
static int child_main(void *argument)
{
    struct launch *l = argument;
    const struct user *u = l->user;
    setsid();
    for (int i = 0; i < 3; i++)
        if (dup2(l->stdio[i], i) < 0)
            child_fails(l, "dup2");
    if (l->pty && ioctl(0, TIOCSCTTY, 0))
        child_fails(l, "controlling terminal");
    if (is_guest) {
        int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        if (fd >= 0) {
            if (write(fd, "100", 3) < 0) {
                /* the process is only a less likely victim than it should be */
            }
            close(fd);
        }
        setpriority(PRIO_PROCESS, 0, 0);
        struct rlimit files = {1024, 1048576};
        setrlimit(RLIMIT_NOFILE, &files);
    }
    /* Raw system calls: libc's would bring other threads into line, and there are none. */
    if (geteuid() == 0) {
        if (syscall(SYS_setgroups, u->group_count, u->groups) || syscall(SYS_setresgid, u->gid, u->gid, u->gid)
            || syscall(SYS_setresuid, u->uid, u->uid, u->uid))
            child_fails(l, "user");
    }
    if (l->cwd ? chdir(l->cwd) : chdir(u->home) && chdir("/"))
        child_fails(l, "cwd");
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    child_exec(l);
    return 0;
}

static pid_t launch(struct launch *l)
{
    static char stack[64 * 1024] __attribute__((aligned(16)));
    pid_t pid = clone(child_main, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, l);
    if (pid < 0) {
        l->failed_at = "fork";
        l->error = errno;
        return -1;
    }
    if (l->failed_at) {
        waitpid(pid, NULL, 0);
        return -1;
    }
    return pid;
}

/* Sets "NAME=value", replacing an earlier one. */
static void environment_set(char **environment, size_t *count, char *entry)
{
    size_t name = strchrnul(entry, '=') - entry + 1;
    for (size_t i = 0; i < *count; i++)
        if (!strncmp(environment[i], entry, name)) {
            environment[i] = entry;
            return;
        }
    environment[(*count)++] = entry;
}

struct pipes {
    int child[3], agent[3];             /* -1: none */
    const char *failed_at;
};

static void pipes_close(struct pipes *p, bool agents_too)
{
    for (int i = 0; i < 3; i++) {
        if (p->child[i] >= 0 && (i == 0 || p->child[i] != p->child[i - 1]))
            close(p->child[i]);
        if (agents_too && p->agent[i] >= 0)
            close(p->agent[i]);
    }
}

/* The user's own, who may then open it again by its name, /dev/stdout for example. */
static bool make_pipe(struct pipes *p, const struct user *u, int i)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC))
        return false;
    if (fchown(fds[0], u->uid, -1)) {
        /* only root can; a test runs as the user it starts processes for */
    }
    p->child[i] = fds[i == 0 ? 0 : 1];
    p->agent[i] = fds[i == 0 ? 1 : 0];
    return fcntl(p->agent[i], F_SETFL, O_NONBLOCK) == 0;
}

static bool make_terminal(struct pipes *p, const struct user *u, uint16_t columns, uint16_t rows)
{
    int unlock = 0;
    p->agent[0] = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (p->agent[0] < 0 || ioctl(p->agent[0], TIOCSPTLCK, &unlock))
        return false;
    int slave = ioctl(p->agent[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return false;
    p->child[0] = p->child[1] = p->child[2] = slave;
    struct winsize size = {.ws_col = columns, .ws_row = rows};
    struct termios settings;
    if (!tcgetattr(slave, &settings)) {
        settings.c_iflag |= IUTF8;
        tcsetattr(slave, TCSANOW, &settings);
    }
    if (fchown(slave, u->uid, -1)) {
        /* only root can; a test runs as the user it starts processes for */
    }
    return ioctl(slave, TIOCSWINSZ, &size) == 0;
}

static bool make_stdio(struct pipes *p, const struct user *u, bool with_stdin)
{
    if (with_stdin) {
        if (!make_pipe(p, u, 0))
            return false;
    } else if ((p->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0) {
        return false;
    }
    return make_pipe(p, u, 1) && make_pipe(p, u, 2);
}

static bool adopt(struct process *p, struct pipes *pipes)
{
    p->out[0].process = p->out[1].process = p;
    p->out[0].task.step = p->out[1].task.step = outlet_step;
    p->out[0].watch.on_event = p->out[1].watch.on_event = on_outlet;
    p->in_watch.on_event = on_stdin;
    p->out[0].watch.fd = p->out[1].watch.fd = p->in_watch.fd = -1;
    p->in.fd = pipes->agent[0];
    if (p->pty)
        return watch_open(&p->out[0].watch, pipes->agent[0], EPOLLIN | EPOLLOUT);
    if (pipes->agent[0] < 0)
        p->in.ending = true;
    else if (!watch_open(&p->in_watch, pipes->agent[0], EPOLLOUT))
        return false;
    return watch_open(&p->out[0].watch, pipes->agent[1], EPOLLIN)
           && watch_open(&p->out[1].watch, pipes->agent[2], EPOLLIN);
}

struct request {
    char **strings;                     /* one allocation for argv and envp */
    char **argv, **environment;
    size_t environment_count;
    uint8_t flags;
    uint16_t columns, rows;
    const char *cwd, *user, *tag;
    uint64_t timeout;                   /* milliseconds; 0: none */
};

static bool read_request(struct reader *r, struct request *q)
{
    const char *command = read_string(r);
    size_t argc = read_u32(r);
    if (r->failed || argc > MAX_BODY / 5)
        return false;
    size_t count = 0;
    while (sandbox_environment[count])
        count++;
    /* Every variable takes at least five bytes of the request, which bounds how many there can be. */
    size_t most = argc + 2 + count + 8 + (r->end - r->at) / 5 + 1;
    q->strings = calloc(most, sizeof *q->strings);
    if (!q->strings)
        return false;
    q->argv = q->strings;
    q->argv[0] = (char *)command;
    for (size_t i = 0; i < argc && !r->failed; i++)
        q->argv[i + 1] = (char *)read_string(r);
    q->environment = q->argv + argc + 2;
    size_t variables = read_u32(r);
    const uint8_t *at = r->at;
    for (size_t i = 0; i < variables && !r->failed; i++)
        read_string(r);
    q->flags = read_u8(r);
    q->columns = read_u16(r);
    q->rows = read_u16(r);
    q->cwd = read_string(r);
    q->user = read_string(r);
    q->tag = read_string(r);
    q->timeout = read_u64(r);
    if (r->failed)
        return false;

    struct reader again = {at, r->end, false};
    static char home[300], name[80], logname[80], shell[300];
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    const struct user *u = user_find(q->user);
    environment_set(q->environment, &q->environment_count, path);
    if (u) {
        snprintf(home, sizeof home, "HOME=%s", u->home);
        snprintf(name, sizeof name, "USER=%s", u->name);
        snprintf(logname, sizeof logname, "LOGNAME=%s", u->name);
        snprintf(shell, sizeof shell, "SHELL=%s", u->shell);
        environment_set(q->environment, &q->environment_count, home);
        environment_set(q->environment, &q->environment_count, name);
        environment_set(q->environment, &q->environment_count, logname);
        environment_set(q->environment, &q->environment_count, shell);
    }
    for (size_t i = 0; i < count; i++)
        environment_set(q->environment, &q->environment_count, sandbox_environment[i]);
    for (size_t i = 0; i < variables; i++)
        environment_set(q->environment, &q->environment_count, (char *)read_string(&again));
    return true;
}

static const char *find_path(char **environment)
{
    for (; *environment; environment++)
        if (!strncmp(*environment, "PATH=", 5))
            return *environment + 5;
    return "/usr/bin:/bin";
}

static void start_failed(struct channel *c, const struct request *q, const struct launch *l)
{
    if (!strcmp(l->failed_at, "cwd")) {
        if (l->error == ENOENT || l->error == ENOTDIR)
            channel_fail(c, INVALID_ARGUMENT, "cwd '%s' %s", q->cwd,
                         l->error == ENOENT ? "does not exist" : "is not a directory");
        else
            channel_fail_errno(c, "cwd", l->error);
    } else if (!strcmp(l->failed_at, "exec")) {
        channel_fail(c, kind_of(l->error), "exec '%s': %s", q->argv[0], strerror(l->error));
    } else {
        channel_fail_errno(c, l->failed_at, l->error);
    }
}

static void limit(struct process *p, uint64_t timeout)
{
    if (!timeout || timeout > UINT32_MAX)
        return;
    p->deadline = monotonic_milliseconds() + timeout;
    if (!nearest_deadline || p->deadline < nearest_deadline)
        nearest_deadline = p->deadline;
}

void process_start(struct channel *c, struct reader *r, uint8_t *body, size_t length)
{
    struct request q = {0};
    struct process *p = NULL;
    struct pipes pipes = {{-1, -1, -1}, {-1, -1, -1}, NULL};
    const struct user *u = NULL;
    const uint8_t *parameters = r->at;
    if (!read_request(r, &q)) {
        channel_fail(c, INVALID_ARGUMENT, "malformed start request");
    } else if (!(u = user_find(q.user))) {
        channel_fail(c, UNKNOWN_USER, "no user '%s' in this sandbox", q.user);
    } else if (q.cwd[0] && q.cwd[0] != '/') {
        channel_fail(c, INVALID_ARGUMENT, "cwd '%s' must be an absolute path", q.cwd);
    } else if (process_count >= MAX_PROCESSES || !(p = calloc(1, sizeof *p))) {
        channel_fail(c, RESOURCE_EXHAUSTED, "too many processes");
    } else if (!(q.flags & FLAG_PTY ? make_terminal(&pipes, u, q.columns, q.rows)
                                    : make_stdio(&pipes, u, q.flags & FLAG_STDIN))) {
        channel_fail_errno(c, q.flags & FLAG_PTY ? "terminal" : "pipe", errno);
        pipes_close(&pipes, true);
    } else {
        struct launch l = {
            .argv = q.argv, .envp = q.environment, .path = find_path(q.environment), .cwd = q.cwd[0] ? q.cwd : NULL,
            .user = u, .stdio = {pipes.child[0], pipes.child[1], pipes.child[2]}, .pty = q.flags & FLAG_PTY,
        };
        p->pty = l.pty;
        if (!adopt(p, &pipes)) {
            channel_fail_errno(c, "epoll", errno);
            pipes_close(&pipes, true);
        } else if ((p->pid = launch(&l)) < 0) {
            start_failed(c, &q, &l);
            pipes_close(&pipes, true);
        } else {
            pipes_close(&pipes, false);
            size_t offset = parameters - body;
            memmove(body, parameters, length - offset);
            p->body = body;
            p->body_length = length - offset;
            body = NULL;
            p->next = processes;
            processes = p;
            process_count++;
            limit(p, q.timeout);
            hold(p, c);
            p = NULL;
        }
    }
    free(q.strings);
    free(body);
    if (p)
        object_free(&p->object);
}

static struct process *running(pid_t pid)
{
    for (struct process *p = processes; p; p = p->next)
        if (p->pid == pid && !p->exited)
            return p;
    return NULL;
}

void process_attach(struct channel *c, struct reader *r)
{
    pid_t pid = read_u32(r);
    struct process *p = running(pid);
    if (!p) {
        channel_fail(c, NOT_FOUND, "no process with pid %d", pid);
        return;
    }
    if (p->channel)
        channel_fail(p->channel, TAKEN_OVER, "another holder attached to the process");
    hold(p, c);
}

/* Each process leads its own group: what it started goes with it, unless it left the group. */
static int signal_group(struct process *p, int number)
{
    if (kill(-p->pid, number) && kill(p->pid, number))
        return -1;
    if (number == SIGKILL || number == SIGTERM)
        p->killed = true;
    return 0;
}

void process_signal(struct channel *c, struct reader *r)
{
    pid_t pid = read_u32(r);
    int number = read_u32(r);
    struct process *p = running(pid);
    if (!p) {
        channel_fail(c, NOT_FOUND, "no process with pid %d", pid);
        return;
    }
    if (signal_group(p, number))
        channel_fail_errno(c, "kill", errno);
    else
        channel_done(c);
}

void process_resize(struct channel *c, struct reader *r)
{
    pid_t pid = read_u32(r);
    struct winsize size = {0};
    size.ws_col = read_u16(r);
    size.ws_row = read_u16(r);
    struct process *p = running(pid);
    if (!p)
        channel_fail(c, NOT_FOUND, "no process with pid %d", pid);
    else if (!p->pty)
        channel_fail(c, INVALID_ARGUMENT, "process %d has no terminal", pid);
    else if (p->out[0].watch.fd < 0 || ioctl(p->out[0].watch.fd, TIOCSWINSZ, &size))
        channel_fail(c, INVALID_ARGUMENT, "the terminal of process %d is closed", pid);
    else
        channel_done(c);
}

void process_reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct process *p = running(pid);
        if (!p)
            continue;                   /* an orphan that came to us as PID 1 */
        p->exited = true;
        p->status = status;
        if (p->killed)
            queue_output(p);
        maybe_finished(p);
    }
}

void process_host_changed(void)
{
    grace_end = monotonic_milliseconds() + GRACE_MILLISECONDS;
}

static int milliseconds_until(uint64_t time, uint64_t now)
{
    return now >= time ? 0 : time - now > INT_MAX ? INT_MAX : (int)(time - now);
}

int process_timer_milliseconds(bool connected)
{
    uint64_t now = monotonic_milliseconds();
    int grace = grace_end && connected ? milliseconds_until(grace_end, now) : -1;
    int deadline = nearest_deadline ? milliseconds_until(nearest_deadline, now) : -1;
    return grace < 0 ? deadline : deadline < 0 || grace < deadline ? grace : deadline;
}

static void grace_over(void)
{
    grace_end = 0;
    for (struct process *p = processes; p; p = p->next)
        if (!p->channel)
            queue_output(p);
}

static void deadlines_over(uint64_t now)
{
    nearest_deadline = 0;
    for (struct process *p = processes; p; p = p->next) {
        if (!p->deadline || p->exited)
            continue;
        if (p->deadline <= now) {
            p->deadline = 0;
            signal_group(p, SIGKILL);
        } else if (!nearest_deadline || p->deadline < nearest_deadline) {
            nearest_deadline = p->deadline;
        }
    }
}

void process_timers(bool connected)
{
    if (!grace_end && !nearest_deadline)
        return;
    uint64_t now = monotonic_milliseconds();
    if (connected && grace_end && now >= grace_end)
        grace_over();
    if (nearest_deadline && now >= nearest_deadline)
        deadlines_over(now);
}

/* ---- list ---- */

struct listing {
    struct object object;
    struct task task;
    struct channel *channel;
    uint8_t *bytes;
    size_t at, length;
};

static void listing_end(struct channel *c)
{
    struct listing *l = c->owner;
    task_remove(&l->task);
    free(l->bytes);
    object_free(&l->object);
}

static bool listing_step(struct task *task)
{
    struct listing *l = (struct listing *)((char *)task - offsetof(struct listing, task));
    struct channel *c = l->channel;
    size_t n = l->length - l->at;
    if (!n) {
        listing_end(c);
        channel_done(c);
        return false;
    }
    size_t room = credit_for_data(c);
    if (!room)
        return false;
    if (n > room)
        n = room;
    memcpy(frame_begin(), l->bytes + l->at, n);
    l->at += n;
    channel_data(c, 0, n);
    return true;
}

static void listing_credit(struct channel *c)
{
    struct listing *l = c->owner;
    task_queue(&l->task);
}

void process_list(struct channel *c)
{
    size_t length = 0;
    for (struct process *p = processes; p; p = p->next)
        if (!p->exited)
            length += 8 + p->body_length;
    struct listing *l = calloc(1, sizeof *l);
    uint8_t *bytes = malloc(length + 1);
    if (!l || !bytes || length > 4 * MAX_BODY) {
        channel_fail(c, RESOURCE_EXHAUSTED, "the list of processes is too large");
        free(l);
        free(bytes);
        return;
    }
    struct writer w = {bytes, bytes + length};
    for (struct process *p = processes; p; p = p->next)
        if (!p->exited) {
            put_u32(&w, p->pid);
            put_u32(&w, p->body_length);
            memcpy(w.at, p->body, p->body_length);
            w.at += p->body_length;
        }
    l->channel = c;
    l->bytes = bytes;
    l->length = length;
    l->task.step = listing_step;
    c->owner = l;
    c->on_credit = listing_credit;
    c->on_drop = listing_end;
    task_queue(&l->task);
}
