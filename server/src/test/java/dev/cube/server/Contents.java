package dev.cube.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.sdk.CommandOptions;
import dev.cube.sdk.CommandResult;
import dev.cube.sdk.Sandbox;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;

/**
 * What a sandbox has on its disk and in its memory: a file, and a variable of a process. Both follow from one number.
 *
 * <p>The process is a shell that answers questions in {@code /dev/shm/variable}: {@code in} and {@code out} are pipes that it
 * and who asks keep open for reading and writing, so that nothing written is lost between two openings. A question
 * has a tag: where a sandbox was captured in the midst of one, the old answer is still in the copy's pipe.
 */
record Contents(long number) {
    private static final String FILE = "/contents";
    /** What is used of an image, in {@code /bin}. */
    static final List<String> PROGRAMS = List.of("bash", "flock", "mkdir", "mkfifo", "setsid", "sync");
    private static final int LONGEST_FILE = 64 << 10;
    private static final CommandOptions AS_ROOT = CommandOptions.DEFAULT.withUser("root");
    private static final AtomicLong TAGS = new AtomicLong();

    private byte[] file() {
        var random = new Random(number);
        var bytes = new byte[1 + random.nextInt(LONGEST_FILE)];
        random.nextBytes(bytes);
        return bytes;
    }

    /** Starts the process; once for each sandbox that is no copy. */
    static void prepare(Sandbox sandbox) {
        CommandResult made = sandbox.commands().run("""
                set -e
                mkdir /dev/shm/variable
                cd /dev/shm/variable
                mkfifo in out
                setsid bash -c '
                    exec 3<>in 4<>out
                    while read -r tag value <&3; do
                        [ "$value" = "" ] || variable=$value
                        echo "$tag $variable" >&4
                    done' </dev/null >/dev/null 2>&1 &
                """, AS_ROOT);
        assertThat(made.exitCode()).as(made.stderr()).isZero();
    }

    void write(Sandbox sandbox) {
        sandbox.files().write(FILE, file());
        assertThat(ask(sandbox, name(), "")).isEqualTo(name());
    }

    /** Fails where the sandbox has other contents. */
    void check(Sandbox sandbox) {
        assertThat(ask(sandbox, "", "")).as("variable of %s", sandbox.id()).isEqualTo(name());
        assertThat(sandbox.files().read(FILE)).as("file of %s", sandbox.id()).isEqualTo(file());
    }

    /** As {@link #check}, with a file that comes from the disk and not from the guest's memory. */
    void checkOnDisk(Sandbox sandbox) {
        assertThat(ask(sandbox, "", "sync; echo 3 >/proc/sys/vm/drop_caches")).as("variable of %s", sandbox.id())
                .isEqualTo(name());
        assertThat(sandbox.files().read(FILE)).as("file on the disk of %s", sandbox.id()).isEqualTo(file());
    }

    /** Fails where a sandbox that was booted from its disk has another file. */
    void checkBooted(Sandbox sandbox) {
        assertThat(sandbox.files().read(FILE)).as("file of %s, booted", sandbox.id()).isEqualTo(file());
    }

    /** As {@link #checkOnDisk}, where it is one of two that the sandbox has. */
    static void checkOneOf(Sandbox sandbox, Contents one, Contents other) {
        String number = ask(sandbox, "", "");
        assertThat(number).as("variable of %s", sandbox.id()).isIn(one.name(), other.name());
        (number.equals(one.name()) ? one : other).checkOnDisk(sandbox);
    }

    private String name() {
        return Long.toString(number);
    }

    private static String ask(Sandbox sandbox, String value, String before) {
        CommandResult answer = sandbox.commands().run("""
                %s
                cd /dev/shm/variable && exec 3>lock 4<>in 5<>out && flock 3 || exit 1
                echo "%2$d %3$s" >&4
                while read -r -t 60 tag variable <&5; do
                    [ "$tag" != %2$d ] || { echo -n "$variable"; exit 0; }
                done
                exit 1
                """.formatted(before, TAGS.incrementAndGet(), value), AS_ROOT);
        assertThat(answer.exitCode()).as("exit status of a question to %s: %s", sandbox.id(), answer.stderr()).isZero();
        return answer.stdout();
    }
}
