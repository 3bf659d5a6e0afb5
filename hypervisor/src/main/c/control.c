#define _GNU_SOURCE
#include "cubemem.h"
#include "livefork.h"

#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAGIC 0x4d454d43u /* "CMEM" */
#define VERSION 3
#define MAX_PAYLOAD (16u << 20)
#define MAX_FILES 4096u
/* Below the kernel's default of 65530 mappings for each process (vm.max_map_count): an extent is two at worst. */
#define MAX_EXTENTS 30000u
#define MAX_MESSAGE 256
#define MAX_ANSWER 4096
#define MAX_RUNS 65536u
/* Bytes. What is saved at once keeps a fork waiting that is asked for meanwhile. */
#define MAX_SAVED ((uint64_t)16 << 20)

enum operation { OP_INFO = 1, OP_MAP = 2, OP_OPEN = 3, OP_CHECK_FORK = 4, OP_FORK = 5, OP_ADOPT = 6, OP_OWN = 7, OP_SAVE = 8, OP_FORK_RUNNING = 9,
    OP_ADOPT_HALTING = 10 };

/* The control socket, and the one connection to it. In a forked child both are others than in its parent. */
static int listener = -1;
static int connection = -1;
/* A fork that its host has not adopted ends with its first connection: the host does not know of it, or has gone. */
static bool adopted = true;

/* Little-endian on the wire, as is the only architecture that this runs on. */
struct request_header {
    uint32_t magic;
    uint16_t version;
    uint16_t operation;
    uint32_t length;
};

struct response_header {
    uint32_t magic;
    uint16_t version;
    uint16_t status; /* 0, or an errno; then the payload is a message */
    uint32_t length;
};

struct reader {
    const unsigned char *at;
    size_t left;
};

static const void *take(struct reader *reader, size_t length)
{
    if (length > reader->left) {
        return NULL;
    }
    const void *result = reader->at;
    reader->at += length;
    reader->left -= length;
    return result;
}

static bool take_u32(struct reader *reader, uint32_t *value)
{
    const void *bytes = take(reader, sizeof *value);
    if (bytes != NULL) {
        memcpy(value, bytes, sizeof *value);
    }
    return bytes != NULL;
}

/* A path as u32 length and bytes, copied because it must end in a NUL. The caller frees it. */
static char *take_path(struct reader *reader)
{
    uint32_t length;
    if (!take_u32(reader, &length) || length == 0 || length >= 4096) {
        return NULL;
    }
    const char *bytes = take(reader, length);
    if (bytes == NULL || memchr(bytes, 0, length) != NULL) {
        return NULL;
    }
    return strndup(bytes, length);
}

static bool receive(int connection, void *buffer, size_t length)
{
    unsigned char *at = buffer;
    while (length > 0) {
        ssize_t n = recv(connection, at, length, 0);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return false;
        }
        if (n > 0) {
            at += n;
            length -= (size_t)n;
        }
    }
    return true;
}

static bool respond(int connection, int status, const void *payload, size_t length)
{
    unsigned char message[sizeof(struct response_header) + MAX_ANSWER];
    struct response_header header = {MAGIC, VERSION, (uint16_t)status, (uint32_t)length};
    memcpy(message, &header, sizeof header);
    memcpy(message + sizeof header, payload, length);
    size_t total = sizeof header + length;
    return send(connection, message, total, MSG_NOSIGNAL) == (ssize_t)total;
}

__attribute__((format(printf, 3, 4))) static bool refuse(int connection, int status, const char *format, ...)
{
    char text[MAX_MESSAGE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        length = 0;
    } else if ((size_t)length >= sizeof text) {
        length = sizeof text - 1;
    }
    return respond(connection, status, text, (size_t)length);
}

static bool handle_info(int connection)
{
    uint64_t answer[2] = {(uint64_t)(uintptr_t)cubemem_memory.base, cubemem_memory.size};
    return respond(connection, 0, answer, sizeof answer);
}

