package dev.cube.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.sdk.CloneOptions;
import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeException;
import dev.cube.sdk.Fork;
import dev.cube.sdk.Sandbox;
import dev.cube.sdk.SandboxInfo;
import dev.cube.sdk.SnapshotInfo;
import dev.cube.sdk.SnapshotOptions;
import dev.cube.server.Steps.Fault;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import org.awaitility.Awaitility;

/**
 * A program that does every operation on a real server with a fault at one of its steps after the other, and prints where what
 * is left is not as it must be. Arguments: a directory whose {@code home} is on a small disk, the guest artifacts, how many cases
 * to try of all that there are, whether VMs are forked, how many megabytes each sandbox has written to its memory, and the name of
 * an operation, if it is to be that one only.
 */
final class FaultStepsRun {
    private static final Duration HOUR = Duration.ofHours(1);
    private static final Duration SOON = Duration.ofSeconds(60);
    /** For what an operation leaves to be done behind its answer. */
    private static final Duration AFTER_ANSWER = Duration.ofMillis(700);
    private static final String WRITTEN = "/dev/shm/written";

    private enum Operation {
        SNAPSHOT, CREATE, ROLLBACK, CLONE, FORK, PAUSE, RESUME, PAUSE_WITHOUT_MEMORY, BOOT;

        boolean pauses() {
            return this == PAUSE || this == PAUSE_WITHOUT_MEMORY;
        }

        boolean resumes() {
            return this == RESUME || this == BOOT;
        }
    }

    private record Case(Operation operation, Fault fault, int step) {}

    private final Path directory;
    private final Path home;
    private final TestedServer server;
    private final byte[] written;
    private long numbers;

    private FaultStepsRun(Path directory, TestedServer server, int megabytes) {
        written = new byte[megabytes << 20];
        new Random(1).nextBytes(written);
        this.directory = directory;
        this.home = directory.resolve("home");
        this.server = server;
    }

    public static void main(String[] arguments) throws Exception {
        Path directory = Path.of(arguments[0]);
        int wanted = Integer.parseInt(arguments[2]);
        int failures = 0;
        try (TestedServer server =
                TestedServer.start(directory, Path.of(arguments[1]), List.of(StepsAgent.option(directory)),
                        "--live-fork", arguments[3])) {
            var run = new FaultStepsRun(directory, server, Integer.parseInt(arguments[4]));
            List<Case> all = run.cases(arguments[5]);
            int count = Math.min(wanted, all.size());
            System.out.printf("%d of %d cases%n", count, all.size());
            for (int i = 0; i < count; i++) {
                // From the middle of each part, so that few cases still are of every operation and fault.
                failures += run.passes(all.get((int) ((2L * i + 1) * all.size() / (2L * count)))) ? 0 : 1;
            }
        }
        System.out.printf("failed: %d%n", failures);
    }

    private CubeClient client() {
        return server.client();
    }

    /** Every operation with every fault that it can meet at every step that it takes without one. */
    private List<Case> cases(String only) throws IOException {
        List<Case> all = new ArrayList<>();
        for (Operation operation : only.isEmpty() ? Operation.values() : new Operation[] {Operation.valueOf(only)}) {
            var scene = new Scene(operation);
            scene.run(Fault.NONE, 0);
            int steps = Steps.taken(directory).size();
            System.out.printf("%s: %s%n", operation, String.join(", ", Steps.taken(directory)));
            scene.check();
            for (Fault fault : EnumSet.complementOf(EnumSet.of(Fault.NONE))) {
                for (int step = 1; step <= steps && isMet(operation, fault); step++) {
                    all.add(new Case(operation, fault, step));
                }
            }
        }
        return all;
    }

    /** A paused sandbox has no QEMU, and to pause one starts none. */
    private static boolean isMet(Operation operation, Fault fault) {
        return !(operation.resumes() && fault == Fault.SOURCE) && !(operation.pauses() && fault == Fault.YOUNGEST);
    }

    private boolean passes(Case tried) throws IOException {
        var scene = new Scene(tried.operation());
        String outcome = "not run";
        try {
            scene.run(tried.fault(), tried.step());
            outcome = scene.outcome();
            scene.check();
            System.out.printf("ok: %s at %s; %s%n", tried, Steps.fired(directory).orElse("none"), outcome);
            return true;
        } catch (RuntimeException | AssertionError e) {
            System.out.printf("FAILED: %s at %s; %s: %s%n", tried, Steps.fired(directory).orElse("none"), outcome, e);
            e.printStackTrace(System.out);
            clear();
            return false;
        }
    }

