/* From the kernel's hands to a root filesystem and an open port. */
#include "agent.h"
#include <dirent.h>
#include <net/if.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#define PORT_NAME "dev.cube.agent"

static int log_fd = 2;

static void say(int level, const char *format, va_list arguments)
{
    char text[512];
    /* A line with a level goes to the kernel's log, which prints it on every console. */
    int n = log_fd == 2 ? snprintf(text, sizeof text, "agent: ") : snprintf(text, sizeof text, "<%d>agent: ", level);
    n += vsnprintf(text + n, sizeof text - n - 1, format, arguments);
    if (n > (int)sizeof text - 2)
        n = sizeof text - 2;
    text[n++] = '\n';
    if (write(log_fd, text, n) < 0) {
        /* there is no other place to say it */
    }
}

void warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(4, format, arguments);
    va_end(arguments);
}

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(2, format, arguments);
    va_end(arguments);
    if (!is_guest)
        _exit(1);
    /* The VM ends here (QEMU runs with -no-reboot); what was said is on its console. */
    nanosleep(&(struct timespec){0, 100000000}, NULL);
    reboot(RB_AUTOBOOT);
    _exit(1);
}

/* In the order of their dependencies. A kernel that has one built in has no file for it. */
static void load_modules(void)
{
    static const char *const names[] = {
        "virtio_ring", "virtio", "virtio_mmio", "virtio_blk", "virtio_console", "crc16", "crc32c_generic", "mbcache",
        "jbd2", "ext4", "overlay",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64];
        snprintf(path, sizeof path, "/modules/%s.ko", names[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
            die("cannot load %s: %s", path, strerror(errno));
        close(fd);
        unlink(path);
    }
}

static void mount_or_die(const char *what, const char *where, const char *type, unsigned long flags, const char *options)
{
    if (mkdir(where, 0755) && errno != EEXIST)
        die("cannot make %s: %s", where, strerror(errno));
    if (mount(what, where, type, flags, options))
        die("cannot mount %s (%s) on %s: %s", what, type, where, strerror(errno));
}

/* Disks and ports turn up a little after their driver. */
static bool wait_for(const char *path)
{
    for (int i = 0; i < 500; i++) {
        if (!access(path, F_OK))
            return true;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    return false;
}

static void mount_root(void)
{
    static const char *const disks[] = {"/dev/vda", "/dev/vdb"};
    for (int i = 0; i < 2; i++)
        if (!wait_for(disks[i]))
            die("there is no disk %s", disks[i]);
    mount_or_die("/dev/vda", "/base", "ext4", MS_RDONLY | MS_NOATIME, NULL);
    /* The lazy initialisation of inode tables would go on in every sandbox of the template. */
    mount_or_die("/dev/vdb", "/writable", "ext4", MS_NOATIME, "noinit_itable");
    if ((mkdir("/writable/upper", 0755) && errno != EEXIST) || (mkdir("/writable/work", 0700) && errno != EEXIST))
        die("cannot write to /dev/vdb: %s", strerror(errno));
    /* redirect_dir: without it, renaming a directory of the base disk fails with EXDEV. */
    mount_or_die("overlay", "/new", "overlay", MS_NOATIME,
                 "lowerdir=/base,upperdir=/writable/upper,workdir=/writable/work,redirect_dir=on");
}

static void switch_root(void)
{
    unsigned long quiet = MS_NOSUID | MS_NOEXEC | MS_NODEV;
    mount_or_die("proc", "/new/proc", "proc", quiet, NULL);
    mount_or_die("sysfs", "/new/sys", "sysfs", quiet, NULL);
    mkdir("/new/dev", 0755);
    if (mount("/dev", "/new/dev", NULL, MS_MOVE, NULL))
        die("cannot move /dev: %s", strerror(errno));
    if (chdir("/new") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
        die("cannot switch to the new root: %s", strerror(errno));
    mount_or_die("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666");
    mount_or_die("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
    mount_or_die("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
    if (mount("cgroup2", "/sys/fs/cgroup", "cgroup2", quiet, NULL))
        warn("no cgroups: %s", strerror(errno));
    if (symlink("/proc/self/fd", "/dev/fd") || symlink("/proc/self/fd/0", "/dev/stdin")
        || symlink("/proc/self/fd/1", "/dev/stdout") || symlink("/proc/self/fd/2", "/dev/stderr"))
        warn("cannot make the links in /dev: %s", strerror(errno));
    if (mkdir("/run/cube", 0755) || (mkdir("/run/lock", 01777) || chmod("/run/lock", 01777)))
        die("cannot write to /run: %s", strerror(errno));
    if (mkdir("/tmp", 01777) == 0)
        chmod("/tmp", 01777);
}

static void loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request))
        warn("cannot bring up the loopback interface: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
}

static bool port_named(const char *entry)
{
    char path[300], name[64];
    snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", entry);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, name, sizeof name - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    name[n] = 0;
    name[strcspn(name, "\n")] = 0;
    return !strcmp(name, PORT_NAME);
}

static int open_port(void)
{
    for (int i = 0; i < 500; i++) {
        DIR *ports = opendir("/sys/class/virtio-ports");
        for (struct dirent *e; ports && (e = readdir(ports));) {
            if (e->d_name[0] != '.' && port_named(e->d_name)) {
                char path[300];
                snprintf(path, sizeof path, "/dev/%s", e->d_name);
                closedir(ports);
                int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
                if (fd < 0)
                    die("cannot open %s: %s", path, strerror(errno));
                return fd;
            }
        }
        if (ports)
            closedir(ports);
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    die("there is no virtio-serial port named " PORT_NAME);
}

static void protect(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "-1000", 5) != 5)
        warn("cannot keep the out-of-memory killer away: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    setpriority(PRIO_PROCESS, 0, -20);
    struct rlimit files = {65536, 1048576};
    setrlimit(RLIMIT_NOFILE, &files);
    umask(022);
}

int boot(void)
{
    mkdir("/dev", 0755);
    if (mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755") && errno != EBUSY)
        die("cannot mount /dev: %s", strerror(errno));
    int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        die("cannot open /dev/null: %s", strerror(errno));
    /* Descriptors 0 to 2 stay taken, so that no pipe of a process ever gets one of these numbers. */
    if (log >= 0 && log < 3)
        log = fcntl(log, F_DUPFD_CLOEXEC, 3);
    for (int i = 0; i < 3; i++)
        dup2(null, i);
    if (log >= 0)
        log_fd = log;
    load_modules();
    mount_root();
    switch_root();
    protect();
    loopback_up();
    return open_port();
}