static bool map_with_files(int connection, struct reader *reader, uint32_t file_count, uint32_t extent_count, int *fds,
                           struct stat *stats, uint32_t *opened)
{
    for (; *opened < file_count; (*opened)++) {
        char *path = take_path(reader);
        if (path == NULL) {
            return refuse(connection, EINVAL, "malformed path of a memory file");
        }
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        int error = errno;
        if (fd < 0) {
            bool sent = refuse(connection, error, "cannot open memory file %s: %s", path, strerror(error));
            free(path);
            return sent;
        }
        free(path);
        fds[*opened] = fd;
        if (fstat(fd, &stats[*opened]) != 0) {
            error = errno;
            (*opened)++;
            return refuse(connection, error, "cannot examine a memory file: %s", strerror(error));
        }
    }
    size_t size = extent_count * sizeof(struct cubemem_extent);
    const void *bytes = take(reader, size);
    if (bytes == NULL || reader->left != 0) {
        return refuse(connection, EINVAL, "the request's length does not fit its extents");
    }
    /* Copied: in the request they need not be aligned. */
    struct cubemem_extent *extents = malloc(size > 0 ? size : 1);
    if (extents == NULL) {
        return refuse(connection, ENOMEM, "no memory for the extents");
    }
    memcpy(extents, bytes, size);
    const char *problem = cubemem_check_extents(extents, extent_count, stats, file_count);
    int error = problem == NULL ? cubemem_map_extents(extents, extent_count, fds) : 0;
    free(extents);
    if (problem != NULL) {
        return refuse(connection, EINVAL, "%s", problem);
    }
    if (error != 0) {
        return refuse(connection, error, "cannot map guest memory: %s", strerror(error));
    }
    return handle_info(connection);
}

static bool handle_map(int connection, struct reader *reader)
{
    uint32_t file_count, extent_count;
    if (!take_u32(reader, &file_count) || !take_u32(reader, &extent_count)) {
        return refuse(connection, EINVAL, "the map request is too short");
    }
    if (file_count > MAX_FILES || extent_count > MAX_EXTENTS) {
        return refuse(connection, E2BIG, "more than %u files or %u extents", MAX_FILES, MAX_EXTENTS);
    }
    int *fds = calloc(file_count + 1, sizeof *fds);
    struct stat *stats = calloc(file_count + 1, sizeof *stats);
    uint32_t opened = 0;
    bool sent;
    if (fds == NULL || stats == NULL) {
        sent = refuse(connection, ENOMEM, "no memory for the list of files");
    } else {
        sent = map_with_files(connection, reader, file_count, extent_count, fds, stats, &opened);
    }
    for (uint32_t i = 0; i < opened; i++) {
        close(fds[i]);
    }
    free(fds);
    free(stats);
    return sent;
}

/*
 * QEMU takes device state from a descriptor by number ("fd:N") but has no way to open a file by itself, and starting a
 * process for it ("exec:") costs milliseconds. QEMU closes the descriptor when it has read the state.
 */
static bool handle_open(int connection, struct reader *reader)
{
    char *path = take_path(reader);
    if (path == NULL || reader->left != 0) {
        free(path);
        return refuse(connection, EINVAL, "malformed path of a file to open");
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int error = errno;
    bool sent;
    if (fd < 0) {
        sent = refuse(connection, error, "cannot open %s: %s", path, strerror(error));
    } else {
        uint32_t number = (uint32_t)fd;
        sent = respond(connection, 0, &number, sizeof number);
        if (!sent) {
            close(fd);
        }
    }
    free(path);
    return sent;
}

static int listen_on(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        cubemem_die("path of the control socket", ENAMETOOLONG);
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4) != 0) {
        cubemem_die("control socket", errno);
    }
    return fd;
}

static bool handle_check_fork(int connection)
{
    char error[LIVEFORK_ERROR];
    if (!cubemem_settings.forkable) {
        return refuse(connection, EOPNOTSUPP, "this QEMU was not started to be forked");
    }
    if (livefork_check(error)) {
        return refuse(connection, ENOTSUP, "%s", error);
    }
    return respond(connection, 0, gnu_get_libc_version(), strlen(gnu_get_libc_version()));
}

/* A string as u32 length and bytes; false where it does not fit. */
static bool take_string(struct reader *reader, char *target, size_t size)
{
    uint32_t length;
    if (!take_u32(reader, &length) || length >= size) {
        return false;
    }
    const void *bytes = take(reader, length);
    if (bytes == NULL || memchr(bytes, 0, length) != NULL) {
        return false;
    }
    memcpy(target, bytes, length);
    target[length] = 0;
    return true;
}

