/*
 * The guest of this module's integration tests: PID 1 of a tiny initramfs. It loads the kernel modules of /modules and
 * answers one-line commands on the agent's port. On request it keeps the machine busy in many ways, each of which checks
 * what it gets.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static unsigned char *region;
static size_t region_size;
static int port = -1;

static void load_modules(void)
{
    FILE *order = fopen("/modules/load-order", "r");
    char name[128], path[256];
    while (order != NULL && fscanf(order, "%127s", name) == 1) {
        snprintf(path, sizeof path, "/modules/%s.ko", name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)) {
            printf("init: %s: %s\n", path, strerror(errno));
        }
        close(fd);
    }
    if (order != NULL) {
        fclose(order);
    }
}

static int open_port(void)
{
    for (;;) {
        for (int i = 0; i < 8; i++) {
            char path[64], name[64] = "";
            snprintf(path, sizeof path, "/sys/class/virtio-ports/vport0p%d/name", i);
            FILE *file = fopen(path, "r");
            if (file == NULL) {
                continue;
            }
            if (fscanf(file, "%63s", name) == 1 && strcmp(name, "dev.cube.agent") == 0) {
                fclose(file);
                snprintf(path, sizeof path, "/dev/vport0p%d", i);
                int fd = open(path, O_RDWR | O_CLOEXEC);
                if (fd >= 0) {
                    return fd;
                }
            } else {
                fclose(file);
            }
        }
        usleep(10000);
    }
}

static void fill(size_t megabytes, unsigned seed)
{
    region_size = megabytes << 20;
    region = malloc(region_size);
    for (size_t i = 0; i < region_size; i += 8) {
        unsigned long value = seed * 1000003ul + i;
        memcpy(region + i, &value, sizeof value);
    }
}

static unsigned long checksum(void)
{
    unsigned long sum = 0, value;
    for (size_t i = 0; i < region_size; i += 8) {
        memcpy(&value, region + i, sizeof value);
        sum = sum * 31 + value;
    }
    return sum;
}

static void disk_write(const char *disk, off_t offset, const char *text, char *answer, size_t size)
{
    char block[4096] = "";
    strncpy(block, text, sizeof block - 1);
    int fd = open(disk, O_RDWR | O_CLOEXEC);
    int ok = fd >= 0 && pwrite(fd, block, sizeof block, offset) == sizeof block && fsync(fd) == 0;
    snprintf(answer, size, "%s", ok ? "ok" : strerror(errno));
    close(fd);
}

static void disk_read(const char *disk, off_t offset, char *answer, size_t size)
{
    char block[4096];
    int fd = open(disk, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ioctl(fd, BLKFLSBUF, 0);
    }
    int ok = fd >= 0 && pread(fd, block, sizeof block, offset) == sizeof block;
    block[sizeof block - 1] = 0;
    snprintf(answer, size, "%.200s", ok ? block : strerror(errno));
    close(fd);
}

/* ---- load ---- */

/* What a busy process has to show for itself, in memory that it shares with init. */
struct load {
    pid_t pid;
    int target;                 /* rounds after which it rests; -1: never */
    int rounds;
    char problem[120];
};

static struct load *loads;
static int *wakings;            /* futex on which resting loads wait */

/* Says what is wrong, for good, and does nothing more. */
static _Noreturn void give_up(struct load *load, const char *what)
{
    snprintf(load->problem, sizeof load->problem, "%s, round %d, errno %d", what, load->rounds, errno);
    for (;;) {
        pause();
    }
}

static void end_round(struct load *load)
{
    __atomic_fetch_add(&load->rounds, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        int seen = __atomic_load_n(wakings, __ATOMIC_SEQ_CST);
        if ((unsigned)load->rounds < (unsigned)__atomic_load_n(&load->target, __ATOMIC_SEQ_CST)) {
            return;
        }
        syscall(SYS_futex, wakings, FUTEX_WAIT, seen, NULL, NULL, 0);
    }
}

static unsigned long mix(unsigned long x)
{
    x ^= x << 13;
    x ^= x >> 7;
    return x ^ x << 17;
}

static void pattern(void *buffer, size_t size, unsigned long seed)
{
    unsigned long x = seed * 2654435761ul + 1;
    for (size_t i = 0; i + sizeof x <= size; i += sizeof x) {
        x = mix(x);
        memcpy((char *)buffer + i, &x, sizeof x);
    }
}

static void load_cpu(struct load *load)
{
    unsigned long known = 0;
    double known_sum = 0;
    for (;; end_round(load)) {
        unsigned long x = 88172645463325252ul;
        double sum = 0;
        for (int i = 0; i < 10000; i++) {
            x = mix(x);
            sum += 1.0 / (double)(x % 1000 + 1);
        }
        if (load->rounds == 0) {
            known = x;
            known_sum = sum;
        } else if (x != known || sum != known_sum) {
            give_up(load, "arithmetic");
        }
    }
}