    private void clear() throws IOException {
        Steps.disarm(directory);
        Files.deleteIfExists(home.resolve("ballast"));
        client().list().forEach(sandbox -> client().kill(sandbox.id()));
        client().snapshots().list().forEach(snapshot -> client().snapshots().delete(snapshot.id()));
    }

    /** One operation on sandboxes of its own. */
    private final class Scene {
        private final Operation operation;
        private final Sandbox source;
        /** What the source has, and had when {@link #earlier} was taken of it. */
        private final Contents contents;
        private final Contents earlierContents;
        private final Optional<String> earlier;
        private Fault fault = Fault.NONE;
        private boolean fired;
        private Optional<RuntimeException> failure = Optional.empty();
        /** What the answer told of. */
        private final Set<String> made = new HashSet<>();
        private Optional<String> snapshot = Optional.empty();

        Scene(Operation operation) {
            this.operation = operation;
            source = client().create(TestedServer.fromBase());
            Contents.prepare(source);
            if (written.length > 0) {
                source.files().write(WRITTEN, written);
            }
            earlierContents = new Contents(++numbers);
            earlierContents.write(source);
            if (operation == Operation.CREATE || operation == Operation.ROLLBACK) {
                earlier = Optional.of(source.snapshot(SnapshotOptions.DEFAULT.untilDurable()).id());
                contents = new Contents(++numbers);
                contents.write(source);
            } else {
                earlier = Optional.empty();
                contents = earlierContents;
            }
            if (operation == Operation.RESUME) {
                source.pause();
            } else if (operation == Operation.BOOT) {
                source.pauseWithoutMemory();
            }
        }

        void run(Fault wanted, int step) throws IOException {
            fault = wanted;
            long pid = server.machineOf(source.id()).map(ProcessHandle::pid).orElse(0L);
            new Steps.Plan(step, fault, home, pid, Instant.now()).arm(directory);
            try {
                perform();
            } catch (RuntimeException e) {
                failure = Optional.of(e);
            }
            Awaitility.await().pollDelay(AFTER_ANSWER).until(() -> true);
            fired = Steps.fired(directory).isPresent();
            Steps.disarm(directory);
            Files.deleteIfExists(home.resolve("ballast"));
            if (fired && fault == Fault.SERVER) {
                server.restartKilled();
            }
        }

        private void perform() {
            switch (operation) {
                case SNAPSHOT -> snapshot = Optional.of(source.snapshot().id());
                case CREATE -> made.add(client().create(TestedServer.from(earlier.orElseThrow())).id());
                case ROLLBACK -> source.rollback(earlier.orElseThrow());
                case CLONE -> source.clone(CloneOptions.of(2).withTimeout(HOUR)).forEach(copy -> made.add(copy.id()));
                case FORK -> source.fork(2, HOUR).forEach(fork -> {
                    if (fork instanceof Fork.Made done) {
                        made.add(done.sandbox().id());
                    }
                });
                case PAUSE -> source.pause();
                case PAUSE_WITHOUT_MEMORY -> source.pauseWithoutMemory();
                case RESUME, BOOT -> source.resume(HOUR);
            }
        }

        String outcome() {
            return failure.map(e -> "it failed: " + e.getMessage()).orElse("it succeeded");
        }

        /** Whether what the answer said is not all that may be true. */
        private boolean unanswered() {
            return fired && fault == Fault.SERVER && failure.isPresent();
        }

        private boolean failed() {
            return failure.isPresent() && !unanswered();
        }

        private boolean succeeded() {
            return failure.isEmpty();
        }

        void check() {
            if (!fired) {
                assertThat(failure).as("failure without a fault").isEmpty();
            }
            checkSource();
            checkOthers();
            checkSnapshots();
            client().list().forEach(sandbox -> client().kill(sandbox.id()));
            client().snapshots().list().forEach(left -> client().snapshots().delete(left.id()));
            server.awaitNothingLeft();
        }