static bool take_fork_request(struct reader *reader, struct livefork_request *request)
{
    const void *token;
    if (!take_string(reader, request->directory, sizeof request->directory)
        || !take_string(reader, request->host, sizeof request->host)
        || (token = take(reader, sizeof request->token)) == NULL) {
        return false;
    }
    memcpy(request->token, token, sizeof request->token);
    if (!take_u32(reader, &request->nfiles) || request->nfiles > LIVEFORK_FILES) {
        return false;
    }
    for (uint32_t i = 0; i < request->nfiles; i++) {
        if (!take_string(reader, request->files[i].from, sizeof request->files[i].from)
            || !take_string(reader, request->files[i].to, sizeof request->files[i].to)) {
            return false;
        }
    }
    if (!take_u32(reader, &request->nsockets) || request->nsockets > LIVEFORK_SOCKETS) {
        return false;
    }
    for (uint32_t i = 0; i < request->nsockets; i++) {
        if (!take_string(reader, request->sockets[i].path, sizeof request->sockets[i].path)
            || !take_u32(reader, &request->sockets[i].cut)) {
            return false;
        }
    }
    return reader->left == 0;
}

/* The file that the machine must not have written to since, and when it had. */
static bool take_running(struct reader *reader, struct livefork_running *running)
{
    int64_t seconds;
    uint32_t nanoseconds;
    const void *bytes;
    if (!take_string(reader, running->disk, sizeof running->disk) || (bytes = take(reader, sizeof seconds)) == NULL
        || !take_u32(reader, &nanoseconds)) {
        return false;
    }
    memcpy(&seconds, bytes, sizeof seconds);
    running->written = (struct timespec){seconds, nanoseconds};
    cubemem_code_range(&running->code_start, &running->code_end);
    return true;
}

/*
 * Goes on in the parent, which answers, and in the child, whose answer is that it has connected to the host. The answer's process
 * ID is 0 where a running machine could not be forked as it was.
 */
static bool handle_fork(struct reader *reader, bool running)
{
    static struct livefork_running machine;
    static struct livefork_request request;
    static struct livefork_result result;
    memset(&request, 0, sizeof request);
    if ((running && !take_running(reader, &machine)) || !take_fork_request(reader, &request)) {
        return refuse(connection, EINVAL, "malformed request to fork");
    }
    request.running = running ? &machine : NULL;
    request.control_listener = listener;
    request.control_connection = connection;
    int side = livefork(&request, &result);
    if (side == 0) {
        connection = result.control;
        listener = listen_on(livefork_socket_path(&request, "control.sock"));
        cubemem_code_in_small_pages();
        adopted = false;
        return true;
    }
    if (side < 0 && result.pid != 0) {
        return refuse(connection, ECANCELED, "%s", result.error);
    }
    uint32_t answer[5] = {(uint32_t)result.pid, result.threads, result.park_us, result.plan_us, result.fork_us};
    return respond(connection, 0, answer, sizeof answer);
}

/* Not answered: the host has no reason to wait. The processors of a running machine go on, unless it will be told to stop. */
static bool handle_adopt(struct reader *reader, bool halting)
{
    if (reader->left != 0) {
        return refuse(connection, EINVAL, "the request to adopt is too long");
    }
    adopted = true;
    if (!halting) {
        livefork_processors();
    }
    return true;
}

/*
 * Gives the process pages of its own where it shares them with its parent, before it writes to them: a write to a shared
 * page is a fault, which costs more than all else that a small request does. The VM must stand still, so that nothing is
 * unmapped meanwhile. Runs of pages that are not there, or not for writing, are passed over.
 */
static bool handle_own(int connection, struct reader *reader)
{
    struct {
        uint64_t address;
        uint64_t length;
    } run;
    uint32_t count, pages = 0;
    if (!take_u32(reader, &count) || count > MAX_RUNS || reader->left != count * sizeof run) {
        return refuse(connection, EINVAL, "malformed request to own pages");
    }
    for (; count > 0; count--) {
        memcpy(&run, take(reader, sizeof run), sizeof run);
        if (run.length == 0 || (run.address | run.length) % CUBEMEM_PAGE != 0
            || madvise((void *)(uintptr_t)run.address, run.length, MADV_POPULATE_WRITE) != 0) {
            continue;
        }
        /* What the kernel has made ready is still to be found by this processor's, and by a hypervisor's, page tables. */
        for (uint64_t at = run.address; at < run.address + run.length; at += CUBEMEM_PAGE, pages++) {
            __asm__ volatile("lock orb $0, (%0)" : : "r"((uintptr_t)at) : "memory");
        }
    }
    return respond(connection, 0, &pages, sizeof pages);
}

static const char *check_saved_runs(const struct cubemem_saved_run *runs, uint32_t count)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (runs[i].length == 0 || (runs[i].guest_offset | runs[i].length) % CUBEMEM_PAGE != 0) {
            return "a run of pages to save is not made of whole pages";
        }
        if (!cubemem_is_within(runs[i].guest_offset, runs[i].length)) {
            return "a run of pages to save reaches beyond guest memory";
        }
        total += runs[i].length;
        if (total > MAX_SAVED) {
            return "too much to save at once";
        }
    }
    return NULL;
}