static void load_memory(struct load *load)
{
    enum { SIZE = 64 * 1024, PARTS = 8 };
    unsigned char *buffer = malloc(SIZE * PARTS), *again = malloc(SIZE);
    for (;; end_round(load)) {
        /* What is checked was written some rounds ago. */
        int part = load->rounds % PARTS;
        if (load->rounds >= PARTS) {
            pattern(again, SIZE, (unsigned long)(load->rounds - PARTS));
            if (memcmp(buffer + part * SIZE, again, SIZE) != 0) {
                give_up(load, "memory");
            }
        }
        pattern(buffer + part * SIZE, SIZE, (unsigned long)load->rounds);
    }
}

static void load_exec(struct load *load)
{
    for (;; end_round(load)) {
        char code[8];
        int status = 0, wanted = load->rounds % 100;
        snprintf(code, sizeof code, "%d", wanted);
        pid_t child = fork();
        if (child == 0) {
            execl("/init", "init", "exit-with", code, (char *)NULL);
            _exit(127);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != wanted) {
            give_up(load, "fork and exec");
        }
    }
}

/* Past the page cache, on a part of the disk that nobody else uses. */
static void load_disk(struct load *load)
{
    enum { SIZE = 16 * 1024, PLACES = 64 };
    const off_t begin = 256 << 20;
    unsigned char *buffer = aligned_alloc(4096, SIZE), *again = aligned_alloc(4096, SIZE);
    int fd = open("/dev/vdb", O_RDWR | O_DIRECT | O_CLOEXEC);
    for (;; end_round(load)) {
        /* What was written some rounds ago is read, long after, or before a fork. */
        int round = load->rounds, earlier = round < PLACES / 2 ? 0 : round - PLACES / 2;
        pattern(buffer, SIZE, (unsigned long)round);
        if (pwrite(fd, buffer, SIZE, begin + (off_t)(round % PLACES) * SIZE) != SIZE
            || (round % 8 == 0 && fsync(fd) != 0)) {
            give_up(load, "disk write");
        }
        pattern(buffer, SIZE, (unsigned long)earlier);
        if (pread(fd, again, SIZE, begin + (off_t)(earlier % PLACES) * SIZE) != SIZE
            || memcmp(buffer, again, SIZE) != 0) {
            give_up(load, "disk read");
        }
    }
}

static int transfer(int from, int to, unsigned long seed)
{
    unsigned char sent[1024], received[1024];
    pattern(sent, sizeof sent, seed);
    if (write(from, sent, sizeof sent) != sizeof sent) {
        return -1;
    }
    for (size_t n = 0; n < sizeof received;) {
        ssize_t got = read(to, received + n, sizeof received - n);
        if (got <= 0) {
            return -1;
        }
        n += (size_t)got;
    }
    return memcmp(sent, received, sizeof sent);
}

static void load_pty(struct load *load)
{
    for (;; end_round(load)) {
        int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        struct termios mode;
        if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
            give_up(load, "pty");
        }
        int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (slave < 0 || tcgetattr(slave, &mode) != 0) {
            give_up(load, "terminal");
        }
        cfmakeraw(&mode);
        tcsetattr(slave, TCSANOW, &mode);
        for (unsigned long i = 0; i < 2; i++) {
            unsigned long seed = (unsigned long)load->rounds + i;
            if (transfer(slave, master, seed) != 0 || transfer(master, slave, ~seed) != 0) {
                give_up(load, "terminal traffic");
            }
        }
        close(slave);
        close(master);
    }
}

static void load_network(struct load *load)
{
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (ioctl(listener, SIOCSIFFLAGS, &loopback) != 0 || bind(listener, (struct sockaddr *)&address, length) != 0
        || listen(listener, 8) != 0 || getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        give_up(load, "network");
    }
    if (fork() == 0) {
        for (;;) {
            char buffer[4096];
            int fd = accept(listener, NULL, NULL);
            for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) {
                if (write(fd, buffer, (size_t)n) != n) {
                    break;
                }
            }
            close(fd);
        }
    }
    for (;; end_round(load)) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
            give_up(load, "connection");
        }
        for (unsigned long i = 0; i < 2; i++) {
            if (transfer(fd, fd, (unsigned long)load->rounds + i) != 0) {
                give_up(load, "traffic");
            }
        }
        close(fd);
    }
}