        private void checkSource() {
            Map<String, Contents> allowed = new LinkedHashMap<>();
            boolean pauses = operation.pauses();
            boolean resumes = operation.resumes();
            if (pauses ? !succeeded() : !resumes || !failed()) {
                if (operation != Operation.ROLLBACK || !succeeded()) {
                    allowed.put("running", contents);
                }
            }
            if (pauses && !failed() || resumes && !succeeded()) {
                allowed.put("paused", contents);
            }
            boolean mayBeDead = fired && (fault == Fault.SOURCE
                    || fault == Fault.YOUNGEST && (resumes || operation == Operation.ROLLBACK) && succeeded());
            boolean mayBeRolledBack = operation == Operation.ROLLBACK && !failed();
            String state = mayBeDead ? settledState() : state();
            if (state.equals("gone")) {
                assertThat(mayBeDead).as("whether the source may be dead").isTrue();
                return;
            }
            boolean killed = fired && fault == Fault.SOURCE;
            if (killed && operation != Operation.ROLLBACK) {
                assertThat(state).as("state of a source whose QEMU was killed").isEqualTo("paused");
            }
            if (!(mayBeRolledBack && state.equals("running"))) {
                assertThat(allowed).as("allowed states of the source").containsKey(state);
            }
            Sandbox now = client().connect(source.id(), HOUR);
            boolean booted = operation == Operation.BOOT || operation == Operation.PAUSE_WITHOUT_MEMORY && state.equals("paused");
            if (written.length > 0 && !booted) {
                assertThat(Arrays.equals(now.files().read(WRITTEN), written)).as("what was written to memory").isTrue();
            }
            if (mayBeRolledBack) {
                if (succeeded()) {
                    earlierContents.checkOnDisk(now);
                } else {
                    Contents.checkOneOf(now, contents, earlierContents);
                }
            } else if (booted) {
                contents.checkBooted(now);
            } else {
                contents.checkOnDisk(now);
            }
        }

        private String state() {
            try {
                return client().get(source.id()).state();
            } catch (CubeException e) {
                assertThat(e.isNotFound()).as(e.getMessage()).isTrue();
                return "gone";
            }
        }

        /** Of a source whose QEMU was killed: gone in a moment, unless it has no QEMU any more or another one. */
        private String settledState() {
            Awaitility.await().atMost(SOON).until(() -> !state().equals("running")
                    || server.machineOf(source.id()).filter(ProcessHandle::isAlive).isPresent());
            return state();
        }

        private void checkOthers() {
            Set<String> listed = new HashSet<>(client().list().stream().map(SandboxInfo::id).toList());
            listed.remove(source.id());
            boolean someDied = fired && fault == Fault.YOUNGEST;
            if (unanswered()) {
                int most = operation == Operation.CREATE ? 1
                        : operation == Operation.CLONE || operation == Operation.FORK ? 2 : 0;
                assertThat(listed).as("sandboxes made, perhaps").hasSizeLessThanOrEqualTo(most);
                if (operation == Operation.CLONE) {
                    assertThat(listed.size()).as("clones").isIn(0, 2);
                }
            } else if (someDied) {
                assertThat(made).as("sandboxes made").containsAll(listed);
            } else {
                assertThat(listed).as("sandboxes made").isEqualTo(made);
            }
            Contents expected = operation == Operation.CREATE ? earlierContents : contents;
            for (String id : listed) {
                try {
                    expected.checkOnDisk(client().connect(id, HOUR));
                } catch (CubeException e) {
                    // Its QEMU was the one that was killed, which was not noticed yet.
                    if (!someDied || !isGone(id)) {
                        throw e;
                    }
                }
            }
        }

        private boolean isGone(String id) {
            Awaitility.await().atMost(SOON).until(() -> client().list().stream().noneMatch(left -> left.id().equals(id)));
            return true;
        }

        private void checkSnapshots() {
            List<String> listed = client().snapshots().list().stream().map(SnapshotInfo::id).toList();
            List<String> expected = new ArrayList<>(earlier.stream().toList());
            if (unanswered() && operation == Operation.SNAPSHOT) {
                assertThat(listed).as("snapshots").hasSizeLessThanOrEqualTo(1);
            } else if (fired && fault == Fault.YOUNGEST && operation == Operation.SNAPSHOT) {
                // The holder of a snapshot that was not durable yet.
                assertThat(snapshot.stream().toList()).as("snapshots").containsAll(listed);
            } else {
                expected.addAll(snapshot.stream().toList());
                assertThat(listed).as("snapshots").containsExactlyInAnyOrderElementsOf(expected);
            }
            for (String id : listed) {
                client().snapshots().awaitDurable(id, SOON);
                Sandbox again = client().create(TestedServer.from(id));
                earlierContents.checkOnDisk(again);
            }
        }
    }
}