static bool save(const char *path, uint64_t position, uint64_t smallest_hole, const struct cubemem_saved_run *runs, uint32_t count)
{
    const char *problem = check_saved_runs(runs, count);
    if (problem != NULL) {
        return refuse(connection, EINVAL, "%s", problem);
    }
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    struct cubemem_holes holes = {.count = 0};
    int error = fd < 0 ? errno : cubemem_save(fd, position, smallest_hole, runs, count, &holes);
    if (fd >= 0 && close(fd) != 0 && error == 0) {
        error = errno;
    }
    if (error != 0) {
        return refuse(connection, error, "cannot save guest memory to %s: %s", path, strerror(error));
    }
    return respond(connection, 0, holes.at, holes.count * sizeof holes.at[0]);
}

static bool handle_save(struct reader *reader)
{
    uint32_t zero, count;
    uint64_t place[2]; /* position, smallest hole */
    char *path = take_path(reader);
    const void *numbers = path == NULL || !take_u32(reader, &zero) || zero != 0 ? NULL : take(reader, sizeof place);
    struct cubemem_saved_run *runs = NULL;
    bool sent;
    if (numbers == NULL || !take_u32(reader, &count) || count > MAX_RUNS || reader->left != count * sizeof *runs) {
        sent = refuse(connection, EINVAL, "malformed request to save memory");
    } else if ((runs = malloc(reader->left + 1)) == NULL) {
        sent = refuse(connection, ENOMEM, "no memory for the runs of pages to save");
    } else {
        memcpy(place, numbers, sizeof place);
        memcpy(runs, reader->at, reader->left);
        sent = save(path, place[0], place[1], runs, count);
    }
    free(runs);
    free(path);
    return sent;
}

static bool handle(const struct request_header *request, struct reader *reader)
{
    switch (request->operation) {
    case OP_INFO:
        return handle_info(connection);
    case OP_MAP:
        return handle_map(connection, reader);
    case OP_OPEN:
        return handle_open(connection, reader);
    case OP_CHECK_FORK:
        return handle_check_fork(connection);
    case OP_FORK:
        return handle_fork(reader, false);
    case OP_FORK_RUNNING:
        return handle_fork(reader, true);
    case OP_ADOPT:
        return handle_adopt(reader, false);
    case OP_ADOPT_HALTING:
        return handle_adopt(reader, true);
    case OP_OWN:
        return handle_own(connection, reader);
    case OP_SAVE:
        return handle_save(reader);
    default:
        return refuse(connection, EOPNOTSUPP, "unknown operation %u", request->operation);
    }
}

/* Serves one request; false ends the connection. */
static bool serve_one(void)
{
    struct request_header request;
    if (!receive(connection, &request, sizeof request)) {
        return false;
    }
    if (request.magic != MAGIC || request.version != VERSION) {
        refuse(connection, EPROTO, "this library speaks version %u of the control protocol", VERSION);
        return false;
    }
    if (request.length > MAX_PAYLOAD) {
        refuse(connection, E2BIG, "a request of more than %u bytes", MAX_PAYLOAD);
        return false;
    }
    unsigned char *payload = malloc(request.length > 0 ? request.length : 1);
    if (payload == NULL) {
        refuse(connection, ENOMEM, "no memory for the request");
        return false;
    }
    bool goes_on = receive(connection, payload, request.length);
    if (goes_on) {
        struct reader reader = {payload, request.length};
        goes_on = handle(&request, &reader);
    }
    free(payload);
    return goes_on;
}

/* One connection at a time: the server is the only client, and a restarted one comes when the old one is gone. */
static void *control_thread(void *argument)
{
    (void)argument;
    for (;;) {
        connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0) {
            if (errno == EINTR || errno == ECONNABORTED) {
                continue;
            }
            cubemem_die("control socket", errno);
        }
        while (serve_one()) {
        }
        if (!adopted) {
            dprintf(STDERR_FILENO, "libcubemem: the host gave up this fork\n");
            _exit(70);
        }
        close(connection);
    }
    return NULL;
}

void cubemem_start_control(void)
{
    listener = listen_on(cubemem_settings.control_socket);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    /* The thread's needs are small and known; the default of 8 MiB would only be address space, but is for 500 VMs. */
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    /* QEMU handles its signals in its own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int error = pthread_create(&thread, &attributes, control_thread, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (error != 0) {
        cubemem_die("control thread", error);
    }
    pthread_detach(thread);
}