/* For diagnosis: where in the kernel init is. A guest that is silent on its port may still be heard on its console. */
static void print_where_init_is(void)
{
    static const char *const files[] = {"/proc/1/syscall", "/proc/1/stack"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char text[1024];
        int fd = open(files[i], O_RDONLY | O_CLOEXEC);
        ssize_t length = fd >= 0 ? read(fd, text, sizeof text) : -1;
        if (length > 0) {
            printf("%s: %.*s", files[i], (int)length, text);
        }
        close(fd);
    }
}

static void load_console(struct load *load)
{
    for (;; end_round(load)) {
        printf("load: %d lines on the console\n", load->rounds);
        if (load->rounds % 1024 == 1023) {
            print_where_init_is();
        }
        usleep(2000);
    }
}

static void load_clock(struct load *load)
{
    struct timespec last = {0, 0}, now;
    for (;; end_round(load)) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec < last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec < last.tv_nsec)) {
            give_up(load, "clock");
        }
        last = now;
        usleep(1000);
    }
}

static void (*const load_functions[])(struct load *) = {load_cpu, load_memory, load_exec, load_disk, load_pty,
                                                        load_network, load_console, load_clock};
static const char *const load_names[] = {"cpu", "memory", "exec", "disk", "pty", "network", "console", "clock"};
#define LOADS (sizeof load_functions / sizeof load_functions[0])

