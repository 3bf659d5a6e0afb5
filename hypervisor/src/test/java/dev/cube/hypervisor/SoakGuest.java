package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** What the soak asks of its guests, and what they have to answer. A guest that does not answer has failed. */
final class SoakGuest {
    /** For an answer of a guest that shares two processors with others that are as busy. */
    private static final long PATIENCE_SECONDS = 120;
    private static final int FILLED_MIB = 1;
    private static final int LINES = 400;
    private static final int MIRRORED_BYTES = 16 * 1024;
    private static final String PARENTS_TEXT = "from-the-parent";
    private static final String OWN_PLACE = "/dev/vdb 700000000";
    private static final String PARENTS_PLACE = "/dev/vdb 800000000";

    private final Vm vm;

    SoakGuest(Vm vm) {
        this.vm = vm;
    }

    /**
     * Sets to work on arithmetic, memory, fork and exec, disk, terminals, network and console, and leaves off in the midst
     * of a stream of lines from the guest's port.
     */
    void makeBusy() throws IOException {
        makeBusy("load");
    }

    /** As {@link #makeBusy()}, but for the disk, which is not written to. */
    void makeBusyWithoutDisk() throws IOException {
        makeBusy("load diskless");
    }

    private void makeBusy(String load) throws IOException {
        ask("fill " + FILLED_MIB + " " + vm.shape().vcpus());
        ask("write " + PARENTS_PLACE + " " + PARENTS_TEXT);
        ask(load);
        assertThat(ask("check 10")).isEqualTo("ok");
        ask("go");
        converse("lines", guest -> {
            guest.tell("lines " + LINES);
            int read = ThreadLocalRandom.current().nextInt(LINES / 4);
            for (int i = 0; i < read; i++) {
                guest.readLine();
            }
            return null;
        });
    }

    /**
     * Looks over a child of a busy parent, before anybody else has spoken to it.
     *
     * @return false if it is no such child: its VM was restored
     */
    boolean isSoundChild() throws IOException {
        int rest = converse("rest of the lines", SoakGuest::readRestOfLines);
        String state = ask("check 1");
        if (state.equals("idle")) {
            assertThat(rest).as("lines from %s", this).isZero();
            return false;
        }
        assertThat(state).as("work of %s", this).isEqualTo("ok");
        assertThat(ask("sum")).as("memory of %s", this).isEqualTo(sum(0));
        assertThat(ask("read " + PARENTS_PLACE)).as("disk of %s", this).isEqualTo(PARENTS_TEXT);
        assertThat(ask("read /dev/vda 0")).as("base disk of %s", this).isEqualTo(TestNode.BASE_TEXT);
        assertThat(ask("read " + OWN_PLACE)).as("disk of %s", this).isEmpty();
        assertThat(ask("cpus")).isEqualTo(Integer.toString(vm.shape().vcpus()));
        checkClock();
        checkPort();
        return true;
    }

    /** Marks the guest's memory and disk as its own. */
    void mark(int number) throws IOException {
        ask("poke 0 " + number);
        ask("write " + OWN_PLACE + " child-" + number);
    }

    void checkMark(int number) throws IOException {
        assertThat(ask("sum")).as("memory of %s", this).isEqualTo(sum(number));
        assertThat(ask("read " + OWN_PLACE)).as("disk of %s", this).isEqualTo("child-" + number);
        assertThat(ask("check 1")).as("work of %s", this).isEqualTo("ok");
    }

    /** The guest's clock runs as the host's does: each of its readings lies between two of the host's. */
    private void checkClock() throws IOException {
        long firstSent = System.nanoTime();
        long first = Long.parseLong(ask("clock"));
        long firstRead = System.nanoTime();
        ask("sum");
        long lastSent = System.nanoTime();
        long last = Long.parseLong(ask("clock"));
        long lastRead = System.nanoTime();
        double atLeast = (lastSent - firstRead) / 1e6 * 0.99 - 2;
        double atMost = (lastRead - firstSent) / 1e6 * 1.01 + 2;
        assertThat((double) (last - first)).as("ms by the clock of %s", this).isBetween(atLeast, atMost);
    }

    private void checkPort() throws IOException {
        byte[] sent = new byte[MIRRORED_BYTES];
        ThreadLocalRandom.current().nextBytes(sent);
        byte[] received = converse("mirror", guest -> {
            guest.tell("mirror " + sent.length);
            guest.send(sent);
            byte[] back = guest.receive(sent.length);
            assertThat(guest.readLine()).isEqualTo("ok");
            return back;
        });
        assertThat(received).as("bytes through the port of %s", this).isEqualTo(sent);
    }

    /**
     * What the parent was sending when its connection was cut goes on from somewhere, and then without a gap. A guest that
     * was not sending answers at once.
     *
     * @return how many lines came
     */
    private static int readRestOfLines(Guest guest) throws IOException {
        guest.tell("ping");
        int count = 0;
        long previous = -1;
        for (String line = guest.readLine(); !line.equals("pong"); line = guest.readLine()) {
            String[] words = line.split(" ");
            if (words.length != 3 || !words[0].equals("line")) {
                // The part of a line that came through, and the answer to what was asked for the lines.
                assertThat(count == 0 || line.equals("ok")).as("\"%s\" after line %d", line, previous).isTrue();
                continue;
            }
            long number = Long.parseLong(words[1]);
            assertThat(Long.parseUnsignedLong(words[2])).as(line).isEqualTo(mix(number * 2654435761L + 1));
            assertThat(previous < 0 || number == previous + 1).as("line %d after %d", number, previous).isTrue();
            previous = number;
            count++;
        }
        assertThat(count == 0 || previous == LINES - 1).as("last line: %d", previous).isTrue();
        return count;
    }

    /** As the guest's init does it. */
    private static long mix(long x) {
        x ^= x << 13;
        x ^= x >>> 7;
        return x ^ x << 17;
    }

    /** The checksum that the guest's init makes of what it was told to fill, with the first word changed if not 0. */
    private String sum(long firstWord) {
        long sum = 0;
        for (long i = 0; i < (long) FILLED_MIB << 20; i += Long.BYTES) {
            long value = i == 0 && firstWord != 0 ? firstWord : vm.shape().vcpus() * 1000003L + i;
            sum = sum * 31 + value;
        }
        return Long.toUnsignedString(sum);
    }

    private String ask(String question) throws IOException {
        return converse(question, guest -> guest.ask(question));
    }

    @FunctionalInterface
    private interface Conversation<T> {
        T with(Guest guest) throws IOException;
    }

    private <T> T converse(String subject, Conversation<T> conversation) throws IOException {
        CompletableFuture<T> result = new CompletableFuture<>();
        try (Guest guest = Guest.connect(vm)) {
            Callable<T> talk = () -> conversation.with(guest);
            Thread.ofVirtual().start(() -> {
                try {
                    result.complete(talk.call());
                } catch (Exception | AssertionError e) {
                    result.completeExceptionally(e);
                }
            });
            return result.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            throw new AssertionError("%s does not answer to \"%s\"; its port: %s; its console: %s"
                    .formatted(this, subject, PortDiagnosis.of(((QemuVm) vm).qemu().qmp()), vm.console()), e);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof AssertionError wrong) {
                throw wrong;
            }
            throw new IOException("%s, asked to \"%s\": %s".formatted(this, subject, e.getCause()), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException(e);
        }
    }

    @Override
    public String toString() {
        return "VM %s (%d vCPUs, process %d)".formatted(vm.id(), vm.shape().vcpus(), vm.pid());
    }
}
