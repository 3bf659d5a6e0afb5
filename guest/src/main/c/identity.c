/* What makes this sandbox this sandbox: clock, entropy, names, environment. See docs/guest-protocol.md. */
#include "agent.h"
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <time.h>

enum { SEED_LENGTH = 56 };

static char *no_environment[] = {NULL};
char **sandbox_environment = no_environment;
static char *environment_text;

static int epoch_fd = -1, environment_fd = -1, boot_id_fd = -1, random_fd = -1;
static uint64_t epoch;

static int open_own(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", run_directory, name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        die("cannot create %s: %s", path, strerror(errno));
    return fd;
}

/* Rewrites in place: readers may have the file open or mapped, or it may be mounted over another. */
static void rewrite(int fd, const char *text, size_t length)
{
    if (pwrite(fd, text, length, 0) != (ssize_t)length || ftruncate(fd, length))
        warn("cannot write a file of the sandbox's identity: %s", strerror(errno));
}

static void rewrite_path(const char *path, const char *text, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);
    if (fd < 0) {
        warn("cannot write %s: %s", path, strerror(errno));
        return;
    }
    rewrite(fd, text, length);
    close(fd);
}

static void hex(char *to, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sprintf(to + 2 * i, "%02x", bytes[i]);
}

static void new_epoch(void)
{
    uint8_t seed[SEED_LENGTH];
    if (getrandom(seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
        warn("no entropy for the epoch's seed");
    epoch++;
    /* The seed before the counter: whoever sees the new counter sees the new seed. */
    if (pwrite(epoch_fd, seed, sizeof seed, sizeof epoch) < 0 || pwrite(epoch_fd, &epoch, sizeof epoch, 0) < 0)
        warn("cannot write the epoch: %s", strerror(errno));
}

static void new_boot_id(void)
{
    uint8_t b[16];
    if (getrandom(b, sizeof b, GRND_NONBLOCK) != sizeof b)
        warn("no entropy for the boot ID");
    b[6] = (b[6] & 0x0F) | 0x40;        /* a version 4 UUID, as the kernel's own is */
    b[8] = (b[8] & 0x3F) | 0x80;
    char digits[33], text[64];
    hex(digits, b, 16);
    int n = snprintf(text, sizeof text, "%.8s-%.4s-%.4s-%.4s-%.12s\n", digits, digits + 8, digits + 12, digits + 16,
                     digits + 20);
    rewrite(boot_id_fd, text, n);
}

void identity_boot(void)
{
    epoch_fd = open_own("epoch");
    environment_fd = open_own("environment");
    boot_id_fd = open_own("boot_id");
    new_epoch();
    new_boot_id();
    if (is_guest) {
        random_fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
        char path[256];
        snprintf(path, sizeof path, "%s/boot_id", run_directory);
        if (mount(path, "/proc/sys/kernel/random/boot_id", NULL, MS_BIND, NULL))
            warn("cannot replace the boot ID: %s", strerror(errno));
    }
}

bool identity_set_environment(struct reader *r)
{
    size_t count = read_u32(r);
    const uint8_t *at = r->at;
    size_t length = 0;
    for (size_t i = 0; i < count && !r->failed; i++)
        length += strlen(read_string(r)) + 1;
    if (r->failed)
        return false;
    char **pointers = calloc(count + 1, sizeof *pointers);
    char *text = malloc(length + 1);
    if (!pointers || !text)
        die("out of memory for the sandbox's environment");
    struct reader again = {at, r->end, false};
    char *to = text;
    for (size_t i = 0; i < count; i++) {
        const char *entry = read_string(&again);
        pointers[i] = to;
        to = stpcpy(to, entry) + 1;
    }
    if (sandbox_environment != no_environment)
        free(sandbox_environment);
    free(environment_text);
    sandbox_environment = pointers;
    environment_text = text;
    rewrite(environment_fd, text, length);
    return true;
}

void identity_set_clock(uint64_t wall_nanoseconds)
{
    struct timespec now = {wall_nanoseconds / 1000000000, wall_nanoseconds % 1000000000};
    if (is_guest && clock_settime(CLOCK_REALTIME, &now))
        warn("cannot set the clock: %s", strerror(errno));
}

/* What is quick and must be true before anything runs. */
void identity_take_first(uint64_t wall_nanoseconds, const uint8_t entropy[64], const char *hostname)
{
    if (is_guest) {
        identity_set_clock(wall_nanoseconds);
        struct { int bits, length; uint8_t bytes[64]; } pool = {512, 64, {0}};
        memcpy(pool.bytes, entropy, 64);
        if (ioctl(random_fd, RNDADDENTROPY, &pool) || ioctl(random_fd, RNDRESEEDCRNG))
            warn("cannot reseed the kernel's random generator: %s", strerror(errno));
        if (sethostname(hostname, strlen(hostname)))
            warn("cannot set the hostname: %s", strerror(errno));
    }
    new_epoch();
    new_boot_id();
}

/* Points 127.0.1.1 at the hostname, and leaves the other lines of /etc/hosts as they are. */
static void update_hosts(const char *hostname)
{
    static char text[64 * 1024], result[sizeof text + 512];
    int fd = open("/etc/hosts", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    if (n == sizeof text - 1)
        return;                         /* somebody's own, and too long to be touched */
    text[n > 0 ? n : 0] = 0;
    char *to = result;
    if (!strstr(text, "localhost"))
        to += sprintf(to, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    to += sprintf(to, "127.0.1.1\t%s\n", hostname);
    for (char *line = text; *line;) {
        char *end = strchrnul(line, '\n');
        size_t length = end - line;
        if (strncmp(line, "127.0.1.1\t", 10)) {
            memcpy(to, line, length);
            to += length;
            *to++ = '\n';
        }
        line = *end ? end + 1 : end;
    }
    rewrite_path("/etc/hosts", result, to - result);
}

/* What only later processes read. */
void identity_take_rest(const char *hostname)
{
    if (!is_guest)
        return;
    char line[300];
    int n = snprintf(line, sizeof line, "%s\n", hostname);
    rewrite_path("/etc/hostname", line, n);
    update_hosts(hostname);
    uint8_t id[16];
    if (getrandom(id, sizeof id, GRND_NONBLOCK) == sizeof id) {
        hex(line, id, 16);
        line[32] = '\n';
        rewrite_path("/etc/machine-id", line, 33);
    }
}