/* Work without an end, so that the machine is stopped in the midst of it. */
static void start_loads(bool with_disk)
{
    mkdir("/dev/pts", 0755);
    mount("devpts", "/dev/pts", "devpts", 0, "ptmxmode=0666");
    loads = mmap(NULL, LOADS * sizeof *loads + sizeof *wakings, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    wakings = (int *)(loads + LOADS);
    for (size_t i = 0; i < LOADS; i++) {
        loads[i].target = -1;
        if (load_functions[i] == load_disk && !with_disk) {
            continue;
        }
        loads[i].pid = fork();
        if (loads[i].pid == 0) {
            /* So that questions are answered in between. */
            setpriority(PRIO_PROCESS, 0, 19);
            load_functions[i](&loads[i]);
        }
    }
}

static void wake_loads(void)
{
    __atomic_fetch_add(wakings, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, wakings, FUTEX_WAKE, LOADS, NULL, NULL, 0);
}

/* Work without an end again. */
static void let_loads_go(void)
{
    for (size_t i = 0; i < LOADS; i++) {
        __atomic_store_n(&loads[i].target, -1, __ATOMIC_SEQ_CST);
    }
    wake_loads();
}

/* Has every busy process do some more work, and then rest: whether it is alive, and has found nothing wrong. */
static void check_loads(int rounds, char *answer, size_t size)
{
    if (loads == NULL) {
        snprintf(answer, size, "idle");
        return;
    }
    for (size_t i = 0; i < LOADS; i++) {
        int now = __atomic_load_n(&loads[i].rounds, __ATOMIC_SEQ_CST);
        __atomic_store_n(&loads[i].target, now + rounds, __ATOMIC_SEQ_CST);
    }
    wake_loads();
    for (size_t i = 0; i < LOADS; i++) {
        if (loads[i].pid == 0) {
            continue;
        }
        /* As long as the host has patience. */
        while (__atomic_load_n(&loads[i].rounds, __ATOMIC_SEQ_CST) < loads[i].target && loads[i].problem[0] == 0
               && waitpid(loads[i].pid, NULL, WNOHANG) == 0) {
            usleep(500);
        }
        if (loads[i].problem[0] != 0) {
            snprintf(answer, size, "%s: %s", load_names[i], loads[i].problem);
            return;
        }
        if (loads[i].rounds < loads[i].target) {
            snprintf(answer, size, "%s: dead", load_names[i]);
            return;
        }
    }
}

/* For diagnosis: how far each has come. */
static void show_loads(char *answer, size_t size)
{
    int n = 0;
    for (size_t i = 0; loads != NULL && i < LOADS; i++) {
        n += snprintf(answer + n, size - (size_t)n, "%s %d ", load_names[i], loads[i].rounds);
    }
}

/* ---- traffic through the port ---- */

static int write_all(const char *bytes, size_t size)
{
    for (size_t n = 0; n < size;) {
        ssize_t wrote = write(port, bytes + n, size - n);
        if (wrote <= 0) {
            return -1;
        }
        n += (size_t)wrote;
    }
    return 0;
}

/* Numbered lines, each of which says what it must be; an ordinary answer ends them. */
static void send_lines(unsigned long count)
{
    char line[128];
    for (unsigned long i = 0; i < count; i++) {
        int length = snprintf(line, sizeof line, "line %lu %lu\n", i, mix(i * 2654435761ul + 1));
        if (write_all(line, (size_t)length) != 0) {
            return;
        }
    }
}

/*
 * As long as the kernel does not know of a host, reading gives nothing instead of waiting. It may learn of a new one after
 * the first bytes from it: only a host that stays away is one that has gone.
 */
static ssize_t read_port(void *buffer, size_t size)
{
    ssize_t n = read(port, buffer, size);
    for (int i = 0; n <= 0 && i < 1000; i++) {
        usleep(2000);
        n = read(port, buffer, size);
    }
    return n;
}

static void mirror(size_t count)
{
    char buffer[4096];
    while (count > 0) {
        ssize_t n = read_port(buffer, count < sizeof buffer ? count : sizeof buffer);
        if (n <= 0 || write_all(buffer, (size_t)n) != 0) {
            return;
        }
        count -= (size_t)n;
    }
}

static void answer_command(char *line)
{
    char answer[512] = "ok", disk[64] = "", text[256] = "";
    unsigned long first = 0, second = 0;
    struct sysinfo info;
    if (strcmp(line, "ping") == 0) {
        strcpy(answer, "pong");
    } else if (sscanf(line, "fill %lu %lu", &first, &second) == 2) {
        fill(first, (unsigned)second);
    } else if (sscanf(line, "poke %lu %lu", &first, &second) == 2) {
        memcpy(region + first, &second, sizeof second);
    } else if (strcmp(line, "sum") == 0) {
        snprintf(answer, sizeof answer, "%lu", checksum());
    } else if (sscanf(line, "write %63s %lu %255s", disk, &first, text) == 3) {
        disk_write(disk, (off_t)first, text, answer, sizeof answer);
    } else if (sscanf(line, "read %63s %lu", disk, &first) == 2) {
        disk_read(disk, (off_t)first, answer, sizeof answer);
    } else if (strcmp(line, "cpus") == 0) {
        snprintf(answer, sizeof answer, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    } else if (strcmp(line, "memory") == 0) {
        sysinfo(&info);
        snprintf(answer, sizeof answer, "%lu", info.totalram / 1024 * info.mem_unit / 1024);
    } else if (strcmp(line, "clock") == 0) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        snprintf(answer, sizeof answer, "%ld", now.tv_sec * 1000 + now.tv_nsec / 1000000);
    } else if (sscanf(line, "peek %lu", &first) == 1) {
        memcpy(&second, region + first, sizeof second);
        snprintf(answer, sizeof answer, "%lu", second);
    } else if (strcmp(line, "load") == 0) {
        start_loads(true);
    } else if (strcmp(line, "load diskless") == 0) {
        start_loads(false);
    } else if (sscanf(line, "check %lu", &first) == 1) {
        check_loads((int)first, answer, sizeof answer - 1);
    } else if (strcmp(line, "go") == 0) {
        let_loads_go();
    } else if (strcmp(line, "rounds") == 0) {
        show_loads(answer, sizeof answer - 1);
    } else if (sscanf(line, "lines %lu", &first) == 1) {
        send_lines(first);
    } else if (sscanf(line, "mirror %lu", &first) == 1) {
        mirror(first);
    } else if (strcmp(line, "flood") == 0) {
        for (int i = 0; i < 20000; i++) {
            printf("flood %d\n", i);
        }
    } else if (sscanf(line, "say %255[^\n]", text) == 1) {
        printf("%s\n", text);
    } else if (strcmp(line, "spin") == 0) {
        for (;;) {
        }
    } else if (strcmp(line, "poweroff") == 0) {
        reboot(RB_AUTOBOOT);
    } else if (strcmp(line, "panic") == 0) {
        exit(3);
    } else {
        snprintf(answer, sizeof answer, "unknown command");
    }
    strcat(answer, "\n");
    if (write(port, answer, strlen(answer)) < 0) {
        printf("init: write: %s\n", strerror(errno));
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "exit-with") == 0) {
        return atoi(argv[2]);
    }
    mount("proc", "/proc", "proc", 0, "");
    mount("sys", "/sys", "sysfs", 0, "");
    mount("dev", "/dev", "devtmpfs", 0, "");
    int console = open("/dev/console", O_RDWR);
    if (console >= 0) {
        dup2(console, 0);
        dup2(console, 1);
        dup2(console, 2);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    load_modules();
    port = open_port();
    printf("init: ready\n");
    char line[1024];
    size_t length = 0;
    for (;;) {
        char byte;
        if (read_port(&byte, 1) <= 0) {
            length = 0;
            continue;
        }
        if (byte == '\n') {
            line[length] = 0;
            length = 0;
            answer_command(line);
        } else if (length < sizeof line - 1) {
            line[length++] = byte;
        }
    }
}
